"""Alerts with real processes: one for many at once, no key for the command, no terminal; and how --debug tells them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.leaks import find_key
from support.processes import BREEDING, is_running, wait_until
from support.programs import need
from support.running import KEY, Call, Run, Serve, Spawn, Write, connected, run_program, started_processes
from support.scripted import balance, gateway
from support.stopwatch import Stopwatch

DUMP = """#!/bin/sh
# Everything that a process can tell of itself and its parent that was given to it.
{ tr '\\0' '\\n' < /proc/$$/environ; tr '\\0' '\\n' < /proc/$$/cmdline; cat; ls -l /proc/$$/fd; } > "$0.dump"
cut -d ' ' -f 6,7 /proc/$$/stat > "$0.session"; echo $$ >> "$0.session"
echo once >> "$0.times"
"""

Hook = Callable[[str], Path]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    """Write a program for the alert."""

    def write(text: str) -> Path:
        path = tmp_path / "hook"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def recording(environment: dict[str, str]) -> None:
    """Let the processes record, as they do by default."""
    del environment["APIMART_RECORD"]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_twenty_at_once_give_one_alert(
    command: str, environment: Mapping[str, str], recording: None, hook: Hook, sandbox: Sandbox, forks: Forks
) -> None:
    """As of several crons; each ends with its own verdict, without a word on standard error."""
    path = hook('#!/bin/sh\necho "$APIMART_EVENT" >> "$0.times"\n')
    arguments = [command, "check", "--min", "50", "-q", "--on-low", str(path)]
    with started_processes(path.parent, forks) as start:
        processes = [start(arguments, {**environment, **connected(sandbox)}) for _ in range(20)]
        ends = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    assert ends == [("", "", 3)] * 20
    assert lines(path.with_name("hook.times")) == ["low"]


PROFILE = f"""
default_profile = "a"
[profiles.a]
api_key_env = "KEY_OF_A"
min = 50
[profiles.b]
api_key = "{KEY}"
min = 50
[profiles.c]
api_key_command = ["printf", "%s", "{KEY}"]
min = 50
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--all-profiles"),
        ("check", "--api-key", KEY),
        ("watch", "--count", "1", "-p", "c"),
        ("run", "--", "true"),
    ],
    ids=" ".join,
)
def test_the_command_never_sees_the_key(
    run: Run, hook: Hook, sandbox: Sandbox, write_config: Write, arguments: tuple[str, ...]
) -> None:
    """Not in its environment, its arguments or its standard input, wherever the key comes from."""
    write_config(PROFILE)
    path = hook(DUMP)
    variables = {"KEY_OF_A": KEY, "APIMART_API_KEY": KEY, "HEADER": f"Authorization: Bearer {KEY}", "KEPT": "as it is"}
    name, *rest = arguments
    ended = run(name, "--on-low", f"{path} 'two words'", *rest, env={"APIMART_BASE_URL": sandbox.url, **variables})
    assert ended.returncode in {0, 3, 125}
    dump = path.with_name("hook.dump").read_text()
    assert find_key(dump, KEY) == []
    assert {"KEPT=as it is", "two words", "APIMART_EVENT=low", "APIMART_THRESHOLD=50"} <= set(dump.splitlines())
    assert '"event":"low"' in dump
    for variable in ("KEY_OF_A", "APIMART_API_KEY", "HEADER"):
        assert f"{variable}=" not in dump
    # Of what is open here it has nothing: no connection, no ledger.
    descriptors = dict(re.findall(r" (\d+) -> (\S+)", dump))
    assert set(descriptors) >= {"0", "1", "2"}
    assert [name for name in descriptors.values() if "socket" in name or ".db" in name or "hook" not in name][3:] == []
    assert find_key(ended.stdout + ended.stderr, KEY) == []


def test_no_process_on_the_way_to_the_command_is_given_the_key(
    command: str, environment: Mapping[str, str], hook: Hook, sandbox: Sandbox, tmp_path: Path
) -> None:
    """As the system sees it: of all programs that are started, only apimart has it."""
    strace = need("strace")
    path = hook('#!/bin/sh\ncat > "$0.told"\n')
    trace = tmp_path / "trace"
    watched = [strace, "-f", "-qq", "-v", "-s", "100000", "-e", "trace=execve,execveat", "-o", str(trace)]
    ended = run_program(
        [*watched, command, "check", "--min", "50", "-q", "--on-low", f"{path} word"],
        env={**environment, **connected(sandbox), "COPY": f"x{KEY}"},
    )
    if ended.returncode != 3:
        pytest.skip(f"strace cannot trace here: {ended.stderr!r}")
    started = [line for line in trace.read_text().splitlines() if "execve" in line and "= 0" in line]
    (own, *others) = started
    assert KEY in own
    assert [line for line in others if str(path) in line and '"APIMART_EVENT=low"' in line]
    assert find_key("\n".join(others), KEY) == []


@pytest.mark.parametrize("arguments", [("check", "-q"), ("run",)], ids=" ".join)
def test_the_command_has_a_session_of_its_own_and_no_terminal(
    spawn: Spawn, hook: Hook, sandbox: Sandbox, arguments: tuple[str, ...]
) -> None:
    """It can neither read what is typed nor write over what is shown."""
    path = hook(DUMP + "echo disturbing > /dev/tty; echo disturbing; echo disturbing >&2\n")
    options = ["--min", "50", "--on-low", str(path), *(["--", "true"] if arguments[0] == "run" else [])]
    terminal = spawn("apimart", *arguments, *options, env=connected(sandbox))
    shown = terminal.read().decode()
    terminal.wait()
    assert "disturbing" not in shown
    (session, tty), pid = lines(path.with_name("hook.session"))[0].split(), lines(path.with_name("hook.session"))[1]
    assert (session, tty) == (pid, "0")


@pytest.mark.parametrize("arguments", [("check",), ("run", "--", "true")], ids=" ".join)
def test_no_signal_is_held_back_from_the_command(
    run: Run, sandbox: Sandbox, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Though our threads hold all of them back. Not asked of a shell, which lets them in by itself."""
    name, *rest = arguments
    run(name, "--min", "50", "--on-low", "cp /proc/self/status status", *rest, env=connected(sandbox))
    [held_back] = re.findall(r"^SigBlk:\s+(\w+)$", (tmp_path / "status").read_text(), re.MULTILINE)
    assert int(held_back, 16) == 0


@pytest.fixture
def hanging(
    command: str, environment: Mapping[str, str], hook: Hook, sandbox: Sandbox, forks: Forks
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A check whose alert hangs, and the process of the alert."""
    path = hook('#!/bin/sh\ntrap "" TERM INT\necho $$ > "$0.new"; mv "$0.new" "$0.pid"\nsleep 60\n')
    arguments = [command, "check", "--min", "50", "-q", "--on-low", str(path)]
    with started_processes(path.parent, forks) as start:
        process = start(arguments, {**environment, **connected(sandbox)})
        wait_until(path.with_name("hook.pid").exists)
        # It runs a moment before apimart knows of it.
        time.sleep(0.5)
        yield process, int(path.with_name("hook.pid").read_text())


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)]
)
def test_a_signal_ends_the_check_and_its_alert(
    hanging: tuple["subprocess.Popen[str]", int], number: int, status: int
) -> None:
    """At once, though the command would not end by itself."""
    process, alert = hanging
    watch = Stopwatch()
    process.send_signal(number)
    assert process.wait(timeout=40) == status
    watch.took().assert_within(8)
    wait_until(lambda: not is_running(alert))


def test_an_alert_weakens_no_guard(run: Run, hook: Hook) -> None:
    """While it runs, what a stopped command has started is found as ever, also where its parent has ended.

    And it is not taken for something that the command has started.
    """
    path = hook('#!/bin/sh\nsleep 1.5\necho done >> "$0.times"\n')
    bred = path.with_name("bred")
    program = f"{BREEDING.format(kind='orphan')}open({str(bred)!r}, 'w')\ntime.sleep(60)"
    options = ("--min", "5", "--scope", "key", "--interval", "0.3", "--kill-after", "1", "--no-settle")
    with gateway(lambda _path, _key: balance("4" if bred.exists() else "10")) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = run("run", *options, "--on-low", str(path), "--", sys.executable, "-c", program, env=env)
    assert ended.returncode == 124
    found = re.match(r"pids (\d+) (\d+) \.", ended.stdout)
    assert found
    assert not is_running(int(found[2]))
    assert lines(path.with_name("hook.times")) == ["done"]


def test_an_alert_that_is_stopped_leaves_the_daemon_of_the_command_alone(
    call: Call, monkeypatch: pytest.MonkeyPatch, hook: Hook
) -> None:
    """It is waited for at the end; what a command left behind that ended by itself goes on."""
    monkeypatch.setenv("APIMART_RECORD", "1")
    monkeypatch.setattr("apimart_cli.readings.alert_command.LONGEST", 0.5)
    path = hook('#!/bin/sh\nsleep 61 & echo $! > "$0.pid"\nwait\n')
    amounts = iter(["4"])
    options = ("--min", "5", "--scope", "key")
    program = f"{BREEDING.format(kind='orphan')}open('bred', 'w').write(str(bred))"
    with gateway(lambda _path, _key: balance(next(amounts, "9"))) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        assert call("check", *options, "--on-low", "true", env=env).code == 3
        hooks = ("--no-settle", "--on-recover", str(path))
        ended = call("run", *options, *hooks, "--", sys.executable, "-c", program, env=env)
    assert ended.code == 0
    assert f"{path} (--on-recover) was stopped after 0.5 seconds" in ended.stderr
    bred = int(path.with_name("bred").read_text())
    assert is_running(bred)
    os.kill(bred, signal.SIGKILL)
    assert not is_running(int(path.with_name("hook.pid").read_text()))


def test_what_goes_wrong_is_told_after_the_table_of_watch(spawn: Spawn, hook: Hook, sandbox: Sandbox) -> None:
    """Not over it: the screen is ours again by then."""
    path = hook("#!/bin/sh\necho no network\nexit 4\n")
    env = {**connected(sandbox), "APIMART_SANDBOX": "1"}
    options = ("--min", "50", "--count", "4", "--interval", "0.2", "--on-low", str(path))
    terminal = spawn("apimart", "watch", *options, columns=200, env=env)
    shown = terminal.read().decode()
    terminal.wait()
    assert terminal.exitstatus == 0
    table, _, after = shown.rpartition("\x1b[?25h")
    assert "Remaining" in table
    assert "no network" not in table
    assert f"{path} (--on-low) failed with exit code 4: no network" in after


def _told(call: Call, sandbox: Sandbox, *arguments: str) -> Sequence[str]:
    """Return what `check --debug` tells of alerts, moments replaced."""
    ended = call("check", *arguments, "--debug", env={**connected(sandbox), "APIMART_RECORD": "1"})
    lines = re.findall(r"^apimart: debug: (alert: .*|.*ended with.*)$", ended.stderr, re.MULTILINE)
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "MOMENT", line) for line in lines]


def test_the_first_is_run_and_the_second_was_told_already(call: Call, sandbox: Sandbox) -> None:
    """With its source and how it ended; then, when it was told, and that nothing tells it again."""
    low = ("--min", "20", "--on-low", "true")
    subject = "alert: default/spendable, min 20: "
    assert _told(call, sandbox, *low) == [
        f"{subject}low: on_low is run (--on-low)",
        "default/spendable: true (--on-low) ended with exit code 0",
    ]
    assert _told(call, sandbox, *low) == [f"{subject}not run: already told at MOMENT; remind is not set"]


def test_a_reminder_is_announced(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """What `remind` says, and where the command of the file stands."""
    path = write_config('remind = "36h"\nmin = 20\non_low = ["true"]\n')
    first = _told(call, sandbox)
    assert first[0] == f"alert: default/spendable, min 20: low: on_low is run ({path})"
    [again] = _told(call, sandbox)
    assert again.endswith("not run: already told at MOMENT; again after 36h")


@pytest.mark.parametrize(
    ("arguments", "fault", "reason"),
    [
        ("--min 5 --on-low true", None, "min 5: not run: enough is left"),
        ("--min 20 --on-recover true", None, "min 20: low: not run: on_low is not set"),
        ("--min-runway 3d --on-low true", None, "min_runway: not run: it is not known how long the balance lasts"),
        ("--min 5 --on-low true --timeout 1", Fault.SERVER_ERROR, "min 5: not run: the reading failed"),
    ],
)
def test_what_is_not_run_has_a_reason(
    call: Call, serve: Serve, arguments: str, fault: Fault | None, reason: str
) -> None:
    """Whatever that is."""
    assert _told(call, serve(fault=fault), *arguments.split()) == [f"alert: default/spendable, {reason}"]


def test_what_is_not_safe_again_has_a_reason(call: Call) -> None:
    """Above the threshold, and less than `rearm` times it."""
    left = ["9"]
    with gateway(lambda _path, _key: balance(left[0])) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "APIMART_RECORD": "1"}
        low = ("check", "--min", "10", "--on-low", "true", "--debug")
        assert "on_low is run" in call(*low, env=env).stderr
        left[0] = "11"
        between = call(*low, env=env)
    assert between.returncode == 0
    assert "Z, and not yet enough to have recovered\n" in between.stderr


def test_a_command_of_the_file_without_a_threshold_is_told(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """Nothing can fall below what is not set."""
    write_config('on_low = ["true"]\nmax_used = 100\n')
    assert _told(call, sandbox) == ["alert: default: nothing is run: there is neither min nor min_runway"]


def test_run_follows_its_alerts_too(call: Call, sandbox: Sandbox) -> None:
    """The command is not started, and the alert is run."""
    ended = call("run", "--min", "20", "--on-low", "true", "--debug", "--", "true", env=connected(sandbox))
    assert ended.returncode == 125
    assert "apimart: debug: alert: default/spendable, min 20: low: on_low is run (--on-low)\n" in ended.stderr
