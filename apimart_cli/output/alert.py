"""What the command of an alert is told: variables, and the same as one JSON object. Pure: no I/O."""

from collections.abc import Mapping
from decimal import Decimal

from apimart_cli.alerts import Alert
from apimart_cli.output.amounts import plain
from apimart_cli.output.json import days_of, render_document
from apimart_cli.output.runway import document as forecast_document
from apimart_cli.text import visible

MOST_CHARACTERS = 200
"""Most characters of a text that are passed on."""


def variables(alert: Alert) -> Mapping[str, str]:
    """Return the variables of the command; what is not known, or not set, is empty."""
    balance = alert.reading.balance
    facts = {**_facts(alert), "threshold": _threshold_in_words(alert)}
    if balance is not None and balance.unlimited_quota:
        facts["remain"] = "unlimited"
    return {f"APIMART_{name.upper()}": _in_words(value) for name, value in facts.items()}


def document(alert: Alert) -> str:
    """Return the JSON object that the command reads, as one line."""
    reading, threshold = alert.reading, alert.threshold
    balance = reading.balance
    facts = _facts(alert)
    return render_document(
        {
            "event": facts.pop("event"),
            "profile": facts.pop("profile"),
            "scope": facts.pop("scope"),
            "remain": facts.pop("remain"),
            "unlimited_quota": None if balance is None else balance.unlimited_quota,
            "threshold": days_of(threshold.min_runway) if threshold.min is None else threshold.min,
            "threshold_name": "min_runway_days" if threshold.min is None else "min",
            **facts,
            "key_id": reading.key_id,
            "host": reading.host,
        }
    )


def _facts(alert: Alert) -> dict[str, str | Decimal | None]:
    """Return what both of them tell alike."""
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
    }


def _threshold_in_words(alert: Alert) -> str:
    least, runway = alert.threshold.min, alert.threshold.min_runway
    if least is not None:
        return plain(least)
    assert runway is not None, "one of them is set"
    days = days_of(runway)
    assert days is not None, "it is a duration"
    return f"{plain(days.normalize())}d"


def _in_words(value: str | Decimal | None) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else value


def _shown(text: str | None) -> str | None:
    """Return a text of the user fit to be passed on: one line, and no key that somebody put in the wrong place."""
    return None if text is None else visible(text)[:MOST_CHARACTERS]
