"""How the sandbox behaves: its amounts, its failures, and a made-up past that ends at the amounts.

Pure: no I/O. The same seed and amounts give the same past.
"""

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

_PLACES = Decimal("0.000001")

_EVERY = timedelta(minutes=30)
"""Time between two readings of the past."""

_TOP_UP = Decimal(10)
"""Most that the top-up of the past adds."""


class Fault(StrEnum):
    """The failures that can be rehearsed."""

    UNAUTHORIZED = "unauthorized"
    UNKNOWN_KEY = "unknown-key"
    PAYMENT_REQUIRED = "payment-required"
    RATE_LIMIT = "rate-limit"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    HTML = "html"
    USAGE_UNAVAILABLE = "usage-unavailable"
    """The books cannot be asked just now."""
    USAGE_MISSING = "usage-missing"
    """There are no books."""
    USAGE_WRONG_TOTAL = "usage-wrong-total"
    """The books contradict themselves."""

    @property
    def is_of_books(self) -> bool:
        """Whether the balance is answered all the same."""
        return self.value.startswith("usage-")


class Funds(NamedTuple):
    """What a key or an account has. Amounts are in the gateway's unit; `remain` None means unlimited."""

    remain: Decimal | None
    used: Decimal

    def after(self, spent: Decimal) -> "Funds":
        """Return the funds after `spent`. A limited balance ends at zero, and no more than it had is spent."""
        if self.remain is None:
            return Funds(None, self.used + spent)
        spent = min(spent, self.remain)
        return Funds(self.remain - spent, self.used + spent)


class Move(NamedTuple):
    """Money that comes in: a top-up adds to what is left. A refund also takes as much from what is used."""

    amount: Decimal
    after: float
    """Seconds from the start."""
    is_refund: bool = False


class Scenario(NamedTuple):
    """How the sandbox behaves. The defaults are the amounts of the gateway's own documentation."""

    key: Funds = Funds(Decimal("10.5"), Decimal("2.3"))
    account: Funds = Funds(Decimal("100.0"), Decimal("25.5"))
    burn: Decimal = Decimal(0)
    """Amount spent each second."""
    lag: float = 0.0
    """Seconds between two bookings: what was spent is seen late, and all at once."""
    moves: tuple[Move, ...] = ()
    """Top-ups and refunds, for the key and the account alike."""
    latency: float = 0.0
    """Seconds before each answer."""
    fault: Fault | None = None
    fault_after: float = 0.0
    """Seconds from the start to the fault."""
    fault_for: float | None = None
    """Seconds that the fault lasts; None for ever."""
    retry_after: float = 1.0
    """The `Retry-After` of a rate limit, in seconds."""
    days: int = 0
    """How many days before the start are in the books."""

    def fault_at(self, elapsed: float) -> Fault | None:
        """Return the failure at that time, in seconds from the start; None if there is none."""
        begun = elapsed - self.fault_after
        is_over = self.fault_for is not None and begun >= self.fault_for
        return self.fault if begun >= 0 and not is_over else None

    def funds_at(self, funds: Funds, elapsed: float) -> Funds:
        """Return what is left of `funds` at that time, in seconds from the start."""
        seconds = elapsed - elapsed % self.lag if self.lag else elapsed
        spent = (self.burn * Decimal(seconds)).quantize(_PLACES).normalize() if self.burn else Decimal(0)
        came = [move for move in self.moves if move.after <= elapsed]
        added = sum((move.amount for move in came if not move.is_refund), Decimal(0))
        given_back = sum((move.amount for move in came if move.is_refund), Decimal(0))
        # A sum with zero would keep the value of an amount, but change its digits.
        if added and funds.remain is not None:
            funds = funds._replace(remain=funds.remain + added)
        funds = funds.after(spent) if spent else funds
        if not given_back:
            return funds
        return Funds(None if funds.remain is None else funds.remain + given_back, funds.used - given_back)


class Past(NamedTuple):
    """A reading of the past. Amounts are in the gateway's unit; `remain` None means unlimited."""

    at: datetime
    remain: Decimal | None
    used: Decimal


def past(end: datetime, funds: Funds, days: int, *, seed: int = 1) -> list[Past]:
    """Return readings of `days` days, about one each half hour. The last one is at `end`, and is exactly `funds`.

    Everything that is used was used in these days: in bursts, less at night and on weekends. A limited balance was
    topped up once, half-way.
    """
    dice = random.Random(seed)  # noqa: S311  # the same dice each time is the point
    moments = list(_moments(end, days, dice))
    half = len(moments) // 2
    with localcontext(prec=60):
        return [
            Past(at, None if funds.remain is None else _remain(funds, used, topped_up=place >= half), used)
            for place, (at, used) in enumerate(zip(moments, _levels(moments, funds.used, dice), strict=True))
        ]


def _moments(end: datetime, days: int, dice: random.Random) -> Iterator[datetime]:
    count = days * (timedelta(days=1) // _EVERY)
    for number in range(count, 0, -1):
        # The first reading is not moved, so that the past has that many whole days.
        moved = timedelta(seconds=0 if number == count else dice.randrange(-600, 600))
        yield (end - number * _EVERY + moved).replace(microsecond=end.microsecond)
    yield end


def _levels(moments: list[datetime], used: Decimal, dice: random.Random) -> list[Decimal]:
    """Return what was used by each moment: it rises from 0 to `used`, and never falls."""
    total, totals, busy = 0.0, [0.0], False
    for moment in moments[1:]:
        busy = dice.random() < (0.75 if busy else 0.2)
        night, weekend = moment.hour < 7, moment.weekday() >= 5
        if busy:
            total += math.exp(dice.gauss(0, 0.8)) * (0.1 if night else 1) * (0.3 if weekend else 1)
        totals.append(total)
    levels = [(used * Decimal(round(each / (total or 1), 12))).quantize(_PLACES) for each in totals]
    return [*[min(level, used) for level in levels[:-1]], used]


def _remain(funds: Funds, used: Decimal, *, topped_up: bool) -> Decimal:
    remain = (funds.remain or Decimal(0)) + funds.used - used
    return remain if topped_up else remain - min(_TOP_UP, funds.remain or Decimal(0))
