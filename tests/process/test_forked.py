"""A forked command (`support/forked.py`) does what one with an interpreter of its own does: each kind once."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import wait_until
from support.running import KEY, Run, Serve, Write, connected, run_program
from support.scripted import balance, gateway

LINES = [
    "balance --scope both", "check --min 50 --json", "check --min x", "balance --api-key -", "nagios -c 5:",
    "login -p work",
    "run --min 5 --no-settle -- sh -c 'read -r word; echo $word; exit 7'", "sandbox -- apimart check --min 50",
    "check --help", "--version",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_it_says_the_same_and_has_the_same_exit_code(
    run: Run, run_process: Run, sandbox: Sandbox, home: Path, line: str
) -> None:
    """On both streams, with standard input read to its end or not."""
    told = []
    for start in (run_process, run):
        ended = start(*re.sub("'.*'", "SCRIPT", line).replace("SCRIPT", "").split(), *re.findall("'(.*)'", line),
                      env=connected(sandbox), input=f"{KEY}\n")  # fmt: skip
        without_moment = re.sub(r'"fetched_at":"[^"]*"', "", ended.stdout)
        told.append((ended.returncode, without_moment, re.sub(r"in \d s", "in 0 s", ended.stderr)))
        for path in home.rglob("config.toml"):
            path.unlink()
    assert told[0] == told[1]


@pytest.mark.parametrize("line", ["balance --scope both", "check --help"])
def test_it_shows_the_same_at_a_terminal(
    forks: Forks, command: str, environment: Mapping[str, str], sandbox: Sandbox, line: str
) -> None:
    """Byte for byte."""
    env = {**environment, **connected(sandbox), "TERM": "xterm-256color"}
    size = {"dimensions": (24, 70), "env": env}
    terminals = [forks.spawn("apimart", *line.split(), **size), forks.spawn("env", command, *line.split(), **size)]
    shown = [terminal.read() for terminal in terminals]
    for terminal in terminals:
        terminal.close()
    assert shown[0] == shown[1]
    assert terminals[0].exitstatus == terminals[1].exitstatus
    assert b"\x1b[" in shown[0] or "help" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_the_same_way(
    forks: Forks, command: str, environment: Mapping[str, str], tmp_path: Path, number: int
) -> None:
    """While it waits for an answer."""
    ended = []
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with gateway(lambda _path, _key: balance("10", delay=30)) as server:
        env = {**environment, "APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        for start in (forks.process, subprocess.Popen):
            server.asked.clear()
            with start([command, "balance"], env=env, cwd=tmp_path, encoding="utf-8", **output) as process:
                wait_until(lambda: server.asked)
                process.send_signal(number)
                ended.append((*process.communicate(timeout=20), process.returncode))
    assert ended[0] == ended[1]


@pytest.mark.usefixtures("quick_path")
@pytest.mark.parametrize("script", ["apimart balance | cat; apimart check --min 50", "apimart balance >&-"])
def test_scripts_find_one_that_does_the_same(
    environment: Mapping[str, str], forks: Forks, sandbox: Sandbox, script: str
) -> None:
    """What they find on their PATH is asked like the command itself, and ends like it."""
    env = {**environment, **connected(sandbox)}
    assert env["PATH"].startswith(forks.scripts)
    own = {**env, "PATH": env["PATH"].removeprefix(f"{forks.scripts}{os.pathsep}")}
    first, second = (run_program(["sh", "-c", script], env=each) for each in (env, own))
    assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)


def test_it_records_where_it_is_to_and_asks_the_config_file(
    run: Run, serve: Serve, environment: dict[str, str], write_config: Write, tmp_path: Path
) -> None:
    """The variables and the folder are those of the test, and not those of the process that it is forked from."""
    write_config(f"[profiles.work]\napi_key = '{KEY}'\n")
    environment["APIMART_RECORD"] = "1"
    env = {"APIMART_BASE_URL": serve().url, "APIMART_HISTORY": "history.db"}
    for _ in range(2):
        assert run("balance", "-p", "work", env=env).returncode == 0
    assert (tmp_path / "history.db").exists()
    assert run("check", "-p", "work", env={"APIMART_BASE_URL": serve(fault=Fault.HTML).url}).returncode == 2


@pytest.mark.parametrize("variable", ["PYTHONUTF8", "LANG", "LC_ALL", "LD_PRELOAD"])
def test_what_the_start_decides_has_an_interpreter_of_its_own(
    forks: Forks, command: str, environment: Mapping[str, str], variable: str
) -> None:
    """A test that changes a variable of the interpreter's gets what it asks for."""
    if forks.can_start(command, environment):
        assert not forks.can_start(command, {**environment, variable: "/nowhere"})
    assert not forks.can_start("sh", environment)
