"""The gateway's answer and what it proves: `Answer` in, `Balance` or an error out. Pure: no I/O, no clock.

This is the only reader of the payload. It is strict on purpose: everything but the documented shape is a bad response,
because a gate that guesses is worse than no gate.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, NoReturn

from apimart_cli.errors import untrustworthy
from apimart_cli.keys.key import Redactor
from apimart_cli.rules.balance import Balance
from apimart_cli.words import Scope

MAX_NESTING = 32
"""Deepest nesting of an answer that is read; the documented one has a single level."""

MAX_AMOUNT_LENGTH = 40
"""Most characters of an amount. A double printed in full has at most 25."""

MAX_INTEGER_DIGITS = 15
"""Most digits before the decimal point of an amount."""

MAX_FRACTION_DIGITS = 30
"""Most digits after the decimal point of an amount, exponent written out."""

MAX_AGE = 60
"""Oldest answer, in seconds, that proves anything. We ask caches for a fresh one, and some do not listen."""

NO_ERROR: tuple[object, ...] = (None, False, "", "0", [])
"""What gateways write in the field of an error when there is none; numbers are text here."""

_UNLIMITED_SENTINEL = Decimal(-1)

_PLAIN_DECIMAL = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"


class Answer(NamedTuple):
    """One HTTP answer, received whole: its status line, the headers that matter, and the decoded body."""

    status: int
    reason: str
    body: bytes
    location: str | None = None
    age: str | None = None
    """How many seconds old it is, as a cache counted them."""
    warning: str | None = None
    server: str | None = None
    """How the server calls itself."""
    mitigated: str | None = None
    """What Cloudflare did in place of asking the gateway (`cf-mitigated`): `challenge` is a bot check."""
    date: str | None = None
    """When it was made, by the clock of what answered."""
    usage_cache: str | None = None
    """Of the gateway's books: `hit` where they kept the answer to the same question."""


def interpret(answer: Answer, *, scope: Scope, redactor: Redactor, fetched_at: datetime) -> Balance:
    """Return the balance that `answer` proves.

    `redactor` quotes what messages repeat of the server's text.

    Raises PaymentRequiredError (402, or any status where a JSON error says that there is no money), AuthError (401, 403
    with a JSON error, HTTP 200 naming the key), UnavailableError (408, 429, 5xx, HTTP 200 with another failure) or
    BadResponseError (everything else). The status is looked at first: after a wrong one, a perfect body proves nothing.
    """
    if answer.status != 200:
        from apimart_cli.gateway.refusals import failure_of

        raise failure_of(answer, scope=scope, redactor=redactor)
    if is_old(answer):
        reject("it is an old answer from a cache")
    try:
        fields = parse_object(answer.body)
    except NotStrictError as error:
        raise untrustworthy(str(error)) from None
    if "success" not in fields:
        from apimart_cli.gateway.refusals import shortage_told, words_of_error

        if shortage := shortage_told(fields, answer.status, redactor):
            raise shortage
        reject(f"`success` is missing{words_of_error(fields, redactor)}")
    success = fields["success"]
    if success is False:
        from apimart_cli.gateway.refusals import failure_told

        raise failure_told(fields, redactor)
    if success is not True:
        reject(f"`success` is {described(success, redactor)}, not true or false")
    if fields.get("error") not in NO_ERROR:
        from apimart_cli.gateway.refusals import words_of_error

        reject(f"`success` is true, but there is an error{words_of_error(fields, redactor)}")
    return _read_balance(fields, scope, redactor, fetched_at)


def is_old(answer: Answer) -> bool:
    """Tell whether a cache says that it kept the answer too long, or gives an age that is no number."""
    ages = [] if answer.age is None else answer.age.split(",")
    # Warning 110, "response is stale" (RFC 7234); among several, each starts with its number.
    is_stale = answer.warning is not None and re.search(r"(?:^|,)\s*110\b", answer.warning) is not None
    return is_stale or not all(re.fullmatch(r"\s*[0-9]{1,10}\s*", age) and int(age) <= MAX_AGE for age in ages)


def _read_balance(fields: Mapping[str, Any], scope: Scope, redactor: Redactor, fetched_at: datetime) -> Balance:
    unlimited = fields.get("unlimited_quota", False)
    if not isinstance(unlimited, bool):
        reject(f"`unlimited_quota` is {described(unlimited, redactor)}, not true or false")
    remain = amount_in(required(fields, "remain_balance"), "remain_balance", redactor)
    used = amount_in(required(fields, "used_balance"), "used_balance", redactor)
    if used < 0:
        reject("`used_balance` is negative")
    if remain == _UNLIMITED_SENTINEL and not unlimited:
        reject("`remain_balance` is -1, which means unlimited, but `unlimited_quota` is not true")
    remain_credits = _optional_amount(fields, "remain_credits", redactor)
    return Balance(
        scope=scope,
        remain_balance=None if unlimited else remain,
        used_balance=used,
        unlimited_quota=unlimited,
        fetched_at=fetched_at,
        remain_credits=None if unlimited else remain_credits,
        used_credits=_optional_amount(fields, "used_credits", redactor),
    )


def required(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field that must be there. Raises BadResponseError."""
    if name not in fields:
        reject(f"`{name}` is missing")
    return fields[name]


def _optional_amount(fields: Mapping[str, Any], name: str, redactor: Redactor) -> Decimal | None:
    return amount_in(fields[name], name, redactor) if name in fields else None


def amount_in(value: Any, name: str, redactor: Redactor) -> Decimal:
    """Return a JSON number, or a string that is a plain decimal, as the exact Decimal it writes."""
    is_number = isinstance(value, JsonNumber) or (isinstance(value, str) and re.fullmatch(_PLAIN_DECIMAL, value))
    if not is_number:
        reject(f"`{name}` is {described(value, redactor)}, not a number")
    if len(value) > MAX_AMOUNT_LENGTH:
        reject(f"`{name}` has {len(value)} characters, which no amount has")
    try:
        amount = Decimal(value)
    except InvalidOperation:  # an exponent of twenty digits is more than a Decimal can hold
        raise untrustworthy(f"`{name}` has an exponent that no amount has") from None
    # Both ends are bounded before anything is computed or printed from them: 1e999999999 would fill the memory.
    if amount.adjusted() >= MAX_INTEGER_DIGITS:
        reject(f"`{name}` has more than {MAX_INTEGER_DIGITS} digits before the point")
    if int(amount.as_tuple().exponent) < -MAX_FRACTION_DIGITS:
        reject(f"`{name}` has more than {MAX_FRACTION_DIGITS} digits after the point")
    return amount


def described(value: Any, redactor: Redactor) -> str:
    """Name a JSON value in a message: the type, and short values themselves."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, JsonNumber):
        return f"the number {redactor.quote(value)}"
    if isinstance(value, str):
        return f'the string "{redactor.quote(value)}"'
    return "an object" if isinstance(value, dict) else "a list"


def reject(what: str) -> NoReturn:
    """Raise BadResponseError for an answer that proves nothing."""
    raise untrustworthy(what)


class NotStrictError(Exception):
    """A document that is not strict JSON. Its text says what is wrong, and repeats nothing of the document."""


class JsonNumber(str):
    """A JSON number as the server wrote it. It is no JSON string, and no size limit holds until it is judged."""

    __slots__ = ()


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in `body`, numbers kept as text.

    Raises NotStrictError for anything but one object: other encodings, a byte order mark, trailing bytes, NaN,
    infinities, duplicate names, nesting beyond MAX_NESTING.
    """
    if not body:
        raise NotStrictError("its body is empty")
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_unique_names,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_reject_constant,
        )
    # `from None`: the decoders' exceptions keep the whole document, and with it all that the server echoed.
    except UnicodeDecodeError:
        raise NotStrictError("it is not UTF-8") from None
    except RecursionError:
        raise NotStrictError("it is nested too deep") from None
    except ValueError:
        raise NotStrictError("it is not JSON") from None
    if not isinstance(document, dict):
        raise NotStrictError("it is not a JSON object")
    if _containers_below(document, MAX_NESTING):
        raise NotStrictError("it is nested too deep")
    return document


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NotStrictError("a name stands in it twice")
    return fields


def _reject_constant(name: str) -> NoReturn:
    raise NotStrictError(f"it holds {name}, which is no JSON number")


def _containers_below(document: dict[str, Any], levels: int) -> list[Any]:
    """Return the objects and lists that stand `levels` levels below `document`."""
    containers: list[Any] = [document]
    for _ in range(levels):
        children = (child for node in containers for child in _children(node))
        containers = [child for child in children if isinstance(child, (dict, list))]
    return containers


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container
