"""`apimart statusline`: one line at once, from the ledger alone, and a refresh in the background when it is due."""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from apimart_cli.keys.key import ApiKey
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.refreshes import Refreshing, look, name_of, settle
from apimart_cli.ledger.schema import MIGRATIONS, Series
from apimart_cli.ledger.store import remember
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.ledger import entry
from support.running import KEY, KEY_ID, Call, Called, Write, connected
from support.scripted import gateway, refusal

HOST = "api.apimart.ai"
DASH = "\N{EN DASH}"
Started = list[Sequence[str]]
Line = Callable[..., Called]


@pytest.fixture
def ledger(home: Path) -> Path:
    """Where the ledger is by default, or will be."""
    return home / ".local" / "state" / "apimart" / "history.db"


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The refreshes that were started, none of which runs: they have tests of their own. Readings are recorded."""
    found: Started = []
    monkeypatch.delenv("APIMART_RECORD")
    monkeypatch.setattr("apimart_cli.processes.hook.start_detached", lambda words, **_: found.append(words))
    return found


@pytest.fixture
def line(call: Call) -> Line:
    """Run `apimart statusline`, with a key at hand; it prints one line and nothing else, and ends with 0."""

    def run(*arguments: str, env: Any = None) -> str:
        ended = call("statusline", *arguments, env={"APIMART_API_KEY": KEY, **(env or {})})
        assert (ended.code, ended.stderr, ended.stdout.count("\n")) == (0, "", 1), ended
        return ended.stdout[:-1]

    return run


def write(path: Path, *, ago: float = 5, profile: str = "default", scope: Scope = Scope.KEY, **fields: Any) -> None:
    """Record a reading of so many seconds ago."""
    now = datetime.now(UTC)
    series = Series(fields.pop("key_id", KEY_ID), fields.pop("host", HOST), scope)
    remember(path, [entry(series=series, at=now - timedelta(seconds=ago), profile=profile, **fields)], now, seconds=10)


def state_of(path: Path, host: str = HOST, scope: str = "key", key_id: str | None = KEY_ID) -> Refreshing:
    with opened(path, create=False, seconds=None) as connection:
        return look(connection, name_of("default", host, scope, key_id))


def confirm(path: Path, *, ago: float, key_id: str = KEY_ID) -> None:
    """Note that the gateway has confirmed what is there, so many seconds ago."""
    with opened(path, seconds=None) as connection:
        settle(connection, name_of("default", HOST, "key", key_id), datetime.now(UTC).timestamp() - ago)


def test_nothing_is_known_at_first(line: Line, ledger: Path, started: Started) -> None:
    """A dash, and a refresh is started: one, however often the line is asked for."""
    assert [line() for _ in range(3)] == [DASH] * 3
    assert started == [["statusline", "--refresh"]]
    assert state_of(ledger).failures == 1


def test_what_was_read_by_any_command_is_shown(line: Line, ledger: Path, started: Started) -> None:
    """At once, and nobody is asked while it is fresh."""
    write(ledger)
    assert line() == "10.5 USD"
    assert line("--format", "{profile} {scope} {used} at {host}") == f"default key 2.3 at {HOST}"
    assert started == []


def test_a_forecast_is_part_of_the_line(line: Line, ledger: Path) -> None:
    """Once there is one."""
    for days in range(8, 0, -1):
        write(ledger, ago=days * 86_400, remain=f"{9.5 + days}", used=f"{3.3 - days * 0.1:.1f}")
    write(ledger, used="3.3")
    assert line() == "10.5 USD >3 mo"
    assert json.loads(line("--preset", "json"))["forecast"]["state"] == "ok"


@pytest.mark.parametrize(
    ("options", "ago", "shown", "is_due"),
    [
        ((), 50, "10.5 USD", False),
        ((), 70, "10.5 USD", True),
        ((), 170, "10.5 USD", True),
        ((), 185, "10.5 USD (3m)", True),
        (("--max-age", "2h"), 7000, "10.5 USD", False),
        (("--max-age", "1s"), 7000, "10.5 USD (1h)", True),
    ],
)
def test_what_is_old_is_refreshed_and_what_is_older_says_so(
    line: Line, ledger: Path, started: Started, options: tuple[str, ...], ago: float, shown: str, is_due: bool
) -> None:
    """After --max-age, and three times that."""
    write(ledger, ago=ago)
    assert line(*options) == shown
    assert len(started) == is_due


def test_a_reading_that_changed_nothing_makes_the_line_fresh(line: Line, ledger: Path, started: Started) -> None:
    """It was not written again, but the gateway has confirmed what is there."""
    write(ledger, ago=500)
    confirm(ledger, ago=10)
    assert line() == "10.5 USD"
    assert re.fullmatch("1[0-9]s", line("--format", "{age}"))
    assert started == []


def test_a_clock_that_was_ahead_hides_nothing(line: Line, ledger: Path, started: Started) -> None:
    """What is dated in the future is neither shown nor believed."""
    write(ledger, ago=-3600, remain="999")
    write(ledger, ago=70)
    confirm(ledger, ago=-3600)
    assert line() == "10.5 USD"
    assert len(started) == 1


RICH, POOR = "sk-rich-Lm4Np8Qr2St6Uv", "sk-poor-Ab3Cd7Ef1Gh5Jk"
RICH_ID, POOR_ID = (ApiKey(key, source="a test").key_id for key in (RICH, POOR))


def test_a_balance_is_found_by_the_key_that_would_be_asked(line: Line, ledger: Path, started: Started) -> None:
    """Two projects may have a key each in APIMART_API_KEY and no profile: neither sees the other's balance."""
    write(ledger, remain="100", key_id=RICH_ID)
    assert line(env={"APIMART_API_KEY": POOR}) == DASH
    write(ledger, remain="0.5", key_id=POOR_ID, ago=20)
    assert line(env={"APIMART_API_KEY": POOR}) == "0.5 USD"
    assert line(env={"APIMART_API_KEY": RICH}) == "100 USD"
    assert len(started) == 1


def test_a_key_is_found_whatever_its_profile_was_called(line: Line, ledger: Path, write_config: Write) -> None:
    """It was read with an option, or under another name; another host has other balances."""
    write_config(f'[profiles.a]\napi_key = "{POOR}"\n[profiles.b]\nunit = "CNY"\n')
    write(ledger, profile="somewhere", remain="1", key_id=POOR_ID)
    write(ledger, profile="a", remain="9", key_id=RICH_ID)
    write(ledger, profile="b", remain="2")
    write(ledger, profile="a", remain="4", host="other.example:8443", key_id=POOR_ID)
    assert line("-p", "a") == "1 USD"
    assert line("-p", "b") == "2 CNY"
    assert line("-p", "a", "--base-url", "https://other.example:8443/v1") == "4 USD"
    assert line("-p", "a", "--base-url", "https://elsewhere.example") == DASH


def test_two_keys_share_no_claim_and_no_back_off(line: Line, ledger: Path, started: Started) -> None:
    """The gateway that refuses one key is asked with the other; one that was confirmed makes no other one fresh."""
    assert [line(env={"APIMART_API_KEY": key}) for key in (RICH, POOR, RICH, POOR)] == [DASH] * 4
    assert len(started) == 2
    write(ledger, remain="0.5", key_id=POOR_ID, ago=500)
    confirm(ledger, ago=0, key_id=RICH_ID)
    assert line(env={"APIMART_API_KEY": POOR}) == "0.5 USD (8m)"


@pytest.mark.parametrize("text", ["", "[profiles.default]\napi_key_env = 'NO_SUCH_VARIABLE'\n"])
def test_without_a_key_a_balance_is_shown_where_it_can_only_be_that_of_one(
    call: Call, ledger: Path, write_config: Write, text: str
) -> None:
    """A bar often lacks the variable of the shell; with two keys under one name, it would show one of them."""
    write_config(text)
    write(ledger, remain="100", key_id=RICH_ID)
    assert call("statusline").stdout == "100 USD\n"
    write(ledger, remain="0.5", key_id=POOR_ID)
    assert call("statusline").stdout == f"{DASH}\n"


def test_a_scope_has_a_line_of_its_own(line: Line, ledger: Path, write_config: Write) -> None:
    """Both shows the key, and spendable the smaller one of the two, with what the key has used."""
    write(ledger)
    assert line("--scope", "spendable") == DASH
    write(ledger, scope=Scope.ACCOUNT, remain="3.20", used="99", ago=40)
    assert line("--scope", "account") == "3.20 USD"
    assert line("--scope", "both") == line("--scope", "key") == "10.5 USD"
    assert line("--scope", "spendable", "--format", "{remain} {used} {scope} {age}")[:17] == "3.20 2.3 spendable"[:17]
    write_config('scope = "account"\n')
    assert line() == "3.20 USD"


def test_an_unlimited_part_limits_nothing(line: Line, ledger: Path) -> None:
    """And two of them give no limit."""
    write(ledger, remain=None)
    write(ledger, scope=Scope.ACCOUNT, remain="3")
    assert line("--scope", "spendable") == "3 USD"
    write(ledger, scope=Scope.ACCOUNT, remain=None, ago=1)
    assert line("--scope", "spendable") == "unlimited USD"


def test_low_is_what_is_below_the_profiles_own_minimum(line: Line, ledger: Path, write_config: Write) -> None:
    """Waybar is told so."""
    write(ledger)
    write_config("min = 11\n")
    assert json.loads(line("--preset", "waybar"))["class"] == "low"


@pytest.mark.parametrize("source", ['api_key_command = ["touch", "@TOUCHED@"]', "api_key_keyring = true"])
def test_a_key_that_may_ask_for_a_password_is_not_read(
    call: Call, started: Started, write_config: Write, tmp_path: Path, source: str
) -> None:
    """Neither by the line nor by a refresh, until the profile allows it; then a refresh is started."""
    touched = tmp_path / "touched"
    source = source.replace("@TOUCHED@", str(touched))
    for allowed in ("", "background_keys = false\n"):
        write_config(f"[profiles.a]\n{source}\n{allowed}")
        assert call("statusline").stdout == f"{DASH}\n"
        assert call("statusline", "--refresh").stdout == ""
        assert (started, touched.exists()) == ([], False)
    write_config(f"[profiles.a]\n{source}\nbackground_keys = true\n")
    assert call("statusline").stdout == f"{DASH}\n"
    assert (len(started), touched.exists()) == (1, False)
    if "command" in source:
        call("statusline", "--refresh")
        assert touched.exists()


def test_without_a_key_nothing_is_started(call: Call, started: Started) -> None:
    """There is nothing to ask with."""
    assert call("statusline") == (0, f"{DASH}\n", "")
    assert started == []


def test_a_refresh_is_told_what_was_typed_and_no_key(line: Line, started: Started, write_config: Write) -> None:
    """It finds the key where the line would have."""
    write_config(f'[profiles."-x y"]\napi_key = "{KEY}"\n')
    line("-p", "-x y", "--scope", "spendable", "--base-url", "https://other.example")
    [words] = started
    assert words == [
        "statusline", "--refresh", "--profile=-x y", "--scope=spendable", "--base-url=https://other.example",
    ]  # fmt: skip


@pytest.mark.parametrize("env", [{"APIMART_RECORD": "0"}, {"CI": "true"}, {"APIMART_HISTORY": "/dev/null"}])
def test_where_nothing_is_recorded_nothing_is_asked(line: Line, started: Started, env: dict[str, str]) -> None:
    """The answer would be lost, and every prompt would ask again."""
    assert line(env=env) == DASH
    assert started == []


def test_a_refresh_records_and_says_nothing(call: Call, line: Line, sandbox: Sandbox, ledger: Path) -> None:
    """And the next line shows it."""
    env = connected(sandbox)
    assert line(env=env) == DASH
    assert call("statusline", "--refresh", env=env) == (0, "", "")
    assert line(env=env) == "10.5"
    with closing(sqlite3.connect(ledger)) as database:
        assert database.execute("SELECT source FROM labels").fetchall() == [("statusline",)]
    state = state_of(ledger, sandbox.url.removeprefix("http://"))
    assert (state.failures, state.wait) == (0, 0)


def test_a_refresh_of_what_can_be_spent_reads_both(call: Call, line: Line, sandbox: Sandbox) -> None:
    """Under one claim."""
    env = connected(sandbox)
    assert line("--scope", "spendable", env=env) == DASH
    call("statusline", "--refresh", "--scope", "spendable", env=env)
    assert [line("--scope", scope, env=env) for scope in ("spendable", "account")] == ["10.5", "100.0"]


def test_a_refresh_that_changes_nothing_confirms_what_is_there(
    call: Call, line: Line, sandbox: Sandbox, ledger: Path
) -> None:
    """The reading is not written again."""
    host = sandbox.url.removeprefix("http://")
    write(ledger, ago=400, host=host, unit=None)
    line(env=connected(sandbox))
    call("statusline", "--refresh", env=connected(sandbox))
    assert re.fullmatch(r"10\.5 \ds", line("--format", "{remain} {age}", env=connected(sandbox)))
    with opened(ledger, create=False, seconds=None) as connection:
        assert connection.execute("SELECT count(*) FROM samples").fetchone() == (1,)


def test_either_part_of_what_can_be_spent_may_ask_to_wait(call: Call, ledger: Path) -> None:
    """The longer time counts."""
    replies = {"/v1/balance": refusal(503, Retry_After="100"), "/v1/user/balance": refusal(503, Retry_After="700")}
    with gateway(lambda path, _key: replies[path]) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "APIMART_TIMEOUT": "1"}
        call("statusline", "--scope", "spendable", env=env)
        call("statusline", "--refresh", "--scope", "spendable", env=env)
        assert state_of(ledger, server.url.removeprefix("http://"), "spendable").wait == 700


def test_a_key_that_is_rejected_is_a_failure(call: Call, ledger: Path) -> None:
    """It is not sent again every minute."""
    with gateway(lambda _path, _key: refusal(401)) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        for _ in range(2):
            call("statusline", "--refresh", env=env)
        assert state_of(ledger, server.url.removeprefix("http://")).reason == "auth"
        assert len(server.asked) == 2


def test_a_refresh_is_patient_with_a_busy_disk(
    call: Call, ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not written in the time that an answer has is written a little later."""
    monkeypatch.setattr("apimart_cli.readings.take.record", lambda *_: None)
    call("statusline", "--refresh", env=connected(sandbox))
    assert state_of(ledger, sandbox.url.removeprefix("http://")).confirmed_at


def test_an_answer_that_was_not_recorded_confirms_nothing(
    call: Call, ledger: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown would be older than the line says."""
    for place in ("readings.take", "readings.forecasts"):
        monkeypatch.setattr(f"apimart_cli.{place}.record", lambda *_, **__: None)
    call("statusline", "--refresh", env=connected(sandbox))
    assert state_of(ledger, sandbox.url.removeprefix("http://")).reason == "not recorded"


@pytest.mark.parametrize("text", ["[", 'min = "x"\n', 'default_profile = "gone"\n', "\0"])
def test_a_broken_config_file_breaks_no_bar(line: Line, write_config: Write, started: Started, text: str) -> None:
    """A dash: with what key, and whom to ask, is not known."""
    write_config(text)
    assert line() == DASH
    assert started == []


@pytest.mark.parametrize("env", [
    {"APIMART_BASE_URL": "ftp://x"}, {"APIMART_PROFILE": "gone"}, {"APIMART_RECORD": "maybe"}, {"APIMART_HISTORY": ""},
    {"APIMART_CONFIG": "/nonexistent"}, {"HOME": "/dev/null/home"},
])  # fmt: skip
def test_a_broken_environment_breaks_no_bar(line: Line, env: dict[str, str]) -> None:
    """Whatever a variable says, or which profile is not there."""
    assert line(env=env) == DASH
    assert line("-p", "gone", "--format", "{profile} {remain}", env=env) == f"gone {DASH}"


NEWER = f"PRAGMA user_version = {len(MIGRATIONS) + 1}"
WITHOUT_TABLES = "DROP TABLE samples; DROP TABLE state"


def after(statements: str) -> Callable[[Path], object]:
    """Return what makes a ledger and runs these statements in it."""

    def spoil(path: Path) -> None:
        write(path)
        with closing(sqlite3.connect(path)) as database:
            database.executescript(statements)

    return spoil


@pytest.mark.parametrize("spoil", [
    after(NEWER), after(WITHOUT_TABLES), Path.mkdir, os.mkfifo,
    lambda path: path.write_bytes(b"SQLite format 3\0" + os.urandom(5000)), lambda path: path.symlink_to(path),
])  # fmt: skip
def test_a_broken_ledger_breaks_no_bar(line: Line, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    """A dash, whatever there is in its place."""
    path = tmp_path / "spoilt.db"
    spoil(path)
    assert line(env={"APIMART_HISTORY": str(path)}) == DASH


@pytest.mark.usefixtures("usual_patience")
def test_a_ledger_that_is_in_use_breaks_no_bar(line: Line, ledger: Path, started: Started) -> None:
    """What cannot be read at once is not known; what cannot be claimed is not started."""
    write(ledger)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert line() == DASH
    assert started == []
    assert line() == "10.5 USD"


def test_a_process_that_cannot_be_started_breaks_no_bar(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may be out of processes."""
    refused = Mock(side_effect=BlockingIOError(11, "Resource temporarily unavailable"))
    monkeypatch.setattr("apimart_cli.processes.hook.start_detached", refused)
    assert line() == DASH
    assert refused.called


@pytest.mark.parametrize(("arguments", "message"), [
    (["--max-age", "3"], "--max-age: '3' has no unit"),
    (["--format", "{left}"], "--format: there is no field {left}"),
    (["--base-url", "http://example.com"], "--base-url: the base URL would send the key unencrypted to example.com"),
    (["--preset", "i3"], "Invalid value for '--preset'"), (["--api-key", "x"], "No such option: --api-key"),
])  # fmt: skip
def test_a_wrong_option_is_a_usage_error(call: Call, arguments: list[str], message: str) -> None:
    """The one thing that is told, as its author is at the keyboard."""
    ended = call("statusline", *arguments)
    assert (ended.code, ended.stdout) == (2, "")
    assert f"apimart: error: {message}" in ended.stderr


def test_no_help_speaks_of_the_refresh(call: Call) -> None:
    """It is not for people."""
    shown = call("statusline", "--help").stdout
    assert "--refresh" not in shown
    assert "apimart statusline --preset tmux --scope spendable" in shown
