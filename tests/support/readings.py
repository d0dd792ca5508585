"""Readings made by hand, and what the formats show of them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from apimart_cli.errors import ApimartError, AuthError
from apimart_cli.output import format_of
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.rules.gate import Thresholds, judge
from apimart_cli.screen.writing import Screen
from apimart_cli.words import OutputFormat, Scope

MOMENT = datetime(2026, 1, 31, 12, 0, 5, 987654, tzinfo=UTC)

PIPE = Screen()
ASCII = Screen(unicode=False)

AUTH = AuthError("the key was rejected", "check the key")

LONGEST = "999999999999999.123456789012345678901234"
"""An amount with more digits than any gateway sends."""


def reading(
    remain: str | None = "10.5", used: str = "2.3", *, profile: str = "default", scope: Scope = Scope.KEY,
    unit: str | None = None, key_id: str | None = None, host: str = "", **credits: str,
) -> Reading:  # fmt: skip
    """A reading with this much left, or an unlimited one."""
    balance = Balance(
        scope=scope, remain_balance=None if remain is None else Decimal(remain), used_balance=Decimal(used),
        unlimited_quota=remain is None, fetched_at=MOMENT, **{name: Decimal(text) for name, text in credits.items()},
    )  # fmt: skip
    return Reading(profile, scope, unit, balance, key_id, host)


def failed(error: ApimartError, profile: str = "default", scope: Scope = Scope.KEY) -> Reading:
    """A reading that failed."""
    return Reading(profile, scope, None, error)


def terminal(width: int, *, colour: bool = False, unicode: bool = True) -> Screen:
    """A terminal of this many columns."""
    return Screen(colour=colour, width=width, unicode=unicode)


def limits(min: str | None = None, max_used: str | None = None) -> Thresholds:
    """What a reading is held to."""
    return Thresholds(
        min=None if min is None else Decimal(min), max_used=None if max_used is None else Decimal(max_used)
    )


def show(readings: Sequence[Reading], output: OutputFormat, screen: Screen = PIPE, *, asked: int | None = None) -> str:
    """What `balance` shows of these readings."""
    render = format_of(output).readings
    assert render is not None
    return render(readings, screen, len(readings) if asked is None else asked)


def check(
    readings: Sequence[Reading], thresholds: Thresholds, output: OutputFormat, screen: Screen = PIPE, **rules: bool
) -> str:
    """What `check` shows of these readings, all held to the same thresholds."""
    render = format_of(output).checked
    assert render is not None
    return render(judge([(each, thresholds) for each in readings], **rules), screen)


def cells(table: str) -> list[list[str]]:
    """The cells of a table by line; columns are three blanks apart."""
    return [re.split(r" {3,}", line.strip()) for line in table.splitlines()]
