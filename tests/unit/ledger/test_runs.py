"""Guarded runs in the ledger: which count as active, and how long they are kept."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.retention import DAYS_FOR, prune
from apimart_cli.ledger.runs import beat, begin, clear_runs, finish, runs
from apimart_cli.records import Run
from apimart_cli.words import StoppedBy

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def run_of(began: datetime, **more: object) -> Run:
    return Run("0" * 12, "host", "default", None, None, began)._replace(**more)  # type: ignore[arg-type]


def others_of(
    path: Path, began: datetime, are_gone: Callable[[str], bool] = lambda _: False, *, ended: datetime
) -> int:
    """Run from one time to another, and return how many others were active."""
    number = begin(path, run_of(began), ended, processes="mine", are_gone=are_gone)
    return finish(path, number, run_of(began, ended=ended, exit_code=0))


def test_a_run_that_was_killed_is_not_active_once_its_processes_are_gone(path: Path) -> None:
    """Whoever killed it wrote no end; the next run sees that its processes are not there any more."""
    begin(path, run_of(NOON), NOON + 5 * MINUTE, processes="theirs")
    later = NOON + MINUTE
    assert others_of(path, later, lambda processes: processes == "theirs", ended=later + MINUTE) == 0


def test_a_run_that_is_killed_while_another_one_is_active_counts_for_that(path: Path) -> None:
    """It may have spent meanwhile."""
    first = begin(path, run_of(NOON), NOON + 5 * MINUTE, processes="theirs")
    beat(path, first, NOON + 5 * MINUTE, processes="theirs and its command")
    later = NOON + MINUTE
    seen: list[str] = []
    assert others_of(path, later, lambda processes: bool(seen.append(processes)), ended=later + MINUTE) == 1
    assert seen == ["theirs and its command"]


def test_where_nothing_names_its_processes_a_run_is_active_for_a_while(path: Path) -> None:
    """As on a system that does not tell."""
    begin(path, run_of(NOON), NOON + 5 * MINUTE)
    later = NOON + MINUTE
    assert others_of(path, later, lambda _processes: True, ended=later + MINUTE) == 1


def test_what_could_not_be_stopped_is_kept(path: Path) -> None:
    """And such a run was not stopped."""
    number = begin(path, run_of(NOON), NOON + MINUTE)
    ended = run_of(
        NOON, ended=NOON + MINUTE, spent=Decimal(4), stopped_by=StoppedBy.MAX_SPEND, exit_code=124, could_not_stop=2
    )
    finish(path, number, ended)
    with opened(path, seconds=5) as connection:
        assert runs(connection) == [ended]
    assert (ended.was_stopped, ended._replace(could_not_stop=0).was_stopped) == (False, True)
    assert ended._replace(exit_code=125, could_not_stop=0).was_stopped is False
    assert ended._replace(exit_code=None).was_stopped is None


def test_a_wrong_clock_deletes_no_runs(path: Path) -> None:
    """Three years ahead for one run; a clock that says the same a day later is believed, as for the readings."""
    with opened(path, seconds=5) as connection:
        prune(connection, NOON)
    others_of(path, NOON, ended=NOON + MINUTE)
    ahead = NOON + timedelta(days=1100)
    with opened(path, seconds=5) as connection:
        prune(connection, ahead)
    others_of(path, ahead, ended=ahead + MINUTE)
    with opened(path, seconds=5) as connection:
        assert len(runs(connection)) == 2
        prune(connection, ahead + timedelta(days=2))
        assert len(runs(connection)) == 1


def test_runs_are_kept_as_long_as_the_last_sample_of_a_day(path: Path) -> None:
    """And nothing of one that is deleted is left for the next one with its number."""
    others_of(path, NOON, ended=NOON + MINUTE)
    now = NOON
    with opened(path, seconds=5) as connection:
        while now < NOON + DAYS_FOR + timedelta(days=30):
            prune(connection, now)
            now += timedelta(days=25)
        assert runs(connection) == []
    others_of(path, now, ended=now + MINUTE)
    with opened(path, seconds=5) as connection:
        clear_runs(connection)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM run_facts").fetchone() == (0,)
