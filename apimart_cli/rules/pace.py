"""The pace of asking again and again: when a profile is asked next. Pure: no I/O, and no clock of its own."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from apimart_cli.errors import longest_retry_after
from apimart_cli.rules.balance import Reading

LEAST_INTERVAL = 5.0
"""Least seconds between two questions."""

MOST_BACK_OFF = 300.0
"""Seconds to which the pause grows after failures, unless the interval itself is longer."""

JITTER = 0.5
"""How much longer than planned a pause may be, so that clients that failed together come back one by one."""

_MOST_DOUBLINGS = 20


class Moment(NamedTuple):
    """One moment on two clocks, in seconds since any time."""

    steady: float
    """A clock that never steps, but may stand still while the machine sleeps."""
    wall: float
    """A clock that goes on while the machine sleeps, but may be set to any time."""

    def after(self, seconds: float) -> "Moment":
        """Return the moment so many seconds later."""
        return Moment(self.steady + seconds, self.wall + seconds)

    def seconds_until(self, later: "Moment") -> float:
        """Return in how many seconds `later` comes, by the clock that is nearer to it; never less than 0.

        So a clock that was set back delays nothing, and what became due while the machine slept is due at once.
        """
        return max(0.0, min(later.steady - self.steady, later.wall - self.wall))


class Pace:
    """When one profile is asked next."""

    def __init__(self, interval: float, *, dice: Callable[[], float]) -> None:
        """Ask every `interval` seconds. `dice` returns numbers from 0 to 1."""
        self._interval = interval
        self._dice = dice
        self._next: Moment | None = None
        self.failures = 0
        """How many questions in a row were not answered."""

    def take(self, readings: Sequence[Reading], *, asked: Moment, now: Moment) -> None:
        """Take note of the readings of questions that were asked at a moment, one for each scope.

        One balance among them counts as an answer, unless the gateway asked for a pause.
        """
        retry_after = longest_retry_after(each.error for each in readings)
        if retry_after is None and any(each.balance for each in readings):
            self.answered(asked)
        else:
            self.failed(now, retry_after=retry_after)

    def answered(self, asked: Moment) -> None:
        """Take note of an answer to a question that was asked at that moment."""
        self.failures = 0
        self._next = asked.after(self._interval)

    def failed(self, now: Moment, *, retry_after: float | None = None) -> None:
        """Take note of a failure, with which the gateway may have asked for a pause of so many seconds."""
        self.failures += 1
        longest = max(self._interval, MOST_BACK_OFF)
        pause = min(self._interval * 2.0 ** min(self.failures - 1, _MOST_DOUBLINGS), longest)
        pause *= 1 + JITTER * self._dice()
        self._next = now.after(max(pause, retry_after or 0.0))

    def seconds_left(self, now: Moment) -> float:
        """Return in how many seconds the next question is due."""
        return 0.0 if self._next is None else now.seconds_until(self._next)

    def is_due(self, now: Moment, *, early: float = 0.0) -> bool:
        """Tell whether the next question is due; after an answer, up to `early` seconds before its time."""
        return self.seconds_left(now) <= (0.0 if self.failures else early)
