"""The examples for cron and systemd: their commands are run, and systemd reads its files."""

import configparser
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Funds
from support.pages import Block, blocks_of
from support.programs import need
from support.running import Serve, Shell, connected, run_program

pytestmark = pytest.mark.usefixtures("quick_path")

UNITS = {block.note: block for block in blocks_of("ini")}


@pytest.mark.parametrize(
    ("remain", "printed"),
    [("10.5", ""), ("3", "BELOW default/spendable: 3 left (limited by key), at least 5 required\n")],
)
def test_cron_sends_a_mail_only_when_something_is_wrong(remain: str, printed: str, shell: Shell, serve: Serve) -> None:
    """The line for cron is five times and a command that prints the reason of a failure, and nothing otherwise."""
    [line] = "".join(block.text for block in blocks_of("crontab") if block.page == "docs/scripting.md").splitlines()
    *times, command = line.split(maxsplit=5)
    assert all(time == "*" or time.isdecimal() for time in times)
    assert "%" not in command, "cron would end the command there"
    gateway = serve(key=Funds(Decimal(remain), Decimal(0)))
    assert shell(command, env=connected(gateway), interpreter=("sh", "-c")).stdout == printed


def test_the_systemd_service_runs_check() -> None:
    """The service runs the command where pipx and uv put it, and the timer belongs to the service by its name."""
    assert set(UNITS) == {"apimart.service", "apimart.timer", "apimart-watch.service", "apimart-check.service"}
    service = _read(UNITS["apimart.service"])
    assert service["Service"]["ExecStart"] == "%h/.local/bin/apimart check --min 5 --scope spendable"
    assert _read(UNITS["apimart.timer"])["Install"]["WantedBy"] == "timers.target"


def test_systemd_finds_nothing_wrong_in_its_files(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """`systemd-analyze verify` has nothing to say about the two files."""
    program = tmp_path / "apimart"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, block in UNITS.items():
        (tmp_path / name).write_text(block.text.replace("%h/.local/bin/apimart", str(program)))
    ended = run_program(
        [
            need("systemd-analyze"), "--user", "verify", str(tmp_path / "apimart.timer"),
            str(tmp_path / "apimart.service"),
        ],
        env={**environment, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def _read(block: Block) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(block.text)
    return unit
