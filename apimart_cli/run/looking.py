"""Looking at the balances of one key again and again: settings in, what the guard needs to know out.

`settle` does so after the command has ended, because the gateway may book the last charges some seconds late.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Setting, Settings
from apimart_cli.errors import ApimartError, PaymentRequiredError, Trace, UnavailableError, longest_retry_after
from apimart_cli.processes.signals import asked_to_end, start_thread
from apimart_cli.readings.forecasts import record
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.gate import Thresholds, judge_reading
from apimart_cli.rules.guard import Guard, Limits, Look
from apimart_cli.words import Outcome, ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.readings.book_forecasts import BookForecasts

SOURCE = "run"
"""What the ledger calls the command that asked."""

RECORD_EVERY = 60.0
"""Least seconds between two readings that are recorded while a command runs."""


class Sight(NamedTuple):
    """What one look at the gateway showed."""

    look: Look
    readings: Sequence[Reading]
    """That of the key, and that of the account if it was asked for."""
    failure: ApimartError | None
    """Why something that a limit needs is not known; None if all of it is known."""
    has_no_forecast: bool
    """Whether it is not known whether what is left lasts long enough."""
    is_history_unread: bool = False
    """Whether that is because the history cannot be read."""


class Looking:
    """Asks for the key, as its `used` tells what is spent, and for the balances of `--scope` if a limit needs them."""

    def __init__(
        self,
        settings: Settings,
        limits: Limits,
        *,
        trace: Trace | None = None,
        on_readings: Callable[[Sequence[Reading]], None] | None = None,
    ) -> None:
        """Look at what `limits` need; `on_readings` takes the readings of each look that are held to them."""
        is_key_enough = settings.scope.value is ScopeChoice.KEY or not limits.need_what_is_left
        scope = ScopeChoice.KEY if is_key_enough else ScopeChoice.BOTH
        self._held = ScopeChoice.KEY if is_key_enough else settings.scope.value
        self._limits = limits
        self._trace = trace
        self._on_readings = on_readings
        self._recorded_at = time.monotonic()
        self._key_after = -inf
        """When to ask again for a key that no limit needs, after it failed as `_key_failed` says."""
        self._key_failed: Reading | None = None
        self._account_after: float | None = None
        """When to ask for the account of an unlimited key, too, although no limit needs it; None if not yet known."""
        self.settings = settings._replace(scope=Setting(scope, settings.scope.source))

    def first(self) -> Sight:
        """Look for the first time, with progress, warnings and failures on standard error, and record the readings.

        Raises ConfigError for a key file that others can read or change, and AuthError if there is no key.
        """
        from apimart_cli.readings.take import take_readings

        settings = self.settings
        with take_readings(
            [settings],
            source=SOURCE,
            refuse_exposed=True,
            trace=self._trace,
            forecast_patience=self._forecast_patience,
            books=self._books(),
        ) as taken:
            (only,) = taken
        if only.lacks_account:
            # From now on only the key is asked: to `ask_again`, a missing account is an answer that cannot be trusted.
            self._held = ScopeChoice.KEY
            self._account_after = inf
            self.settings = _with_scope(settings, ScopeChoice.KEY)
            return self._sight(only.readings)
        return self._sight([*only.readings, *self._account_of_unlimited(only.readings)])

    def again(self, *, is_last: bool = False, needs_account: bool = False) -> Sight:
        """Look once more. Writes nothing, and may run in any thread. `needs_account` asks for the account, too."""
        from apimart_cli.readings.take import ask_again

        settings, after = self.settings, self._account_after
        before: Sequence[Reading] = ()
        if self._key_failed is not None and time.monotonic() < self._key_after:
            settings = _with_scope(settings, ScopeChoice.ACCOUNT)
            before = [self._key_failed]
        elif needs_account or (after is not None and time.monotonic() >= after):
            settings = _with_scope(settings, ScopeChoice.BOTH)
        readings = [
            *before,
            *ask_again(settings, trace=self._trace, forecast_patience=self._forecast_patience, books=self._books()),
        ]
        sight = self._sight(readings, needs_account=needs_account)
        if is_last or time.monotonic() - self._recorded_at >= RECORD_EVERY:
            self._record(sight.readings)
        return sight

    def held(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Return the readings that are held to `min` and `min_runway`."""
        match self._held:
            case ScopeChoice.KEY:
                return readings[:1]
            case ScopeChoice.ACCOUNT:
                return readings[1:]
            case ScopeChoice.BOTH:
                return readings
            case ScopeChoice.SPENDABLE:
                return [spendable(*readings)]

    @property
    def patience(self) -> float:
        """Seconds that a look may take."""
        return self.settings.timeout.value

    def left_of_key(self, sight: Sight) -> Decimal | None:
        """Return what the key itself has left; None if that is unlimited or not known."""
        return least(sight.readings[:1])

    @property
    def _forecast_patience(self) -> float | None:
        return None if self._limits.min_runway is None else self.settings.timeout.value

    def _books(self) -> "BookForecasts | None":
        """Return what the gateway's books say, for one look; None if no limit needs a forecast."""
        if self._limits.min_runway is None:
            return None
        from apimart_cli.readings.book_forecasts import gate_books

        return gate_books([self.settings])

    def _account_of_unlimited(self, readings: Sequence[Reading]) -> Sequence[Reading]:
        """Ask for the account if only an unlimited key was asked: some gateways never count what such a key uses."""
        if len(readings) > 1 or not _is_unlimited(readings[0]) or self._limits.max_spend is None:
            return ()
        from apimart_cli.readings.take import ask_again

        return ask_again(_with_scope(self.settings, ScopeChoice.ACCOUNT), trace=self._trace)

    def _plan_for_account(self, readings: Sequence[Reading]) -> None:
        """Decide when the account of an unlimited key is asked next; without an account, the key alone is counted."""
        if not _is_unlimited(readings[0]) or self._limits.max_spend is None:
            return
        error = readings[1].error if len(readings) > 1 else None
        if isinstance(error, UnavailableError):
            self._account_after = time.monotonic() + (error.retry_after or 0.0)
        elif self._account_after is None:
            self._account_after = 0.0 if error is None else inf

    def _plan_for_key(self, key: Reading) -> None:
        """After a failed key that no limit needs, do not ask for it for as long as the gateway says."""
        is_needed = self._held is not ScopeChoice.ACCOUNT or self._limits.max_spend is not None
        if is_needed or key is self._key_failed or not isinstance(key.error, UnavailableError):
            return
        self._key_failed, self._key_after = key, time.monotonic() + (key.error.retry_after or 0.0)

    def _sight(self, readings: Sequence[Reading], *, needs_account: bool = False) -> Sight:
        key, limits = readings[0], self._limits
        account = readings[1] if len(readings) > 1 else None
        held = self.held(readings)
        self._plan_for_key(key)
        self._plan_for_account(readings)
        if self._on_readings is not None:
            self._on_readings(held)
        needed = [*(held if limits.need_what_is_left else ()), *([key] if limits.max_spend is not None else ())]
        if needs_account and account is not None:
            needed.append(account)
        failure = next((reading.error for reading in needed if reading.error is not None), None)
        lasting = Thresholds(min_runway=limits.min_runway)
        outcomes = [judge_reading(reading, lasting) for reading in held] if limits.min_runway is not None else []
        unread = [judge_reading(reading, lasting, no_forecast_passes=True) for reading in held] if outcomes else []
        return Sight(
            Look(
                at=time.monotonic(),
                used=None if key.balance is None else key.balance.used_balance,
                used_of_account=account.balance.used_balance
                if account is not None and account.balance is not None and _is_unlimited(key)
                else None,
                left=least(held),
                is_blind=failure is not None,
                must_pay=any(isinstance(reading.error, PaymentRequiredError) for reading in readings),
                ends_too_soon=Outcome.BELOW in outcomes,
                retry_after=longest_retry_after(
                    part.error for reading in needed for part in (reading.parts or (reading,))
                ),
            ),
            readings,
            failure,
            Outcome.NO_FORECAST in outcomes,
            Outcome.NO_FORECAST in unread,
        )

    def _record(self, readings: Sequence[Reading]) -> None:
        self._recorded_at = time.monotonic()
        if self.settings.record.value:
            # The first look has warned of a ledger that fails.
            with suppress(Exception):
                record(self.settings.history.value, readings, SOURCE)


def _with_scope(settings: Settings, scope: ScopeChoice) -> Settings:
    return settings._replace(scope=settings.scope._replace(value=scope))


def least(held: Sequence[Reading]) -> Decimal | None:
    """Return the least of what is left, as far as it is known; None if all is unlimited, or nothing is known."""
    balances = [part.balance for reading in held for part in (reading.parts or (reading,))]
    return min((each.remain_balance for each in balances if each and each.remain_balance is not None), default=None)


def _is_unlimited(key: Reading) -> bool:
    return key.balance is not None and key.balance.unlimited_quota


SETTLE_PAUSE, SETTLE_LIMIT = 5.0, 15.0
"""Seconds between two looks that have to agree, and most seconds to wait until two do."""


def settle(looking: Looking, guard: Guard, latest: Sight, *, waits: bool) -> tuple[Sight, bool]:
    """Look until two looks agree; without `waits`, look once. A signal that ends processes ends the waiting.

    Return the last look that told something, and whether two agreed.
    """
    give_up_at = time.monotonic() + SETTLE_LIMIT
    before: Decimal | None = None
    with asked_to_end() as wait:
        while True:
            sight = _look_unless(wait, looking, needs_account=guard.counts_account)
            if sight is None:
                return latest, False
            guard.take(sight.look)
            used = sight.look.used_of_account if guard.counts_account else sight.look.used
            if used is not None:
                latest = sight
                if used == before:
                    return latest, True
            before = used
            if not waits or time.monotonic() + SETTLE_PAUSE > give_up_at or wait(SETTLE_PAUSE):
                return latest, False


def _look_unless(is_ended: Callable[[float], bool], looking: Looking, *, needs_account: bool) -> Sight | None:
    """Look in another thread. If asked to end, return None without waiting for it.

    `is_ended` waits so many seconds and tells whether we were asked to end. Raises what the look raises.
    """
    sights: list[Sight] = []
    failures: list[Exception] = []

    def look() -> None:
        try:
            sights.append(looking.again(is_last=True, needs_account=needs_account))
        except Exception as error:  # noqa: BLE001  # raised again in the main thread
            failures.append(error)

    thread = start_thread(look, "look")
    if thread is None:
        return None
    while thread.is_alive() and not is_ended(0.005):
        pass
    if failures:
        raise failures[0]
    return sights[0] if sights else None
