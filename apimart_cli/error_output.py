"""Writing an error: to standard error, and in the place of the answer where its format has one.

It is loaded only when something fails.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apimart_cli.errors import ApimartError, ExitCode, OutputError, bug
from apimart_cli.screen.writing import write_answer, write_debug, write_error

if TYPE_CHECKING:
    from apimart_cli.words import OutputFormat


def report(
    error: ApimartError, command: Sequence[str], options: Mapping[str, Any], *, is_plugin: bool = False
) -> ExitCode:
    """Write an error in place of an answer, and return its exit code.

    `command` is the path of the command, like `config`, `show`; `options` are its options as they were typed. A plugin
    writes it to standard output alone, unless that fails.
    """
    if is_plugin and not isinstance(error, OutputError):
        from apimart_cli.output.nagios import render_unknown

        try:
            write_answer(render_unknown(error))
        except OutputError as output_error:
            error = output_error
        else:
            return error.exit_code
    try:
        _answer(error, command, options)
    except OutputError as output_error:
        if not isinstance(error, OutputError):
            write_error(error.message, error.hint)
            error = output_error
    write_error(error.message, error.hint)
    return error.exit_code


def report_bug(
    error: BaseException, command: Sequence[str], options: Mapping[str, Any], *, is_plugin: bool = False
) -> ExitCode:
    """Write a bug, with its traceback where `--debug` asks for that, and return its exit code."""
    if options.get("debug") or os.environ.get("APIMART_DEBUG") == "1":
        from apimart_cli.errors import traced_error

        for line in traced_error(error):
            write_debug(line)
    return report(bug(error), command, options, is_plugin=is_plugin)


def _answer(error: ApimartError, command: Sequence[str], options: Mapping[str, Any]) -> None:
    """Write an error to standard output if the format of the answer has a place for it."""
    from apimart_cli.words import OutputFormat

    chosen, quiet, is_check = _chosen(options), bool(options.get("quiet")), list(command) == ["check"]
    if chosen is OutputFormat.JSON:
        if not quiet and not isinstance(error, OutputError):
            from apimart_cli.output.json import render_error_as_json

            write_answer(render_error_as_json(error, is_check=is_check))
    elif chosen is not None and is_check:
        _answer_of_check(error, chosen, quiet=quiet)


def _answer_of_check(error: ApimartError, chosen: "OutputFormat", *, quiet: bool) -> None:
    """Write that nothing was checked, even after an answer that could not be written: a runner takes the last word."""
    from apimart_cli.output import format_of

    shown = format_of(chosen)
    try:
        if shown.failed is not None and not quiet:
            write_answer(shown.failed(error), shown.encoding)
    finally:
        if shown.runner_files is not None:
            from apimart_cli.screen.pieces import add_to_runner_files

            add_to_runner_files(shown.runner_files(error))


def _chosen(options: Mapping[str, Any]) -> "OutputFormat | None":
    """Return the format for programs that the options of a command ask for; None for any other."""
    from apimart_cli.words import OutputFormat

    typed = OutputFormat.JSON if options.get("json") else options.get("output")
    machines = (OutputFormat.JSON, OutputFormat.GITHUB, OutputFormat.DOTENV)
    return next((format_ for format_ in machines if format_ == typed), None)
