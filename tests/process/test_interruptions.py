"""Ctrl-C and other signals, at every stage: the process ends at once, says nothing, and leaves nothing behind."""

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pexpect
import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import is_running, wait_until
from support.running import Serve, Spawn, connected, started_processes
from support.secure import Listener
from support.stopwatch import seconds_to_end

pytestmark = pytest.mark.measured

Process = subprocess.Popen[str]
Start = Callable[..., Process]

PROMISED = 0.5
"""Seconds within which Ctrl-C ends the process."""
GRACE = 1.5
"""Seconds more that a busy machine may take, beside those in which others run."""


@pytest.fixture
def start(environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[Start]:
    """Start a program and leave it running: `start("apimart", "balance", env={...})`; it ends with the test."""
    with started_processes(tmp_path, forks) as start:
        yield lambda *arguments, env=None, **streams: start(arguments, {**environment, **(env or {})}, **streams)


def end(process: Process, number: int = signal.SIGINT) -> tuple[int, str, str]:
    """Send a signal, and return exit code, standard output and standard error; fail when that takes too long."""
    assert seconds_to_end(process, number) < PROMISED + GRACE
    stdout, stderr = process.communicate(timeout=40)
    return process.returncode, stdout, stderr


def is_listening(url: str) -> bool:
    """Tell whether somebody listens where `url` says."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


@pytest.mark.parametrize("module", ["typer", "apimart_cli.config.precedence", "requests", "rich.console"])
def test_ctrl_c_while_the_program_loads(start: Start, command: str, serve: Serve, module: str) -> None:
    """Ctrl-C in the middle of start-up, wherever it is, ends with 130 and no traceback."""
    process = start(sys.executable, "-X", "importtime", command, "balance", env=connected(serve(fault=Fault.TIMEOUT)))
    assert any(line.rpartition("|")[2].strip() == module for line in process.stderr)
    code, stdout, stderr = end(process)
    assert (code, stdout) == (130, "")
    # The trace of the imports may be cut anywhere; nothing else is in it.
    assert [line for line in stderr.splitlines()[:-1] if not line.startswith("import time:")] == []
    assert "Traceback" not in stderr


AT_OUR_FIRST_IMPORT = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if "apimart_cli.__main__" in sys.modules:
            os.kill(os.getpid(), {number:d})
sys.meta_path.insert(0, Finder())
sys.argv = ["apimart", *sys.argv[1:]]
from apimart_cli.__main__ import run
run()
"""
"""Starts as the installed command does, and sends a signal when the first module is looked for after our first line."""


def test_ctrl_c_before_anything_else_is_loaded(start: Start) -> None:
    """From our first line on: the handler is there before the first module is looked for."""
    process = start(sys.executable, "-c", AT_OUR_FIRST_IMPORT.format(number=signal.SIGINT), "balance")
    assert process.wait(timeout=40) == 130
    assert process.communicate() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        ("balance --json --scope both", signal.SIGINT, 130),
        ("check --min 5", signal.SIGINT, 130),
        ("balance", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_signal_while_waiting_for_an_answer(start: Start, arguments: str, number: int, code: int) -> None:
    """Nothing is printed: there is no answer and no verdict; SIGTERM ends it by that signal, as any other program."""
    with Listener(wait_for_the_end_of) as gateway:
        process = start("apimart", *arguments.split(), env=where(gateway))
        wait_until(lambda: gateway.connections)
        assert end(process, number) == (code, "", "")


def test_ctrl_c_in_the_pause_before_a_retry(start: Start) -> None:
    """Ctrl-C ends the pause that a gateway asked for."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 40\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        wait_for_the_end_of(connection)

    with Listener(refuse) as gateway:
        process = start("apimart", "check", "--min", "5", "--scope", "key", "--timeout", "60", env=where(gateway))
        wait_until(lambda: gateway.connections)
        # The client closes the connection when it has read the answer: from here on it can only be in the pause.
        gateway.settle()
        assert end(process) == (130, "", "")
        assert gateway.connections == 1


def test_ctrl_c_while_a_key_is_awaited_from_a_pipe(start: Start, sandbox: Sandbox) -> None:
    """Ctrl-C in the middle of a key, while standard input has not ended."""
    reader, writer = os.pipe()
    with open(reader, "rb") as unread, open(writer, "wb", buffering=0) as key:
        key.write(b"sk-half")
        process = start("apimart", "balance", "--api-key", "-", env={"APIMART_BASE_URL": sandbox.url}, stdin=reader)
        wait_until(lambda: bytes_in(unread) == 0)
        assert end(process) == (130, "", "")


def bytes_in(pipe: IO[bytes]) -> int:
    """How many bytes nobody has read from a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def where(gateway: Listener) -> dict[str, str]:
    """The variables that point a process at a bare server."""
    return {"APIMART_BASE_URL": f"http://127.0.0.1:{gateway.port}", "APIMART_API_KEY": "sk-test-Zq7Wm3Xc9Vb1"}


def wait_for_the_end_of(connection: socket.socket) -> None:
    """Take in whatever comes until the other side closes."""
    while connection.recv(65536):
        pass


def test_ctrl_c_wipes_the_progress_off_the_screen(spawn: Spawn) -> None:
    """Who waited long enough to be told how it goes gets an empty line back, for the shell's next prompt."""
    with Listener(wait_for_the_end_of) as gateway:
        child = spawn("apimart", "balance", env=where(gateway))
        child.expect_exact(f"waiting for 127.0.0.1:{gateway.port}, 9 s left")
        child.sendintr()
        shown = child.read()
        child.close()
    assert child.exitstatus == 130
    assert shown.endswith(b"\r\x1b[2K")


def at_the_prompt(spawn: Spawn, sandbox: Sandbox) -> "pexpect.spawn[bytes]":
    """Start a command that asks for the key, and wait until it does."""
    child = spawn("apimart", "balance", "--api-key", "-", env={"APIMART_BASE_URL": sandbox.url})
    child.expect_exact("API key: ")
    assert child.waitnoecho(40)
    return child


def test_ctrl_c_at_the_prompt_gives_the_terminal_back(spawn: Spawn, sandbox: Sandbox) -> None:
    """Ctrl-C while a key is typed ends with 130, and the terminal shows again what is typed, on a line of its own."""
    child = at_the_prompt(spawn, sandbox)
    child.send("sk-half-typed")
    child.sendintr()
    shown = child.read()
    assert child.getecho()
    child.close()
    assert (child.exitstatus, shown) == (130, b"\r\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_other_signals_at_the_prompt_give_the_terminal_back(spawn: Spawn, sandbox: Sandbox, number: int) -> None:
    """A prompt that is ended from elsewhere restores the terminal and begins a new line, and ends by that signal."""
    child = at_the_prompt(spawn, sandbox)
    child.kill(number)
    shown = child.read()
    assert child.getecho()
    child.close()
    assert (child.signalstatus, shown) == (number, b"\r\n")


def test_ctrl_c_after_the_prompt_is_what_it_was(spawn: Spawn, serve: Serve) -> None:
    """When the key is in, Ctrl-C ends the wait for the answer as ever."""
    child = at_the_prompt(spawn, serve(fault=Fault.TIMEOUT))
    child.sendline("sk-test-Zq7Wm3Xc9Vb1")
    wait_until(child.getecho)
    child.sendintr()
    shown = child.read()
    child.close()
    assert child.exitstatus == 130
    assert b"Traceback" not in shown


def open_sandbox(process: Process) -> tuple[str, Path]:
    """Wait until a sandbox without a command serves, and return its address and the folder of its history."""
    address = re.fullmatch(r"export APIMART_BASE_URL=(\S+)\n", process.stdout.readline())
    assert address
    assert process.stdout.readline().startswith("export APIMART_API_KEY=")
    history = re.fullmatch(r"export APIMART_HISTORY=(\S+)/history\.db\n", process.stdout.readline())
    assert history
    assert is_listening(address[1])
    return address[1], Path(history[1])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_the_sandbox(start: Start, number: int, code: int) -> None:
    """A sandbox that serves ends at once on Ctrl-C or SIGTERM: nobody listens any more, and its history is gone."""
    process = start("apimart", "sandbox", "--days", "1")
    url, folder = open_sandbox(process)
    assert (folder / "history.db").is_file()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert end(process, number) == (code, "", "")
    assert not is_listening(url)
    assert not folder.exists()


def asking(url: str) -> socket.socket:
    """Ask a sandbox for the balance, and return the connection."""
    client = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    client.sendall(b"GET /v1/balance HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer sk-test\r\n\r\n")
    return client


def test_a_waiting_client_does_not_hold_the_sandbox(start: Start) -> None:
    """Ctrl-C ends a sandbox in the middle of an answer, too."""
    process = start("apimart", "sandbox", "--latency", "60")
    url, _ = open_sandbox(process)
    with asking(url):
        assert end(process) == (130, "", "")
    assert not is_listening(url)


def test_an_impatient_user_changes_nothing(start: Start) -> None:
    """Ctrl-C, pressed again and again, still ends with 130 and no traceback."""
    process = start("apimart", "sandbox")
    open_sandbox(process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=40) == ("", "")
    assert process.returncode == 130


def test_an_ignored_ctrl_c_stays_ignored(start: Start) -> None:
    """A sandbox in the background of a script, where Ctrl-C is ignored, goes on serving until it is told to end."""
    process = start("bash", "-c", 'trap "" INT; exec apimart sandbox')
    url, _ = open_sandbox(process)
    process.send_signal(signal.SIGINT)
    with asking(url) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert process.poll() is None
    assert end(process, signal.SIGTERM) == (-signal.SIGTERM, "", "")


REPORT = 'print(os.getpid(), os.environ["APIMART_BASE_URL"], flush=True)'
CHILD = f"import os, time; {REPORT}; time.sleep(60)"


def started_child(process: Process) -> tuple[int, str]:
    """Wait for the report of `CHILD`, and return its process number and the address of its sandbox."""
    pid, url = process.stdout.readline().split()
    return int(pid), url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_wrapped_command(start: Start, number: int) -> None:
    """A signal that ends the command gives 128 + its number; neither the command nor the sandbox is left."""
    quiet = "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    process = start("apimart", "sandbox", "--", sys.executable, "-c", quiet + CHILD)
    pid, url = started_child(process)
    assert is_running(pid)
    assert end(process, number) == (128 + number, "", "")
    assert not is_running(pid)
    assert not is_listening(url)


def test_a_wrapped_command_may_end_in_its_own_way(start: Start) -> None:
    """A command that cleans up on SIGTERM and exits with a code of its own is waited for, and its code is ours."""
    cleaning = "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('clean'), sys.exit(42)));"
    process = start("apimart", "sandbox", "--", sys.executable, "-c", cleaning + CHILD)
    pid, _ = started_child(process)
    assert end(process, signal.SIGTERM) == (42, "clean\n", "")
    assert not is_running(pid)


def test_a_signal_before_the_command_is_there_reaches_it_too(start: Start) -> None:
    """A signal in the moment before the command starts is kept for it, so that it is not left running alone."""
    script = """
import os, signal, subprocess, sys
from apimart_cli.processes.child import Child
from apimart_cli.processes.relay import supervise
def late():
    os.kill(os.getpid(), signal.SIGTERM)
    return Child.start([sys.executable, "-c", "import time; time.sleep(60)"])
sys.exit(supervise(late))
"""
    process = start(sys.executable, "-c", script)
    assert process.wait(timeout=40) == 128 + signal.SIGTERM
    assert process.communicate()[1] == ""


COUNTING = """
import os, signal, sys, time
if "apart" in sys.argv:
    os.setpgid(0, 0)
caught = []
for number in (signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, lambda number, frame: caught.append(number))
print("ready", flush=True)
deadline = time.monotonic() + 20
while not caught and not os.path.exists("typed") and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(1.5 if "apart" in sys.argv else 0.5)
print("caught", [int(number) for number in caught], flush=True)
sys.exit(5)
"""


@pytest.mark.parametrize(
    ("key", "words", "caught"),
    [
        ("\x03", "", [signal.SIGINT]),
        ("\x1c", "< /dev/null", [signal.SIGQUIT]),
        # Two equal signals in short order may arrive as one: only one that has left the foreground could tell.
        ("\x03", "apart < /dev/null", []),
        ("\x1c", "apart", []),
    ],
)
def test_a_key_typed_at_the_terminal_reaches_the_command_from_there_alone(
    spawn: Spawn, tmp_path: Path, key: str, words: str, caught: list[signal.Signals]
) -> None:
    r"""Ctrl-C or Ctrl-\: a command in the foreground gets it once, one that left the foreground gets nothing."""
    (tmp_path / "counting.py").write_text(COUNTING)
    child = spawn("bash", "-c", f"exec apimart sandbox -- {sys.executable} counting.py {words}")
    child.expect_exact("ready")
    child.send(key)
    if not caught:
        (tmp_path / "typed").touch()
    shown = child.read()
    child.close()
    assert f"caught {[int(number) for number in caught]}".encode() in shown
    assert child.exitstatus == 5


def test_a_signal_from_elsewhere_reaches_the_command_once(start: Start) -> None:
    """Without a terminal the signal is ours alone, and handed on once."""
    process = start("apimart", "sandbox", "--", sys.executable, "-c", COUNTING)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=40) == (f"caught [{signal.SIGINT:d}]\n", "")
    assert process.returncode == 5


def test_ctrl_c_at_a_terminal_ends_a_sandbox_that_serves(spawn: Spawn) -> None:
    """At a terminal the sandbox says how to end it, and that works."""
    child = spawn("apimart", "sandbox", columns=120)
    child.expect_exact("hint: paste the lines above into another terminal")
    child.sendintr()
    shown: Any = child.read()
    child.close()
    assert child.exitstatus == 130
    assert shown.replace(b"^C", b"").strip() == b""
