"""The number alone, for a script; if there are several, each after its name and a tab."""

from collections.abc import Sequence

from apimart_cli.output import Format, plain, remaining
from apimart_cli.rules.balance import Reading, with_spendable
from apimart_cli.rules.gate import Verdict
from apimart_cli.screen.writing import Screen
from apimart_cli.text import visible


def _readings_as_value(readings: Sequence[Reading], _screen: Screen, asked: int) -> str:
    return _as_value(list(with_spendable(readings)), asked)


def _checked_as_value(verdict: Verdict, _screen: Screen) -> str:
    asked = len(verdict.judged) + len(verdict.spends)
    return _as_value([judged.reading for judged in verdict.judged], asked) + _spent_as_value(verdict, asked)


def _spent_as_value(verdict: Verdict, asked: int) -> str:
    """Return what was spent by each budget, to be shown after the balances."""
    lines = []
    for each in verdict.spends:
        name = f"{visible(each.reading.name)}\t" if asked > 1 else ""
        if each.spent is not None or name:
            lines.append(f"{name}{'error' if each.spent is None else plain(each.spent)}\n")
    return "".join(lines)


def _as_value(readings: Sequence[Reading], asked: int) -> str:
    if asked > 1:
        return "".join(f"{visible(reading.name)}\t{_value(reading)}\n" for reading in readings)
    # If a single reading failed, its message says everything.
    return "".join(f"{_value(reading)}\n" for reading in readings if reading.error is None)


def _value(reading: Reading) -> str:
    return "error" if reading.balance is None else remaining(reading.balance.remain_balance)


FORMAT = Format(readings=_readings_as_value, checked=_checked_as_value, streams=True)
