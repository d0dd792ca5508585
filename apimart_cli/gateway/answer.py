"""The gateway's answer and what it proves: `Answer` in, `Balance` or an error out.

The only reader of the payload. It is strict on purpose: whatever is not exactly the documented shape is a bad
response, because a gate that guesses is worse than no gate. Pure: no I/O, no clock.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, NoReturn

from apimart_cli.balance import Balance
from apimart_cli.errors import ApimartError, AuthError, UnavailableError
from apimart_cli.gateway.failures import AUTH_HINT, AUTH_STATUSES, error_of_status, untrustworthy
from apimart_cli.gateway.strict_json import JsonNumber, NotStrictError, parse_object
from apimart_cli.keys.key import ApiKey
from apimart_cli.words import Scope

MAX_AMOUNT_LENGTH = 40
"""Most characters of an amount. A double printed in full has at most 25."""

MAX_INTEGER_DIGITS = 15
"""Most digits before the decimal point of an amount."""

MAX_FRACTION_DIGITS = 30
"""Most digits behind the decimal point of an amount, exponent written out."""

_UNLIMITED_SENTINEL = Decimal(-1)

_PLAIN_DECIMAL = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"

# How the gateway names the key in failures sent with HTTP 200: its reference gives "Failed to get token info",
# "No Authorization header" and their Chinese forms; "invalid api key" with code 401 was observed in 2026.
_KEY_IS_NAMED = r"(?ai)token|api[ _-]?key|authorization|unauthori[sz]ed|令牌|密钥"


class Answer(NamedTuple):
    """One HTTP answer, received whole: its status line, the headers that matter, and the decoded body."""

    status: int
    reason: str
    body: bytes
    location: str | None = None


def interpret(answer: Answer, *, scope: Scope, key: ApiKey, fetched_at: datetime) -> Balance:
    """Return the balance that `answer` proves.

    `key` is used only to keep its characters out of messages that repeat server text.

    Raises AuthError (401, 403, HTTP 200 naming the key), PaymentRequiredError (402), UnavailableError (408, 429, 5xx,
    HTTP 200 with another failure) or BadResponseError (everything else). The status decides first: a perfect body
    behind a wrong status proves nothing.
    """
    if answer.status != 200:
        raise failure_of(answer, key=key)
    try:
        fields = parse_object(answer.body)
    except NotStrictError as error:
        raise untrustworthy(str(error)) from None
    success = _required(fields, "success", key)
    if success is False:
        raise _failure_told(fields, key)
    if success is not True:
        _reject(f"`success` is {_describe(success, key)}, not true or false")
    return _read_balance(fields, scope, key, fetched_at)


def failure_of(answer: Answer, *, key: ApiKey) -> ApimartError:
    """Return the error that an answer with a status other than 200 is, whatever its body."""
    location = key.quote(answer.location) if answer.location else None
    return error_of_status(answer.status, said=_server_words(answer, key), location=location)


def _server_words(answer: Answer, key: ApiKey) -> str:
    """Return what the server said of its error, ready to follow a sentence: from the body, else the reason phrase."""
    try:
        fields = parse_object(answer.body)
    except NotStrictError:
        fields = {}
    error = fields.get("error")
    holder = error if isinstance(error, Mapping) else fields
    message = holder.get("message")
    words = message if isinstance(message, str) else answer.reason
    return f": {key.quote(words)}" if words.strip() else ""


def _failure_told(fields: Mapping[str, Any], key: ApiKey) -> ApimartError:
    """Return the error that an answer with HTTP 200 and `success: false` is."""
    message = fields.get("message", "")
    if isinstance(message, JsonNumber) or not isinstance(message, str):
        _reject(f"`message` is {_describe(message, key)}, not a string")
    said = f": {key.quote(message)}" if message else ""
    if re.search(_KEY_IS_NAMED, message) or str(fields.get("code")) in {str(status) for status in AUTH_STATUSES}:
        return AuthError(f"the gateway rejected the API key{said}", AUTH_HINT)
    return UnavailableError(f"the gateway could not tell the balance{said}", "try again later")


def _read_balance(fields: Mapping[str, Any], scope: Scope, key: ApiKey, fetched_at: datetime) -> Balance:
    unlimited = fields.get("unlimited_quota", False)
    if not isinstance(unlimited, bool):
        _reject(f"`unlimited_quota` is {_describe(unlimited, key)}, not true or false")
    remain = _amount(_required(fields, "remain_balance", key), "remain_balance", key)
    used = _amount(_required(fields, "used_balance", key), "used_balance", key)
    if used < 0:
        _reject("`used_balance` is negative")
    if remain == _UNLIMITED_SENTINEL and not unlimited:
        _reject("`remain_balance` is -1, which means unlimited, but `unlimited_quota` is not true")
    remain_credits = _optional_amount(fields, "remain_credits", key)
    return Balance(
        scope=scope,
        remain_balance=None if unlimited else remain,
        used_balance=used,
        unlimited_quota=unlimited,
        fetched_at=fetched_at,
        remain_credits=None if unlimited else remain_credits,
        used_credits=_optional_amount(fields, "used_credits", key),
    )


def _required(fields: Mapping[str, Any], name: str, key: ApiKey) -> Any:
    if name not in fields:
        error = fields.get("error")
        message = error.get("message") if isinstance(error, Mapping) else None
        said = f"; it says: {key.quote(message)}" if isinstance(message, str) else ""
        _reject(f"`{name}` is missing{said}")
    return fields[name]


def _optional_amount(fields: Mapping[str, Any], name: str, key: ApiKey) -> Decimal | None:
    return _amount(fields[name], name, key) if name in fields else None


def _amount(value: Any, name: str, key: ApiKey) -> Decimal:
    """Return a JSON number, or a string that is a plain decimal, as the exact Decimal it writes."""
    is_number = isinstance(value, JsonNumber) or (isinstance(value, str) and re.fullmatch(_PLAIN_DECIMAL, value))
    if not is_number:
        _reject(f"`{name}` is {_describe(value, key)}, not a number")
    if len(value) > MAX_AMOUNT_LENGTH:
        _reject(f"`{name}` has {len(value)} characters, which is no sensible amount")
    try:
        amount = Decimal(value)
    except InvalidOperation:  # an exponent of twenty digits is more than a Decimal can hold
        raise untrustworthy(f"`{name}` has an exponent beyond sense") from None
    # Both ends are bounded before anything is computed or printed from them: 1e999999999 would fill the memory.
    if amount.adjusted() >= MAX_INTEGER_DIGITS:
        _reject(f"`{name}` is beyond sense: it has more than {MAX_INTEGER_DIGITS} digits before the point")
    if int(amount.as_tuple().exponent) < -MAX_FRACTION_DIGITS:
        _reject(f"`{name}` is beyond sense: it has more than {MAX_FRACTION_DIGITS} digits behind the point")
    return amount


def _describe(value: Any, key: ApiKey) -> str:
    """Name a JSON value in a message: the type, and short values themselves."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, JsonNumber):
        return f"the number {key.quote(value)}"
    if isinstance(value, str):
        return f'the string "{key.quote(value)}"'
    return "an object" if isinstance(value, dict) else "a list"


def _reject(what: str) -> NoReturn:
    raise untrustworthy(what)
