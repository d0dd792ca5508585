"""One gateway as its answers show it: whether it is worth asking. Pure: no I/O, and no clock of its own.

A gateway that does not answer is asked again by one question at a time: thousands of others would each wait for their
whole time limit, and find the same.

What is being asked now, and when each of it is over, whatever it is doing. Pure: no I/O, no clock.

What is asked when: the profiles of an exporter, each at its own pace. Pure: no I/O, and no clock of its own.

Times are in seconds by a clock that never steps.

The first round: whether each profile was asked once. Pure: no I/O, and no clock of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, AuthError, BadResponseError, PaymentRequiredError, UnavailableError
from apimart_cli.exporter.workers import Visit
from apimart_cli.keys.sources import KeyCommand
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import JITTER, MOST_BACK_OFF, Moment, Pace, pause_of

SILENT_AFTER = 5
"""After so many questions in a row without an answer, none of them answered meanwhile, a gateway counts as down."""

PROBE_EVERY = 5.0
"""Least seconds between two questions to a gateway that is down."""


class Host:
    """What is known of one gateway."""

    def __init__(self) -> None:
        self._silent = 0
        self._answered_at = -inf
        self._latest: UnavailableError | None = None
        self._quiet_until = 0.0
        self._is_probing = False

    @property
    def is_down(self) -> bool:
        """Whether it counts as down."""
        return self._silent >= SILENT_AFTER

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last question was not answered: those under way will tell, and more would wait as they do."""
        return 0 < self._silent < SILENT_AFTER

    def may_be_asked(self, now: float) -> bool:
        """Tell whether a question may be sent now; where it is down, that is the one to find out. Count it as sent."""
        if not self.is_down:
            return True
        if self._is_probing or now < self._quiet_until:
            return False
        self._is_probing = True
        return True

    def failure(self) -> UnavailableError:
        """Return why a question was not sent."""
        why = self._latest.message if self._latest is not None else "no answer"
        return UnavailableError(f"not asked, as it went with others: {why}", "look at the gateway first")

    def take(self, reading: Reading, now: float, began: float) -> bool:
        """Take note of what became of a question that began then; return whether the gateway is back after it was down.

        Where others were answered since it began, the gateway is there, and silent to that question alone.
        """
        was_down, self._is_probing = self.is_down, False
        match reading.error:
            case UnavailableError(was_told=False) as silence:
                self._silent += began >= self._answered_at
                self._latest = silence
                # A key waits for as long as it was told to; others may not be meant, and one of them has to find out.
                self._quiet_until = now + max(PROBE_EVERY, min(silence.retry_after or 0.0, MOST_BACK_OFF))
            case None | UnavailableError() | PaymentRequiredError() | BadResponseError():
                self._silent, self._answered_at = 0, now
            case AuthError(rejection=said) if said is not None:
                self._silent, self._answered_at = 0, now
        return was_down and not self.is_down


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


Dice = Callable[[], float]
"""Gives numbers from 0 to 1."""


class PlannedProfile:
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
        self._heap: list[tuple[float, int, int, PlannedProfile]] = []
        self._numbers = count()

    def begin(self, settings: Settings, now: float) -> PlannedProfile:
        """Return a profile that is due now."""
        asked = PlannedProfile(settings, self._pace())
        self._put(asked, now)
        return asked

    def due(self, now: float) -> PlannedProfile | None:
        """Take out the next profile that is due; None where none is."""
        while self._heap and self._heap[0][0] <= now:
            _, _, turn, asked = heappop(self._heap)
            if asked.is_current and asked.turn == turn:
                return asked
        return None

    def next_at(self) -> float | None:
        """Return when the next one is due, or earlier; None where none ever is."""
        return self._heap[0][0] if self._heap else None

    def take(self, asked: PlannedProfile, readings: Sequence[Reading], now: float) -> None:
        """Take note of what came of asking, and plan the next time."""
        # What was kept waiting keeps its place in the interval, unless it has missed a whole one.
        began = asked.due if now - asked.due < self._interval else now
        if not asked.was_answered and any(each.balance for each in readings):
            began = self._before_its_turn(now)
            asked.was_answered = True
        asked.quiet_until = now + (pause_of(readings) or 0.0)
        asked.pace.take(readings, asked=_moment(began), now=_moment(now))
        self._put(asked, now + asked.pace.seconds_left(_moment(now)))

    def skip(self, asked: PlannedProfile, now: float) -> None:
        """Plan the next time of one that was due and not asked; not all at once, as one of them has to find out."""
        self._put(asked, max(asked.due, now) + self._interval * (1 + JITTER * self._dice()))

    def hurry(self, asked: PlannedProfile, now: float) -> None:
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

    def _put(self, asked: PlannedProfile, at: float) -> None:
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


class FirstRound:
    """Who was not yet answered and has not yet failed."""

    def __init__(self, *, ends_at: float) -> None:
        """At `ends_at` it is over, whoever is missing: a slow gateway keeps nobody waiting for the others."""
        self._missing = set[PlannedProfile]()
        self._ends_at = ends_at
        self.is_over = False

    def add(self, asked: PlannedProfile) -> None:
        """Wait for one more, unless it is over."""
        if not self.is_over:
            self._missing.add(asked)

    def saw(self, asked: PlannedProfile) -> None:
        """Take note of one that was answered, failed, or went."""
        self._missing.discard(asked)

    def end(self, now: float) -> list[PlannedProfile] | None:
        """Return who is missing when it is over, once; None before and afterwards."""
        if self.is_over or (self._missing and now < self._ends_at):
            return None
        self.is_over = True
        return list(self._missing)


def not_asked_yet(asked: PlannedProfile) -> UnavailableError:
    """Return why there is no reading of one that is missing."""
    return UnavailableError(
        f"not asked yet: {asked.host} is too slow for so many keys", "raise --concurrency or --interval"
    )
