"""What a process inherits, and what the system refuses it: the verdict is the same, or the reason is told."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.places import GUARD
from support.processes import BREEDING, KINDS, is_running, pids, wait_until
from support.programs import need
from support.running import KEY, Run, Write, connected
from support.stopwatch import Stopwatch

pytestmark = pytest.mark.measured

SLACK = 2.0
"""Seconds that starting takes on a machine that is busy with other tests."""

Process = subprocess.Popen[str]
Apart = Callable[..., Process]


@pytest.fixture
def apart(environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[Apart]:
    """Start a program away from any terminal and leave it running; it ends with the test."""
    with ExitStack() as stack:

        def start(*arguments: str, env: Mapping[str, str] | None = None, **streams: int) -> Process:
            process = forks.process(
                arguments,
                {**environment, **(env or {})},
                tmp_path,
                start_new_session=True,
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def in_shell(apart: Apart) -> Callable[..., tuple[int, str, str]]:
    """Run a line of bash to its end; the exit code, standard output and standard error."""

    def run(line: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        process = apart("bash", "-c", line, env=env)
        stdout, stderr = process.communicate(timeout=30)
        return process.returncode, stdout, stderr

    return run


InShell = Callable[..., tuple[int, str, str]]


def heard(process: Process) -> str:
    """Wait for the next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline()


ODDITIES = {
    "all signals ignored": "trap '' INT TERM HUP QUIT CHLD PIPE USR1 USR2 TSTP TTIN TTOU WINCH CONT ALRM",
    "few descriptors, and no file may grow": "ulimit -n 12; ulimit -f 0",
    "a small stack": "ulimit -s 256",
    "nobody may read, in a folder that is gone": "umask 0777; mkdir gone; cd gone; rmdir ../gone",
    "everybody may write, and children of the shell": "umask 0; sleep 5 > /dev/null 2>&1 & true",
    "no standard error": "exec 2>&-",
    "no open stream at all": "exec 0<&- 1>&- 2>&-",
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_what_is_inherited_changes_no_verdict(in_shell: InShell, write_config: Write, oddity: str) -> None:
    """A key command, a check and a sandbox around it: 3 is the verdict, and nothing else."""
    write_config(f'[profiles.work]\napi_key_command = ["echo", "{KEY}"]\n')
    command = "apimart sandbox --remain 3 -- apimart check --quiet --min 5 --profile work"
    assert in_shell(f"{ODDITIES[oddity]}; exec {command}") == (3, "", "")


def test_an_ignored_sigchld_loses_no_exit_code(in_shell: InShell) -> None:
    """The system would keep no status, and Python would take 0 for it."""
    assert in_shell("trap '' CHLD; exec apimart sandbox -- sh -c 'exit 42'") == (42, "", "")


def test_an_ignored_sigchld_hides_no_failure_of_a_key_command(
    in_shell: InShell, sandbox: Sandbox, write_config: Write
) -> None:
    """Exit 4, as ever; not a bug, and not a key."""
    write_config(f'[profiles.work]\napi_key_command = ["sh", "-c", "echo {KEY}; exit 7"]\n')
    line = "trap '' CHLD; exec apimart check --min 5 -p work --fail-open"
    code, _, told = in_shell(line, {"APIMART_BASE_URL": sandbox.url})
    assert code == 4
    assert told.startswith("apimart: error: api_key_command of profile work (sh) failed with exit code 7\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_blocked_signal_ends_us_all_the_same(apart: Apart, number: signal.Signals) -> None:
    """A caller that holds signals back hands that on; the command that we run is not to have it, either."""
    line = (
        "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());"
        "os.execvp('apimart', ['apimart', 'sandbox', '--', 'sh', '-c', 'echo up; exec sleep 60'])"
    )
    process = apart(sys.executable, "-c", line)
    assert heard(process) == "up\n"
    process.send_signal(number)
    assert process.wait(timeout=40) == 128 + number


def test_a_descriptor_that_is_handed_on_reaches_the_command(in_shell: InShell) -> None:
    """The job server of make, a lock that is held, a file that the shell has opened."""
    assert in_shell("apimart sandbox -- sh -c 'cat <&7' 7<<< handed-on") == (0, "handed-on\n", "")


@pytest.mark.parametrize(("kind", "number"), [*((kind, signal.SIGTERM) for kind in KINDS), ("session", signal.SIGHUP)])
def test_a_signal_ends_grandchildren_too(apart: Apart, kind: str, number: signal.Signals) -> None:
    """A runner ends us alone; nothing that the command has started is left."""
    process = apart("apimart", "sandbox", "--", sys.executable, "-c", BREEDING.format(kind=kind) + "time.sleep(60)")
    command, bred = pids(process)
    process.send_signal(number)
    assert process.wait(timeout=40) == 128 + number
    wait_until(lambda: not is_running(command) and not is_running(bred))


@pytest.mark.parametrize("kind", ["child", "orphan"])
def test_what_a_command_leaves_running_is_left_alone(apart: Apart, kind: str) -> None:
    """When it has ended by itself, what it left in the background goes on, as without us."""
    process = apart("apimart", "sandbox", "--", sys.executable, "-c", BREEDING.format(kind=kind) + "sys.exit(4)")
    _, bred = pids(process)
    try:
        assert process.wait(timeout=40) == 4
        assert is_running(bred)
    finally:
        os.kill(bred, signal.SIGKILL)


def test_signals_that_end_nothing_are_handed_on(apart: Apart, tmp_path: Path) -> None:
    """They mean something to the command, and would end us."""
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT)
    text = f"""
import signal, time
for number in {tuple(map(int, numbers))}:
    signal.signal(number, lambda number, _: open(f"heard-{{number}}", "w").close())
print("up", flush=True)
time.sleep(60)
"""
    process = apart("apimart", "sandbox", "--", sys.executable, "-c", text)
    assert heard(process) == "up\n"
    for number in numbers:
        process.send_signal(number)
        wait_until((tmp_path / f"heard-{number:d}").exists)
    process.terminate()
    assert process.wait(timeout=40) == 128 + signal.SIGTERM


def test_orphans_that_have_ended_are_waited_for(apart: Apart) -> None:
    """A long command that leaves many behind does not fill the table of processes."""
    text = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.wait()
print("up", flush=True)
time.sleep(60)
"""
    process = apart("apimart", "sandbox", "--", sys.executable, "-c", text)
    assert heard(process) == "up\n"
    wait_until(lambda: len(psutil.Process(process.pid).children()) == 1)
    process.terminate()
    assert process.wait(timeout=40) == 128 + signal.SIGTERM


STOPPING = """
import os, sys, time
from apimart_cli.processes import child, claim_process
if {owned}:
    claim_process()
child.has_terminal = lambda: {at_terminal}
started = child.Child.start([sys.executable, "-c", {text!r}], captured=True)
print(started.read(60, lambda: 10.0).decode().strip(), flush=True)
began = time.monotonic()
started.stop({grace})
print(time.monotonic() - began, flush=True)
"""


@pytest.mark.parametrize(
    ("kind", "at_terminal", "grace"),
    [*((kind, at_terminal, 0) for kind in KINDS for at_terminal in (True, False)), ("group", False, 0.3)],
)
def test_stopping_reaches_grandchildren_that_ignore_it(
    apart: Apart, kind: str, at_terminal: bool, grace: float
) -> None:
    """SIGTERM, and after the grace SIGKILL, for all of them; with a group of its own or in ours."""
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + BREEDING.format(kind=kind)
    text = ignoring.replace('".", flush', '"." + " " * 60, flush') + "time.sleep(60)"
    process = apart(sys.executable, "-c", STOPPING.format(owned=True, at_terminal=at_terminal, text=text, grace=grace))
    command, bred = pids(process)
    assert process.stdout is not None
    took = float(process.stdout.read().split()[-1])
    assert process.wait(timeout=40) == 0
    assert grace <= took < grace + SLACK
    assert not is_running(command)
    assert not is_running(bred)


STOPPING_BESIDE_A_START = """
import subprocess, sys, threading, time
from apimart_cli.processes import child, claim_process, descendants, hook
claim_process()
lives = threading.Event()
class Slow(subprocess.Popen):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        lives.set()
        time.sleep(0.5)
command = child.Child.start([sys.executable, "-c", "import time; print('.' * 99, flush=True); time.sleep(60)"],
                            captured=True)
command.read(60, lambda: 10.0)
subprocess.Popen = Slow
ended = []
beside = threading.Thread(target=lambda: ended.append(hook.run_hook(
    ["sh", "-c", "sleep 1; exit 7"], environment={"PATH": "/usr/bin:/bin"}, told=b"", seconds=10)))
beside.start()
lives.wait()
command.stop(0)
beside.join()
print(ended[0].status, flush=True)
"""


def test_stopping_ends_nothing_that_is_just_being_started_beside_it(apart: Apart) -> None:
    """What is run when a balance becomes low lives a moment before it is known by its id; it is no orphan then."""
    process = apart(sys.executable, "-c", STOPPING_BESIDE_A_START)
    assert (heard(process), process.wait(timeout=40)) == ("7\n", 0)


def test_stopping_ends_no_child_of_somebody_else(apart: Apart) -> None:
    """In a process that is not our own, a child that we did not start is none of our business, whoever its parent."""
    text = BREEDING.format(kind="child").replace('".", flush', '"." + " " * 60, flush') + "time.sleep(60)"
    foreign = "import subprocess; foreign = subprocess.Popen(['sleep', '60'])\n"
    end = "print(foreign.poll(), flush=True); foreign.kill()\n"
    script = STOPPING.format(owned=False, at_terminal=True, text=text, grace=0)
    process = apart(sys.executable, "-c", foreign + script + end)
    _, bred = pids(process)
    assert process.stdout is not None
    assert process.stdout.read().split()[-1] == "None"
    assert not is_running(bred)


IN_A_THREAD = """
import signal, sys, threading
from apimart_cli.cli import main
numbers = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
before = [signal.getsignal(number) for number in numbers]
codes = []
thread = threading.Thread(target=lambda: codes.append(main(sys.argv[1:])))
thread.start()
thread.join(40)
assert [signal.getsignal(number) for number in numbers] == before
sys.exit(codes[0])
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [("check --min 50 -p work", 3), ("sandbox --remain 3 -- apimart check --min 5", 3)]
)
def test_a_command_line_works_in_any_thread(
    in_shell: InShell, sandbox: Sandbox, write_config: Write, arguments: str, code: int, tmp_path: Path
) -> None:
    """Under a supervisor, which keeps its own handlers of signals."""
    (tmp_path / "in_a_thread.py").write_text(IN_A_THREAD)
    write_config(f'[profiles.work]\napi_key_command = ["sh", "-c", "echo {KEY}"]\n')
    env = {"APIMART_BASE_URL": sandbox.url} if "work" in arguments else connected(sandbox)
    ended = in_shell(f"{sys.executable} in_a_thread.py {arguments}", env)
    assert (ended[0], ended[2]) == (code, "")


THREADS = "clone,clone3"
PROCESSES = "vfork,fork,clone"


@pytest.mark.parametrize(
    ("calls", "error", "command", "code", "told"),
    [
        (THREADS, "EPERM", "check -q --min 5 --fail-open", 2, "nothing can be asked: {no_thread}"),
        (THREADS, "EAGAIN", "check -q --min 5 --scope both", 2, "nothing can be asked: {no_thread}"),
        (THREADS, "EPERM", "sandbox -- echo started", 2, "the sandbox cannot serve: {no_thread}"),
        (PROCESSES, "EAGAIN", "sandbox -- echo started", 2, "cannot run echo: {unavailable}"),
        (PROCESSES, "EAGAIN", "check -q --min 5 -p work --fail-open", 4, "{work} cannot be run: {unavailable}"),
    ],
)
def test_without_threads_or_processes_the_reason_is_told(
    in_shell: InShell, sandbox: Sandbox, write_config: Write, calls: str, error: str, command: str, code: int, told: str
) -> None:
    """`ulimit -u`, or a container that refuses clone3: what is forgiven makes no difference, and nothing is started."""
    write_config(f'[profiles.work]\napi_key_command = ["sh", "-c", "echo {KEY}"]\n')
    refusing = f"{need('strace')} -f -qq -o /dev/null -e trace={calls} -e inject={calls}:error={error}"
    ended = in_shell(f"{refusing} -- apimart {command}", connected(sandbox))
    assert ended[:2] == (code, "")
    words = {
        "work": "api_key_command of profile work (sh)",
        "no_thread": "the system starts no thread\nhint: look at the limit of processes (ulimit -u)",
        "unavailable": "Resource temporarily unavailable\nhint: look at the limits of this process (ulimit -a)",
    }
    assert told.format(**words) in ended[2]
    assert "bug" not in ended[2]


def test_a_sandbox_at_its_limit_of_descriptors_rests(apart: Apart) -> None:
    """Connections that cannot be accepted yet wait, and take no processor; they are answered when others have ended."""
    process = apart("bash", "-c", "ulimit -n 16; exec apimart sandbox")
    port = int(heard(process).rpartition(":")[2])

    def spent() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        time.sleep(0.3)
        before = spent()
        time.sleep(1)
        assert spent() - before < 0.1
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"GET /v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


SLOW_TO_START = f"""
import runpy, subprocess, time
runpy.run_path({str(GUARD / "sitecustomize.py")!r})
class Slow(subprocess.Popen):
    def __init__(self, *arguments, **named):
        time.sleep(5)
        super().__init__(*arguments, **named)
subprocess.Popen = Slow
"""


@pytest.mark.parametrize("slow", ["to start", "to answer"])
def test_twenty_slow_key_commands_have_one_allowance(
    run: Run, sandbox: Sandbox, write_config: Write, tmp_path: Path, slow: str
) -> None:
    """They are given up together, and not one after the other, which would take ten seconds."""
    profiles = "".join(f'[profiles.p{number}]\napi_key_command = ["sleep", "60"]\n' for number in range(20))
    write_config(profiles)
    env = {"APIMART_BASE_URL": sandbox.url}
    if slow == "to start":
        (tmp_path / "sitecustomize.py").write_text(SLOW_TO_START)
        env["PYTHONPATH"] = str(tmp_path)
    watch = Stopwatch()
    ended = run("check", "--all-profiles", "--min", "5", "--timeout", "1", "--fail-open", env=env)
    watch.took().assert_within(1.5 + 2 * SLACK)
    assert ended.returncode == 4
    assert ended.stderr.count("within the time limit") == 20


@pytest.mark.parametrize(
    ("arguments", "asked_by", "written"),
    [
        ("check --min 5 --fail-open --api-key -", "--api-key -", ""),
        ("check --min 5 --fail-open --api-key -", "--api-key -", f"{KEY}\n"),
        ("login", "login", "sk-half"),
    ],
)
def test_a_pipe_that_stays_open_ends_with_the_time_limit(
    apart: Apart, sandbox: Sandbox, arguments: str, asked_by: str, written: str
) -> None:
    """Whatever has come so far may be half a key: exit 4, and nothing is sent."""
    reader, writer = os.pipe()
    os.write(writer, written.encode())
    watch = Stopwatch()
    env = {"APIMART_BASE_URL": sandbox.url}
    process = apart("apimart", *arguments.split(), "--timeout", "1", env=env, stdin=reader)
    answer, told = process.communicate(timeout=30)
    os.close(reader)
    os.close(writer)
    watch.took().assert_within(1.5 + SLACK)
    assert (process.returncode, answer) == (4, "")
    assert told.startswith(
        f"apimart: error: {asked_by}: standard input is still open after 1 second, and the key may not be complete\n"
    )


def test_a_shared_standard_input_may_not_wait(apart: Apart, sandbox: Sandbox) -> None:
    """Another program has made the pipe one that does not block: the key is waited for all the same."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    env = {"APIMART_BASE_URL": sandbox.url}
    process = apart("apimart", "balance", "-o", "value", "--api-key", "-", env=env, stdin=reader)
    time.sleep(0.5)
    os.write(writer, KEY.encode())
    os.close(writer)
    answer, told = process.communicate(timeout=30)
    os.close(reader)
    assert (process.returncode, answer, told) == (0, "10.5\n", "")


@pytest.mark.parametrize("blocking", [True, False])
def test_a_standard_error_that_nobody_reads_holds_nothing_up(apart: Apart, sandbox: Sandbox, blocking: bool) -> None:
    """A full pipe: the message is given up, and the exit code speaks."""
    reader, writer = os.pipe()
    os.write(writer, b"x" * fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096))
    os.set_blocking(writer, blocking)
    watch = Stopwatch()
    process = apart("apimart", "check", "--min", "5", env={"APIMART_BASE_URL": sandbox.url}, stderr=writer)
    assert process.wait(timeout=40) == 4
    watch.took().assert_within(0.5 + SLACK)
    os.close(reader)
    os.close(writer)
