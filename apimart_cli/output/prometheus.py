"""Metrics: readings as families of samples, for whatever Prometheus reads. Pure: no I/O, no clock, no library.

All of them are gauges. What is not known has no sample, and neither has what has no limit: an infinite one would spoil
every sum.

"The text format of Prometheus, version 0.0.4: what its collectors and its server read. Always UTF-8.

Amounts are written with every digit; who reads them makes floats of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import NamedTuple

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output import Format, plain, whole_seconds
from apimart_cli.rules.balance import Balance, Reading, with_spendable
from apimart_cli.screen.writing import Screen
from apimart_cli.text import visible
from apimart_cli.version import __version__
from apimart_cli.words import Scope

HELP: Mapping[str, str] = {
    "apimart_build_info": "The version of apimart, as a label; always 1.",
    "apimart_reading_success": "Whether the last reading gave a balance: 1 or 0.",
    "apimart_reading_timestamp_seconds": "When the last reading that gave a balance was answered, in Unix time.",
    "apimart_payment_required": "Whether the gateway said last that the quota or the balance is used up: 1 or 0.",
    "apimart_remaining_balance": "What is left; no sample where that is unlimited or not known.",
    "apimart_used_balance": "What was used. It falls where a charge is given back.",
    "apimart_spendable_balance": "What can be spent: the smaller of what the key and its account have left.",
    "apimart_unlimited": "Whether the quota is unlimited: 1 or 0.",
    "apimart_min_balance": "The setting min: the least that must be left.",
    "apimart_max_used_balance": "The setting max_used: the most that may be used.",
    "apimart_runway_seconds": "How long the balance is expected to last.",
    "apimart_runway_low_seconds": "How long the balance lasts at least, in about 9 of 10 cases.",
    "apimart_spent_usd": "What was spent in a time up to now, in US dollars, by the gateway's own books.",
}
"""Every family, in the order in which they are shown, and what it tells."""

SPENT_WINDOW = "24h"
"""The time whose spend is told, as a label."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sample(NamedTuple):
    """One number of a family, told from the others by its labels. Their values are one visible line each."""

    labels: Mapping[str, str]
    value: Decimal


class Family(NamedTuple):
    """The samples of one metric; never none, and never two with the same labels."""

    name: str
    help: str
    samples: Sequence[Sample]


class Told(NamedTuple):
    """What is known of one reading."""

    reading: Reading
    min: Decimal | None = None
    """The least that its profile must have left."""
    max_used: Decimal | None = None
    """The most that its profile may have used."""
    read_at: datetime | None = None
    """When the last reading that succeeded was answered, where this one failed and that is known."""
    spent: Mapping[Scope, Decimal] = MappingProxyType({})
    """What was spent in SPENT_WINDOW, in US dollars, of those whose books were asked."""


def told_once(readings: Iterable[Reading]) -> list[Told]:
    """Return what is known of readings that were taken once, with nothing known from before."""
    return [Told(reading, reading.low_below, reading.used_above) for reading in readings]


def families(told: Sequence[Told], *, with_version: bool = True) -> list[Family]:
    """Return the metrics of these readings, and the version of apimart; families without a sample are left out.

    What can be spent is shown as the key and the account that it is made of, and as a family of its own.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in HELP}
    if with_version:
        samples["apimart_build_info"].append(Sample({"version": __version__}, Decimal(1)))
    asked = _each_once(part for each in told for part in _parts(each))
    names = _names(asked)
    for each in asked:
        place = {"profile": names[each.reading.profile], "scope": each.reading.scope.value}
        unit = {"unit": visible(each.reading.unit or "")}
        for name, value in _states(each):
            samples[name].append(Sample(place, value))
        for name, value in _amounts(each):
            samples[name].append(Sample({**place, **unit}, value))
        if each.reading.scope in each.spent:
            window = {"window": SPENT_WINDOW}
            samples["apimart_spent_usd"].append(Sample({**place, **window}, each.spent[each.reading.scope]))
    for reading, amount in _spendable(asked):
        labels = {"profile": names[reading.profile], "unit": visible(reading.unit or "")}
        samples["apimart_spendable_balance"].append(Sample(labels, amount))
    return [Family(name, HELP[name], found) for name, found in samples.items() if found]


def _parts(told: Told) -> Iterator[Told]:
    """Give what was asked, each with what it is held to; as in the gate, an account's use is not in `spendable`."""
    if not told.reading.parts:
        yield told
    for part in told.reading.parts:
        yield told._replace(reading=part, max_used=None if part.scope is Scope.ACCOUNT else told.max_used)


def _each_once(told: Iterable[Told]) -> list[Told]:
    """Return one of each profile and scope: of a profile that was asked twice what failed, if anything did."""
    kept: dict[tuple[str, Scope], Told] = {}
    for each in told:
        place = each.reading.profile, each.reading.scope
        if place not in kept or kept[place].reading.error is None:
            kept[place] = each
    return list(kept.values())


def _names(told: Iterable[Told]) -> Mapping[str, str]:
    """Return each profile's name as it is shown, told apart where two would be shown alike."""
    return shown_names(dict.fromkeys(each.reading.profile for each in told))


def shown_names(profiles: Iterable[str]) -> Mapping[str, str]:
    """Return how each of different names is shown: as one visible line, and unlike all others."""
    profiles = list(profiles)
    # A name that is shown as it is keeps it; another one gives way.
    names = {profile: profile for profile in profiles if visible(profile) == profile}
    taken = set(names)
    for profile in profiles:
        if profile not in names:
            names[profile] = _unlike(visible(profile), taken)
            taken.add(names[profile])
    return names


def _unlike(name: str, others: set[str]) -> str:
    """Return `name`, or, where another one has it, with the first number after it that makes it unlike them all."""
    number, found = 1, name
    while found in others:
        number += 1
        found = f"{name} ({number})"
    return found


def _states(told: Told) -> Iterator[tuple[str, Decimal]]:
    """Give what has no unit, by the name of its family."""
    reading = told.reading
    balance, forecast = reading.balance, reading.forecast
    read_at = told.read_at if balance is None else balance.fetched_at
    yield "apimart_reading_success", _flag(balance is not None)
    yield "apimart_payment_required", _flag(isinstance(reading.error, PaymentRequiredError))
    if read_at is not None:
        yield "apimart_reading_timestamp_seconds", Decimal((read_at - _EPOCH) // timedelta(seconds=1))
    if balance is not None:
        yield "apimart_unlimited", _flag(balance.unlimited_quota)
    if balance is not None and forecast is not None:
        if forecast.days_left is not None:
            yield "apimart_runway_seconds", whole_seconds(forecast.days_left, ROUND_HALF_UP)
        if forecast.days_left_low is not None:
            yield "apimart_runway_low_seconds", whole_seconds(forecast.days_left_low, ROUND_FLOOR)


def _amounts(told: Told) -> Iterator[tuple[str, Decimal]]:
    """Give the amounts of money, by the name of their family."""
    match told.reading.result:
        case Balance(remain_balance=remain, used_balance=used):
            if remain is not None:
                yield "apimart_remaining_balance", remain
            yield "apimart_used_balance", used
    if told.min is not None:
        yield "apimart_min_balance", told.min
    if told.max_used is not None:
        yield "apimart_max_used_balance", told.max_used


def _spendable(told: Iterable[Told]) -> Iterator[tuple[Reading, Decimal]]:
    """Give what can be spent of each profile whose key and account were both asked, with the reading that says it."""
    for reading in with_spendable(each.reading for each in told):
        balance = reading.balance
        if reading.scope is Scope.SPENDABLE and balance is not None and balance.remain_balance is not None:
            yield reading, balance.remain_balance


def _flag(is_so: bool) -> Decimal:
    return Decimal(int(is_so))


def exposition(families: Iterable[Family]) -> str:
    """Return the metrics as whole lines."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterable[str]:
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {help_text}\n"
    yield f"# TYPE {family.name} gauge\n"
    for sample in family.samples:
        yield f"{family.name}{{{_labels(sample)}}} {plain(sample.value)}\n"


def _labels(sample: Sample) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def readings_as_metrics(readings: Sequence[Reading]) -> str:
    """Return readings that were just taken as the text of a file or an answer.

    Without the version: in two files of one folder it would be a series that is there twice.
    """
    return exposition(families(told_once(readings), with_version=False))


def _readings_as_metrics(readings: Sequence[Reading], _screen: Screen, _asked: int) -> str:
    return readings_as_metrics(readings)


FORMAT = Format(readings=_readings_as_metrics, encoding="utf-8")
