"""Asking for many profiles, for weeks: each at its own pace, and no gateway in the way of another.

One thread keeps the plan. Each gateway has its own threads that ask it.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from apimart_cli.config.settings import Settings
from apimart_cli.errors import Trace, no_thread
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
from apimart_cli.processes.signals import start_thread
from apimart_cli.rules.balance import Reading

LONGEST_WAIT = 1.0
"""Most seconds to wait for the next event."""

AT_A_STRETCH = 100
"""Most profiles that are skipped before other gateways have their turn."""

OnReadings = Callable[[Settings, Sequence[Reading]], None]
"""Takes the readings of a profile: one for each scope."""


class Asking:
    """Asks for all profiles, from `start` to `close`."""

    def __init__(
        self,
        *,
        interval: float,
        least: float,
        concurrency: int,
        on_readings: OnReadings,
        on_first_round: Callable[[], None],
        trace: Trace | None = None,
        dice: Dice = random.random,
    ) -> None:
        """Ask for each profile every `interval` seconds, and each gateway for at most `concurrency` of them at once.

        One thread calls both functions: `on_readings` after each question, `on_first_round` once, when each profile was
        answered or has failed.
        """
        self._interval = interval
        self._concurrency = concurrency
        self._on_readings = on_readings
        self._on_first_round = on_first_round
        self._trace = trace
        self._plan = Plan(interval, least, dice)
        self._profiles: dict[str, PlannedProfile] = {}
        self._gateways: dict[str, _Gateway] = {}
        self._under_way: UnderWay[tuple[PlannedProfile, _Gateway]] = UnderWay()
        self._events: SimpleQueue[Callable[[float], None]] = SimpleQueue()
        self._first = FirstRound(ends_at=0.0)
        self._garbage = Garbage()
        self._is_closed = False
        self.error: Exception | None = None
        """The bug that has ended the thread, if one has."""

    def start(self, profiles: Sequence[Settings]) -> None:
        """Begin to ask. Raises UsageError if the system starts no thread."""
        timeout = max((each.timeout.value * len(each.targets()) for each in profiles), default=0.0)
        now = time.monotonic()
        self._first = FirstRound(ends_at=now + self._interval + timeout)
        self._replace(profiles, now)
        if start_thread(self._run, "plan") is None:
            raise no_thread("nothing can be asked")

    def replace(self, profiles: Sequence[Settings], *, before: Callable[[], None]) -> None:
        """Ask for these profiles from now on. One that asks the same question as before keeps its pace.

        `before` is called first, by the thread that calls `on_readings`.
        """

        def replace(now: float) -> None:
            before()
            self._replace(profiles, now)

        self._events.put(replace)

    def close(self) -> None:
        """Ask no more, and wait a moment until the sources of keys have stopped what they run.

        It takes no lock, as a signal may call it.
        """
        self._is_closed = True
        for gateway in list(self._gateways.values()):
            gateway.workers.close()
        give_up_at = time.monotonic() + STOP_SECONDS
        while self._under_way.is_at_key and time.monotonic() < give_up_at:
            time.sleep(STOP_PAUSE)

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._go_on()
        except Exception as error:  # noqa: BLE001  # the main thread raises it
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
        gateways = set[_Gateway]()
        while (profile := self._plan.due(now)) is not None:
            gateway = self._gateways[profile.host]
            gateway.waiting.append(profile)
            gateways.add(gateway)
        for gateway in gateways:
            self._start_waiting(gateway, now)

    def _start_waiting(self, gateway: "_Gateway", now: float) -> None:
        """Go through the profiles that wait for a gateway, as far as that is possible now.

        The gateway    A profile that waits
        -----------    ---------------------------------------------------------------------
        answers        is asked, if a worker is free
        is in doubt    is asked, if no question is under way; else that question will tell
        is down        is asked, if it is time to find out whether it is back; else skipped
        """
        skipped = 0
        while (profile := gateway.take_waiting()) is not None:
            if gateway.may_ask(now):
                if not self._ask(profile, gateway, now):
                    gateway.waiting.appendleft(profile)
                    return
                continue
            self._skip(profile, gateway, now)
            skipped += 1
            if skipped >= AT_A_STRETCH:
                # The rest comes after the events that are waiting: those of other gateways.
                self._events.put(lambda later: self._start_waiting(gateway, later))
                return

    def _ask(self, profile: PlannedProfile, gateway: "_Gateway", now: float) -> bool:
        """Start to ask; False if the system starts no thread, and a worker that is busy will be free later."""
        visit = gateway.workers.give(profile.settings)
        if visit is not None:
            self._under_way.add(visit, (profile, gateway))
        elif gateway.workers.are_idle:
            self._finish(profile, failed(profile.settings, no_thread("nothing can be asked")), now)
        else:
            return False
        return True

    def _skip(self, profile: PlannedProfile, gateway: "_Gateway", now: float) -> None:
        """Let a profile fail without asking, as its gateway is down."""
        self._plan.skip(profile, now)
        self._note(profile, failed(profile.settings, gateway.host.failure()))

    def _ended(self, visit: Visit, readings: list[Reading], now: float) -> None:
        """Take the readings of a visit, unless it was given up."""
        belonging = self._under_way.end(visit)
        if belonging is not None:
            profile, gateway = belonging
            gateway.workers.ended()
            self._settle(visit, profile, gateway, readings, now)

    def _give_up_overdue(self, now: float) -> None:
        """Wait no more for visits that hang where no time limit reaches, like the look-up of a name."""
        for visit, (profile, gateway) in self._under_way.overdue(now):
            gateway.workers.give_up(visit)
            self._settle(visit, profile, gateway, visit.overdue(), now)

    def _settle(
        self, visit: Visit, profile: PlannedProfile, gateway: "_Gateway", readings: Sequence[Reading], now: float
    ) -> None:
        is_back = [gateway.host.take(reading, now, visit.began_at) for reading in readings]
        self._finish(profile, readings, now)
        if any(is_back):
            busy = {other for other, _ in self._under_way.belongings()}
            for other in gateway.profiles - busy - {profile}:
                if other.pace.failures:
                    self._plan.hurry(other, now)
        self._start_waiting(gateway, now)

    def _finish(self, profile: PlannedProfile, readings: Sequence[Reading], now: float) -> None:
        if profile.is_current:
            self._plan.take(profile, readings, now)
            self._note(profile, readings)

    def _note(self, profile: PlannedProfile, readings: Sequence[Reading]) -> None:
        self._on_readings(profile.settings, readings)
        self._first.saw(profile)

    def _end_first_round(self, now: float) -> None:
        """Say when the first round is over. Profiles not yet asked count as failed until they are."""
        missing = self._first.end(now)
        if missing is not None:
            for profile in missing:
                self._note(profile, failed(profile.settings, not_asked_yet(profile)))
            self._on_first_round()

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
        profile = self._plan.begin(settings, now)
        if profile.host not in self._gateways:
            workers = Workers(self._concurrency, self._arrived, self._trace)
            self._gateways[profile.host] = _Gateway(workers)
        self._gateways[profile.host].profiles.add(profile)
        self._first.add(profile)
        return profile

    def _remove(self, profile: PlannedProfile) -> None:
        profile.is_current = False
        self._first.saw(profile)
        gateway = self._gateways[profile.host]
        gateway.profiles.discard(profile)
        if not gateway.profiles:
            self._gateways.pop(profile.host).workers.close()

    def _arrived(self, visit: Visit, readings: list[Reading]) -> None:
        self._events.put(lambda now: self._ended(visit, readings, now))


class _Gateway:
    """One gateway: the threads that ask it, the profiles that wait for them, and whether it is worth asking."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.host = Host()
        self.profiles: set[PlannedProfile] = set()
        self.waiting: deque[PlannedProfile] = deque()

    def take_waiting(self) -> PlannedProfile | None:
        """Take out the next profile that can be asked or skipped now; None if there is none."""
        while self.waiting and self._is_ready:
            profile = self.waiting.popleft()
            if profile.is_current:
                return profile
        return None

    @property
    def _is_ready(self) -> bool:
        if self.host.is_in_doubt:
            return self.workers.are_idle
        return self.host.is_down or not self.workers.are_busy

    def may_ask(self, now: float) -> bool:
        """Tell whether the profile that was taken out may be asked; if the gateway is down, count that as asked."""
        return not self.host.is_down or (not self.workers.are_busy and self.host.may_be_asked(now))
