"""A small ledger that seems to hold a billion rows, or a terabyte: no command fills the memory, and each one ends."""

import resource
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apimart_cli.ledger.alarms import AlertCheck, claim
from apimart_cli.ledger.runs import begin
from apimart_cli.ledger.schema import Series
from apimart_cli.ledger.store import remember
from apimart_cli.records import Run as GuardedRun
from apimart_cli.rules.alerts import AlarmQuestion, Standing
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.forked import Forks
from support.ledger import entry
from support.running import KEY_ID, connected
from support.tangled import make_sparse, tangle, with_large_pages

MEMORY = 600 * 2**20
"""Bytes of address space: a command needs 300 MB with its threads and libraries, a list of all rows far more."""

SECONDS = 40
"""Most seconds for each command, on a busy machine too. Without an end, they take days."""

COMMANDS = [
    ("check", "--min", "5", "--scope", "key", "--min-runway", "1d"), ("balance",), ("statusline",), ("history",),
    ("history", "runs"), ("history", "export"), ("history", "clear", "--profile", "default", "--yes"),
    ("history", "clear", "--yes"),
]  # fmt: skip
TABLES = ["series", "labels", "samples", "runs", "state", "alerts"]


@pytest.fixture
def ledger(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with a few days of readings, whose other tables have rows, too. The names are long."""
    # The less a file has, the less work is allowed, and the sooner a command ends.
    monkeypatch.setattr("support.tangled.PAGE", 16_384)
    monkeypatch.setattr("support.tangled.WIDTH", 250)
    path = tmp_path / "cache" / "history.db"
    host = sandbox.url.removeprefix("http://")
    series = Series(KEY_ID, host, Scope.KEY)
    now = datetime.now(UTC)
    entries = [entry(series=series, at=now - timedelta(hours=each), profile="default") for each in range(150, 0, -3)]
    remember(path, entries, now, seconds=20)
    begin(path, GuardedRun(KEY_ID, host, "default", "label" * 500, "USD", now), now)
    standing = Standing(is_low=True, is_safe=False, total=entries[0].remain)
    claim(path, [AlertCheck(AlarmQuestion(*series, "min 5"), standing, None)], now.timestamp(), seconds=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("INSERT INTO series (key_id, host, scope) VALUES (?, ?, 'account')", (KEY_ID, "h" * 12_000))
        database.execute("INSERT INTO labels (profile, source) VALUES (?, 'check')", ("p" * 12_000,))
    with_large_pages(path)
    return path


@pytest.mark.parametrize(("table", "size"), [*((table, None) for table in TABLES), ("series", 2**40)], ids=str)
def test_no_command_fills_the_memory_or_goes_on_for_ever(
    ledger: Path, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path, forks: Forks, table: str,
    size: int | None,
) -> None:  # fmt: skip
    """Whichever table leads in circles, whatever size the file claims: an answer, or an error of the ledger."""
    tangle(ledger, table)
    content = ledger.read_bytes()
    env = {**environment, **connected(sandbox), "APIMART_HISTORY": str(ledger), "APIMART_RECORD": "0"}
    for arguments in COMMANDS:
        ledger.write_bytes(content)
        if size is not None:
            make_sparse(ledger, size)
        with forks.process(
            ["apimart", *arguments],
            env,
            tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limits={resource.RLIMIT_AS: MEMORY},
        ) as process:
            try:
                stdout, stderr = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        assert process.returncode in {0, 2, 8}, (arguments, process.returncode, stdout[-300:], stderr[-800:])
        assert "a bug in apimart" not in stderr
