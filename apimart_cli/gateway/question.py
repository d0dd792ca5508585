"""One question: its key and its answer, both within one time limit, and asked again where that can help.

Questions that need the same key share it, and those that are the same share the answer.
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
from apimart_cli.gateway.answer import Answer, interpret
from apimart_cli.gateway.transport import Incoming, Inspection, Transport
from apimart_cli.keys.key import ApiKey, KeySource, Redactor, SecondsLeft
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.target import Target

KEY_GRACE = 0.15
"""Seconds after its time limit that a source of a key has to say why it gave none."""

MAX_ATTEMPTS = 4
"""Most times one question is asked."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry; each further pause is twice as long."""

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class QuestionIdentity(NamedTuple):
    """Two questions with equal identities are the same question."""

    key_id: str
    endpoint: str
    timeout: float
    may_be_missing: bool = False
    """Whether the endpoint was asked by default, and may be missing: otherwise a missing one is an error."""


class Shared(Generic[T]):
    """A key or an answer that is got once for all questions that need it; a failure is shared, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: T | ApimartError | None = None
        self.foretold: ApimartError | None = None
        """A failure that is already certain, in case the time is over before the rest of the answer has come."""

    def get(self, work: Callable[[], T]) -> T:
        """Return what `work` returns: the first caller does it, the others wait. Raises the ApimartError of `work`."""
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
    """Sees to it that each key is read once, and that the same question is asked once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._keys: dict[int, Shared[ApiKey]] = {}
        self._answers: dict[Hashable, Shared[Any]] = {}

    def key(self, source: KeySource) -> Shared[ApiKey]:
        """Return the key of `source`, for all questions that need it."""
        with self._guard:
            return self._keys.setdefault(id(source), Shared())

    def answer(self, question: Hashable) -> Shared[Any]:
        """Return the answer, for all questions that are the same."""
        with self._guard:
            return self._answers.setdefault(question, Shared())


class Means(NamedTuple):
    """What several questions are asked with."""

    transport: Transport
    redactor: Redactor
    """Quotes what the server says; every key that is read is added to it."""
    sharing: Sharing
    is_closed: Callable[[], bool]
    """Tells whether the answers are no longer wanted: then there is no time left."""
    trace: Trace | None = None
    looking: Inspection | None = None


class QuestionOf(Generic[T, R_co]):
    """One target, asked once, by one thread. Another thread may watch the clock and go on without the answer.

    Subclasses say what is asked for, and what the reading is.
    """

    def __init__(self, target: Target, means: Means) -> None:
        self._target = target
        self._means = means
        self._deadline = 0.0
        self._key: ApiKey | None = None
        self._is_past_key = False
        self._shared: Shared[T] | None = None
        """The answer, shared with the same questions, once the key is known."""

    def begin(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self._target.timeout

    @property
    def ends_at(self) -> float:
        """When its time is over, by `time.monotonic()`."""
        return self._deadline if self._is_past_key else self._deadline + KEY_GRACE

    @property
    def is_at_key(self) -> bool:
        """Whether it may still be reading its key, once it has begun."""
        return not self._is_past_key

    noun: str
    """What it asks for, in the lines of `--debug`."""

    @abstractmethod
    def read(self, answer: Answer, *, redactor: Redactor, fetched_at: datetime) -> T:
        """Return what a whole answer proves. Raises ApimartError."""

    @abstractmethod
    def failure(self, answer: Answer, *, redactor: Redactor) -> ApimartError:
        """Return the error for an answer with a status other than 200, whatever its body."""

    @abstractmethod
    def _settled(self, target: Target, key: ApiKey | None, result: T | ApimartError) -> R_co: ...

    def ask(self) -> R_co:
        """Return the reading: what was asked for, or the error in its place. Raises nothing."""
        try:
            return self.reading(self._ask())
        except ApimartError as error:
            # Its frames hold connections, and what the server echoed.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return self.reading(error)
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not vanish with its thread
            self._trace_bug(error)
            return self.reading(bug(error))

    def overdue(self) -> R_co:
        """Return the reading where no time is left. Any thread may call this."""
        from apimart_cli.gateway.failures import key_overdue, timed_out

        target = self._target
        if self._shared is None:
            return self.reading(key_overdue(target.profile))
        return self.reading(self._shared.foretold or timed_out(target.host, target.timeout))

    def reading(self, result: T | ApimartError) -> R_co:
        """Return the reading with this result or error."""
        target, key = self._target, self._key
        if isinstance(result, AuthError) and result.rejection is not None and key is not None:
            from apimart_cli.gateway.failures import key_rejected

            # Several sources may have given the key, and they share the answer.
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
            QuestionIdentity(key.key_id, target.endpoint, target.timeout, target.may_be_missing is not None)
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
                looking=means.looking,
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
        from apimart_cli.gateway.refusals import failure_of

        return failure_of(answer, scope=self._target.scope, redactor=redactor)

    def _settled(self, target: Target, key: ApiKey | None, result: Balance | ApimartError) -> Reading:
        key_id = key.key_id if key else None
        said = self._quoted_in(result)
        return Reading(target.profile, target.scope, target.unit, result, key_id, target.host, quoted=said)


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
    looking: Inspection | None = None,
) -> T:
    """Ask until there is an answer, a failure that asking again cannot mend, or no time or attempt left.

    `foretell` is called with each failure that a status line already proves, before the body is read. `trace` is called
    when an attempt begins and when it ends. With `looking` there are as many attempts as that says.

    Raises NoAccountError for an account that `target.may_be_missing`. Where that must be there, it is asked once more
    after it was missing: a fault on the way may have answered in its place.
    """
    pause = FIRST_PAUSE
    absence = _Absence(target)
    tell = _dropped if trace is None else trace
    attempts = MAX_ATTEMPTS if looking is None else looking.attempts
    for attempt in range(1, attempts + 1):
        asked_to_wait: float | None = None
        began = time.monotonic()
        tell(f"{target.name}: attempt {attempt}: asking {target.host}")
        try:
            with transport.send(target, key, seconds_left) as incoming:
                tell(f"{target.name}: attempt {attempt}: HTTP {incoming.status} after {_milliseconds(began)}")
                if looking is not None:
                    looking.show(incoming.head(time.monotonic() - began))
                asked_to_wait = _asked_to_wait(incoming)
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
            is_last = attempt == attempts or wait >= seconds_left()
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
    """Whether an account endpoint is missing that is asked by default; nothing is noted of any other target."""

    def __init__(self, target: Target) -> None:
        self._may_be_missing = target.may_be_missing
        self._missing: ApimartError | None = None
        self._is_first = False
        self.is_new = False
        """Whether the last attempt was the first to find it missing."""

    def note(self, error: ApimartError, *, is_first: bool) -> None:
        """Take note of a failure."""
        is_missing = isinstance(error, BadResponseError) and error.is_no_endpoint
        self.is_new = self._may_be_missing is not None and is_missing and self._missing is None
        self._is_first = is_first
        if self.is_new:
            self._missing = error

    def is_expected(self, seconds_left: SecondsLeft) -> bool:
        """Tell whether the first attempt has just found it missing, at a gateway that may lack it.

        After another failure, the missing endpoint may be a part of that.
        """
        if self._may_be_missing is None or not (self.is_new and self._is_first):
            return False
        return self._may_be_missing(seconds_left())

    def instead_of(self, error: ApimartError) -> ApimartError:
        """Return the failure to tell.

        It stays a missing endpoint where later attempts had no answer: `--fail-open` would forgive their silence.
        """
        return self._missing if self._missing is not None and isinstance(error, UnavailableError) else error


def _dropped(_line: str) -> None:
    """Take a line and do nothing: no trace was asked for."""


def _asked_to_wait(incoming: Incoming) -> float | None:
    """Return the seconds that the gateway asks to wait; None where it asks for none, as most answers do."""
    if incoming.retry_after is None:
        return None
    from apimart_cli.gateway.failures import parse_retry_after

    return parse_retry_after(incoming.retry_after, datetime.now(UTC))


def _note_wait(error: ApimartError, asked_to_wait: float | None) -> None:
    """Put into the error for how long the gateway asked to wait, for callers that ask again much later."""
    if isinstance(error, UnavailableError):
        error.retry_after = asked_to_wait


def _milliseconds(began: float) -> str:
    return f"{1000 * (time.monotonic() - began):.0f} ms"
