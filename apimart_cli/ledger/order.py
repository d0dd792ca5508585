"""The order in which samples were written, where that is not the order of their times: a clock was wrong then.

A clock that was ahead leaves samples at times that come later; one that was behind leaves some among older ones. They
stay in the ledger, and are set aside: those that fit together on the most days are used. Which of two clocks was right
cannot be told otherwise, and one reading under a clock of 1970 must not set all others aside. Pure: no I/O, no clock.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

_DAY = 86_400
_WEIGHT = 1_000_000
"""What one day counts, shared by the samples that it has."""

Late = Mapping[int, tuple[int, int]]
"""By its time, for each sample that was written after a later one: the latest time there was then, and a number that
rises in the order of writing."""


def in_order(times: Sequence[int], late: Late) -> set[int]:
    """Return the times of samples that were all written in the order of their times, on as many days as possible."""
    written = sorted(times, key=lambda at: late.get(at, (at, 0)))
    counts = Counter((at // _DAY, at in late) for at in written)
    # The best chain that ends at each place. Of those that end early, only one that is worth less can be of use.
    ends, values, places = list[int](), list[int](), list[int]()
    before: list[int] = []
    for place, at in enumerate(written):
        start = bisect_left(ends, at)
        value = _WEIGHT // counts[at // _DAY, at in late] + (values[start - 1] if start else 0)
        before.append(places[start - 1] if start else -1)
        end = start
        while end < len(ends) and values[end] <= value:
            end += 1
        ends[start:end], values[start:end], places[start:end] = [at], [value], [place]
    kept = set[int]()
    place = places[-1] if places else -1
    while place >= 0:
        kept.add(written[place])
        place = before[place]
    return kept
