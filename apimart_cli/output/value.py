"""The number alone, for a script; if there are several, each after its name and a tab."""

from collections.abc import Sequence

from apimart_cli.output import Format, remaining
from apimart_cli.rules.balance import Reading, with_spendable
from apimart_cli.rules.gate import Verdict
from apimart_cli.screen.writing import Screen
from apimart_cli.text import visible


def _readings_as_value(readings: Sequence[Reading], _screen: Screen, asked: int) -> str:
    return _as_value(list(with_spendable(readings)), asked)


def _checked_as_value(verdict: Verdict, _screen: Screen) -> str:
    return _as_value([judged.reading for judged in verdict.judged], len(verdict.judged))


def _as_value(readings: Sequence[Reading], asked: int) -> str:
    if asked > 1:
        return "".join(f"{visible(reading.name)}\t{_value(reading)}\n" for reading in readings)
    # If a single reading failed, its message says everything.
    return "".join(f"{_value(reading)}\n" for reading in readings if reading.error is None)


def _value(reading: Reading) -> str:
    return "error" if reading.balance is None else remaining(reading.balance.remain_balance)


FORMAT = Format(readings=_readings_as_value, checked=_checked_as_value, streams=True)
