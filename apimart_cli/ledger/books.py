"""What the gateway's books said, kept for an hour, and when a question to them failed.

A cron job each minute asks once an hour. A failure is remembered as those of refreshes in the background are. What any
call needs at a gateway is kept here, too: with less, a balance is of no use.
"""

import sqlite3
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from apimart_cli.ledger import refreshes
from apimart_cli.ledger.file import Connection, transaction
from apimart_cli.ledger.queries import amount_of
from apimart_cli.ledger.schema import Series

LASTS = 3600.0
"""Seconds for which an answer is used."""

MOST_ROWS = 1000
"""Most answers that are kept: the oldest go first."""

MOST_DAYS = 40
"""Most days of an answer that is read."""

_SLACK = 60.0
"""Seconds by which the clock of another process may be ahead."""


class KeptBooks(NamedTuple):
    """The spend of days that follow each other, in US dollars."""

    at: float
    """When the books were asked, in seconds since 1970."""
    day: date
    """The last of the days, on which the books were asked."""
    days: Sequence[Decimal]


def kept(
    connection: sqlite3.Connection, series: Series, tz: str, now: float, *, lasts: float = LASTS
) -> KeptBooks | None:
    """Return the last answer about a key or an account, where it is not too old; what is not readable is none."""
    row = connection.execute(
        "SELECT at, day, days FROM books WHERE key_id = ? AND host = ? AND scope = ? AND tz = ?", (*series, tz)
    ).fetchone()
    try:
        if row is None or not -_SLACK <= now - row[0] < lasts:
            return None
        amounts = [amount_of(text) for text in row[2].split(" ")]
        if len(amounts) > MOST_DAYS or any(amount < 0 for amount in amounts):
            return None
        return KeptBooks(float(row[0]), date.fromisoformat(row[1]), amounts)
    except (TypeError, ValueError, AttributeError, InvalidOperation):
        return None


def last_kept(connection: sqlite3.Connection, series: Series, now: float) -> tuple[str, KeptBooks] | None:
    """Return the last answer about a key or an account, and its time zone, where it is not too old."""
    row = connection.execute(
        "SELECT tz FROM books WHERE key_id = ? AND host = ? AND scope = ? ORDER BY at DESC LIMIT 1", series
    ).fetchone()
    if row is None or not isinstance(row[0], str):
        return None
    answer = kept(connection, series, row[0], now)
    return None if answer is None else (row[0], answer)


def clear_books(connection: Connection) -> None:
    """Forget what the books said."""
    with transaction(connection):
        connection.execute("DELETE FROM books")


def keep(connection: Connection, series: Series, tz: str, answer: KeptBooks) -> None:
    """Keep an answer in place of the one before it, and forget that a question failed."""
    with transaction(connection):
        connection.execute(
            "INSERT OR REPLACE INTO books (key_id, host, scope, tz, at, day, days) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*series, tz, int(answer.at), answer.day.isoformat(), " ".join(f"{amount:f}" for amount in answer.days)),
        )
        connection.execute(
            "DELETE FROM books WHERE at < (SELECT at FROM books ORDER BY at DESC LIMIT 1 OFFSET ?)", (MOST_ROWS - 1,)
        )
        connection.execute("DELETE FROM state WHERE name = ?", (_name(series, tz),))


def failed_with(connection: sqlite3.Connection, series: Series, tz: str, now: float) -> str | None:
    """Return the code of the error with which the last question failed, as long as nobody should ask again."""
    before = refreshes.look(connection, _name(series, tz))
    return before.reason if before.reason and not before.is_allowed(now) else None


def note_failure(
    connection: Connection, series: Series, tz: str, now: float, reason: str, *, retry_after: float | None = None
) -> None:
    """Note that a question failed."""
    name = _name(series, tz)
    if refreshes.claim(connection, name, now, seconds=0.0):
        refreshes.fail(connection, name, now, reason, retry_after=retry_after)


def floor_of(connection: sqlite3.Connection, host: str) -> Decimal | None:
    """Return what any call needs at a gateway, in US dollars, as far as it has said so."""
    row = connection.execute("SELECT value FROM state WHERE name = ?", (f"floor {host}",)).fetchone()
    try:
        return None if row is None else amount_of(row[0])
    except (TypeError, ValueError, InvalidOperation):
        return None


def keep_floor(connection: Connection, host: str, floor: Decimal) -> None:
    """Note what any call needs at a gateway."""
    if floor_of(connection, host) != floor:
        with transaction(connection):
            connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (f"floor {host}", f"{floor:f}"))


def _name(series: Series, tz: str) -> str:
    return refreshes.name_of("", series.host, f"{series.scope.value} books {tz}", series.key_id)
