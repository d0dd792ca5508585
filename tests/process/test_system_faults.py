"""Faults injected into system calls: whatever fails, no false pass, no lost key, no traceback.

Each program is run once under strace to see which calls it makes after its entry point; then again and again, with one
of them failing. Every run of the tests plays the same few positions; `APIMART_ALL_FAULTS=1` plays all of them.
"""

import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import Sandbox
from support.programs import need
from support.running import KEY, connected, run_program

FAULTS: Mapping[str, Sequence[str]] = {
    "socket": ("error=EMFILE", "error=ENOBUFS"),
    "connect": ("error=EINTR", "error=ECONNREFUSED", "error=ENETUNREACH"),
    "sendto": ("error=EPIPE", "error=EINTR"),
    "recvfrom": ("error=ECONNRESET", "error=EINTR", "error=EIO", "retval=0"),
    "poll": ("error=EINTR", "error=ENOMEM"),
    "openat": ("error=EMFILE", "error=EIO", "error=EACCES"),
    "newfstatat": ("error=EIO", "error=EACCES"),
    "read": ("error=EIO", "error=EINTR", "retval=0"),
    "write": ("error=ENOSPC", "error=EIO", "error=EINTR"),
    "fsync": ("error=EIO",),
    "rename": ("error=ENOSPC",),
    "flock": ("error=EINTR", "error=ENOLCK"),
    "mkdir": ("error=ENOSPC",),
    "pipe2": ("error=EMFILE",),
    "clone3": ("error=EAGAIN",),
    "clone": ("error=EAGAIN",),
    "vfork": ("error=EAGAIN",),
    "wait4": ("error=EINTR",),
    "dup": ("error=EMFILE",),
}
"""What may fail, and how. `retval=0` is an end that comes too early."""

ALL = "APIMART_ALL_FAULTS" in os.environ

ENTRY = "apimart_cli/cli"
"""What the first call after our entry point names: before it, the interpreter starts and loads that entry."""

OUR_TRACEBACK = re.compile(r'Traceback \(most recent call last\):\n(?:  .*\n)*?  File "[^"]*apimart_cli/')
"""One that goes through a file of ours. Python's own modules may log another, where a file of theirs cannot be read."""


class Position(NamedTuple):
    """The nth call of its name in a thread, and the fault it is to meet."""

    call: str
    number: int
    fault: str


class Program(NamedTuple):
    """A command line, and what one run of it must never do, fault or not."""

    arguments: Sequence[str]
    forbidden: Callable[[int, Path], bool]
    """Whether this exit code, with this home folder, is a false success."""
    input: str = ""


PROGRAMS: Mapping[str, Program] = {
    "check": Program(("check", "--min", "5", "--timeout", "3"), lambda code, _home: code == 0),
    "login": Program(
        ("login", "--profile", "work", "--timeout", "3"),
        lambda code, home: code == 0 and KEY not in _config(home),
        f"{KEY}\n",
    ),
    "sandbox": Program(("sandbox", "--remain", "3", "--", "sh", "-c", "exit 7"), lambda code, _home: code == 0),
}


def _config(home: Path) -> str:
    path = home / ".config" / "apimart" / "config.toml"
    return path.read_text() if path.exists() else ""


@pytest.fixture
def empty() -> Iterator[Sandbox]:
    """A gateway whose key has 3 left: every gate must stop."""
    with Sandbox(Scenario(key=Funds(Decimal(3), Decimal(1)))).serving() as sandbox:
        yield sandbox


class Runner:
    """Runs one program under strace, each time with a home folder of its own."""

    def __init__(self, program: Program, command: str, environment: Mapping[str, str], folder: Path) -> None:
        self._program = program
        self._command = command
        self._environment = environment
        self._folder = folder
        self._strace = need("strace")

    def trace(self) -> str:
        """Run it without a fault, and return the calls it made."""
        trace = self._folder / "trace"
        self._run("whole", f"--output={trace}", f"--trace={','.join(f'?{name}' for name in FAULTS)}")
        return trace.read_text(errors="replace")

    def fault(self, position: Position) -> str | None:
        """Run it with one fault, and return what is wrong with how it ended."""
        name = f"{position.call}-{position.number}-{position.fault}"
        ended, home = self._run(
            name, f"--output={self._folder / name}.trace", f"--trace={position.call}",
            f"--inject={position.call}:{position.fault}:when={position.number}",
        )  # fmt: skip
        if self._program.forbidden(ended.returncode, home):
            return f"{position} is a false success: {ended}"
        printed = ended.stdout + ended.stderr
        is_wrong = KEY in printed or OUR_TRACEBACK.search(printed)
        return f"{position} shows the key or a traceback of ours: {ended}" if is_wrong else None

    def _run(self, name: str, *options: str) -> "tuple[subprocess.CompletedProcess[str], Path]":
        home = self._folder / name / "home"
        home.mkdir(parents=True)
        ended = run_program(
            [self._strace, "-f", "--seccomp-bpf", *options, self._command, *self._program.arguments],
            env={**self._environment, "HOME": str(home)},
            input=self._program.input,
            errors="replace",
        )
        return ended, home


def positions_of(trace: str) -> Iterator[Position]:
    """Yield every fault at every call after the entry point, numbered as strace does: in each thread."""
    is_ours = False
    seen: dict[tuple[str, str], int] = {}
    known: set[tuple[str, int]] = set()
    for thread, call, rest in re.findall(r"^(\d+) +(\w+)\((.*)$", trace, re.MULTILINE):
        seen[thread, call] = seen.get((thread, call), 0) + 1
        is_ours = is_ours or ENTRY in rest
        position = (call, seen[thread, call])
        if is_ours and call in FAULTS and position not in known:
            known.add(position)
            yield from (Position(*position, fault) for fault in FAULTS[call])


def sample(positions: Sequence[Position], name: str) -> list[Position]:
    """Return the same few positions each time: of the gate one for each fault of each call, else one for each call."""
    if ALL:
        return list(positions)
    shuffled = random.Random(1).sample(positions, len(positions))
    return list({(each.call, each.fault if name == "check" else ""): each for each in shuffled}.values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_fault_of_the_system_makes_a_pass_or_a_traceback(
    name: str, command: str, environment: Mapping[str, str], tmp_path: Path, empty: Sandbox
) -> None:
    """A gate that must stop stops, a login that says it kept the key has kept it, and nothing shows the key."""
    variables = {**environment, **connected(empty)}
    if name == "login":
        del variables["APIMART_API_KEY"]
    runner = Runner(PROGRAMS[name], command, variables, tmp_path)
    positions = list(positions_of(runner.trace()))
    assert {"openat", "read", "socket", "write" if name == "login" else "socket"} <= {each.call for each in positions}
    with ThreadPoolExecutor(max_workers=2) as pool:
        mistakes = [mistake for mistake in pool.map(runner.fault, sample(positions, name)) if mistake]
    assert mistakes == []
