"""What is written to the ledger comes back as it was, and what changes nothing is not written twice."""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import PAGE, all_series, entries, latest, latest_of_profile, samples
from apimart_cli.ledger.schema import Entry
from apimart_cli.ledger.store import SAME_WITHIN, clear, record, rename
from support.ledger import NOW, OTHER, WORK, entry

MINUTE = timedelta(minutes=1)


def test_an_entry_comes_back_as_it_was(ledger: Connection) -> None:
    """Exactly, trailing zeros and all; what is unlimited and what has no unit, too. Before, there is nothing."""
    assert (latest(ledger, WORK), [*entries(ledger), *entries(ledger, WORK), *all_series(ledger)]) == (None, [])
    written = [
        entry(remain="10.500", used="0.000000000000000000000000000001", ago=2 * MINUTE),
        entry(remain="-0.25", used="999999999999999.123456789", ago=MINUTE),
        entry(series=OTHER, remain=None, unit=None),
    ]
    record(ledger, written)
    assert list(entries(ledger)) == written
    assert [str(each.remain) for each in entries(ledger)] == ["10.500", "-0.25", "None"]


def test_of_each_second_the_first_entry_counts(ledger: Connection) -> None:
    """Parts of a second are cut off, so that nothing is from the future; times are in UTC."""
    record(ledger, [entry(), entry(at=NOW + timedelta(microseconds=999_999), remain="9")])
    [found] = entries(ledger)
    assert (found, found.at.tzinfo) == (entry(), UTC)


@given(
    st.lists(
        st.decimals("-999999999999999", "999999999999999", allow_nan=False, allow_infinity=False, places=12),
        max_size=30,
    )
)
@settings(max_examples=10)
def test_every_amount_is_exact(amounts: list[Decimal]) -> None:
    """Amounts are text in the ledger, and plain numbers: none has an exponent."""
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "history.db", seconds=None) as ledger:
        amounts = [*amounts, Decimal("1E+3"), Decimal("1E-7")]
        hours = [timedelta(hours=number) for number in range(len(amounts))]
        record(ledger, [entry(at=NOW + at)._replace(remain=each) for at, each in zip(hours, amounts, strict=True)])
        assert [each.remain for each in entries(ledger)] == amounts
        assert ledger.execute("SELECT remain FROM samples ORDER BY at").fetchall()[-2:] == [("1000",), ("0.0000001",)]


@pytest.mark.parametrize(
    ("after", "change", "count"),
    [
        (SAME_WITHIN - timedelta(seconds=1), {"source": "balance", "profile": "other"}, 1),
        (SAME_WITHIN, {}, 2),
        (MINUTE, {"remain": "10.4"}, 2),
        (MINUTE, {"used": "2.4"}, 2),
        (MINUTE, {"unit": None}, 2),
        (MINUTE, {"remain": None}, 2),
        (MINUTE, {"series": OTHER}, 2),
    ],
)
def test_what_changes_nothing_is_not_written_again_within_ten_minutes(
    ledger: Connection, after: timedelta, change: dict[str, Any], count: int
) -> None:
    """Who asked is no change; after ten minutes it is news that nothing has changed."""
    record(ledger, [entry(), entry(at=NOW + after, **change)])
    assert len(list(entries(ledger))) == count


@pytest.mark.parametrize(
    "damage",
    [
        *(f"used = '{each}'" for each in ("NaN", "-Infinity", "1e999999", "1e-999999", "1000000000000000", "x")),
        "remain = 'sNaN x'",
        "at = 99999999999999",
    ],
)
def test_what_apimart_never_writes_is_an_error(ledger: Connection, damage: str) -> None:
    """The file was changed by another program: nothing is told from it."""
    record(ledger, [entry()])
    ledger.execute(f"UPDATE samples SET {damage}")
    for read in (samples, latest):
        with pytest.raises(LedgerError, match="did not write"):
            read(ledger, WORK)


def test_all_or_none_is_recorded(ledger: Connection) -> None:
    """An entry that cannot be written takes the others with it."""
    with pytest.raises(sqlite3.Error):
        record(ledger, [entry(), entry(series=OTHER)._replace(profile=None)])  # type: ignore[arg-type]
    assert list(entries(ledger)) == []


def test_an_entry_that_a_wrong_clock_wrote_in_the_future_does_not_count(ledger: Connection) -> None:
    """It is neither the latest up to now, nor what a reading is compared with."""
    record(ledger, [entry(), entry(at=datetime(2031, 1, 1, tzinfo=UTC), remain="1")])
    record(ledger, [entry(at=NOW + MINUTE)])
    assert latest(ledger, WORK, until=NOW + MINUTE) == entry()
    assert [each.at.year for each in entries(ledger)] == [2026, 2031]


def latest_of(ledger: Connection, profile: str = "work", until: datetime | None = None) -> Entry | None:
    return latest_of_profile(ledger, profile, WORK.host, WORK.scope, until=until)


def test_the_latest_of_a_profile_is_found_without_its_key(ledger: Connection) -> None:
    """A profile may have got another key, and share it with another one; what has another name now does not count."""
    renewed = WORK._replace(key_id="999999999999")
    record(ledger, [entry(ago=3 * MINUTE), entry(series=renewed, ago=MINUTE)])
    assert latest_of(ledger) == entry(series=renewed, ago=MINUTE)
    record(ledger, [entry(series=renewed, profile="home", used="3")])
    assert (latest_of(ledger, "home"), latest_of(ledger)) == (
        entry(series=renewed, profile="home", used="3"),
        entry(ago=3 * MINUTE),
    )
    record(ledger, [entry(profile="home", used="4")])
    assert latest_of(ledger) == entry(profile="home", used="4")
    assert latest_of_profile(ledger, "work", "another.example", WORK.scope) is None
    assert latest_of_profile(ledger, "work", WORK.host, OTHER.scope) is None


def test_the_last_entry_of_a_profile_up_to_a_time(ledger: Connection) -> None:
    """What a clock that was ahead has dated later is left out, and so is what an import has not completed."""
    for number in range(30):
        other = WORK._replace(key_id=f"{number:012x}")
        record(ledger, [entry(series=other, ago=(number + 2) * MINUTE, profile=f"other-{number}")])
    record(ledger, [entry(ago=2 * MINUTE, used="1"), entry(at=NOW + MINUTE, used="2")])
    assert latest_of(ledger) == entry(at=NOW + MINUTE, used="2")
    assert latest_of(ledger, until=NOW) == entry(ago=2 * MINUTE, used="1")
    assert latest_of(ledger, until=NOW - 3 * MINUTE) is None
    batch = ledger.execute("INSERT INTO labels (profile, unit, source, batch) VALUES ('work', 'USD', 'check', 1)")
    ledger.execute("INSERT INTO samples SELECT series, at + 60, ?, remain, used FROM samples", (batch.lastrowid,))
    assert latest_of(ledger, until=NOW) == entry(ago=2 * MINUTE, used="1")
    assert latest_of(ledger, "other-7") is not None


def test_entries_of_one_series_and_of_a_time(ledger: Connection) -> None:
    """Both ends are included."""
    for ago in range(5, -1, -1):
        record(ledger, [entry(series=series, ago=ago * MINUTE, used=str(9 - ago)) for series in (WORK, OTHER)])
    found = entries(ledger, OTHER, since=NOW - 4 * MINUTE, until=NOW - 2 * MINUTE)
    assert [str(each.used) for each in found] == ["5", "6", "7"]
    assert [each.series for each in entries(ledger, since=NOW)] == [WORK, OTHER]
    assert all_series(ledger) == [WORK, OTHER]


def test_more_entries_than_a_page_come_in_order(ledger: Connection, path: Path) -> None:
    """Each once; nothing is locked while they are used, as by an export into a pager that waits."""
    written = [entry(ago=timedelta(seconds=each), used=str(each)) for each in range(PAGE * 2 + 1, 0, -1)]
    record(ledger, written)
    assert list(entries(ledger)) == written
    reading = entries(ledger)
    next(reading)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM samples")
        other.execute("COMMIT")
    assert len(list(reading)) == PAGE - 1


def test_a_profile_is_renamed(ledger: Connection) -> None:
    """Also to a name that is there already; the entries of others stay."""
    record(
        ledger, [entry(ago=2 * MINUTE), entry(ago=MINUTE, profile="home", used="2.5"), entry(profile="third", used="3")]
    )
    rename(ledger, "work", "home")
    assert [each.profile for each in entries(ledger)] == ["home", "home", "third"]
    record(ledger, [entry(at=NOW + MINUTE, profile="home", used="4")])
    assert latest(ledger, WORK) == entry(at=NOW + MINUTE, profile="home", used="4")


def test_entries_are_cleared_by_profile_and_time(ledger: Connection) -> None:
    """Both conditions hold together; the time itself stays. After all, no name is left, and the ledger goes on."""
    for series, name, ages in ((WORK, "a", (3, 2)), (WORK, "b", (3, 2)), (OTHER, "b", (3, 2, 1))):
        record(ledger, [entry(series=series, ago=age * MINUTE, used=str(9 - age), profile=name) for age in ages])
    assert clear(ledger, profile="b", before=NOW - 2 * MINUTE) == 1
    assert clear(ledger, profile="b") == 2
    assert {each.profile for each in entries(ledger)} == {"a"}
    assert clear(ledger) == 2
    assert ledger.execute("SELECT profile FROM labels UNION SELECT key_id FROM series").fetchall() == []
    record(ledger, [entry()])
    assert list(entries(ledger)) == [entry()]


def test_many_entries_are_cleared_in_steps(ledger: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, whatever the size of a step."""
    monkeypatch.setattr("apimart_cli.ledger.store.STEP", 7)
    monkeypatch.setattr("apimart_cli.ledger.file.PAUSE", 0)
    record(ledger, [entry(ago=timedelta(seconds=each), used=str(each)) for each in range(100, 0, -1)])
    assert clear(ledger, before=NOW - timedelta(seconds=10)) == 90
    assert len(list(entries(ledger))) == 10
