"""Write the completion scripts for bash, zsh, fish and PowerShell from the commands and options of apimart.

    python3 completions/generate.py            write them
    python3 completions/generate.py --check    fail when one of them is not what would be written

A script holds every name and choice itself: pressing TAB starts no Python, so it answers at once. Add a command or an
option to apimart and run this; nothing here names one. A new shell is one function and one line in `SCRIPTS`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from apimart_cli.cli import app

MADE = "Made by completions/generate.py from apimart's own options; do not edit."


@dataclass(frozen=True)
class Option:
    """An option of a command."""

    names: tuple[str, ...]
    help: str
    metavar: str | None
    """What the value is called; None where the option takes no value."""
    choices: tuple[str, ...]
    """Every value it can have; empty where that is not a list."""
    takes_path: bool


@dataclass(frozen=True)
class Command:
    """A command or a group of commands."""

    path: str
    """The words that lead to it, the program's name first."""
    help: str
    options: tuple[Option, ...]
    commands: tuple["Command", ...]
    wraps: bool
    """Whether another command line follows it."""

    @property
    def name(self) -> str:
        """Its own word."""
        return self.path.rpartition(" ")[2]

    @property
    def words(self) -> list[str]:
        """The names of its commands or, where it has none, of its options."""
        return [command.name for command in self.commands] or self.option_names

    @property
    def option_names(self) -> list[str]:
        """Every name of its options."""
        return [name for option in self.options for name in option.names]

    def tree(self) -> Iterator["Command"]:
        """Itself and everything below it."""
        yield self
        for command in self.commands:
            yield from command.tree()


def read_command(command: Any, path: str) -> Command:
    """Describe a command of Typer."""
    parameters = command.get_params(typer.Context(command, info_name=path))
    options = [parameter for parameter in parameters if parameter.param_type_name == "option" and not parameter.hidden]
    return Command(
        path=path,
        help=command.get_short_help_str(limit=200).rstrip("."),
        options=tuple(map(read_option, options)),
        commands=tuple(read_command(each, f"{path} {name}") for name, each in getattr(command, "commands", {}).items()),
        wraps=any(parameter.nargs == -1 for parameter in parameters if parameter not in options),
    )


def read_option(option: Any) -> Option:
    """Describe an option of Typer."""
    return Option(
        names=(*option.opts, *option.secondary_opts),
        help=(option.help or "").rstrip("."),
        metavar=None if option.is_flag else option.metavar or option.name.upper(),
        choices=tuple(getattr(option.type, "choices", ())),
        takes_path=option.type.name == "path",
    )


# --- bash -------------------------------------------------------------------------------------------------------


def bash(root: Command) -> str:
    """Return the script for bash: 3.2, which macOS has, or later."""
    commands = list(root.tree())
    valued = [(command, option) for command in commands for option in command.options if option.metavar]
    values = [
        f"            {_patterns(command, option)})\n                {_bash_values(option)} ;;\n"
        for command, option in valued
        if option.choices or option.takes_path
    ]
    return f"""\
# Completion of apimart in bash. {MADE}
# To try it:  source completions/apimart.bash

_apimart() {{
    local IFS=$' \\t\\n' path=apimart option= wrapped= index word
    local current=${{COMP_WORDS[COMP_CWORD]}}
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${{COMP_WORDS[index]}}
        # bash gives --scope=key as three words.
        [[ $word == = ]] && continue
        if [[ $option ]]; then
            option=
            continue
        fi
        case "$path $word" in
            {_alternatives(f'"{command.path}"' for command in commands[1:])})
                path="$path $word" ;;
            {_alternatives(_patterns(command, option) for command, option in valued)})
                option=$word ;;
{"".join(_bash_wrapping(command) for command in commands if command.wraps)}\
        esac
    done
    [[ $current == = ]] && current=
    if [[ $wrapped ]]; then
        _apimart_wrapped "$wrapped" "$current"
    elif [[ $option ]]; then
        case "$path $option" in
{"".join(values)}\
        esac
    else
        case "$path" in
{"".join(_bash_words(command) for command in commands)}\
        esac
    fi
}}

# Complete the command line that starts at word $1, as if it stood alone; $2 is the word to complete.
_apimart_wrapped() {{
    # The package bash-completion knows best, and loads what it needs.
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        COMPREPLY=($(compgen -c -- "$2"))
    elif [[ $(complete -p "${{COMP_WORDS[$1]}}" 2>/dev/null) =~ \\ -F\\ ([^\\ ]+) ]]; then
        COMP_WORDS=("${{COMP_WORDS[@]:$1}}")
        COMP_CWORD=$((COMP_CWORD - $1))
        "${{BASH_REMATCH[1]}}" "${{COMP_WORDS[0]}}" "$2" "${{COMP_WORDS[COMP_CWORD - 1]}}"
    else
        _apimart_files "$2"
    fi
}}

_apimart_files() {{
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$1"))
}}

complete -F _apimart apimart
"""


def _alternatives(patterns: Iterator[str] | chain[str]) -> str:
    return " |\\\n            ".join(patterns)


def _patterns(command: Command, option: Option) -> str:
    return " | ".join(f'"{command.path} {name}"' for name in option.names)


def _bash_values(option: Option) -> str:
    if option.takes_path:
        return '_apimart_files "$current"'
    return f"""COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$current"))"""


def _bash_wrapping(command: Command) -> str:
    return (
        f'            "{command.path} --")\n                wrapped=$((index + 1)); break ;;\n'
        f'            "{command.path} -"*) ;;\n'
        f'            "{command.path} "*)\n                wrapped=$index; break ;;\n'
    )


def _bash_words(command: Command) -> str:
    """Return the words of a group as long as no option is begun; a command without commands has only options."""
    options = " ".join(command.option_names)
    lines = [f'            "{command.path}")\n']
    if command.commands:
        lines.append(f'                local words="{" ".join(command.words)}"\n')
        lines.append(f'                [[ $current == -* ]] && words="{options}"\n')
    else:
        lines.append(f'                local words="{options}"\n')
    lines.append('                COMPREPLY=($(compgen -W "$words" -- "$current")) ;;\n')
    return "".join(lines)


# --- zsh --------------------------------------------------------------------------------------------------------


def zsh(root: Command) -> str:
    """Return the script for zsh: a file of $fpath, or one to source behind compinit."""
    return f"""\
#compdef apimart
# Completion of apimart in zsh. {MADE}
# To try it, behind compinit:  source completions/_apimart

{"".join(_zsh_function(command, root) for command in root.tree())}\
# Complete the words behind ours as if they stood alone.
_apimart_wrapped() {{
    if [[ $words[1] == -- ]]; then
        shift words
        (( CURRENT-- ))
    fi
    (( CURRENT > 0 )) && _normal
}}

# Run as the body of a function of $fpath when it is first needed, or sourced.
if [[ $funcstack[1] == _apimart ]]; then
    _apimart "$@"
else
    compdef _apimart apimart
fi
"""


def _zsh_function(command: Command, root: Command) -> str:
    # Behind `--`, or behind the first word that is no option where a command line is wrapped, no option is ours.
    flags = '-s -S -A "-*"' if command.wraps or command.commands else "-s -S"
    specifications = [specification for option in command.options for specification in _zsh_option(option)]
    if command.wraps:
        specifications.append(f"'*::command line: {_zsh_name(root)}_wrapped'")
    if command.commands:
        specifications += ["'1:command:->command'", "'*::argument:->argument'"]
    arguments = "".join(f" \\\n        {specification}" for specification in specifications)
    if not command.commands:
        return f"{_zsh_name(command)}() {{\n    _arguments {flags} :{arguments}\n}}\n\n"
    described = "".join(f"\n        {_zsh_quote(f'{each.name}:{each.help}')}" for each in command.commands)
    return f"""\
{_zsh_name(command)}() {{
    local curcontext=$curcontext state line ret=1
    local -A opt_args
    local -a subcommands
    subcommands=({described}
    )
    _arguments -C {flags} :{arguments} && ret=0
    case $state in
        command) _describe -t commands command subcommands && ret=0 ;;
        argument) (( $+functions[{_zsh_name(command)}_$line[1]] )) && {_zsh_name(command)}_$line[1] && ret=0 ;;
    esac
    return ret
}}

"""


def _zsh_name(command: Command) -> str:
    return f"_{command.path.replace(' ', '_')}"


def _zsh_option(option: Option) -> Iterator[str]:
    together = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    described = f"[{_zsh_escape(option.help)}]"
    for name in option.names:
        if option.metavar is None:
            yield _zsh_quote(f"{together}{name}{described}")
            continue
        # A long name may have its value behind a =, a short one in the same word.
        joined = f"{name}=" if name.startswith("--") else f"{name}+"
        action = "_files" if option.takes_path else f"({' '.join(option.choices)})" if option.choices else " "
        yield _zsh_quote(f"{together}{joined}{described}:{_zsh_escape(option.metavar)}:{action}")


def _zsh_escape(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\[]:" else character for character in text)


def _zsh_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -------------------------------------------------------------------------------------------------------


def fish(root: Command) -> str:
    """Return the script for fish 3.1 or later."""
    commands = list(root.tree())
    valued = [
        _fish_quote(f"{command.path} {name}")
        for command in commands
        for option in command.options
        if option.metavar
        for name in option.names
    ]
    wrapping = "".join(
        f"            case {_fish_quote(f'{command.path} --')}\n"
        "                printf '%s\\n' -- $words\n"
        "                return\n"
        f"            case {_fish_quote(f'{command.path} -*')}\n"
        f"            case {_fish_quote(f'{command.path} *')}\n"
        "                printf '%s\\n' -- $word $words\n"
        "                return\n"
        for command in commands
        if command.wraps
    )
    return f"""\
# Completion of apimart in fish. {MADE}
# To try it:  source completions/apimart.fish

# Print the command that is being typed; inside a command line that apimart wraps, print -- and the words of that line.
function __apimart_place
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    set --local place {root.path}
    set --local option
    set --erase words[1]
    for word in $words
        set --erase words[1]
        if test -n "$option"
            set option
            continue
        end
        switch "$place $word"
            case {" ".join(_fish_quote(command.path) for command in commands[1:])}
                set place "$place $word"
            case {" ".join(valued)}
                set option $word
{wrapping}\
        end
    end
    echo $place
end

function __apimart_at
    set --local place (__apimart_place)
    test "$place[1]" = "$argv"
end

# Complete the wrapped command line as if it stood alone.
function __apimart_wrapped
    set --local words (__apimart_place)
    set --erase words[1]
    set words (string escape -- $words) (commandline --current-token --cut-at-cursor)
    complete --do-complete "$words"
end

complete --command apimart --no-files
complete --command apimart --condition '__apimart_at --' --arguments '(__apimart_wrapped)'
{"".join(_fish_lines(command) for command in commands)}"""


def _fish_lines(command: Command) -> str:
    here = f"complete --command apimart --condition '__apimart_at {command.path}'"
    lines = [f"{here} --arguments {each.name} --description {_fish_quote(each.help)}" for each in command.commands]
    lines += [f"{here}{_fish_option(option)} --description {_fish_quote(option.help)}" for option in command.options]
    return "".join(f"{line}\n" for line in lines)


def _fish_option(option: Option) -> str:
    names = "".join(
        f" --long-option {name[2:]}" if name.startswith("--") else f" --short-option {name[1:]}"
        for name in option.names
    )
    if option.metavar is None:
        return names
    if option.takes_path:
        return f"{names} --require-parameter --force-files"
    values = f" --arguments {_fish_quote(' '.join(option.choices))}" if option.choices else ""
    return f"{names} --exclusive{values}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# --- PowerShell -------------------------------------------------------------------------------------------------


def powershell(root: Command) -> str:
    """Return the script for PowerShell 5.1 or later."""
    commands = list(root.tree())
    names = "".join(_powershell_names(command) for command in commands)
    values = "".join(
        _powershell_values(command, option, name)
        for command in commands
        for option in command.options
        if option.metavar
        for name in option.names
    )
    wrapping = ", ".join(_powershell_quote(command.path) for command in commands if command.wraps)
    return f"""\
# Completion of apimart in PowerShell. {MADE}
# To try it:  . ./completions/apimart.ps1

Register-ArgumentCompleter -Native -CommandName apimart -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)

    # What can follow each command, with its description.
    $names = @{{
{names}\
    }}
    # What each option that takes a value can have; an empty list stands for anything.
    $values = @{{
{values}\
    }}
    # Commands that are followed by another command line.
    $wrapping = @({wrapping})

    $path = {_powershell_quote(root.path)}
    $option = $null
    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {{
        if ($element.Extent.EndOffset -ge $cursorPosition) {{ break }}
        $place = "$path $($element.Extent.Text)"
        if ($option) {{ $option = $null }}
        elseif ($names.ContainsKey($place)) {{ $path = $place }}
        elseif ($values.ContainsKey($place)) {{ $option = $place }}
        elseif ($wrapping -contains $path -and $element.Extent.Text -notlike '-?*') {{ return }}
        elseif ($wrapping -contains $path -and $element.Extent.Text -eq '--') {{ return }}
    }}

    # Without a result PowerShell completes file names.
    if ($option) {{
        $values[$option] | Where-Object {{ $_.StartsWith($wordToComplete) }} | ForEach-Object {{
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }}
        return
    }}
    foreach ($pair in $names[$path]) {{
        $name, $description = $pair
        if ($name.StartsWith($wordToComplete)) {{
            [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $description)
        }}
    }}
}}
"""


def _powershell_names(command: Command) -> str:
    described = chain(
        ((each.name, each.help) for each in command.commands),
        ((name, option.help) for option in command.options for name in option.names),
    )
    pairs = "".join(
        f"            , @({_powershell_quote(name)}, {_powershell_quote(text)})\n" for name, text in described
    )
    return f"        {_powershell_quote(command.path)} = @(\n{pairs}        )\n"


def _powershell_values(command: Command, option: Option, name: str) -> str:
    choices = ", ".join(map(_powershell_quote, option.choices))
    return f"        {_powershell_quote(f'{command.path} {name}')} = @({choices})\n"


def _powershell_quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# --- all of them ------------------------------------------------------------------------------------------------

SCRIPTS: Mapping[str, Callable[[Command], str]] = {
    "apimart.bash": bash,
    "_apimart": zsh,
    "apimart.fish": fish,
    "apimart.ps1": powershell,
}
"""Each script's file name, as its shell wants it, and the function that writes it."""


def main() -> int:
    """Write the scripts, or check them."""
    parser = argparse.ArgumentParser(description="Write the completion scripts of apimart.")
    parser.add_argument("--check", action="store_true", help="fail when a script is not what would be written")
    check = parser.parse_args().check
    folder = Path(__file__).parent
    root = read_command(typer.main.get_command(app), "apimart")
    texts = {folder / name: render(root) for name, render in SCRIPTS.items()}
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if check and stale:
        names = ", ".join(path.name for path in stale)
        sys.stderr.write(f"not up to date: {names}\nrun: python3 completions/generate.py\n")
        return 1
    for path in stale:
        path.write_text(texts[path], encoding="utf-8", newline="\n")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
