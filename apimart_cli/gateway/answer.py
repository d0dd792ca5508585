"""Strict JSON: one object, numbers kept as the text that the server wrote. Pure: no I/O.

The gateway's answer and what it proves: `Answer` in, `Balance` or an error out.

The only reader of the payload. It is strict on purpose: whatever is not exactly the documented shape is a bad
response, because a gate that guesses is worse than no gate. Pure: no I/O, no clock.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, NoReturn

from apimart_cli.errors import ApimartError, BadResponseError, UnavailableError
from apimart_cli.gateway.failures import (
    AUTH_STATUSES,
    answered_by_another,
    error_of_status,
    key_rejected,
    no_money,
    untrustworthy,
)
from apimart_cli.keys.redactor import Redactor
from apimart_cli.rules.balance import Balance
from apimart_cli.words import Scope

MAX_NESTING = 32
"""Deepest nesting of an answer that is read; the documented one has a single level."""


class NotStrictError(Exception):
    """A document that is not what was asked for; its text says what is wrong, and none of what it holds."""


class JsonNumber(str):
    """A JSON number as the server wrote it; told apart from a JSON string, and free of size limits until judged."""

    __slots__ = ()


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the one JSON object that `body` is, numbers kept as text.

    Raises NotStrictError for anything else: other encodings, a byte order mark, trailing bytes, NaN, infinities,
    duplicate names, nesting beyond MAX_NESTING.
    """
    if not body:
        _refuse("its body is empty")
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_unique_names,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_reject_constant,
        )
    # `from None`: the decoders' exceptions keep the whole document, and with it whatever the server echoed.
    except UnicodeDecodeError:
        raise NotStrictError("it is not UTF-8") from None
    except RecursionError:
        raise NotStrictError("it is nested too deep") from None
    except ValueError:
        raise NotStrictError("it is not JSON") from None
    if not isinstance(document, dict):
        _refuse("it is not a JSON object")
    if _containers_below(document, MAX_NESTING):
        _refuse("it is nested too deep")
    return document


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _refuse("a name stands in it twice")
    return fields


def _reject_constant(name: str) -> NoReturn:
    _refuse(f"it holds {name}, which is no JSON number")


def _containers_below(document: dict[str, Any], levels: int) -> list[Any]:
    """Return the objects and lists of `document` that `levels` others enclose; the document itself is the outermost."""
    containers: list[Any] = [document]
    for _ in range(levels):
        children = (child for node in containers for child in _children(node))
        containers = [child for child in children if isinstance(child, (dict, list))]
    return containers


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _refuse(what: str) -> NoReturn:
    raise NotStrictError(what)


MAX_AMOUNT_LENGTH = 40
"""Most characters of an amount. A double printed in full has at most 25."""

MAX_INTEGER_DIGITS = 15
"""Most digits before the decimal point of an amount."""

MAX_FRACTION_DIGITS = 30
"""Most digits after the decimal point of an amount, exponent written out."""

MAX_AGE = 60
"""Oldest answer, in seconds, that proves anything. Caches are asked for a fresh one; some do not listen."""

MAX_SERVER_NAME = 40
"""Most characters that are shown of what calls itself a server."""

NO_ENDPOINT_STATUSES = frozenset({404, 405})
"""With these a gateway says that it does not know an address."""

_BALANCE_FIELDS = frozenset({"remain_balance", "used_balance", "unlimited_quota"})

NO_ERROR: tuple[object, ...] = (None, False, "", "0", [])
"""What gateways fill in for an error that is not there; numbers are text here."""

_ABOUT_A_CUSTOMER = (
    "user|account|customer|token|key|quota|balance|credit|fund|pay|paid|bill|auth|permission|forbidden|denied|suspend"
    "|disabled|blocked|banned|expired|用户|用戶|账户|账号|帐户|帳|令牌|密钥|密鑰|额度|額度|余额|餘額|欠费|禁用|封禁"
)
"""What a missing address has nothing to do with."""

_WORDS_READ = 2000
"""Most bytes that are read of a text that is not JSON."""

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
    age: str | None = None
    """How many seconds ago it was true, as a cache counted them."""
    warning: str | None = None
    server: str | None = None
    """What answered, in its own words."""
    mitigated: str | None = None
    """What Cloudflare did instead of asking the gateway (`cf-mitigated`): `challenge` is a bot check."""
    date: str | None = None
    """When it was made, by the clock of what answered."""
    usage_cache: str | None = None
    """Of the gateway's books: `hit` where they kept the answer to the same question."""


def interpret(answer: Answer, *, scope: Scope, redactor: Redactor, fetched_at: datetime) -> Balance:
    """Return the balance that `answer` proves.

    `redactor` quotes what messages repeat of the server's text.

    Raises PaymentRequiredError (402, or any status where a JSON error says that there is no money), AuthError (401, 403
    with a JSON error, HTTP 200 naming the key), UnavailableError (408, 429, 5xx, HTTP 200 with another failure) or
    BadResponseError (everything else). A balance needs the status first: a perfect body after a wrong one proves
    nothing.
    """
    if answer.status != 200:
        raise failure_of(answer, scope=scope, redactor=redactor)
    if is_old(answer):
        reject("it is an old answer from a cache")
    try:
        fields = parse_object(answer.body)
    except NotStrictError as error:
        raise untrustworthy(str(error)) from None
    if "success" not in fields:
        if shortage := shortage_told(fields, answer.status, redactor):
            raise shortage
        reject(f"`success` is missing{words_of_error(fields, redactor)}")
    success = fields["success"]
    if success is False:
        raise failure_told(fields, redactor)
    if success is not True:
        reject(f"`success` is {described(success, redactor)}, not true or false")
    if fields.get("error") not in NO_ERROR:
        reject(f"`success` is true, but there is an error{words_of_error(fields, redactor)}")
    return _read_balance(fields, scope, redactor, fetched_at)


def failure_of(answer: Answer, *, scope: Scope, redactor: Redactor) -> ApimartError:
    """Return the error that an answer with a status other than 200 is, whatever its body."""
    from apimart_cli.gateway.shortage import complaint_in

    fields, status = fields_of(answer), answer.status
    if shortage := shortage_told(fields, status, redactor, reason=answer.reason):
        return shortage
    said = server_words(fields, answer.reason, redactor)
    is_mitigated = answer.mitigated is not None and status in AUTH_STATUSES | NO_ENDPOINT_STATUSES
    if is_mitigated or (status == 403 and complaint_in(fields) is None):
        return answered_by_another(_who_answered(answer, redactor), status, said=said)
    location = redactor.quote(answer.location) if answer.location else None
    error = error_of_status(status, said=said, location=location, scope=scope)
    if isinstance(error, BadResponseError) and status in NO_ENDPOINT_STATUSES:
        error.is_no_endpoint = _says_nothing_else(answer, fields)
    return error


def _says_nothing_else(answer: Answer, fields: Mapping[str, Any]) -> bool:
    """Tell whether an answer with 404 or 405 may mean that there is no such address, and nothing about a customer.

    Gateways of this family name the address that was asked for in the message; it is left out.
    """
    if fields.get("success") is True or not _BALANCE_FIELDS.isdisjoint(fields):
        return False
    error = fields.get("error")
    holders = (fields, error) if isinstance(error, Mapping) else (fields,)
    told = [text for holder in holders for text in holder.values() if isinstance(text, str)]
    if not fields and not answer.body.lstrip().startswith(b"<"):
        told = [answer.body[:_WORDS_READ].decode("utf-8", "replace")]
    return not any(re.search(_ABOUT_A_CUSTOMER, re.sub(r"\S*/\S*", " ", text), re.IGNORECASE) for text in told)


def _who_answered(answer: Answer, redactor: Redactor) -> str:
    """Return what an answer is that has no JSON error of the gateway in it."""
    if answer.mitigated is not None:
        server = redactor.quote(answer.server or "")[:MAX_SERVER_NAME]
        return f"a bot check of {server}" if server else "a bot check"
    return "a web page" if answer.body.lstrip().startswith(b"<") else "something else"


def is_old(answer: Answer) -> bool:
    """Tell whether a cache says that it kept the answer too long, or says something about it that nobody can read."""
    ages = [] if answer.age is None else answer.age.split(",")
    # Warning 110, "response is stale" (RFC 7234); among several, each starts with its number.
    is_stale = answer.warning is not None and re.search(r"(?:^|,)\s*110\b", answer.warning) is not None
    return is_stale or not all(re.fullmatch(r"\s*[0-9]{1,10}\s*", age) and int(age) <= MAX_AGE for age in ages)


def fields_of(answer: Answer) -> Mapping[str, Any]:
    """Return the JSON object that the body is, or an empty one."""
    try:
        return parse_object(answer.body)
    except NotStrictError:
        return {}


def server_words(fields: Mapping[str, Any], reason: str, redactor: Redactor) -> str:
    """Return what the server said of its error, ready to follow a sentence: from the body, else the reason phrase."""
    error = fields.get("error")
    holder = error if isinstance(error, Mapping) else fields
    message = holder.get("message")
    return said_of(message if isinstance(message, str) else reason, redactor)


def said_of(words: str, redactor: Redactor) -> str:
    """Return what the server said, ready to follow a sentence."""
    quoted = redactor.quote(words)
    return f": {quoted}" if quoted else ""


def shortage_told(
    fields: Mapping[str, Any], status: int, redactor: Redactor, *, reason: str = ""
) -> ApimartError | None:
    """Return the error where a JSON error of the gateway says that there is no money; else None."""
    from apimart_cli.gateway.shortage import complaint_in, floor_told, says_no_money

    complaint = complaint_in(fields)
    if complaint is None or not (status == 402 or says_no_money(complaint, status=status)):
        return None
    floor = floor_told(complaint.message)
    told = None if floor is None else floor.in_words
    error = no_money(status, said=f": {told}" if told else server_words(fields, reason, redactor), floor=told)
    if floor is not None and floor.unit == "USD":
        error.floor = Decimal(floor.required)
    return error


def failure_told(fields: Mapping[str, Any], redactor: Redactor, *, asked_for: str = "the balance") -> ApimartError:
    """Return the error that an answer with HTTP 200 and `success: false` is."""
    message = fields.get("message", "")
    if isinstance(message, JsonNumber) or not isinstance(message, str):
        reject(f"`message` is {described(message, redactor)}, not a string")
    if shortage := shortage_told(fields, 200, redactor):
        return shortage
    said = said_of(message, redactor)
    if re.search(_KEY_IS_NAMED, message) or str(fields.get("code")) in {str(status) for status in AUTH_STATUSES}:
        return key_rejected(said)
    return UnavailableError(f"the gateway could not tell {asked_for}{said}", "try again later", was_told=True)


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


def words_of_error(fields: Mapping[str, Any], redactor: Redactor) -> str:
    """Return what an error object among `fields` says, ready to follow a sentence."""
    error = fields.get("error")
    message = error.get("message") if isinstance(error, Mapping) else None
    return f"; it says: {redactor.quote(message)}" if isinstance(message, str) else ""


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
