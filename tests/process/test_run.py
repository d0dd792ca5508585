"""`run -- COMMAND` with real processes: what it promises on the first page, what it stops, and what survives whom."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import BREEDING, KINDS, is_running, pids, wait_until
from support.programs import need
from support.running import KEY, PLENTY, Run, Serve, connected, run_program, started_processes
from support.stopwatch import Stopwatch, seconds_to_end, wait_within

pytestmark = pytest.mark.measured

DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
QUICK = ("--min", "1", "--no-settle", "--interval", "0.1", "--kill-after", "0.4")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, forks: Forks
) -> Iterator[Start]:
    """Start `apimart run OPTIONS -- python -c PROGRAM`, and end it with the test."""
    with started_processes(tmp_path, forks) as start:

        def start_one(program: str, *options: str, gateway: Sandbox = sandbox) -> "subprocess.Popen[str]":
            arguments = [command, "run", *(options or QUICK), "--", sys.executable, "-c", program]
            return start(arguments, {**environment, **connected(gateway)})

        yield start_one


@pytest.mark.parametrize(("limit", "remain", "least"), [(("--max-spend", "3"), 1000, 1.5), (("--min", "4"), 14, 5)])
def test_a_job_that_burns_money_is_stopped(run: Run, limit: tuple[str, str], remain: int, least: float) -> None:
    """It spends 2 a second; with nothing set but the limit. After the stop it is not waited for bookings."""
    watch = Stopwatch()
    ended = run("sandbox", "--remain", f"{remain}", "--burn", "2", "--", "apimart", "run", *limit, "--", "sleep", "60")
    took = watch.took()
    assert (ended.returncode, ended.stdout) == (124, "")
    # So many seconds and the start of two processes; how quick it is otherwise `tests/benchmarks/guard.py` measures.
    assert took.seconds >= least
    took.assert_within(least + 9)
    told = re.search(r"^apimart: note: spent at least ([\d.]+) in \d+ s; ([\d.]+) left$", ended.stderr, re.MULTILINE)
    assert told
    # The least that is left is reached by what was spent before the guard looked for the first time, too.
    spent = float(told[1]) if limit[0] == "--max-spend" else remain - float(told[2])
    # It is spent also while others run.
    assert 2 * least - 0.5 <= spent <= 2 * (least + 3 + took.seconds - took.ours)
    assert ended.stderr.startswith("apimart: error: the command was stopped: ")


def test_what_was_spent_is_told_once_two_readings_agree(run: Run, sandbox: Sandbox) -> None:
    """5 seconds apart."""
    watch = Stopwatch()
    ended = run("run", "--max-spend", "3", "--", "echo", "out", env=connected(sandbox))
    took = watch.took()
    assert took.seconds >= 5
    took.assert_within(8)
    assert (ended.returncode, ended.stdout) == (0, "out\n")
    assert re.fullmatch(r"apimart: note: spent 0\.0 in \d+ s \(settled\); 10\.5 left\n", ended.stderr)


@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [
        ("no-such-command", 127, "No such file or directory"),
        ("./text", 126, "Permission denied"),
    ],
)
def test_a_command_that_cannot_be_run_has_the_codes_of_timeout(
    run: Run, sandbox: Sandbox, tmp_path: Path, program: str, code: int, reason: str
) -> None:
    """One line that names it, a hint, and nothing of a cost."""
    (tmp_path / "text").write_text("no program")
    ended = run("run", *QUICK, "--", program, env=connected(sandbox))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"apimart: error: cannot run {program}: {reason}\nhint: check the command after --\n"


def test_the_codes_are_those_of_timeout(run: Run, sandbox: Sandbox, environment: Mapping[str, str]) -> None:
    """And of the command, handed on as they are; 128 and the number for a signal. GNU timeout itself is asked."""
    timeout = need("timeout")
    for command in (
        ["no-such-command"], ["/etc"], ["sh", "-c", "exit 124"], ["sh", "-c", "kill -TERM $$"],
        ["sh", "-c", "kill -KILL $$"],
    ):  # fmt: skip
        theirs = subprocess.run([timeout, "9", *command], env=environment, capture_output=True, check=False, timeout=9)
        ours = run("run", *QUICK, "--", *command, env=connected(sandbox)).returncode
        # A shell tells a signal of its own as 128 and its number; Python as the negative number.
        assert ours == (theirs.returncode if theirs.returncode >= 0 else 128 - theirs.returncode)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with files that can be executed and do not say what runs them."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    texts = {
        "plain": b'echo "ran $0 with $# words: $1"; exit 6\n', "empty": b"", "binary": bytes(range(256)),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(60), "other": b"#!/no/such/interpreter\n",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_bytes(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("program", ["plain", "./scripts/plain", "empty", "./scripts/binary", "elf", "other"])
def test_what_names_no_interpreter_is_run_as_timeout_runs_it(
    run: Run, sandbox: Sandbox, environment: Mapping[str, str], tmp_path: Path, scripts: Path, program: str
) -> None:
    """By /bin/sh, with its arguments. GNU timeout itself is asked."""
    env = {"PATH": f"{environment['PATH']}:{scripts}", **connected(sandbox)}
    words = [program, "a b", "--min"]
    theirs = subprocess.run(
        [need("timeout"), "9", *words], env={**environment, **env}, cwd=tmp_path, capture_output=True, check=False
    )
    ours = run("run", *QUICK, "--", *words, env=env)
    assert (ours.returncode, ours.stdout.encode()) == (theirs.returncode, theirs.stdout)
    if "plain" in program:
        assert ours.returncode == 6
        assert ours.stdout.endswith("scripts/plain with 2 words: a b\n")


LOOKING_AROUND = """
import json, os, sys
files = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}") or int(name) < 3]
print(json.dumps({
    "environment": dict(os.environ), "folder": os.getcwd(), "arguments": sys.argv[1:], "files": sorted(files),
    "input": sys.stdin.read(), "blocked": [l for l in open("/proc/self/status") if l.startswith(("SigBlk", "SigIgn"))],
}))
"""


def test_a_command_sees_what_it_would_see_without_us(
    run: Run, sandbox: Sandbox, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Its environment, folder, arguments, open files, signals and standard input. No key that it was not given."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    seen = [sys.executable, "-c", LOOKING_AROUND, "--min", "a b", "--"]
    env = {"APIMART_BASE_URL": sandbox.url}
    alone = run_program(seen, env={**environment, **env}, cwd=tmp_path, input="words", check=True)
    guarded = run("run", *QUICK, "--api-key-file", "key", "--", *seen, env=env, input="words")
    assert guarded.returncode == 0, guarded.stderr
    assert json.loads(guarded.stdout) == json.loads(alone.stdout)
    assert KEY not in guarded.stdout + guarded.stderr


def test_a_hundred_megabytes_go_through(command: str, environment: Mapping[str, str], sandbox: Sandbox) -> None:
    """They do not pass through us."""
    line = f"{command} run {' '.join(QUICK)} -- head -c 100000000 /dev/zero | wc -c"
    ended = run_program(["sh", "-c", line], env={**environment, **connected(sandbox)}, check=True)
    assert ended.stdout.strip() == "100000000"


def test_a_command_may_close_its_streams(run: Run, serve: Serve) -> None:
    """It is guarded all the same, and what we say arrives."""
    sandbox = serve(key=PLENTY, burn=Decimal(5))
    options = ("--max-spend", "1", "--no-settle", "--interval", "0.1")
    ended = run("run", *options, "--", "sh", "-c", "exec <&- >&- 2>&-; exec sleep 20", env=connected(sandbox))
    assert ended.returncode == 124
    assert "the command was stopped" in ended.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_ends_everything_that_was_started(start: Start, serve: Serve, kind: str) -> None:
    """Also what has left the process group or the session, and what ignores SIGTERM, which is killed."""
    program = f"import signal\n{DEAF}{BREEDING.format(kind=kind)}time.sleep(60)"
    options = ("--max-spend", "4", "--no-settle", "--interval", "0.1", "--kill-after", "0.3")
    gateway = serve(key=PLENTY)
    process = start(program, *options, gateway=gateway)
    both = pids(process)
    gateway.scenario = gateway.scenario._replace(burn=Decimal(100))
    assert process.wait(40) == 124
    assert not any(map(is_running, both))


def test_a_command_that_ends_by_itself_is_given_the_time(start: Start, serve: Serve) -> None:
    """Its last words are heard; the code is 124 all the same."""
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("goodbye", flush=True), sys.exit(3)))
print("up", flush=True)
time.sleep(60)
"""
    gateway = serve(key=PLENTY)
    process = start(program, "--max-spend", "1", "--no-settle", "--interval", "0.1", gateway=gateway)
    assert process.stdout.readline() == "up\n"
    gateway.scenario = gateway.scenario._replace(burn=Decimal(100))
    output, _ = process.communicate(timeout=40)
    assert (process.returncode, output) == (124, "goodbye\n")


def test_a_daemon_outlives_us_when_we_are_killed_after_the_command(start: Start) -> None:
    """While the last bookings are waited for, there is nothing to guard any more."""
    process = start(BREEDING.format(kind="orphan") + "sys.exit(4)", "--max-spend", "1")
    command, bred = pids(process)
    try:
        wait_until(lambda: not is_running(command))
        time.sleep(0.4)
        process.kill()
        time.sleep(0.6)
        assert is_running(bred)
    finally:
        os.kill(bred, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_us_is_one_to_the_command(start: Start, number: signal.Signals) -> None:
    """And to everything that it has started."""
    process = start(BREEDING.format(kind="session") + "signal.signal(signal.SIGINT, signal.SIG_DFL)\ntime.sleep(60)")
    both = pids(process)
    process.send_signal(number)
    assert process.wait(40) == 128 + number
    wait_until(lambda: not any(map(is_running, both)))


@pytest.mark.parametrize(
    ("kind", "ignoring"),
    [("child", ""), ("group", DEAF), ("session", DEAF), ("orphan", "")],
)
def test_when_we_are_killed_the_command_ends_within_two_seconds(start: Start, kind: str, ignoring: str) -> None:
    """And everything that it has started, wherever it went; what ignores SIGTERM is killed after --kill-after."""
    process = start(f"import signal\n{ignoring}" + BREEDING.format(kind=kind) + "time.sleep(60)")
    both = pids(process)
    # Time to adopt the orphan.
    time.sleep(0.3)
    process.kill()
    wait_within(lambda: not any(map(is_running, both)), 2)


def test_a_guard_that_was_killed_is_no_other_run_once_its_command_is_gone(
    run: Run, command: str, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, forks: Forks
) -> None:
    """While the command still lives it counts: it may spend."""
    path = tmp_path / "history.db"
    env = {**environment, **connected(sandbox), "APIMART_RECORD": "1", "APIMART_HISTORY": str(path)}

    def named() -> str:
        with closing(sqlite3.connect(path, timeout=20)) as database, suppress(sqlite3.OperationalError):
            return f"{database.execute('SELECT processes FROM run_facts').fetchone()}"
        return ""

    def other_runs() -> int:
        assert run("run", *QUICK, "--report", "report.json", "--", "true", env=env).returncode == 0
        return int(json.loads((tmp_path / "report.json").read_text())["other_runs"])

    with started_processes(tmp_path, forks) as start:
        # A command that takes a while to end when the guard is killed.
        options = ("--min", "1", "--no-settle", "--interval", "0.1", "--kill-after", "60")
        text = f"import signal, time\n{DEAF}print('up', flush=True)\ntime.sleep(60)"
        guard = start([command, "run", *options, "--", sys.executable, "-c", text], env)
        assert guard.stdout.readline() == "up\n"
        wait_until(lambda: path.exists() and named().count(":") == 2)
        child = int(named().split()[2].partition(":")[0])
        guard.kill()
        guard.wait()
        assert is_running(child)
        assert other_runs() == 1
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: not is_running(child))
        assert other_runs() == 0


@pytest.mark.parametrize("fault", [None, Fault.TIMEOUT])
def test_ctrl_c_while_it_settles_ends_with_the_code_of_the_command(
    start: Start, sandbox: Sandbox, tmp_path: Path, fault: Fault | None
) -> None:
    """The command is over: only the wait for the last bookings is cut short, also where the gateway hangs."""
    program = """
import os, time
print("up", flush=True)
while not os.path.exists("enough"):
    time.sleep(0.01)
print("over", flush=True)
raise SystemExit(6)
"""
    process = start(program, "--max-spend", "1")
    assert process.stdout.readline() == "up\n"
    sandbox.scenario = sandbox.scenario._replace(fault=fault)
    (tmp_path / "enough").touch()
    assert process.stdout.readline() == "over\n"
    time.sleep(0.6)
    assert seconds_to_end(process, signal.SIGINT) < 1.5
    assert process.wait() == 6
    assert "spent at least 0.0 in" in process.stderr.read()


def test_a_key_that_is_revoked_in_the_middle_can_be_rehearsed(run: Run) -> None:
    """With the options of the sandbox."""
    ended = run(
        "sandbox", "--remain", "1000", "--burn", "2", "--fault", Fault.UNAUTHORIZED, "--fault-after", "5", "--",
        "apimart", "run", "--max-spend", "12", "--interval", "0.1", "--", "sleep", "60",
    )  # fmt: skip
    assert ended.returncode == 124
    assert "apimart: warning: the balance is not known: the gateway rejected the API key" in ended.stderr


def test_hundreds_of_looks_keep_the_memory_flat(sandbox: Sandbox, environment: Mapping[str, str]) -> None:
    """Nothing is kept but what the last minute needs, and no file stays open."""
    ended = run_program([sys.executable, "-c", HUNDREDS], env={**environment, **connected(sandbox)}, check=True)
    grown, files = map(int, ended.stdout.split())
    # In kilobytes; all looks are within the last minute, and the C library keeps some of what was freed: a leak of
    # 8 KB a look would be more.
    assert grown < 3200
    assert files <= 1


HUNDREDS = """
import os, re
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options
from apimart_cli.rules.guard import Guard, Limits
from apimart_cli.run.looking import Looking
limits = Limits(max_spend=1000)
looking, guard = Looking(resolve(Options())[0], limits), Guard(limits)
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
def look(times):
    for _ in range(times):
        guard.take(looking.again().look)
look(100)
before, files = resident(), len(os.listdir("/proc/self/fd"))
look(400)
print(resident() - before, len(os.listdir("/proc/self/fd")) - files)
"""
