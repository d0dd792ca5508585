"""What a guard costs, and how well it stops: run `python3 tests/benchmarks/guard.py`.

First `run -- true` beside a bare `true` and two `check`s, in turns: it asks before and after, so it is to take about
as long as two of them. Then commands that spend at even rates are stopped, and what they overshoot their budget by is
compared with the formula of docs/run.md. A minute in all.

    --runs N   how often each command is run (default 15)
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import speed

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import Sandbox

COMMAND = speed.installed()

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
        is_cheap = measure_overhead(runs, Path(home))
        is_kept = measure_overshoot(Path(home))
    raise SystemExit(0 if is_cheap and is_kept else 1)


def measure_overhead(runs: int, home: Path) -> bool:
    """Print what `run -- true` takes; tell whether that is about two `check`s."""
    with Sandbox(Scenario()).serving() as sandbox:
        environment = environment_of(sandbox, home)
        commands = {
            "true": ["true"],
            "check": [COMMAND, "check", "--min", "1", "--quiet"],
            "run -- true": [COMMAND, "run", "--min", "1", "--scope", "key", "--no-settle", "--", "true"],
        }
        timings = speed.measure({name: speed.Command(each, environment) for name, each in commands.items()}, runs)
    medians = {name: statistics.median(each.wall for each in found) for name, found in timings.items()}
    for name, median in medians.items():
        print(f"{name:12} {1000 * median:6.0f} ms")
    ratio = medians["run -- true"] / (2 * medians["check"] + medians["true"])
    print(f"run -- true takes {ratio:.2f} times as long as two checks and a bare true (at most {MOST_OVERHEAD})\n")
    return ratio <= MOST_OVERHEAD


def measure_overshoot(home: Path) -> bool:
    """Print what each case overshoots its budget by; tell whether that is within the formula."""
    print("| rate | budget | interval | lag | grace | stopped after | overshoot | at most |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    # Each case, also after one that is not.
    kept = [report(case, home) for case in CASES]
    return all(kept)


def report(case: Case, home: Path) -> bool:
    """Print one line of the table, and tell whether the formula holds."""
    scenario = Scenario(key=Funds(Decimal(1000), Decimal(0)), burn=Decimal(case.rate), lag=case.lag)
    path = home / "report.json"
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
    between = f"{case.interval} s" if case.interval else "2 to 30 s"
    print(f"| {case.rate} | {case.budget} | {between} | {case.lag:g} s | {case.grace:g} s ", end="")
    print(f"| {seconds:.1f} s | {overshoot:.2f} | {most:.2f} |", flush=True)
    return overshoot <= most


def environment_of(sandbox: Sandbox, home: Path) -> dict[str, str]:
    """Return what points a command at the sandbox, without a ledger."""
    return {**speed.environment(home, sandbox.url), "APIMART_RECORD": "0"}


if __name__ == "__main__":
    main()
