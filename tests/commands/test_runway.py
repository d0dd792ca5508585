"""How long the balance lasts: in `balance`, and as a threshold of `check`."""

import json
import re
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.past import write_past
from support.running import Call, Serve, Write, connected
from support.stopwatch import Stopwatch

FLAGS = ("--min-runway", "3d")


def host_of(sandbox: Sandbox) -> str:
    return sandbox.url.removeprefix("http://")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "h.db"


@pytest.fixture
def env(sandbox: Sandbox, ledger: Path) -> dict[str, str]:
    """What points a command at the sandbox and at a ledger that does not exist yet."""
    return {**connected(sandbox), "APIMART_HISTORY": str(ledger)}


def test_a_pass_tells_everything_in_one_line(call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path) -> None:
    """What is left, how long it lasts, and what was required of both; 10.5 left at 0.25 a day are 42 days."""
    write_past(ledger, host_of(sandbox), days=8, spent_per_day="0.25")
    ended = call("check", "--scope", "key", "--min", "5", *FLAGS, env=env)
    assert ended.stdout == (
        "PASS default/key: 10.5 left, at least 5 required; lasts about 42 days (41 to 43), at least 3 days required\n"
    )
    assert (ended.code, ended.stderr) == (0, "")


@pytest.mark.parametrize(("runway", "code", "word"), [("41d", 0, "PASS"), ("1009h", 3, "BELOW")])
def test_the_low_end_must_be_at_least_the_runway(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, runway: str, code: int, word: str
) -> None:
    """An even spend leaves no doubt: 42 days less the minute that nothing was spent in."""
    write_past(ledger, host_of(sandbox), days=8, spent_per_day="0.25")
    ended = call("check", "--scope", "key", "--min-runway", runway, env=env)
    assert ended.code == code
    assert ended.stdout.startswith(f"{word} default/key: 10.5 left; lasts about 42 days")


def test_days_that_differ_make_a_range(call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path) -> None:
    """JSON has both ends, and what was seen; the table has words."""
    write_past(ledger, host_of(sandbox), days=5, spent_per_day="0.1", used="1.8", remain="11")
    document: dict[str, Any] = json.loads(call("balance", "--json", env=env).stdout)["forecast"]
    assert document["state"] == "rough"
    assert document["days_seen"] == 5
    assert document["days_left_low"] < document["days_left"] < 60
    assert document["days_left_high"] is None or document["days_left_high"] > document["days_left"]
    assert document["spent_per_day"] == pytest.approx(0.2, abs=0.001)
    shown = call("balance", env=env).stdout.splitlines()
    assert re.split(" {3,}", shown[0].strip())[-2:] == ["Lasts", "Status"]
    assert re.search(r"about 5\d days \(.*\), rough", shown[2])


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_too_little_history_is_no_pass(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, options: tuple[str, ...]
) -> None:
    """Exit 8, however it is shown, and a hint: how much there is, and what CI has to do."""
    write_past(ledger, host_of(sandbox), days=1.5, spent_per_day="0.1")
    ended = call("check", "--scope", "key", *FLAGS, *options, env=env)
    assert (ended.code, "PASS" in ended.stdout) == (8, False)
    assert "not enough history: 1.5 of 3 days" in ended.stderr
    hint = "nothing is recorded, as APIMART_RECORD says; go on without it with: --on-no-forecast pass"
    assert f"hint: {hint}" in ended.stderr
    if options == ("--json",):
        document = json.loads(ended.stdout)
        assert (document["verdict"], document["exit_code"], document["min_runway_days"]) == ("no_forecast", 8, 3)
        assert document["readings"][0]["forecast"]["state"] == "too_little"


def test_without_any_history_it_is_the_same(call: Call, env: dict[str, str], ledger: Path) -> None:
    """The first run of a new machine."""
    ended = call("check", "--scope", "key", *FLAGS, env=env)
    line = "NO_FORECAST default/key: 10.5 left; no history, at least 3 days required\n"
    assert (ended.code, ended.stdout, ledger.exists()) == (8, line, False)


def test_too_little_history_can_be_let_pass(call: Call, env: dict[str, str], serve: Serve) -> None:
    """With `--on-no-forecast pass`; what is below its minimum, or empty, stays below."""
    assert call("check", "--scope", "key", *FLAGS, "--on-no-forecast", "pass", env=env).code == 0
    assert call("check", "--scope", "key", *FLAGS, "--on-no-forecast", "pass", "--min", "11", env=env).code == 3
    empty = {**env, **connected(serve(key=serve().scenario.key._replace(remain=0)))}
    assert call("check", "--scope", "key", *FLAGS, "--on-no-forecast", "pass", env=empty).code == 3


@pytest.mark.parametrize(("account", "scope", "code"), [
    ("0.25", "spendable", 0), ("99", "spendable", 3), (None, "spendable", 8), (None, "both", 8),
])  # fmt: skip
def test_what_can_be_spent_must_last_on_both_sides(
    call: Call, serve: Serve, ledger: Path, env: dict[str, str], account: str | None, scope: str, code: int
) -> None:
    """A key that lasts is no use when its account does not, and the account's history counts as its own."""
    gateway = serve(key=Funds(Decimal("10.5"), Decimal(200)), account=Funds(Decimal(100), Decimal(800)))
    host = host_of(gateway)
    write_past(ledger, host, days=8, spent_per_day="0.25", used="200")
    if account is not None:
        write_past(ledger, host, days=8, spent_per_day=account, scope=Scope.ACCOUNT, remain="100", used="800")
    assert call("check", *FLAGS, "--scope", scope, env={**env, **connected(gateway)}).code == code


def test_the_runway_of_the_config_file_is_held_to(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, write_config: Write
) -> None:
    """`min_runway` of a profile; the option comes before it."""
    write_past(ledger, host_of(sandbox), days=8, spent_per_day="0.25")
    write_config("min_runway = '7w'\n")
    assert call("check", "--scope", "key", env=env).code == 3
    assert call("check", "--scope", "key", "--min-runway", "2d", env=env).code == 0
    write_config("min_runway = 'soon'\n")
    ended = call("check", "--scope", "key", env=env)
    assert (ended.code, "min_runway of" in ended.stderr) == (2, True)


@pytest.mark.parametrize("text", ["3", "-1d"])
def test_a_runway_that_is_no_duration_is_an_error(call: Call, env: dict[str, str], text: str) -> None:
    """Exit 2, before anything is asked."""
    ended = call("check", "--scope", "key", f"--min-runway={text}", env=env)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("apimart: error: --min-runway: ")
    assert "\nhint: " in ended.stderr


@pytest.mark.parametrize(
    ("damage", "code"), [(b"\0\0\x03\xe7", 8), (bytes(range(256)) * 64, 0)], ids=["newer", "random"]
)
def test_a_ledger_that_cannot_be_read_changes_no_answer(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, damage: bytes, code: int
) -> None:
    """`balance` and `check --min` are as without; `--min-runway` cannot be told, and says why."""
    write_past(ledger, host_of(sandbox), days=8, spent_per_day="0.25")
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:60] + damage + whole[64:] if len(damage) == 4 else whole[:100] + damage)
    shown = call("balance", "--json", env=env)
    assert (shown.code, shown.stderr, json.loads(shown.stdout)["forecast"]) == (0, "", None)
    check = ("check", "--scope", "key", "--min", "5")
    assert call(*check, env=env) == (0, "PASS default/key: 10.5 left, at least 5 required\n", "")
    ended = call(*check, *FLAGS, env=env)
    assert (ended.code, "how long the balance lasts" in ended.stderr) == (8, True)
    # What nobody could read is no "too little": it may say that the balance does not last. A damaged one was set aside.
    assert call(*check, *FLAGS, "--on-no-forecast", "pass", env=env).code == code


@pytest.mark.usefixtures("usual_patience")
def test_a_ledger_that_is_locked_is_no_pass(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--on-no-forecast pass` neither, and it costs a moment; `--min` alone is decided as ever."""
    write_past(ledger, host_of(sandbox), days=8, spent_per_day="0.25")
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        watch = Stopwatch()
        ended = call("check", "--scope", "key", "--min-runway", "60d", "--on-no-forecast", "pass", env=env)
        watch.took().assert_within(3)
        assert call("check", "--scope", "key", "--min", "5", env=env).code == 0
    assert ended.code == 8
    assert ended.stdout == (
        "NO_FORECAST default/key: 10.5 left; the history cannot be read, at least 60 days required\n"
    )
    assert "locked" in ended.stderr


@pytest.mark.parametrize(
    ("env_more", "hint"),
    [({"CI": "true"}, "in CI, set APIMART_RECORD=1"), ({}, "it takes readings over three days")],
)
def test_the_hint_says_what_is_missing(
    call: Call, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, env_more: dict[str, str], hint: str
) -> None:
    """In CI, how to record there; elsewhere, that time will tell."""
    monkeypatch.delenv("APIMART_RECORD")
    assert f"hint: {hint}" in call("check", "--scope", "key", *FLAGS, env={**env, **env_more}).stderr
