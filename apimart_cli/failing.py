"""How a failure is told: on standard error, and on standard output where the answer has a place for it.

Loaded when something fails, and then alone.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from apimart_cli.errors import ApimartError, ExitCode, OutputError, bug
from apimart_cli.screen.writing import write_answer, write_debug, write_error


def report(
    error: ApimartError, command: Sequence[str], options: Mapping[str, Any], *, is_plugin: bool = False
) -> ExitCode:
    """Tell an error that left nothing to show, and return its exit code.

    `command` is the path of the command, like `config`, `show`; `options` are its options as they were typed. A plugin
    tells it on standard output, and nowhere else as long as that can be written to.
    """
    if is_plugin and not isinstance(error, OutputError):
        from apimart_cli.output.nagios import render_unknown

        try:
            write_answer(render_unknown(error))
        except OutputError as output_error:
            error = output_error
        else:
            return error.exit_code
    if _wants_json(options) and not isinstance(error, OutputError):
        from apimart_cli.output.json import render_error_as_json

        try:
            write_answer(render_error_as_json(error, is_check=list(command) == ["check"]))
        except OutputError as output_error:
            write_error(error.message, error.hint)
            error = output_error
    write_error(error.message, error.hint)
    return error.exit_code


def report_bug(
    error: BaseException, command: Sequence[str], options: Mapping[str, Any], *, is_plugin: bool = False
) -> ExitCode:
    """Tell a bug, with the place where it is where that was asked for, and return its exit code."""
    if options.get("debug") or os.environ.get("APIMART_DEBUG") == "1":
        from apimart_cli.trace import traced_error

        for line in traced_error(error):
            write_debug(line)
    return report(bug(error), command, options, is_plugin=is_plugin)


def _wants_json(options: Mapping[str, Any]) -> bool:
    """Tell whether the options of a command ask for JSON on standard output."""
    from apimart_cli.words import OutputFormat

    return bool(options.get("json") or options.get("output") == OutputFormat.JSON) and not options.get("quiet")
