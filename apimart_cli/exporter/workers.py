"""One place where threads take memory from: glibc gives them several, and a process of many threads fills each of them.

Measured with 32 threads, Python 3.11 and glibc 2.36: 160 bytes more after each question, for as long as anybody
looked, and none with a single arena. Nothing is lost by that: one thread at a time runs Python.

Garbage of what goes on for weeks: exchanges leave cycles, and the process of a command looks for them too seldom.

A look at what is young makes what it finds alive older, also what is under way and garbage a moment later. So older
things are looked at as well, each time more seldom: a look at all of thousands of readings takes a tenth of a second.

The threads that ask one gateway, used again and again; each asks for one profile at a time.
"""

import gc
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from apimart_cli.config.settings import Settings
from apimart_cli.errors import Trace
from apimart_cli.gateway.question import Means, Question, Sharing
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.redactor import MUTE
from apimart_cli.processes.signals import start_thread
from apimart_cli.rules.balance import Reading

_ARENA_MAX = -8
"""`M_ARENA_MAX` of mallopt(3)."""


def keep_one_arena() -> None:
    """Have threads that start from now on share one. Elsewhere than with glibc nothing happens."""
    try:
        import ctypes

        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
    except (ImportError, OSError, AttributeError, TypeError):
        # No such library, or one that cannot do that.
        return


EVERY = 2.0
"""Seconds between two looks at the youngest."""

OLDER_EVERY = 15
"""Looks at the youngest from one look at older things to the next."""

ALL_EVERY = 300
"""The same for all things."""


class Garbage:
    """When to look, by a clock in seconds."""

    def __init__(self) -> None:
        self._looked_at = 0.0
        self._looks = 0

    def collect(self, now: float) -> None:
        """Look, where that is due."""
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        self._looks += 1
        gc.collect(2 if self._looks % ALL_EVERY == 0 else 1 if self._looks % OLDER_EVERY == 0 else 0)


class Visit:
    """One profile, asked once: its questions one after the other, each inside its own time."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self._readings: list[Reading] = []
        self.is_over = False
        """Whether nobody waits for it any more."""
        self.began_at = time.monotonic()
        questions[0].begin()

    @property
    def ends_at(self) -> float:
        """When the question under way is over, by `time.monotonic()`."""
        return self._questions[min(len(self._readings), len(self._questions) - 1)].ends_at

    @property
    def is_at_key(self) -> bool:
        """Whether the source of a key may be at work."""
        return len(self._readings) < len(self._questions) and self._questions[len(self._readings)].is_at_key

    def run(self) -> list[Reading]:
        """Ask, and return a reading for each question. Nothing is raised."""
        for question in self._questions:
            question.begin()
            self._readings.append(question.ask())
        return self._readings

    def overdue(self) -> list[Reading]:
        """Return the readings of a visit that is over, in another thread: what has come, and why the rest has not."""
        known = list(self._readings)
        return [*known, *(question.overdue() for question in self._questions[len(known) :])]


Take = Callable[[Visit, list[Reading]], None]


class Workers:
    """The threads for one gateway. All but the threads themselves is used by one thread alone."""

    def __init__(self, most: int, take: Take, trace: Trace | None) -> None:
        """Ask for at most `most` profiles at once, and give what came of each to `take`, in any thread."""
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
        """Whether no more can be given to them now."""
        return self._busy >= self._most

    @property
    def are_idle(self) -> bool:
        """Whether none of them is under way."""
        return self._busy == 0

    def give(self, settings: Settings) -> Visit | None:
        """Have somebody ask for a profile; None where the system starts no thread for it."""
        if self._busy >= self._threads and not self._start_thread():
            return None
        means = Means(self._transport, MUTE, Sharing(), lambda: self._is_closed, self._trace)
        visit = Visit([Question(target, means) for target in settings.targets()])
        self._busy += 1
        self._given.put(visit)
        return visit

    def ended(self) -> None:
        """Take note that what `take` was given has been seen."""
        self._busy -= 1

    def give_up(self, visit: Visit) -> None:
        """Wait no more for a visit: its thread ends when it comes back, and another one may take its place."""
        visit.is_over = True
        self._busy -= 1
        self._threads -= 1

    def close(self) -> None:
        """Leave no time to what is under way, and end the threads. Takes no lock: a signal may call it."""
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
