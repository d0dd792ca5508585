"""How processes share the refreshes of status lines: one at a time, and none during the back-off after a failure.

Each balance has a row in the table `state`. A claim counts as a failure until it is settled, so the claim of a process
that was killed expires as a failure does. If a clock is put back, the back-off does not last longer for that.
"""

import sqlite3
from typing import NamedTuple

from apimart_cli.errors import LONGEST_RETRY_AFTER
from apimart_cli.ledger.file import Connection, transaction

FIRST_WAIT, LONGEST_WAIT = 60.0, 900.0
"""Seconds until the next refresh after the first failure, and after many: twice as long after each."""

MOST_ROWS = 1000
"""Most rows that are kept."""

_MOST_FAILURES = 100

_SLACK = 60.0
"""Seconds by which `now` may be before a claim: this process may have read the clock before the other claimed."""


class Refreshing(NamedTuple):
    """How the refreshes of one balance went. Times are seconds since 1970."""

    confirmed_at: float = 0.0
    """When the gateway last confirmed what the ledger holds. A reading that changes nothing is not written again."""
    failures: int = 0
    """How many in a row, with one that is under way."""
    since: float = 0.0
    """When the last of them began, or failed."""
    wait: float = 0.0
    """Seconds after that in which no refresh may start."""
    reason: str = ""
    """The code of its error; empty while it is under way."""

    def is_allowed(self, now: float) -> bool:
        """Tell whether a refresh may start."""
        return not -_SLACK < now - self.since < self.wait


def name_of(profile: str, host: str, scope: str, key_id: str | None = None) -> str:
    """Return the name of a row: it is made of the key if that is known, else of the profile."""
    asked = [profile, host, scope] if key_id is None else ["key", key_id, host, scope]
    # Not as JSON: to import `json` takes longer than all the rest.
    return f"refresh {asked!a}"


def look(connection: sqlite3.Connection, name: str) -> Refreshing:
    """Return how the refreshes went; a row that cannot be read counts as none."""
    row = connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone() or ("",)
    try:
        confirmed_at, failures, since, wait, *reason = row[0].split(" ", 4)
        wait = min(float(wait), LONGEST_RETRY_AFTER)
        return Refreshing(float(confirmed_at), int(failures), float(since), wait, "".join(reason))
    except (ValueError, TypeError, AttributeError):
        return Refreshing()


def claim(connection: Connection, name: str, now: float, *, seconds: float) -> bool:
    """Claim the refresh, for `seconds` or for the back-off if that is longer; tell whether it is ours."""
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
    """Note that the gateway has just confirmed what the ledger holds."""
    with transaction(connection):
        _store(connection, name, Refreshing(confirmed_at=now))


def fail(connection: Connection, name: str, now: float, reason: str, *, retry_after: float | None = None) -> None:
    """Note that a refresh failed. The next may start after the back-off and after `retry_after` of the gateway."""
    with transaction(connection):
        before = look(connection, name)
        wait = max(_back_off(before.failures), retry_after or 0.0)
        _store(connection, name, before._replace(since=now, wait=wait, reason=reason))


def _back_off(failures: int) -> float:
    return min(FIRST_WAIT * 2.0 ** max(0, failures - 1), LONGEST_WAIT)


def _limit_rows(connection: Connection) -> None:
    """Delete all rows if there are too many: each sandbox has a host of its own, and leaves a row behind."""
    (count,) = connection.execute("SELECT count(*) FROM state WHERE name GLOB 'refresh *'").fetchone()
    if count >= MOST_ROWS:
        connection.execute("DELETE FROM state WHERE name GLOB 'refresh *'")


def _store(connection: Connection, name: str, refreshing: Refreshing) -> None:
    value = " ".join(map(str, refreshing)).rstrip()
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))
