"""The pace of asking again and again: when a profile is asked next. Pure: no I/O, and no clock of its own."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from apimart_cli.errors import longest_retry_after
from apimart_cli.rules.balance import Reading

LEAST_INTERVAL = 5.0
"""Seconds between two questions, at the least."""

MOST_BACK_OFF = 300.0
"""Seconds to which the pause grows after failures, where the interval itself is not longer."""

JITTER = 0.5
"""How much longer than planned a pause after a failure may be: clients that failed together come back one by one."""

_MOST_DOUBLINGS = 20


class Moment(NamedTuple):
    """One moment on two clocks, in seconds whose zero means nothing."""

    steady: float
    """Never steps, and may stand still while the machine sleeps."""
    wall: float
    """Goes on while the machine sleeps, and may be set to anything."""

    def after(self, seconds: float) -> "Moment":
        """Return the moment so many seconds later."""
        return Moment(self.steady + seconds, self.wall + seconds)

    def seconds_until(self, later: "Moment") -> float:
        """Return in how many seconds `later` comes, by the clock that is nearer to it; never less than 0.

        A clock that was set back keeps nobody waiting, and after a sleep what was due meanwhile is due at once.
        """
        return max(0.0, min(later.steady - self.steady, later.wall - self.wall))


class Pace:
    """When one profile is asked next."""

    def __init__(self, interval: float, *, dice: Callable[[], float]) -> None:
        """Ask every `interval` seconds; `dice` gives numbers from 0 to 1."""
        self._interval = interval
        self._dice = dice
        self._next: Moment | None = None
        self.failures = 0
        """How many questions in a row were not answered."""

    def take(self, readings: Sequence[Reading], *, asked: Moment, now: Moment) -> None:
        """Take note of what came of the questions of that moment, one for each scope.

        One balance among them is an answer, unless the gateway asked for a pause.
        """
        retry_after = longest_retry_after(each.error for each in readings)
        if retry_after is None and any(each.balance for each in readings):
            self.answered(asked)
        else:
            self.failed(now, retry_after=retry_after)

    def answered(self, asked: Moment) -> None:
        """Take note of an answer to the question of that moment."""
        self.failures = 0
        self._next = asked.after(self._interval)

    def failed(self, now: Moment, *, retry_after: float | None = None) -> None:
        """Take note of a failure, after which the gateway may have asked to be left alone for so many seconds."""
        self.failures += 1
        longest = max(self._interval, MOST_BACK_OFF)
        pause = min(self._interval * 2.0 ** min(self.failures - 1, _MOST_DOUBLINGS), longest)
        pause *= 1 + JITTER * self._dice()
        self._next = now.after(max(pause, retry_after or 0.0))

    def seconds_left(self, now: Moment) -> float:
        """Return in how many seconds it is to be asked."""
        return 0.0 if self._next is None else now.seconds_until(self._next)

    def is_due(self, now: Moment, *, early: float = 0.0) -> bool:
        """Tell whether it is to be asked now; where it answered, up to `early` seconds before its time."""
        return self.seconds_left(now) <= (0.0 if self.failures else early)
