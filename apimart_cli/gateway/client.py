"""Asking many questions side by side, each within its own time limit."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from apimart_cli.errors import ApimartError, Trace, no_thread
from apimart_cli.gateway.question import Means, Question, QuestionOf, Sharing
from apimart_cli.gateway.transport import Inspection, Transport
from apimart_cli.keys.key import GivenKey, Redactor
from apimart_cli.processes.signals import at_ending, start_thread
from apimart_cli.rules.balance import Reading
from apimart_cli.target import Target

R = TypeVar("R")

MAX_CONCURRENCY = 50
"""Most keys that are asked about at once, each for its own balance, its account's, or both."""

LONGEST_WAIT = 0.2
"""Most seconds to wait at a stretch: a Ctrl-C that comes just before a wait is noticed when the wait ends."""

STOP_SECONDS = 0.15
"""Most seconds to wait, at the end, until the sources of all keys have stopped what they run."""

STOP_PAUSE = 0.005
"""Seconds between two looks at whether they have."""


@contextmanager
def ask(
    targets: Sequence[Target],
    *,
    trace: Trace | None = None,
    sharing: Sharing | None = None,
    looking: Inspection | None = None,
) -> Iterator[Iterator[Reading]]:
    """Start asking at once, side by side, and give the readings one by one in the order of `targets`.

    A question that is not answered within its `timeout` seconds becomes an UnavailableError, whatever its connection
    is doing. For each scope that is asked, at most MAX_CONCURRENCY questions run at once; the clock of the others has
    not started. Targets that have the same key, endpoint and time limit are asked once and share the answer. `trace` is
    told what happens, from any thread. With a `sharing` that others use, too, no key is read twice. With
    `looking` each question is asked as often as that says.

    However the block is left, no command that prints a key is left running.
    """
    with ask_as(Question, targets, trace=trace, sharing=sharing, looking=looking) as readings:
        yield readings


@contextmanager
def ask_as(
    question: Callable[[Target, Means], QuestionOf[Any, R]],
    targets: Sequence[Target],
    *,
    trace: Trace | None = None,
    sharing: Sharing | None = None,
    looking: Inspection | None = None,
) -> Iterator[Iterator[R]]:
    """Do as `ask`, with questions of another kind, which are made of a target each."""
    asking = _Asking(question, targets, trace, sharing, looking)
    with at_ending(asking.close):
        try:
            asking.start_next()
            yield asking.readings()
        finally:
            asking.close()
            asking.transport.close()


class _Asking(Generic[R]):
    """The questions of one `ask`: waiting, running or settled. Their threads do not keep the process from ending."""

    def __init__(
        self,
        question: Callable[[Target, Means], QuestionOf[Any, R]],
        targets: Sequence[Target],
        trace: Trace | None = None,
        sharing: Sharing | None = None,
        looking: Inspection | None = None,
    ) -> None:
        self.changed = threading.Condition()
        self._most = MAX_CONCURRENCY * max(1, len({target.scope for target in targets}))
        self.transport = Transport(connections=self._most)
        # It knows every key of the run from the start, or from when the key was read.
        redactor = Redactor(*(target.api_key.key for target in targets if isinstance(target.api_key, GivenKey)))
        means = Means(self.transport, redactor, sharing or Sharing(), lambda: self._is_closed, trace, looking)
        self._is_closed = False
        self._questions = [_Watched(question(target, means), self.changed) for target in targets]
        self._waiting = deque(self._questions)
        self._running: list[_Watched[R]] = []

    def start_next(self) -> None:
        """Start as many as may run. Where the system starts no more threads, the rest waits for those that run."""
        while self._waiting and len(self._running) < self._most:
            question = self._waiting[0]
            if question.start():
                self._running.append(question)
            elif self._running:
                return
            else:
                question.fail(no_thread("nothing can be asked"))
            self._waiting.popleft()

    def readings(self) -> Iterator[R]:
        for question in self._questions:
            with self.changed:
                while question.reading is None:
                    self._settle_or_wait()
            yield question.reading

    def close(self) -> None:
        """Leave no time to the questions under way, and wait a moment until the sources of their keys have stopped."""
        # It takes no lock, as the handler of a signal calls it, too.
        self._is_closed = True
        give_up_at = time.monotonic() + STOP_SECONDS
        while any(question.is_at_key for question in self._questions) and time.monotonic() < give_up_at:
            time.sleep(STOP_PAUSE)

    def _settle_or_wait(self) -> None:
        """Settle what has ended and start others in its place; where nothing has ended, wait for that."""
        ended = [question for question in self._running if question.settle_if_over()]
        if ended:
            self._running = [question for question in self._running if question not in ended]
            self.start_next()
        else:
            self.changed.wait(min(LONGEST_WAIT, *(question.seconds_to_settle() for question in self._running)))


class _Watched(Generic[R]):
    """A question in a thread of its own. The thread that waits for it holds it to its clock."""

    def __init__(self, question: QuestionOf[Any, R], changed: threading.Condition) -> None:
        self._question = question
        self._changed = changed
        self._has_begun = False
        self._answer: R | None = None
        self.reading: R | None = None
        """Its reading, once that is settled."""

    @property
    def is_at_key(self) -> bool:
        """Whether it is reading its key."""
        return self._has_begun and self._question.is_at_key

    def start(self) -> bool:
        """Start asking; return whether the system started a thread for it."""
        self._question.begin()
        # Before the thread runs, as a signal may come as soon as it does.
        self._has_begun = True
        self._has_begun = start_thread(self._run, "question", takes_signals=True) is not None
        return self._has_begun

    def fail(self, error: ApimartError) -> None:
        self.reading = self._question.reading(error)

    def seconds_to_settle(self) -> float:
        """Return after how many seconds the question is over, whatever it is doing."""
        return max(0.0, self._question.ends_at - time.monotonic())

    def settle_if_over(self) -> bool:
        """Settle the reading when there is an answer or no time left; a later answer changes nothing."""
        if self._answer is not None:
            self.reading = self._answer
        elif self.seconds_to_settle() == 0:
            self.reading = self._question.overdue()
        return self.reading is not None

    def _run(self) -> None:
        answer = self._question.ask()
        with self._changed:
            self._answer = answer
            self._changed.notify()
