"""The use case of a status line: settings in, what is known of one balance out, from the ledger alone.

Whatever is wrong with the settings, the ledger or the machine, there is something to show.

The use case of a refresh: what a status line shows has become old, and a process in the background asks anew.

Whoever finds it old claims the refresh in the ledger and starts it; nobody waits for it. Without a ledger that can be
written there is no claim, and so no refresh: every prompt would start one.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import ApimartError
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.output.statusline import Known, Status
from apimart_cli.text import without_keys
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.ledger.file import Connection
    from apimart_cli.ledger.views import BalanceQuery, Glance, Recalled
    from apimart_cli.rules.balance import Reading
    from apimart_cli.rules.forecast import Forecast

OLD_AFTER = 3
"""After so many times the allowed age the line shows how old it is."""

Note = tuple[str, str | None]
"""What is worth telling a person, and what to do about it."""


class FoundStatus(NamedTuple):
    """What the line is made of, and what a refresh needs."""

    status: Status
    settings: Settings | None = None
    """None where they are wrong."""
    is_due: bool = False
    """A refresh is due: what is known is older than allowed, or nothing is."""
    note: Note | None = None
    """Why there is no more to show."""


def find_status(options: Options, now: datetime, allowed: timedelta, *, has_forecast: bool) -> FoundStatus:
    """Return what is known of the balance that the options name. Raises nothing."""
    found = FoundStatus(Status(options.profiles[0] if options.profiles else "default", Scope.KEY, ""))
    try:
        settings = settings_of(options)
        question = question_of(settings)
        status = Status(settings.profile.value, Scope(settings.scope.value.value), question.host)
        found = FoundStatus(status, settings, is_due=True)
        known = _look(settings, question, now, allowed, has_forecast=has_forecast)
        return found._replace(status=status._replace(known=known), is_due=known is None or known.age >= allowed)
    except Exception as error:  # noqa: BLE001  # a bar is never broken, whatever stands in a file
        return found._replace(note=note_of(error))


def settings_of(options: Options) -> Settings:
    """Return the settings of one profile and one balance: a line has room for one, and of both it is the key's.

    Raises as `resolve`.
    """
    from apimart_cli.config.precedence import resolve

    [settings] = resolve(options)
    if settings.scope.value is not ScopeChoice.BOTH:
        return settings
    return settings._replace(scope=settings.scope._replace(value=ScopeChoice.KEY))


def question_of(settings: Settings) -> "BalanceQuery":
    """Return what is looked for in the ledger."""
    from apimart_cli.ledger.refreshes import name_of
    from apimart_cli.ledger.views import BalanceQuery

    host = settings.targets()[0].host
    # As it is recorded: a name can be a key that somebody put in the wrong place.
    profile = without_keys(settings.profile.value)
    scope = settings.scope.value
    source = settings.api_key.value
    key_id = source.key_id
    name = name_of(profile, host, scope.value, key_id)
    return BalanceQuery(profile, host, scope.asked, name, key_id, is_keyless=isinstance(source, NoKey))


def ledger_of(settings: Settings) -> Path | None:
    """Return the ledger in which readings are recorded; None where they are not."""
    return settings.history.value if settings.record.value else None


def note_of(error: Exception) -> Note:
    """Return what to tell a person of an error."""
    if isinstance(error, ApimartError):
        return error.message, error.hint
    from apimart_cli.ledger.place import LedgerError

    return (str(error) if isinstance(error, LedgerError) else f"an error of the system: {type(error).__name__}"), None


def _look(
    settings: Settings, question: "BalanceQuery", now: datetime, allowed: timedelta, *, has_forecast: bool
) -> Known | None:
    from apimart_cli.ledger.views import glance

    path = settings.history.value
    if path is None:
        return None
    glanced = glance(path, question, now, has_forecast=has_forecast)
    return _known(glanced, settings, now, allowed) if glanced.seen else None


def _known(glanced: "Glance", settings: Settings, now: datetime, allowed: timedelta) -> Known:
    # Of what can be spent it is the smaller one; what was used, and its unit, are the key's.
    first = glanced.seen[0].entry
    remain = min((each.entry.remain for each in glanced.seen if each.entry.remain is not None), default=None)
    at = glanced.confirmed_at(now)
    age = max(now - at, timedelta(0))
    least = settings.min.value
    return Known(
        remain=remain,
        used=first.used,
        unit=settings.unit.value or first.unit,
        at=at,
        age=age,
        is_old=age >= OLD_AFTER * max(allowed, timedelta(seconds=1)),
        forecast=_forecast(glanced.seen),
        is_low=remain is not None and least is not None and remain < least,
    )


def _forecast(seen: "Sequence[Recalled]") -> "Forecast | None":
    from apimart_cli.rules.forecast import forecast, sooner

    forecasts = [forecast(each.samples) for each in seen]
    return forecasts[0] if len(forecasts) == 1 else sooner(*forecasts)


GRACE = 5.0
"""Seconds that a refresh may take beside its time limit: to start, and to write."""


def may_read_key(settings: Settings) -> bool:
    """Tell whether a refresh may have the key.

    A command that prints one, or a keyring, may ask a person for a password, out of the blue.
    """
    source = settings.api_key.value
    return isinstance(source, GivenKey) or (settings.background_keys.value and not isinstance(source, NoKey))


def start_refresh(found: FoundStatus, options: Options, now: datetime) -> FoundStatus:
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

    from apimart_cli.config.key import environment_without_keys
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.refreshes import claim, look
    from apimart_cli.processes.hook import start_detached

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
    from apimart_cli.readings.take import take_readings

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
    from apimart_cli.readings.forecasts import record

    with suppress(LedgerError):
        # What is there already is not written twice.
        record(path, readings, "statusline", seconds=GRACE)


def _settle(question: "BalanceQuery", path: Path, readings: "Sequence[Reading]", error: ApimartError | None) -> None:
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.refreshes import fail, settle

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


def _is_held(connection: "Connection", question: "BalanceQuery", readings: "Sequence[Reading]", now: datetime) -> bool:
    """Tell whether the ledger says what the readings say: as new samples, or as before, where nothing has changed."""
    for reading in readings:
        for each in reading.parts or (reading,):
            entry = question.latest(connection, each.scope, now)
            told = each.balance and (each.balance.remain_balance, each.balance.used_balance)
            if entry is None or (entry.remain, entry.used) != told:
                return False
    return True
