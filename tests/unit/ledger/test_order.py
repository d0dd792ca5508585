"""Samples that a wrong clock has left are set aside, and the others are used as if it had been right."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.queries import entries, latest_of_profile, samples
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.store import SLACK, clear, record
from apimart_cli.ledger.views import overviews
from apimart_cli.rules.forecast import days_until, forecast
from apimart_cli.rules.spending import Sample, in_order, segments
from apimart_cli.words import ForecastState
from support.ledger import NOW, WORK, entry

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

Clock = tuple[timedelta, timedelta]
"""When a reading is taken, before NOW, and how far the clock is ahead then."""


def write(ledger: Connection, *readings: Clock) -> None:
    """Record readings one after the other; a unit is used in each hour, so that `used` tells the true time."""
    for ago, ahead in readings:
        used = str(1000 - ago // HOUR)
        record(ledger, [entry(at=NOW - ago + ahead, used=used, remain=str(5000 + ago // HOUR))])


def steadily(start: timedelta, end: timedelta, ahead: timedelta = timedelta(0), every: timedelta = DAY) -> list[Clock]:
    """Return readings from one time to another, `every` so often, under a clock that is ahead."""
    return [(start - every * number, ahead) for number in range((start - end) // every + 1)]


AHEAD = {
    "two days ahead for an hour, after a long history": [
        *steadily(30 * DAY, 10 * DAY),
        *steadily(10 * DAY - HOUR, 10 * DAY - 2 * HOUR, 2 * DAY, HOUR / 4),
        *steadily(9 * DAY, timedelta(0)),
    ],
    "twenty days ahead, longer than a gap": [
        *steadily(40 * DAY, 30 * DAY),
        *steadily(30 * DAY - HOUR, 30 * DAY - 2 * HOUR, 20 * DAY, HOUR / 6),
        *steadily(29 * DAY, timedelta(0)),
    ],
    "at the very first readings": [
        *steadily(12 * DAY, 12 * DAY - HOUR, 3 * DAY + HOUR / 5, HOUR / 4),
        *steadily(11 * DAY, timedelta(0)),
    ],
    "for hours, within a day": [
        *steadily(20 * DAY, 10 * DAY),
        *steadily(10 * DAY - HOUR, 10 * DAY - 2 * HOUR, 6 * HOUR, HOUR / 4),
        *steadily(10 * DAY - 3 * HOUR, timedelta(0), every=3 * HOUR),
    ],
    "a reading under a clock of 1970": [
        *steadily(20 * DAY, 2 * DAY),
        (2 * DAY - HOUR, timedelta(days=-20_000)),
        *steadily(DAY, timedelta(0)),
    ],
    "ten days behind for an hour": [
        *steadily(30 * DAY, 2 * DAY),
        *steadily(2 * DAY - HOUR, 2 * DAY - 2 * HOUR, -10 * DAY, HOUR / 4),
        *steadily(DAY, timedelta(0)),
    ],
}


@pytest.mark.parametrize("name", AHEAD)
def test_what_a_wrong_clock_has_left_is_not_counted_when_its_time_has_come(ledger: Connection, name: str) -> None:
    """The samples that are used are those of the right clock, and the history does not begin anew."""
    write(ledger, *AHEAD[name])
    right = [each for each in AHEAD[name] if not each[1]]
    found = samples(ledger, WORK, until=NOW)
    assert found == [Sample(NOW - ago, Decimal(5000 + ago // HOUR), Decimal(1000 - ago // HOUR)) for ago, _ in right]
    assert len(segments(found)) == 1
    told = forecast(found)
    assert told is not None
    assert told.state is ForecastState.OK
    assert told.spent_per_day == 24
    assert len(list(entries(ledger))) == len(AHEAD[name]), "an export has all readings"


def test_what_is_seen_at_a_glance_was_read_last(ledger: Connection) -> None:
    """Not what has the latest time: a clock was two days ahead."""
    write(ledger, *steadily(5 * DAY, 3 * DAY), (2 * DAY, 2 * DAY - HOUR), (DAY, timedelta(0)))
    found = latest_of_profile(ledger, "work", WORK.host, WORK.scope, until=NOW)
    assert found is not None
    assert (found.at, found.used) == (NOW - DAY, 976)


def test_a_history_tells_what_was_read_last(path: Path) -> None:
    """What is left, and when that was read."""
    with opened(path, seconds=None) as ledger:
        write(ledger, *steadily(9 * DAY, 3 * DAY), (2 * DAY, 2 * DAY - HOUR / 2), *steadily(DAY, HOUR, every=HOUR))
    [shown], _ = overviews(path, days_until(NOW.date(), 5), NOW)
    assert (shown.seen.last_at, shown.seen.remain) == (NOW - HOUR, 5001)
    assert {each.day: each.spent for each in shown.days}[(NOW - 2 * DAY).date()] == 24


def test_what_is_dated_in_the_future_is_left_out(path: Path) -> None:
    """Neither the days nor the forecast of a history count it, as those of `check` do not."""
    with opened(path, seconds=None) as ledger:
        write(ledger, *steadily(9 * DAY, timedelta(0)))
    without, _ = overviews(path, (NOW.date(),), NOW)
    with opened(path, seconds=None) as ledger:
        write(ledger, (timedelta(0), 4 * DAY))
    assert overviews(path, (NOW.date(),), NOW)[0] == without
    assert without[0].seen.last_at == NOW


def test_two_machines_with_clocks_a_little_apart_lose_nothing(ledger: Connection) -> None:
    """A minute is no wrong clock."""
    right, ahead = timedelta(0), timedelta(seconds=SLACK)
    write(ledger, *((10 * DAY - number * HOUR, ahead if number % 2 else right) for number in range(200)))
    record(ledger, [entry(at=NOW - DAY, used="1")])
    record(ledger, [entry(at=NOW - DAY - ahead, used="2")])
    assert ledger.execute("SELECT count(*) FROM late").fetchone() == (0,)
    record(ledger, [entry(at=NOW - DAY - ahead - timedelta(seconds=1), used="3")])
    assert ledger.execute("SELECT count(*) FROM late").fetchone() == (1,)


def test_readings_of_one_answer_have_no_order(ledger: Connection) -> None:
    """They are written in the order of their times, whatever that of the list is."""
    record(ledger, [entry(ago=number * DAY, used=str(100 - number)) for number in range(10)])
    assert len(samples(ledger, WORK)) == 10


def test_what_is_gone_is_not_remembered(ledger: Connection) -> None:
    """Neither after `history clear` nor after what is too old was deleted."""
    write(ledger, (800 * DAY, DAY), (800 * DAY - HOUR, timedelta(0)), (DAY, DAY), (HOUR, timedelta(0)))
    assert ledger.execute("SELECT count(*) FROM late").fetchone() == (2,)
    assert prune(ledger, NOW)
    assert ledger.execute("SELECT count(*) FROM late").fetchone() == (1,)
    clear(ledger)
    assert ledger.execute("SELECT count(*) FROM late").fetchone() == (0,)


@given(st.lists(st.integers(0, 40 * 86_400), unique=True, max_size=30))
def test_what_is_kept_was_written_in_the_order_of_its_times(times: list[int]) -> None:
    """Whatever the order of all was, and what was written in order is kept whole."""
    late: dict[int, tuple[int, int]] = {}
    for number, at in enumerate(times):
        last = max(times[:number], default=-1)
        if last > at:
            late[at] = (last, number + 1)
    kept = in_order(sorted(times), late)
    written = [at for at in times if at in kept]
    assert written == sorted(kept)
    assert bool(kept) == bool(times)
    if not late:
        assert kept == set(times)


def test_a_day_counts_once_however_often_it_was_looked_at() -> None:
    """A burst of many readings under a wrong clock does not outweigh ten days of one each."""
    burst = [11 * 86_400 + 60 * number for number in range(500)]
    days = [86_400 * number for number in range(1, 11)]
    late = {at: (burst[-1], number) for number, at in enumerate(days, 1)}
    assert in_order(sorted([0, *days, *burst]), late) == {0, *days}


def test_what_explains_more_days_is_kept() -> None:
    """Of equals what was written later; several readings of a day are never more than one of another."""
    day = 86_400
    assert in_order([5, 10], {5: (10, 1)}) == {5}
    late = {at * day: (30 * day, number) for number, at in enumerate((5, 25, 26), 1)}
    assert in_order([at * day for at in (5, 10, 20, 25, 26, 30)], late) == {at * day for at in (10, 20, 25, 26)}
    early = range(1, 8)
    assert in_order([*early, day], {at: (day, at) for at in early}) == {day}
