"""What a command leaves in the ledger: the balances that it showed, after the answer, and never a key."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import apimart_cli
from apimart_cli.ledger.schema import Series
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.past import recorded
from support.running import KEY, KEY_ID, Call, Serve, Write, connected
from support.scripted import Gateway, balance, gateway


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "h.db"


@pytest.fixture
def env(sandbox: Sandbox, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The sandbox and a ledger, and nobody who said whether to record."""
    monkeypatch.delenv("APIMART_RECORD")
    return {**connected(sandbox), "APIMART_HISTORY": str(ledger)}


def host_of(sandbox: Sandbox) -> str:
    return sandbox.url.removeprefix("http://")


@pytest.mark.parametrize("command", ["balance --json", "check --min 500 -q --scope key"])
def test_each_reading_is_recorded(
    call: Call, sandbox: Sandbox, env: dict[str, str], ledger: Path, command: str
) -> None:
    """Exact amounts, the time in UTC, who asked, and the key by its id."""
    call(*command.split(), env=env)
    [entry] = recorded(ledger)
    assert entry.series == Series(KEY_ID, host_of(sandbox), Scope.KEY)
    assert (entry.profile, entry.unit, entry.source) == ("default", None, command.split(maxsplit=1)[0])
    assert (entry.remain, entry.used) == (Decimal("10.5"), Decimal("2.3"))
    assert datetime.now(UTC) - entry.at < timedelta(seconds=30)
    assert ledger.stat().st_mode & 0o777 == 0o600
    assert KEY[3:].encode() not in ledger.read_bytes()


@pytest.mark.parametrize("command", ["balance --scope spendable", "check --min 5", "nagios -c 5:"])
def test_what_can_be_spent_is_recorded_as_the_two_that_it_is_made_of(
    call: Call, env: dict[str, str], ledger: Path, command: str
) -> None:
    """A forecast needs each by itself."""
    call(*command.split(), env=env)
    assert [(entry.series.scope, entry.remain) for entry in recorded(ledger)] == [
        (Scope.KEY, Decimal("10.5")),
        (Scope.ACCOUNT, Decimal("100.0")),
    ]


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.SERVER_ERROR, Fault.HTML])
def test_a_failure_is_not_recorded(call: Call, serve: Serve, env: dict[str, str], ledger: Path, fault: Fault) -> None:
    """No balance, nothing to write; no file is made for it."""
    ended = call("balance", "--timeout", "0.3", env={**env, **connected(serve(fault=fault))})
    assert ended.code != 0
    assert not ledger.exists()


@pytest.mark.parametrize(
    ("more", "text", "is_recorded"),
    [({"CI": "true"}, "", False), ({"CI": "true"}, "record = true\n", True), ({"APIMART_RECORD": "1"}, "", True)],
)
def test_recording_is_on_but_in_ci(
    call: Call, env: dict[str, str], ledger: Path, write_config: Write, more: Any, text: str, is_recorded: bool
) -> None:
    """The variable decides, then the config file, then whether this is CI."""
    write_config(text)
    assert call("balance", env={**env, **more}).code == 0
    assert ledger.exists() is is_recorded


def test_one_profile_can_be_left_out(call: Call, env: dict[str, str], ledger: Path, write_config: Write) -> None:
    """`record = false` in its table."""
    write_config(f"[profiles.a]\napi_key = '{KEY}'\n[profiles.b]\napi_key = '{KEY}b'\nrecord = false\n")
    call("balance", "--all-profiles", env=env)
    assert [entry.profile for entry in recorded(ledger)] == ["a"]


def test_a_login_is_recorded(call: Call, env: dict[str, str], ledger: Path, tmp_path: Path) -> None:
    """Its reading is one like any other."""
    given = {name: value for name, value in env.items() if name != "APIMART_API_KEY"}
    ended = call("login", "-p", "new", input=KEY, env={**given, "APIMART_CONFIG": str(tmp_path / "new.toml")})
    assert ended.code == 0
    assert [(entry.profile, entry.source) for entry in recorded(ledger)] == [("new", "login")]


def test_asking_from_python_records_nothing(
    sandbox: Sandbox, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library leaves no files behind."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    apimart_cli.fetch_balance(KEY, base_url=sandbox.url)
    assert not Path(env["APIMART_HISTORY"]).exists()


def test_a_name_that_looks_like_a_key_is_not_written(
    call: Call, env: dict[str, str], ledger: Path, write_config: Write
) -> None:
    """Somebody put the key in the wrong place."""
    name = "sk-Rt5Yx8Zc1Vb4Nm7Qw0Er3"
    write_config(f"[profiles.{name}]\napi_key = '{KEY}'\n")
    assert call("balance", "-p", name, env=env).code == 0
    assert name.encode() not in ledger.read_bytes()


@pytest.fixture
def changing() -> Iterator[Gateway]:
    """A gateway that says the same, and is no sandbox."""
    with gateway(lambda _path, _key: balance("7", "3")) as server:
        yield server


def damaged(path: Path, damage: str) -> Path:
    """Return the path of a ledger that cannot be written."""
    match damage:
        case "folder":
            path.mkdir()

        case "newer":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(f"PRAGMA application_id = {0x41504D54}")
                connection.execute("PRAGMA user_version = 999")
                connection.execute("CREATE TABLE future (x)")
        case "random":
            path.write_bytes(os.urandom(5000))
        case "fifo":
            os.mkfifo(path)
        case "read-only folder":
            return Path("/proc/history.db")

        case "long name":
            return path / ("x" * 300)
    return path


@pytest.mark.parametrize(
    ("damage", "command", "code"),
    [
        ("folder", "balance", 0),
        ("newer", "check --min 5", 0),
        ("random", "check --min 50", 3),
        ("fifo", "balance", 0),
        ("random", "check --min 5", 0),
        ("read-only folder", "check --min 5", 0),
        ("long name", "check --min 50", 3),
    ],
)
def test_a_ledger_that_cannot_be_written_changes_nothing(
    call: Call, env: dict[str, str], ledger: Path, damage: str, command: str, code: int
) -> None:
    """The same answer, the same code, silently; one warning where recording was asked for. What was there stays."""
    without = call(*command.split(), env={**env, "APIMART_RECORD": "0", "APIMART_HISTORY": str(ledger)})
    env["APIMART_HISTORY"] = str(damaged(ledger, damage))
    before = ledger.read_bytes() if ledger.is_file() else None
    by_itself = call(*command.split(), env=env)
    assert by_itself == without
    assert by_itself.code == code
    asked_for = call(*command.split(), env={**env, "APIMART_RECORD": "1"})
    assert (asked_for.code, asked_for.stdout) == (without.code, without.stdout)
    warning, hint = asked_for.stderr.removeprefix(without.stderr).splitlines()
    assert warning.startswith("apimart: warning: nothing was recorded, which APIMART_RECORD asks for: ")
    assert hint.startswith("hint: name another place in APIMART_HISTORY")
    assert before is None or ledger.read_bytes() == before


def test_without_a_home_folder_nothing_is_recorded(
    call: Call, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers run as a user id that nobody has: no ledger, and a warning only where it was asked for."""
    monkeypatch.setattr("platformdirs.user_state_path", Mock(side_effect=RuntimeError("no home directory")))
    given = {name: value for name, value in env.items() if name != "APIMART_HISTORY"}
    assert call("check", "--min", "5", env=given)[::2] == (0, "")
    asked_for = call("check", "--min", "5", env={**given, "APIMART_RECORD": "1"})
    assert (asked_for.code, "there is no home folder for the ledger" in asked_for.stderr) == (0, True)


def test_a_bug_in_the_ledger_is_no_exit_code(call: Call, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong there, the verdict stands."""
    monkeypatch.setattr("apimart_cli.ledger.store.record", lambda *_: 1 / 0)
    assert call("check", "--min", "5", env=env).code == 0
    monkeypatch.setattr("apimart_cli.ledger.queries.all_series", lambda *_: 1 / 0)
    shown = call("balance", "--json", env=env)
    assert (shown.code, json.loads(shown.stdout)["forecast"]) == (0, None)


def test_the_first_recording_is_told_to_a_person_once(
    call: Call, changing: Gateway, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file is, and how to turn it off; the second time, nothing."""
    monkeypatch.delenv("APIMART_RECORD")
    env = {"APIMART_BASE_URL": changing.url, "APIMART_API_KEY": KEY}
    path = home / ".local" / "state" / "apimart" / "history.db"
    first = call("balance", env=env, columns=200).stdout
    assert f"apimart: note: readings are recorded in {path}, to tell how long the balance lasts" in first
    assert "hint: turn that off with: apimart config set record false" in first
    assert "recorded" not in call("balance", env=env, columns=200).stdout
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize(("more", "command"), [
    ({"APIMART_RECORD": "1"}, "balance"), ({"APIMART_SANDBOX": "1"}, "balance"), ({"CI": "1"}, "balance"),
    ({}, "check --min 1 -q"),
])  # fmt: skip
def test_nothing_is_told_to_who_knows_it_or_does_not_care(
    call: Call, changing: Gateway, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], command: str
) -> None:
    """Recording was asked for, or it is the sandbox's, or nothing is recorded, or quiet was asked for."""
    monkeypatch.delenv("APIMART_RECORD")
    env = {"APIMART_BASE_URL": changing.url, "APIMART_API_KEY": KEY, **more}
    assert "recorded" not in call(*command.split(), env=env, columns=200).stdout
