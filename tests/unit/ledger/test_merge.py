"""Importing: all or nothing, seen by others only when it is complete, duplicates ignored."""

import json
import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from filelock import FileLock

from apimart_cli.errors import UsageError
from apimart_cli.ledger import merge as merging
from apimart_cli.ledger.file import Connection
from apimart_cli.ledger.merge import Staged, merge
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import all_series, entries, extent, latest, profiles, samples
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import clear, record
from apimart_cli.ledger.upkeep import document_of
from apimart_cli.words import Scope
from support.ledger import NOW, OTHER, WORK, entry

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "STEP", 7)
    monkeypatch.setattr("apimart_cli.ledger.file.PAUSE", 0)


def line(each: Entry) -> str:
    return json.dumps(document_of(each), default=float)


MANY = [
    entry(series=series, ago=ago * SECOND, used=str(500 - ago)) for series in (WORK, OTHER) for ago in range(50, 0, -1)
]


def import_lines(ledger: Connection, lines: list[str]) -> int:
    with Staged(lines, NOW) as staged:
        return merge(ledger, staged, NOW)


def test_what_is_imported_is_there_once(ledger: Connection) -> None:
    """In the order of the times, whatever that of the lines; empty lines do not count, what is there stays as it is."""
    assert import_lines(ledger, ["\n", *[f"{line(each)}\n" for each in reversed(MANY)], " \n"]) == 100
    assert [*entries(ledger, WORK), *entries(ledger, OTHER)] == MANY
    again = [MANY[0]._replace(remain=Decimal(77)), *MANY, entry(), entry(profile="again")]
    assert import_lines(ledger, [line(each) for each in again]) == 1
    assert list(entries(ledger, WORK)) == [*MANY[:50], entry()]


def test_one_wrong_line_and_nothing_is_imported(ledger: Connection) -> None:
    """Its number counts empty lines, too."""
    with pytest.raises(UsageError, match=r"^line 101: "):
        Staged([*[line(each) for each in MANY[:99]], "", "{"], NOW)
    assert list(entries(ledger)) == []


def test_too_many_different_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are kept in memory."""
    monkeypatch.setattr(merging, "MOST_NAMES", 3)
    lines = [line(entry(series=Series(f"{number:012x}", "h", Scope.KEY), ago=number * SECOND)) for number in range(4)]
    with pytest.raises(UsageError, match="more than 3"):
        Staged(lines, NOW)


def test_a_failure_on_the_way_leaves_nothing(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full after some steps."""
    record(ledger, [entry(profile="mine")])
    steps = fail_after(monkeypatch, 3)
    with pytest.raises(sqlite3.OperationalError):
        import_lines(ledger, [line(each) for each in MANY])
    assert steps == [3]
    assert list(entries(ledger)) == [entry(profile="mine")]
    assert ledger.execute("SELECT count(*) FROM samples").fetchone() == (1,)
    assert ledger.execute("SELECT count(*) FROM labels WHERE batch IS NOT NULL").fetchone() == (0,)


def fail_after(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """Let the import fail after so many steps; return how many there were."""
    taken = [0]
    original = merging.series_id

    def series_id(connection: sqlite3.Connection, series: Series) -> int:
        if taken[0] == count:
            raise sqlite3.OperationalError("database or disk is full")
        taken[0] += 1
        return original(connection, series)

    monkeypatch.setattr(merging, "series_id", series_id)
    return taken


def half_imported(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the ledger as an import does that was killed."""
    with monkeypatch.context() as patch:
        fail_after(patch, 3)
        patch.setattr(merging, "forget_import", lambda *_: None)
        with pytest.raises(sqlite3.OperationalError):
            import_lines(ledger, [line(each) for each in MANY])
    assert ledger.execute("SELECT count(*) FROM samples").fetchone()[0] >= 21


def test_nobody_sees_an_import_that_is_not_complete(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded meanwhile is there; only that is cleared, and counted."""
    half_imported(ledger, monkeypatch)
    assert (latest(ledger, WORK), extent(ledger, WORK)) == (None, None)
    assert [*entries(ledger), *samples(ledger, WORK), *all_series(ledger), *profiles(ledger)] == []
    record(ledger, [entry()])
    assert list(entries(ledger)) == [entry()]
    assert len(samples(ledger, WORK)) == 1
    assert (extent(ledger, WORK), profiles(ledger)) == ((NOW, NOW, 1), ["work"])
    (before,) = ledger.execute("SELECT count(*) FROM samples").fetchone()
    assert clear(ledger) == 1
    assert ledger.execute("SELECT count(*) FROM samples").fetchone() == (before - 1,)


def test_what_a_killed_import_left_is_deleted_after_a_day(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before: it may still be at work."""
    half_imported(ledger, monkeypatch)
    record(ledger, [entry()])
    prune(ledger, NOW)
    assert ledger.execute("SELECT count(*) FROM samples").fetchone()[0] > 1
    prune(ledger, NOW + timedelta(days=2))
    assert ledger.execute("SELECT (SELECT count(*) FROM samples), (SELECT count(*) FROM labels)").fetchone() == (1, 1)


def test_the_next_import_brings_all_that_a_killed_one_left(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody can see is no duplicate: it is deleted first."""
    half_imported(ledger, monkeypatch)
    assert import_lines(ledger, [line(each) for each in MANY]) == 100
    assert list(entries(ledger)) == MANY
    assert ledger.execute("SELECT count(*) FROM labels WHERE batch IS NOT NULL").fetchone() == (0,)


def test_one_import_at_a_time(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other one has not completed yet would be taken for a duplicate, and be lost if it failed."""
    monkeypatch.setattr(merging, "PATIENT_SECONDS", 0.1)
    path = ledger.execute("PRAGMA database_list").fetchone()[2]
    assert import_lines(ledger, [line(entry())]) == 1
    assert Path(f"{path}.import").stat().st_mode & 0o777 == 0o600
    with FileLock(f"{path}.import"), pytest.raises(LedgerError, match=r"another import into .* is at work"):
        import_lines(ledger, [line(entry(remain="1"))])


def test_old_samples_that_are_imported_are_pruned(ledger: Connection) -> None:
    """Although the ledger was pruned today."""
    assert prune(ledger, NOW)
    old = [entry(ago=timedelta(days=100, hours=hours), used=str(50 - hours)) for hours in range(4)]
    import_lines(ledger, [line(each) for each in old])
    prune(ledger, NOW)
    assert list(entries(ledger)) == [old[0]]
