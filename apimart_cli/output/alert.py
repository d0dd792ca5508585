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
    reading = alert.reading
    balance = reading.balance
    name, threshold = _threshold(alert)
    facts = _facts(alert)
    return render_document(
        {
            "event": facts.pop("event"),
            "profile": facts.pop("profile"),
            "scope": facts.pop("scope"),
            "remain": facts.pop("remain"),
            "unlimited_quota": None if balance is None else balance.unlimited_quota,
            "threshold": threshold,
            "threshold_name": name,
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
        "reason": None if alert.reason is None else alert.reason.value,
        "spent": alert.spent,
    }


def _threshold(alert: Alert) -> tuple[str | None, Decimal | None]:
    """Return the name and the amount of the threshold, a duration in days; None where none is the reason."""
    if alert.threshold.min is not None:
        return "min", alert.threshold.min
    if alert.threshold.min_runway is not None:
        return "min_runway_days", days_of(alert.threshold.min_runway)
    return ("max_spend", alert.max_spend) if alert.max_spend is not None else (None, None)


def _threshold_in_words(alert: Alert) -> str:
    name, amount = _threshold(alert)
    if amount is None:
        return ""
    return f"{plain(amount.normalize())}d" if name == "min_runway_days" else plain(amount)


def _in_words(value: str | Decimal | None) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else value


def _shown(text: str | None) -> str | None:
    """Return a text of the user fit to be passed on: one line, and no key that somebody put in the wrong place."""
    return None if text is None else visible(text)[:MOST_CHARACTERS]
