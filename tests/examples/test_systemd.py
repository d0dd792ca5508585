"""The units for systemd and that of `watch` in docs: it reads them, and what they run are commands that work."""

import configparser
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from apimart_cli.sandbox.server import Sandbox
from support.examples import EXAMPLES, asked
from support.pages import blocks_of
from support.processes import wait_until
from support.programs import need
from support.running import KEY, Call, Write, run_program

PROGRAM = "/usr/local/bin/apimart"
UNITS = sorted((EXAMPLES / "systemd").iterdir())
WATCH = "apimart-watch.service"
[UNIT] = [block.text for block in blocks_of("ini") if block.note == WATCH]


def unit(name: str) -> configparser.ConfigParser:
    # Some names may stand there twice.
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are written
    read.read(EXAMPLES / "systemd" / name)
    return read


def test_systemd_finds_nothing_wrong(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """`systemd-analyze verify` has nothing to say about any of them, once the program is where they look for it."""
    verify = [need("systemd-analyze"), "verify"]
    stand_in = tmp_path / "apimart"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8").replace(PROGRAM, str(stand_in)))
    (tmp_path / WATCH).write_text(UNIT.replace("%h/.local/bin/apimart", str(stand_in)))
    for files in ([path.name for path in UNITS], ["--user", WATCH]):
        ended = run_program([*verify, *files], env={**environment, "XDG_RUNTIME_DIR": str(tmp_path)}, cwd=tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_service_of_watch_runs_a_command_that_works(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """With the options of the page; a reader that goes away must not be the end of it."""
    service = configparser.ConfigParser(interpolation=None)
    service.read_string(UNIT)
    program, *arguments = service["Service"]["ExecStart"].split()
    assert (program, service["Service"]["Restart"]) == ("%h/.local/bin/apimart", "always")
    write_config('[profiles.work]\napi_key = "sk-work-0123"\n')
    ended = call(*arguments, "--count", "1", env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.code, ended.stdout.count("work/key: 10.5 left")) == (0, 1)


SERVICES = ["apimart-exporter.service", "apimart-textfile.service"]

MOST_EXPOSED = 2.0
"""What `systemd-analyze security` may say of a service: from 0, which can do nothing, to 10."""


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_no_more_than_one_that_connects_and_reads(name: str) -> None:
    """By the measure of systemd itself."""
    told = asked("systemd-analyze", "security", "--offline=true", "--no-pager", EXAMPLES / "systemd" / name)
    found = re.search(rf"Overall exposure level for {re.escape(name)}: ([0-9.]+) ", told)
    assert found, told
    assert float(found[1]) <= MOST_EXPOSED, told


def _members(name: str) -> set[str]:
    """Return the system calls that a name in `SystemCallFilter=` stands for."""
    if not name.startswith("@"):
        return {name}
    names = re.findall(r"(?m)^    ([@\w-]+)$", asked("systemd-analyze", "syscall-filter", name))
    return set().union(*map(_members, names))


def _allowed_calls(name: str) -> set[str]:
    """Return the system calls that a service may make."""
    # systemd allows what ends a process, and starts one, whatever the filter is.
    allowed = _members("@default") | {"execve"}
    text = (EXAMPLES / "systemd" / name).read_text(encoding="utf-8")
    for line in re.findall(r"(?m)^SystemCallFilter=(.+)$", text):
        members = set().union(*map(_members, line.removeprefix("~").split()))
        allowed = allowed - members if line.startswith("~") else allowed | members
    return allowed


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_does_nothing_that_its_unit_forbids(
    name: str, command: str, environment: Mapping[str, str], sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """As strace sees it: its system calls, kinds of sockets and memory, with a command that prints the key."""
    service = unit(name)["Service"]
    allowed = _allowed_calls(name)
    write_config(f'base_url = "{sandbox.url}"\n[profiles.work]\napi_key_command = ["echo", "{KEY}"]\n')
    _, *arguments = shlex.split(service["ExecStart"])
    is_exporter = "exporter" in arguments
    arguments[-1] = "127.0.0.1:0" if is_exporter else str(tmp_path / "apimart.prom")
    trace = tmp_path / "trace"
    with (tmp_path / "told").open("w+") as told:
        process = subprocess.Popen(
            [need("strace"), "-f", "-qq", "-o", str(trace), command, *arguments],
            env={**environment, "APIMART_HISTORY": str(tmp_path / "history.db"), "APIMART_RECORD": "1"},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
        )
        if is_exporter:
            wait_until(lambda: "listening on" in (tmp_path / "told").read_text(), 60)
            [traced] = psutil.Process(process.pid).children()
            wait_until(lambda: "/v1/" in trace.read_text(errors="replace"), 60)
            # As the unit reloads and ends it.
            traced.send_signal(signal.SIGHUP)
            wait_until(lambda: "read again" in (tmp_path / "told").read_text(), 60)
            traced.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    called = {found[1] for line in lines if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert "connect" in called
    # Root alone, which the service is not, has SQLite give its journal to the owner of the ledger.
    assert called - allowed - ({"fchown"} if os.geteuid() == 0 else set()) == set()
    assert service["MemoryDenyWriteExecute"] == "yes"
    assert [
        line for line in lines if "PROT_WRITE|PROT_EXEC" in line or re.search(r" mprotect\(.*PROT_EXEC", line)
    ] == []
    families = {found[1] for line in lines if (found := re.search(r" socket\((\w+)", line))}
    assert families <= set(service["RestrictAddressFamilies"].split())
    assert service["RestrictNamespaces"] == "yes"
    assert [line for line in lines if "CLONE_NEW" in line] == []


def test_the_timer_starts_the_service_of_its_name_more_often_than_the_alert_waits() -> None:
    """Every five minutes; a file that is 15 minutes old is stale."""
    assert [path.name for path in UNITS] == [
        "apimart-exporter.service", "apimart-textfile.service", "apimart-textfile.timer",
    ]  # fmt: skip
    timer = unit("apimart-textfile.timer")
    assert timer["Timer"]["OnCalendar"] == "*:0/5"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_service_writes_a_file_into_the_one_folder_that_it_may_write_to(
    call: Call, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """Its command line is one that works, but for the folder."""
    service = unit("apimart-textfile.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    folder, name = arguments[-1].rsplit("/", 1)
    assert (program, folder, service["Type"]) == (PROGRAM, service["ReadWritePaths"], "oneshot")
    write_config('[profiles.work]\napi_key = "sk-work-0123"\n')
    ended = call(*arguments[:-1], str(tmp_path / name), env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert 'apimart_reading_success{profile="work",scope="key"} 1\n' in (tmp_path / name).read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_not_root_and_have_a_place_for_what_they_remember(name: str) -> None:
    """The ledger is in the state folder, which systemd makes."""
    service = unit(name)["Service"]
    assert service["User"] == "apimart"
    assert service["StateDirectory"] == "apimart"
    assert "Environment=APIMART_HISTORY=/var/lib/apimart/history.db\n" in (EXAMPLES / "systemd" / name).read_text()


def test_the_exporter_listens_where_prometheus_looks_and_reloads_on_a_signal() -> None:
    """As the example of its configuration has it."""
    service = unit("apimart-exporter.service")["Service"]
    assert service["ExecStart"] == f"{PROGRAM} exporter --scope both --listen 127.0.0.1:9899"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert "127.0.0.1:9899" in (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
