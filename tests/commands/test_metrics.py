"""`balance -o prometheus` and `--textfile`: what Prometheus is told, and that a failure leaves nothing untrue."""

import re
import stat
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.past import write_past
from support.running import KEY, Call, Serve, Write, connected

PROFILES = """
min = 5
max_used = 40
unit = "USD"
[profiles.work]
api_key = "sk-work-0123"
[profiles.play]
api_key = "sk-play-0123"
min = 1
scope = "spendable"
[profiles.none]
"""

OLD = 'apimart_remaining_balance{profile="default",scope="key",unit=""} 7\n'


def told(text: str) -> dict[str, float]:
    """The number of each series, by its name and the values of its labels: `reading_success/work/key`."""
    return {
        "/".join([sample.name.removeprefix("apimart_"), *sample.labels.values()]): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that tells a balance of some time ago."""
    path = tmp_path / "apimart.prom"
    path.write_text(OLD)
    return path


def test_balances_are_told_as_metrics(call: Call, sandbox: Sandbox) -> None:
    """With `--scope both` each of them, and what can be spent."""
    ended = call("balance", "-o", "prometheus", "--scope", "both", env=connected(sandbox))
    found = told(ended.stdout)
    assert (ended.code, ended.stderr) == (0, "")
    assert found["remaining_balance/default/key/"] == found["spendable_balance/default/"] == 10.5
    assert found["remaining_balance/default/account/"] == 100
    assert found["used_balance/default/account/"] == 25.5


def test_each_profile_has_its_own_thresholds_and_unit(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """As the config file has them; what `check` does not hold an account to is not told of it."""
    write_config(PROFILES)
    ended = call("balance", "-o", "prometheus", "--all-profiles", env={"APIMART_BASE_URL": sandbox.url})
    found = told(ended.stdout)
    assert {name: number for name, number in found.items() if name.startswith(("min_", "max_"))} == {
        "min_balance/work/key/USD": 5, "min_balance/play/key/USD": 1, "min_balance/play/account/USD": 1,
        "min_balance/none/key/USD": 5, "max_used_balance/work/key/USD": 40, "max_used_balance/play/key/USD": 40,
        "max_used_balance/none/key/USD": 40,
    }  # fmt: skip
    assert [name for name, number in found.items() if name.startswith("reading_success") and not number] == [
        "reading_success/none/key"
    ]
    assert ended.code == 4


def test_how_long_it_lasts_is_told_where_there_is_a_history(call: Call, sandbox: Sandbox, tmp_path: Path) -> None:
    """10.5 left at 0.25 a day are 42 days."""
    ledger = tmp_path / "h.db"
    write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day="0.25")
    ended = call("balance", "-o", "prometheus", env={**connected(sandbox), "APIMART_HISTORY": str(ledger)})
    found = told(ended.stdout)
    days = {name: found[f"{name}/default/key"] / 86_400 for name in ("runway_seconds", "runway_low_seconds")}
    assert 41 < days["runway_low_seconds"] <= days["runway_seconds"] < 43


def test_the_file_is_replaced_and_nothing_is_printed(call: Call, sandbox: Sandbox, path: Path) -> None:
    """No mail from cron, and the collector, another user, may read the file."""
    ended = call("balance", "--textfile", str(path), env=connected(sandbox))
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")
    assert told(path.read_text())["remaining_balance/default/key/"] == 10.5
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(("fault", "code", "is_unpaid"), [
    (Fault.UNAUTHORIZED, 4, 0), (Fault.PAYMENT_REQUIRED, 3, 1), (Fault.SERVER_ERROR, 5, 0),
])  # fmt: skip
def test_a_failed_reading_takes_the_old_balance_out_of_the_file(
    fault: Fault, code: int, is_unpaid: int, call: Call, serve: Serve, path: Path
) -> None:
    """The file says that it failed, the exit code is that of `balance`, and the reason is on standard error."""
    ended = call("balance", "--textfile", str(path), "--timeout", "3", env=connected(serve(fault=fault)))
    assert (ended.code, ended.stdout) == (code, "")
    assert ended.stderr.startswith("apimart: error: ")
    assert told(path.read_text()) == {"reading_success/default/key": 0, "payment_required/default/key": is_unpaid}


@pytest.mark.parametrize("option", [["--textfile", "{path}"], ["-o", "prometheus"]])
def test_a_key_that_is_missing_is_a_failed_reading(option: list[str], call: Call, path: Path) -> None:
    """Of a single profile, too: what reads the metrics sees no exit code."""
    ended = call("balance", *[word.format(path=path) for word in option], "--scope", "spendable")
    found = told(ended.stdout or path.read_text())
    assert (ended.code, ended.stderr.count("apimart: error: ")) == (4, 1)
    assert found["reading_success/default/key"] == found["reading_success/default/account"] == 0
    assert "remaining_balance/default/key/" not in found


def test_what_failed_stands_beside_what_did_not(call: Call, sandbox: Sandbox, write_config: Write, path: Path) -> None:
    """Profiles that are named are in the file, and no other."""
    write_config(PROFILES)
    env = {"APIMART_BASE_URL": sandbox.url}
    ended = call("balance", "-p", "none", "-p", "work", "--textfile", str(path), env=env)
    found = told(path.read_text())
    assert ended.code == 4
    assert (found["reading_success/none/key"], found["reading_success/work/key"]) == (0, 1)
    assert found["remaining_balance/work/key/USD"] == 10.5
    assert not [name for name in found if "play" in name]


def test_the_file_stands_alone(call: Call, sandbox: Sandbox, path: Path) -> None:
    """Another format beside it is a mistake, and nothing is asked or written."""
    for other in (["--json"], ["-o", "table"], ["-o", "prometheus"]):
        ended = call("balance", "--textfile", str(path), *other, env=connected(sandbox))
        assert (ended.code, path.read_text()) == (2, OLD)
        assert re.search("--textfile and .* exclude each other", ended.stderr)


@pytest.mark.parametrize("name", ["apimart.txt", "gone/apimart.prom", "", KEY])
def test_a_file_that_no_collector_reads_is_refused_before_anything_is_asked(
    name: str, call: Call, tmp_path: Path
) -> None:
    """No gateway is there to be asked; and a key in the place of a file is not shown."""
    env = {"APIMART_BASE_URL": "http://127.0.0.1:9", "APIMART_API_KEY": KEY}
    ended = call("balance", "--textfile", str(tmp_path / name) if "." in name else name, env=env)
    assert (ended.code, ended.stdout) == (2, "")
    assert "apimart: error: --textfile: " in ended.stderr
    assert "hint: " in ended.stderr
    assert KEY[8:] not in ended.stderr


def test_a_broken_config_file_leaves_the_file_as_it_was(
    call: Call, sandbox: Sandbox, write_config: Write, path: Path
) -> None:
    """Nobody knows then which profiles there are: that the file grows old is what tells it."""
    write_config("min = ")
    assert call("balance", "--textfile", str(path), env=connected(sandbox)).code == 2
    assert path.read_text() == OLD


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can make a file")
def test_a_folder_that_takes_no_file_is_an_internal_error(call: Call, sandbox: Sandbox) -> None:
    """The balance is known and could not be written: code 1, which is no verdict."""
    ended = call("balance", "--textfile", "/proc/self/apimart.prom", env=connected(sandbox))
    assert (ended.code, ended.stdout) == (1, "")
    assert "the metrics could not be written to /proc/self/apimart.prom: " in ended.stderr
    assert "hint: see that the user of this command may write to its folder" in ended.stderr
