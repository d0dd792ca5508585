"""Process 1 of a container: the system drops every signal that it does not handle, and it ends all the same."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from support.processes import wait_until
from support.programs import need, without
from support.running import Serve, connected, run_program, started_processes

pytestmark = pytest.mark.measured

Start = Callable[..., tuple["subprocess.Popen[str]", int]]
"""Starts a command as process 1; returns what ends with its status, and the number that we know it by."""


@pytest.fixture
def start(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start programs as process 1 of a space of their own, which ends with the test."""
    alone = [need("unshare"), "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0 or run_program([*alone, "true"]).returncode:
        without("unshare", "may make no process 1 here")
    with started_processes(tmp_path) as start:

        def popen(*arguments: str, env: Mapping[str, str]) -> tuple["subprocess.Popen[str]", int]:
            process = start([*alone, *arguments], {**environment, **env})
            wait_until(lambda: process.poll() is not None or children(process.pid))
            return process, next(iter(children(process.pid)), 0)

        yield popen


def children(pid: int) -> list[int]:
    """Return the numbers of the processes that a process has started."""
    with suppress(OSError):
        return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def handles(pid: int, number: int) -> bool:
    """Tell whether a process has a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught >> (number - 1) & 1)


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

COMMANDS = {
    "watch": ("apimart watch --interval 5", None), "check": ("apimart check --min 5 --timeout 60", Fault.TIMEOUT),
    "balance": ("apimart balance --timeout 60", Fault.TIMEOUT), "sandbox": ("apimart sandbox", None),
    "sandbox around a command": ("apimart sandbox -- sleep 60", None),
    "run": ("apimart run --min 5 --no-settle -- sleep 60", None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "number"), list(zip(COMMANDS, 2 * ENDING, strict=True)))
def test_a_signal_ends_the_first_process(start: Start, serve: Serve, name: str, number: signal.Signals) -> None:
    """As `docker stop` asks it to, and not after ten seconds with SIGKILL."""
    line, fault = COMMANDS[name]
    sandbox = serve(fault=fault)
    process, pid = start(*line.split(), env=connected(sandbox))
    # Python itself handles SIGINT before us.
    wait_until(lambda: handles(pid, signal.SIGTERM))
    if "sleep" in line:
        wait_until(lambda: any(b"sleep" in command_of(child) for child in children(pid)))
    os.kill(pid, number)
    assert process.wait(timeout=40) == 128 + number
    # The guard tells what its command has cost.
    told = [line for line in process.stderr.read().splitlines() if not line.startswith(COST)]
    assert told == []


COST = "apimart: note: spent "


def command_of(pid: int) -> bytes:
    """Return the command line of a process, or nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


EARLY = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if "apimart_cli.__main__" in sys.modules:
            os.kill(os.getpid(), {number:d})
sys.meta_path.insert(0, Finder())
sys.argv = ["apimart", "sandbox"]
from apimart_cli.__main__ import run
run()
"""


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_the_first_process_while_it_loads(start: Start, number: signal.Signals) -> None:
    """From our first line on."""
    process, _ = start(sys.executable, "-c", EARLY.format(number=number), env={})
    assert process.wait(timeout=40) == 128 + number
    assert process.stderr.read() == ""
