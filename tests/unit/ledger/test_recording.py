"""Recording beside an answer: at most a quarter of a second, and no error but that of the ledger."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger import file, queries, store
from apimart_cli.ledger.place import LedgerError, Ours, make_file
from apimart_cli.ledger.schema import Entry
from apimart_cli.ledger.store import remember
from support.ledger import NOW, entry
from support.stopwatch import Stopwatch

DAY = timedelta(days=1)


def recorded(path: Path) -> list[Entry]:
    """All that is in the ledger."""
    with file.opened(path, create=False) as connection:
        return list(queries.entries(connection))


def test_what_is_remembered_is_in_the_ledger(path: Path) -> None:
    """In the order of its time."""
    remember(path, [entry(ago=3 * DAY, used="1"), entry()], NOW)
    assert recorded(path) == [entry(ago=3 * DAY, used="1"), entry()]


def test_it_prunes_what_is_too_old(path: Path) -> None:
    """Beside the answer, in what is left of the time."""
    remember(path, [entry(ago=800 * DAY), entry()], NOW)
    assert recorded(path) == [entry()]


@pytest.mark.usefixtures("usual_patience")
def test_a_disk_that_hangs_costs_a_quarter_of_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time limit of SQLite would end that."""
    wakes_up = threading.Event()

    def hang(path: Path) -> Ours:
        wakes_up.wait(10)
        return make_file(path)

    monkeypatch.setattr(file, "make_file", hang)
    watch = Stopwatch()
    with pytest.raises(LedgerError, match=r"did not answer within 0\.25 seconds"):
        remember(path, [entry()], NOW)
    watch.took().assert_within(2)
    wakes_up.set()
    for thread in threading.enumerate():
        if thread.name == "apimart-ledger":
            thread.join(10)


def test_a_bug_is_not_hidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the thread raises is raised."""
    monkeypatch.setattr(store, "record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        remember(path, [entry()], NOW)


def test_text_that_is_no_text_is_an_error_of_the_ledger(path: Path) -> None:
    """A profile name from bytes that are not UTF-8."""
    with pytest.raises(LedgerError):
        remember(path, [entry(profile="a\udc80b")], NOW)
    assert recorded(path) == []
