"""The use case of a refresh: what a status line shows has become old, and a process in the background asks anew.

Whoever finds it old claims the refresh in the ledger and starts it; nobody waits for it. Without a ledger that can be
written there is no claim, and so no refresh: every prompt would start one.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import ApimartError
from apimart_cli.keys.source import GivenKey, NoKey
from apimart_cli.status import Found, Note, ledger_of, note_of, question_of
from apimart_cli.text import without_keys

if TYPE_CHECKING:
    from apimart_cli.balance import Reading
    from apimart_cli.ledger.file import Connection
    from apimart_cli.ledger.glance import Question

GRACE = 5.0
"""Seconds that a refresh may take beside its time limit: to start, and to write."""


def may_read_key(settings: Settings) -> bool:
    """Tell whether a refresh may have the key.

    A command that prints one, or a keyring, may ask a person for a password, out of the blue.
    """
    source = settings.api_key.value
    return isinstance(source, GivenKey) or (settings.background_keys.value and not isinstance(source, NoKey))


def start_refresh(found: Found, options: Options, now: datetime) -> Found:
    """Start a refresh, unless one is under way, or the back-off is not over; return with a note of how that went.

    Raises nothing.
    """
    if found.settings is None:
        return found
    try:
        return found._replace(note=_start(found.settings, options, now))
    except Exception as error:  # noqa: BLE001  # the line is out: a bar is never broken
        return found._replace(note=note_of(error))


def _start(settings: Settings, options: Options, now: datetime) -> Note:
    import shlex

    from apimart_cli.config.key_variables import environment_without_keys
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.state import claim, look
    from apimart_cli.processes.detached import start_detached

    source = settings.api_key.value
    profile = f"--profile {shlex.quote(settings.profile.value)}"
    path = ledger_of(settings)
    if path is None:
        return "readings are not recorded, and a status line shows nothing else", "turn it on with: APIMART_RECORD=1"
    if isinstance(source, NoKey):
        return note_of(source.error)
    if not may_read_key(settings):
        return (
            "nothing is asked in the background: a command or a keyring gives the key, and may ask for a password",
            f"allow it with: apimart config set background_keys true {profile}",
        )
    if without_keys(settings.profile.value) != settings.profile.value:
        # Everybody on the machine can see the arguments of a process.
        return "the name of the profile looks like a key", "give it another one: apimart profiles rename"
    name = question_of(settings).name
    with opened(path) as connection:
        # Looked at first, as most of the time it may not be started: nothing is locked for that.
        before = look(connection, name)
        is_ours = before.is_allowed(now.timestamp()) and claim(
            connection, name, now.timestamp(), seconds=settings.timeout.value + GRACE
        )
    if is_ours:
        # Any process of the user can read the variables of another one: the key goes through a pipe.
        given = source.key.reveal().encode() if isinstance(source, GivenKey) else b""
        words = ["statusline", "--refresh", *_as_typed(options)]
        start_detached(words, environment=environment_without_keys(os.environ), told=given)
    elif before.reason:
        return f"the last refresh failed ({before.reason}), and the next one has to wait", "see why: apimart balance"
    return "the gateway is asked in the background", "the next line knows more"


def _as_typed(options: Options) -> Sequence[str]:
    """Return the options as words of a command line: none of them is a secret."""
    typed = {"profile": next(iter(options.profiles), None), "scope": options.scope, "base-url": options.base_url}
    return [f"--{name}={value}" for name, value in typed.items() if value is not None]


def refresh(settings: Settings, path: Path) -> None:
    """Ask, record the answer, and note how that went. Raises LedgerError when it cannot be noted."""
    from apimart_cli.readings import take_readings

    readings: list[Reading] = []
    error: ApimartError | None
    try:
        with take_readings([settings], source="statusline", quiet=True) as taken:
            readings = [reading for each in taken for reading in each.readings]
    except ApimartError as raised:
        error = raised
    else:
        error = next((reading.error for reading in readings if reading.error is not None), None)
        _record_patiently(path, readings)
    _settle(question_of(settings), path, readings, error)


def _record_patiently(path: Path, readings: "Sequence[Reading]") -> None:
    """Write what a busy disk did not take in the short time that other commands have: nobody waits for us."""
    from contextlib import suppress

    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.memory import record

    with suppress(LedgerError):
        # What is there already is not written twice.
        record(path, readings, "statusline", seconds=GRACE)


def _settle(question: "Question", path: Path, readings: "Sequence[Reading]", error: ApimartError | None) -> None:
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.state import fail, settle

    now = datetime.now(UTC)
    with opened(path, seconds=GRACE) as connection:
        if error is None and _is_held(connection, question, readings, now):
            settle(connection, question.name, now.timestamp())
        else:
            reason = "not recorded" if error is None else error.code
            waits = [getattr(each, "retry_after", None) or 0.0 for each in _errors(readings, error)]
            fail(connection, question.name, now.timestamp(), reason, retry_after=max(waits, default=0.0))


def _errors(readings: "Sequence[Reading]", error: ApimartError | None) -> list[ApimartError | None]:
    """Return every error: of what can be spent, either part may have said how long to wait."""
    return [error, *(part.error for reading in readings for part in reading.parts)]


def _is_held(connection: "Connection", question: "Question", readings: "Sequence[Reading]", now: datetime) -> bool:
    """Tell whether the ledger says what the readings say: as new samples, or as before, where nothing has changed."""
    for reading in readings:
        for each in reading.parts or (reading,):
            entry = question.latest(connection, each.scope, now)
            told = each.balance and (each.balance.remain_balance, each.balance.used_balance)
            if entry is None or (entry.remain, entry.used) != told:
                return False
    return True
