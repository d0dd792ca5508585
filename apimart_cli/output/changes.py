"""What changed while balances were watched: a line each, for logs, or a JSON document each, for programs."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from apimart_cli.course import View
from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output.amounts import with_unit
from apimart_cli.output.json import reading_document, render_document
from apimart_cli.output.runway import rounded_amount
from apimart_cli.text import visible
from apimart_cli.words import Change

_MOVES = frozenset({Change.TOP_UP, Change.CUT})


def change_as_line(view: View, changes: Sequence[Change], at: datetime) -> str:
    """Return `2026-01-31T12:00:05Z work/key: 8.17 USD left, 1.83 USD spent; topped up by 5 USD`."""
    findings = [_standing(view), *(_finding(view, change) for change in changes)]
    told = "; ".join(finding for finding in findings if finding)
    return f"{_utc(at)} {visible(view.reading.name)}: {told}\n"


def change_as_json(view: View, changes: Sequence[Change], at: datetime) -> str:
    """Return the reading with what changed beside it; after a failure the error and what was last known."""
    reading = view.reading if view.failure is None else view.reading._replace(result=view.failure)
    balance = view.reading.balance
    document = reading_document(reading)
    moved = view.top_up if _MOVES & set(changes) else None
    return render_document(
        {
            **document,
            "at": _utc(at),
            "changes": [change.value for change in changes],
            "spent": view.spent,
            "spent_per_hour": rounded_amount(view.spent_per_hour),
            "top_up": None if moved is None else moved.amount,
            "below": view.is_below,
            **({"last_remain_balance": balance.remain_balance} if view.failure is not None and balance else {}),
        }
    )


def _standing(view: View) -> str:
    """Return what is left and what was spent, as far as anybody knows."""
    balance = view.reading.balance
    if balance is None:
        return ""
    remain, unit = balance.remain_balance, view.reading.unit
    left = "unlimited" if remain is None else f"{with_unit(remain, unit)} left"
    last = "last " if view.failure is not None else ""
    spent = "" if view.spent is None else f", {with_unit(view.spent, unit)} spent"
    return f"{last}{left}{spent}"


def _finding(view: View, change: Change) -> str:
    unit = view.reading.unit
    match change:
        case Change.START | Change.CHANGED:
            return ""
        case Change.TOP_UP if view.top_up is not None:
            return f"topped up by {with_unit(view.top_up.amount, unit)}"
        case Change.CUT if view.top_up is not None:
            return f"cut by {with_unit(-view.top_up.amount, unit)}"
        case Change.FAILED if view.failure is not None:
            return f"error: {view.failure.message}"
        case Change.RECOVERED:
            return "answers again"
        case Change.BELOW:
            return _below(view.reading.low_below, unit)
        case Change.ENOUGH:
            return "enough again"
        case _:
            return ""


def _below(least: Decimal | None, unit: str | None) -> str:
    return "cannot pay" if least is None else f"below {with_unit(least, unit)}"


def below_in_words(view: View) -> str:
    """Return why the watch ended: `work/key: 4.2 USD left, at least 5 USD required`."""
    balance, unit, least = view.reading.balance, view.reading.unit, view.reading.low_below
    name = visible(view.reading.name)
    if isinstance(view.failure, PaymentRequiredError):
        return f"{name}: {view.failure.in_short}"
    assert balance is not None, "what was never read is below only where there is no money"
    assert balance.remain_balance is not None, "what is unlimited is never below"
    required = "" if least is None else f", at least {with_unit(least, unit)} required"
    return f"{name}: {with_unit(balance.remain_balance, unit)} left{required}"


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
