"""What a large ledger costs: run `python3 tests/benchmarks/ledger.py`.

It imports a million made-up samples of a hundred keys, from JSON Lines as `history import` reads them, while another
process records a reading again and again; then it reads, records, exports and prunes, and runs whole commands beside
those that have an empty ledger, in turns. Nothing is left afterwards.

    --samples N   samples (default 1000000), of a hundred keys over 90 days
    --runs N      runs of each whole command (default 15)
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import speed

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.merge import Staged, merge
from apimart_cli.ledger.queries import all_series, entries, latest, samples
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import remember
from apimart_cli.ledger.upkeep import document_of
from apimart_cli.rules.forecast import REACH, forecast
from apimart_cli.rules.spending import spends_by_day
from apimart_cli.words import Scope

T = TypeVar("T")

KEYS = 100
NOW = datetime.now(UTC).replace(microsecond=0)
SERIES = [Series(f"{number:012x}", "api.example.com", Scope.KEY) for number in range(KEYS)]


def lines(samples: int) -> Iterator[str]:
    """Yield samples of each key at even times, as an export has them."""
    each = samples // KEYS
    step = timedelta(days=89) / each
    for number, series in enumerate(SERIES):
        for place in range(each):
            remain, used = Decimal(10_000_000 - place * 7) / 10_000, Decimal(place * 7) / 10_000
            at = NOW - timedelta(days=89) + step * place
            entry = Entry(series, at, f"profile-{number}", remain, used, "USD", "check")
            yield json.dumps(document_of(entry), default=float)


WRITER = """
import sys, time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import remember
from apimart_cli.words import Scope
series = Series("abcdefabcdef", "api.example.com", Scope.KEY)
dropped, longest, count = 0, 0.0, 0
while not Path(sys.argv[2]).exists():
    count += 1
    entry = Entry(series, datetime.now(UTC) + timedelta(seconds=count), "w", Decimal(count), Decimal(1), None, "check")
    start = time.monotonic()
    try:
        remember(Path(sys.argv[1]), [entry], datetime.now(UTC))
    except LedgerError as error:
        dropped += 1
    longest = max(longest, time.monotonic() - start)
    time.sleep(0.1)
print(f"{count} recorded meanwhile by another process, {dropped} of them dropped, longest wait {1000 * longest:.0f} ms")
"""


def timed(name: str, work: Callable[[], T]) -> T:
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    taken, busy = time.perf_counter() - start, time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name:40} {taken:8.3f} s, {busy:7.3f} s of them computing, peak {memory} MiB", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.samples, options.runs)


def measure(folder: Path, count: int, runs: int) -> None:
    path, source, stop = folder / "history.db", folder / "export.jsonl", folder / "stop"
    with source.open("w") as file:
        file.writelines(f"{line}\n" for line in lines(count))
    timed("record, in a new ledger", lambda: record(path, 0))
    timed("record, in an empty ledger", lambda: record(path, 1))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path, stop], stdout=subprocess.PIPE, text=True)
    with source.open() as file:
        added = import_all(path, file)
    stop.touch()
    print(writer.communicate(timeout=10)[0], end="")
    print(f"{added} samples, {os.path.getsize(path) / 1_000_000:.1f} MB")
    timed("record, in a full ledger", lambda: record(path, 2))
    compare_commands(folder, path, runs)
    with opened(path, seconds=None) as connection:
        timed("the last sample of each series", lambda: [latest(connection, each) for each in SERIES])
        timed("all series", lambda: all_series(connection))
        timed("spend of 90 days of all series", lambda: [spends_by_day(samples(connection, each)) for each in SERIES])
        timed(
            "forecasts of all series",
            lambda: [forecast(samples(connection, each, since=NOW - REACH)) for each in SERIES],
        )
        read = timed("read all, as an export does", lambda: sum(1 for _ in entries(connection)))
        print(f"{read} samples read")
        timed("prune, nothing to do", lambda: prune(connection, NOW))
        timed("prune, a month later", lambda: prune(connection, NOW + timedelta(days=31)))
        print(f"{sum(1 for _ in entries(connection))} samples left")
        connection.set_progress_handler(None, 0)
        print("integrity:", connection.execute("PRAGMA integrity_check").fetchone()[0])


def compare_commands(folder: Path, full: Path, runs: int) -> None:
    """Run whole commands with the full ledger and with an empty one, in turns, and print medians and ratios."""
    with speed.sandbox() as url:
        given = speed.environment(folder, url)
        walls: dict[str, list[float]] = {}
        for _ in range(runs):
            for arguments in (("check", "--min", "1", "-q"), ("balance", "--json"), ("history", "--json")):
                for name, path in (("empty", folder / "empty.db"), ("full", full)):
                    command = speed.Command([speed.installed(), *arguments], {**given, "APIMART_HISTORY": str(path)})
                    walls.setdefault(f"{arguments[0]} {name}", []).append(command.run().wall)
    for name in ("check", "balance", "history"):
        empty, filled = (statistics.median(walls[f"{name} {kind}"]) for kind in ("empty", "full"))
        print(f"{name}: {filled:.3f} s with the full ledger, {empty:.3f} s with an empty one, x{filled / empty:.2f}")


def record(path: Path, number: int) -> None:
    remember(
        path, [Entry(SERIES[0], NOW + timedelta(seconds=number), "p", Decimal(number), Decimal(1), None, "x")], NOW
    )


def import_all(path: Path, file: Iterator[str]) -> int:
    staged = timed("import: read and check", lambda: Staged(file, NOW))
    with staged, opened(path, seconds=None) as connection:
        return timed("import: merge", lambda: merge(connection, staged, NOW))


if __name__ == "__main__":
    main()
