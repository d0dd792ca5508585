"""`run` and `sandbox` that are stopped, by Ctrl-Z or SIGSTOP: the command is suspended and continued with them.

And around random trees of processes, which are suspended, and gone after a stop, as a whole.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import BREEDING, KINDS, is_running, pids, state, wait_until
from support.running import PLENTY, Serve, Spawn, connected, started_processes

pytestmark = pytest.mark.measured

QUICK = ("--min", "1", "--no-settle", "--interval", "0.1", "--kill-after", "0.4")
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
UNTIL_ENOUGH = """
import time
while not os.path.exists("enough"):
    time.sleep(0.01)
sys.exit(7)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, forks: Forks
) -> Iterator[Start]:
    """Start `apimart OPTIONS -- python -c PROGRAM`, and end it with the test."""
    with started_processes(tmp_path, forks) as start:

        def start_one(program: str, *options: str, gateway: Sandbox = sandbox) -> "subprocess.Popen[str]":
            arguments = [command, *(options or ("run", *QUICK)), "--", sys.executable, "-c", program]
            return start(arguments, {**environment, **connected(gateway)})

        yield start_one


def are_stopped(*numbers: int) -> Callable[[], bool]:
    return lambda: all(state(number) == "T" for number in numbers)


def none_is_stopped(*numbers: int) -> Callable[[], bool]:
    return lambda: all(state(number) not in {"T", ""} for number in numbers)


@pytest.mark.parametrize("around", [("run", *QUICK), ("sandbox",)])
def test_stopped_and_continued_it_hands_on_the_status_of_its_command(
    start: Start, tmp_path: Path, around: tuple[str, ...]
) -> None:
    """A wait for signals that is interrupted when its time is over tells of none, and is no bug of ours."""
    process = start("import os, sys\nprint('up', flush=True)" + UNTIL_ENOUGH, *around)
    assert process.stdout.readline() == "up\n"
    for _ in range(4):
        process.send_signal(signal.SIGSTOP)
        wait_until(are_stopped(process.pid))
        time.sleep(0.15)  # longer than one wait for signals
        process.send_signal(signal.SIGCONT)
        wait_until(none_is_stopped(process.pid))
        time.sleep(0.05)  # for the next wait to begin
    (tmp_path / "enough").touch()
    _, told = process.communicate(timeout=40)
    assert (process.returncode, "bug" in told) == (7, False)


@pytest.mark.parametrize("kind", KINDS)
def test_while_it_is_stopped_so_is_all_that_the_command_has_started(start: Start, tmp_path: Path, kind: str) -> None:
    """Wherever that went; with a SIGSTOP that only the guard gets. All of it goes on with the guard."""
    process = start(BREEDING.format(kind=kind) + UNTIL_ENOUGH)
    command, bred = pids(process)
    for _ in range(2):
        process.send_signal(signal.SIGSTOP)
        wait_until(are_stopped(process.pid, command, bred))
        process.send_signal(signal.SIGCONT)
        wait_until(none_is_stopped(process.pid, command, bred))
    (tmp_path / "enough").touch()
    assert process.wait(40) == 7
    os.kill(bred, signal.SIGKILL)


def test_what_was_stopped_before_stays_stopped(start: Start, tmp_path: Path) -> None:
    """Only what was suspended with the guard goes on with it."""
    process = start(BREEDING.format(kind="session") + UNTIL_ENOUGH)
    command, bred = pids(process)
    os.kill(bred, signal.SIGSTOP)
    wait_until(are_stopped(bred))
    process.send_signal(signal.SIGSTOP)
    wait_until(are_stopped(command))
    process.send_signal(signal.SIGCONT)
    wait_until(none_is_stopped(process.pid, command))
    time.sleep(0.5)  # two more looks of the watchdog
    assert state(bred) == "T"
    (tmp_path / "enough").touch()
    assert process.wait(40) == 7
    os.kill(bred, signal.SIGKILL)


@pytest.mark.parametrize(("kind", "ignoring"), [("child", ""), ("group", DEAF), ("session", DEAF), ("orphan", "")])
def test_killed_while_it_is_stopped_it_leaves_nothing_behind(start: Start, kind: str, ignoring: str) -> None:
    """What is suspended is ended as it is otherwise."""
    process = start(f"import signal\n{ignoring}" + BREEDING.format(kind=kind) + "time.sleep(60)")
    both = pids(process)
    process.send_signal(signal.SIGSTOP)
    wait_until(are_stopped(process.pid, *both))
    process.kill()
    wait_until(lambda: not any(map(is_running, both)))


@pytest.mark.parametrize("outer", [("run", *QUICK), ("sandbox",)])
def test_a_guard_in_another_one_is_suspended_with_it(
    start: Start, command: str, tmp_path: Path, outer: tuple[str, ...]
) -> None:
    """A guard in a guard: both, the watchdogs and all that was started. In a sandbox the guard itself is stopped."""
    program = BREEDING.format(kind="session") + UNTIL_ENOUGH
    inner = ["--", command, "run", *QUICK]
    process = start(program, *outer, *inner)
    around_command, bred = pids(process)
    guard = int(Path(f"/proc/{around_command}/stat").read_text().rpartition(")")[2].split()[1])
    stopped = process.pid if outer[0] == "run" else guard
    os.kill(stopped, signal.SIGSTOP)
    wait_until(are_stopped(stopped, guard, around_command, bred))
    os.kill(stopped, signal.SIGCONT)
    wait_until(none_is_stopped(process.pid, guard, around_command, bred))
    (tmp_path / "enough").touch()
    assert process.wait(40) == 7
    os.kill(bred, signal.SIGKILL)


def test_when_it_goes_on_it_looks_first(start: Start, serve: Serve) -> None:
    """Others may have spent meanwhile: the limit holds at once, not when the next look would have been due."""
    gateway = serve()
    program = "import os, time\nprint('up', flush=True)\ntime.sleep(600)"
    process = start(program, "run", "--min", "5", "--no-settle", "--interval", "300", gateway=gateway)
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGSTOP)
    wait_until(are_stopped(process.pid))
    gateway.scenario = gateway.scenario._replace(key=Funds(Decimal(1), Decimal(9)))
    time.sleep(2.5)  # what is shorter than two seconds may be a busy machine
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 124


def test_a_sigstop_from_elsewhere_at_a_terminal_is_over_with_one_sigcont(
    spawn: Spawn, sandbox: Sandbox, tmp_path: Path
) -> None:
    """There a stopped command stops the guard; one that was suspended with the guard does not."""
    (tmp_path / "job.py").write_text(BREEDING.format(kind="session") + UNTIL_ENOUGH)
    line = f"exec apimart run {' '.join(QUICK)} -- {sys.executable} {tmp_path}/job.py"
    terminal = spawn("bash", "-c", line, env=connected(sandbox))
    terminal.expect(rb"pids (\d+) (\d+) \.\r\n")
    both = [int(number) for number in terminal.match.groups()]
    for _ in range(3):
        os.kill(terminal.pid, signal.SIGSTOP)
        wait_until(are_stopped(terminal.pid, *both))
        os.kill(terminal.pid, signal.SIGCONT)
        wait_until(none_is_stopped(terminal.pid, *both))
    (tmp_path / "enough").touch()
    wait_until(lambda: not is_running(terminal.pid))
    terminal.close()
    assert terminal.exitstatus == 7
    os.kill(both[1], signal.SIGKILL)


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
