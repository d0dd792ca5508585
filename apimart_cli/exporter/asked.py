"""What is asked when: the profiles of an exporter, each at its own pace. Pure: no I/O, and no clock of its own.

Times are in seconds by a clock that never steps.
"""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count

from apimart_cli.balance import Reading
from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError
from apimart_cli.keys.command import KeyCommand
from apimart_cli.pace import JITTER, Moment, Pace, pause_of

Dice = Callable[[], float]
"""Gives numbers from 0 to 1."""


class Asked:
    """One profile that is asked again and again."""

    def __init__(self, settings: Settings, pace: Pace) -> None:
        self.settings = settings
        self.host = settings.targets()[0].host
        self.pace = pace
        self.due = 0.0
        self.quiet_until = 0.0
        """Until when the gateway asked to be left alone with it."""
        self.was_answered = False
        self.is_current = True
        """Whether it is still to be asked."""
        self.turn = 0
        """Which entry of the plan is about it; the others are old."""


class Plan:
    """Which profile is due next. Spread over the interval, so that thousands are not asked in the same second."""

    def __init__(self, interval: float, least: float, dice: Dice) -> None:
        """Ask each every `interval` seconds, and never twice within `least` once it has answered."""
        self._interval = interval
        self._least = min(least, interval)
        self._dice = dice
        self._heap: list[tuple[float, int, int, Asked]] = []
        self._numbers = count()

    def begin(self, settings: Settings, now: float) -> Asked:
        """Return a profile that is due now."""
        asked = Asked(settings, self._pace())
        self._put(asked, now)
        return asked

    def due(self, now: float) -> Asked | None:
        """Take out the next profile that is due; None where none is."""
        while self._heap and self._heap[0][0] <= now:
            _, _, turn, asked = heappop(self._heap)
            if asked.is_current and asked.turn == turn:
                return asked
        return None

    def next_at(self) -> float | None:
        """Return when the next one is due, or earlier; None where none ever is."""
        return self._heap[0][0] if self._heap else None

    def take(self, asked: Asked, readings: Sequence[Reading], now: float) -> None:
        """Take note of what came of asking, and plan the next time."""
        # What was kept waiting keeps its place in the interval, unless it has missed a whole one.
        began = asked.due if now - asked.due < self._interval else now
        if not asked.was_answered and any(each.balance for each in readings):
            began = self._before_its_turn(now)
            asked.was_answered = True
        asked.quiet_until = now + (pause_of(readings) or 0.0)
        asked.pace.take(readings, asked=_moment(began), now=_moment(now))
        self._put(asked, now + asked.pace.seconds_left(_moment(now)))

    def skip(self, asked: Asked, now: float) -> None:
        """Plan the next time of one that was due and not asked; not all at once, as one of them has to find out."""
        self._put(asked, max(asked.due, now) + self._interval * (1 + JITTER * self._dice()))

    def hurry(self, asked: Asked, now: float) -> None:
        """Forget the failures of a profile, whose gateway answers again, and ask it within the interval.

        Later, where the gateway has asked for that.
        """
        asked.pace = self._pace()
        self._put(asked, max(asked.quiet_until, now + self._interval * self._dice()))

    def _pace(self) -> Pace:
        return Pace(self._interval, dice=self._dice)

    def _before_its_turn(self, now: float) -> float:
        """Return a moment from which one interval leads to the second question, at any time of the next interval.

        From there on it keeps its place: those that were first asked together are spread.
        """
        return now + self._least + (self._interval - self._least) * self._dice() - self._interval

    def _put(self, asked: Asked, at: float) -> None:
        asked.due = at
        asked.turn += 1
        heappush(self._heap, (at, next(self._numbers), asked.turn, asked))


def _moment(at: float) -> Moment:
    return Moment(at, at)


def asks_the_same(one: Settings, other: Settings) -> bool:
    """Tell whether two settings of a profile make the same questions, to the same host, with the same key.

    What the same command or the keyring gives counts as the same: it is not known before it is asked.
    """

    def question(settings: Settings) -> tuple[object, ...]:
        key = settings.api_key
        kind, command = type(key.value), key.value.command if isinstance(key.value, KeyCommand) else None
        place = settings.base_url.value, settings.scope.value, settings.unit.value
        return *place, key.value.key_id, kind, command, key.source

    return question(one) == question(other)


def failed(settings: Settings, error: ApimartError) -> list[Reading]:
    """Return the readings of a profile that all failed with that."""
    return [
        Reading(target.profile, target.scope, target.unit, error, target.api_key.key_id, target.host)
        for target in settings.targets()
    ]
