"""The use case of a status line: settings in, what is known of one balance out, from the ledger alone.

Whatever is wrong with the settings, the ledger or the machine, there is something to show.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import ApimartError
from apimart_cli.keys.source import NoKey
from apimart_cli.output.statusline import Known, Status
from apimart_cli.text import without_keys
from apimart_cli.words import Scope, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.forecast import Forecast
    from apimart_cli.ledger.glance import Glance, Question, Recalled

OLD_AFTER = 3
"""After so many times the allowed age the line shows how old it is."""

Note = tuple[str, str | None]
"""What is worth telling a person, and what to do about it."""


class Found(NamedTuple):
    """What the line is made of, and what a refresh needs."""

    status: Status
    settings: Settings | None = None
    """None where they are wrong."""
    is_due: bool = False
    """A refresh is due: what is known is older than allowed, or nothing is."""
    note: Note | None = None
    """Why there is no more to show."""


def find_status(options: Options, now: datetime, allowed: timedelta, *, has_forecast: bool) -> Found:
    """Return what is known of the balance that the options name. Raises nothing."""
    found = Found(Status(options.profiles[0] if options.profiles else "default", Scope.KEY, ""))
    try:
        settings = settings_of(options)
        question = question_of(settings)
        status = Status(settings.profile.value, Scope(settings.scope.value.value), question.host)
        found = Found(status, settings, is_due=True)
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


def question_of(settings: Settings) -> "Question":
    """Return what is looked for in the ledger."""
    from apimart_cli.ledger.glance import Question
    from apimart_cli.ledger.state import name_of

    host = settings.targets()[0].host
    # As it is recorded: a name can be a key that somebody put in the wrong place.
    profile = without_keys(settings.profile.value)
    scope = settings.scope.value
    source = settings.api_key.value
    key_id = source.key_id
    name = name_of(profile, host, scope.value, key_id)
    return Question(profile, host, scope.asked, name, key_id, is_keyless=isinstance(source, NoKey))


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
    settings: Settings, question: "Question", now: datetime, allowed: timedelta, *, has_forecast: bool
) -> Known | None:
    from apimart_cli.ledger.glance import glance

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
    from apimart_cli.forecast import forecast, sooner

    forecasts = [forecast(each.samples) for each in seen]
    return forecasts[0] if len(forecasts) == 1 else sooner(*forecasts)
