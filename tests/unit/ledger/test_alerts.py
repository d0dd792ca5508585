"""Alerts in the ledger: each is claimed once, by one process, and a ledger that fails says so at once."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.choices import AlertEvent
from apimart_cli.ledger.alarms import MOST_ROWS, AlertCheck, claim
from apimart_cli.ledger.file import Connection, opened, transaction
from apimart_cli.ledger.place import LedgerError
from apimart_cli.rules.alerts import AlarmQuestion, Standing
from apimart_cli.words import Scope
from support.stopwatch import Stopwatch

D = Decimal
NOW = 1_795_000_000.0
MIN_5 = AlarmQuestion("d995c5dc5253", "api.apimart.ai", Scope.KEY, "min 5")
LOW = Standing(is_low=True, is_safe=False, total=D("12.30"))
BETWEEN = Standing(is_low=False, is_safe=False, total=D("12.30"))
SAFE = Standing(is_low=False, is_safe=True, total=D("12.30"))


def told(
    path: Path, standing: Standing, at: float = 0, *, question: AlarmQuestion = MIN_5, remind: float | None = None
) -> AlertEvent | None:
    """Claim one question, so many seconds after NOW; return what is to be told."""
    [(event, _)] = claim(path, [AlertCheck(question, standing, remind)], NOW + at, seconds=5)
    return event


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM alerts ORDER BY at").fetchall()


@pytest.mark.parametrize(("remind", "told_at"), [(None, [0]), (86_400, [0, 24, 48])])
def test_days_of_questions_are_one_alert(path: Path, remind: float | None, told_at: list[int]) -> None:
    """Each question is a process of its own for all that the ledger knows. A reminder comes where it is set."""
    events = [told(path, LOW, 3600 * hour, remind=remind) for hour in range(50)]
    assert [hour for hour, event in enumerate(events) if event is AlertEvent.LOW] == told_at


def test_it_is_told_again_after_it_has_recovered(path: Path) -> None:
    """And what has recovered leaves nothing behind."""
    events = [told(path, each) for each in (LOW, BETWEEN, LOW, SAFE, SAFE)]
    assert events == [AlertEvent.LOW, None, None, AlertEvent.RECOVERED, None]
    assert rows(path) == []
    assert told(path, LOW) is AlertEvent.LOW


def test_a_top_up_is_seen_across_processes(path: Path) -> None:
    """Two readings agree on it, whoever took them."""
    more = LOW._replace(total=D("13.30"))
    assert [told(path, each) for each in (LOW, more, more, more)] == [AlertEvent.LOW, None, AlertEvent.LOW, None]


def test_questions_are_claimed_together_and_do_not_disturb_each_other(path: Path) -> None:
    """One transaction for all that one process asks."""
    other = MIN_5._replace(threshold="min 6")
    assert told(path, LOW, question=other) is AlertEvent.LOW
    questions = ((MIN_5, LOW), (other, LOW), (MIN_5._replace(host="h"), SAFE))
    asked = [AlertCheck(question, standing, None) for question, standing in questions]
    assert [event for event, _ in claim(path, asked, NOW, seconds=5)] == [AlertEvent.LOW, None, None]


def test_of_many_at_once_one_has_it(path: Path) -> None:
    """Each with a connection of its own, as separate processes have."""
    begin = threading.Barrier(8)

    def ask(_number: int) -> AlertEvent | None:
        begin.wait()
        return told(path, LOW)

    with ThreadPoolExecutor(8) as pool:
        events = list(pool.map(ask, range(8)))
    assert sorted(map(str, events)) == ["None"] * 7 + ["low"]


def test_what_another_process_claimed_meanwhile_is_not_told_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first look, and before the ledger is ours, that process may have claimed the same alert."""

    @contextmanager
    def after_another(connection: Connection) -> Iterator[None]:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?)", (*MIN_5, round(NOW * 1000), "12.30", None))
        with transaction(connection):
            yield

    told(path, SAFE)
    monkeypatch.setattr("apimart_cli.ledger.alarms.transaction", after_another)
    assert told(path, LOW) is None


def test_what_changes_nothing_locks_nothing(path: Path) -> None:
    """As nearly always: another process may write meanwhile, for as long as it likes."""
    told(path, LOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert told(path, LOW) is None
        assert told(path, SAFE, question=MIN_5._replace(host="h")) is None


def test_a_busy_ledger_is_given_up_in_time(path: Path) -> None:
    """Whoever asks can alert all the same."""
    told(path, SAFE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        watch = Stopwatch()
        with pytest.raises(LedgerError):
            claim(path, [AlertCheck(MIN_5, LOW, None)], NOW, seconds=0.2)
        watch.took().assert_within(0.6)


@pytest.mark.parametrize("total", ["much", b"12", ""])
def test_an_alarm_that_is_not_readable_is_none(path: Path, total: object) -> None:
    """It is told again, and written anew: amounts are text with every digit, the moment is in milliseconds."""
    told(path, LOW._replace(total=D("1E-28")))
    assert rows(path) == [(*MIN_5, round(NOW * 1000), f"{D('1E-28'):f}", None)]
    with opened(path) as connection, transaction(connection):
        connection.execute("UPDATE alerts SET total = ?", (total,))
    assert [told(path, LOW), told(path, LOW)] == [AlertEvent.LOW, None]


def test_the_oldest_are_forgotten_where_there_are_too_many(path: Path) -> None:
    """Each sandbox has a host of its own, and nobody asks it again."""
    asked = [AlertCheck(MIN_5._replace(host=f"localhost:{port}"), LOW, None) for port in range(MOST_ROWS)]
    claim(path, asked, NOW, seconds=5)
    told(path, LOW, 60)
    assert rows(path)[-1][:4] == MIN_5
    assert len(rows(path)) <= MOST_ROWS + 1
