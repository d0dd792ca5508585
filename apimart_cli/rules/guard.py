"""The guard: what was spent, when to look again, and when to stop. Pure: no I/O, and no clock of its own.

Amounts are in the gateway's unit. Times are seconds of one clock that never steps, and count from any moment.
"""

from collections import deque
from datetime import timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from apimart_cli.rules.spending import EXACT
from apimart_cli.words import StoppedBy

LEAST_INTERVAL, MOST_INTERVAL = 2.0, 30.0
"""Seconds between two looks, unless the user fixes them."""

LOOKS_AHEAD = 4
"""How many looks to take until a limit would be reached at the present rate."""

MAX_BLIND = 600.0
"""Seconds without a reading after which the command is stopped, by default."""

LONGEST_REST = 300.0
"""Most seconds of a pause that the gateway asks for: meanwhile the command is not guarded."""

LOOKS_THAT_DOUBT = 2
"""How often only the account must have risen before that is a doubt: the gateway may book the key's part later."""

WINDOW = 60.0
"""Seconds over which a second rate is taken, as charges may be booked in batches; the first is that of two looks."""


class Limits(NamedTuple):
    """What a command may do before it is stopped; None is no limit."""

    min: Decimal | None = None
    """What must be left: less than this stops the command."""
    max_spend: Decimal | None = None
    """What may be spent since the start: this much stops the command."""
    min_runway: timedelta | None = None
    """How long what is left must last. The gate judges that; a look has its result."""

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return self != Limits()

    @property
    def need_what_is_left(self) -> bool:
        """Whether the balances that `--scope` names are needed."""
        return self.min is not None or self.min_runway is not None


class Look(NamedTuple):
    """What one look at the gateway showed."""

    at: float
    used: Decimal | None = None
    """What the key has used in all; None if that is not known."""
    left: Decimal | None = None
    """The least that is left of the balances that `min` holds; None if that is unlimited or not known."""
    is_blind: bool = False
    """Whether something that a limit needs is not known."""
    must_pay: bool = False
    """Whether the gateway said that there is no money."""
    ends_too_soon: bool = False
    """Whether what is left does not last as long as `min_runway`."""
    retry_after: float | None = None
    """For how many seconds the gateway asked not to be asked again."""
    used_of_account: Decimal | None = None
    """What the account of an unlimited key has used in all; None if that is not known, and for a limited key."""


class CountingDoubt(StrEnum):
    """Why the amount that is counted may not be what the command spent."""

    ACCOUNT_COUNTS = "account_counts"
    """The gateway does not count what the key uses, so what its account uses is counted."""
    KEY_STANDS_STILL = "key_stands_still"
    """What the key has used stays the same while what its account has used rises."""


class _RisingAmount:
    """An amount that rises as money is spent: what it was at several times."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Decimal]] = deque()

    def add(self, at: float, amount: Decimal) -> None:
        self._seen.append((at, amount))
        # The first one stays just outside of the window: otherwise the rate would not cover all of it.
        while len(self._seen) > 2 and self._seen[1][0] <= at - WINDOW:
            self._seen.popleft()

    @property
    def latest(self) -> Decimal | None:
        return self._seen[-1][1] if self._seen else None

    @property
    def rate(self) -> float | None:
        """Units in a second: the higher rate, that of the last two looks or of the window; None if nothing rose."""
        if len(self._seen) < 2:
            return None
        latest = self._seen[-1]
        rates = [_rise(before, latest) for before in (self._seen[0], self._seen[-2])]
        return max((rate for rate in rates if rate > 0), default=None)

    def seconds_to_rise(self, amount: Decimal, *, rate: float | None, now: float) -> float | None:
        """Return in how many seconds it will have risen by `amount` since it was last seen; None for never."""
        if rate is None or not self._seen:
            return None
        return self._seen[-1][0] + float(amount) / rate - now


def _rise(before: tuple[float, Decimal], after: tuple[float, Decimal]) -> float:
    seconds = after[0] - before[0]
    return float(after[1] - before[1]) / seconds if seconds > 0 else 0.0


class _Meter:
    """What one key or account has used since the first look that showed it."""

    def __init__(self) -> None:
        self.amount = _RisingAmount()
        self._lowest = Decimal(0)

    def read(self, at: float, used: Decimal) -> None:
        # Money that is given back for a charge from before the start must not hide what is spent now.
        self._lowest = used if self.used is None else min(self._lowest, used)
        self.amount.add(at, used)

    @property
    def used(self) -> Decimal | None:
        return self.amount.latest

    @property
    def risen(self) -> Decimal | None:
        """What was used since the first look that showed it; None before that."""
        if self.used is None:
            return None
        with localcontext(EXACT):
            return self.used - self._lowest


class Guard:
    """The guard over one command. Give it each look with `take`, and call `stop` often."""

    def __init__(self, limits: Limits, *, interval: float | None = None, max_blind: float | None = MAX_BLIND) -> None:
        """Hold to `limits`. As `interval`, None follows the rate; as `max_blind`, None never stops for blindness."""
        self._limits = limits
        self._interval = interval
        self.max_blind = max_blind
        self._key, self._account, self._fall = _Meter(), _Meter(), _RisingAmount()
        self._rises_alone = 0
        self._doubts: set[CountingDoubt] = set()
        self._left: Decimal | None = None
        self._blind_since: float | None = None
        self._must_pay = self._ends_too_soon = False
        self._looked_at: float | None = None
        self.rests_until = float("-inf")
        """Until when the gateway asked not to be asked."""

    def take(self, look: Look) -> bool:
        """Take note of a look; return whether blindness begins with it."""
        became_blind = look.is_blind and self._blind_since is None
        with localcontext(EXACT):
            if look.used is not None:
                self._key.read(look.at, look.used)
            if look.used_of_account is not None:
                before = self._account.used
                self._account.read(look.at, look.used_of_account)
                self._rises_alone += before is not None and look.used_of_account > before and not self._key.risen
            if not look.is_blind and look.left is None:
                self._fall = _RisingAmount()
            elif not look.is_blind and look.left is not None:
                self._fall.add(look.at, -look.left)
        self._left = look.left
        self._must_pay, self._ends_too_soon = look.must_pay, look.ends_too_soon
        if not look.is_blind:
            self._blind_since = None
        elif became_blind:
            self._blind_since = look.at
        self._looked_at = look.at
        self.rests_until = look.at + min(look.retry_after or 0.0, LONGEST_REST)
        return became_blind

    @property
    def spent(self) -> Decimal | None:
        """What was spent since the first look that showed it; None before that."""
        return self._counted.risen

    @property
    def counts_account(self) -> bool:
        """Whether the account's `used` is counted, because the gateway does not count what the key uses."""
        return self._key.used == 0 and bool(self._account.risen)

    def new_doubt(self) -> CountingDoubt | None:
        """Return why the amount that is counted may not be what was spent; each reason only once."""
        doubt = None
        if self.counts_account:
            doubt = CountingDoubt.ACCOUNT_COUNTS
        elif self._key.used and not self._key.risen and self._rises_alone >= LOOKS_THAT_DOUBT:
            doubt = CountingDoubt.KEY_STANDS_STILL
        if doubt in self._doubts:
            return None
        if doubt is not None:
            self._doubts.add(doubt)
        return doubt

    @property
    def is_blind(self) -> bool:
        """Whether the last look did not show what the limits need."""
        return self._blind_since is not None

    @property
    def rate(self) -> float | None:
        """What is spent in a second; None until some spending was seen."""
        return self._counted.amount.rate

    @property
    def _counted(self) -> _Meter:
        return self._account if self.counts_account else self._key

    def stop(self, now: float) -> StoppedBy | None:
        """Return why the command must be stopped, or None."""
        limits, spent = self._limits, self.spent
        if self._must_pay:
            return StoppedBy.PAYMENT_REQUIRED
        if limits.min is not None and self._left is not None and self._left < limits.min:
            return StoppedBy.MIN
        if limits.max_spend is not None and spent is not None and spent >= limits.max_spend:
            return StoppedBy.MAX_SPEND
        if self._ends_too_soon:
            return StoppedBy.MIN_RUNWAY
        if self._blind_since is None or self.max_blind is None:
            return None
        left = self._seconds_left(now)
        is_assumed = left is not None and left <= 0
        return StoppedBy.BLIND if is_assumed or now - self._blind_since >= self.max_blind else None

    def next_look(self) -> float:
        """Return when to look again. There was a first look before."""
        assert self._looked_at is not None, "the first look comes before the start"
        if self._interval is not None:
            pause = self._interval
        else:
            left = self._seconds_left(self._looked_at)
            ahead = LEAST_INTERVAL if left is None else left / LOOKS_AHEAD
            pause = min(max(ahead, LEAST_INTERVAL), MOST_INTERVAL)
        return max(self._looked_at + pause, self.rests_until)

    def _seconds_left(self, now: float) -> float | None:
        """Return in how many seconds a limit is reached if spending goes on as before; None if that is not known."""
        found: list[float | None] = []
        spent, use = self.spent, self._counted.amount
        with localcontext(EXACT):
            if self._limits.max_spend is not None and spent is not None:
                headroom = self._limits.max_spend - spent
                found.append(use.seconds_to_rise(headroom, rate=use.rate, now=now))
            if self._limits.min is not None and self._fall.latest is not None:
                headroom = -self._fall.latest - self._limits.min
                # Others may spend from an account, too; and after a top-up only the rise of `used` shows the spending.
                rate = max((each.rate for each in (use, self._fall) if each.rate is not None), default=None)
                found.append(self._fall.seconds_to_rise(headroom, rate=rate, now=now))
        return min((seconds for seconds in found if seconds is not None), default=None)
