"""The gateway's answer and what it proves: `Answer` in, `Balance` or an error out.

The only reader of the payload. It is strict on purpose: whatever is not exactly the documented shape is a bad
response, because a gate that guesses is worse than no gate. Pure: no I/O, no clock, nothing heavy imported.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple, NoReturn

from apimart_cli.apikey import ApiKey
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
)

MAX_NESTING = 32
"""Deepest nesting of an answer that is read; the documented one has a single level."""

MAX_AMOUNT_LENGTH = 40
"""Most characters of an amount. A double printed in full has at most 25."""

MAX_INTEGER_DIGITS = 15
"""Most digits before the decimal point of an amount."""

MAX_FRACTION_DIGITS = 30
"""Most digits behind the decimal point of an amount, exponent written out."""

RETRYABLE_STATUSES = frozenset({408, 429, 502, 503, 504})
"""HTTP statuses after which the same question may get an answer a moment later."""

_UNLIMITED_SENTINEL = Decimal(-1)
_PLAIN_DECIMAL = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"

# How the gateway names the key in failures sent with HTTP 200: its reference gives "Failed to get token info",
# "No Authorization header" and their Chinese forms; "invalid api key" with code 401 was observed in 2026.
_KEY_IS_NAMED = r"(?ai)token|api[ _-]?key|authorization|unauthori[sz]ed|令牌|密钥"
_AUTH_STATUSES = frozenset({401, 403})

_AUTH_HINT = (
    "check that the key is right and still exists on the gateway's key page, and that it allows your IP address"
)
_BASE_URL_HINT = "check the base URL: `apimart config show` tells where it comes from"
_GATEWAY_HINT = "something between here and the gateway, or the gateway itself, answered wrongly; try again later"


class Scope(StrEnum):
    """Whose balance a reading tells."""

    KEY = "key"
    """The quota of the key that asks."""
    ACCOUNT = "account"
    """The account behind the key, which pays for all of its keys."""


class Balance(NamedTuple):
    """What one key or account has left. Amounts are in the gateway's own unit, which its answer does not name.

    `remain_balance` and `remain_credits` are None when `unlimited_quota` is true: the sentinel -1 that the gateway
    sends then never gets past the parser.
    """

    scope: Scope
    remain_balance: Decimal | None
    used_balance: Decimal
    unlimited_quota: bool
    fetched_at: datetime
    """When the answer arrived, in UTC."""
    remain_credits: Decimal | None = None
    """Observed beside the balance on some gateways, 1 credit = 0.10; None where it is not sent."""
    used_credits: Decimal | None = None


class Reading(NamedTuple):
    """The outcome of one question: a balance, or the error that stands in its place; never both, never neither."""

    profile: str
    scope: Scope
    unit: str | None
    result: Balance | ApimartError

    @property
    def balance(self) -> Balance | None:
        """The balance, or None when the reading failed."""
        return self.result if isinstance(self.result, Balance) else None

    @property
    def error(self) -> ApimartError | None:
        """The error, or None when the reading succeeded."""
        return self.result if isinstance(self.result, ApimartError) else None

    @property
    def name(self) -> str:
        """How messages call this reading: `profile/scope`."""
        return f"{self.profile}/{self.scope}"


class Spendable(NamedTuple):
    """What can be spent with a key: the smaller of the key's and the account's remaining balance.

    Both are in one unit: the gateway's configuration names a single one for keys and accounts.
    """

    profile: str
    unit: str | None
    key: Reading
    account: Reading

    @property
    def error(self) -> ApimartError | None:
        """The first error of the two readings: without both answers nobody knows what can be spent."""
        return self.key.error or self.account.error

    @property
    def limit(self) -> Reading | None:
        """The reading that limits what can be spent; None when neither does, or when one of them failed."""
        limited = [
            (reading.balance.remain_balance, reading)
            for reading in (self.key, self.account)
            if reading.balance is not None and reading.balance.remain_balance is not None
        ]
        return None if self.error or not limited else min(limited, key=lambda pair: pair[0])[1]

    @property
    def remain_balance(self) -> Decimal | None:
        """What can be spent; None when it is unlimited or unknown."""
        return self.limit.balance.remain_balance if self.limit and self.limit.balance else None


def with_spendable(readings: Iterable[Reading]) -> Iterator[Reading | Spendable]:
    """Yield `readings`, and behind each key that is followed by its account, what can be spent."""
    before: Reading | None = None
    for reading in readings:
        yield reading
        if (
            before is not None
            and (before.profile, before.scope) == (reading.profile, Scope.KEY)
            and (reading.scope is Scope.ACCOUNT)
        ):
            yield Spendable(reading.profile, reading.unit, before, reading)
        before = reading


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
        _raise_for_status(answer, key)
    fields = _parse_object(answer.body)
    success = _required(fields, "success", key)
    if success is False:
        _raise_for_failure(fields, key)
    if success is not True:
        _reject(f"`success` is {_describe(success, key)}, not true or false")
    return _read_balance(fields, scope, key, fetched_at)


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


# --- failures the gateway reports -------------------------------------------------------------------------------


def _raise_for_status(answer: Answer, key: ApiKey) -> NoReturn:
    status = answer.status
    said = _server_words(answer, key)
    if status in _AUTH_STATUSES:
        raise AuthError(f"the gateway rejected the API key (HTTP {status}){said}", _AUTH_HINT)
    if status == 402:
        raise PaymentRequiredError(
            f"the gateway asks for payment (HTTP 402){said}", "the account cannot pay for calls; top it up"
        )
    if status == 429:
        raise UnavailableError(
            f"the gateway limits the rate of requests (HTTP 429){said}",
            "ask less often",
            retryable=status in RETRYABLE_STATUSES,
        )
    if status == 408 or 500 <= status <= 599:
        raise UnavailableError(
            f"the gateway could not answer (HTTP {status}){said}",
            "try again later" + ("; a longer --timeout allows more retries" if status in RETRYABLE_STATUSES else ""),
            retryable=status in RETRYABLE_STATUSES,
        )
    if 300 <= status <= 399:
        target = f" to {key.quote(answer.location)}" if answer.location else ""
        raise BadResponseError(
            f"the gateway answered with a redirect{target} (HTTP {status}), which is never followed", _BASE_URL_HINT
        )
    if status == 404:
        raise BadResponseError(f"there is no balance endpoint at this address (HTTP 404){said}", _BASE_URL_HINT)
    raise BadResponseError(f"the gateway answered with HTTP {status} where 200 was expected{said}", _GATEWAY_HINT)


def _raise_for_failure(fields: Mapping[str, Any], key: ApiKey) -> NoReturn:
    """Raise for an answer that says `success: false` with HTTP 200."""
    message = fields.get("message", "")
    if isinstance(message, _Number) or not isinstance(message, str):
        _reject(f"`message` is {_describe(message, key)}, not a string")
    said = f": {key.quote(message)}" if message else ""
    if re.search(_KEY_IS_NAMED, message) or str(fields.get("code")) in {str(status) for status in _AUTH_STATUSES}:
        raise AuthError(f"the gateway rejected the API key{said}", _AUTH_HINT)
    raise UnavailableError(f"the gateway could not tell the balance{said}", "try again later")


def _server_words(answer: Answer, key: ApiKey) -> str:
    """Return what the server said of its error, ready to follow a sentence: from the body, else the reason phrase."""
    try:
        fields = _parse_object(answer.body)
    except BadResponseError:
        fields = {}
    error = fields.get("error")
    holder = error if isinstance(error, Mapping) else fields
    message = holder.get("message")
    words = message if isinstance(message, str) else answer.reason
    return f": {key.quote(words)}" if words.strip() else ""


# --- strict JSON ------------------------------------------------------------------------------------------------


class _Number(str):
    """A JSON number as the server wrote it; told apart from a JSON string, and free of size limits until judged."""

    __slots__ = ()


def _parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the one JSON object that `body` is, numbers kept as text.

    Raises BadResponseError for anything else: other encodings, a byte order mark, trailing bytes, NaN, infinities,
    duplicate names, nesting beyond MAX_NESTING.
    """
    if not body:
        _reject("its body is empty")
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_unique_names,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_reject_constant,
        )
    # `from None`: the decoders' exceptions keep the whole document, and with it whatever the server echoed.
    except UnicodeDecodeError:
        raise _bad_response("it is not UTF-8") from None
    except RecursionError:
        raise _bad_response("it is nested too deep") from None
    except ValueError:
        raise _bad_response("it is not JSON") from None
    if not isinstance(document, dict):
        _reject("it is not a JSON object")
    if _containers_below(document, MAX_NESTING):
        _reject("it is nested too deep")
    return document


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _reject("a name stands in it twice")
    return fields


def _reject_constant(name: str) -> NoReturn:
    _reject(f"it holds {name}, which is no JSON number")


def _containers_below(document: dict[str, Any], levels: int) -> list[Any]:
    """Return the objects and lists of `document` that `levels` others enclose; the document itself is the outermost."""
    containers: list[Any] = [document]
    for _ in range(levels):
        children = (child for node in containers for child in _children(node))
        containers = [child for child in children if isinstance(child, (dict, list))]
    return containers


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


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
    is_number = isinstance(value, _Number) or (isinstance(value, str) and re.fullmatch(_PLAIN_DECIMAL, value))
    if not is_number:
        _reject(f"`{name}` is {_describe(value, key)}, not a number")
    if len(value) > MAX_AMOUNT_LENGTH:
        _reject(f"`{name}` has {len(value)} characters, which is no sensible amount")
    try:
        amount = Decimal(value)
    except InvalidOperation:  # an exponent of twenty digits is more than a Decimal can hold
        raise _bad_response(f"`{name}` has an exponent beyond sense") from None
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
    if isinstance(value, _Number):
        return f"the number {key.quote(value)}"
    if isinstance(value, str):
        return f'the string "{key.quote(value)}"'
    return "an object" if isinstance(value, dict) else "a list"


def _reject(what: str) -> NoReturn:
    raise _bad_response(what)


def _bad_response(what: str) -> BadResponseError:
    return BadResponseError(f"the gateway's answer cannot be trusted: {what}", _GATEWAY_HINT)
