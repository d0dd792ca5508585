"""`run` around random trees of processes: suspended as a whole, and gone as a whole after a stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.sandbox.scenario import Scenario
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import KINDS, is_running, state, wait_until
from support.running import PLENTY, connected

pytestmark = pytest.mark.measured

GROWING = """
import os, signal, sys, time

def grow(trees, write):
    for kind, is_deaf, children in trees:
        if os.fork():
            if kind == "orphan":
                os.wait()
            continue
        if kind == "group":
            os.setpgid(0, 0)
        if kind in ("session", "orphan"):
            os.setsid()
        if kind == "orphan" and os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if is_deaf else signal.SIG_DFL)
        grow(children, write)
        os.write(write, f"{os.getpid()}\\n".encode())
        while True:
            time.sleep(60)

grow(eval(sys.argv[1]), os.open("pids", os.O_WRONLY | os.O_CREAT | os.O_APPEND))
os.write(os.open("pids", os.O_WRONLY | os.O_APPEND), f"{os.getpid()}\\n".encode())
time.sleep(600)
"""

Tree = tuple[str, bool, Sequence[Any]]
leaves = st.tuples(st.sampled_from(KINDS), st.booleans(), st.just(()))
trees = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from(KINDS), st.booleans(), st.lists(inner, max_size=3)), max_leaves=6
)


def size(grown: Sequence[Tree]) -> int:
    """How many processes there are."""
    return sum(1 + size(children) for _, _, children in grown)


@hypothesis.settings(
    max_examples=5, phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck)
)
@given(st.lists(trees, min_size=1, max_size=3))
def test_a_tree_is_suspended_and_ends_as_a_whole(
    command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks, grown: Sequence[Tree]
) -> None:
    """Whatever left its group or session, lost its parent, or is deaf to SIGTERM."""
    noted = tmp_path / "pids"
    noted.unlink(missing_ok=True)
    with Sandbox(Scenario(key=PLENTY)).serving() as gateway:
        options = ("--max-spend", "3", "--no-settle", "--interval", "0.2", "--kill-after", "0.3")
        process = forks.process(
            [command, "run", *options, "--", sys.executable, "-c", GROWING, repr(grown)],
            {**environment, **connected(gateway)},
            tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        numbers: list[int] = []
        try:
            wait_until(lambda: noted.exists() and len(noted.read_text().split()) == size(grown) + 1)
            numbers = [int(word) for word in noted.read_text().split()]
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: [state(number) for number in numbers] == ["T"] * len(numbers))
            process.send_signal(signal.SIGCONT)
            wait_until(lambda: "T" not in [state(number) for number in numbers])
            gateway.scenario = gateway.scenario._replace(burn=Decimal(100))
            assert process.wait(60) == 124
            wait_until(lambda: not any(map(is_running, numbers)))
        finally:
            process.kill()
            process.wait()
            for number in numbers:
                if is_running(number):
                    os.kill(number, signal.SIGKILL)
