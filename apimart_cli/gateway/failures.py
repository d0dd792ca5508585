"""Failures: the error for a status, for silence or for a broken answer. Pure: no I/O, no library.

`library_errors` turns the errors of the libraries into these.
"""

from datetime import UTC, datetime

from apimart_cli.errors import (
    ANSWER_HINT,
    LONGEST_RETRY_AFTER,
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
)
from apimart_cli.words import Scope

RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
"""HTTP statuses after which the same question may get an answer a moment later."""

AUTH_STATUSES = frozenset({401, 403})

AUTH_HINT = (
    "check that the key is right, and on the gateway's key page that it exists, has not expired, is not disabled, "
    "has quota of its own left and allows your IP address"
)
_BASE_URL_HINT = "check the base URL: `apimart config show` tells where it comes from"
_NOT_FOUND_HINTS = {
    Scope.KEY: _BASE_URL_HINT,
    Scope.ACCOUNT: "use --scope key: this gateway has no account endpoint",
}
_TIMEOUT_HINT = "try again later, or allow more time with --timeout"
_ANOTHER_HINT = (
    "it says nothing about the key: check the proxy settings and the base URL (`apimart config show`), or try from "
    "another network"
)
SEE_DOCTOR = "; apimart doctor looks at each of them"
"""The end of a hint. `doctor` itself leaves it out."""

_NETWORK_HINT = f"check the network, the proxy settings and the base URL{SEE_DOCTOR}"


def error_of_status(status: int, *, said: str, location: str | None, scope: Scope = Scope.KEY) -> ApimartError:
    """Return the error for an HTTP status other than 200.

    `said` is what the server said of it, ready to follow a sentence; `location` is where a redirect leads; `scope` is
    the balance that was asked for.
    """
    retryable = status in RETRYABLE_STATUSES
    if status in AUTH_STATUSES:
        return key_rejected(f" (HTTP {status}){said}")
    if status == 402:
        return no_money(status, said=said)
    if status == 429:
        message = f"the gateway limits the rate of requests (HTTP 429){said}"
        return UnavailableError(message, "ask less often", retryable=retryable)
    if status == 408 or 500 <= status <= 599:
        hint = "try again later" + ("; a longer --timeout allows more retries" if retryable else "")
        return UnavailableError(f"the gateway could not answer (HTTP {status}){said}", hint, retryable=retryable)
    if 300 <= status <= 399:
        target = f" to {location}" if location else ""
        message = f"the gateway answered with a redirect{target} (HTTP {status}), which is never followed"
        return BadResponseError(message, _BASE_URL_HINT)
    if status == 404:
        return BadResponseError(
            f"there is no balance endpoint at this address (HTTP 404){said}", _NOT_FOUND_HINTS[scope]
        )
    return BadResponseError(f"the gateway answered with HTTP {status} where 200 was expected{said}", ANSWER_HINT)


def no_money(status: int, *, said: str, floor: str | None = None) -> PaymentRequiredError:
    """Return the error for a gateway that says that the quota of the key or the balance is used up.

    `said` is what it said, ready to follow a sentence; `floor` is how much is left and how much it wants, if it told.
    """
    if status == 402:
        message = f"the gateway asks for payment (HTTP 402){said}"
        return PaymentRequiredError(message, "top up the account: it cannot pay for calls", in_short=floor)
    told = f"the quota or the balance is used up (HTTP {status})"
    hint = "top up the account, or give the key more quota on the gateway's key page"
    return PaymentRequiredError(f"the gateway says that {told}{said}", hint, in_short=floor or told)


def answered_by_another(who: str, status: int, *, said: str) -> BadResponseError:
    """Return the error for a refusal that does not come from the gateway; `said` follows a sentence."""
    return BadResponseError(f"{who} answered in place of the gateway (HTTP {status}){said}", _ANOTHER_HINT)


def key_rejected(said: str, *, source: str | None = None) -> AuthError:
    """Return the error for a key that the gateway does not take.

    `said` is what the gateway said of it, ready to follow the name of the key; `source` is where the key came from.
    """
    key = f"the API key from {source}" if source else "the API key"
    return AuthError(f"the gateway rejected {key}{said}", AUTH_HINT, rejection=said)


def key_overdue(profile: str) -> AuthError:
    """Return the error for a key that its source did not give in time."""
    return AuthError(
        f"the API key of profile {profile} was not there within the time limit",
        "see why its source takes so long, or allow more time with --timeout",
    )


def timed_out(host: str, timeout: float) -> UnavailableError:
    """Return the error for an answer that did not come within `timeout` seconds."""
    limit = f"{timeout:g} second{'' if timeout == 1 else 's'}"
    return UnavailableError(f"no answer from {host} within {limit}", _TIMEOUT_HINT, retryable=True)


def unreachable(host: str, reason: str) -> UnavailableError:
    """Return the error for a connection that was not made, or did not last."""
    return UnavailableError(f"could not reach {host}: {reason}", _NETWORK_HINT, retryable=True)


MAX_DATE_LENGTH = 64
"""Longest date that is read, in characters. Those of HTTP have 29."""


def parse_retry_after(text: str | None, now: datetime) -> float | None:
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
        seconds = (moment - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
