"""`watch` with real processes: at a terminal that is left as it was, in a pipe, until signals and readers end it."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pexpect
import pyte
import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import LONGEST, state, wait_until
from support.programs import need
from support.running import KEY, Serve, Spawn, connected, started_processes

pytestmark = pytest.mark.measured

QUICK = ("--interval", "0.2")

Start = Callable[..., "subprocess.Popen[str]"]


def quick(sandbox: Sandbox) -> dict[str, str]:
    """The variables with which a process asks `sandbox`, as often as the test likes."""
    return {**connected(sandbox), "APIMART_SANDBOX": "1"}


@pytest.fixture
def start(command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[Start]:
    """Start `apimart watch` with its output in a pipe, and end it with the test."""
    with started_processes(tmp_path, forks) as start:

        def start_one(gateway: Sandbox, *options: str) -> "subprocess.Popen[str]":
            return start([command, "watch", *QUICK, *options], {**environment, **quick(gateway)})

        yield start_one


def line_of(process: "subprocess.Popen[str]") -> str:
    return process.stdout.readline()


class Screen:
    """What a person sees of a terminal."""

    def __init__(self, terminal: "pexpect.spawn[bytes]", columns: int = 80) -> None:
        self.terminal = terminal
        self.received = b""
        self._screen = pyte.Screen(columns, 24)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def has_cursor(self) -> bool:
        """Whether the cursor is seen."""
        return not self._screen.cursor.hidden

    def expect(self, pattern: str, seconds: float = LONGEST) -> str:
        """Wait until the screen shows that; return what it shows."""
        give_up_at = time.monotonic() + seconds
        self._receive()
        while not re.search(pattern, self.text, re.MULTILINE):
            assert time.monotonic() < give_up_at, self.text
            self._receive()
        return self.text

    def rest(self) -> bytes:
        """Return all that the terminal receives until everybody has closed it."""
        while self._receive():
            pass
        return self.received

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        self._screen.resize(rows, columns)
        self.terminal.setwinsize(rows, columns)

    def _receive(self) -> bool:
        try:
            data = self.terminal.read_nonblocking(65536, timeout=0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.received += data
        self._stream.feed(data)
        return True


@pytest.fixture
def burning(serve: Serve) -> Sandbox:
    """A sandbox that spends half a unit a second."""
    return serve(burn=Decimal("0.5"))


def test_a_table_is_drawn_in_place(spawn: Spawn, burning: Sandbox) -> None:
    """With what was spent, how fast, how long the rest lasts, a line of bars and the age; q ends it with 0."""
    screen = Screen(spawn("apimart", "watch", *QUICK, columns=100, env=quick(burning)), 100)
    text = screen.expect(r"default +key .*[▁-█]{4}")
    assert re.search(r"^Profile +Scope +Remaining +Spent +Rate +Lasts +Spend +Age +Status$", text, re.MULTILINE)
    [row] = re.findall(r"^default .*$", text, re.MULTILINE)
    shown = re.fullmatch(
        r"default +key +([\d.]{3,}) +[\d.]{3,} +(\d+)/h +~(\d+) s +[▂-█]{4,} +\d s +ok", row.replace("▁", "▂")
    )
    assert shown
    left, rate, lasts = map(float, shown.groups())
    # It spends 1800 an hour; a busy machine asks at other times than it notes. The rest lasts as long as that says.
    assert 900 < rate < 3600
    assert abs(lasts - left / rate * 3600) <= 1
    assert re.search(r"^every 0\.2 s; (asking now|next in \d s); q ends$", text, re.MULTILINE)
    assert not screen.has_cursor
    screen.terminal.send("q")
    received = screen.rest()
    screen.terminal.close()
    assert screen.terminal.exitstatus == 0
    assert received.count(b"\x1b[?1049h") == received.count(b"\x1b[?1049l") == 1
    assert received.rindex(b"\x1b[?25h") > received.rindex(b"\x1b[?25l")
    # What was seen last stays on the terminal's own screen, and nothing moves the cursor there.
    left = received.rpartition(b"\x1b[?1049l")[2].decode()
    assert re.search(r"^default +key ", re.sub(r"\x1b\[[\d;]*m", "", left), re.MULTILINE)
    assert re.findall(r"\x1b\[[\d;?]*[^\d;?m]", left) in ([], ["\x1b[?25h"])


def test_a_window_that_changes_is_drawn_anew(spawn: Spawn, burning: Sandbox) -> None:
    """What no longer fits beside each other comes below each other, and no line is broken."""
    screen = Screen(spawn("apimart", "watch", *QUICK, columns=100, env=quick(burning)), 100)
    screen.expect(r"^default +key .*[▁-█]{4}")
    screen.resize(24, 40)
    text = screen.expect(r"^Status:    ok$")
    assert re.search(r"^Remaining: [\d.]+$", text, re.MULTILINE)
    screen.resize(24, 120)
    screen.expect(r"^default +key .*[▁-█]{4,} .* ok$")


def test_ctrl_c_leaves_the_terminal_as_it_was(spawn: Spawn, burning: Sandbox) -> None:
    """130, the cursor is back, and the table stays."""
    screen = Screen(spawn("apimart", "watch", *QUICK, env=quick(burning)))
    screen.expect(r"^default +key ")
    screen.terminal.send("\x03")
    left = screen.rest().rpartition(b"\x1b[?1049l")[2]
    screen.terminal.close()
    assert screen.terminal.exitstatus == 130
    assert left.startswith(b"\x1b[?25h")
    assert b"default" in left


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_ctrl_z_and_fg(spawn: Spawn, burning: Sandbox, name: str) -> None:
    """In a shell: stopped, its terminal is the shell's; afterwards it goes on. At the end what is typed is seen."""
    options = {"bash": ("--norc", "--noprofile", "-i"), "zsh": ("-f", "-i", "+o", "zle", "+o", "promptsp")}[name]
    env = {"PS1": "ready> ", **quick(burning)}
    shell = spawn(need(name), *options, columns=100, env=env)
    shell.expect_exact("ready> ")
    shell.sendline("stty -a > before; apimart watch --interval 0.2; echo status=$?.")
    shell.expect_exact("\x1b[?1049h")
    shell.expect_exact("q ends")
    shell.send("\x1a")
    shell.expect_exact("\x1b[?25h")
    shell.expect_exact("\x1b[?1049l")
    shell.expect_exact("ready> ")
    shell.sendline("stty -a > stopped; diff before stopped && echo same.")
    shell.expect(r"[\r\n]same\.")
    shell.expect_exact("ready> ")
    shell.sendline("fg")
    shell.expect_exact("\x1b[?1049h")
    shell.expect_exact("q ends")
    shell.send("q")
    shell.expect_exact("\x1b[?1049l")
    shell.expect_exact("ready> ")
    shell.sendline("stty -a > after; diff before after && echo same.")
    shell.expect(r"[\r\n]same\.")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_in_the_background_it_waits_for_its_terminal(spawn: Spawn, burning: Sandbox) -> None:
    """Nothing is drawn over what is typed meanwhile; brought to the front, it goes on."""
    env = {"PS1": "ready> ", **quick(burning)}
    shell = spawn("bash", "--norc", "--noprofile", "-i", columns=100, env=env)
    shell.expect_exact("ready> ")
    shell.sendline("set -b; apimart watch --interval 0.2 &")
    shell.expect_exact("Stopped")
    assert b"\x1b[?1049h" not in shell.before
    shell.sendline("fg; echo status=$?.")
    shell.expect_exact("q ends")
    shell.send("q")
    shell.expect_exact("status=0.")


def test_after_a_stop_that_nobody_can_note_it_is_drawn_anew(spawn: Spawn, burning: Sandbox) -> None:
    """SIGSTOP and SIGCONT: the shell may have used the screen meanwhile."""
    screen = Screen(spawn("apimart", "watch", *QUICK, env=quick(burning)))
    screen.expect(r"^default +key ")
    before = screen.received.count(b"\x1b[?1049h")
    os.kill(screen.terminal.pid, signal.SIGSTOP)
    wait_until(lambda: state(screen.terminal.pid) == "T")
    os.kill(screen.terminal.pid, signal.SIGCONT)
    wait_until(lambda: screen.expect(".") and screen.received.count(b"\x1b[?1049h") > before)
    screen.terminal.send("q")
    screen.rest()
    screen.terminal.close()
    assert screen.terminal.exitstatus == 0


def test_a_dumb_terminal_gets_lines(spawn: Spawn, burning: Sandbox) -> None:
    """No escape sequence at all."""
    terminal = spawn("apimart", "watch", *QUICK, "--count", "2", env={**quick(burning), "TERM": "dumb"})
    terminal.expect(pexpect.EOF)
    assert terminal.before.count(b" spent\r\n") == 2
    assert b"\x1b" not in terminal.before


def test_a_terminal_that_is_closed_ends_it(spawn: Spawn, burning: Sandbox) -> None:
    """By the hang-up, and no process is left that asks for ever."""
    terminal = spawn("apimart", "watch", *QUICK, env=quick(burning))
    terminal.expect_exact("q ends")
    terminal.ptyproc.fileobj.close()
    wait_until(lambda: state(terminal.pid) in {"", "Z"})


def test_each_change_is_a_line_at_once(start: Start, burning: Sandbox) -> None:
    """Whoever reads sees it before the next question, without an escape sequence."""
    process = start(burning)
    for _ in range(3):
        assert re.fullmatch(r"[\d-]+T[\d:]+Z default/key: [\d.]+ left, [\d.]+ spent\n", line_of(process))


@pytest.mark.parametrize(("burn", "options"), [("0.5", ()), ("0.5", ("--json",)), ("0", ("--interval", "1h"))])
def test_a_reader_that_goes_away_ends_it(start: Start, serve: Serve, burn: str, options: tuple[str, ...]) -> None:
    """Quietly, with the code that it would have had; also long before the next question."""
    process = start(serve(burn=Decimal(burn)), *options)
    line_of(process)
    process.stdout.close()
    assert process.wait(40) == 0
    assert process.stderr.read() == ""


def test_sigterm_ends_it(start: Start, sandbox: Sandbox) -> None:
    """By that signal, as systemd expects, and without a word."""
    process = start(sandbox)
    line_of(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == -signal.SIGTERM
    assert process.stderr.read() == ""


def test_until_below_ends_with_3(start: Start, serve: Serve) -> None:
    """Once less is left than --min, with the line that says so."""
    process = start(serve(burn=Decimal(2)), "--min", "10", "--until-below")
    output, messages = process.communicate(timeout=40)
    assert process.returncode == 3
    assert re.fullmatch(r".* left, [\d.]+ spent; below 10", output.splitlines()[-1])
    assert re.fullmatch(
        r"apimart: note: default/key: [\d.]+ left, at least 10 required\nhint: top up, or ask for less\n", messages
    )


def test_the_key_is_in_nothing_that_it_writes(start: Start, serve: Serve, home: Path) -> None:
    """Not when it is rejected, either."""
    process = start(serve(fault=Fault.UNAUTHORIZED), "--count", "2", "--json", "--debug")
    output, messages = process.communicate(timeout=40)
    assert process.returncode == 4
    assert KEY not in output + messages
    assert KEY[8:16] not in output + messages
