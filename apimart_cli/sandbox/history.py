"""A made-up past for the sandbox: days of bursts, nights, weekends and a top-up, which end at given amounts.

Pure and deterministic: the same seed and amounts give the same past.
"""

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple

from apimart_cli.sandbox.scenario import Funds

_EVERY = timedelta(minutes=30)
_TOP_UP = Decimal(10)


class Past(NamedTuple):
    """What was read at one moment. Amounts are in the gateway's unit; `remain` None means unlimited."""

    at: datetime
    remain: Decimal | None
    used: Decimal


def past(end: datetime, funds: Funds, days: int, *, seed: int = 1) -> list[Past]:
    """Return readings of so many days up to `end`, about every half hour; the last one is exactly `funds`, at `end`.

    All that is used was used in these days, in bursts. A limited balance was topped up once, half-way.
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
        # The first reading is not moved: so many whole days are there to be seen.
        moved = timedelta(seconds=0 if number == count else dice.randrange(-600, 600))
        yield (end - number * _EVERY + moved).replace(microsecond=end.microsecond)
    yield end


def _levels(moments: list[datetime], used: Decimal, dice: random.Random) -> list[Decimal]:
    """Return what was used at each moment: from 0 to `used`, never falling."""
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
