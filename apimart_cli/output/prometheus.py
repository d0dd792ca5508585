"""Metrics: readings as families of samples, and as the text format of Prometheus, version 0.0.4, always UTF-8.

All are gauges. A value that is unknown or unlimited has no sample: infinity would spoil every sum. Amounts have every
digit; Prometheus makes floats of them. Pure: no I/O, no clock, no library.
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
"""The help text of every family, in the order of the page."""

SPENT_WINDOW = "24h"
"""The time for which the spend is shown, as a label."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MetricSample(NamedTuple):
    """One number of a family, with the labels that tell it from the others. Each value is one visible line."""

    labels: Mapping[str, str]
    value: Decimal


class Family(NamedTuple):
    """The samples of one metric: at least one, and no two with the same labels."""

    name: str
    help: str
    samples: Sequence[MetricSample]


class MetricReading(NamedTuple):
    """A reading, and what else the metrics tell of it."""

    reading: Reading
    min: Decimal | None = None
    """The least that its profile must have left."""
    max_used: Decimal | None = None
    """The most that its profile may have used."""
    read_at: datetime | None = None
    """If this reading failed: when the last one that succeeded was answered, if that is known."""
    spent: Mapping[Scope, Decimal] = MappingProxyType({})
    """What was spent in SPENT_WINDOW, in US dollars, for each scope of which the books were asked."""


def families(known: Sequence[MetricReading], *, with_version: bool = True) -> list[Family]:
    """Return the metrics of these readings, and the version of apimart. Families without a sample are left out.

    A reading of `spendable` becomes the samples of its key and its account, and one of another family.
    """
    samples: dict[str, list[MetricSample]] = {name: [] for name in HELP}
    if with_version:
        samples["apimart_build_info"].append(MetricSample({"version": __version__}, Decimal(1)))
    asked = _each_once(part for each in known for part in _parts(each))
    names = _names(asked)
    for each in asked:
        place = {"profile": names[each.reading.profile], "scope": each.reading.scope.value}
        unit = {"unit": visible(each.reading.unit or "")}
        for name, value in _states(each):
            samples[name].append(MetricSample(place, value))
        for name, value in _amounts(each):
            samples[name].append(MetricSample({**place, **unit}, value))
        if each.reading.scope in each.spent:
            window = {"window": SPENT_WINDOW}
            samples["apimart_spent_usd"].append(MetricSample({**place, **window}, each.spent[each.reading.scope]))
    for reading, amount in _spendable(asked):
        labels = {"profile": names[reading.profile], "unit": visible(reading.unit or "")}
        samples["apimart_spendable_balance"].append(MetricSample(labels, amount))
    return [Family(name, HELP[name], found) for name, found in samples.items() if found]


def metric_readings(readings: Iterable[Reading]) -> list[MetricReading]:
    """Return readings that were taken once: nothing is known from before."""
    return [MetricReading(reading, reading.low_below, reading.used_above) for reading in readings]


def shown_names(profiles: Iterable[str]) -> Mapping[str, str]:
    """Return how each name is shown: as visible text on one line, and different from all others."""
    profiles = list(profiles)
    # A name that can be shown as it is comes first; others that look the same get a number.
    names = {profile: profile for profile in profiles if visible(profile) == profile}
    taken = set(names)
    for profile in profiles:
        if profile not in names:
            names[profile] = _unlike(visible(profile), taken)
            taken.add(names[profile])
    return names


def exposition(families: Iterable[Family]) -> str:
    """Return the metrics as whole lines."""
    return "".join(line for family in families for line in _lines(family))


def readings_as_metrics(readings: Sequence[Reading]) -> str:
    """Return readings that were just taken as the text of a file or an answer.

    The version is not in it: two files in one folder would both have that series.
    """
    return exposition(families(metric_readings(readings), with_version=False))


def _parts(known: MetricReading) -> Iterator[MetricReading]:
    """Yield the readings that were asked, with their thresholds. As in the gate, `max_used` is not for accounts."""
    if not known.reading.parts:
        yield known
    for part in known.reading.parts:
        yield known._replace(reading=part, max_used=None if part.scope is Scope.ACCOUNT else known.max_used)


def _each_once(known: Iterable[MetricReading]) -> list[MetricReading]:
    """Return one reading for each profile and scope. If one of several failed, it is that one."""
    kept: dict[tuple[str, Scope], MetricReading] = {}
    for each in known:
        place = each.reading.profile, each.reading.scope
        if place not in kept or kept[place].reading.error is None:
            kept[place] = each
    return list(kept.values())


def _names(known: Iterable[MetricReading]) -> Mapping[str, str]:
    """Return how the name of each profile is shown."""
    return shown_names(dict.fromkeys(each.reading.profile for each in known))


def _unlike(name: str, others: set[str]) -> str:
    """Return `name`; if another has it, with the first number after it that no other has."""
    number, found = 1, name
    while found in others:
        number += 1
        found = f"{name} ({number})"
    return found


def _states(known: MetricReading) -> Iterator[tuple[str, Decimal]]:
    """Yield the values without a unit, each with the name of its family."""
    reading = known.reading
    balance, forecast = reading.balance, reading.forecast
    read_at = known.read_at if balance is None else balance.fetched_at
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


def _amounts(known: MetricReading) -> Iterator[tuple[str, Decimal]]:
    """Yield the amounts of money, each with the name of its family."""
    match known.reading.result:
        case Balance(remain_balance=remain, used_balance=used):
            if remain is not None:
                yield "apimart_remaining_balance", remain
            yield "apimart_used_balance", used
    if known.min is not None:
        yield "apimart_min_balance", known.min
    if known.max_used is not None:
        yield "apimart_max_used_balance", known.max_used


def _spendable(known: Iterable[MetricReading]) -> Iterator[tuple[Reading, Decimal]]:
    """Yield what can be spent, and its reading, for each profile of which key and account were asked."""
    for reading in with_spendable(each.reading for each in known):
        balance = reading.balance
        if reading.scope is Scope.SPENDABLE and balance is not None and balance.remain_balance is not None:
            yield reading, balance.remain_balance


def _flag(is_so: bool) -> Decimal:
    return Decimal(int(is_so))


def _lines(family: Family) -> Iterable[str]:
    help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {help_text}\n"
    yield f"# TYPE {family.name} gauge\n"
    for sample in family.samples:
        yield f"{family.name}{{{_labels(sample)}}} {plain(sample.value)}\n"


def _labels(sample: MetricSample) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _readings_as_metrics(readings: Sequence[Reading], _screen: Screen, _asked: int) -> str:
    return readings_as_metrics(readings)


FORMAT = Format(readings=_readings_as_metrics, encoding="utf-8")
