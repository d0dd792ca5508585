"""Entries of a made-up ledger for tests."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.words import Scope

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
WORK = Series("3f9a1c2e77aa", "api.apimart.ai", Scope.KEY)
OTHER = Series("0123456789ab", "localhost:8080", Scope.ACCOUNT)


def entry(
    *, series: Series = WORK, ago: timedelta = timedelta(0), at: datetime | None = None, remain: str | None = "10.5",
    used: str = "2.3", profile: str = "work", unit: str | None = "USD", source: str = "check",
) -> Entry:  # fmt: skip
    """Return a reading, taken so long before NOW."""
    amount = None if remain is None else Decimal(remain)
    return Entry(series, (NOW - ago) if at is None else at, profile, amount, Decimal(used), unit, source)
