"""Retention: every sample for 90 days, then the last one of each day up to two years; once a day, in small steps."""

import tempfile
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.ledger import retention
from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.store import record
from support.ledger import NOW, OTHER, WORK, entry

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0)


def fill(ledger: Connection, ages: list[timedelta]) -> None:
    for series in (WORK, OTHER):
        record(
            ledger, [entry(series=series, ago=age, used=str(number)) for number, age in enumerate(sorted(ages)[::-1])]
        )


def kept(ages: set[timedelta], now: datetime) -> set[datetime]:
    """Say it in plain Python: what is to be kept of readings of these ages."""
    midnight = now.replace(hour=0)
    moments = {NOW - age for age in ages}
    last_of_day = {moment.date(): moment for moment in sorted(moments)}
    return {
        moment
        for moment in moments
        if moment >= midnight - 90 * DAY or (moment >= midnight - 730 * DAY and last_of_day[moment.date()] == moment)
    }


@given(st.sets(st.integers(0, 800 * 8).map(lambda step: step * 3 * HOUR), max_size=60), st.sampled_from([1, 3, 1000]))
@settings(max_examples=15)
def test_what_is_kept_is_what_the_rule_says(ages: set[timedelta], step: int) -> None:
    """Whatever the size of a step, and again a month later."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(retention, "STEP", step)
        patch.setattr(retention, "PAUSE", 0)
        with opened(Path(folder) / "history.db", seconds=None) as ledger:
            fill(ledger, list(ages))
            for now in (NOW, NOW + 31 * DAY):
                assert prune(ledger, now)
                for series in (WORK, OTHER):
                    assert {each.at for each in entries(ledger, series)} == kept(ages, now)


def test_it_is_done_once_a_day(ledger: Connection) -> None:
    """What has become too old meanwhile waits."""
    assert prune(ledger, NOW)
    fill(ledger, [800 * DAY])
    assert prune(ledger, NOW + 23 * HOUR)
    assert len(list(entries(ledger))) == 2
    assert prune(ledger, NOW + 24 * HOUR)
    assert list(entries(ledger)) == []


def test_a_clock_that_was_ahead_does_not_stop_it(ledger: Connection) -> None:
    """A time in the future does not count as done."""
    prune(ledger, NOW + 5000 * DAY)
    fill(ledger, [800 * DAY])
    prune(ledger, NOW)
    assert list(entries(ledger)) == []


def test_a_clock_that_jumped_ahead_is_believed_a_day_later(ledger: Connection) -> None:
    """A wrong one must not cost the history."""
    fill(ledger, [timedelta(0)])
    assert prune(ledger, NOW)
    assert prune(ledger, NOW + 3000 * DAY)
    assert prune(ledger, NOW + timedelta(hours=1))
    assert len(list(entries(ledger))) == 2
    assert prune(ledger, NOW + 3000 * DAY)
    assert prune(ledger, NOW + 3001 * DAY)
    assert list(entries(ledger)) == []


def test_it_stops_when_its_time_is_up_and_goes_on_with_the_next_call(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call does a step at least, and says whether all is done."""
    monkeypatch.setattr(retention, "STEP", 10)
    monkeypatch.setattr(retention, "STEP_SECONDS", 0)
    fill(ledger, [100 * DAY + timedelta(seconds=each) for each in range(100)])
    counts = [len(list(entries(ledger)))]
    while not prune(ledger, NOW, seconds=0):
        counts.append(len(list(entries(ledger))))
    assert counts[0] == 200
    assert all(before - after <= 10 for before, after in pairwise(counts))
    assert len(list(entries(ledger))) == 2 * len(
        kept({100 * DAY + timedelta(seconds=each) for each in range(100)}, NOW)
    )
