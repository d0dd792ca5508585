"""The front door: the Typer app, the list of commands, and the one place where errors become exit codes."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import takewhile
from typing import Any

import typer
import typer.main

from apimart_cli.commands import Group, Version
from apimart_cli.errors import NOT_STARTED, PLUGIN_UNKNOWN, ApimartError, CommandStatus, ExitCode, UsageError
from apimart_cli.processes.signals import ending_cleanly
from apimart_cli.text import shell_word, without_keys

COMMANDS = (
    "balance", "check", "watch", "run", "usage", "history", "statusline", "nagios", "exporter", "mcp",
    "login", "logout", "profiles", "config", "doctor", "alert", "sandbox", "help",
)  # fmt: skip
"""The commands, in the order of the help. Each is the module of that name in `commands`."""


_FORGETTING = frozenset({"remove", "rm", "delete", "del", "forget", "logout"})
"""Names that people give to a command that forgets a profile."""


class _LoadedCommands(Mapping[str, Any]):
    """The commands by name. Each is loaded when it is looked up, so that no command loads the others at its start."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = typer.main.get_command(import_module(f"apimart_cli.commands.{name}").app)
        return self._loaded[name]


class _Commands(Group):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _LoadedCommands()  # type: ignore[assignment]  # only ever read from

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the library's signature
        """Return the names, without loading what they name."""
        return list(self.commands)


app = typer.Typer(
    name="apimart",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_TyperUsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What Typer raises for every mistake on the command line. It has no public name in the versions that we allow."""


@app.callback()
def root(version: Version = False) -> None:
    """Show the balance left on an APIMart API key, and stop before the money runs out.

    Start with:

        apimart login
        apimart balance
        apimart check --min 5 --scope spendable

    Options go after the command. Each command explains itself: apimart help check.

    Variables: APIMART_API_KEY holds the key, APIMART_API_KEY_FILE is the path of its file, APIMART_PROFILE names a
    profile, APIMART_CONFIG is the path of the config file.

    Documentation: man apimart, and README.md and docs/ of the project.
    """


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code: a member of ExitCode, or what a wrapped command returned."""
    # This variable is for Typer's own tests, and would change the options that install completion.
    os.environ.pop("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", None)
    if arguments:
        # A shell that asks for completions passes no arguments. With this variable left over from elsewhere, every
        # command would print completions and exit 0.
        os.environ.pop("_APIMART_COMPLETE", None)
    elif os.environ.get("_APIMART_COMPLETE", "").startswith("complete_"):
        from apimart_cli.commands.completion import enter_wrapped, join_words

        join_words(os.environ)
        enter_wrapped(os.environ)
    if _installs_completion(arguments):
        from apimart_cli.commands.completion import forget_keys

        forget_keys(os.environ)
    try:
        with ending_cleanly(by_any=_named(arguments) == "nagios"):
            if "--install-completion" in _before_command(arguments):
                from apimart_cli.commands.completion import require_installable

                require_installable()
            return _status(_run(arguments), arguments)
    except ApimartError as error:
        return _status(_report(error, arguments), arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _status(ExitCode.INTERRUPTED, arguments)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the last resort: a bug is one line, and never a verdict
        return _status(_report_unexpected(error, arguments), arguments)


def _installs_completion(arguments: Sequence[str]) -> bool:
    """Tell whether Typer is about to show or install a completion script."""
    if arguments:
        return any(word.endswith("-completion") for word in _before_command(arguments))
    return os.environ.get("_APIMART_COMPLETE", "").startswith("source_")


def _before_command(arguments: Sequence[str]) -> list[str]:
    """Return the options before the first other word, which are those of `apimart` itself."""
    return list(takewhile(lambda word: word.startswith("-"), arguments))


def _status(code: int, arguments: Sequence[str]) -> int:
    """Return the exit status for a code of ours, for a command that has a convention of its own."""
    if isinstance(code, CommandStatus):
        return code
    match _named(arguments):
        case "run" if code and code != ExitCode.INTERRUPTED:
            return CommandStatus(NOT_STARTED)
        case "nagios":
            return CommandStatus(PLUGIN_UNKNOWN)
        case _:
            return code


def _named(arguments: Sequence[str]) -> str | None:
    """Return the command in a command line, even where something wrong stands before it."""
    return next((argument for argument in arguments if argument in COMMANDS), None)


def _run(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="apimart", standalone_mode=False)
    except _TyperUsageError as error:
        raise _usage_error(error, arguments) from None
    # A command returns its code. Typer itself returns 0 for --help and --version, 130 for Ctrl-C.
    return result if isinstance(result, CommandStatus) else ExitCode(result)


def _usage_error(error: Exception, arguments: Sequence[str]) -> UsageError:
    """Return Typer's error as one of ours, with the help to read next."""
    context = getattr(error, "ctx", None)
    # Some of these errors do not name their command, which is the first of `arguments` then.
    named = [argument for argument in arguments[:1] if argument in COMMANDS]
    path = context.command_path if context is not None else " ".join(["apimart", *named])
    early = _early_option(error, context, arguments)
    if early:
        return UsageError(early[0], f"options go after the command: {early[1]}")
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = message.rstrip(".").replace("\n", " ")

    meant = None if context is None else _what_was_meant(context, message)
    return UsageError(
        _empty_value(message) or message, f"{meant}; see: {path} --help" if meant else f"see: {path} --help"
    )


def _early_option(error: Any, context: Any, arguments: Sequence[str]) -> tuple[str, str] | None:
    """Return the error for an option that stands before its command, and how to write it; None for any other error.

    Only names of ours are repeated, as a key may follow an option.
    """
    option = getattr(error, "option_name", None)
    if context is None or not isinstance(context.command, Group) or option is None:
        return None
    found = context
    for argument in arguments:
        inner = found.command.get_command(found, argument) if isinstance(found.command, Group) else None
        if inner is not None:
            found = typer.Context(inner, info_name=argument, parent=found)
    options = {name for parameter in found.command.get_params(found) for name in parameter.opts}
    if found is context or option not in options:
        return None
    return f"{option} is no option of {context.command_path}", f"{found.command_path} {option}"


def _what_was_meant(context: Any, message: str) -> str | None:
    """Return the hint for an error of Typer about a command; None where we know none."""
    path = context.command_path
    if unknown := re.match(r"No such command '([a-z-]+)'", message):
        if path == "apimart profiles" and unknown[1] in _FORGETTING:
            return "forget its key: apimart logout --profile NAME; its table can then be deleted from the config file"
        return None
    extra = re.match(r"Got unexpected extra arguments?(?:\(s\))? \((\S+)\)", message)
    if extra is None:
        return None
    options = {name for parameter in context.command.get_params(context) for name in parameter.opts}
    word = extra[1]
    if "--min" in options and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", word):
        return f"did you mean: {path} --min {word}"
    if "--profile" in options and re.fullmatch(r"[A-Za-z][\w.-]{0,30}", word) and without_keys(word) == word:
        return f"did you mean: {path} --profile {shell_word(word)}"
    return None


def _empty_value(message: str) -> str | None:
    """Return the message for an option that has an empty value, if that is Typer's error; else None."""
    empty = re.match(r"Invalid value for '(?:-\w' / ')?(--[a-z-]+)'(?: / '-\w')?: '' is not one of", message)
    return f"{empty[1]} is empty" if empty else None


def _report_unexpected(error: BaseException, arguments: Sequence[str]) -> ExitCode:
    """Report an exception that is no error of ours: a bug, unless no command ran and Typer was printing."""
    if set(COMMANDS) & set(arguments):
        return _report_bug(error, arguments)
    match error:
        case SystemExit():
            # Without arguments Typer completed a command line. With some, the reader of its script went away.
            return ExitCode.OK if arguments or not error.code else ExitCode.INTERNAL
        case OSError():
            from apimart_cli.screen.writing import unwritable

            return _report(unwritable(error), arguments)
        case _:
            return _report_bug(error, arguments)


def _report(error: ApimartError, arguments: Sequence[str]) -> ExitCode:
    """Report an error in the format that the command line asks for."""
    from apimart_cli.error_output import report

    return report(error, *_understood(arguments), is_plugin=_named(arguments) == "nagios")


def _report_bug(error: BaseException, arguments: Sequence[str]) -> ExitCode:
    """Report a bug, with its place where `--debug` asks for that."""
    from apimart_cli.error_output import report_bug

    return report_bug(error, *_understood(arguments), is_plugin=_named(arguments) == "nagios")


def _understood(arguments: Sequence[str]) -> tuple[list[str], Mapping[str, Any]]:
    """Return `_parsed`, or nothing where the error stops the parser, too, as that of a broken command does."""
    with suppress(Exception):
        return _parsed(arguments)
    return [], {}


def _parsed(arguments: Sequence[str]) -> tuple[list[str], Mapping[str, Any]]:
    """Return the names of the command on the command line, and its options as they were typed.

    The command's own parser reads them, as the error may come before the options were read. It ignores mistakes.
    """
    command: Any = typer.main.get_command(app)
    rest: list[str] = list(arguments)
    names: list[str] = []
    while True:
        context = typer.Context(command, resilient_parsing=True, ignore_unknown_options=True)
        options, rest, _ = command.make_parser(context).parse_args(rest)
        found = command.get_command(context, rest[0]) if rest and isinstance(command, Group) else None
        if found is None:
            return names, options
        command = found
        names.append(rest.pop(0))
