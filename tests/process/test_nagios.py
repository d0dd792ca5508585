"""`nagios` as a process: it ends with 0, 1, 2 or 3 and says why on standard output, whatever is done to it."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

import apimart_cli
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import is_running, wait_until
from support.running import KEY, Run, Serve, Write, connected, run_program, started_processes
from support.scripted import balance, gateway

ARGUMENTS = ("nagios", "-w", "10:", "-c", "5:")

Start = Callable[..., "subprocess.Popen[str]"]
"""Starts a program, which ends with the test."""


def test_the_status_is_the_state(run: Run, sandbox: Sandbox, serve: Serve) -> None:
    """OK, WARNING, CRITICAL and UNKNOWN are 0 to 3; nothing is on standard error."""
    for code, (state, options) in enumerate(
        [("OK", []), ("WARNING", ["-w", "20:"]), ("CRITICAL", ["-c", "20:"]), ("UNKNOWN", ["-t", "0"])]
    ):
        ended = run(*ARGUMENTS, *options, env=connected(sandbox))
        assert (ended.returncode, ended.stderr, ended.stdout.split()[:2]) == (code, "", ["APIMART", state])


@pytest.mark.parametrize(
    ("options", "broken"), [("-c 5:", "> /dev/full"), ("-c 5:", ">&- 2>&-"), ("-c x", ">&-"), ("--help", "> /dev/full")]
)
def test_an_answer_that_cannot_be_written_is_unknown(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, options: str, broken: str
) -> None:
    """Nobody has read that there is enough."""
    ended = run_program(["sh", "-c", f"{command} nagios {options} {broken}"], env={**environment, **connected(sandbox)})
    assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (3, "", False)


def test_an_output_without_the_letters_changes_no_state(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """What its encoding lacks is written as an escape."""
    write_config(f'[profiles."b\u00fcro \u20ac"]\napi_key = "{KEY}"\nbase_url = "{sandbox.url}"\n')
    ended = run("nagios", "-c", "20:", env={"PYTHONIOENCODING": "ascii:strict"})
    assert (ended.returncode, ended.stderr) == (2, "")
    assert ended.stdout.startswith("APIMART CRITICAL - b\\xfcro \\u20ac/spendable 10.5 left (limited by key), ")


@pytest.fixture
def damaged(tmp_path: Path, environment: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """A copy of the package that may be damaged, and the variables with which Python takes it."""
    copy = tmp_path / "copy" / "apimart_cli"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(apimart_cli.__file__).parent, copy, ignore=ignored)
    return copy, {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{copy.parent}"}


@pytest.mark.parametrize(
    ("module", "damage"),
    [
        ("cli.py", "raise ValueError"), ("errors.py", None), ("commands/nagios.py", None),
        ("output/nagios.py", "raise ValueError"), ("error_output.py", "raise ValueError"), ("screen/writing.py", None),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_loaded_is_unknown(
    damaged: tuple[Path, dict[str, str]], sandbox: Sandbox, module: str, damage: str | None
) -> None:
    """Wherever it is needed first, also where failures are told."""
    copy, environment = damaged
    if damage is None:
        (copy / module).unlink()
    else:
        (copy / module).write_text(f"{damage}\n")
    ended = run_program(
        [sys.executable, "-m", "apimart_cli", "nagios", "-c", "5:" if module != "error_output.py" else "x"],
        env={**environment, **connected(sandbox)},
        cwd=copy.parent,
    )
    assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith("APIMART UNKNOWN - ")


END_NOTHING = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD, signal.SIGCONT,
    signal.SIGURG, signal.SIGWINCH,
}  # fmt: skip
IGNORED = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)}
"""By Python, from the start."""
CATCHABLE = set(signal.valid_signals()) - END_NOTHING - IGNORED
"""Every signal that would end a process by default and can be caught, those without a name, too."""
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""Those that are waited for by a thread, and blocked."""


@pytest.fixture
def started(environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[Start]:
    """Start a program, which ends with the test."""
    with started_processes(tmp_path, forks) as start:
        yield lambda *arguments, env, **streams: start(arguments, {**environment, **env}, **streams)


def ended_by(process: "subprocess.Popen[str]", number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=40)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV, signal.SIGRTMIN + 1]
)
def test_a_signal_while_it_waits_is_unknown(started: Start, command: str, number: int) -> None:
    """Ctrl-C, what a system that shuts down or gives up sends, and every other: a line, and its own status."""
    with gateway(lambda _path, _key: balance("10", delay=30)) as server:
        process = started(command, *ARGUMENTS, env={"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY})
        wait_until(lambda: server.asked)
        status = Path(f"/proc/{process.pid}/status").read_text()
        for field, expected in (("SigCgt", CATCHABLE - FAULTS), ("SigBlk", FAULTS)):
            [mask] = re.findall(rf"^{field}:\s+(\w+)$", status, re.MULTILINE)
            assert [each for each in expected if not int(mask, 16) >> (each - 1) & 1] == []
        code, stdout, stderr = ended_by(process, number)
    assert (code, stderr) == (3, "")
    named = number.name if isinstance(number, signal.Signals) else f"signal {number}"
    assert stdout == f"APIMART UNKNOWN - ended by {named}\n"


def test_a_real_fault_is_no_endless_loop(started: Start) -> None:
    """A mistake in machine code ends the process; a handler of Python's would go back to it again and again."""
    script = """
import ctypes, sys
sys.argv = ["apimart", "nagios", "-c", "5:"]
import apimart_cli.cli
apimart_cli.cli.main = lambda _arguments: ctypes.string_at(0)
from apimart_cli.__main__ import run
run()
"""
    process = started(sys.executable, "-c", script, env={})
    assert process.wait(timeout=40) == -signal.SIGSEGV


@pytest.mark.parametrize(("module", "number"), [("typer", signal.SIGINT), ("requests", signal.SIGTERM)])
def test_a_signal_while_it_loads_is_unknown(
    started: Start, command: str, serve: Serve, module: str, number: signal.Signals
) -> None:
    """From the first line of our own on."""
    process = started(
        sys.executable, "-X", "importtime", command, *ARGUMENTS, env=connected(serve(fault=Fault.TIMEOUT))
    )
    assert any(line.rpartition("|")[2].strip() == module for line in process.stderr)
    code, stdout, stderr = ended_by(process, number)
    assert (code, stdout.count("\n"), stdout[:29]) == (3, 1, "APIMART UNKNOWN - ended by SI")
    assert "Traceback" not in stderr


def test_a_signal_ends_it_although_nobody_reads(started: Start, command: str) -> None:
    """The line is dropped where it would have to wait."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * 4096)
    os.set_blocking(writer, True)
    with gateway(lambda _path, _key: balance("10", delay=30)) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        process = started(command, *ARGUMENTS, env=env, stdout=writer)
        wait_until(lambda: server.asked)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 3
    os.close(reader)
    os.close(writer)


def test_a_signal_ends_what_prints_the_key(started: Start, command: str, write_config: Write, tmp_path: Path) -> None:
    """As for every command, before the line is written."""
    mark = tmp_path / "pid"
    write_config(
        f"[profiles.a]\napi_key_command = ['sh', '-c', 'echo $$ > {mark}.new; mv {mark}.new {mark}; sleep 60']\n"
    )
    process = started(command, *ARGUMENTS, env={"APIMART_BASE_URL": "http://127.0.0.1:9"})
    wait_until(mark.exists)
    code, stdout, _ = ended_by(process, signal.SIGTERM)
    assert (code, stdout) == (3, "APIMART UNKNOWN - ended by SIGTERM\n")
    wait_until(lambda: not is_running(int(mark.read_text())))


@pytest.mark.usefixtures("usual_patience")
def test_a_signal_while_the_answer_is_recorded_is_unknown(
    started: Start, command: str, sandbox: Sandbox, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """The status says so, whatever was said before."""
    ledger = tmp_path / "history.db"
    env = {**connected(sandbox), "APIMART_RECORD": "1", "APIMART_HISTORY": f"{ledger}"}
    assert subprocess.run([command, *ARGUMENTS], env={**environment, **env}, check=False, stdout=-3).returncode == 0
    with sqlite3.connect(ledger, isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        process = started(command, *ARGUMENTS, env=env)
        line = process.stdout.readline()
        code, rest, stderr = ended_by(process, signal.SIGTERM)
    # On a busy machine it may have ended by itself.
    assert (code, rest) in {(3, "APIMART UNKNOWN - ended by SIGTERM\n"), (0, "")}
    assert (line[:10], stderr) == ("APIMART OK", "")


def test_it_ends_within_its_time(run: Run, serve: Serve) -> None:
    """`-t` is the limit for the whole answer, as a bare number of seconds."""
    began = time.monotonic()
    ended = run(*ARGUMENTS, "-t", "1", env=connected(serve(fault=Fault.TIMEOUT)))
    assert (ended.returncode, "within 1 second" in ended.stdout) == (3, True)
    assert time.monotonic() - began < 15
