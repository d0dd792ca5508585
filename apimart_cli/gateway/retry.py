"""One question, asked again where that can help, inside its deadline."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from apimart_cli.balance import Balance
from apimart_cli.errors import ApimartError, UnavailableError
from apimart_cli.gateway.answer import failure_of, interpret
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.source import SecondsLeft
from apimart_cli.target import Target

MAX_ATTEMPTS = 4
"""Most times one question is asked."""

FIRST_PAUSE = 0.25
"""Seconds before the first retry; each further pause is twice as long."""


def fetch(
    target: Target,
    key: ApiKey,
    transport: Transport,
    seconds_left: SecondsLeft,
    foretell: Callable[[ApimartError], None],
) -> Balance:
    """Ask until there is an answer, a failure that asking again cannot mend, or no time or attempt left.

    `foretell` is told each failure that a status line already proves, before the body after it is read.
    """
    pause = FIRST_PAUSE
    for attempt in range(1, MAX_ATTEMPTS + 1):
        asked_to_wait: float | None = None
        try:
            with transport.send(target, key, seconds_left) as incoming:
                asked_to_wait = _parse_retry_after(incoming.retry_after)
                if incoming.status != 200:
                    foretell(failure_of(incoming.without_body(), key=key))
                answer = incoming.receive()
            return interpret(answer, scope=target.scope, key=key, fetched_at=datetime.now(UTC))
        except UnavailableError as error:
            wait = pause if asked_to_wait is None else asked_to_wait
            if not error.retryable or attempt == MAX_ATTEMPTS or wait >= seconds_left():
                raise
        time.sleep(wait)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


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
