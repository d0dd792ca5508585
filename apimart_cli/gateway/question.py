"""What is got once, however many questions need it. Pure but for its lock.

One question: its key, its answer, and the clock that both are held to.

One question, asked again where that can help, inside its deadline.
"""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    NoAccountError,
    Trace,
    UnavailableError,
    bug,
)
from apimart_cli.gateway.answer import Answer, failure_of, interpret
from apimart_cli.gateway.failures import key_overdue, key_rejected, parse_retry_after, timed_out
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey, KeySource, SecondsLeft
from apimart_cli.keys.redactor import Redactor
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.target import Target

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Asked(NamedTuple):
    """What makes two questions the same one."""

    key_id: str
    endpoint: str
    timeout: float
    may_be_missing: bool = False
    """Whether the endpoint was asked by default, and may be missing: to others a missing one is an error."""


class Shared(Generic[T]):
    """What is got once, however many questions of a `Sharing` need it; its failure, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: T | ApimartError | None = None
        self.foretold: ApimartError | None = None
        """A failure that is already certain, for the case that the rest of the answer outlives the clock."""

    def get(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; the first caller does it, the others wait for that. Raises its ApimartError."""
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = work()
                except ApimartError as error:
                    self._outcome = error
        if isinstance(self._outcome, ApimartError):
            raise self._outcome
        return self._outcome


class Sharing:
    """What some questions have in common: each key is read once, and the same question is asked once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._keys: dict[int, Shared[ApiKey]] = {}
        self._answers: dict[Hashable, Shared[Any]] = {}

    def key(self, source: KeySource) -> Shared[ApiKey]:
        """Return what the questions that need the key of `source` share."""
        with self._guard:
            return self._keys.setdefault(id(source), Shared())

    def answer(self, asked: Hashable) -> Shared[Any]:
        """Return what the questions that are the same share."""
        with self._guard:
            return self._answers.setdefault(asked, Shared())


KEY_GRACE = 0.15
"""Seconds after its time limit that a source of a key has to say why it gave none."""


class Means(NamedTuple):
    """What questions are asked with."""

    transport: Transport
    redactor: Redactor
    """Quotes what the server says, and is told every key."""
    sharing: Sharing
    is_closed: Callable[[], bool]
    """Whether nobody waits for an answer any more: then there is no time left."""
    trace: Trace | None = None


class QuestionOf(Generic[T, R_co]):
    """One target, asked once, by one thread; another may watch the clock and go on without it.

    What is asked for, and what it is settled with, is for subclasses to say.
    """

    def __init__(self, target: Target, means: Means) -> None:
        self._target = target
        self._means = means
        self._deadline = 0.0
        self._key: ApiKey | None = None
        self._is_past_key = False
        self._shared: Shared[T] | None = None
        """What it shares with others once its key is known."""

    def begin(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self._target.timeout

    @property
    def ends_at(self) -> float:
        """When it is over, whatever it is doing, by `time.monotonic()`."""
        return self._deadline if self._is_past_key else self._deadline + KEY_GRACE

    @property
    def is_at_key(self) -> bool:
        """Whether the source of its key may be at work, once it has begun."""
        return not self._is_past_key

    noun: str
    """What it asks for, in the lines of `--debug`."""

    @abstractmethod
    def read(self, answer: Answer, *, redactor: Redactor, fetched_at: datetime) -> T:
        """Return what a whole answer proves. Raises ApimartError."""

    @abstractmethod
    def failure(self, answer: Answer, *, redactor: Redactor) -> ApimartError:
        """Return the error that a status other than 200 is, whatever its body."""

    @abstractmethod
    def _settled(self, target: Target, key: ApiKey | None, result: T | ApimartError) -> R_co: ...

    def ask(self) -> R_co:
        """Return the reading: what was asked for, or why there is none. Nothing is raised."""
        try:
            return self.reading(self._ask())
        except ApimartError as error:
            # Its frames hold connections, and whatever the server echoed.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return self.reading(error)
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not vanish with its thread
            self._trace_bug(error)
            return self.reading(bug(error))

    def overdue(self) -> R_co:
        """Return the reading where there is no time left, in any thread."""
        target = self._target
        if self._shared is None:
            return self.reading(key_overdue(target.profile))
        return self.reading(self._shared.foretold or timed_out(target.host, target.timeout))

    def reading(self, result: T | ApimartError) -> R_co:
        """Return what came of it as a reading."""
        target, key = self._target, self._key
        if isinstance(result, AuthError) and result.rejection is not None and key is not None:
            # The answer may be shared by keys of several sources.
            result = key_rejected(result.rejection, source=key.source)
        return self._settled(target, key, result)

    def _quoted_in(self, result: T | ApimartError) -> tuple[str, ...]:
        """Return what the message of a failure repeats of the gateway's words."""
        return self._means.redactor.quoted_in(result.message) if isinstance(result, ApimartError) else ()

    def _ask(self) -> T:
        target, means = self._target, self._means
        try:
            self._key = key = self._read_key()
        finally:
            self._is_past_key = True
        shared: Shared[T] = means.sharing.answer(
            Asked(key.key_id, target.endpoint, target.timeout, target.may_be_missing is not None)
        )
        self._shared = shared

        def foretell(failure: ApimartError) -> None:
            shared.foretold = failure

        means.redactor.add(key)
        return shared.get(
            lambda: fetch(
                target,
                key,
                means.transport,
                self,
                redactor=means.redactor,
                seconds_left=self._seconds_left,
                foretell=foretell,
                trace=means.trace,
            )
        )

    def _read_key(self) -> ApiKey:
        source = self._target.api_key
        return self._means.sharing.key(source).get(lambda: source.read(self._seconds_left))

    def _seconds_left(self) -> float:
        return 0.0 if self._means.is_closed() else max(0.0, self._deadline - time.monotonic())

    def _trace_bug(self, error: Exception) -> None:
        if self._means.trace is not None:
            from apimart_cli.errors import traced_error

            for line in traced_error(error):
                self._means.trace(line)


class Question(QuestionOf[Balance, Reading]):
    """A question for a balance."""

    noun = "a balance"

    def read(self, answer: Answer, *, redactor: Redactor, fetched_at: datetime) -> Balance:
        """Return the balance, as `interpret`."""
        return interpret(answer, scope=self._target.scope, redactor=redactor, fetched_at=fetched_at)

    def failure(self, answer: Answer, *, redactor: Redactor) -> ApimartError:
        """Return the error, as `failure_of`."""
        return failure_of(answer, scope=self._target.scope, redactor=redactor)

    def _settled(self, target: Target, key: ApiKey | None, result: Balance | ApimartError) -> Reading:
        key_id = key.key_id if key else None
        said = self._quoted_in(result)
        return Reading(target.profile, target.scope, target.unit, result, key_id, target.host, quoted=said)


MAX_ATTEMPTS = 4
"""Most times one question is asked."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry; each further pause is twice as long."""


def fetch(
    target: Target,
    key: ApiKey,
    transport: Transport,
    asking: QuestionOf[T, Any],
    *,
    redactor: Redactor,
    seconds_left: SecondsLeft,
    foretell: Callable[[ApimartError], None],
    trace: Trace | None = None,
) -> T:
    """Ask until there is an answer, a failure that asking again cannot mend, or no time or attempt left.

    `foretell` is told each failure that a status line already proves, before the body after it is read. `trace` is told
    of each attempt when it begins and when it ends.

    Raises NoAccountError for an account that `target.may_be_missing`. One that must be there is asked once more after
    it was missing: a fault on the way may have answered in its place.
    """
    pause = FIRST_PAUSE
    absence = _Absence(target)
    tell = _dropped if trace is None else trace
    for attempt in range(1, MAX_ATTEMPTS + 1):
        asked_to_wait: float | None = None
        began = time.monotonic()
        tell(f"{target.name}: attempt {attempt}: asking {target.host}")
        try:
            with transport.send(target, key, seconds_left) as incoming:
                tell(f"{target.name}: attempt {attempt}: HTTP {incoming.status} after {_milliseconds(began)}")
                asked_to_wait = parse_retry_after(incoming.retry_after, datetime.now(UTC))
                if incoming.status != 200:
                    foretold = asking.failure(incoming.without_body(), redactor=redactor)
                    _note_wait(foretold, asked_to_wait)
                    foretell(absence.instead_of(foretold))
                answer = incoming.receive()
            result = asking.read(answer, redactor=redactor, fetched_at=datetime.now(UTC))
        except ApimartError as error:
            absence.note(error, is_first=attempt == 1)
            if absence.is_expected(seconds_left):
                tell(f"{target.name}: attempt {attempt}: no account endpoint; the key alone is looked at")
                raise NoAccountError(error.message) from None
            wait = pause if asked_to_wait is None else asked_to_wait
            is_last = attempt == MAX_ATTEMPTS or wait >= seconds_left()
            is_final = is_last or not (absence.is_new or (isinstance(error, UnavailableError) and error.retryable))
            outlook = "not asked again" if is_final else f"asking again in {wait:g} s"
            tell(f"{target.name}: attempt {attempt}: {error.message} ({_milliseconds(began)}); {outlook}")
            if is_final:
                _note_wait(error, asked_to_wait)
                raise absence.instead_of(error) from None
        else:
            tell(f"{target.name}: attempt {attempt}: {asking.noun} after {_milliseconds(began)}")
            return result
        time.sleep(wait)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


class _Absence:
    """An account endpoint that is asked by default, and may be missing; of any other target nothing is noted."""

    def __init__(self, target: Target) -> None:
        self._may_be_missing = target.may_be_missing
        self._missing: ApimartError | None = None
        self._is_first = False
        self.is_new = False
        """Whether the last attempt was the first one that it was missing for."""

    def note(self, error: ApimartError, *, is_first: bool) -> None:
        """Take note of a failure. What comes after another failure may be a part of that."""
        is_missing = isinstance(error, BadResponseError) and error.is_no_endpoint
        self.is_new = self._may_be_missing is not None and is_missing and self._missing is None
        self._is_first = is_first
        if self.is_new:
            self._missing = error

    def is_expected(self, seconds_left: SecondsLeft) -> bool:
        """Tell whether it was just found missing, at a gateway that may lack it."""
        if self._may_be_missing is None or not (self.is_new and self._is_first):
            return False
        return self._may_be_missing(seconds_left())

    def instead_of(self, error: ApimartError) -> ApimartError:
        """Return the failure that is told.

        An endpoint that was missing once is not made a silence by later attempts: `--fail-open` would forgive that.
        """
        return self._missing if self._missing is not None and isinstance(error, UnavailableError) else error


def _dropped(_line: str) -> None:
    """Tell nothing: nobody asked."""


def _note_wait(error: ApimartError, asked_to_wait: float | None) -> None:
    """Have the error tell for how long the gateway asked to wait: for those who ask again much later."""
    if isinstance(error, UnavailableError):
        error.retry_after = asked_to_wait


def _milliseconds(began: float) -> str:
    return f"{1000 * (time.monotonic() - began):.0f} ms"
