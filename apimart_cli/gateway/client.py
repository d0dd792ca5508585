"""Many questions side by side, each held to its own wall clock."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import NO_THREAD_HINT, ApimartError, AuthError, UsageError, bug
from apimart_cli.gateway.failures import key_overdue, key_rejected, timed_out
from apimart_cli.gateway.retry import fetch
from apimart_cli.gateway.shared import Asked, Shared
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.redactor import Redactor
from apimart_cli.keys.source import GivenKey, KeySource
from apimart_cli.processes.signals import at_ending
from apimart_cli.target import Target
from apimart_cli.trace import Trace

MAX_CONCURRENCY = 50
"""Most questions under way at once."""

LONGEST_WAIT = 0.2
"""Most seconds to wait at a stretch: a Ctrl-C that comes just before a wait begins is noticed when it ends."""

KEY_GRACE = 0.15
"""Seconds after its time limit that a source of a key has to say why it gave none."""

STOP_SECONDS = 0.15
"""Most seconds to wait, at the end, until the sources of all keys together have stopped what they run."""

STOP_PAUSE = 0.005
"""Seconds between two looks whether they have."""


@contextmanager
def ask(targets: Sequence[Target], *, trace: Trace | None = None) -> Iterator[Iterator[Reading]]:
    """Start asking at once, side by side, and give the readings one by one in the order of `targets`.

    However the block is left, no command that prints a key is left running.

    A question that is not answered within its `timeout` seconds becomes an UnavailableError, whatever its connection
    is doing. At most MAX_CONCURRENCY are under way; the clock of the others has not started. Targets that turn out to
    have one key, endpoint and time limit are asked once and share the answer. `trace` is told what happens, from any
    thread.
    """
    asking = _Asking(targets, trace)
    with at_ending(asking.close):
        try:
            asking.start_next()
            yield asking.readings()
        finally:
            asking.close()
            asking.transport.close()


class _Asking:
    """The questions of one `ask`: waiting, running or settled. Threads are daemons, so that none can hold the exit."""

    def __init__(self, targets: Sequence[Target], trace: Trace | None = None) -> None:
        self.changed = threading.Condition()
        self.transport = Transport(connections=MAX_CONCURRENCY)
        self.redactor = Redactor(*(target.api_key.key for target in targets if isinstance(target.api_key, GivenKey)))
        """Knows every key of the run; one that must be read first, from then on."""
        self.trace = trace
        self.is_closed = False
        self._guard = threading.Lock()
        self._keys: dict[int, Shared[ApiKey]] = {}
        self._answers: dict[Asked, Shared[Balance]] = {}
        self._questions = [_Question(target, self) for target in targets]
        self._waiting = deque(self._questions)
        self._running: list[_Question] = []

    def start_next(self) -> None:
        """Start what fits. Where the system starts no more threads, the rest waits for those that run."""
        while self._waiting and len(self._running) < MAX_CONCURRENCY:
            question = self._waiting[0]
            try:
                question.start()
            except RuntimeError:
                if self._running:
                    return
                question.fail(UsageError("nothing can be asked: the system starts no thread", NO_THREAD_HINT))
            else:
                self._running.append(question)
            self._waiting.popleft()

    def readings(self) -> Iterator[Reading]:
        for question in self._questions:
            with self.changed:
                while not question.is_settled:
                    self._settle_or_wait()
            yield question.reading()

    def close(self) -> None:
        """Leave no time to the questions under way, and wait a moment until the sources of their keys have stopped."""
        # Called in the handler of a signal, too, so it takes no lock.
        self.is_closed = True
        give_up_at = time.monotonic() + STOP_SECONDS
        while any(question.is_at_key for question in self._questions) and time.monotonic() < give_up_at:
            time.sleep(STOP_PAUSE)

    def shared_key(self, source: KeySource) -> Shared[ApiKey]:
        """Return what the questions that need the key of `source` share."""
        with self._guard:
            return self._keys.setdefault(id(source), Shared())

    def shared_answer(self, asked: Asked) -> Shared[Balance]:
        """Return what the questions that are the same share."""
        with self._guard:
            return self._answers.setdefault(asked, Shared())

    def _settle_or_wait(self) -> None:
        """Settle what has ended, start what fits in its place; where nothing has ended, wait for it."""
        ended = [question for question in self._running if question.settle_if_over()]
        if ended:
            self._running = [question for question in self._running if question not in ended]
            self.start_next()
        else:
            self.changed.wait(min(LONGEST_WAIT, *(question.seconds_to_settle() for question in self._running)))


class _Question:
    """One target, asked in a thread of its own."""

    def __init__(self, target: Target, asking: _Asking) -> None:
        self._target = target
        self._asking = asking
        self._deadline = 0.0
        self._key: ApiKey | None = None
        self.is_at_key = False
        """Whether the source of its key is at work."""
        self._is_past_key = False
        self._shared: Shared[Balance] | None = None
        """What it shares with others once its key is known."""
        self._answer: Balance | ApimartError | None = None
        self._result: Balance | ApimartError | None = None

    @property
    def is_settled(self) -> bool:
        return self._result is not None

    def start(self) -> None:
        """Start asking. Raises RuntimeError where the system starts no thread."""
        self._deadline = time.monotonic() + self._target.timeout
        # Before the thread runs: a signal may come as soon as it does.
        self.is_at_key = True
        try:
            threading.Thread(target=self._run, name="apimart-question", daemon=True).start()
        except RuntimeError:
            self.is_at_key = False
            raise

    def fail(self, error: ApimartError) -> None:
        self._result = error

    def seconds_left(self) -> float:
        return 0.0 if self._asking.is_closed else max(0.0, self._deadline - time.monotonic())

    def seconds_to_settle(self) -> float:
        """Return after how many seconds the question is over, whatever it is doing."""
        grace = 0.0 if self._is_past_key else KEY_GRACE
        return max(0.0, self._deadline + grace - time.monotonic())

    def settle_if_over(self) -> bool:
        """Fix the result when there is an answer or no time left; a later answer changes nothing any more."""
        if self._answer is not None:
            self._result = self._answer
        elif self.seconds_to_settle() == 0:
            self._result = self._failure_of_the_clock()
        return self.is_settled

    def reading(self) -> Reading:
        assert self._result is not None, "only settled questions are read"
        target, key, result = self._target, self._key, self._result
        if isinstance(result, AuthError) and result.rejection is not None and key:
            # The answer may be shared by keys of several sources.
            result = key_rejected(result.rejection, source=key.source)
        return Reading(target.profile, target.scope, target.unit, result, key.key_id if key else None, target.host)

    def _failure_of_the_clock(self) -> ApimartError:
        if self._shared is not None:
            return self._shared.foretold or timed_out(self._target.host, self._target.timeout)
        return key_overdue(self._target.profile)

    def _run(self) -> None:
        answer: Balance | ApimartError
        try:
            answer = self._ask()
        except ApimartError as error:
            answer = error
            # Its frames hold connections, and whatever the server echoed.
            error.__traceback__ = error.__context__ = error.__cause__ = None
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not vanish with its thread
            answer = bug(error)
            if self._asking.trace:
                from apimart_cli.trace import traced_error

                for line in traced_error(error):
                    self._asking.trace(line)
        with self._asking.changed:
            self._answer = answer
            self._asking.changed.notify()

    def _ask(self) -> Balance:
        target = self._target
        try:
            self._key = key = self._read_key()
        finally:
            self._is_past_key = True
            self.is_at_key = False
        self._shared = shared = self._asking.shared_answer(Asked(key.key_id, target.endpoint, target.timeout))

        def foretell(failure: ApimartError) -> None:
            shared.foretold = failure

        asking = self._asking
        asking.redactor.add(key)
        return shared.get(
            lambda: fetch(
                target,
                key,
                asking.transport,
                redactor=asking.redactor,
                seconds_left=self.seconds_left,
                foretell=foretell,
                trace=asking.trace,
            )
        )

    def _read_key(self) -> ApiKey:
        source = self._target.api_key
        return self._asking.shared_key(source).get(lambda: source.read(self.seconds_left))
