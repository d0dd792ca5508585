"""The ledger among processes that write at once, are killed, or find no space: nothing is lost, nothing waits."""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.merge import Staged, merge
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.store import remember
from support.ledger import NOW, entry
from support.places import TESTS
from support.processes import wait_until
from support.running import run_program
from support.stopwatch import Stopwatch

WRITERS = """
import os, random, signal, sys, time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from apimart_cli.ledger import file, retention, store
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import remember
from apimart_cli.words import Scope
path, processes, count, is_killed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), len(sys.argv) > 4
dice = random.Random(11)

def clock():
    # Without the seconds in which this process could have run, and others did.
    try:
        waited = int(open("/proc/self/schedstat").read().split()[1]) / 1e9
    except OSError:
        waited = 0.0
    return time.monotonic() - waited

def write(name):
    start_at = datetime.now(UTC)
    series = Series(f"{name:012x}", "api.example.com", Scope.KEY)
    for number in range(count):
        entry = Entry(series, start_at + timedelta(seconds=number), "w", Decimal(number), Decimal(1), None, "check")
        start = clock()
        try:
            remember(path, [entry], start_at)
            written = "written"
        except LedgerError as error:
            written = "dropped"
        os.write(1, f"{written} {clock() - start:.3f}\\n".encode())

def fork(name):
    child = os.fork()
    if not child:
        status = 1
        try:
            write(name)
            status = 0
        finally:
            os._exit(status)
    return child

for first in range(0, processes, 10 if is_killed else processes):
    children = [fork(first + number) for number in range(10 if is_killed else processes)]
    if is_killed:
        for child in children:
            time.sleep(dice.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
    ended = [os.waitpid(child, 0)[1] for child in children]
    assert set(ended) == {signal.SIGKILL if is_killed else 0}, ended
"""
"""Processes that record so many readings each, and tell of each whether it was written and how long that took.

They are forked, so that all are at work at the same time; killed, ten by ten, where that is asked for."""

Told = list[tuple[str, float]]


def start(path: Path, processes: int, count: int, *arguments: str, before: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", before + WRITERS, path, str(processes), str(count), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(writers: "subprocess.Popen[str]") -> Told:
    """Wait for the writers, which fail nowhere, and return what they told."""
    stdout, stderr = writers.communicate(timeout=30)
    assert (writers.returncode, stderr) == (0, "")
    told = [line.split() for line in stdout.splitlines()]
    return [(written, float(seconds)) for written, seconds in told]


def count_of(path: Path) -> int:
    with opened(path, seconds=None) as ledger:
        return len(list(entries(ledger)))


def count_of_samples(path: Path) -> int:
    """Return how many rows there are, also of an import that is not complete."""
    if not path.exists():
        return 0
    with opened(path, seconds=None, create=False) as ledger:
        return int(ledger.execute("SELECT count(*) FROM samples").fetchone()[0])


def assert_whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def lines(count: int) -> Iterator[str]:
    """Give the lines of an export of so many readings, one a minute."""
    line = (
        '{{"schema":1,"at":"{:%Y-%m-%dT%H:%M:%SZ}","key_id":"3f9a1c2e77aa","host":"api.apimart.ai","scope":"key",'
        '"profile":"work","remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false,"unit":"USD","source":"check"}}'
    )
    return (line.format(NOW - timedelta(days=1, minutes=number)) for number in range(count))


def test_fifty_processes_record_at_once(tmp_path: Path) -> None:
    """Into a ledger that none of them finds there: no error, what they say is written is there, and it is whole."""
    path = tmp_path / "state" / "history.db"
    told = finish(start(path, 50, 3))
    assert len(told) == 150
    written = sum(what == "written" for what, _ in told)
    # What was given up may still have been written a moment later.
    assert 0 < written <= count_of(path) <= 150
    assert statistics.median(seconds for _, seconds in told) < 0.3
    assert_whole(path)
    assert os.listdir(path.parent) == ["history.db"]


def test_what_was_committed_survives_a_hundred_kills(tmp_path: Path) -> None:
    """At random moments of writing; what a killed process had begun is not there, or there as a whole."""
    path = tmp_path / "history.db"
    told = finish(start(path, 100, 1000, "killed"))
    written = sum(what == "written" for what, _ in told)
    assert 0 < written <= count_of(path) <= len(told) + 100
    assert_whole(path)


def test_a_process_that_holds_the_lock_costs_a_quarter_of_a_second(tmp_path: Path) -> None:
    """And no more, however long it holds it."""
    path = tmp_path / "history.db"
    remember(path, [entry()], NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        told = finish(start(path, 1, 3))
    assert [what for what, _ in told] == ["dropped"] * 3
    assert all(0.2 < seconds < 0.4 for _, seconds in told)


def test_an_import_lets_others_write(tmp_path: Path) -> None:
    """While 20,160 samples come in, another process loses hardly any reading; more where others of the machine run."""
    path = tmp_path / "history.db"
    remember(path, [entry()], NOW)
    with Staged(lines(14 * 24 * 60), NOW) as staged, opened(path, seconds=None) as ledger:
        watch = Stopwatch()
        writer = start(path, 1, 60)
        assert merge(ledger, staged, NOW) == 14 * 24 * 60
    told, took = finish(writer), watch.took()
    # Each quarter of a second in which others run may be one in which a reading is not written.
    assert sum(what == "dropped" for what, _ in told) <= 3 + (took.seconds - took.ours) / 0.25


def test_an_import_that_is_killed_leaves_nothing_to_be_seen(tmp_path: Path) -> None:
    """None of its samples is there, and the next import brings them all."""
    path = tmp_path / "history.db"
    importer = """
import sys
from pathlib import Path
from apimart_cli.ledger import merge as merging
from apimart_cli.ledger.file import opened
from support.ledger import NOW
merging.STEP = 10
with merging.Staged(open(sys.argv[2]), NOW) as staged, opened(Path(sys.argv[1]), seconds=None) as ledger:
    print("staged", flush=True)
    merging.merge(ledger, staged, NOW)
"""
    source = tmp_path / "export.jsonl"
    source.write_text("\n".join(lines(1200)))
    arguments = [sys.executable, "-c", importer, path, source]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "staged\n"
        wait_until(lambda: count_of_samples(path))
        killed.kill()
    assert 0 < count_of_samples(path) < 1200
    assert count_of(path) == 0
    assert_whole(path)
    subprocess.run(arguments, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=30)
    with opened(path, seconds=None) as ledger:
        assert len(list(entries(ledger))) == 1200


@pytest.mark.parametrize(("limit", "count"), [(0, 3), (30_000, 300)])
def test_a_file_that_may_not_grow_is_an_error_of_the_ledger(tmp_path: Path, limit: int, count: int) -> None:
    """At whatever size; what was written before is whole. A limit of the process stands for a full disk."""
    path = tmp_path / "history.db"
    limited = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""
    told = finish(start(path, 1, count, before=limited))
    written = sum(what == "written" for what, _ in told)
    assert 0 <= written < count
    assert max(seconds for _, seconds in told) < 0.4
    remember(path, [entry()], NOW)
    assert count_of(path) == written + 1
    assert_whole(path)


def test_a_full_disk_is_an_error_of_the_ledger(tmp_path: Path) -> None:
    """It stays whole, and goes on when there is space again."""
    mounting = ["mount", "-t", "tmpfs", "-o", "size=96k,mode=700", "tmpfs", tmp_path]
    if os.geteuid() != 0 or run_program(mounting).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        path, ballast = tmp_path / "history.db", tmp_path / "ballast"
        remember(path, [entry(ago=timedelta(hours=1), used="1")], NOW)
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        for _ in range(3):
            with pytest.raises(LedgerError, match=r"full|I/O"):
                remember(path, [entry()], NOW)
        ballast.unlink()
        remember(path, [entry()], NOW)
        assert count_of(path) == 2
        assert_whole(path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


READ_ONLY = """
import os, sys
from datetime import timedelta
from pathlib import Path
from apimart_cli.ledger import queries, retention, store
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.store import remember
from support.ledger import NOW, entry
if os.geteuid() == 0:
    os.setuid(65534)
path = Path(sys.argv[1]) / "state" / "history.db"
remember(path, [entry()], NOW, seconds=20)
path.parent.chmod(0o500)
for place in (path, path.parent / "more" / "history.db"):
    try:
        remember(place, [entry(at=NOW + timedelta(hours=1), used="9")], NOW, seconds=20)
    except LedgerError as error:
        print(error)
for mode in (0o600, 0o400):
    path.chmod(mode)
    with opened(path, seconds=None, create=False) as ledger:
        print(len(list(queries.entries(ledger))))
path.parent.chmod(0o700)
"""
"""Records, makes the folder read-only, and tries again. Root, who may write everywhere, becomes somebody else first."""


def test_a_folder_that_may_not_be_written_is_an_error_and_can_be_read() -> None:
    """A read-only home: recording fails, what was recorded is still told."""
    with tempfile.TemporaryDirectory(prefix="apimart-test-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, 65_534, -1)
        ended = run_program([sys.executable, "-c", READ_ONLY, folder], env={**os.environ, "PYTHONPATH": str(TESTS)})
    assert (ended.returncode, ended.stderr) == (0, "")
    first, second, *counts = ended.stdout.splitlines()
    assert first.endswith(("unable to open database file", "attempt to write a readonly database"))
    assert second.endswith("Permission denied")
    assert counts == ["1", "1"]
