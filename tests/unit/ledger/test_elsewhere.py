"""A ledger from elsewhere: refused and left alone, unless its tables are ours and its values what we write."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from apimart_cli.choices import AlertEvent
from apimart_cli.ledger.alarms import AlertCheck, claim
from apimart_cli.ledger.books import KeptBooks, keep
from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.merge import Staged, merge
from apimart_cli.ledger.place import MOST_BYTES, LedgerError, objects_of
from apimart_cli.ledger.queries import all_series, entries, latest, profiles, samples
from apimart_cli.ledger.refreshes import look
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.runs import begin, runs
from apimart_cli.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate
from apimart_cli.ledger.store import clear, record
from apimart_cli.ledger.views import overviews
from apimart_cli.records import Run
from apimart_cli.rules.alerts import AlarmQuestion, Standing
from support.ledger import NOW, WORK, entry
from support.stopwatch import Stopwatch

Refused = Callable[[str], str]

MAGIC = bytes.fromhex("d9d505f920a163d7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one reading."""
    path = tmp_path / "state" / "history.db"
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry()])
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file that must stay as it is."""
    path = tmp_path / "victim"
    path.write_text("precious\n")
    yield path
    assert path.read_text() == "precious\n"


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["ALTER TABLE samples RENAME TO kept", "CREATE VIEW samples AS SELECT * FROM kept"], "view samples"),
        (["CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM state; END"], "trigger t"),
        (["CREATE VIRTUAL TABLE words USING fts5(x)"], "table words"),
        (["CREATE INDEX slow ON samples (abs(at))"], "index slow"),
        (["ALTER TABLE labels ADD COLUMN x TEXT AS (hex(profile))"], "table labels"),
        (["DROP TABLE state", "CREATE TABLE State (name TEXT PRIMARY KEY, value TEXT NOT NULL)"], "table State"),
        (['CREATE TABLE "\x1b[31m sk-test-Zq7Wm3Xc9Vb1Nk5Lp8" (x)'], r"table \\x1b\[31m sk-\.\.\."),
        (["DROP INDEX runs_of_key"], "index runs_of_key is missing"),
        (["DROP TABLE alerts"], "table alerts is missing"),
        (["PRAGMA user_version = 0"], "index runs_of_key"),
        (["PRAGMA user_version = 2"], "runs"),
        (
            [
                "PRAGMA writable_schema = ON",
                "INSERT INTO sqlite_master VALUES"
                " ('view', 'sqlite_stat1', 'sqlite_stat1', 0, 'CREATE VIEW sqlite_stat1 AS SELECT 1')",
            ],
            "view sqlite_stat1",
        ),
    ],
)
def test_tables_that_are_not_ours_are_refused_and_stay_as_they_are(
    path: Path, refused: Refused, statements: list[str], named: str
) -> None:
    """Views, triggers, virtual tables, expressions: whatever could run when a table is used. The message names it."""
    try:
        change(path, *statements)
    except sqlite3.OperationalError as error:
        pytest.skip(f"this SQLite cannot make it: {error}")
    refused(rf"{named}.* left as it is")


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_the_tables_of_each_version_are_what_sqlite_says_of_them(version: int) -> None:
    """Whatever a migration does, what it says is what the file then tells, character by character."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for migration in MIGRATIONS[:version]:
            migration(database)
        found = database.execute("SELECT sql, type, name FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    assert objects_of(version) == {text: (kind, name) for text, kind, name in found}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_ledger_of_any_version_of_ours_is_brought_to_the_newest(tmp_path: Path, version: int) -> None:
    """It keeps what it has, and gets the tables that are missing."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for migration in MIGRATIONS[:version]:
            migration(database)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {version}")
        database.execute("INSERT INTO series (key_id, host, scope) VALUES (?, ?, ?)", WORK)
        database.execute("INSERT INTO labels (profile, unit, source) VALUES ('work', 'USD', 'check')")
        database.execute("INSERT INTO samples VALUES (1, ?, 1, '10.5', '2.3')", (int(NOW.timestamp()),))
        if version >= 2:
            database.execute("INSERT INTO state VALUES ('pruned_at', '7')")
        if version >= 3:
            database.execute(
                "INSERT INTO runs (key_id, host, profile, began, alive_until, ended, exit_code)"
                " VALUES ('000000000000', 'host', 'default', 1000, 2000, 2000, 5)"
            )
    assert claim(path, ALARMS, 1.0, seconds=10)[0][0] is AlertEvent.LOW
    with opened(path, seconds=None) as ledger:
        assert list(entries(ledger)) == [entry()]
        assert [(run.exit_code, run.could_not_stop) for run in runs(ledger)] == ([(5, 0)] if version >= 3 else [])
        assert ledger.execute("SELECT value FROM state").fetchall() == ([("7",)] if version >= 2 else [])
        keep(ledger, WORK, "UTC", KeptBooks(1.0, NOW.date(), []))
        record(ledger, [entry(ago=timedelta(hours=1), used="1")])
        assert ledger.execute("SELECT count(*) FROM late").fetchone() == (1,)


def test_what_the_shell_of_sqlite_leaves_behind_is_no_harm(path: Path) -> None:
    """A user who looks at the file may let it be analysed, or tidied up."""
    change(path, "ANALYZE", "VACUUM")
    with opened(path) as ledger:
        assert latest(ledger, WORK) == entry()


def test_nothing_that_the_file_says_is_trusted(path: Path) -> None:
    """The settings of SQLite for files that others may have made, and no file beside this one."""
    with opened(path) as ledger:
        assert ledger.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert ledger.execute("PRAGMA cell_size_check").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="too many attached"):
            ledger.execute("ATTACH ':memory:' AS other")
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            ledger.execute("SELECT load_extension('x')")


def test_a_journal_that_names_another_file_deletes_nothing(path: Path, refused: Refused, victim: Path) -> None:
    """SQLite would take it for the list of a transaction in several files, and delete the file of that name."""
    name = os.fsencode(victim)
    head = (MAGIC + bytes(4) + bytes(4) + (2).to_bytes(4) + (512).to_bytes(4) + (4096).to_bytes(4)).ljust(512, b"\0")
    end = (0x40001).to_bytes(4) + name + len(name).to_bytes(4) + sum(name).to_bytes(4) + MAGIC
    Path(f"{path}-journal").write_bytes(head + end)
    refused("names another file")


def test_a_journal_of_ours_is_played_back(path: Path, tmp_path: Path) -> None:
    """A process that was killed in the middle of writing leaves one, and the ledger is as it was before."""
    aside = tmp_path / "aside"
    aside.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN")
        database.execute("DELETE FROM samples")
        database.executemany("INSERT INTO state VALUES (?, ?)", [(str(each), "x" * 1000) for each in range(500)])
        copied = {each.name: each.read_bytes() for each in path.parent.iterdir()}
        database.execute("ROLLBACK")
    assert copied["history.db-journal"].startswith(MAGIC)
    for name, content in copied.items():
        (aside / name).write_bytes(content)
        (aside / name).chmod(0o600)
    with opened(aside / "history.db") as ledger:
        assert list(entries(ledger)) == [entry()]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_journal_that_is_no_file_is_refused_at_once(path: Path, refused: Refused, victim: Path, kind: str) -> None:
    """A link would lead to another file, and SQLite would wait for ever for a FIFO."""
    journal = Path(f"{path}-journal")
    {"link": lambda: journal.symlink_to(victim), "fifo": lambda: os.mkfifo(journal), "folder": journal.mkdir}[kind]()
    watch = Stopwatch()
    refused("not a regular file")
    watch.took().assert_within(5)


def test_a_lock_of_imports_that_is_a_link_empties_nothing(ledger: Connection, path: Path, victim: Path) -> None:
    """What locks a file empties it."""
    Path(f"{path}.import").symlink_to(victim)
    with pytest.raises(LedgerError, match="not a regular file"), Staged([], NOW) as staged:
        merge(ledger, staged, NOW)


def test_a_ledger_in_wal_mode_is_refused_with_what_ends_it(path: Path, refused: Refused) -> None:
    """That mode damages files on network file systems. Nothing of it is used, nothing changed."""
    change(path, "PRAGMA journal_mode = WAL")
    command = refused("is in WAL mode").partition("end that with: ")[2]
    assert command == f"sqlite3 {path} 'PRAGMA journal_mode = DELETE'"
    change(path, "PRAGMA journal_mode = DELETE")
    with opened(path) as ledger:
        assert list(entries(ledger)) == [entry()]


def test_a_write_ahead_log_beside_it_is_not_read(path: Path, refused: Refused) -> None:
    """It would be, whatever the file itself says, and its pages would stand in the place of those that were checked."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO state VALUES ('x', 'y')")
        log = Path(f"{path}-wal").read_bytes()
    change(path, "PRAGMA journal_mode = DELETE")
    Path(f"{path}-wal").write_bytes(log)
    refused("uses no write-ahead log")


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, 2**40), (None, 100)])
def test_no_query_is_without_an_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float | None, rounds: int
) -> None:
    """Nor where a command has all the time of the world: it may do far more than a file of this size needs."""
    monkeypatch.setattr("apimart_cli.ledger.file._LEAST_ROUNDS", rounds)
    watch = Stopwatch()
    with pytest.raises(LedgerError, match="interrupted"), opened(path, seconds=seconds) as ledger:
        ledger.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        ).fetchone()
    watch.took().assert_within(2)


def test_a_large_ledger_is_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit grows with the file, and is a fifth used by what reads every sample several times."""
    change(
        path,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)"
        " INSERT INTO samples SELECT 1, x * 60, 1, '10.5', '2.3' FROM n",
    )
    monkeypatch.setattr("apimart_cli.ledger.file._LEAST_ROUNDS", 0)
    with opened(path, seconds=None) as ledger:
        whole = ledger._rounds_left
        assert len(list(entries(ledger))) == 20_001
        assert len(samples(ledger, WORK, every=timedelta(seconds=1))) == 20_001
        assert ledger._rounds_left > whole * 0.8
    assert len(overviews(path, (NOW.date(),), NOW).found) == 1


ALARMS = [AlertCheck(AlarmQuestion(*WORK, "min 5"), Standing(is_low=True, is_safe=False, total=Decimal(12)), None)]

USES: list[Callable[[Connection], object]] = [
    lambda ledger: [samples(ledger, each) for each in all_series(ledger)],
    lambda ledger: list(entries(ledger)),
    lambda ledger: latest(ledger, WORK),
    lambda ledger: record(ledger, [entry(used="5")]),
    lambda ledger: prune(ledger, NOW),
    lambda ledger: look(ledger, "refresh"),
    profiles,
    runs,
    clear,
]

VALUES = [
    "x'00ff'",
    "'NaN'",
    "'1e999999999'",
    "9e999",
    "1.5",
    "-1",
    "9223372036854775807",
    "''",
    "CAST(x'ff' AS TEXT)",
    f"printf('%.{2 * MOST_BYTES}c', '9')",
    "printf('%.5000c', '9')",
]

COLUMNS = {
    "series": ["key_id", "host", "scope", "thinned"],
    "labels": ["profile", "unit", "source", "batch"],
    "samples": ["at", "remain", "used"],
    "state": ["value"],
    "runs": ["key_id", "profile", "label", "began", "ended", "spent", "settled", "exit_code"],
}


@pytest.mark.parametrize("table", COLUMNS)
def test_a_value_that_we_never_write_is_an_error_of_the_ledger(path: Path, table: str) -> None:
    """Blobs, numbers without an end, texts without a limit: no other exception, no memory filled, no loop."""
    begin(path, Run(*WORK[:2], "work", None, None, NOW), NOW)
    change(path, "INSERT INTO state VALUES ('refresh', '0 0 0 0'), ('pruned_at', '0')")
    clean = path.read_bytes()
    for column, value in product(COLUMNS[table], VALUES):
        path.write_bytes(clean)
        change(path, f"UPDATE {table} SET {column} = {value}")
        watch = Stopwatch()
        with opened(path, seconds=None) as ledger:
            for use in USES:
                try:
                    use(ledger)
                except (LedgerError, sqlite3.Error) as error:
                    # What SQLite refuses is an error of the ledger where a command uses it: `opened` makes it one.
                    assert len(str(error)) < 1000  # noqa: PT017  # not every use of every value is one
        assert watch.took().ours < 5, (column, value)


@pytest.mark.parametrize("column", ["at", "total", "pending"])
def test_an_alarm_that_we_never_wrote_counts_as_none(path: Path, column: str) -> None:
    """And is replaced by one of ours: an alert rather twice than never."""
    claim(path, ALARMS, 1.0, seconds=10)
    for value in VALUES:
        change(path, f"UPDATE OR IGNORE alerts SET {column} = {value}")
        try:
            claim(path, ALARMS, 1.0, seconds=10)
        except LedgerError:
            change(path, "DELETE FROM alerts")
            claim(path, ALARMS, 1.0, seconds=10)


def test_a_migration_meets_what_another_process_has_done(tmp_path: Path) -> None:
    """The version and the tables are read together: what is brought up to date meanwhile is not refused."""
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        migrate(other)
        with opened(path) as ledger:
            assert all_series(ledger) == []
