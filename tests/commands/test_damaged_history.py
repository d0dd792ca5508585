"""A history with values that apimart never wrote: every command that reads it ends as always, or with a reason."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, product
from pathlib import Path

import pytest

from apimart_cli.ledger.alarms import AlertCheck, claim
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.runs import begin, finish
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import record
from apimart_cli.records import Run
from apimart_cli.rules.alerts import AlarmQuestion, Standing
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.running import KEY_ID, Call, connected

VALUES = [
    "x'00ff'",
    "'NaN'",
    "'1e999999999'",
    "''",
    "CAST(x'ff' AS TEXT)",
    "9e999",
    "-1",
    # The first second and the last one that a date can have; the latter in milliseconds, too.
    "-62135596800",
    "253402300799",
    "253402300799999",
    "9223372036854775807",
]
"""What apimart never writes. `tests/unit/ledger` tries more of them, without the commands."""

USES = {
    "samples": [
        ("history", "--json", "--days", "730"),
        ("history", "export", "--csv"),
        ("check", "--min", "1", "--min-runway", "1d"),
        ("statusline",),
        ("history", "import", "one.jsonl"),
    ],
    "state": [("statusline",), ("history",)],
    "runs": [("history", "runs"), ("history", "runs", "--json", "--days", "730")],
    "alerts": [("check", "--min", "100000", "--on-low", "true")],
}
USES |= {name: [*USES["samples"], ("history", "clear", "--yes")] for name in ("series", "labels", "late")}
"""The commands that use a table: each value meets two in turn, and in the time and the amounts of a sample all."""

COLUMNS = {
    "series": "id key_id host scope thinned",
    "labels": "id profile unit source batch",
    "samples": "at remain used series label",
    "late": "id series at last",
    "state": "name value",
    "runs": "id key_id host profile label unit began alive_until ended spent settled stopped_by exit_code",
    "alerts": "key_id host scope threshold at total pending",
}

LINE = (
    '{"schema":1,"at":"2026-01-01T00:00:00Z","key_id":"0123456789ab","host":"h","scope":"key","profile":"p",'
    '"remain_balance":1,"used_balance":1,"unlimited_quota":false,"unit":null,"source":"check"}\n'
)


@pytest.fixture
def path(home: Path, sandbox: Sandbox) -> Path:
    """A history with something in every table."""
    path = home / "history.db"
    host = sandbox.url.removeprefix("http://")
    now = datetime.now(UTC)
    standing = Standing(is_low=True, is_safe=False, total=Decimal(12))
    with opened(path, seconds=None) as connection:
        for scope, day in product((Scope.KEY, Scope.ACCOUNT), (6, 5, 3, 4, 2, 1)):
            at = now - timedelta(days=day)
            series = Series(KEY_ID, host, scope)
            record(connection, [Entry(series, at, "default", Decimal(20), Decimal(9 - day), "USD", "check")])
        connection.execute("INSERT INTO state VALUES ('refresh', '0 0 0 0'), ('pruned_at', '0')")
    claim(
        path, [AlertCheck(AlarmQuestion(KEY_ID, host, Scope.KEY, "min 1"), standing, None)], now.timestamp(), seconds=10
    )
    run = Run(KEY_ID, host, "default", "label", "USD", now - timedelta(hours=1))
    finish(path, begin(path, run, now), run._replace(ended=now, spent=Decimal(1), exit_code=0))
    return path


@pytest.mark.parametrize("table", COLUMNS)
def test_no_value_in_the_history_is_a_bug(
    table: str, path: Path, call: Call, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in a column, in all rows or in the last one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.jsonl").write_text(LINE)
    env = {**connected(sandbox), "APIMART_RECORD": "1"}
    clean = path.read_bytes()
    for number, (damage, arguments) in enumerate(_damages(table)):
        # A file of its own for each: what reads a history beside an answer may still be at it.
        env["APIMART_HISTORY"] = str(damaged := path.with_name(f"damaged-{number}.db"))
        damaged.write_bytes(clean)
        with closing(sqlite3.connect(damaged)) as database:
            try:
                # It need not outlive a failure of the power, and none of it is undone.
                database.executescript(f"PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; {damage}")
            except sqlite3.IntegrityError:
                # A value that this column cannot have.
                continue
        ended = call(*arguments, env=env)
        assert "a bug in" not in ended.stderr, (damage, arguments, ended.stderr)
        assert ended.code in {0, 2, 3, 8}, (damage, arguments, ended)
        assert ended.code in {0, 3} or ended.stderr, (damage, arguments)


def _damages(table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    # The only one of its series, so that nothing else is its first or last.
    alone = "DELETE FROM samples WHERE at < (SELECT max(at) FROM samples AS other WHERE series = samples.series);"
    turn = cycle(USES[table])
    for name, value in product(COLUMNS[table].split(), VALUES):
        damage = f"UPDATE OR IGNORE {table} SET {name} = {value}"
        if table == "samples" and name in {"at", "remain", "used"}:
            yield from product([damage], USES[table])
            yield f"{alone} {damage}", next(turn)
        else:
            yield from product([damage], {next(turn), next(turn)})
