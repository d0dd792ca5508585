"""The threads that ask one gateway, used again and again; each asks for one profile at a time.

And what keeps a process of many threads small for weeks: one arena of memory for all, and looks for garbage.
"""

import gc
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from apimart_cli.config.settings import Settings
from apimart_cli.errors import Trace
from apimart_cli.gateway.question import Means, Question, Sharing
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import MUTE
from apimart_cli.processes.signals import start_thread
from apimart_cli.rules.balance import Reading

EVERY = 2.0
"""Seconds between two looks at the youngest objects."""

OLDER_EVERY = 15
"""One of so many looks is at older objects, too."""

ALL_EVERY = 300
"""One of so many looks is at all objects."""

_ARENA_MAX = -8
"""`M_ARENA_MAX` of mallopt(3)."""


class Visit:
    """One profile, asked once: its questions come one after the other, each with its own time limit."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self._readings: list[Reading] = []
        self.is_over = False
        """Whether it was given up."""
        self.began_at = time.monotonic()
        questions[0].begin()

    @property
    def ends_at(self) -> float:
        """When the time of the question under way is over, by `time.monotonic()`."""
        return self._questions[min(len(self._readings), len(self._questions) - 1)].ends_at

    @property
    def is_at_key(self) -> bool:
        """Whether it may be waiting for the key."""
        return len(self._readings) < len(self._questions) and self._questions[len(self._readings)].is_at_key

    def run(self) -> list[Reading]:
        """Ask, and return a reading for each question. Raises nothing."""
        for question in self._questions:
            question.begin()
            self._readings.append(question.ask())
        return self._readings

    def overdue(self) -> list[Reading]:
        """Return the readings that have come, and errors for the others. Called by another thread, over time."""
        known = list(self._readings)
        return [*known, *(question.overdue() for question in self._questions[len(known) :])]


Take = Callable[[Visit, list[Reading]], None]


class Workers:
    """The threads for one gateway. One other thread calls the methods."""

    def __init__(self, most: int, take: Take, trace: Trace | None) -> None:
        """Ask for at most `most` profiles at once. `take` gets the readings of each, in any thread."""
        self._most = most
        self._take = take
        self._trace = trace
        self._transport = Transport(connections=most)
        self._given: SimpleQueue[Visit | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        self._is_closed = False

    @property
    def are_busy(self) -> bool:
        """Whether all of them are asking."""
        return self._busy >= self._most

    @property
    def are_idle(self) -> bool:
        """Whether none of them is asking."""
        return self._busy == 0

    def give(self, settings: Settings) -> Visit | None:
        """Let one of the threads ask for a profile; None if the system starts no thread for it."""
        if self._busy >= self._threads and not self._start_thread():
            return None
        means = Means(self._transport, MUTE, Sharing(), lambda: self._is_closed, self._trace)
        visit = Visit([Question(target, means) for target in settings.targets()])
        self._busy += 1
        self._given.put(visit)
        return visit

    def ended(self) -> None:
        """Note that the readings of a visit were taken."""
        self._busy -= 1

    def give_up(self, visit: Visit) -> None:
        """Wait no more for a visit. Its thread ends when it comes back; another one may take its place."""
        visit.is_over = True
        self._busy -= 1
        self._threads -= 1

    def close(self) -> None:
        """End the questions under way, and the threads. It takes no lock, as a signal may call it."""
        self._is_closed = True
        for _ in range(self._threads):
            self._given.put(None)

    def _start_thread(self) -> bool:
        if start_thread(self._run, "asking") is None:
            return False
        self._threads += 1
        return True

    def _run(self) -> None:
        while (visit := self._given.get()) is not None:
            readings = visit.run()
            if visit.is_over:
                return
            self._take(visit, readings)
        if self._is_closed:
            self._transport.close()


class Garbage:
    """Decides when to look for garbage, by a clock in seconds.

    Exchanges leave cycles behind, and Python looks for them too seldom in a command. A look at young objects makes
    the live ones older, also those that are garbage a moment later. So older ones are looked at, too, but seldom: a
    look at all of thousands of readings takes a tenth of a second.
    """

    def __init__(self) -> None:
        self._looked_at = 0.0
        self._looks = 0

    def collect(self, now: float) -> None:
        """Look, if that is due."""
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        self._looks += 1
        gc.collect(2 if self._looks % ALL_EVERY == 0 else 1 if self._looks % OLDER_EVERY == 0 else 0)


def keep_one_arena() -> None:
    """Make threads that start from now on take memory from one arena. Without glibc, nothing happens.

    glibc gives threads several arenas, and a process of many threads fills each of them. Measured with 32 threads,
    Python 3.11 and glibc 2.36: 160 bytes more after each question, without an end, and none with a single arena.
    Nothing is lost by that, as one thread at a time runs Python.
    """
    try:
        import ctypes

        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
    except (ImportError, OSError, AttributeError, TypeError):
        # Another library, which cannot do that.
        return
