"""Large series: what is shown of them takes neither more memory nor more time than of small ones."""

import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.queries import MOST_SAMPLES, entries, latest_of_profile, samples
from apimart_cli.ledger.store import record
from apimart_cli.ledger.views import EVERY, BalanceQuery, Overviews, glance, overviews
from apimart_cli.rules.forecast import REACH, days_until
from support.ledger import NOW, WORK, entry

COUNT = 216_000
START = int((NOW - timedelta(days=60)).timestamp())
STEP = 60 * 86_400 // COUNT


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with one series of many samples: every 24 seconds for 60 days."""
    path = tmp_path_factory.mktemp("large") / "history.db"
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry(at=NOW - timedelta(days=61))])
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
            " INSERT INTO samples SELECT 1, ? + x * ?, 1, 1000000 - x, x + 3 FROM n",
            (COUNT - 1, START, STEP),
        )
        database.commit()
    return path


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that Python had for some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def counting(ledger: Connection, work: Callable[[], object]) -> int:
    """Return how many thousands of instructions of SQLite some work takes."""
    rounds = 0

    def look() -> bool:
        nonlocal rounds
        rounds += 1
        return False

    ledger.set_progress_handler(look, 1000)
    work()
    return rounds


def test_a_series_is_read_in_steps(path: Path) -> None:
    """Each step is a few minutes, its sample the last one of it, and the last of all is there."""
    with opened(path, seconds=None) as ledger:
        found = samples(ledger, WORK, until=NOW)
    assert len(found) <= MOST_SAMPLES
    times = [int(each.at.timestamp()) for each in found]
    assert times[-1] == START + STEP * (COUNT - 1)
    assert all(300 - STEP <= after - before <= 300 + STEP for before, after in pairwise(times[1:-1]))


def test_what_is_shown_of_it_is_right_and_needs_little_memory(path: Path) -> None:
    """At 216,000 samples; each of them as a list would be 75 MB."""
    shown = days_until(NOW.date(), 30)
    found: list[Overviews] = []
    assert peak_of(lambda: found.append(overviews(path, shown, NOW))) < 40_000_000
    [[[overview], _]] = found
    assert [round(each.spent) for each in overview.days[:-1]] == [86_400 // STEP] * 29
    assert overview.seen.samples == COUNT + 1
    assert overview.forecast is not None
    assert overview.forecast.spent_per_day is not None
    assert abs(overview.forecast.spent_per_day - 86_400 // STEP) < 1


def test_an_export_needs_the_same_memory_for_many_as_for_few(path: Path) -> None:
    """Entries come a page at a time."""
    with opened(path, seconds=None) as ledger:
        found = entries(ledger)
        assert peak_of(lambda: [next(found) for _ in range(2000)][-1]) < 4_000_000
        assert peak_of(lambda: sum(1 for _, _ in zip(found, range(20_000), strict=False))) < 4_000_000


def test_a_glance_looks_at_few_of_many(path: Path) -> None:
    """It has a quarter of a second, whatever the size: it goes from step to step."""
    question = BalanceQuery("work", WORK.host, (WORK.scope,), "refresh")
    found = glance(path, question, NOW, has_forecast=True)
    assert found.seen[0].entry.used == COUNT + 2
    assert REACH / EVERY - 2 <= len(found.seen[0].samples) <= REACH / EVERY + 2
    with opened(path, seconds=None) as ledger:
        assert counting(ledger, lambda: samples(ledger, WORK, since=NOW - REACH, until=NOW, every=EVERY)) < 500
        last = counting(ledger, lambda: latest_of_profile(ledger, "work", WORK.host, WORK.scope, until=NOW))
        assert last < 100
