"""What is being asked now, and when each of it is over, whatever it is doing. Pure: no I/O, no clock."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from apimart_cli.exporter.workers import Visit

T = TypeVar("T")

GRACE = 0.25
"""Seconds for a thread to say itself that its time is over: it knows more of why than who looks at the clock."""


class UnderWay(Generic[T]):
    """The visits under way, each with what belongs to it. Used by one thread alone, but for `is_at_key`."""

    def __init__(self) -> None:
        self._visits: dict[Visit, T] = {}
        self._ends: list[tuple[float, int, Visit]] = []
        self._numbers = count()

    def add(self, visit: Visit, belonging: T) -> None:
        """Take note of one that has begun."""
        self._visits[visit] = belonging
        self._put(visit)

    def end(self, visit: Visit) -> T | None:
        """Take note of the end of one; return what belongs to it, or None where it was given up before."""
        return self._visits.pop(visit, None)

    def overdue(self, now: float) -> Iterator[tuple[Visit, T]]:
        """Take out those whose time is over, and give them with what belongs to them."""
        while self._ends and self._ends[0][0] <= now:
            _, _, visit = heappop(self._ends)
            if visit not in self._visits:
                continue
            if visit.ends_at + GRACE > now:
                # The next question of the same visit has a time of its own.
                self._put(visit)
            else:
                yield visit, self._visits.pop(visit)

    def next_at(self) -> float | None:
        """Return when the next one is over, or earlier; None without any."""
        return self._ends[0][0] if self._ends else None

    def belongings(self) -> list[T]:
        """Return what belongs to all of them."""
        return list(self._visits.values())

    @property
    def is_at_key(self) -> bool:
        """Whether the source of any key may be at work. In any thread."""
        return any(visit.is_at_key for visit in list(self._visits))

    def _put(self, visit: Visit) -> None:
        heappush(self._ends, (visit.ends_at + GRACE, next(self._numbers), visit))
