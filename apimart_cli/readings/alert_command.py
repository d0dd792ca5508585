"""The command of an alert: what it is told, how it is run, how it ended; and a made-up alert, to try it.

A command is told what happened by variables, and by one JSON object that says the same.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import NamedTuple

from apimart_cli.choices import AlertEvent
from apimart_cli.config.held_keys import environment_without_keys
from apimart_cli.config.settings import Setting, Settings
from apimart_cli.errors import UsageError
from apimart_cli.gateway.answer import Answer, interpret
from apimart_cli.keys.key import LOOKED_AT, WITHHELD, ApiKey, Redactor
from apimart_cli.output import plain
from apimart_cli.output.json import days_of, render_document
from apimart_cli.output.runway import document as forecast_document
from apimart_cli.processes.child import hint_for
from apimart_cli.processes.hook import Ended, run_hook
from apimart_cli.rules.alerts import Alert, each_threshold
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.forecast import Forecast
from apimart_cli.rules.gate import Thresholds
from apimart_cli.rules.spending import EXACT
from apimart_cli.text import visible
from apimart_cli.words import ForecastState, Scope, ScopeChoice, StoppedBy

MOST_CHARACTERS = 200
"""Most characters of a text that are passed on to a command."""

MOST_DIGITS = 30
"""Most characters of a made-up amount."""

LONGEST = 10.0
"""Seconds that a command may take."""


def run_alert_command(command: Sequence[str], alert: Alert) -> Ended:
    """Run a command and tell it of an alert; wait for its end, at most LONGEST seconds. Raises as `run_hook`."""
    return run_hook(command, environment=environment_for(alert), told=document(alert).encode(), seconds=LONGEST)


def unstarted(error: Exception) -> str:
    """Return why a command cannot be run."""
    return getattr(error, "strerror", None) or "its words cannot be passed on"


def environment_for(alert: Alert) -> dict[str, str]:
    """Return our environment without the variables that have a key in them, and with those of the alert."""
    # A locale may lack the characters of a name.
    told = {name: os.fsdecode(value.encode("utf-8", "replace")) for name, value in variables(alert).items()}
    return {**environment_without_keys(os.environ), **told}


def fault_of(ended: Ended) -> str | None:
    """Return how a command failed, in words that follow its name; None if it did not fail."""
    if ended.status is None:
        return f"{'still runs, and cannot be stopped,' if ended.goes_on else 'was stopped'} after {LONGEST:g} seconds"
    if ended.status > 128:
        return f"failed with signal {ended.status - 128}"
    return f"failed with exit code {ended.status}" if ended.status else None


def variables(alert: Alert) -> Mapping[str, str]:
    """Return the variables that tell a command of the alert; what is not known, or not set, is empty."""
    name, threshold = _threshold(alert)
    days = threshold.normalize() if threshold is not None and name == "min_runway_days" else None
    facts = {**_facts(alert), "threshold": threshold if days is None else f"{plain(days)}d"}
    if alert.reading.balance is not None and alert.reading.balance.unlimited_quota:
        facts["remain"] = "unlimited"
    return {
        f"APIMART_{name.upper()}": plain(value) if isinstance(value, Decimal) else value or ""
        for name, value in facts.items()
    }


def document(alert: Alert) -> str:
    """Return the JSON object that a command reads on standard input, as one line."""
    reading, facts = alert.reading, _facts(alert)
    name, threshold = _threshold(alert)
    first = {known: facts.pop(known) for known in ("event", "profile", "scope", "remain")}
    is_test = {"test": True} if facts.pop("test", None) else {}
    return render_document(
        {
            **first,
            "unlimited_quota": None if reading.balance is None else reading.balance.unlimited_quota,
            "threshold": threshold,
            "threshold_name": name,
            **facts,
            "key_id": reading.key_id,
            "host": reading.host,
            **is_test,
        }
    )


def _facts(alert: Alert) -> dict[str, str | Decimal | None]:
    """Return what the variables and the document have in common."""
    reading = alert.reading
    forecast = forecast_document(reading.forecast) or {}
    return {
        "event": alert.event.value,
        "profile": _shown(reading.profile),
        "scope": reading.scope.value,
        "remain": None if reading.balance is None else reading.balance.remain_balance,
        "unit": _shown(reading.unit),
        "days_left": forecast.get("days_left"),
        "days_left_low": forecast.get("days_left_low"),
        "run_label": _shown(alert.label),
        "reason": None if alert.reason is None else alert.reason.value,
        "spent": alert.spent,
        **({"test": "1"} if alert.is_test else {}),
    }


def _threshold(alert: Alert) -> tuple[str | None, Decimal | None]:
    """Return the name and the amount of the threshold, a duration in days; None if no threshold is the reason."""
    if alert.threshold.min is not None:
        return "min", alert.threshold.min
    if alert.threshold.min_runway is not None:
        return "min_runway_days", days_of(alert.threshold.min_runway)
    if alert.max_spent is not None:
        return "max_spent", alert.max_spent
    return ("max_spend", alert.max_spend) if alert.max_spend is not None else (None, None)


def _shown(text: str | None) -> str | None:
    """Return a text of the user as one short line, without a key that was put in the wrong place."""
    return None if text is None else visible(text)[:MOST_CHARACTERS]


COMMAND_OF = {AlertEvent.LOW: "on_low", AlertEvent.RECOVERED: "on_recover", AlertEvent.STOPPED: "on_stop"}
"""The setting that names the command of each event."""


class Tried(NamedTuple):
    """What became of a command that was run for a made-up alert. All of it is safe to show."""

    subject: str
    """The program, and which setting names it."""
    fault: str | None
    """How it failed; None if it did not."""
    hint: str | None = None
    printed: Sequence[str] = ()
    """The first lines that it printed."""


def try_command(settings: Settings, event: AlertEvent, known: Sequence[ApiKey]) -> Tried:
    """Run the command of an event once, with a made-up alert. The ledger is neither asked nor changed.

    Of the keys that are known, no piece is in what is returned. Raises UsageError if there is no such command.
    """
    name = COMMAND_OF[event]
    setting: Setting[Sequence[str] | None] = getattr(settings, name)
    if setting.value is None:
        raise UsageError(
            f"{settings.subject} no {name}",
            f"set one: apimart config set {name} 'COMMAND'" + ("; or give --on-low" if name == "on_low" else ""),
        )
    redactor = Redactor(*known)
    subject = f"{redactor.quote(setting.value[0])} ({setting.source})"
    try:
        ended = run_alert_command(setting.value, made_up(settings, event))
    except ChildProcessError:
        return Tried(subject, "was run, but its exit code is lost", "do not ignore SIGCHLD")
    except (OSError, ValueError) as error:
        return Tried(subject, f"cannot be run: {unstarted(error)}", hint_for(error, "check the command"))
    return Tried(subject, fault_of(ended), printed=_safe_lines(ended.printed, redactor))


def made_up(settings: Settings, event: AlertEvent) -> Alert:
    """Return an alert with the names, thresholds and unit of a profile, and amounts that fit the event."""
    limits = Thresholds(min=settings.min.value, min_runway=settings.min_runway.value)
    threshold = next(each_threshold(limits), Thresholds(min=Decimal(5)))
    with localcontext(EXACT):
        factor = settings.rearm.value if event is AlertEvent.RECOVERED else Decimal("0.8")
        remain = (Decimal(5) if threshold.min is None else threshold.min) * factor
        if len(plain(remain)) > MOST_DIGITS:
            # A gateway sends no such amount, and the parser takes none.
            remain = min(remain, Decimal(10**15 - 1)).quantize(Decimal("0.000001"))
        days = (days_of(threshold.min_runway) or Decimal(3)) * factor
    # Balances are made of answers alone, the made-up one, too.
    body = f'{{"success":true,"remain_balance":{plain(remain)},"used_balance":2.3,"unlimited_quota":false}}'
    answer = Answer(200, "OK", body.encode())
    scope = settings.scope.value
    reading = Reading(
        settings.profile.value,
        Scope.KEY if scope is ScopeChoice.BOTH else Scope(scope.value),
        settings.unit.value,
        interpret(answer, scope=Scope.KEY, redactor=Redactor(), fetched_at=datetime.now(UTC)),
        settings.api_key.value.key_id,
        settings.targets()[0].host,
        forecast=Forecast(ForecastState.OK, Decimal(14), remain / days, days, days, days),
    )
    if event is not AlertEvent.STOPPED:
        return Alert(event, reading, threshold, is_test=True)
    return Alert(
        event,
        reading,
        Thresholds(),
        label="test",
        reason=StoppedBy.MAX_SPEND,
        max_spend=Decimal(3),
        spent=Decimal("3.02"),
        is_test=True,
    )


def _safe_lines(printed: bytes, redactor: Redactor) -> list[str]:
    """Return the beginning of what a command printed, as lines; a key in it may be broken over several of them."""
    text = printed.decode("utf-8", "replace").strip()[:LOOKED_AT]
    if redactor.quote(text) == WITHHELD:
        return [WITHHELD]
    return [redactor.quote(line) for line in text.splitlines()]
