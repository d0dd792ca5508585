"""The use case of a status line: what the ledger knows of one balance, and a refresh in the background if that is old.

Whatever is wrong with the settings, the ledger or the machine, there is a line to show. The process that finds the
reading old claims the refresh in the ledger and starts it, and does not wait for it. If the ledger cannot be written,
there is no claim, and so no refresh: else every prompt would start one.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import ApimartError, longest_retry_after
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.output.statusline import Known, Status
from apimart_cli.text import shell_word, without_keys
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.ledger.file import Connection
    from apimart_cli.ledger.views import BalanceQuery, Glance, Recalled
    from apimart_cli.rules.balance import Reading
    from apimart_cli.rules.forecast import Forecast

OLD_AFTER = 3
"""The line shows its age if that is so many times the allowed one."""

GRACE = 5.0
"""Seconds that a refresh may take on top of its time limit, to start and to write."""

Note = tuple[str, str | None]
"""A message for a person, and a hint what to do."""


class FoundStatus(NamedTuple):
    """What the line shows, and what a refresh needs."""

    status: Status
    settings: Settings | None = None
    """None if they are wrong."""
    is_due: bool = False
    """Whether a refresh is due: the reading is older than allowed, or there is none."""
    note: Note | None = None
    """Why there is no more to show."""


def find_status(options: Options, now: datetime, allowed: timedelta, *, has_forecast: bool) -> FoundStatus:
    """Return what the ledger knows of the balance that the options name. Raises nothing."""
    found = FoundStatus(Status(options.profiles[0] if options.profiles else "default", Scope.KEY, ""))
    try:
        settings = settings_of(options)
        query = query_of(settings)
        status = Status(settings.profile.value, Scope(settings.scope.value.value), query.host)
        found = FoundStatus(status, settings, is_due=True)
        known = _look(settings, query, now, allowed, has_forecast=has_forecast)
        return found._replace(status=status._replace(known=known), is_due=known is None or known.age >= allowed)
    except Exception as error:  # noqa: BLE001  # whatever is in a file, the bar gets a line
        return found._replace(note=note_of(error))


def start_refresh(found: FoundStatus, options: Options, now: datetime) -> FoundStatus:
    """Start a refresh, unless one is under way or the back-off is not over. Add a note that says so.

    Raises nothing.
    """
    if found.settings is None:
        return found
    try:
        return found._replace(note=_start(found.settings, options, now))
    except Exception as error:  # noqa: BLE001  # the line is written already: the bar has it
        return found._replace(note=note_of(error))


def refresh(settings: Settings, path: Path) -> None:
    """Ask, record the answer, and note in the ledger how that went. Raises LedgerError if that fails."""
    from apimart_cli.readings import Tells
    from apimart_cli.readings.take import take_readings

    readings: list[Reading] = []
    error: ApimartError | None
    try:
        with take_readings([settings], source="statusline", tells=Tells.FAILURES) as taken:
            readings = [reading for each in taken for reading in each.readings]
    except ApimartError as raised:
        error = raised
    else:
        error = next((reading.error for reading in readings if reading.error is not None), None)
        _record_patiently(path, readings)
    _settle(query_of(settings), path, readings, error)


def settings_of(options: Options) -> Settings:
    """Return the settings of one profile and one balance. If the scope is `both`, the line shows the key's.

    Raises what `resolve` raises.
    """
    from apimart_cli.config.precedence import resolve

    [settings] = resolve(options)
    if settings.scope.value is not ScopeChoice.BOTH:
        return settings
    return settings._replace(scope=settings.scope._replace(value=ScopeChoice.KEY))


def query_of(settings: Settings) -> "BalanceQuery":
    """Return the query for the ledger."""
    from apimart_cli.ledger.refreshes import name_of
    from apimart_cli.ledger.views import BalanceQuery

    host = settings.targets()[0].host
    # As `record` writes it: a user may have put a key in the place of the name.
    profile = without_keys(settings.profile.value)
    scope = settings.scope.value
    source = settings.api_key.value
    key_id = source.key_id
    name = name_of(profile, host, scope.value, key_id)
    return BalanceQuery(profile, host, scope.asked, name, key_id, is_keyless=isinstance(source, NoKey))


def ledger_of(settings: Settings) -> Path | None:
    """Return the ledger in which readings are recorded; None if they are not recorded."""
    return settings.history.value if settings.record.value else None


def note_of(error: Exception) -> Note:
    """Return what to tell a person of an error."""
    if isinstance(error, ApimartError):
        return error.message, error.hint
    from apimart_cli.ledger.place import LedgerError

    return (str(error) if isinstance(error, LedgerError) else f"an error of the system: {type(error).__name__}"), None


def may_read_key(settings: Settings) -> bool:
    """Tell whether a refresh may ask for the key.

    A command that prints it, or a keyring, may suddenly ask the user for a password: that needs `background_keys`.
    """
    source = settings.api_key.value
    return isinstance(source, GivenKey) or (settings.background_keys.value and not isinstance(source, NoKey))


def _look(
    settings: Settings, query: "BalanceQuery", now: datetime, allowed: timedelta, *, has_forecast: bool
) -> Known | None:
    from apimart_cli.ledger.views import glance

    path = settings.history.value
    if path is None:
        return None
    glanced = glance(path, query, now, has_forecast=has_forecast)
    return _known(glanced, settings, now, allowed) if glanced.seen else None


def _known(glanced: "Glance", settings: Settings, now: datetime, allowed: timedelta) -> Known:
    # With `spendable`, the smaller one is left; what was used, and its unit, are the key's.
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


def _start(settings: Settings, options: Options, now: datetime) -> Note:
    from apimart_cli.config.held_keys import environment_without_keys
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.refreshes import claim, look
    from apimart_cli.processes.hook import start_detached

    source = settings.api_key.value
    profile = f"--profile {shell_word(settings.profile.value)}"
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
        # Every user of the machine can see the arguments of a process.
        return "the name of the profile looks like a key", "give it another one: apimart profiles rename"
    name = query_of(settings).name
    with opened(path) as connection:
        # Looked at first, as most of the time no refresh may start: then nothing is locked.
        before = look(connection, name)
        is_ours = before.is_allowed(now.timestamp()) and claim(
            connection, name, now.timestamp(), seconds=settings.timeout.value + GRACE
        )
    if is_ours:
        # Through a pipe, as every process of the user can read the variables of another one.
        given = source.key.reveal().encode() if isinstance(source, GivenKey) else b""
        words = ["statusline", "--refresh", *_as_typed(options)]
        start_detached(words, environment=environment_without_keys(os.environ), told=given)
    elif before.reason:
        return f"the last refresh failed ({before.reason}), and the next one has to wait", "see why: apimart balance"
    return "the gateway is asked in the background", "the next line knows more"


def _as_typed(options: Options) -> Sequence[str]:
    """Return the options as words of a command line. None of them is a secret."""
    typed = {"profile": next(iter(options.profiles), None), "scope": options.scope, "base-url": options.base_url}
    return [f"--{name}={value}" for name, value in typed.items() if value is not None]


def _record_patiently(path: Path, readings: "Sequence[Reading]") -> None:
    """Record the readings if a busy disk did not take them in time. A refresh can wait longer than other commands."""
    from contextlib import suppress

    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.readings.forecasts import record

    with suppress(LedgerError):
        # Readings that are there already are not written twice.
        record(path, readings, "statusline", seconds=GRACE)


def _settle(query: "BalanceQuery", path: Path, readings: "Sequence[Reading]", error: ApimartError | None) -> None:
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.refreshes import fail, settle

    now = datetime.now(UTC)
    with opened(path, seconds=GRACE) as connection:
        if error is None and _is_held(connection, query, readings, now):
            settle(connection, query.name, now.timestamp())
        else:
            reason = "not recorded" if error is None else error.code
            wait = longest_retry_after(_errors(readings, error))
            fail(connection, query.name, now.timestamp(), reason, retry_after=wait)


def _errors(readings: "Sequence[Reading]", error: ApimartError | None) -> list[ApimartError | None]:
    """Return every error: with `spendable`, the answer for each part may say how long to wait."""
    return [error, *(part.error for reading in readings for part in reading.parts)]


def _is_held(connection: "Connection", query: "BalanceQuery", readings: "Sequence[Reading]", now: datetime) -> bool:
    """Tell whether the ledger has the amounts of the readings, as new samples or from before."""
    for reading in readings:
        for each in reading.parts or (reading,):
            entry = query.latest(connection, each.scope, now)
            amounts = each.balance and (each.balance.remain_balance, each.balance.used_balance)
            if entry is None or (entry.remain, entry.used) != amounts:
                return False
    return True
