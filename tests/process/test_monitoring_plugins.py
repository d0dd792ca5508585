"""`nagios` as real monitoring systems run it, with the commands of `examples/`."""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.monitors import ICINGA, Seen, Service, icinga_arguments, icinga_sees, nagios_config, nagios_sees
from support.places import ROOT
from support.programs import need
from support.running import KEY, Serve, run_program

pytestmark = pytest.mark.servers

NAGIOS_FILE = ROOT / "examples" / "nagios" / "apimart.cfg"
ICINGA_FILE = ROOT / "examples" / "icinga" / "apimart.conf"

NAMES = ["a|b", "a=b", "it's", "a::b", "::error::x", "##[error]x", "a\nb", "a\\nb", "a%0Ab", '"a"', "{a}",
         "$HOST$", "`id`", "<b id='1'>a</b>", "\U0001f4b8", "x" * 10_000, "a|'x'=1;;;0"]  # fmt: skip
"""Names of profiles that would mean something to a monitoring system, or to what reads its log."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short: sockets are made in it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def config(place: Path, sandbox: Sandbox, serve: Serve) -> Path:
    """A config file with a profile that has enough, one that nobody answers, and one that cannot pay."""
    unpaid = serve(fault=Fault.PAYMENT_REQUIRED).url
    return write_profiles(place / "a.toml", {"work": sandbox.url, "gone": "http://127.0.0.1:9", "unpaid": unpaid})


@pytest.fixture
def names(place: Path, sandbox: Sandbox) -> Path:
    """A config file in which every profile has another hostile name."""
    return write_profiles(place / "names.toml", dict.fromkeys(NAMES, sandbox.url))


def write_profiles(path: Path, urls: Mapping[str, str]) -> Path:
    profiles = (
        f'[profiles.{json.dumps(name, ensure_ascii=False)}]\napi_key = "{KEY}"\nbase_url = "{url}"\nunit = "USD"\n'
        for name, url in urls.items()
    )
    path.write_text("timeout = 20\n" + "".join(profiles), encoding="utf-8")
    path.chmod(0o600)
    return path


WORK = "'work_spendable_remaining'=10.5;{};{};0 'work_spendable_used'=2.3;;;0"


def test_nagios_sees_the_four_states_and_the_data(
    place: Path, config: Path, names: Path, environment: Mapping[str, str]
) -> None:
    """Run by the example's command: state, text and performance data are what the plugin meant, for any name."""
    example = NAGIOS_FILE.read_text().partition("define service")[0]
    command = example.replace("/etc/apimart/config.toml", f"{config}")
    of_all = example.replace("/etc/apimart/config.toml", f"{names}").replace("check_apimart", "check_all")
    command += of_all.replace('--profile "$ARG1$"', "--all-profiles")
    services = [
        Service("ok", ["work", "10:", "5:"]), Service("warning", ["work", "20:", "5:"]),
        Service("critical", ["work", "20:", "15:"]), Service("unknown", ["gone", "10:", "5:", "-t 1"]),
        Service("unpaid", ["unpaid", "10:", "5:"]), Service("wrong", ["work", "ten", "5:"]),
        Service("names", ["", "10:", "5:", "--verbose"], command="check_all"),
    ]  # fmt: skip
    seen = nagios_sees(place, command, services, environment)
    assert {name: each.state for name, each in seen.items()} == STATES
    assert seen["ok"] == Seen(
        "OK", "APIMART OK - work/spendable 10.5 USD left (limited by key)", WORK.format("10:", "5:")
    )
    assert seen["warning"].data == WORK.format("20:", "5:")
    assert seen["unknown"].data == seen["unpaid"].data == seen["wrong"].data == ""
    assert "could not reach 127.0.0.1:9" in seen["unknown"].text
    assert "'ten' is not a range" in seen["wrong"].text
    assert shows_all_names(seen["names"])


STATES = {
    "ok": "OK", "warning": "WARNING", "critical": "CRITICAL", "unknown": "UNKNOWN", "unpaid": "CRITICAL",
    "wrong": "UNKNOWN", "names": "OK",
}  # fmt: skip


def shows_all_names(seen: Seen) -> bool:
    """Whether a sentence and two values of each profile arrived, under labels of their own, and nothing else did."""
    assert seen.text.startswith("APIMART OK - a\\x7cb/spendable 10.5 USD left (limited by key). ")
    labels = re.findall(r"(?:^| )'?([^ '=]+)'?=(?:10\.5;10:;5:;0|2\.3;;;0)(?= |$)", seen.data)
    assert len(set(labels)) == len(labels) == seen.data.count("=") == 2 * len(NAMES), seen.data
    return True


def test_icinga_sees_the_four_states_and_the_data(
    place: Path, config: Path, names: Path, environment: Mapping[str, str]
) -> None:
    """Run by the example's command: state, text and performance data are what the plugin meant, for any name."""
    usual = {"config": f'"{config}"', "history": f'"{place}/history.db"', "warning": '"10:"', "critical": '"5:"'}
    work = {**usual, "profile": '"work"'}
    services = [
        Service("ok", variables=work),
        Service("warning", variables={**work, "warning": '"20:"'}),
        Service("critical", variables={**work, "critical": '"20:"'}),
        Service("unknown", variables={**usual, "profile": '"gone"', "timeout": "1"}),
        Service("unpaid", variables={**usual, "profile": '"unpaid"'}),
        Service("wrong", variables={**work, "warning": '"ten"'}),
        Service("names", variables={**usual, "config": f'"{names}"', "all_profiles": "true", "verbose": "true"}),
    ]
    seen = icinga_sees(place, ICINGA_FILE, services, environment)
    assert {name: each.state for name, each in seen.items()} == STATES
    # It reads the numbers and writes them in its own way.
    assert seen["ok"] == Seen(
        "OK", "APIMART OK - work/spendable 10.5 USD left (limited by key)", WORK.format("10:", "5:").replace("'", "")
    )
    assert seen["unknown"].data == seen["unpaid"].data == seen["wrong"].data == ""
    assert shows_all_names(seen["names"])


def test_nagios_accepts_the_example_as_it_is(place: Path) -> None:
    """`nagios4 -v` finds nothing wrong with the file, its service included."""
    program = need("nagios4")
    ended = _run([program, "-v", f"{nagios_config(place, NAGIOS_FILE.read_text())}"])
    assert ended.returncode == 0, ended.stdout
    assert "Total Errors:   0" in ended.stdout


def test_icinga_accepts_the_example_as_it_is(place: Path) -> None:
    """`icinga2 daemon -C` finds nothing wrong with the file, and makes a service of a host's variables."""
    variables = 'vars.apimart["balance"] = { apimart_profile = "work" }'
    config = ICINGA.format(command=ICINGA_FILE, folder=place, variables=variables)
    ended = _run([*icinga_arguments(place, config), "-C"])
    assert ended.returncode == 0, ended.stdout
    assert "Instantiated 1 Service." in ended.stdout
    assert "warning" not in ended.stdout


def _run(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return run_program(arguments, stderr=subprocess.STDOUT)
