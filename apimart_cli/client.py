"""The gateway: targets in, readings out, each inside its deadline.

Two layers over `transport`: `ask` runs questions side by side and holds each to its wall clock, `_fetch` retries one
question inside its deadline.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from apimart_cli.apikey import ApiKey
from apimart_cli.balance import Answer, Balance, Reading, Scope, interpret
from apimart_cli.child import cleaning_up
from apimart_cli.errors import ApimartError, UnavailableError, UsageError, bug
from apimart_cli.keysource import GivenKey
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Target, check_timeout, parse_base_url
from apimart_cli.transport import Transport, timed_out

MAX_CONCURRENCY = 50
"""Most questions under way at once."""

MAX_ATTEMPTS = 4
"""Most times one question is asked."""

LONGEST_WAIT = 0.2
"""Most seconds to wait at a stretch: a Ctrl-C that comes just before a wait begins is noticed when it ends."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry; each further pause is twice as long."""


def fetch_balance(
    api_key: str, *, scope: str = "key", base_url: str = DEFAULT_BASE_URL, timeout: float = DEFAULT_TIMEOUT
) -> Balance:
    """Ask the gateway for the balance of `api_key`.

    `scope` is `"key"` (the key's own quota) or `"account"` (the account behind it); `timeout` is the wall-clock limit
    in seconds for the whole answer, retries included.

    Raises UsageError, AuthError, PaymentRequiredError, UnavailableError or BadResponseError, each an ApimartError.
    """
    try:
        key = ApiKey(api_key, source="the api_key argument")
    finally:
        # Reporters of exceptions show the local variables of every frame.
        del api_key
    if scope not in set(Scope):
        raise UsageError(f"scope: must be one of {', '.join(Scope)}")
    target = Target(
        profile="default",
        scope=Scope(scope),
        api_key=GivenKey(key),
        base_url=parse_base_url(base_url),
        timeout=check_timeout(timeout),
    )
    with ask([target]) as readings:
        result = next(readings).result
    if isinstance(result, ApimartError):
        # Without its frames: the local variables of those that read the answer hold whatever the server echoed.
        raise result.with_traceback(None)
    return result


# --- many questions, each inside its wall clock -----------------------------------------------------------------


@contextmanager
def ask(targets: Sequence[Target]) -> Iterator[Iterator[Reading]]:
    """Start asking at once, side by side, and give the readings one by one in the order of `targets`.

    However the block is left, no command that prints a key is left running.

    A question that is not answered within its `timeout` seconds becomes an UnavailableError, whatever its connection
    is doing. At most MAX_CONCURRENCY are under way; the clock of the others has not started.
    """
    asking = _Asking(targets)
    with ExitStack() as endings:
        endings.callback(asking.give_up)
        if any(target.api_key.overdue for target in targets):
            # A command that prints a key may be running: a signal that ends us, ends it.
            endings.enter_context(cleaning_up(asking.give_up))
        asking.start_next()
        yield asking.readings()


class _Asking:
    """The questions of one `ask`: waiting, running or settled. Threads are daemons, so that none can hold the exit."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._changed = threading.Condition()
        transport = Transport(connections=MAX_CONCURRENCY)
        self._questions = [_Question(target, transport, self._changed) for target in targets]
        self._waiting = deque(self._questions)
        self._running: list[_Question] = []

    def start_next(self) -> None:
        while self._waiting and len(self._running) < MAX_CONCURRENCY:
            question = self._waiting.popleft()
            # Before it is started: a signal may come as soon as it runs, and gives up what is listed here.
            self._running.append(question)
            question.start()

    def readings(self) -> Iterator[Reading]:
        for question in self._questions:
            with self._changed:
                while not question.is_settled:
                    self._settle_or_wait()
            yield question.reading()

    def give_up(self) -> None:
        """Stop waiting for the keys of the questions under way."""
        for question in self._running:
            question.give_up()

    def _settle_or_wait(self) -> None:
        """Settle what has ended, start what fits in its place; where nothing has ended, wait for it."""
        ended = [question for question in self._running if question.settle_if_over()]
        if ended:
            self._running = [question for question in self._running if question not in ended]
            self.start_next()
        else:
            self._changed.wait(min(LONGEST_WAIT, *(question.seconds_left() for question in self._running)))


class _Question:
    """One target, asked in a thread of its own."""

    def __init__(self, target: Target, transport: Transport, changed: threading.Condition) -> None:
        self._target = target
        self._transport = transport
        self._changed = changed
        self._deadline = 0.0
        self._foretold: ApimartError | None = None
        self._answer: Balance | ApimartError | None = None
        self._result: Balance | ApimartError | None = None

    @property
    def is_settled(self) -> bool:
        return self._result is not None

    def start(self) -> None:
        self._deadline = time.monotonic() + self._target.timeout
        threading.Thread(target=self._run, name="apimart-question", daemon=True).start()

    def seconds_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def settle_if_over(self) -> bool:
        """Fix the result when there is an answer or no time left; a later answer changes nothing any more."""
        if self._answer is not None:
            self._result = self._answer
        elif self.seconds_left() == 0:
            self._result = self._foretold or timed_out(self._target)
            self.give_up()
        return self.is_settled

    def give_up(self) -> None:
        """Stop waiting for the key, if that is what it does."""
        self._target.api_key.give_up()

    def reading(self) -> Reading:
        assert self._result is not None, "only settled questions are read"
        return Reading(self._target.profile, self._target.scope, self._target.unit, self._result)

    def _foretell(self, failure: ApimartError | None) -> None:
        """Keep a failure that is already certain, for the case that the rest of the answer outlives the clock."""
        self._foretold = failure

    def _run(self) -> None:
        answer: Balance | ApimartError
        try:
            answer = _fetch(self._target, self._transport, self.seconds_left, self._foretell)
        except ApimartError as error:
            answer = error
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not vanish with its thread
            answer = bug(error)
        with self._changed:
            self._answer = answer
            self._changed.notify()


# --- one question, with retries ---------------------------------------------------------------------------------


def _fetch(
    target: Target,
    transport: Transport,
    seconds_left: Callable[[], float],
    foretell: Callable[[ApimartError | None], None],
) -> Balance:
    """Ask until there is an answer, a failure that asking again cannot mend, or no time or attempt left.

    `foretell` is told each failure that a status line already proves, before the body behind it is read.
    """
    key = _read_key(target, foretell)
    pause = FIRST_PAUSE
    for attempt in range(1, MAX_ATTEMPTS + 1):
        asked_to_wait: float | None = None
        try:
            with transport.send(target, key, seconds_left) as incoming:
                asked_to_wait = _parse_retry_after(incoming.retry_after)
                if incoming.status != 200:
                    foretell(_failure_of(incoming.without_body(), target, key))
                return _interpret(incoming.receive(), target, key)
        except UnavailableError as error:
            wait = pause if asked_to_wait is None else asked_to_wait
            if not error.retryable or attempt == MAX_ATTEMPTS or wait >= seconds_left():
                raise
        time.sleep(wait)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


def _read_key(target: Target, foretell: Callable[[ApimartError | None], None]) -> ApiKey:
    """Get the key. A source that is still busy when the time is over has failed itself: nobody was asked yet."""
    foretell(target.api_key.overdue)
    key = target.api_key.read()
    foretell(None)
    return key


def _interpret(answer: Answer, target: Target, key: ApiKey) -> Balance:
    return interpret(answer, scope=target.scope, key=key, fetched_at=datetime.now(UTC))


def _failure_of(answer: Answer, target: Target, key: ApiKey) -> ApimartError:
    """Return the error that an answer with a status other than 200 is, whatever its body."""
    try:
        _interpret(answer, target, key)
    except ApimartError as error:
        return error
    raise AssertionError("a status other than 200 is a failure")


def _parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, or None where it does not tell."""
    from email.utils import parsedate_to_datetime

    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
