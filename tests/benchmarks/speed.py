"""How fast `apimart` is, beside the least that does the same: run `python3 tests/benchmarks/speed.py`.

Every row compares two commands by the median wall-clock time of whole processes. The runs of all commands are
interleaved, so that a machine whose speed drifts slows both sides of a ratio. A ratio above its limit by more than the
margin for noise ends the program with exit code 1. Nothing leaves the machine: the answers come from `apimart sandbox`
and, for the rows over TLS, from a server with a certificate made on the spot, whose authority is one more beside the
usual ones. Many keys are asked about over TLS, as they are in the field. Readings are recorded, as they are by default,
and the sandbox spends a little all the time, so that there is something new to record each time.

    --runs N      counted runs of each command, after one that is not counted (default 30)
    --margin M    how far above its limit a ratio may be before it counts as noise no more (default 0.05)
    --previous P  the `apimart` of another version, in an environment of its own: a column shows its times
    --keys        measure the number of keys against the time instead, and draw docs/keys.svg
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import record
from apimart_cli.sandbox.scenario import Funds, past
from apimart_cli.words import Scope

HERE = Path(__file__).parent
PICTURE = HERE.parent.parent / "docs" / "keys.svg"
LATENCY = 0.3
"""Seconds that the slow server waits before it answers."""
MANY = 100
KEY_COUNTS = (1, 10, 100, 1000)
KEY_LIMITS = {100: 3.0, 1000: 20.0}
"""How many times as long as one key so many may take."""


class Timing(NamedTuple):
    """What one process cost: wall-clock seconds, and its peak memory in MiB."""

    wall: float
    memory: float


class Command(NamedTuple):
    """A command line and the environment that goes with it."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    def run(self) -> Timing:
        """Run it once, as a process of its own. Raises RuntimeError when it fails: a failure is no measurement."""
        started = time.perf_counter()
        process = subprocess.Popen(self.arguments, env=self.environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.perf_counter()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(self.arguments)} ended with {process.returncode}")
        return Timing(ended - started, usage.ru_maxrss / 1024)


class Row(NamedTuple):
    """One promise: this command takes at most `limit` times as long as that one."""

    what: str
    command: str
    against: str
    limit: float


ROWS = (
    Row("--version", "version", "bare typer", 0.80),
    Row("TAB completion", "complete", "bare typer complete", 1.25),
    Row("statusline", "status", "bare typer", 1.15),
    Row("check -q", "check", "typer + requests", 1.00),
    Row("balance --json", "json", "typer + requests", 1.15),
    Row("check -q", "check", "bare requests", 1.40),
    Row("balance --json", "json", "bare requests", 1.40),
    Row("balance (table)", "table", "typer + requests + rich", 1.15),
    Row("balance (table), 300 ms", "slow table", "slow json", 1.05),
    Row("both scopes, 300 ms", "slow both", "slow json", 1.10),
    Row(f"{MANY} keys over TLS, 300 ms", "tls many", "tls one", KEY_LIMITS[MANY]),
    Row("check -q over TLS", "tls check", "tls typer + requests", 1.15),
    Row("check -q over TLS", "tls check", "tls bare requests", 1.40),
)
MEMORY_LIMIT = 40.0
"""How many MiB more MANY keys may take than one."""


def main() -> int:
    """Measure, print, and return 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--previous", metavar="P")
    parser.add_argument("--keys", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.keys:
            return measure_keys(stack, folder)
        measured = commands(stack, folder)
        if options.previous:
            measured |= previous(measured, options.previous, folder / "previous")
        timings = measure(measured, options.runs)
    return report(timings, options.runs, options.margin)


def commands(stack: ExitStack, folder: Path) -> dict[str, Command]:
    """Start the servers and return every command by its name."""
    apimart = installed()
    quick = environment(folder, stack.enter_context(sandbox()))
    slow = environment(folder, stack.enter_context(sandbox(LATENCY)))
    secure = tls_environment(folder, stack.enter_context(tls_server(folder)))
    slow_secure = tls_environment(folder, stack.enter_context(tls_server(folder, LATENCY)))
    many = {**slow_secure, "APIMART_CONFIG": str(write_profiles(folder, MANY))}
    references = {
        "bare typer": ("bare_typer.py", "check"),
        "bare requests": ("bare_requests.py",),
        "typer + requests": ("typer_requests.py",),
        "typer + requests + rich": ("typer_requests_rich.py",),
    }
    found = {
        name: Command([sys.executable, str(HERE / "references" / script), *arguments], quick)
        for name, (script, *arguments) in references.items()
    }
    words = {"COMP_WORDS": "program ch", "COMP_CWORD": "1"}
    found |= {
        "version": Command([apimart, "--version"], quick),
        "complete": Command([apimart], {**quick, **words, "_APIMART_COMPLETE": "complete_bash"}),
        "bare typer complete": Command(
            found["bare typer"].arguments[:2], {**quick, **words, "_BARE_TYPER.PY_COMPLETE": "complete_bash"}
        ),
        # So old that nothing is due: the refresh is not what a prompt waits for.
        "status": Command([apimart, "statusline", "--max-age", "1000d"], remembering(folder, quick)),
        "check": Command([apimart, "check", "--min", "5", "-q"], quick),
        "json": Command([apimart, "balance", "--json"], quick),
        "table": Command([apimart, "balance"], quick),
        "slow json": Command([apimart, "balance", "--json"], slow),
        "slow table": Command([apimart, "balance"], slow),
        "slow both": Command([apimart, "balance", "--json", "--scope", "both"], slow),
        "tls one": Command([apimart, "balance", "--json"], slow_secure),
        "tls many": Command([apimart, "balance", "--json", "--all-profiles"], many),
        "tls check": Command([apimart, "check", "--min", "5", "-q"], secure),
        "tls typer + requests": found["typer + requests"]._replace(environment=secure),
        "tls bare requests": found["bare requests"]._replace(environment=secure),
    }
    return found


def previous(commands: Mapping[str, Command], program: str, home: Path) -> dict[str, Command]:
    """Return our commands with another version's program, which keeps a ledger of its own: its form may differ."""
    home.mkdir()
    found = {}
    for name, command in commands.items():
        if command.arguments[0] == installed():
            environment = {**command.environment, "HOME": str(home)}
            if "APIMART_HISTORY" in environment:
                environment["APIMART_HISTORY"] = shutil.copy(environment["APIMART_HISTORY"], home)
            found[f"previous {name}"] = Command([program, *command.arguments[1:]], environment)
    return found


def measure(commands: Mapping[str, Command], runs: int) -> dict[str, list[Timing]]:
    """Run all commands in turn, again and again; the first round only warms up."""
    timings: dict[str, list[Timing]] = {name: [] for name in commands}
    for round_number in range(runs + 1):
        for name, command in commands.items():
            timing = command.run()
            if round_number:
                timings[name].append(timing)
        print(f"\r{round_number} of {runs} rounds", end="", file=sys.stderr, flush=True)
    print("\r\x1b[2K", end="", file=sys.stderr)
    return timings


def report(timings: Mapping[str, Sequence[Timing]], runs: int, margin: float) -> int:
    """Print the table, and return 1 when a ratio or the memory is above its limit."""
    walls = {name: statistics.median(timing.wall for timing in all_runs) for name, all_runs in timings.items()}
    table = Table(box=box.MARKDOWN)
    has_previous = any(name.startswith("previous ") for name in walls)
    for heading in ("case", *["ms before"] * has_previous, "ms", "against", "ms", "ratio", "at most", "held"):
        table.add_column(heading, justify="left" if heading in {"case", "against", "held"} else "right", no_wrap=True)
    broken = 0
    for row in ROWS:
        ratio = walls[row.command] / walls[row.against]
        held = "yes" if ratio <= row.limit else "within noise" if ratio <= row.limit + margin else "NO"
        broken += held == "NO"
        mine, theirs = (f"{1000 * walls[name]:.0f}" for name in (row.command, row.against))
        before = [f"{1000 * walls[f'previous {row.command}']:.0f}"] if has_previous else []
        table.add_row(row.what, *before, mine, row.against, theirs, f"{ratio:.2f}", f"{row.limit:.2f}", held)
    console = Console(width=120)
    console.print(f"{machine()}; medians of {runs} interleaved runs; margin for noise {margin}")
    console.print(table)
    peaks = {name: statistics.median(timing.memory for timing in timings[name]) for name in ("tls many", "tls one")}
    extra = peaks["tls many"] - peaks["tls one"]
    print(f"Peak memory of {MANY} keys over TLS: {extra:.1f} MiB more than of one (at most {MEMORY_LIMIT:.0f}).")
    return 1 if broken or extra > MEMORY_LIMIT else 0


def measure_keys(stack: ExitStack, folder: Path) -> int:
    """Measure how long more and more keys take, print the table and draw the picture."""
    slow = tls_environment(folder, stack.enter_context(tls_server(folder, LATENCY)))
    medians, peaks = {}, {}
    for count in KEY_COUNTS:
        config = str(write_profiles(folder, count))
        command = Command([installed(), "balance", "--json", "--all-profiles"], {**slow, "APIMART_CONFIG": config})
        command.run()
        runs = [command.run() for _ in range(5)]
        medians[count] = statistics.median(run.wall for run in runs)
        peaks[count] = statistics.median(run.memory for run in runs)
    print(f"{machine()}; medians of 5 runs over TLS; every answer takes {1000 * LATENCY:.0f} ms\n")
    print("| keys | seconds | milliseconds a key | MiB more than one key |\n| ---: | ---: | ---: | ---: |")
    for count, seconds in medians.items():
        print(f"| {count:,} | {seconds:.2f} | {1000 * seconds / count:.1f} | {peaks[count] - peaks[1]:.1f} |")
    PICTURE.write_text(draw(medians), encoding="utf-8")
    is_slow = any(medians[count] > limit * medians[1] for count, limit in KEY_LIMITS.items())
    return 1 if is_slow or max(peaks.values()) - peaks[1] > MEMORY_LIMIT else 0


def draw(medians: Mapping[int, float]) -> str:
    """Return the picture of it: bars on a line each, the seconds after them."""
    longest = max(medians.values())
    lines = []
    for number, (count, seconds) in enumerate(medians.items()):
        top, width = 50 + 34 * number, max(1, round(440 * seconds / longest))
        lines.append(
            f'<text x="110" y="{top + 16}" text-anchor="end">{count:,} key{"s" * (count > 1)}</text>'
            f'<rect x="120" y="{top}" width="{width}" height="22" rx="3" fill="#3b82f6"/>'
            f'<text x="{128 + width}" y="{top + 16}">{seconds:.2f} s</text>'
        )
    height = 60 + 34 * len(medians)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="660" height="{height}" '
        'font-family="sans-serif" font-size="14">'
        f'<rect width="660" height="{height}" fill="white"/>'
        f'<text x="20" y="28" font-weight="bold">apimart balance --all-profiles over TLS, '
        f"{1000 * LATENCY:.0f} ms an answer</text>"
        f"{''.join(lines)}</svg>\n"
    )


def installed() -> str:
    """Return the path of the installed command."""
    found = shutil.which("apimart", path=sysconfig.get_path("scripts"))
    if not found:
        raise SystemExit("install the project first: python3 -m pip install '.[test]'")
    return found


def environment(folder: Path, url: str) -> dict[str, str]:
    """Return an environment made from nothing, in which a key and the server at `url` are known."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "APIMART_BASE_URL": url,
        "APIMART_API_KEY": "sk-benchmark-0000000000",
    }


def remembering(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a ledger of its own, in which there is a month of readings, one each half hour."""
    path = folder / "month.db"
    series = Series("0123456789ab", environment["APIMART_BASE_URL"].partition("://")[2], Scope.KEY)
    readings = past(datetime.now(UTC), Funds(Decimal("10.5"), Decimal("20")), 30)
    with opened(path, seconds=None) as ledger:
        record(ledger, (Entry(series, each.at, "default", each.remain, each.used, "USD", "check") for each in readings))
    return {**environment, "APIMART_HISTORY": str(path)}


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Run a server in a process of its own, and give its URL, with which its first line ends."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it was asked for"
        try:
            yield process.stdout.readline().strip().rpartition("=")[2]
        finally:
            process.terminate()


def sandbox(latency: float = 0) -> AbstractContextManager[str]:
    """Serve a sandbox."""
    return served(installed(), "sandbox", "--latency", str(latency), "--burn", "0.001")


def tls_server(folder: Path, latency: float = 0) -> AbstractContextManager[str]:
    """Serve one answer over TLS, its authority in ca-PORT.pem."""
    return served(sys.executable, str(HERE / "fast_gateway.py"), str(folder), str(latency))


def tls_environment(folder: Path, url: str) -> dict[str, str]:
    """Return an environment in which the server over TLS at `url` is trusted."""
    return {**environment(folder, url), "REQUESTS_CA_BUNDLE": str(folder / f"ca-{url.rpartition(':')[2]}.pem")}


def write_profiles(folder: Path, count: int) -> Path:
    """Write a config file of `count` profiles, private to its owner, and return its path."""
    path = folder / f"{count}.toml"
    path.write_text("".join(f'[profiles.key-{number}]\napi_key = "sk-{number:020}"\n' for number in range(count)))
    path.chmod(0o600)
    return path


def machine() -> str:
    """Name the machine and the day, as far as a reader of the table needs to."""
    return (
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


if __name__ == "__main__":
    sys.exit(main())
