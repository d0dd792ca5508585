"""How good the forecast is, on made-up users: run `python3 tests/benchmarks/forecast.py`.

Each user spends in bursts, by day or by night, on weekdays or every day, steadily or hardly ever, for 3 to 40 days; the
balance is read at odd times, and what is left would last 1 to 60 days at the rate so far. Then the user goes on in the
same manner until nothing is left, and what was forecast is held against what happened:

- told: for how many users there is a forecast at all; the other columns are about those;
- covered: how often the end lay inside the range; too early: how often it came before the low end;
- error: by which factor the point was wrong, as a median;
- moved: by which factor the point went up and down within the last day, as a median. What is left is held still for
  this, so that nothing but the estimate of the spend moves.

Users who change their habits are not among them: no estimate from the past knows about that.

    --users N     made-up users (default 1500)
    --seed N      another set of them (default 1)
"""

import argparse
import math
import random
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from apimart_cli.rules.book_forecast import forecast_from_books
from apimart_cli.rules.forecast import Forecast, forecast
from apimart_cli.rules.spending import Sample, used_at

HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
LONGEST = 24 * 365
"""Hours in which the balance has to run out."""


class User(NamedTuple):
    """One made-up user."""

    spends: Sequence[float]
    """What is spent in each hour, of the past and of the year after it."""
    read_at: Sequence[float]
    """When the balance was read, in hours."""
    past: int
    """Hours of history; the balance runs out some time after them."""
    remain: float
    """What is left after the past."""


class Estimate(NamedTuple):
    """Days that are left; None where nothing is told."""

    point: float | None
    low: float | None = None
    high: float | None = None


def make_user(dice: random.Random) -> User:
    """Make up a user: bursts that come and go, a daily and a weekly rhythm, jobs of very different size."""
    past = round(24 * math.exp(dice.uniform(math.log(3.2), math.log(40))))
    busy_after, idle_after = dice.uniform(0.02, 0.5), dice.uniform(0.02, 0.5)
    night, weekend = dice.choice([1.0, 0.3, 0.05]), dice.choice([1.0, 0.5, 0.1])
    size, spread = math.exp(dice.gauss(0, 1.5)), dice.uniform(0.2, 1.4)
    spends, busy = [], dice.random() < 0.5
    for hour in range(past + LONGEST):
        busy = dice.random() >= idle_after if busy else dice.random() < busy_after
        rhythm = (night if hour % 24 < 8 else 1.0) * (weekend if hour // 24 % 7 >= 5 else 1.0)
        spends.append(size * rhythm * math.exp(dice.gauss(0, spread)) if busy and dice.random() < rhythm else 0.0)
    every = dice.choice([0.25, 1, 1, 4, 12])
    read_at = [0.0]
    while (moment := read_at[-1] + dice.expovariate(1 / every)) < past:
        read_at.append(moment)
    read_at.append(float(past))
    horizon = math.exp(dice.uniform(math.log(1), math.log(60))) * 24
    rate = sum(spends[:past]) / past
    return User(spends, read_at, past, max(rate, 1e-6) * horizon)


def truth(user: User) -> float | None:
    """Return after how many days nothing was left; None for longer than a year."""
    left = user.remain
    for hour in range(user.past, len(user.spends)):
        spent = user.spends[hour]
        if spent >= left:
            return (hour + left / spent - user.past) / 24
        left -= spent
    return None


def samples_of(user: User) -> list[Sample]:
    total = [0.0]
    for spend in user.spends[: user.past + 1]:
        total.append(total[-1] + spend)
    samples = []
    for hour in user.read_at:
        whole = int(hour)
        used = total[whole] + (total[whole + 1] - total[whole]) * (hour - whole)
        samples.append(Sample(START + HOUR * hour, Decimal(str(round(user.remain, 6))), Decimal(str(round(used, 6)))))
    return samples


def blocks(samples: Sequence[Sample]) -> Estimate:
    """The project's own."""
    return estimate(forecast(samples))


def slope(samples: Sequence[Sample]) -> Estimate:
    """The spend of the last six hours, in proportion between the readings around their beginning."""
    end = samples[-1]
    begin = max(samples[0].at, end.at - 6 * HOUR)
    spent = float(end.used - used_at(samples, begin))
    return Estimate(float(end.remain or 0) / spent * ((end.at - begin) / HOUR) / 24 if spent > 0 else None)


def average(samples: Sequence[Sample]) -> Estimate:
    """An exponential average with a time constant of four hours."""
    rate = 0.0
    for before, after in pairwise(samples):
        hours = (after.at - before.at) / HOUR
        if hours > 0:
            weight = 1 - math.exp(-hours / 4)
            rate += weight * (float(after.used - before.used) / hours - rate)
    return Estimate(float(samples[-1].remain or 0) / rate / 24 if rate > 0 else None)


def thinned(samples: Sequence[Sample], hours: int) -> list[Sample]:
    """Return the samples that somebody has who looks so seldom: backwards from the last one."""
    kept = [samples[-1]]
    for sample in reversed(samples):
        if kept[-1].at - sample.at >= hours * HOUR:
            kept.append(sample)
    return kept[::-1]


def estimate(told: Forecast | None) -> Estimate:
    if told is None or told.days_left is None or told.days_left_low is None:
        return Estimate(None)
    high = None if told.days_left_high is None else float(told.days_left_high)
    return Estimate(float(told.days_left), float(told.days_left_low), math.inf if high is None else high)


def by_books(user: User) -> Callable[[Sequence[Sample]], Estimate]:
    """What the gateway's books tell at the moment of the last sample: the spend of each day, cut at midnight.

    The key was first used at some hour of its first day, and nobody has looked before the forecast: what was read is
    left out, but for what is left now.
    """

    def estimate_at(samples: Sequence[Sample]) -> Estimate:
        now = (samples[-1].at - START) / HOUR
        hours = int(now)
        days: list[float] = []
        for day in range(hours // 24 + 1):
            days.append(sum(user.spends[24 * day : min(24 * day + 24, hours)]))
        days[-1] += user.spends[hours] * (now - hours)
        *whole, today = (Decimal(str(round(amount, 6))) for amount in days)
        return estimate(forecast_from_books(whole[-28:], today, samples[-1].remain))

    return estimate_at


Method = Callable[[Sequence[Sample]], Estimate]

METHODS: dict[str, Callable[[User], Method]] = {
    "24-hour blocks (apimart)": lambda _user: blocks,
    "the same, read once a day": lambda _user: lambda samples: blocks(thinned(samples, 24)),
    "the same, read every 3 days": lambda _user: lambda samples: blocks(thinned(samples, 72)),
    "from the gateway's books (apimart)": by_books,
    "slope of the last 6 hours": lambda _user: slope,
    "exponential average, 4 hours": lambda _user: average,
}


class Score(NamedTuple):
    """How one method did."""

    told: int
    covered: float | None
    too_early: float | None
    error: float
    moved: float


def score(method_of: Callable[[User], Method], users: Sequence[User], truths: Sequence[float]) -> Score:
    """Hold what a method tells of each user against what happened."""
    covered, too_early, errors, moves = [], [], [], []
    for user, end in zip(users, truths, strict=True):
        samples, method = samples_of(user), method_of(user)
        told = method(samples)
        if told.point is None:
            continue
        errors.append(factor([told.point, end]))
        if told.low is not None and told.high is not None:
            covered.append(told.low <= end <= told.high)
            too_early.append(end < told.low)
        points = [told.point, *points_of_the_day(method, samples)]
        if len(points) > 1:
            moves.append(factor(points))
    shares = [statistics.mean(each) if each else None for each in (covered, too_early)]
    return Score(len(errors), *shares, statistics.median(errors), statistics.median(moves))


def points_of_the_day(method: Method, samples: Sequence[Sample]) -> list[float]:
    """Return what the method told at eight moments of the last day, as far as there was a new reading by then."""
    end = samples[-1].at
    counts = {bisect_right(samples, end - 3 * HOUR * back, key=lambda sample: sample.at) for back in range(1, 9)}
    told = (method(samples[:count]).point for count in counts - {0} if end - samples[count - 1].at <= 24 * HOUR)
    return [point for point in told if point is not None]


def factor(values: Sequence[float]) -> float:
    return max(values) / min(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    users, truths = make_users(arguments.users, random.Random(arguments.seed))
    table = Table("Method", "Told", "Covered", "Too early", "Error", "Moved", box=box.MARKDOWN)
    for name, method in METHODS.items():
        result = score(method, users, truths)
        told = f"{100 * result.told / len(users):.0f} %"
        shares = ["-" if share is None else f"{100 * share:.0f} %" for share in (result.covered, result.too_early)]
        table.add_row(name, told, *shares, f"x{result.error:.2f}", f"x{result.moved:.2f}")
    Console(width=120).print(table)


def make_users(count: int, dice: random.Random) -> tuple[list[User], list[float]]:
    """Make up users who spend something before the forecast and all that is left within a year after it."""
    users, truths = list[User](), list[float]()
    while len(users) < count:
        user = make_user(dice)
        end = truth(user)
        if end is not None and sum(user.spends[: user.past]) > 0:
            users.append(user)
            truths.append(end)
    return users, truths


if __name__ == "__main__":
    main()
