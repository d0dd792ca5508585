"""What a stop of `run` reaches: many processes, new ones, those of other users; and what it says of the rest."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from apimart_cli.processes import descendants
from apimart_cli.processes.child import Child
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import BREEDING, is_running, wait_until
from support.programs import need
from support.running import KEY, Run, Write, connected, run_program, started_processes
from support.scripted import Reply, balance, gateway
from support.stopwatch import Stopwatch
from support.strangers import STRANGER, as_root

pytestmark = pytest.mark.measured

QUICK = ("--max-spend", "3", "--no-settle", "--interval", "0.1", "--kill-after", "0.5")

DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range({count}):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 3)
        while True:
            signal.pause()
print("up", flush=True)
open("up", "w").close()
while True:
    signal.pause()
# {mark}
"""
"""A program whose children have sessions of their own and ignore SIGTERM."""

BREEDERS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(10):
    if os.fork() == 0:
        os.closerange(0, 3)
        for _ in range(60):
            os.setsid()
            time.sleep(0.03)
            if os.fork():
                break
        while True:
            signal.pause()
open("up", "w").close()
while True:
    signal.pause()
# {mark}
"""
"""Ten families that grow by a process each 30 milliseconds, in sessions of their own, while they are stopped."""

Answer = Callable[[str, str], Reply]


def marked(mark: str) -> list[int]:
    """Return the processes that live and have `mark` on their command line."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if (
                name.isdecimal()
                and mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes()
                and is_running(int(name))
            ):
                found.append(int(name))
    return found


def spending(folder: Path, *, limit_file: str = "up") -> Answer:
    """A gateway where more than any limit is spent as soon as there is a file."""
    return lambda _path, _key: balance("900", "101") if (folder / limit_file).exists() else balance("1000", "1")


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> Iterator[str]:
    """A word that no other process has on its command line; whatever has it ends with the test."""
    word = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    yield word
    for pid in marked(word):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("program", "count"), [(DEAF, 300), (BREEDERS, 0)])
def test_hundreds_of_deaf_processes_are_gone_when_it_ends(
    run: Run, tmp_path: Path, mark: str, program: str, count: int
) -> None:
    """Each in a session of its own, and also those that are started while the others are stopped.

    The bound is the interval, the time of an answer, the grace and a second, and some more; a scan of
    all processes for each of them takes half a minute.
    """
    text = program.format(count=count, mark=mark)
    passed: list[Stopwatch] = []

    def answer(path: str, key: str) -> Reply:
        told = spending(tmp_path)(path, key)
        if told.body == balance("900", "101").body and not passed:
            passed.append(Stopwatch())
        return told

    with gateway(answer) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = run("run", *QUICK, "--", sys.executable, "-c", text, env=env)
        took = passed[0].took()
    assert (ended.returncode, marked(mark)) == (124, [])
    assert "the command was stopped: 100 spent, 3 allowed" in ended.stderr
    took.assert_within(10)


def test_a_look_scans_the_processes_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mark: str) -> None:
    """However many there are: a scan for each of a thousand processes takes minutes."""
    monkeypatch.chdir(tmp_path)
    child = Child.start([sys.executable, "-c", DEAF.format(count=50, mark=mark)])
    wait_until((tmp_path / "up").exists)
    scans: list[int] = []
    table = descendants.processes
    monkeypatch.setattr(descendants, "processes", lambda: scans.append(1) or table())
    family = descendants.Descendants(child.pid)
    assert len(family.look()) == 50
    assert len(scans) == 1
    assert child.stop(grace=0) == 128 + signal.SIGKILL
    assert marked(mark) == []


UNTIL_ENOUGH = "\nwhile not os.path.exists('enough'):\n    time.sleep(0.01)\n"
BY_ITSELF = f"import os, time; open('up', 'w').close(){UNTIL_ENOUGH}open('end', 'w').close()"


def refusing_signals(*command: str) -> list[str]:
    """Return a command line under which the system refuses every signal."""
    inject = [f"--inject={call}:error=EPERM" for call in ("kill", "pidfd_send_signal")]
    return [need("strace"), "-f", "-qq", "-o", "/dev/null", "-e", "trace=kill,pidfd_send_signal", *inject, *command]


def test_a_command_that_cannot_be_stopped_is_told_at_once_and_waited_for(
    command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks
) -> None:
    """It ends with 124 when the command has ended by itself, and neither says nor reports that it was stopped."""
    with gateway(spending(tmp_path)) as server, started_processes(tmp_path, forks) as start:
        env = {**environment, "APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        line = (command, "run", *QUICK, "--report", "report.json", "--", sys.executable, "-c", BY_ITSELF)
        process = start(refusing_signals(*line), env)
        told = process.stderr.readline()
        assert not (tmp_path / "end").exists()
        (tmp_path / "enough").touch()
        rest = process.communicate(timeout=60)[1]
    assert told.startswith("apimart: warning: 100 spent, 3 allowed; process ")
    assert told.endswith(" of the command cannot be stopped: not permitted\n")
    assert (process.returncode, (tmp_path / "end").exists()) == (124, True)
    assert "the command could not be stopped, and ended by itself: 100 spent, 3 allowed\n" in rest
    assert "was stopped" not in told + rest
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["stopped_by"], report["stopped"], report["could_not_stop"]) == ("max_spend", False, 1)


def test_it_is_told_again_each_minute() -> None:
    """With how long it goes on by now."""
    from apimart_cli.processes.descendants import Missed
    from apimart_cli.screen import pieces

    told: list[str] = []
    now = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "write_warning", lambda message, _hint: told.append(message))
        patch.setattr(pieces.time, "monotonic", lambda: now[0])
        tell = pieces.Unreached()
        for second in range(125):
            now[0] = float(second)
            tell(Missed(refused=[7, 8]))
    assert told == [
        "2 processes of the command (7, 8) cannot be stopped: not permitted",
        "2 processes of the command (7, 8) cannot be stopped: not permitted, and still run after 1 min",
        "2 processes of the command (7, 8) cannot be stopped: not permitted, and still run after 2 min",
    ]


ROOTS_CHILD = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setresuid(0, 0, 0)
    print("roots", os.getpid(), flush=True)
    while not os.path.exists("enough"):
        time.sleep(0.01)
    os._exit(0)
print("ours", os.getpid(), flush=True)
time.sleep(60)
"""
"""A command that has one process of root's beside its own, as `sudo` makes them."""


def as_powerless(*arguments: str, env: Mapping[str, str], cwd: Path) -> "subprocess.Popen[str]":
    """Start the command line as a user whose commands may become root, and who may not signal them then."""
    may = "+dac_read_search,+setuid"
    user = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", f"--inh-caps={may}")
    return subprocess.Popen(
        [*user, f"--ambient-caps={may}", sys.executable, "-P", "-m", "apimart_cli", *arguments],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def numbers(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """Return the processes of the stranger's and of root's that ROOTS_CHILD tells."""
    told = dict(process.stdout.readline().split() for _ in range(2))
    return int(told["ours"]), int(told["roots"])


@as_root
def test_what_can_be_ended_of_a_command_is_ended_and_the_rest_is_named(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    """By its number; it is waited for, as it may go on spending."""
    answers = iter([balance("1000", "1")] * 4)
    with gateway(lambda _path, _key: next(answers, balance("900", "101"))) as server:
        env = {**environment, "APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        process = as_powerless("run", *QUICK, "--", sys.executable, "-c", ROOTS_CHILD, env=env, cwd=tmp_path)
        with process:
            ours, roots = numbers(process)
            told = process.stderr.readline()
            wait_until(lambda: not is_running(ours))
            assert is_running(roots)
            assert process.poll() is None
            # The grace is over by then, and what was tried after it.
            time.sleep(3)
            (tmp_path / "enough").touch()
            rest = process.communicate(timeout=60)[1]
    assert f"process {roots} of the command cannot be stopped: not permitted" in told
    assert process.returncode == 124
    assert not is_running(roots)
    assert "could not be stopped, and ended by itself" in rest
    assert "was stopped" not in told + rest


@as_root
@pytest.mark.parametrize("around", ["run", "sandbox"])
def test_a_signal_that_does_not_reach_all_of_the_command_is_told(
    environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, around: str
) -> None:
    """What it reaches ends, and its status is handed on."""
    options = QUICK if around == "run" else ()
    env = {**environment, **connected(sandbox)}
    with as_powerless(around, *options, "--", sys.executable, "-c", ROOTS_CHILD, env=env, cwd=tmp_path) as process:
        ours, roots = numbers(process)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
        assert is_running(roots)
        (tmp_path / "enough").touch()
        _, told = process.communicate(timeout=30)
    assert not is_running(ours)
    assert f"process {roots} of the command cannot be stopped: not permitted" in told


def test_a_key_command_that_cannot_be_stopped_holds_nobody_up(
    command: str, environment: Mapping[str, str], write_config: Write, tmp_path: Path, forks: Forks, mark: str
) -> None:
    """Like `sudo`, which waits for a password as root: the time limit holds."""
    write_config(
        f'[profiles.work]\napi_key_command = ["{sys.executable}", "-c", "import time; time.sleep(60)", "{mark}"]\n'
    )
    line = '"$@" 2> told; echo $? > code'
    check = (command, "check", "--min", "5", "-p", "work", "--timeout", "1")
    with started_processes(tmp_path, forks) as start:
        # The tracer itself waits for the command.
        start(refusing_signals("sh", "-c", line, "sh", *check), environment)
        wait_until((tmp_path / "code").exists)
        [sleeping] = marked(mark)
        os.kill(sleeping, signal.SIGKILL)
    assert (tmp_path / "code").read_text() == "4\n"
    assert "within the time limit" in (tmp_path / "told").read_text()


@as_root
def test_without_proc_a_stop_says_that_it_may_miss_processes(
    command: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Once, in plain words; what is in the process group ends all the same."""
    program = BREEDING.format(kind="group") + "open('up', 'w').close(); time.sleep(60)"
    line = (need("unshare"), "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
    with gateway(spending(tmp_path)) as server:
        env = {**environment, "APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = run_program([*line, command, "run", *QUICK, "--", sys.executable, "-c", program], env=env, cwd=tmp_path)
    _, own, bred, _ = ended.stdout.split()
    with suppress(OSError):
        os.kill(int(bred), signal.SIGKILL)
    assert ended.returncode == 124, ended.stderr
    assert not is_running(int(own))
    assert ended.stderr.count("the system does not tell what the command has started") == 1
    assert "may go on" in ended.stderr


def pipe_ends(pid: int) -> set[str]:
    """Return the pipes that a process holds."""
    found = set()
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return {name for name in found if name.startswith("pipe:")}


def watchdog_of(pid: int) -> int | None:
    """Return the process that watches `run`, told by its name and the pipe between the two."""
    ours = pipe_ends(pid)
    return next((each for each in marked("apimart-watchdog") if pipe_ends(each) & ours), None)


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_ends_us_by_our_name_leaves_the_watchdog(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, is_killed: bool
) -> None:
    """`pkill -9 -f 'apimart run'` takes the guard alone, and the command ends; then the watchdog ends, as otherwise.

    It holds no stream of ours, and no key stands in what it shows.
    """
    with started_processes(tmp_path) as start:
        job = "trap 'echo handed on' USR1; echo $$; while :; do sleep 0.05; done"
        arguments = ["--api-key", KEY, *QUICK, "--", "sh", "-c", job]
        process = start([command, "run", *arguments], {**environment, **connected(sandbox)})
        started = int(process.stdout.readline())
        # What hands on signals has told the watchdog which command to end.
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "handed on\n"
        wait_until(lambda: watchdog_of(process.pid))
        watchdog = watchdog_of(process.pid)
        assert watchdog is not None
        shown = [Path(f"/proc/{watchdog}/{name}").read_bytes() for name in ("cmdline", "environ", "comm")]
        assert shown[0].strip(b"\0") == b"apimart-watchdog"
        assert shown[2] == b"apimart-watchdo\n"
        assert not any(KEY.encode() in text for text in shown)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ")
        assert b"apimart run" in line
        os.kill(process.pid if is_killed else started, signal.SIGKILL)
        process.communicate(timeout=20)
        wait_until(lambda: not is_running(started))
        wait_until(lambda: not is_running(watchdog))
