"""Records: what one key or account has left, as read. Pure: no I/O, nothing heavy imported."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.errors import ApimartError
from apimart_cli.words import Scope

SPENDABLE = "spendable"
"""What stands in the place of the scope for what can be spent with a key and its account together."""


class Balance(NamedTuple):
    """What one key or account has left. Amounts are in the gateway's own unit, which its answer does not name.

    `remain_balance` and `remain_credits` are None when `unlimited_quota` is true: the sentinel -1 that the gateway
    sends then never gets past the parser.
    """

    scope: Scope
    remain_balance: Decimal | None
    used_balance: Decimal
    unlimited_quota: bool
    fetched_at: datetime
    """When the answer arrived, in UTC."""
    remain_credits: Decimal | None = None
    """Observed beside the balance on some gateways, 1 credit = 0.10; None where it is not sent."""
    used_credits: Decimal | None = None


class Reading(NamedTuple):
    """The outcome of one question: a balance, or the error that stands in its place; never both, never neither."""

    profile: str
    scope: Scope
    unit: str | None
    result: Balance | ApimartError
    key_id: str | None = None
    """Tells the key apart from others (`ApiKey.key_id`); None where there was none."""
    host: str = ""
    """The host that was asked, with its port where one is named."""

    @property
    def balance(self) -> Balance | None:
        """The balance, or None when the reading failed."""
        return self.result if isinstance(self.result, Balance) else None

    @property
    def error(self) -> ApimartError | None:
        """The error, or None when the reading succeeded."""
        return self.result if isinstance(self.result, ApimartError) else None

    @property
    def name(self) -> str:
        """How messages call this reading: `profile/scope`."""
        return f"{self.profile}/{self.scope}"


class Spendable(NamedTuple):
    """What can be spent with a key: the smaller of the key's and the account's remaining balance.

    Both are in one unit: the gateway's configuration names a single one for keys and accounts.
    """

    profile: str
    unit: str | None
    key: Reading
    account: Reading

    @property
    def error(self) -> ApimartError | None:
        """The first error of the two readings: only both answers show what can be spent."""
        return self.key.error or self.account.error

    @property
    def limit(self) -> Reading | None:
        """The reading that limits what can be spent; None when neither does, or when one of them failed."""
        limited = [
            (reading.balance.remain_balance, reading)
            for reading in (self.key, self.account)
            if reading.balance is not None and reading.balance.remain_balance is not None
        ]
        return None if self.error or not limited else min(limited, key=lambda pair: pair[0])[1]

    @property
    def remain_balance(self) -> Decimal | None:
        """What can be spent; None when it is unlimited or unknown."""
        return self.limit.balance.remain_balance if self.limit and self.limit.balance else None


def with_spendable(readings: Iterable[Reading]) -> Iterator[Reading | Spendable]:
    """Yield `readings`, and after each key that is followed by its account, what can be spent."""
    before: Reading | None = None
    for reading in readings:
        yield reading
        if (
            before is not None
            and (before.profile, before.scope) == (reading.profile, Scope.KEY)
            and (reading.scope is Scope.ACCOUNT)
        ):
            yield Spendable(reading.profile, reading.unit, before, reading)
        before = reading


def entry_name(entry: Reading | Spendable) -> str:
    """Return how a reading, or what can be spent, is called: `profile/scope`."""
    return f"{entry.profile}/{SPENDABLE}" if isinstance(entry, Spendable) else entry.name
