"""The units for systemd: it reads them, and what they run are commands that work."""

import configparser
import shlex
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.examples import EXAMPLES, asked
from support.programs import need
from support.running import Call, Write

PROGRAM = "/usr/local/bin/apimart"
UNITS = sorted((EXAMPLES / "systemd").iterdir())


def unit(name: str) -> configparser.ConfigParser:
    # Some names may stand there twice.
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign]  # names as they are written
    read.read(EXAMPLES / "systemd" / name)
    return read


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about any of them, once the program is where they look for it."""
    need("systemd-analyze")
    stand_in = tmp_path / "apimart"
    stand_in.write_text("#!/bin/sh\n")
    stand_in.chmod(0o755)
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8").replace(PROGRAM, str(stand_in)))
    told = asked("systemd-analyze", "verify", *(tmp_path / path.name for path in UNITS))
    assert told == ""


def test_the_timer_starts_the_service_of_its_name_more_often_than_the_alert_waits() -> None:
    """Every five minutes; a file that is 15 minutes old is stale."""
    assert [path.name for path in UNITS] == [
        "apimart-exporter.service",
        "apimart-textfile.service",
        "apimart-textfile.timer",
    ]
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


@pytest.mark.parametrize("name", ["apimart-exporter.service", "apimart-textfile.service"])
def test_services_are_not_root_and_have_a_place_for_what_they_remember(name: str) -> None:
    """The ledger is in the state folder, which systemd makes."""
    service = unit(name)["Service"]
    assert service["User"] == "apimart"
    assert service["StateDirectory"] == "apimart"
    assert "Environment=APIMART_HISTORY=/var/lib/apimart/history.db\n" in (EXAMPLES / "systemd" / name).read_text()


def test_the_exporter_listens_where_prometheus_looks_and_reloads_on_a_signal() -> None:
    """As the example of its configuration has it."""
    service = unit("apimart-exporter.service")["Service"]
    assert service["ExecStart"] == f"{PROGRAM} exporter --listen 127.0.0.1:9899"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert "127.0.0.1:9899" in (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
