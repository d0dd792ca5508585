"""`run` around a program that has the whole screen, at a real terminal and in tmux; the rest is in test_job_control."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pexpect
import pytest

from apimart_cli.sandbox.scenario import Fault
from support.processes import BREEDING, is_running, wait_until
from support.programs import need
from support.running import KEY, Serve, Spawn, connected
from support.stopwatch import Stopwatch, wait_within
from support.tmux import Tmux

pytestmark = pytest.mark.measured

QUICK = "--no-settle --interval 0.1 --kill-after 0.3"

FULL_SCREEN = """
import os, shutil, signal, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
def draw(*_):
    columns, rows = os.get_terminal_size(0)
    os.write(1, f"\\x1b[2J\\x1b[Hsize {columns}x{rows} \\r\\n> ".encode())
signal.signal(signal.SIGWINCH, draw)
os.write(1, b"\\x1b[?1049h")
draw()
while (key := os.read(0, 1)) != b"q":
    os.write(1, b"key %d;" % key[0])
os.write(1, b"\\x1b[?1049l")
termios.tcsetattr(0, termios.TCSADRAIN, before)
print("left well")
sys.exit(9)
"""
"""As an editor or a coding agent: the whole screen, every key for itself, drawn again when the window changes."""


@pytest.fixture
def agent(tmp_path: Path) -> str:
    """The words that run FULL_SCREEN."""
    (tmp_path / "agent.py").write_text(FULL_SCREEN)
    return f"{sys.executable} {tmp_path / 'agent.py'}"


@pytest.fixture
def tmux(tmp_path: Path, environment: Mapping[str, str], serve: Serve) -> Iterator[Tmux]:
    """A shell in tmux that is connected to a sandbox."""
    terminal = Tmux(need("tmux"), tmp_path / "tmux", {**environment, **connected(serve())})
    yield terminal
    terminal("kill-server")


def test_a_full_screen_program_in_tmux_works_as_it_does_alone(tmux: Tmux, agent: str) -> None:
    """Keys that mean something to a terminal, a window that changes, and the screen it leaves."""
    tmux.type(f"apimart run --min 1 {QUICK} -- {agent}; echo status=$?.", "Enter")
    tmux.expect(r"size 100x30")
    tmux.type("a", "C-c", "C-z", "Up")
    tmux.expect(r"> key 97;key 3;key 26;key 27;key 91;key 65;")
    tmux("resize-window", "-x", "70", "-y", "20")
    tmux.expect(r"size 70x20")
    tmux.type("q")
    tmux.expect(r"left well\napimart: note: spent at least 0\.0 in \d+ s; 10\.5 left\nstatus=9\.")


def test_a_terminal_that_is_closed_ends_the_command(spawn: Spawn, serve: Serve, tmp_path: Path) -> None:
    """The hang-up reaches it, and what it has started."""
    script = f"sleep 61 & echo $! > {tmp_path}/pids; echo $$ >> {tmp_path}/pids; exec sleep 62"
    (tmp_path / "job").write_text(script)
    env = connected(serve())
    terminal = spawn("bash", "-c", f"exec apimart run --min 1 {QUICK} -- sh {tmp_path}/job", env=env)
    wait_until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)
    numbers = [int(word) for word in (tmp_path / "pids").read_text().split()]
    terminal.ptyproc.fileobj.close()
    wait_until(lambda: not any(Path(f"/proc/{number}").exists() for number in numbers))


def test_the_time_that_a_job_is_stopped_for_does_not_count(spawn: Spawn, serve: Serve, tmp_path: Path) -> None:
    """Ctrl-Z while the balance is not known, and `fg` long after --max-blind: the command goes on."""
    sandbox = serve()
    program = tmp_path / "job.py"
    waiting = f"while not os.path.exists('{tmp_path}/enough'):\n    time.sleep(0.01)\n"
    program.write_text(f"import os, time\nprint('up', flush=True)\n{waiting}")
    env = {"PS1": "ready> ", "TERM": "dumb", **connected(sandbox)}
    terminal = spawn("bash", "--norc", "--noprofile", "-i", columns=200, env=env)
    terminal.expect_exact("ready> ")
    options = f"--max-spend 2 --max-blind 2 {QUICK}"
    terminal.sendline(f"apimart run {options} -- {sys.executable} {program}; echo status=$?.")
    terminal.expect_exact("up\r\n")
    sandbox.scenario = sandbox.scenario._replace(fault=Fault.UNAUTHORIZED)
    terminal.expect_exact("the balance is not known")
    terminal.send("\x1a")
    terminal.expect_exact("ready> ")
    time.sleep(2.5)
    sandbox.scenario = sandbox.scenario._replace(fault=None)
    terminal.sendline("fg; echo status=$?.")
    time.sleep(0.5)
    (tmp_path / "enough").touch()
    terminal.expect_exact("status=0.")


@pytest.mark.parametrize(("kind", "whole_group"), [("child", True), ("session", True), ("session", False)])
def test_killed_at_a_terminal_nothing_is_left(
    spawn: Spawn, serve: Serve, tmp_path: Path, kind: str, whole_group: bool
) -> None:
    """There the command has no group of its own; a shell may kill all of the job at once."""
    program = tmp_path / "job.py"
    program.write_text(BREEDING.format(kind=kind) + "time.sleep(60)")
    line = f"exec apimart run --min 1 {QUICK} -- {sys.executable} {program}"
    terminal = spawn("bash", "-c", line, env=connected(serve()))
    terminal.expect(rb"pids (\d+) (\d+) \.")
    both = [int(number) for number in terminal.match.groups()]
    time.sleep(0.3)
    (os.killpg if whole_group else os.kill)(terminal.pid, signal.SIGKILL)
    wait_within(lambda: not any(map(is_running, both)), 2)


def test_after_ctrl_c_nobody_waits_for_bookings(spawn: Spawn, serve: Serve, tmp_path: Path) -> None:
    """Whoever presses it wants the prompt."""
    # Not a shell and `sleep`: dash on its own, too, loses a Ctrl-C that comes while it starts a program.
    (tmp_path / "job.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    command = f"exec apimart run --min 1 -- {sys.executable} {tmp_path / 'job.py'}"
    terminal = spawn("bash", "-c", command, env=connected(serve()))
    terminal.expect_exact("up\r\n")
    watch = Stopwatch()
    terminal.send("\x03")
    terminal.expect_exact("spent at least 0.0")
    terminal.expect(pexpect.EOF)
    terminal.close()
    watch.took().assert_within(3)
    assert terminal.exitstatus == 130


def test_nothing_is_drawn_over_a_program(spawn: Spawn, serve: Serve, agent: str) -> None:
    """While it has the screen, the guard is silent as long as it sees."""
    terminal = spawn(
        "bash", "-c", f"exec apimart run --min 1 {QUICK} -- {agent}", env=connected(serve(burn=Decimal("0.1")), KEY)
    )
    terminal.expect_exact("> ")
    time.sleep(0.5)
    terminal.send("q")
    terminal.expect_exact("left well")
    assert b"apimart" not in terminal.before
    terminal.expect(pexpect.EOF)
