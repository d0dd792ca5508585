"""Which low balances were told: each is claimed by one process, however many look at the same time."""

import operator
import sqlite3
from collections.abc import Sequence
from decimal import InvalidOperation
from pathlib import Path
from typing import NamedTuple

from apimart_cli.ledger.background import within
from apimart_cli.ledger.file import Connection, opened, transaction
from apimart_cli.ledger.queries import amount_of
from apimart_cli.rules.alerts import Alarm, Question, Standing, step
from apimart_cli.words import AlertEvent

MOST_ROWS = 1000
"""Most alarms that are remembered: the oldest go first."""

Step = tuple[AlertEvent | None, Alarm | None]
"""What is to be told, and what is remembered from now on."""


class AlertCheck(NamedTuple):
    """What a reading says about one question."""

    question: Question
    standing: Standing
    remind: float | None
    """Seconds after which it is told again."""


def claim(path: Path, asked: Sequence[AlertCheck], now: float, *, seconds: float) -> list[Step]:
    """Return for each question what is to be told: to this process, and to no other one.

    `now` is in seconds since 1970. Raises LedgerError, after so many seconds at the latest.
    """

    def work() -> list[Step]:
        with opened(path, seconds=seconds) as connection:
            connection.limit_waiting()
            before = [_look(connection, each.question) for each in asked]
            steps = _steps(before, asked, now)
            if all(alarm == after for alarm, (_, after) in zip(before, steps, strict=True)):
                # As most of the time: nothing is locked for it.
                return steps
            with transaction(connection):
                steps = _steps([_look(connection, each.question) for each in asked], asked, now)
                for each, (_, after) in zip(asked, steps, strict=True):
                    _store(connection, each.question, after)
                _limit_rows(connection)
            return steps

    return within(seconds, path, work)


def clear_alarms(connection: Connection) -> None:
    """Forget what was told."""
    with transaction(connection):
        connection.execute("DELETE FROM alerts")


def _steps(alarms: Sequence[Alarm | None], asked: Sequence[AlertCheck], now: float) -> list[Step]:
    return [step(alarm, standing, now, remind) for alarm, (_, standing, remind) in zip(alarms, asked, strict=True)]


def _look(connection: sqlite3.Connection, question: Question) -> Alarm | None:
    """Return the alarm of a question; one that is not readable counts as none."""
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


def _store(connection: Connection, question: Question, alarm: Alarm | None) -> None:
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
