"""Reading the ledger while answers travel."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger import file
from apimart_cli.ledger.place import LedgerError, NoLedgerError, Ours, check_file
from apimart_cli.ledger.recall import EVERY, Recall, Sought
from apimart_cli.ledger.store import remember
from apimart_cli.rules.spending import Sample
from support.ledger import NOW, WORK, entry
from support.stopwatch import Stopwatch
from support.tangled import tangle, with_large_pages

DAY = timedelta(days=1)
SOUGHT = Sought(
    hosts={WORK.host}, key_ids={WORK.key_id}, profiles=frozenset(), since=NOW - 35 * DAY, until=NOW + timedelta(hours=1)
)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "apimart-ledger":
            thread.join(10)


def samples_of(*entries: object) -> list[Sample]:
    return [Sample(each.at, each.remain, each.used) for each in entries]  # type: ignore[attr-defined]


def test_the_samples_of_a_key_are_recalled(path: Path) -> None:
    """In the order of their time, those that are too old or in the future left out."""
    kept = [entry(ago=3 * DAY, used="1"), entry(ago=DAY, used="2"), entry(used="3")]
    remember(path, [entry(ago=36 * DAY, used="0"), *kept, entry(ago=-2 * DAY, used="9")], NOW)
    assert Recall(path, SOUGHT).samples(WORK, 5) == samples_of(*kept)


def test_of_readings_that_stand_close_together_the_last_is_read(path: Path) -> None:
    """A loop that asks every second makes no forecast slow."""
    start = NOW.replace(minute=0, second=0, microsecond=0) - DAY
    seconds = [0, 1, 2, 299, 300, 301, 3000]
    remember(path, [entry(ago=NOW - start - timedelta(seconds=each), used=str(each)) for each in seconds], NOW)
    assert timedelta(seconds=300) == EVERY
    assert [int(sample.used) for sample in Recall(path, SOUGHT).samples(WORK, 5)] == [299, 301, 3000]


def test_other_keys_and_hosts_are_not_read(path: Path) -> None:
    """They are not there, and that is no error."""
    remember(path, [entry()], NOW)
    for sought in (SOUGHT._replace(key_ids={"0" * 12}), SOUGHT._replace(hosts={"other.example"})):
        assert Recall(path, sought).samples(WORK, 5) == []


def test_a_key_that_is_not_known_yet_is_found_by_its_profile(path: Path) -> None:
    """A key that a command gives is known only when the question is asked."""
    remember(path, [entry(profile="old", ago=DAY, used="1"), entry(profile="new", used="2")], NOW)
    by_name = SOUGHT._replace(key_ids=frozenset(), profiles={"new"})
    assert len(Recall(path, by_name).samples(WORK, 5)) == 2
    assert Recall(path, by_name._replace(profiles={"old"})).samples(WORK, 5) == []


def test_what_cannot_be_read_is_an_error_of_the_ledger(path: Path) -> None:
    """No file, and one that is not ours."""
    with pytest.raises(NoLedgerError):
        Recall(path, SOUGHT).samples(WORK, 5)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_text("something else")
    with pytest.raises(LedgerError, match="not a ledger of apimart"):
        Recall(path, SOUGHT).samples(WORK, 5)


def test_a_disk_that_hangs_costs_as_long_as_is_allowed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is an error, and the thread is left to itself."""
    remember(path, [entry()], NOW)
    wakes_up = threading.Event()

    def hang(path: Path) -> Ours:
        wakes_up.wait(10)
        return check_file(path)

    monkeypatch.setattr(file, "check_file", hang)
    recall = Recall(path, SOUGHT)
    watch = Stopwatch()
    with pytest.raises(LedgerError, match="was not read in time"):
        recall.samples(WORK, 0.2)
    took = watch.took()
    assert took.seconds > 0.15
    took.assert_within(2)
    wakes_up.set()
    assert recall.samples(WORK, 5) == samples_of(entry())


def test_what_is_stopped_ends_in_the_middle_of_a_query(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file may keep SQLite busy long after the command has its answer."""
    remember(path, [entry()], NOW)
    with_large_pages(path)
    tangle(path, "labels")
    monkeypatch.setattr("apimart_cli.ledger.file._LEAST_ROUNDS", 2**40)
    recall = Recall(path, SOUGHT)
    with pytest.raises(LedgerError, match="was not read in time"):
        recall.samples(WORK, 0.4)
    [thread] = [each for each in threading.enumerate() if each.name == "apimart-ledger"]
    recall.stop()
    thread.join(30)
    assert not thread.is_alive()
