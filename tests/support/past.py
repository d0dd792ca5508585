"""A ledger that holds a past for the key that tests send, which goes on to what a gateway answers now."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import record
from apimart_cli.words import Scope
from support.running import KEY_ID


def write_past(
    path: Path, host: str, *, days: float, spent_per_day: str, scope: Scope = Scope.KEY, remain: str | None = "10.5",
    used: str = "2.3", key_id: str = KEY_ID, profile: str = "default",
) -> None:  # fmt: skip
    """Write a reading every six hours, of an even spend that ends a minute ago at `remain` and `used`."""
    end = datetime.now(UTC) - timedelta(minutes=1)
    past = []
    for number in range(int(days * 4), -1, -1):
        # Without zeros at its end: the last reading is to the letter what the gateway answers.
        spent_since = (Decimal(spent_per_day) / 4 * number).normalize()
        left = None if remain is None else Decimal(remain) + spent_since
        moment = end - timedelta(hours=6) * number
        past.append(
            Entry(Series(key_id, host, scope), moment, profile, left, Decimal(used) - spent_since, None, "test")
        )
    with opened(path, seconds=None) as connection:
        record(connection, past)


def recorded(path: Path) -> list[Entry]:
    """All that is in a ledger."""
    with opened(path, create=False) as connection:
        return list(entries(connection))
