"""A ledger that somebody else made, as from a CI cache: it decides nothing, commands nothing, and stays as it is."""

import json
import re
import sqlite3
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
from support.running import KEY_ID, Call, Run, connected

SHOWING = [
    ("history",), ("history", "--json"), ("history", "export"), ("history", "export", "--format", "csv"),
    ("history", "runs"), ("statusline",),
]  # fmt: skip


@pytest.fixture
def run(call: Call) -> Call:
    """Run in this process: what these tests show does not need one of its own."""
    return call


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


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("series", ["host"]),
        ("labels", ["profile", "unit", "source"]),
        ("runs", ["host", "profile", "label", "unit"]),
    ],
)
def test_no_value_of_a_ledger_commands_a_ci_runner(
    run: Run, sandbox: Sandbox, ledger: Path, table: str, columns: list[str]
) -> None:
    """Azure Pipelines and GitHub obey some commands anywhere in a line, JSON included; a terminal, escapes."""
    command = "\x1b[31mx ##vso[task.setvariable variable=a]b ##[error]c ::error::d"
    change(ledger, f"UPDATE {table} SET " + ", ".join(f"{column} = '{command}'" for column in columns))
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
    assert said.count(command) >= len(columns)
