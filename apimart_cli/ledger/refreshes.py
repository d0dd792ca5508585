"""What refreshes in the background share across processes: whether one is under way, and until when nobody asks again.

A row of the table `state` for each question. A claim is a failure until it is settled, so that one whose process was
killed expires as a failure does. A clock that was put back leaves nobody locked out.
"""

import sqlite3
from typing import NamedTuple

from apimart_cli.errors import LONGEST_RETRY_AFTER
from apimart_cli.ledger.file import Connection, transaction

FIRST_WAIT, LONGEST_WAIT = 60.0, 900.0
"""Seconds until the next question after a first failure, and after many: twice as long after each."""

MOST_ROWS = 1000
"""Most questions that are remembered."""

_MOST_FAILURES = 100

_SLACK = 60.0
"""Seconds by which the clock of whoever asks may be behind: it was read before another process made its claim."""


class Refreshing(NamedTuple):
    """How the refreshes of one question went. Times are seconds since 1970."""

    confirmed_at: float = 0.0
    """When the gateway last said what the ledger holds: a reading that changes nothing is not written again."""
    failures: int = 0
    """How many in a row, one that is under way included."""
    since: float = 0.0
    """When the last of them began, or failed."""
    wait: float = 0.0
    """For how many seconds after that nobody asks."""
    reason: str = ""
    """The code of the error that it failed with; empty while it is under way."""

    def is_allowed(self, now: float) -> bool:
        """Tell whether a refresh may start."""
        return not -_SLACK < now - self.since < self.wait


def name_of(profile: str, host: str, scope: str, key_id: str | None = None) -> str:
    """Return the name of the row for a question: that of a key where it is known, else that of a profile."""
    asked = [profile, host, scope] if key_id is None else ["key", key_id, host, scope]
    # Not as JSON: loading what writes it takes longer than all the rest.
    return f"refresh {asked!a}"


def look(connection: sqlite3.Connection, name: str) -> Refreshing:
    """Return how the refreshes of a question went; what is not readable counts as none."""
    row = connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone() or ("",)
    try:
        confirmed_at, failures, since, wait, *reason = row[0].split(" ", 4)
        wait = min(float(wait), LONGEST_RETRY_AFTER)
        return Refreshing(float(confirmed_at), int(failures), float(since), wait, "".join(reason))
    except (ValueError, TypeError, AttributeError):
        return Refreshing()


def claim(connection: Connection, name: str, now: float, *, seconds: float) -> bool:
    """Tell whether the refresh is ours; then for `seconds`, and for the back-off, it is nobody else's."""
    with transaction(connection):
        before = look(connection, name)
        if not before.is_allowed(now):
            return False
        _limit_rows(connection)
        failures = min(before.failures + 1, _MOST_FAILURES)
        _store(
            connection,
            name,
            before._replace(failures=failures, since=now, wait=max(seconds, _back_off(failures)), reason=""),
        )
    return True


def settle(connection: Connection, name: str, now: float) -> None:
    """Note that the gateway has said what the ledger holds now."""
    with transaction(connection):
        _store(connection, name, Refreshing(confirmed_at=now))


def fail(connection: Connection, name: str, now: float, reason: str, *, retry_after: float | None = None) -> None:
    """Note that a refresh failed: nobody asks again until the back-off is over, and what the gateway asked for."""
    with transaction(connection):
        before = look(connection, name)
        wait = max(_back_off(before.failures), retry_after or 0.0)
        _store(connection, name, before._replace(since=now, wait=wait, reason=reason))


def _back_off(failures: int) -> float:
    return min(FIRST_WAIT * 2.0 ** max(0, failures - 1), LONGEST_WAIT)


def _limit_rows(connection: Connection) -> None:
    """Begin anew where there are too many rows: each sandbox has a host of its own, and nobody asks it again."""
    (count,) = connection.execute("SELECT count(*) FROM state WHERE name GLOB 'refresh *'").fetchone()
    if count >= MOST_ROWS:
        connection.execute("DELETE FROM state WHERE name GLOB 'refresh *'")


def _store(connection: Connection, name: str, refreshing: Refreshing) -> None:
    value = " ".join(map(str, refreshing)).rstrip()
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))
