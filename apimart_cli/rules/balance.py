"""Records of a balance: what one key or account has left, as it was read. Pure: no I/O, nothing heavy imported."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.errors import ApimartError, PaymentRequiredError
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from apimart_cli.rules.forecast import Forecast


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
    """Some gateways send it with the balance, 1 credit = 0.10; None if it is not sent."""
    used_credits: Decimal | None = None
    limited_by: Scope | None = None
    """For what can be spent: which has less, the key or the account; None if neither is limited."""


class Reading(NamedTuple):
    """The outcome of one question: either a balance, or the error that stands in its place."""

    profile: str
    scope: Scope
    unit: str | None
    result: Balance | ApimartError
    key_id: str | None = None
    """Which key it is (`ApiKey.key_id`); None if there was no key."""
    host: str = ""
    """The host that was asked, as `Target.host`."""
    low_below: Decimal | None = None
    """The `min` of the profile: a smaller balance is called low."""
    used_above: Decimal | None = None
    """The `max_used` of the profile."""
    parts: tuple["Reading", ...] = ()
    """For what can be spent: the readings of the key and of the account from which it was made."""
    forecast: "Forecast | None" = None
    """How long the balance lasts; None if nothing was recorded before, or if it was not asked for."""
    quoted: tuple[str, ...] = ()
    """Of a failure: what its message repeats of the gateway's words."""

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


def spendable(key: Reading, account: Reading) -> Reading:
    """Return what can be spent with a key: the smaller of what it and its account have left.

    Both have the same unit: the gateway's configuration names a single one for keys and accounts. `used` is that of the
    key. If either reading failed, so has the result, as it is not known which of the two is the smaller.
    """
    return key._replace(
        scope=Scope.SPENDABLE,
        result=_smaller(key, account),
        key_id=key.key_id or account.key_id,
        parts=(key, account),
        forecast=_sooner(key, account),
    )


def _sooner(key: Reading, account: Reading) -> "Forecast | None":
    if key.forecast is None and account.forecast is None:
        return None
    from apimart_cli.rules.forecast import sooner

    return sooner(key.forecast, account.forecast)


def _smaller(key: Reading, account: Reading) -> Balance | ApimartError:
    if key.balance is None or account.balance is None:
        return _first_failure(key, account)
    limited = [each for each in (key.balance, account.balance) if each.remain_balance is not None]
    # If both are equal, `min` returns the first one, that of the key.
    limit = min(limited, key=lambda each: each.remain_balance or Decimal(0)) if limited else None
    return key.balance._replace(
        scope=Scope.SPENDABLE,
        remain_balance=limit.remain_balance if limit else None,
        remain_credits=limit.remain_credits if limit else None,
        unlimited_quota=limit is None,
        limited_by=limit.scope if limit else None,
        fetched_at=min(key.balance.fetched_at, account.balance.fetched_at),
    )


def _first_failure(*readings: Reading) -> ApimartError:
    """Return the failure that says most: no money, then an answer, then silence; if both are alike, that of the key."""
    failures = [reading.error for reading in readings if reading.error is not None]
    # A payment that is missing comes first, and silence last: `--fail-open` must not hide what the gateway said.
    return min(failures, key=lambda failure: (not isinstance(failure, PaymentRequiredError), failure.is_silence))


def with_spendable(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Yield `readings`; after a key that is followed by its account, yield what can be spent, too."""
    before: Reading | None = None
    for reading in readings:
        yield reading
        if (
            before is not None
            and (before.profile, before.scope) == (reading.profile, Scope.KEY)
            and (reading.scope is Scope.ACCOUNT)
        ):
            yield spendable(before, reading)
        before = reading
