"""The file of the ledger: made private, refused when it is not ours, set aside when it is damaged, never waited for."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger.file import opened, set_aside, transaction
from apimart_cli.ledger.place import LedgerError, NoLedgerError, check_file
from apimart_cli.ledger.queries import entries, latest
from apimart_cli.ledger.schema import APPLICATION_ID, MIGRATIONS
from apimart_cli.ledger.store import clear, record
from support.ledger import WORK, entry
from support.stopwatch import Stopwatch


def write(path: Path, **changes: str) -> None:
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry(**changes)])  # type: ignore[arg-type]


def write_quickly(path: Path) -> None:
    with opened(path) as ledger:
        record(ledger, [entry(used="5")])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o477, 0o777])
def test_folder_and_file_are_private_whatever_the_umask(path: Path, umask: int) -> None:
    """0700 and 0600, and they work."""
    before = os.umask(umask)
    try:
        write(path)
    finally:
        os.umask(before)
    assert [mode(each) for each in (path.parent, path)] == [0o700, 0o600]
    with opened(path) as ledger:
        assert latest(ledger, WORK) == entry()


def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    """Another process may be about to make it. The permissions of a folder that is there are not ours to change."""
    path.parent.mkdir(parents=True, mode=0o755)
    path.touch(0o644)
    write(path)
    assert (mode(path.parent), mode(path)) == (0o755, 0o600)


def test_the_file_says_whose_it_is(path: Path) -> None:
    """In its header, with the version."""
    write(path)
    header = path.read_bytes()[:100]
    assert (header[68:72], header[60:64]) == (APPLICATION_ID.to_bytes(4, "big"), len(MIGRATIONS).to_bytes(4, "big"))
    with opened(path) as ledger:
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_link_is_followed_and_stays_a_link(path: Path, tmp_path: Path) -> None:
    """People keep the real file elsewhere; the journal and a damaged file lie beside that one."""
    real = tmp_path / "elsewhere" / "real.db"
    path.parent.mkdir(parents=True)
    path.symlink_to(real)
    write(path)
    assert path.is_symlink()
    assert real.stat().st_size > 0
    assert os.listdir(path.parent) == ["history.db"]


def test_a_folder_a_fifo_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    """None of them is opened, nothing waits. Nor is a loop of links, or a name that no file can have."""
    fifo, link, loop, file = (tmp_path / name for name in ("fifo", "link", "loop", "file"))
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    loop.symlink_to(loop)
    file.touch()
    watch = Stopwatch()
    for create in (True, False):
        for path in (tmp_path, fifo, link, Path(os.devnull), Path("/dev/tty")):
            with pytest.raises(LedgerError, match="not a regular file"), opened(path, create=create):
                pass
        for path in (loop, file / "history.db", tmp_path / ("x" * 300), tmp_path / "nul\0"):
            with pytest.raises(LedgerError), opened(path, create=create):
                pass
    watch.took().assert_within(2)


def test_a_ledger_in_a_shared_folder_is_left_alone(path: Path, refused: Callable[[str], str]) -> None:
    """SQLite would use a journal that another user puts beside it; the reason says what helps. None is made there."""
    write(path)
    path.parent.chmod(0o1777)
    told = refused(f"can change the folder {path.parent}, and SQLite reads what lies beside it")
    assert "use a folder of your own: APIMART_HISTORY" in told
    path.unlink()
    refused("can change the folder|does not exist")
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"sk-test-Zq7Wm3Xc9Vb1Nk5Lp8",
        bytes(range(256)) * 40,
        b"SQLite format 3\0",
        "PRAGMA application_id = 0x0F055112",
        "PRAGMA application_id = 0",
        "PRAGMA user_version = 99",
    ],
)
def test_what_is_not_ours_is_left_alone(path: Path, refused: Callable[[str], str], content: bytes | str) -> None:
    """Not a byte of it changes, nothing appears beside it, and the message shows none of it."""
    write(path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(content)
    assert "sk-" not in refused("was left as it is")


def test_reading_makes_nothing(path: Path) -> None:
    """Where there is no ledger there is still none, and an empty file stays empty."""
    with pytest.raises(NoLedgerError), opened(path, create=False):
        pass
    assert not path.parent.exists()
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(NoLedgerError), opened(path, create=False):
        pass
    assert path.stat().st_size == 0


def fill(path: Path, count: int = 500) -> None:
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry(ago=timedelta(seconds=each), used=str(each)) for each in range(count, 0, -1)])


def use(path: Path) -> None:
    with opened(path, seconds=None) as ledger:
        list(entries(ledger))
        record(ledger, [entry(used="77")])
        result = ledger.execute("PRAGMA integrity_check").fetchone()[0]
        if result != "ok":
            raise AssertionError(result)


@pytest.mark.parametrize("size", [100, 4096, 5000, 12_288])
def test_a_truncated_ledger_is_set_aside_with_its_journal(path: Path, size: int) -> None:
    """The next one begins anew; nothing is deleted, and a second one in the same second has a name of its own."""
    for number in (1, 2):
        fill(path)
        content = path.read_bytes()
        assert len(content) > 12_288
        path.write_bytes(content[:size])
        Path(f"{path}-journal").write_bytes(b"")
        with pytest.raises(LedgerError, match="is damaged and was set aside"):
            use(path)
        aside = [each for each in os.listdir(path.parent) if ".damaged-" in each]
        assert sorted(each.endswith("-journal") for each in aside) == [False] * number + [True] * number
        assert {(path.parent / each).read_bytes() for each in aside} == {content[:size], b""}
    write(path)
    with opened(path) as ledger:
        assert list(entries(ledger)) == [entry()]


@pytest.mark.parametrize("place", range(4096, 24_576, 3072))
def test_random_bytes_in_a_ledger_are_survived(path: Path, place: int) -> None:
    """Whatever they hit: if reading or writing fails, then with an error of the ledger, and it can be cleared."""
    fill(path, 1000)
    content = bytearray(path.read_bytes())
    content[place : place + 1024] = random.Random(place).randbytes(1024)
    path.write_bytes(content)
    for _ in range(2):
        with suppress(LedgerError), opened(path, seconds=None) as ledger:
            record(ledger, [entry(used="77")])
            list(entries(ledger))
    with suppress(LedgerError), opened(path, seconds=None) as ledger:
        clear(ledger)
    write(path)
    with opened(path) as ledger:
        assert latest(ledger, WORK) == entry()


def test_a_damaged_ledger_that_somebody_uses_is_not_renamed(path: Path) -> None:
    """Its journal would be taken for that of the new file: another time."""
    fill(path)
    path.write_bytes(path.read_bytes()[:12_288])
    held = """
import fcntl, sys
file = open(sys.argv[1], "rb+")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 0x40000001)
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", held, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LedgerError) as raised, opened(path, seconds=None) as ledger:
            list(entries(ledger))
        assert "set aside" not in str(raised.value)
        assert os.listdir(path.parent) == ["history.db"]
        other.communicate(timeout=20)


def test_a_new_ledger_that_another_process_began_meanwhile_stays(path: Path) -> None:
    """Only the file that showed the damage is renamed."""
    fill(path)
    damaged = check_file(path).identity
    os.rename(path, f"{path}.damaged-by-another")
    write(path)
    assert not set_aside(path, damaged)
    with opened(path) as ledger:
        assert list(entries(ledger)) == [entry()]


@pytest.mark.usefixtures("usual_patience")
@pytest.mark.parametrize("lock", [["BEGIN IMMEDIATE"], ["BEGIN EXCLUSIVE"], ["BEGIN", "SELECT * FROM samples"]])
def test_a_locked_ledger_is_given_up_in_time(path: Path, lock: list[str]) -> None:
    """However many steps have to wait, by a writer or a reader without an end; nothing stays locked or half written."""
    write(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for statement in lock:
            other.execute(statement).fetchall()
        watch = Stopwatch()
        with pytest.raises(LedgerError, match="locked"):
            write_quickly(path)
        watch.took().assert_within(2)
    with opened(path) as ledger:
        assert list(entries(ledger)) == [entry()]
    write_quickly(path)


def test_threads_take_turns(path: Path) -> None:
    """Two connections of one process would take each other's locks away."""
    write(path)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with opened(path, seconds=None):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(10)
    try:
        with pytest.raises(LedgerError, match="in use"), opened(path, seconds=0.05):
            pass
    finally:
        leave.set()
        thread.join(10)
    with opened(path, seconds=0.25) as ledger:
        assert list(entries(ledger)) == [entry()]


def test_an_exception_in_a_transaction_undoes_it(path: Path) -> None:
    """Whatever it is."""
    with opened(path, seconds=None) as ledger:
        with suppress(KeyboardInterrupt), transaction(ledger):
            ledger.execute("INSERT INTO state VALUES ('x', 'y')")
            raise KeyboardInterrupt
        assert ledger.execute("SELECT count(*) FROM state").fetchone() == (0,)
        assert not ledger.in_transaction


def test_a_ledger_that_others_may_read_is_closed_to_them(path: Path) -> None:
    """At the next writing."""
    write(path)
    path.chmod(0o644)
    write_quickly(path)
    assert mode(path) == 0o600


def test_a_ledger_that_others_may_write_is_left_alone(path: Path, refused: Callable[[str], str]) -> None:
    """Who can write to it decides what `--min-runway` sees."""
    write(path)
    path.chmod(0o666)
    refused("every user can change it")
