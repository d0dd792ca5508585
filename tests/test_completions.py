"""The completion scripts: up to date, and right in real shells. A shell that is missing fails its tests."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect
import pytest

from conftest import TESTS, Spawn

COMPLETIONS = TESTS.parent / "completions"
SCRIPTS = ("apimart.bash", "_apimart", "apimart.fish", "apimart.ps1")

# A word for the program that is completed: it tells what it was called with, and that it was.
FAKE = """#!/bin/sh
echo run >> "$HOME/runs"
printf '<%s>' "$@"
printf '.\\n'
"""


@pytest.fixture
def shell_environment(environment: Mapping[str, str], home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell in which `apimart` prints its arguments, and which no startup file touches."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apimart").write_text(FAKE)
    (folder / "apimart").chmod(0o755)
    (tmp_path / "key file.txt").touch()
    return {
        **environment,
        "PATH": f"{folder}{os.pathsep}{environment['PATH']}",
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "INPUTRC": "/dev/null",
        "ZDOTDIR": str(home),
        "HISTFILE": "",
        # fish asks terminals that it does not know what they are, and waits for the answer.
        "TERM": "xterm",
    }


# --- up to date -------------------------------------------------------------------------------------------------


def generate(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the generator that is in `folder`."""
    return subprocess.run(
        [sys.executable, str(folder / "generate.py"), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_the_scripts_are_up_to_date() -> None:
    """The scripts that are checked in are what the generator writes from today's commands and options."""
    ended = generate(COMPLETIONS, "--check")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_stale_script_is_found_and_mended(tmp_path: Path, name: str) -> None:
    """`--check` names the script that is not up to date; without it, the generator writes it."""
    folder = tmp_path / "completions"
    shutil.copytree(COMPLETIONS, folder)
    script = folder / name
    script.write_text(script.read_text().replace("--on-unlimited", "--on-infinite").replace("on-unlimited", "gone"))
    stale = generate(folder, "--check")
    assert stale.returncode == 1
    assert stale.stderr == f"not up to date: {name}\nrun: python3 completions/generate.py\n"
    assert generate(folder).stdout == f"wrote {name}\n"
    assert script.read_text() == (COMPLETIONS / name).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_what_its_shell_expects(name: str) -> None:
    """No blank line at the start, one line break at the end, ASCII, and for zsh its tag on the first line."""
    text = (COMPLETIONS / name).read_bytes().decode("ascii")
    assert text == text.strip() + "\n"
    assert text.startswith("#compdef apimart\n" if name == "_apimart" else "# Completion of apimart")


# --- pressing TAB -----------------------------------------------------------------------------------------------

LINES = [
    ("apimart ch", "<check>"),
    ("apimart config s", "<config><show>"),
    ("apimart --ver", "<--version>"),
    ("apimart check --on", "<check><--on-unlimited>"),
    ("apimart check --on-unlimited f", "<check><--on-unlimited><fail>"),
    ("apimart check --min 5 --qu", "<check><--min><5><--quiet>"),
    ("apimart balance --scope a", "<balance><--scope><account>"),
    ("apimart balance --scope=b", "<balance><--scope=both>"),
    ("apimart balance --output v", "<balance><--output><value>"),
    ("apimart balance -o j", "<balance><-o><json>"),
    ("apimart check -q --output t", "<check><-q><--output><table>"),
    ("apimart config show --sc", "<config><show><--scope>"),
    ("apimart config show --scope k", "<config><show><--scope><key>"),
    ("apimart sandbox --fault pay", "<sandbox><--fault><payment-required>"),
    ("apimart sandbox --remain 3 --fault rat", "<sandbox><--remain><3><--fault><rate-limit>"),
    # The value of an option is not a command, and a profile may be called what it wants.
    ("apimart balance --profile check --js", "<balance><--profile><check><--json>"),
    ("apimart balance --api-key-file ke", "<balance><--api-key-file><key file.txt>"),
    # Behind the sandbox another command line begins, with --, or with its first word.
    ("apimart sandbox -- apimart che", "<sandbox><--><apimart><check>"),
    ("apimart sandbox --remain 3 -- apimart check --on-unlimited p",
     "<sandbox><--remain><3><--><apimart><check><--on-unlimited><pass>"),
    ("apimart sandbox --unlimited apimart balance --sc", "<sandbox><--unlimited><apimart><balance><--scope>"),
]  # fmt: skip

SHELLS = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"], f"source {COMPLETIONS}/apimart.bash"),
    "zsh": ("zsh", ["-f", "-i"], f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D"),
    "zsh, sourced": ("zsh", ["-f", "-i"], f"autoload -Uz compinit; compinit -u -D; source {COMPLETIONS}/_apimart"),
    "fish": ("fish", ["--no-config", "--interactive"], f"source {COMPLETIONS}/apimart.fish"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(spawn: Spawn, shell_environment: Mapping[str, str], home: Path, shell: str) -> None:
    """Whoever types half a word and presses TAB gets the whole; and TAB alone runs nothing."""
    program, arguments, load = SHELLS[shell]
    child = spawn(program, *arguments, columns=200, env=shell_environment)
    # What is typed is echoed; written like this, it is found only where it was run.
    child.sendline(f"{load}; echo re''ady")
    child.expect_exact("ready")
    for typed, called in LINES:
        child.send(f"{typed}\t\r")
        child.expect(r"((<[^>\r\n]*>)+)\.\r\n")
        assert child.match[1].decode() == called, typed
    child.sendline("exit")
    child.expect_exact(pexpect.EOF)
    assert (home / "runs").read_text().count("run") == len(LINES)


# --- everything that is offered ---------------------------------------------------------------------------------

FAULTS = "unauthorized unknown-key payment-required rate-limit server-error timeout malformed html"
OFFERS = [
    ("apimart ", "balance check sandbox config"),
    ("apimart config ", "show path"),
    ("apimart balance --scope ", "key account both"),
    ("apimart check --scope ", "key account both"),
    ("apimart config show --scope ", "key account both"),
    ("apimart balance --output ", "table json value"),
    ("apimart check -o ", "table json value"),
    ("apimart check --on-unlimited ", "pass fail"),
    ("apimart sandbox --fault ", FAULTS),
    ("apimart sandbox --fault un", "unauthorized unknown-key"),
    ("apimart config path --", "--json --help"),
    ("apimart check --min 5 --a", "--api-key --api-key-file"),
    ("apimart check --m", "--min --max-used"),
]


def call(*command: str, env: Mapping[str, str]) -> str:
    """Run a shell to its end, and return what it printed."""
    ended = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize(("line", "offered"), OFFERS)
def test_bash_offers_what_fits_and_nothing_else(shell_environment: Mapping[str, str], line: str, offered: str) -> None:
    """What bash lists for a line: the function that is registered, asked as bash asks it."""
    words = " ".join(f"'{word}'" for word in line.split(" "))
    script = (
        f"source {COMPLETIONS}/apimart.bash; [[ $(complete -p apimart) == 'complete -F _apimart apimart' ]] || exit; "
        f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _apimart; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    listed = call("bash", "--norc", "--noprofile", "-c", script, env=shell_environment)
    assert sorted(listed.split()) == sorted(offered.split())


@pytest.mark.parametrize(("line", "offered"), OFFERS)
def test_fish_offers_what_fits_and_nothing_else(shell_environment: Mapping[str, str], line: str, offered: str) -> None:
    """What fish lists for a line, each with its description behind a tab stop."""
    script = f"source {COMPLETIONS}/apimart.fish; complete --do-complete '{line}'"
    listed = call("fish", "--no-config", "-c", script, env=shell_environment).splitlines()
    assert sorted(candidate.partition("\t")[0] for candidate in listed) == sorted(offered.split())


def test_zsh_offers_what_fits_and_nothing_else(spawn: Spawn, shell_environment: Mapping[str, str]) -> None:
    """What zsh lists for a line when TAB is pressed, with the descriptions turned off."""
    child = spawn("zsh", "-f", "-i", columns=200, env=shell_environment)
    child.sendline(f"{SHELLS['zsh'][2]}; zstyle ':completion:*' verbose no; setopt no_list_ambiguous; PS1='ready> '")
    for line, offered in OFFERS:
        child.expect_exact("\x1b[Jready> ")
        child.send(line)
        child.expect_exact(line)
        # The list is printed below the line, and the cursor goes up again; ^U empties the line for the next one.
        child.send("\t")
        child.expect(r"\r\n\x1b\[J([^\x1b]+)\x1b\[\d*A")
        assert sorted(child.match[1].decode().split()) == sorted(offered.split()), line
        child.send("\x15\r")


def test_descriptions_are_shown(shell_environment: Mapping[str, str]) -> None:
    """Fish shows beside a name what its help says."""
    script = f"source {COMPLETIONS}/apimart.fish; complete --do-complete 'apimart check --quie'"
    listed = call("fish", "--no-config", "-c", script, env=shell_environment)
    assert listed == "--quiet\tPrint nothing on standard output; the exit code is the answer\n"


@pytest.mark.parametrize("function", ["_command_offset", "_comp_command_offset"])
def test_bash_completion_is_asked_about_a_wrapped_command(shell_environment: Mapping[str, str], function: str) -> None:
    """Where the package bash-completion is loaded, it completes what the sandbox wraps, from the right word on."""
    script = (
        f'source {COMPLETIONS}/apimart.bash; {function}() {{ echo "offset $1"; }}; '
        "COMP_WORDS=(apimart sandbox --remain 3 -- git st); COMP_CWORD=6; _apimart"
    )
    assert call("bash", "--norc", "--noprofile", "-c", script, env=shell_environment) == "offset 5\n"


def test_powershell_knows_every_name_and_choice() -> None:
    """The script for PowerShell lists what the others do; its quotes and brackets are balanced."""
    text = (COMPLETIONS / "apimart.ps1").read_text()
    for name in ("balance", "sandbox", "show", "path", "--min", "--on-unlimited", "--api-key-file", "--fault", "-o"):
        assert f", @('{name}', '" in text
    assert "'apimart balance --scope' = @('key', 'account', 'both')\n" in text
    assert "'apimart check --output' = @('table', 'json', 'value')\n" in text
    assert "'apimart check --on-unlimited' = @('pass', 'fail')\n" in text
    assert f"'apimart sandbox --fault' = @({', '.join(map(repr, FAULTS.split()))})\n" in text
    code = "".join(re.split(r"'(?:[^'\n]|'')*'", text))
    assert "'" not in re.sub(r"#.*", "", code)
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)
