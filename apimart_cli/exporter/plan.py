"""What an exporter asks when, and what it knows of that: the plan, the first round, each gateway, questions under way.

Pure: no I/O, and no clock. Times are in seconds by a clock that never steps.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, TypeVar

from apimart_cli.config.settings import Settings
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    longest_retry_after,
)
from apimart_cli.exporter.workers import Visit
from apimart_cli.keys.key import GivenKey
from apimart_cli.keys.sources import KeyCommand
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import JITTER, MOST_BACK_OFF, Moment, Pace

SILENT_AFTER = 5
"""Questions in a row without an answer, and none answered meanwhile, after which a gateway counts as down."""

PROBE_EVERY = 5.0
"""Least seconds between two questions to a gateway that is down."""

GRACE = 0.25
"""Seconds that a thread has to say itself that its time is over: it knows better why."""

T = TypeVar("T")

Dice = Callable[[], float]
"""Returns a number from 0 to 1."""


class PlannedProfile:
    """One profile that is asked again and again."""

    def __init__(self, settings: Settings, pace: Pace) -> None:
        self.settings = settings
        self.host = settings.targets()[0].host
        self.pace = pace
        self.due = 0.0
        self.quiet_until = 0.0
        """Until when the gateway wants no question for it."""
        self.was_answered = False
        self.is_current = True
        """Whether it is still in the settings."""
        self.turn = 0
        """The number of its entry in the plan; its other entries are old."""


class Plan:
    """Says which profile is due. They are spread over the interval: thousands are not asked in the same second."""

    def __init__(self, interval: float, least: float, dice: Dice) -> None:
        """Ask for each every `interval` seconds; never twice within `least`, once it was answered."""
        self._interval = interval
        self._least = min(least, interval)
        self._dice = dice
        self._heap: list[tuple[float, int, int, PlannedProfile]] = []
        self._numbers = count()

    def begin(self, settings: Settings, now: float) -> PlannedProfile:
        """Add a profile, which is due now."""
        profile = PlannedProfile(settings, self._pace())
        self._put(profile, now)
        return profile

    def due(self, now: float) -> PlannedProfile | None:
        """Take out the next profile that is due; None if there is none."""
        while self._heap and self._heap[0][0] <= now:
            _, _, turn, profile = heappop(self._heap)
            if profile.is_current and profile.turn == turn:
                return profile
        return None

    def next_at(self) -> float | None:
        """Return when the next one is due, or an earlier moment; None if there is no profile."""
        return self._heap[0][0] if self._heap else None

    def take(self, profile: PlannedProfile, readings: Sequence[Reading], now: float) -> None:
        """Note the readings of a profile, and plan its next time."""
        # A profile that was kept waiting keeps its place in the interval, unless it has missed a whole one.
        began = profile.due if now - profile.due < self._interval else now
        if not profile.was_answered and any(each.balance for each in readings):
            began = self._before_its_turn(now)
            profile.was_answered = True
        profile.quiet_until = now + (longest_retry_after(each.error for each in readings) or 0.0)
        profile.pace.take(readings, asked=_moment(began), now=_moment(now))
        self._put(profile, now + profile.pace.seconds_left(_moment(now)))

    def skip(self, profile: PlannedProfile, now: float) -> None:
        """Plan the next time of a profile that was skipped; not all at once, as one of them has to find out."""
        self._put(profile, max(profile.due, now) + self._interval * (1 + JITTER * self._dice()))

    def hurry(self, profile: PlannedProfile, now: float) -> None:
        """Forget the failures of a profile, as its gateway answers again, and ask for it within the interval.

        If the gateway wanted no question until later, it is asked then.
        """
        profile.pace = self._pace()
        self._put(profile, max(profile.quiet_until, now + self._interval * self._dice()))

    def _pace(self) -> Pace:
        return Pace(self._interval, dice=self._dice)

    def _before_its_turn(self, now: float) -> float:
        """Return a start for the first interval that makes the second question come at a random time of the next one.

        It keeps that place. So profiles that were first asked together are spread.
        """
        return now + self._least + (self._interval - self._least) * self._dice() - self._interval

    def _put(self, profile: PlannedProfile, at: float) -> None:
        profile.due = at
        profile.turn += 1
        heappush(self._heap, (at, next(self._numbers), profile.turn, profile))


class FirstRound:
    """The profiles that were not answered yet and have not failed yet."""

    def __init__(self, *, ends_at: float) -> None:
        """The round is over at `ends_at` at the latest: a slow gateway does not delay the others."""
        self._missing = set[PlannedProfile]()
        self._ends_at = ends_at
        self.is_over = False

    def add(self, profile: PlannedProfile) -> None:
        """Wait for one more profile, unless the round is over."""
        if not self.is_over:
            self._missing.add(profile)

    def saw(self, profile: PlannedProfile) -> None:
        """Note that a profile was answered, has failed, or is no longer in the settings."""
        self._missing.discard(profile)

    def end(self, now: float) -> list[PlannedProfile] | None:
        """Return once, when the round is over, the profiles that are missing; None before and afterwards."""
        if self.is_over or (self._missing and now < self._ends_at):
            return None
        self.is_over = True
        return list(self._missing)


class Host:
    """One gateway as its answers show it: whether it is worth asking.

    One that is down gets one question at a time: thousands of others would each wait for their whole time limit, and
    find the same.
    """

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
        """Whether the last question was not answered. Those under way will tell; more would only wait, too."""
        return 0 < self._silent < SILENT_AFTER

    def may_be_asked(self, now: float) -> bool:
        """Tell whether a question may be sent now. If it is down, that question finds out: it counts as sent."""
        if not self.is_down:
            return True
        if self._is_probing or now < self._quiet_until:
            return False
        self._is_probing = True
        return True

    def failure(self) -> UnavailableError:
        """Return why a question is not sent."""
        why = self._latest.message if self._latest is not None else "no answer"
        return UnavailableError(f"skipped: this gateway is not answering: {why}", "look at the gateway first")

    def take(self, reading: Reading, now: float, began: float) -> bool:
        """Note the reading of a question that began at `began`; return whether the gateway is back after it was down.

        If other questions were answered since it began, the gateway is there, and silent to this one alone.
        """
        was_down, self._is_probing = self.is_down, False
        match reading.error:
            case UnavailableError(is_silence=True) as silence:
                self._silent += began >= self._answered_at
                self._latest = silence
                # `Retry-After` is obeyed by the key that got it. It may not be meant for the others: one finds out.
                self._quiet_until = now + max(PROBE_EVERY, min(silence.retry_after or 0.0, MOST_BACK_OFF))
            case None | UnavailableError() | PaymentRequiredError() | BadResponseError():
                self._silent, self._answered_at = 0, now
            case AuthError(rejection=said) if said is not None:
                self._silent, self._answered_at = 0, now
        return was_down and not self.is_down


class UnderWay(Generic[T]):
    """The visits under way, each with an object of the caller. One thread uses it, but for `is_at_key`."""

    def __init__(self) -> None:
        self._visits: dict[Visit, T] = {}
        self._ends: list[tuple[float, int, Visit]] = []
        self._numbers = count()

    def add(self, visit: Visit, belonging: T) -> None:
        """Add a visit that has begun."""
        self._visits[visit] = belonging
        self._put(visit)

    def end(self, visit: Visit) -> T | None:
        """Remove a visit that has ended; return its object, or None if it was given up before."""
        return self._visits.pop(visit, None)

    def overdue(self, now: float) -> Iterator[tuple[Visit, T]]:
        """Remove the visits that are over time, and yield each with its object."""
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
        """Return when the next visit is over time, or an earlier moment; None if there is no visit."""
        return self._ends[0][0] if self._ends else None

    def belongings(self) -> list[T]:
        """Return the objects of all visits."""
        return list(self._visits.values())

    @property
    def is_at_key(self) -> bool:
        """Whether any visit may be waiting for its key. In any thread."""
        return any(visit.is_at_key for visit in list(self._visits))

    def _put(self, visit: Visit) -> None:
        heappush(self._ends, (visit.ends_at + GRACE, next(self._numbers), visit))


def asks_the_same(one: Settings, other: Settings) -> bool:
    """Tell whether two settings of a profile make the same questions, to the same host, with the same key.

    Keys of the same command, or of the keyring, count as the same: they are not known before they are asked for.
    """

    def question(settings: Settings) -> tuple[object, ...]:
        key = settings.api_key
        key_id = key.value.key_id if isinstance(key.value, GivenKey) else None
        command = key.value.command if isinstance(key.value, KeyCommand) else None
        place = settings.base_url.value, settings.scope.value, settings.unit.value
        return *place, type(key.value), key_id, command, key.source

    return question(one) == question(other)


def failed(settings: Settings, error: ApimartError) -> list[Reading]:
    """Return the readings of a profile, all failed with `error`."""
    return [
        Reading(target.profile, target.scope, target.unit, error, target.api_key.key_id, target.host)
        for target in settings.targets()
    ]


def not_asked_yet(profile: PlannedProfile) -> UnavailableError:
    """Return why there is no reading of a missing profile."""
    return UnavailableError(
        f"not asked yet: {profile.host} is too slow for so many keys", "raise --concurrency or --interval"
    )


def _moment(at: float) -> Moment:
    return Moment(at, at)
