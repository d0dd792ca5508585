"""A ledger that somebody else made, as from a CI cache: it decides nothing, commands nothing, and stays as it is."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from apimart_cli.ledger.runs import begin
from apimart_cli.ledger.schema import Series
from apimart_cli.ledger.store import remember
from apimart_cli.records import Run as GuardedRun
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.ledger import NOW, entry
from support.running import KEY_ID, Run, connected

SHOWING = [
    ("history",), ("history", "--json"), ("history", "export"), ("history", "export", "--format", "csv"),
    ("history", "runs"), ("statusline",),
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A ledger with one reading and one run."""
    path = tmp_path / "cache" / "history.db"
    host = sandbox.url.removeprefix("http://")
    remember(path, [entry(series=Series(KEY_ID, host, Scope.KEY), profile="default")], NOW, seconds=20)
    begin(path, GuardedRun(KEY_ID, host, "default", "label", "USD", NOW), NOW)
    return path


def change(path: Path, statement: str) -> bytes:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM samples; END", "trigger t"),
        ("CREATE VIEW v AS SELECT * FROM samples", "view v"),
        (
            "CREATE TRIGGER t AFTER INSERT ON state BEGIN INSERT INTO state VALUES (hex(zeroblob(9)), 1); END",
            "trigger t",
        ),
    ],
)
def test_a_ledger_with_code_in_it_changes_no_answer(
    run: Run, sandbox: Sandbox, ledger: Path, statement: str, named: str
) -> None:
    """Checks go on without it, one warning where recording was asked for; a command about it says what is wrong."""
    before = change(ledger, statement)
    env = {**connected(sandbox), "APIMART_HISTORY": str(ledger)}
    for least, code in (("5", 0), ("5000", 3)):
        quiet = run("check", "--min", least, "-q", env={**env, "CI": "1"})
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (code, "", "")
        asked = run("check", "--min", least, "-q", env={**env, "APIMART_RECORD": "1"})
        assert (asked.returncode, asked.stdout, asked.stderr.count("warning")) == (code, "", 1)
        assert f"apimart did not make the {named} in it, and the file was left as it is" in asked.stderr
    told = run("history", env=env)
    assert (told.returncode, told.stdout) == (2, "")
    assert f"apimart did not make the {named} in it" in told.stderr
    assert ledger.read_bytes() == before


def values() -> Iterator[tuple[str, str]]:
    """Places of the ledger that commands show, and what may stand in them."""
    shown = (
        "labels.profile", "labels.unit", "labels.source", "series.host", "series.key_id", "runs.label", "runs.profile",
        "runs.unit", "runs.host",
    )  # fmt: skip
    for place in shown:
        for value in ("char(27) || '[31m' || char(10) || '::error::x'", "x'1b5b33316d'", "5", "printf('%.9000c', 'x')"):
            yield place, value
    for place in ("samples.remain", "samples.used", "runs.spent", "samples.at", "runs.began", "runs.exit_code"):
        for value in ("x'00'", "'1e999999999'", "'NaN'", "9e999", "'x'"):
            yield place, value


def test_no_value_of_a_ledger_commands_the_terminal_or_is_a_bug(run: Run, sandbox: Sandbox, ledger: Path) -> None:
    """Whatever stands in it is shown as text, or is an error that says that apimart did not write it."""
    clean = ledger.read_bytes()
    env = {**connected(sandbox), "APIMART_HISTORY": str(ledger), "APIMART_RECORD": "0"}
    for number, (place, value) in enumerate(values()):
        table, _, column = place.partition(".")
        ledger.write_bytes(clean)
        change(ledger, f"UPDATE {table} SET {column} = {value}")
        # Each of them in turn: all with all takes a minute.
        for arguments in (SHOWING[number % len(SHOWING)], SHOWING[(number + 3) % len(SHOWING)]):
            ended = run(*arguments, env=env)
            assert ended.returncode in {0, 2, 6}, (place, value, arguments, ended)
            assert "a bug in apimart" not in ended.stdout + ended.stderr, (place, value, arguments, ended)
            assert "\x1b" not in ended.stdout + ended.stderr, (place, value, arguments)
            assert not [line for line in ended.stdout.splitlines() if line.startswith("::error")], (place, arguments)


@pytest.mark.parametrize("place", ["labels.profile", "labels.unit", "labels.source", "runs.label", "runs.unit"])
def test_no_value_of_a_ledger_commands_a_ci_runner(run: Run, sandbox: Sandbox, ledger: Path, place: str) -> None:
    """Azure Pipelines and GitHub obey some commands anywhere in a line, JSON included; a terminal, escapes."""
    command = "\x1b[31mx ##vso[task.setvariable variable=a]b ##[error]c ::error::d"
    table, _, column = place.partition(".")
    change(ledger, f"UPDATE {table} SET {column} = '{command}'")
    change(ledger, "UPDATE runs SET spent = '1.5'")
    env = {**connected(sandbox), "APIMART_HISTORY": str(ledger), "APIMART_RECORD": "0"}
    lines = [
        *SHOWING, ("history", "runs", "--json"), ("statusline", "--preset", "json"),
        ("statusline", "--preset", "waybar"),
    ]  # fmt: skip
    said: list[object] = []
    for arguments in lines:
        told = run(*arguments, env=env).stdout
        assert not re.search(r"##\w*\[|(?<!\S)::|\x1b", told), (arguments, told)
        if told.startswith("{"):
            said += [value for line in told.splitlines() for value in json.loads(line).values()]
    assert command in said
