"""Reading the ledger while answers travel, and recording beside them: in little time, with errors of the ledger."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger import file, queries, store
from apimart_cli.ledger.place import LedgerError, NoLedgerError, Ours, check_file, make_file
from apimart_cli.ledger.recall import EVERY, Recall, Sought
from apimart_cli.ledger.schema import Entry
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


def hanging(opens: Callable[[Path], Ours], wakes_up: threading.Event) -> Callable[[Path], Ours]:
    """Return what opens a file on a disk that hangs."""

    def hang(path: Path) -> Ours:
        wakes_up.wait(10)
        return opens(path)

    return hang


def samples_of(*entries: Entry) -> list[Sample]:
    return [Sample(each.at, each.remain, each.used) for each in entries]


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

    monkeypatch.setattr(file, "check_file", hanging(check_file, wakes_up))
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

    monkeypatch.setattr(file, "make_file", hanging(make_file, wakes_up))
    watch = Stopwatch()
    with pytest.raises(LedgerError, match=r"did not answer within 0\.25 seconds"):
        remember(path, [entry()], NOW)
    watch.took().assert_within(2)
    wakes_up.set()


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
