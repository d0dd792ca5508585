"""The terminal after a command that was stopped, or that a signal has ended, under `run` and `sandbox`: as before."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from support.processes import wait_until
from support.programs import need
from support.running import PLENTY, Serve, Spawn, connected
from support.tmux import Tmux

pytestmark = pytest.mark.measured

GREEDY = """
import os, signal, sys, time, tty
if sys.argv[2] == "raw":
    tty.setraw(0)
    os.write(1, b"\\x1b[?1049h\\x1b[?1000;1002;1003;1006;1004;2004h\\x1b[?25l\\x1b[?1h\\x1b=")
    os.write(1, b"\\x1b[4h\\x1b[3;5r\\x1b[>1u\\x1b[31m")
os.write(1, b"\\x1b]0;half a ti" if sys.argv[2] == "raw" else b"half a line")
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
if sys.argv[1] == "exit":
    sys.exit(7)
if sys.argv[1] != "stop":
    os.kill(os.getpid(), getattr(signal, "SIG" + sys.argv[1]))
time.sleep(60)
"""
"""Turns on what a full-screen program does, and ends by a signal, with a status, or when it is stopped."""

MODES = (
    "alternate_on", "mouse_any_flag", "mouse_sgr_flag", "cursor_flag", "keypad_cursor_flag", "keypad_flag",
    "insert_flag", "wrap_flag", "scroll_region_upper", "scroll_region_lower",
)  # fmt: skip
"""What tmux knows of what a program turned on."""


@pytest.fixture
def greedy(tmp_path: Path) -> str:
    """The words that run GREEDY; it ends once the file `go` is there."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    return f"{sys.executable} {tmp_path / 'greedy.py'} {{}} {{}} {tmp_path / 'go'}"


@pytest.fixture
def tmux(tmp_path: Path, environment: Mapping[str, str], serve: Serve) -> Iterator[Tmux]:
    """A shell in tmux that is connected to a sandbox in which money burns."""
    variables = {**environment, **connected(serve(key=PLENTY, burn=Decimal(4)))}
    terminal = Tmux(need("tmux"), tmp_path / "tmux", variables)
    terminal.type("PS1='ready> '; clear", "Enter")
    terminal.expect(r"\Aready> *\Z")
    yield terminal
    terminal("kill-server")


SANDBOX = "apimart sandbox -- "
RUN = "apimart run --max-spend 1000 --no-settle -- "
STOPPING = "apimart run --max-spend 1 --no-settle --interval 0.1 --kill-after 0.3 -- "
WAYS = {
    "sandbox, SIGKILL": (SANDBOX, "KILL", 137),
    "run, SIGTERM": (RUN, "TERM", 143),
    "run, stopped": (STOPPING, "stop", 124),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_mode_is_as_it_was(tmux: Tmux, greedy: str, tmp_path: Path, way: str) -> None:
    """Modes of the line, the other screen, the mouse, keys, colours; and what was typed does not reach the shell."""
    around, end, status = WAYS[way]
    before = tmux.tell(*MODES)
    # A cursor that was saved some time ago is not where the shell goes on.
    tmux.type(r"printf '\e[?1049h\e[?1049l'; echo a''bove", "Enter")
    tmux.expect("^above$")
    tmux.type(f"{around}{greedy.format(end, 'raw')}; echo status=$?.", "Enter")
    if end == "stop":
        tmux.expect("status=124")
    else:
        wait_until(lambda: tmux.tell("keypad_flag")["keypad_flag"] == "1")
        tmux.type("h", "a", "l", "f")
        (tmp_path / "go").touch()
        tmux.expect(rf"^status={status}\.")
    tmux.expect(r"ready> *\Z")
    assert tmux.tell(*MODES) == before
    tmux.type(f"stty -a > {tmp_path}/modes", "Enter")
    wait_until(lambda: (tmp_path / "modes").exists() and "echo" in (tmp_path / "modes").read_text())
    words = set(re.split(r"[ ;\n]+", (tmp_path / "modes").read_text()))
    assert {"icanon", "echo", "isig", "icrnl", "opost", "onlcr"} <= words
    shown = tmux.screen
    assert shown.index("above") < shown.index("status=")
    assert "half" not in shown.partition("status=")[2]


@pytest.mark.parametrize(("end", "status"), [("KILL", 137), ("stop", 124)])
def test_the_message_has_a_line_of_its_own(tmux: Tmux, greedy: str, tmp_path: Path, end: str, status: int) -> None:
    """Also where the command has written half a line; and no line is left empty for that where it was a whole one."""
    (tmp_path / "go").touch()
    around = STOPPING if end == "stop" else RUN
    tmux.type("clear", "Enter")
    tmux.type(f"{around}{greedy.format(end, 'line')}; echo status=$?.", "Enter")
    tmux.expect(rf"half a line\napimart: (error|note): [^\x00]*status={status}\.")
    tmux.type("clear", "Enter")
    tmux.type(f"{around}sh -c 'echo whole; kill -KILL $$'; echo status=$?.", "Enter")
    tmux.expect(r"whole\napimart: note: [^\x00]*status=137\.")


def test_a_password_that_is_half_typed_never_reaches_the_shell(tmux: Tmux, tmp_path: Path) -> None:
    """What a prompt has not read is thrown away when the command behind it dies."""
    prompt = tmp_path / "prompt.py"
    prompt.write_text(
        f"import os, getpass\nopen('{tmp_path}/pid', 'w').write(str(os.getpid()))\ngetpass.getpass('Password: ')"
    )
    tmux.type(f"{RUN}{sys.executable} {prompt}; echo status=$?.", "Enter")
    tmux.expect("Password:")
    tmux.type("s3cret")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    tmux.expect(r"status=143\.")
    tmux.expect(r"ready> *\Z")
    tmux.type("echo vis''ible", "Enter")
    tmux.expect("^visible$")
    assert "s3cret" not in tmux.screen


@pytest.mark.parametrize("around", [SANDBOX, RUN])
def test_after_a_normal_end_nothing_is_written(
    spawn: Spawn, serve: Serve, greedy: str, tmp_path: Path, around: str
) -> None:
    """Whatever its status: what a program leaves turned on then, it means to."""
    (tmp_path / "go").touch()
    env = {"TERM": "xterm-256color", **connected(serve())}
    terminal = spawn("bash", "-c", f"{around}{greedy.format('exit', 'line')}; echo status=$?.", columns=200, env=env)
    terminal.expect_exact("half a line")
    terminal.expect_exact("status=7.")
    assert b"\x1b" not in terminal.before
    assert b"  " not in terminal.before


def test_a_dumb_terminal_gets_no_escapes(spawn: Spawn, serve: Serve, greedy: str, tmp_path: Path) -> None:
    """The message begins on a new line all the same."""
    (tmp_path / "go").touch()
    env = {"TERM": "dumb", **connected(serve())}
    terminal = spawn("bash", "-c", f"{RUN}{greedy.format('KILL', 'line')}; echo status=$?.", columns=200, env=env)
    terminal.expect(r"half a line\r+\napimart: note: [^\x1b]*status=137\.")


def test_what_reports_keys_and_pastes_is_told_to_stop(spawn: Spawn, serve: Serve, greedy: str, tmp_path: Path) -> None:
    """Of these tmux tells nothing: the sequences themselves, as xterm and kitty document them."""
    (tmp_path / "go").touch()
    env = {"TERM": "xterm-kitty", **connected(serve())}
    terminal = spawn("bash", "-c", f"{SANDBOX}{greedy.format('KILL', 'raw')}; echo status=$?.", columns=200, env=env)
    terminal.expect_exact("half a ti")
    terminal.expect_exact("status=137.")
    written = terminal.before.decode()
    turned_off = {mode for modes in re.findall(r"\x1b\[\?([\d;]+)l", written) for mode in modes.split(";")}
    assert {"1000", "1002", "1003", "1005", "1006", "1015", "1004", "2004", "1049"} <= turned_off
    assert all(sequence in written for sequence in ("\x1b[<u", "\x1b[=0u", "\x1b[>4m", "\x1b[?25h"))


PAGER = """
import os, sys, tty
terminal = os.open("/dev/tty", os.O_RDWR)
tty.setraw(terminal)
os.write(terminal, b"\\x1b[?1049hpager\\r\\n")
sys.stdin.read()
while os.read(terminal, 1) != b"q":
    pass
os.write(terminal, b"quit\\r\\n")
"""
"""As `less`: the text from a pipe, and the keys from the terminal."""


def test_a_pager_behind_it_keeps_the_terminal(spawn: Spawn, serve: Serve, tmp_path: Path) -> None:
    """It reads keys there, and shows what the command has written: nothing of that is put back."""
    (tmp_path / "pager.py").write_text(PAGER)
    job = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; kill -KILL $$"
    line = f"apimart run --min 1 --no-settle -- sh -c '{job}' | {sys.executable} pager.py; echo status=$?."
    terminal = spawn("bash", "-c", line, columns=200, env={"TERM": "xterm", **connected(serve())})
    terminal.expect_exact("pager")
    (tmp_path / "go").touch()
    terminal.expect_exact("spent at least 0")
    assert b"\x1b" not in terminal.before
    # Without Enter, and not shown: it still has every key for itself.
    terminal.send("q")
    terminal.expect_exact("quit")
    terminal.expect_exact("status=0.")


def test_a_shell_that_was_killed_gives_the_terminal_back(tmux: Tmux, tmp_path: Path) -> None:
    """An interactive one takes the foreground for a process group of its own, and cannot leave it then."""
    tmux.type(f"{RUN}bash --norc --noprofile -i; echo status=$?.", "Enter")
    tmux.expect(r"^bash-[^\n]*[#$] *\Z")
    tmux.type(f"stty -echo; echo $$ > {tmp_path}/pid", "Enter")
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    tmux.expect(r"^apimart: note: [^\x00]*^status=137\.")
    tmux.type("echo vis''ible", "Enter")
    tmux.expect("^visible$")
    assert "vis''ible" in tmux.screen
