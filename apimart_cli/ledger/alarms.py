"""The low balances for which an alert was sent. One process claims each alert, however many look at the same time."""

import operator
import sqlite3
from collections.abc import Sequence
from decimal import InvalidOperation
from pathlib import Path
from typing import NamedTuple

from apimart_cli.choices import AlertEvent
from apimart_cli.ledger.file import Connection, opened, transaction
from apimart_cli.ledger.queries import amount_of
from apimart_cli.ledger.store import within
from apimart_cli.rules.alerts import Alarm, AlarmQuestion, Standing, step

MOST_ROWS = 1000
"""Most alarms that are kept: the oldest are deleted first."""

Step = tuple[AlertEvent | None, Alarm | None]
"""The alert to send, if any, and the alarm to keep from now on."""


class AlertCheck(NamedTuple):
    """What a reading says about one threshold of a balance."""

    question: AlarmQuestion
    standing: Standing
    remind: float | None
    """Seconds after which the alert is sent again."""


def claim(path: Path, checks: Sequence[AlertCheck], now: float, *, seconds: float) -> list[Step]:
    """Return for each check the alert that this process has to send. No other process gets the same one.

    `now` is in seconds since 1970. Raises LedgerError, after `seconds` at the latest.
    """

    def work() -> list[Step]:
        with opened(path, seconds=seconds) as connection:
            connection.limit_waiting()
            before = [_look(connection, each.question) for each in checks]
            steps = _steps(before, checks, now)
            if all(alarm == after for alarm, (_, after) in zip(before, steps, strict=True)):
                # Nothing changes, as most of the time: so nothing is locked.
                return steps
            with transaction(connection):
                steps = _steps([_look(connection, each.question) for each in checks], checks, now)
                for each, (_, after) in zip(checks, steps, strict=True):
                    _store(connection, each.question, after)
                _limit_rows(connection)
            return steps

    return within(seconds, path, work)


def clear_alarms(connection: Connection) -> None:
    """Forget which alerts were sent."""
    with transaction(connection):
        connection.execute("DELETE FROM alerts")


def _steps(alarms: Sequence[Alarm | None], checks: Sequence[AlertCheck], now: float) -> list[Step]:
    return [step(alarm, standing, now, remind) for alarm, (_, standing, remind) in zip(alarms, checks, strict=True)]


def _look(connection: sqlite3.Connection, question: AlarmQuestion) -> Alarm | None:
    """Return the alarm that is kept for a threshold; None, too, where it cannot be read."""
    row = connection.execute(
        "SELECT at, total, pending FROM alerts WHERE key_id = ? AND host = ? AND scope = ? AND threshold = ?", question
    ).fetchone()
    if row is None:
        return None
    try:
        at = operator.index(row[0]) / 1000
        return Alarm(at, *(None if text is None else amount_of(text) for text in row[1:]))
    except (TypeError, ValueError, InvalidOperation):
        return None


def _store(connection: Connection, question: AlarmQuestion, alarm: Alarm | None) -> None:
    if alarm is None:
        connection.execute("DELETE FROM alerts WHERE key_id = ? AND host = ? AND scope = ? AND threshold = ?", question)
        return
    amounts = [None if amount is None else f"{amount:f}" for amount in (alarm.total, alarm.pending)]
    connection.execute(
        "INSERT OR REPLACE INTO alerts (key_id, host, scope, threshold, at, total, pending)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*question, round(alarm.at * 1000), *amounts),
    )


def _limit_rows(connection: Connection) -> None:
    connection.execute(
        "DELETE FROM alerts WHERE at < (SELECT at FROM alerts ORDER BY at DESC LIMIT 1 OFFSET ?)", (MOST_ROWS - 1,)
    )
