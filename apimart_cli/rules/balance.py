"""Records: what one key or account has left, as read. Pure: no I/O, nothing heavy imported."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.errors import ApimartError, PaymentRequiredError, UnavailableError
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
    """Observed beside the balance on some gateways, 1 credit = 0.10; None where it is not sent."""
    used_credits: Decimal | None = None
    limited_by: Scope | None = None
    """Of what can be spent: whether the key or the account has less; None when neither is limited."""


class Reading(NamedTuple):
    """The outcome of one question: a balance, or the error that stands in its place; never both, never neither."""

    profile: str
    scope: Scope
    unit: str | None
    result: Balance | ApimartError
    key_id: str | None = None
    """Tells the key apart from others (`ApiKey.key_id`); None where there was none."""
    host: str = ""
    """The host that was asked, as `Target.host`."""
    low_below: Decimal | None = None
    """The profile's own `min`: a smaller balance is called low."""
    used_above: Decimal | None = None
    """The profile's own `max_used`."""
    parts: tuple["Reading", ...] = ()
    """Of what can be spent: the readings of the key and the account that it was made of."""
    forecast: "Forecast | None" = None
    """How long the balance lasts; None where nothing was recorded before, or nobody asked."""
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

    Both are in one unit: the gateway's configuration names a single one for keys and accounts. What was used is the
    key's. Where either failed, so has this: nobody knows which of the two is the smaller.
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
    # Of two that are equal, `min` returns the first: the key's.
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
    """Return the failure that says most: no money, then the gateway's word, then silence; of two, the key's."""
    failures = [reading.error for reading in readings if reading.error is not None]
    return min(failures, key=_silence)


def _silence(failure: ApimartError) -> tuple[bool, bool]:
    # `--fail-open` forgives silence: it must not hide what the other of the two was told.
    is_silence = isinstance(failure, UnavailableError) and not failure.was_told
    return not isinstance(failure, PaymentRequiredError), is_silence


def with_spendable(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Yield `readings`, and after each key that is followed by its account, what can be spent."""
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
