"""What a person is told on standard error beside an answer: warnings, doubts, notes, failures and progress.

It is loaded where there is something to tell.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, ConfigError
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.screen.writing import is_terminal_error, write_error, write_note, write_warning
from apimart_cli.text import listed, shell_word

if TYPE_CHECKING:
    from apimart_cli.config.doubts import Doubt
    from apimart_cli.readings.take import Taken
    from apimart_cli.screen.progress import Progress, Waiting


def warn_of_exposed(exposed: Sequence[ConfigError]) -> None:
    """Warn of key files that other users can read or change."""
    for exposure in exposed:
        write_warning(exposure.message, exposure.hint)


def write_key_notes(profiles: Sequence[Settings]) -> None:
    """Tell a person which row of the answer is about another key than that of the profile in it."""
    # The sandbox sets the variable of the key itself.
    if "APIMART_SANDBOX" in os.environ:
        return
    for settings in profiles:
        if settings.is_key_instead_of_profile and is_terminal_error():
            name = settings.profile.value
            write_note(
                f"the key is that of {settings.api_key.source}, not that of profile {name}",
                f"use the profile's own with: --profile {shell_word(name)}",
            )


def write_doubts(doubts: "Sequence[Doubt]") -> None:
    """Write each doubt about a setting once."""
    for doubt in dict.fromkeys(doubts):
        (write_warning if doubt.is_warning else write_note)(doubt.message, doubt.hint)


def shown_progress(profiles: Sequence[Settings], total: int) -> "AbstractContextManager[Progress | None]":
    """Return what shows a person how many of `total` answers have arrived.

    Nothing is loaded for it where none would see it.
    """
    if not is_terminal_error():
        return nullcontext()
    from apimart_cli.screen.progress import progress

    return progress(_waiting(profiles, total))


def _waiting(profiles: Sequence[Settings], total: int) -> "Waiting":
    """Return what a person waits for: the host of a single profile, or a number of answers."""
    from apimart_cli.screen.progress import Waiting

    first, *others = profiles
    return Waiting(
        total=total,
        host=None if others else first.targets()[0].host,
        seconds=first.timeout.value,
        may_prompt=not all(isinstance(settings.api_key.value, GivenKey | NoKey) for settings in profiles),
    )


class Answered(Protocol):
    """The outcome of a question about balances or about the gateway's books."""

    @property
    def name(self) -> str:
        """The name of the subject in messages."""

    @property
    def error(self) -> ApimartError | None:
        """Why there is no answer."""


def write_failures(readings: Sequence[Answered]) -> None:
    """Write each failure once, after the names of its readings if there are several; a hint that is the same, once."""
    names: dict[tuple[str, str | None], list[str]] = {}
    for reading in readings:
        if reading.error is not None:
            names.setdefault((reading.error.message, reading.error.hint), []).append(reading.name)
    failures = list(names)
    for number, (message, hint) in enumerate(failures, start=1):
        subject = f"{listed(names[message, hint])}: " if len(readings) > 1 else ""
        is_repeated = number < len(failures) and failures[number][1] == hint
        write_error(f"{subject}{message}", None if is_repeated else hint)


def write_account_notes(taken: "Sequence[Taken]") -> None:
    """Tell a person, once for each gateway, that it has no account endpoint and only keys were looked at."""
    hosts = dict.fromkeys(each.readings[0].host for each in taken if each.lacks_account)
    for host in hosts if is_terminal_error() else ():
        write_note(
            f"{host} has no account endpoint: only the key was looked at",
            "its account may have less left, and nothing here can tell",
        )


def write_first_note(path: Path) -> None:
    """Tell a person, once, that readings are recorded from now on, and in which file."""
    if "APIMART_SANDBOX" not in os.environ and is_terminal_error():
        write_note(
            f"readings are recorded in {path}, to tell how long the balance lasts",
            "turn that off with: apimart config set record false",
        )
