"""Asking for many profiles, for weeks: each at its own pace, and no gateway in the way of another.

One thread keeps the plan, and each gateway has threads of its own that ask it.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from apimart_cli.config.settings import Settings
from apimart_cli.errors import NO_THREAD_HINT, Trace, UsageError
from apimart_cli.exporter.plan import (
    Dice,
    FirstRound,
    Host,
    Plan,
    PlannedProfile,
    UnderWay,
    asks_the_same,
    failed,
    not_asked_yet,
)
from apimart_cli.exporter.workers import Garbage, Visit, Workers
from apimart_cli.gateway.client import STOP_PAUSE, STOP_SECONDS
from apimart_cli.processes.signals import held_back
from apimart_cli.rules.balance import Reading

LONGEST_WAIT = 1.0
"""Most seconds to wait at a stretch."""

AT_A_STRETCH = 100
"""Most profiles of a gateway that is down that fail at a stretch."""

Taken = Callable[[Settings, Sequence[Reading]], None]
"""Takes what came of asking for a profile: one reading for each scope."""


class Asking:
    """All profiles, from `start` to `close`."""

    def __init__(
        self,
        *,
        interval: float,
        least: float,
        concurrency: int,
        taken: Taken,
        completed: Callable[[], None],
        trace: Trace | None = None,
        dice: Dice = random.random,
    ) -> None:
        """Ask each profile every `interval` seconds, each gateway for `concurrency` of them at once at most.

        `taken` and `completed` are called by one thread alone, the latter after each profile was asked once, and was
        answered or failed.
        """
        self._interval = interval
        self._concurrency = concurrency
        self._taken = taken
        self._completed = completed
        self._trace = trace
        self._plan = Plan(interval, least, dice)
        self._profiles: dict[str, PlannedProfile] = {}
        self._lines: dict[str, _Line] = {}
        self._under_way: UnderWay[tuple[PlannedProfile, _Line]] = UnderWay()
        self._events: SimpleQueue[Callable[[float], None]] = SimpleQueue()
        self._first = FirstRound(ends_at=0.0)
        self._garbage = Garbage()
        self._is_closed = False
        self.error: Exception | None = None
        """The bug that has ended it."""

    def start(self, profiles: Sequence[Settings]) -> None:
        """Begin to ask. Raises UsageError where the system starts no thread."""
        timeout = max((each.timeout.value * len(each.targets()) for each in profiles), default=0.0)
        now = time.monotonic()
        self._first = FirstRound(ends_at=now + self._interval + timeout)
        self._replace(profiles, now)
        try:
            with held_back():
                threading.Thread(target=self._run, name="apimart-plan", daemon=True).start()
        except RuntimeError:
            raise UsageError("nothing can be asked: the system starts no thread", NO_THREAD_HINT) from None

    def replace(self, profiles: Sequence[Settings], *, before: Callable[[], None]) -> None:
        """Ask for these from now on. One whose question is the same as before keeps its pace.

        `before` is called first, by the thread that calls `taken`.
        """

        def replace(now: float) -> None:
            before()
            self._replace(profiles, now)

        self._events.put(replace)

    def close(self) -> None:
        """Ask no more, and wait a moment until the sources of keys have stopped what they run.

        Takes no lock: a signal may call it.
        """
        self._is_closed = True
        for line in list(self._lines.values()):
            line.workers.close()
        give_up_at = time.monotonic() + STOP_SECONDS
        while self._under_way.is_at_key and time.monotonic() < give_up_at:
            time.sleep(STOP_PAUSE)

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._go_on()
        except Exception as error:  # noqa: BLE001  # told by whoever waits for the end
            self.error = error

    def _go_on(self) -> None:
        now = time.monotonic()
        self._start_due(now)
        self._give_up_overdue(now)
        self._end_first_round(now)
        self._garbage.collect(now)
        with suppress(Empty):
            self._events.get(timeout=self._seconds_to_next())(time.monotonic())
            while True:
                self._events.get_nowait()(time.monotonic())

    def _seconds_to_next(self) -> float:
        moments = (self._plan.next_at(), self._under_way.next_at())
        at = min((moment for moment in moments if moment is not None), default=None)
        return LONGEST_WAIT if at is None else max(0.0, min(LONGEST_WAIT, at - time.monotonic()))

    def _start_due(self, now: float) -> None:
        lines = set[_Line]()
        while (asked := self._plan.due(now)) is not None:
            line = self._lines[asked.host]
            line.waiting.append(asked)
            lines.add(line)
        for line in lines:
            self._start_waiting(line, now)

    def _start_waiting(self, line: "_Line", now: float) -> None:
        """Start what fits; where the gateway is down, that is one question, and the others fail with it."""
        host, workers, spared = line.host, line.workers, 0
        while line.waiting and (host.is_down or not workers.are_busy):
            if host.is_in_doubt and not workers.are_idle:
                return
            asked = line.waiting.popleft()
            if not asked.is_current:
                continue
            if host.is_down and (workers.are_busy or not host.may_be_asked(now)):
                self._plan.skip(asked, now)
                self._note(asked, failed(asked.settings, host.failure()))
                spared += 1
                if spared >= AT_A_STRETCH:
                    # Others have their turn between these.
                    self._events.put(lambda later: self._start_waiting(line, later))
                    return
                continue
            visit = workers.give(asked.settings)
            if visit is not None:
                self._under_way.add(visit, (asked, line))
            elif workers.are_idle:
                error = UsageError("nothing can be asked: the system starts no thread", NO_THREAD_HINT)
                self._finish(asked, failed(asked.settings, error), now)
            else:
                line.waiting.appendleft(asked)
                return

    def _ended(self, visit: Visit, readings: list[Reading], now: float) -> None:
        """Take what came of a visit, unless it was given up."""
        belonging = self._under_way.end(visit)
        if belonging is not None:
            asked, line = belonging
            line.workers.ended()
            self._settle(visit, asked, line, readings, now)

    def _give_up_overdue(self, now: float) -> None:
        """Wait no more for what hangs where no time limit reaches, like the look-up of a name."""
        for visit, (asked, line) in self._under_way.overdue(now):
            line.workers.give_up(visit)
            self._settle(visit, asked, line, visit.overdue(), now)

    def _settle(
        self, visit: Visit, asked: PlannedProfile, line: "_Line", readings: Sequence[Reading], now: float
    ) -> None:
        is_back = [line.host.take(reading, now, visit.began_at) for reading in readings]
        self._finish(asked, readings, now)
        if any(is_back):
            busy = {other for other, _ in self._under_way.belongings()}
            for other in line.profiles - busy - {asked}:
                if other.pace.failures:
                    self._plan.hurry(other, now)
        self._start_waiting(line, now)

    def _finish(self, asked: PlannedProfile, readings: Sequence[Reading], now: float) -> None:
        if asked.is_current:
            self._plan.take(asked, readings, now)
            self._note(asked, readings)

    def _note(self, asked: PlannedProfile, readings: Sequence[Reading]) -> None:
        self._taken(asked.settings, readings)
        self._first.saw(asked)

    def _end_first_round(self, now: float) -> None:
        """Tell when it is over; who was not even asked by then counts as failed until it is."""
        missing = self._first.end(now)
        if missing is not None:
            for asked in missing:
                self._note(asked, failed(asked.settings, not_asked_yet(asked)))
            self._completed()

    def _replace(self, profiles: Sequence[Settings], now: float) -> None:
        before, self._profiles = self._profiles, {}
        for settings in profiles:
            name = settings.profile.value
            known = before.get(name)
            if known is not None and asks_the_same(known.settings, settings):
                known.settings = settings
                self._profiles[name] = before.pop(name)
            else:
                self._profiles[name] = self._add(settings, now)
        for gone in before.values():
            self._remove(gone)

    def _add(self, settings: Settings, now: float) -> PlannedProfile:
        asked = self._plan.begin(settings, now)
        if asked.host not in self._lines:
            workers = Workers(self._concurrency, self._arrived, self._trace)
            self._lines[asked.host] = _Line(workers)
        self._lines[asked.host].profiles.add(asked)
        self._first.add(asked)
        return asked

    def _remove(self, asked: PlannedProfile) -> None:
        asked.is_current = False
        self._first.saw(asked)
        line = self._lines[asked.host]
        line.profiles.discard(asked)
        if not line.profiles:
            self._lines.pop(asked.host).workers.close()

    def _arrived(self, visit: Visit, readings: list[Reading]) -> None:
        self._events.put(lambda now: self._ended(visit, readings, now))


class _Line:
    """One gateway: who asks it, whose turn it is, and whether it is worth asking."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.host = Host()
        self.profiles: set[PlannedProfile] = set()
        self.waiting: deque[PlannedProfile] = deque()
