"""What a guard costs, and how well it stops: run `python3 tests/benchmarks/guard.py`.

First `run -- true` beside a bare `true` and two `check`s, in turns: it asks before and after, so it is to take about
as long as two of them. Then commands that spend at even rates are stopped, and what they overshoot their budget by is
compared with the formula of docs/run.md. A minute in all.

    --runs N   how often each command is run (default 15)
"""

import argparse
import json
import os
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import API_KEY, Sandbox

COMMAND = Path(sysconfig.get_path("scripts")) / "apimart"

MOST_OVERHEAD = 1.25
"""How many times the time of two `check`s `run -- true` may take."""


class Case(NamedTuple):
    """One command that is to be stopped."""

    rate: str
    """What it spends in a second."""
    budget: str
    interval: str | None = None
    lag: float = 0.0
    grace: float = 0.0
    """How long it goes on after SIGTERM."""


CASES = (
    Case("1", "3"),
    Case("1", "12"),
    Case("0.1", "0.5"),
    Case("10", "30"),
    Case("1", "3", interval="0.5"),
    Case("1", "3", interval="5"),
    Case("1", "3", lag=3),
    Case("1", "3", grace=2),
)


def main() -> None:
    """Measure, print, and end with an error where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        is_cheap = measure_overhead(runs, home)
        is_kept = measure_overshoot(home)
    raise SystemExit(0 if is_cheap and is_kept else 1)


def measure_overhead(runs: int, home: str) -> bool:
    """Print what `run -- true` takes; tell whether that is about two `check`s."""
    with Sandbox(Scenario()).serving() as sandbox:
        environment = environment_of(sandbox, home)
        guarded = [COMMAND, "run", "--min", "1", "--scope", "key", "--no-settle", "--", "true"]
        check = [COMMAND, "check", "--min", "1", "--quiet"]
        commands: Mapping[str, Sequence[str | Path]] = {"true": ["true"], "check": check, "run -- true": guarded}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, command in commands.items():
                times[name].append(timed(command, environment))
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, median in medians.items():
        print(f"{name:12} {1000 * median:6.0f} ms")
    ratio = medians["run -- true"] / (2 * medians["check"] + medians["true"])
    print(f"run -- true takes {ratio:.2f} times as long as two checks and a bare true (at most {MOST_OVERHEAD})\n")
    return ratio <= MOST_OVERHEAD


def measure_overshoot(home: str) -> bool:
    """Print what each case overshoots its budget by; tell whether that is within the formula."""
    print("| rate | budget | interval | lag | grace | stopped after | overshoot | at most |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    # Each case, also after one that is not.
    kept = [report(case, home) for case in CASES]
    return all(kept)


def report(case: Case, home: str) -> bool:
    """Print one line of the table, and tell whether the formula holds."""
    scenario = Scenario(key=Funds(Decimal(1000), Decimal(0)), burn=Decimal(case.rate), lag=case.lag)
    path = Path(home) / "report.json"
    options = ["--max-spend", case.budget, "--no-settle", "--report", str(path)]
    if case.interval is not None:
        options += ["--interval", case.interval]
    deaf = f"trap 'sleep {case.grace}; exit' TERM; while :; do sleep 0.05; done"
    with Sandbox(scenario).serving() as sandbox:
        subprocess.run(
            [COMMAND, "run", *options, "--", "sh", "-c", deaf],
            env=environment_of(sandbox, home),
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
    told = json.loads(path.read_text(), parse_float=Decimal)
    seconds = float(told["seconds"])
    # Of the time that it ran, as the bookings of the gateway may be late.
    overshoot = float(case.rate) * seconds - float(case.budget)
    # The time of an answer and of the process's end is not in the formula.
    interval = float(case.interval) if case.interval is not None else 2.0
    most = float(case.rate) * (interval + case.lag + case.grace + 0.3)
    cells = (
        case.rate, case.budget, f"{case.interval} s" if case.interval else "2 to 30 s", f"{case.lag:g} s",
        f"{case.grace:g} s", f"{seconds:.1f} s", f"{overshoot:.2f}", f"{most:.2f}",
    )  # fmt: skip
    print(f"| {' | '.join(cells)} |", flush=True)
    return overshoot <= most


def environment_of(sandbox: Sandbox, home: str) -> dict[str, str]:
    """Return what points a command at the sandbox, and away from the settings of whoever measures."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APIMART_")}
    return {**kept, "HOME": home, "APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY": API_KEY, "APIMART_RECORD": "0"}


def timed(command: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    """Return the seconds that a command takes."""
    begun = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
