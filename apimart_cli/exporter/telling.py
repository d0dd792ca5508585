"""What an exporter tells on standard error: each line with its time, but for the journal, which adds that itself."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from apimart_cli.screen.writing import message_lines, tell


def log_note(message: str, hint: str | None = None) -> None:
    """Tell what is worth knowing, and what to do next."""
    _log("note", message, hint)


def log_warning(message: str, hint: str | None = None) -> None:
    """Tell what is wrong and ends nothing, and what to do next."""
    _log("warning", message, hint)


def is_journal(environ: Mapping[str, str]) -> bool:
    """Tell whether standard error goes to the journal of systemd.

    A child inherits the variable, and may have its standard error elsewhere: the variable says which file is meant
    (systemd.exec(5)).
    """
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log(kind: str, message: str, hint: str | None) -> None:
    moment = "" if is_journal(os.environ) else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ ")
    tell("".join(f"{moment}{line}" for line in message_lines(kind, message, hint)))
