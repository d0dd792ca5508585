"""What the ledger keeps of the gateway's books: an answer for an hour, a failure with its back-off, a floor."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.ledger.books import (
    LASTS,
    MOST_ROWS,
    KeptBooks,
    failed_with,
    floor_of,
    keep,
    keep_floor,
    kept,
    last_kept,
    note_failure,
)
from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.schema import Series
from apimart_cli.ledger.upkeep import clear_samples
from apimart_cli.words import Scope
from support.ledger import OTHER, WORK

NOW = 1_796_000_000.0
ANSWER = KeptBooks(NOW, date(2026, 11, 20), [Decimal("0"), Decimal("1.50"), Decimal("0.000001")])


def test_an_answer_is_kept_for_an_hour(ledger: Connection) -> None:
    """To the last digit; then it is asked for again. One from a clock that is ahead is none."""
    keep(ledger, WORK, "UTC", ANSWER)
    assert kept(ledger, WORK, "UTC", NOW) == ANSWER
    assert kept(ledger, WORK, "UTC", NOW + LASTS - 1) == ANSWER
    assert kept(ledger, WORK, "UTC", NOW + LASTS) is None
    assert kept(ledger, WORK, "UTC", NOW - 61) is None
    assert last_kept(ledger, WORK, NOW) == ("UTC", ANSWER)


@pytest.mark.parametrize(
    "other", [OTHER, WORK._replace(host="h"), WORK._replace(key_id="0" * 12), WORK._replace(scope=Scope.ACCOUNT)]
)
def test_it_is_filed_by_key_host_scope_and_zone(ledger: Connection, other: Series) -> None:
    """Another of any of them is another question."""
    keep(ledger, WORK, "UTC", ANSWER)
    assert kept(ledger, other, "UTC", NOW) is None
    assert kept(ledger, WORK, "Asia/Tokyo", NOW) is None
    assert last_kept(ledger, other, NOW) is None


@pytest.mark.parametrize(
    "row",
    [
        (NOW, "2026-11-20", "1 x"),
        (NOW, "2026-11-20", "1 -1"),
        (NOW, "2026-11-20", "1 NaN"),
        (NOW, "2026-11-20", ""),
        (NOW, "2026-11-20", " ".join(["1"] * 41)),
        (NOW, "2026-11-20", b"1"),
        (NOW, "yesterday", "1"),
        (NOW, 5, "1"),
        ("now", "2026-11-20", "1"),
    ],
)
def test_what_apimart_did_not_write_is_no_answer(ledger: Connection, row: tuple[object, ...]) -> None:
    """It is asked for again, and written over."""
    ledger.execute("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)", (*WORK, "UTC", *row))
    assert kept(ledger, WORK, "UTC", NOW) is None
    keep(ledger, WORK, "UTC", ANSWER)
    assert kept(ledger, WORK, "UTC", NOW) == ANSWER


def test_a_failure_is_remembered_for_a_minute_and_then_longer(ledger: Connection) -> None:
    """A minute, two, four, up to a quarter of an hour; an answer ends that."""
    assert failed_with(ledger, WORK, "UTC", NOW) is None
    now = NOW
    for wait in (60, 120, 240, 480, 900, 900):
        note_failure(ledger, WORK, "UTC", now, "unavailable")
        assert failed_with(ledger, WORK, "UTC", now + wait - 1) == "unavailable"
        assert failed_with(ledger, WORK, "UTC", now + wait) is None
        now += wait
    keep(ledger, WORK, "UTC", ANSWER)
    assert failed_with(ledger, WORK, "UTC", now) is None
    note_failure(ledger, WORK, "UTC", now, "bad_response", retry_after=500)
    assert failed_with(ledger, WORK, "UTC", now + 499) == "bad_response"
    assert failed_with(ledger, WORK, "Asia/Tokyo", now) is None


def test_it_does_not_grow_for_ever(ledger: Connection) -> None:
    """The oldest answers go."""
    for number in range(MOST_ROWS + 5):
        values = (*WORK._replace(host=f"h{number}"), "UTC", number, "2026-11-20", "1")
        ledger.execute("INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    keep(ledger, WORK, "UTC", ANSWER)
    assert ledger.execute("SELECT count(*) FROM books").fetchone() == (MOST_ROWS,)
    assert kept(ledger, WORK, "UTC", NOW) == ANSWER


def test_a_floor_is_kept_by_host(ledger: Connection) -> None:
    """The last one that was told; what is not an amount is none."""
    assert floor_of(ledger, "h") is None
    for floor in ("0.05", "0.10"):
        keep_floor(ledger, "h", Decimal(floor))
    assert (floor_of(ledger, "h"), floor_of(ledger, "i")) == (Decimal("0.10"), None)
    ledger.execute("UPDATE state SET value = 'much' WHERE name = 'floor h'")
    assert floor_of(ledger, "h") is None


@pytest.mark.parametrize(("profile", "left"), [("work", ANSWER), (None, None)])
def test_clearing_the_history_clears_the_books(path: Path, profile: str | None, left: KeptBooks | None) -> None:
    """All of it; a part of the history is no reason."""
    with opened(path, seconds=None) as ledger:
        keep(ledger, WORK, "UTC", ANSWER)
    clear_samples(path, profile=profile)
    with opened(path, seconds=None) as ledger:
        assert kept(ledger, WORK, "UTC", NOW) == left
