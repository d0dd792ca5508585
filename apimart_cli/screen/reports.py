"""The files that a CI runner names in variables, to which it wants what it is to keep of a step."""

import os
from collections.abc import Mapping
from contextlib import suppress

from apimart_cli.errors import OutputError


def write_reports(reports: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> None:
    """Add to the file that each variable names the text that is given for it; without the variable there is no file.

    Raises OutputError for the first that cannot be written to its end: a later step would miss it. All are tried.
    """
    failures = [
        failure
        for variable, text in reports.items()
        if environ.get(variable) and (failure := _add(variable, environ[variable], text)) is not None
    ]
    if failures:
        raise failures[0]


def _add(variable: str, path: str, text: str) -> OutputError | None:
    try:
        # A pipe that nobody reads would be waited for.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            _write_whole(descriptor, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)
    except OSError as error:
        return OutputError(
            f"{variable}: {path} cannot be written: {error.strerror}",
            "the runner makes this file for each step; elsewhere, unset the variable",
        )
    return None


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write all of it or nothing: the beginning of a report would be read as a report."""
    size = os.fstat(descriptor).st_size
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
