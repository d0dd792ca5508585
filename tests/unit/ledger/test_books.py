"""What the ledger keeps of the gateway's books: an answer for an hour, a failure with its back-off, a floor."""

import sqlite3
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.ledger.books import (
    LASTS,
    MOST_ROWS,
    KeptBooks,
    clear_books,
    failed_with,
    floor_of,
    keep,
    keep_floor,
    kept,
    last_kept,
    note_failure,
)
from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.schema import MIGRATIONS, Series
from apimart_cli.ledger.upkeep import clear_samples
from apimart_cli.words import Scope
from support.ledger import OTHER, WORK

NOW = 1_796_000_000.0
ANSWER = KeptBooks(NOW, date(2026, 11, 20), [Decimal("0"), Decimal("1.50"), Decimal("0.000001")])


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def connection(ledger: Path) -> Iterator[Connection]:
    with opened(ledger, seconds=None) as found:
        yield found


def test_an_answer_is_kept_for_an_hour(connection: Connection) -> None:
    """To the last digit; then it is asked for again. One from a clock that is ahead is none."""
    keep(connection, WORK, "UTC", ANSWER)
    assert kept(connection, WORK, "UTC", NOW) == ANSWER
    assert kept(connection, WORK, "UTC", NOW + LASTS - 1) == ANSWER
    assert kept(connection, WORK, "UTC", NOW + LASTS) is None
    assert kept(connection, WORK, "UTC", NOW - 61) is None
    assert last_kept(connection, WORK, NOW) == ("UTC", ANSWER)


@pytest.mark.parametrize(
    "other", [OTHER, WORK._replace(host="h"), WORK._replace(key_id="0" * 12), WORK._replace(scope=Scope.ACCOUNT)]
)
def test_it_is_filed_by_key_host_scope_and_zone(connection: Connection, other: Series) -> None:
    """Another of any of them is another question."""
    keep(connection, WORK, "UTC", ANSWER)
    assert kept(connection, other, "UTC", NOW) is None
    assert kept(connection, WORK, "Asia/Tokyo", NOW) is None
    assert last_kept(connection, other, NOW) is None


@pytest.mark.parametrize(
    "row",
    [
        (NOW, "2026-11-20", "1 x"),
        (NOW, "2026-11-20", "1 -1"),
        (NOW, "2026-11-20", "1 NaN"),
        (NOW, "2026-11-20", ""),
        (NOW, "2026-11-20", " ".join(["1"] * 41)),
        (NOW, "yesterday", "1"),
        ("now", "2026-11-20", "1"),
        (NOW, "2026-11-20", b"1"),
        (NOW, 5, "1"),
    ],
)
def test_what_apimart_did_not_write_is_no_answer(connection: Connection, row: tuple[object, ...]) -> None:
    """It is asked for again, and written over."""
    connection.execute("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)", (*WORK, "UTC", *row))
    assert kept(connection, WORK, "UTC", NOW) is None
    keep(connection, WORK, "UTC", ANSWER)
    assert kept(connection, WORK, "UTC", NOW) == ANSWER


def test_a_failure_is_remembered_for_a_minute_and_then_longer(connection: Connection) -> None:
    """A minute, two, four, up to a quarter of an hour; an answer ends that."""
    assert failed_with(connection, WORK, "UTC", NOW) is None
    now = NOW
    for wait in (60, 120, 240, 480, 900, 900):
        note_failure(connection, WORK, "UTC", now, "unavailable")
        assert failed_with(connection, WORK, "UTC", now + wait - 1) == "unavailable"
        assert failed_with(connection, WORK, "UTC", now + wait) is None
        now += wait
    keep(connection, WORK, "UTC", ANSWER)
    assert failed_with(connection, WORK, "UTC", now) is None
    note_failure(connection, WORK, "UTC", now, "bad_response", retry_after=500)
    assert failed_with(connection, WORK, "UTC", now + 499) == "bad_response"
    assert failed_with(connection, WORK, "Asia/Tokyo", now) is None


def test_it_does_not_grow_for_ever(connection: Connection) -> None:
    """The oldest answers go."""
    for number in range(MOST_ROWS + 5):
        connection.execute(
            "INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*WORK._replace(host=f"h{number}"), "UTC", number, "2026-11-20", "1"),
        )
    keep(connection, WORK, "UTC", ANSWER)
    assert connection.execute("SELECT count(*) FROM books").fetchone() == (MOST_ROWS,)
    assert kept(connection, WORK, "UTC", NOW) == ANSWER


def test_a_floor_is_kept_by_host(connection: Connection) -> None:
    """The last one that was told; what is not an amount is none."""
    assert floor_of(connection, "h") is None
    keep_floor(connection, "h", Decimal("0.05"))
    keep_floor(connection, "h", Decimal("0.10"))
    assert (floor_of(connection, "h"), floor_of(connection, "i")) == (Decimal("0.10"), None)
    connection.execute("UPDATE state SET value = 'much' WHERE name = 'floor h'")
    assert floor_of(connection, "h") is None


def test_clearing_the_history_clears_the_books(ledger: Path) -> None:
    """All of it; a part of the history is no reason."""
    with opened(ledger, seconds=None) as connection:
        keep(connection, WORK, "UTC", ANSWER)
    clear_samples(ledger, profile="work")
    with opened(ledger, seconds=None) as connection:
        assert kept(connection, WORK, "UTC", NOW) == ANSWER
    clear_samples(ledger)
    with opened(ledger, seconds=None) as connection:
        assert kept(connection, WORK, "UTC", NOW) is None
        clear_books(connection)


def test_an_older_ledger_gets_the_table(ledger: Path) -> None:
    """What it held stays."""
    with opened(ledger, seconds=None) as connection:
        keep_floor(connection, "h", Decimal(1))
    with sqlite3.connect(ledger) as database:
        database.execute("DROP TABLE books")
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    database.close()
    with opened(ledger, seconds=None) as connection:
        keep(connection, WORK, "UTC", ANSWER)
        assert floor_of(connection, "h") == 1
