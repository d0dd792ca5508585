"""One question, asked again where that can help, inside its deadline."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from apimart_cli.balance import Balance
from apimart_cli.errors import LONGEST_RETRY_AFTER, ApimartError, BadResponseError, NoAccountError, UnavailableError
from apimart_cli.gateway.answer import failure_of, interpret
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.redactor import Redactor
from apimart_cli.keys.source import SecondsLeft
from apimart_cli.target import Target
from apimart_cli.trace import Trace

MAX_ATTEMPTS = 4
"""Most times one question is asked."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry; each further pause is twice as long."""

MAX_DATE_LENGTH = 64
"""Longest date that is read, in characters. Those of HTTP have 29."""


def fetch(
    target: Target,
    key: ApiKey,
    transport: Transport,
    *,
    redactor: Redactor,
    seconds_left: SecondsLeft,
    foretell: Callable[[ApimartError], None],
    trace: Trace | None = None,
) -> Balance:
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
                asked_to_wait = _parse_retry_after(incoming.retry_after)
                if incoming.status != 200:
                    foretold = failure_of(incoming.without_body(), scope=target.scope, redactor=redactor)
                    _note_wait(foretold, asked_to_wait)
                    foretell(absence.instead_of(foretold))
                answer = incoming.receive()
            balance = interpret(answer, scope=target.scope, redactor=redactor, fetched_at=datetime.now(UTC))
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
            tell(f"{target.name}: attempt {attempt}: a balance after {_milliseconds(began)}")
            return balance
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


def _parse_retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, at most LONGEST_RETRY_AFTER; None where it has none.

    Not urllib3's `Retry.parse_retry_after`: it takes a date without a zone for local time, and ends in ValueError and
    OverflowError where a number has more than 4,300 digits or a year is beyond the clock (tried with 2.8).
    """
    from email.utils import parsedate_to_datetime

    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    if len(text) > MAX_DATE_LENGTH:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
