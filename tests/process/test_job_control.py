"""`sandbox -- COMMAND` and `run -- COMMAND` at a real terminal, in real shells: as though we were not there."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pexpect
import psutil
import pytest

from apimart_cli.sandbox.server import Sandbox
from support.processes import BREEDING, is_running, state, wait_until
from support.programs import need
from support.running import KEY, Spawn, connected

pytestmark = pytest.mark.measured

SHELLS = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i", "+o", "zle", "+o", "promptsp")}
PROMPT = "ready> "
CTRL_C, CTRL_Z = "\x03", "\x1a"


class Shell(NamedTuple):
    """An interactive shell with job control."""

    terminal: "pexpect.spawn[bytes]"

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self.terminal.sendline(line)

    def type(self, keys: str) -> None:
        """Type without Enter."""
        self.terminal.send(keys)

    def expect(self, text: str) -> bytes:
        """Wait for `text` on the terminal, and return what came before it."""
        self.terminal.expect_exact(text)
        before: bytes = self.terminal.before
        return before

    def status(self) -> int:
        """Wait for the prompt, and return the exit status of what ran before it."""
        self.expect(PROMPT)
        self.enter("echo status=$?.")
        self.terminal.expect(rb"status=(\d+)\.")
        number = int(self.terminal.match[1])
        self.expect(PROMPT)
        return number


AROUND = ("sandbox --", "run --min 1 --no-settle --")

with_each = pytest.mark.parametrize(("shell", "around"), [("bash", AROUND[1]), ("zsh", AROUND[0])], indirect=True)
"""Each shell and each command once."""

with_each_shell = pytest.mark.parametrize("shell", SHELLS, indirect=True)


@pytest.fixture
def shell(request: pytest.FixtureRequest, spawn: Spawn, sandbox: Sandbox) -> Shell:
    """An interactive bash, and an interactive zsh."""
    need(request.param)
    terminal = spawn(
        request.param, *SHELLS[request.param], columns=200, env={"PS1": PROMPT, "TERM": "dumb", **connected(sandbox)}
    )
    opened = Shell(terminal)
    opened.expect(PROMPT)
    return opened


@pytest.fixture
def around(request: pytest.FixtureRequest) -> str:
    """What stands before the command."""
    return f"apimart {request.param}"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Write a Python program, and return the words that run it."""

    def write(text: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(f"import os, signal, sys, time\n{text}")
        return f"{sys.executable} {path}"

    return write


Program = Callable[[str], str]


@with_each
def test_ctrl_c_ends_the_command_and_the_shell_goes_on(shell: Shell, program: Program, around: str) -> None:
    """The status is that of a command that Ctrl-C has ended."""
    # The default, before anybody is told: Python's own handler would note a Ctrl-C, and be gone with the next line.
    text = 'signal.signal(signal.SIGINT, signal.SIG_DFL)\nprint("up", flush=True)\nos.execvp("sleep", ["sleep", "60"])'
    shell.enter(f"{around} {program(text)}")
    shell.expect("up\r\n")
    shell.type(CTRL_C)
    assert shell.status() == 130


UNTIL_ENOUGH = """
while not os.path.exists("enough"):
    time.sleep(0.01)
print("enough", flush=True)
sys.exit(7)
"""

TICKING = f"""
print("pids", os.getpid(), os.getppid(), ".", flush=True)
{UNTIL_ENOUGH}
"""


def pids(shell: Shell) -> tuple[int, int]:
    """Wait for the report of the command; return its number and the other one that it tells."""
    shell.terminal.expect(rb"pids (\d+) (\d+) \.\r\n")
    return int(shell.terminal.match[1]), int(shell.terminal.match[2])


@pytest.mark.parametrize(
    ("shell", "around", "kind", "resume"),
    [
        ("bash", AROUND[1], "session", "bg"),
        ("zsh", AROUND[0], "child", "fg"),
        ("zsh", f"{AROUND[0]} apimart {AROUND[1]}", "session", "fg"),
    ],
    indirect=["shell", "around"],
)
def test_ctrl_z_stops_everything_and_it_goes_on_together(
    shell: Shell, program: Program, tmp_path: Path, around: str, kind: str, resume: str
) -> None:
    """The shell gets its prompt back; `fg` and `bg` continue the job, whose status is the command's.

    A guard suspends what has a session of its own, too, as the tools of a coding agent have.
    """
    shell.enter(f"{around} {program(BREEDING.format(kind=kind) + UNTIL_ENOUGH)}")
    command, bred = pids(shell)
    everything = [command, bred, psutil.Process(command).ppid()]
    for word in ("fg", resume):
        shell.type(CTRL_Z)
        shell.expect(PROMPT)
        wait_until(lambda: [state(pid) for pid in everything] == ["T", "T", "T"])
        shell.enter(word)
        wait_until(lambda: "T" not in [state(pid) for pid in everything])
    if resume == "bg":
        # Before it ends: zsh knows nothing of a job that has ended.
        shell.enter("echo waiting; wait %1")
        shell.expect("waiting\r\n")
    (tmp_path / "enough").touch()
    shell.expect("enough\r\n")
    assert shell.status() == 7
    os.kill(bred, signal.SIGKILL)


@with_each
def test_a_command_that_ignores_ctrl_z_goes_on(shell: Shell, program: Program, tmp_path: Path, around: str) -> None:
    """We do not stop without it: the shell would take the terminal away from it."""
    shell.enter(f"{around} {program('signal.signal(signal.SIGTSTP, signal.SIG_IGN)' + TICKING)}")
    both = pids(shell)
    shell.type(CTRL_Z)
    time.sleep(0.3)  # time in which we could have been stopped
    assert "T" not in [state(pid) for pid in both]
    (tmp_path / "enough").touch()
    shell.expect("enough\r\n")
    assert shell.status() == 7


@with_each
def test_a_command_may_tidy_the_screen_before_it_stops(
    shell: Shell, program: Program, tmp_path: Path, around: str
) -> None:
    """As pagers and editors do: the shell takes over when they have stopped, and one `fg` brings them back."""
    text = """
def stop(*_):
    time.sleep(0.2)
    os.write(1, b"tidied\\n")
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, stop)
    os.write(1, b"back\\n")
signal.signal(signal.SIGTSTP, stop)
"""
    shell.enter(f"{around} {program(text + TICKING)}")
    pids(shell)
    shell.type(CTRL_Z)
    assert PROMPT.encode() not in shell.expect("tidied\r\n")
    shell.expect(PROMPT)
    shell.enter("fg")
    shell.expect("back\r\n")
    (tmp_path / "enough").touch()
    shell.expect("enough\r\n")
    assert shell.status() == 7


@with_each
def test_a_command_can_ask_for_a_password(shell: Shell, program: Program, around: str) -> None:
    """It reads the terminal itself, without echo."""
    text = 'import getpass\nprint("length", len(getpass.getpass("Secret: ")))'
    shell.enter(f"{around} {program(text)}")
    shell.expect("Secret: ")
    assert shell.terminal.waitnoecho(40)
    shell.enter("open sesame")
    assert b"sesame" not in shell.expect("length 11\r\n")
    assert shell.status() == 0


@with_each_shell
def test_a_key_command_can_ask_for_a_password_in_a_pipeline(
    shell: Shell, program: Program, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its standard input is none, its output is ours; the terminal is still the person's."""
    asking = program(f"import getpass\nif getpass.getpass('Secret: ') == 'open': print('{KEY}')").split()
    config = tmp_path / "config.toml"
    config.write_text(f"[profiles.work]\napi_key_command = {asking}\n")
    config.chmod(0o600)
    shell.enter(f"env -u APIMART_API_KEY APIMART_CONFIG={config} apimart balance -p work -o value | cat")
    shell.expect("Secret: ")
    assert shell.terminal.waitnoecho(40)
    shell.enter("open")
    shell.expect("10.5\r\n")
    assert shell.status() == 0


@with_each
def test_the_rest_of_a_pipeline_keeps_the_terminal(shell: Shell, around: str) -> None:
    """`sandbox -- COMMAND | less`: a group of the command's own in the foreground would stop the pager."""
    pager = "sh -c 'cat; read -r answer < /dev/tty; echo pager got $answer.'"
    shell.enter(f"{around} sh -c 'echo first; sleep 0.2; echo last' | {pager}")
    shell.expect("last\r\n")
    time.sleep(0.2)  # until the sandbox has ended as well
    shell.enter("quit")
    shell.expect("pager got quit.\r\n")
    assert shell.status() == 0


@with_each
def test_a_background_job_waits_for_the_terminal(shell: Shell, around: str) -> None:
    """A command in the background that reads the terminal is stopped; `fg` lets it read."""
    shell.enter(f"{around} sh -c 'read -r line; echo got-$line; exit 9' &")
    shell.terminal.expect(rb"\[1\] \+? *(\d+)")
    wait_until(lambda pid=int(shell.terminal.match[1]): state(pid) == "T")
    # The shell has to know it, too: `fg` sends no signal to a job that it takes for running.
    shell.enter("jobs")
    shell.terminal.expect(rb"(?i)stopped|suspended")
    shell.enter("fg")
    shell.expect("sh -c")  # zsh shows no more of it
    shell.enter("words")
    shell.expect("got-words\r\n")
    assert shell.status() == 9


@with_each
def test_open_files_are_handed_on(shell: Shell, around: str) -> None:
    """`<(...)` is a file of the shell's that the command inherits through us."""
    shell.enter(f"{around} cat <(echo one) <(echo two)")
    shell.expect("one\r\ntwo\r\n")
    assert shell.status() == 0


@pytest.fixture
def at_terminal(spawn: Spawn, program: Program, sandbox: Sandbox, around: str) -> Callable[[str], Shell]:
    """Start a program in the sandbox, which has a terminal to itself."""

    def start(text: str) -> Shell:
        return Shell(spawn(*around.split(), *program(text).split(), env=connected(sandbox)))

    return start


@pytest.mark.parametrize(
    ("around", "kind", "number"),
    [
        (AROUND[0], "child", signal.SIGTERM),
        (AROUND[0], "orphan", signal.SIGINT),
        (AROUND[1], "group", signal.SIGINT),
        (AROUND[1], "session", signal.SIGTERM),
    ],
    indirect=["around"],
)
def test_a_sent_signal_ends_grandchildren_too(
    at_terminal: Callable[[str], Shell], kind: str, number: signal.Signals
) -> None:
    """At a terminal the command has no group of its own; what it has started ends with it all the same.

    Also by SIGINT: `kill -INT` at us alone is no key at the terminal, which would have told the command.
    """
    shell = at_terminal(BREEDING.format(kind=kind) + "signal.signal(signal.SIGINT, signal.SIG_DFL)\ntime.sleep(60)")
    command, bred = pids(shell)
    assert is_running(bred)
    shell.terminal.kill(number)
    shell.terminal.expect(pexpect.EOF)
    shell.terminal.close()
    assert shell.terminal.exitstatus == 128 + number
    wait_until(lambda: not is_running(bred) and not is_running(command))


@pytest.mark.parametrize(("around", "kind"), [(AROUND[0], "session"), (AROUND[1], "orphan")], indirect=["around"])
def test_what_a_command_leaves_running_is_left_alone(at_terminal: Callable[[str], Shell], kind: str) -> None:
    """A daemon that the command has started outlives it and its terminal, as without us."""
    shell = at_terminal(BREEDING.format(kind=kind) + "sys.exit(4)")
    _, bred = pids(shell)
    try:
        shell.terminal.expect(pexpect.EOF)
        shell.terminal.close()
        assert shell.terminal.exitstatus == 4
        assert is_running(bred)
    finally:
        os.kill(bred, signal.SIGKILL)
