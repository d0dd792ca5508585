"""Claims and the back-off of refreshes: one process at a time, and none too often."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.errors import LONGEST_RETRY_AFTER
from apimart_cli.ledger.file import Connection, opened, transaction
from apimart_cli.ledger.refreshes import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_ROWS,
    Refreshing,
    _store,
    claim,
    fail,
    look,
    name_of,
    settle,
)

NOW = 1_795_000_000.0
NAME = name_of("work", "api.apimart.ai", "key")


def is_claimed(ledger: Connection, at: float, seconds: float = 15) -> bool:
    return claim(ledger, NAME, at, seconds=seconds)


@pytest.mark.parametrize(("seconds", "held"), [(15, FIRST_WAIT), (600, 600)])
def test_a_claim_is_had_once(ledger: Connection, seconds: float, held: float) -> None:
    """For as long as the question may take, and a minute at least: its process may have been killed."""
    assert is_claimed(ledger, NOW, seconds)
    assert not is_claimed(ledger, NOW)
    assert not is_claimed(ledger, NOW + held - 1)
    assert is_claimed(ledger, NOW + held)


def test_an_answer_allows_the_next_question_at_once(ledger: Connection) -> None:
    """How often is a matter of the age that is allowed; failures are forgotten."""
    for number in range(3):
        assert is_claimed(ledger, NOW + number * 1000)
    settle(ledger, NAME, NOW + 2001)
    assert look(ledger, NAME) == Refreshing(confirmed_at=NOW + 2001)
    assert is_claimed(ledger, NOW + 2001)
    assert look(ledger, NAME) == Refreshing(NOW + 2001, 1, NOW + 2001, FIRST_WAIT, "")


def test_the_pause_doubles_after_each_failure(ledger: Connection) -> None:
    """From a minute to a quarter of an hour; the gateway may ask for more, for a day at most."""
    at, waits = NOW, []
    for asked in (None, 0, 30, None, None, None, None, 3600, 1e300):
        assert is_claimed(ledger, at)
        fail(ledger, NAME, at + 2, "unavailable", retry_after=asked)
        waits.append(look(ledger, NAME).wait)
        assert not is_claimed(ledger, at + 2 + waits[-1] - 1)
        at += 2 + waits[-1]
    assert waits == [60, 120, 240, 480, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT, 3600, LONGEST_RETRY_AFTER]
    assert look(ledger, NAME).reason == "unavailable"


def test_a_clock_that_is_put_back_locks_nobody_out(ledger: Connection) -> None:
    """What was noted in its future counts no more, but of two that start at once, the earlier may come second."""
    assert is_claimed(ledger, NOW)
    assert not is_claimed(ledger, NOW - 0.001)
    assert not is_claimed(ledger, NOW - 30)
    assert is_claimed(ledger, NOW - 86_400)


def test_questions_do_not_share_a_claim(ledger: Connection) -> None:
    """Each key, or profile where its key is not known, host and scope has its own, whatever it is called."""
    asked = [
        ("a", "h", "key"),
        ("a", "h", "account"),
        ("b", "h", "key"),
        ("a'", "h", "key"),
        ("a', 'h", "", ""),
        ("a", "h", "key", "d995c5dc5253"),
        ("b", "h", "account", "d995c5dc5253"),
        ("a", "h", "key", "bbbbbbbbbbbb"),
        ("key", "d995c5dc5253", "h"),
    ]
    names = [name_of(*each) for each in asked]
    assert len(set(names)) == len(names)
    assert all(claim(ledger, name, NOW, seconds=1) for name in names)


@pytest.mark.parametrize("value", ["", "1 2 3", "a b c d", "nan 1 1 1 x", "1e999 1 1 1", "1 1.5 1 1", b"\xff", 5])
def test_what_nobody_wrote_counts_as_nothing(ledger: Connection, value: object) -> None:
    """A row that is not ours, or half of one, keeps no refresh away for ever."""
    ledger.execute("INSERT INTO state VALUES (?, ?)", (NAME, value))
    assert is_claimed(ledger, NOW)
    settle(ledger, NAME, NOW)
    assert look(ledger, NAME) == Refreshing(confirmed_at=NOW)


@given(confirmed=st.floats(0, 1e10), since=st.floats(0, 1e10), wait=st.floats(0, 86_400), failures=st.integers(0, 100))
@settings(max_examples=50)
def test_what_is_noted_is_read_again(confirmed: float, since: float, wait: float, failures: int) -> None:
    """Exactly."""
    noted = Refreshing(confirmed, failures, since, wait, "not recorded")
    with closing(sqlite3.connect(":memory:", factory=Connection)) as ledger:
        ledger.execute("CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        _store(ledger, NAME, noted)
        assert look(ledger, NAME) == noted


def test_questions_that_nobody_asks_again_are_forgotten(ledger: Connection) -> None:
    """The ledger does not grow with every sandbox; what else it remembers stays."""
    names = [(name_of("a", f"127.0.0.1:{port}", "key"), "0 0 0 0") for port in range(MOST_ROWS)]
    with transaction(ledger):
        ledger.executemany("INSERT INTO state VALUES (?, ?)", [*names, ("pruned_at", "1")])
    assert is_claimed(ledger, NOW)
    assert not is_claimed(ledger, NOW)
    assert ledger.execute("SELECT count(*) FROM state").fetchone() == (2,)


def test_of_many_at_once_one_has_the_claim(path: Path) -> None:
    """The others are told that they have not."""

    def try_it(_number: int) -> bool:
        with opened(path, seconds=None) as ledger:
            return is_claimed(ledger, NOW)

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(try_it, range(10))) == [False] * 9 + [True]
