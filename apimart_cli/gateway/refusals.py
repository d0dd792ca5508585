"""What an answer says that is no balance: which failure it is, and in the gateway's own words why. Pure: no I/O.

Most runs meet none, and do not load this.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apimart_cli.errors import ApimartError, BadResponseError, UnavailableError
from apimart_cli.gateway.answer import Answer, JsonNumber, NotStrictError, described, parse_object, reject
from apimart_cli.gateway.failures import AUTH_STATUSES, answered_by_another, error_of_status, key_rejected, no_money
from apimart_cli.gateway.shortage import complaint_in, floor_told, says_no_money
from apimart_cli.keys.key import Redactor
from apimart_cli.words import Scope

MAX_SERVER_NAME = 40
"""Most characters that are shown of the name of a server."""

NO_ENDPOINT_STATUSES = frozenset({404, 405})
"""With these a gateway says that there is nothing at an address."""

_BALANCE_FIELDS = frozenset({"remain_balance", "used_balance", "unlimited_quota"})

_ABOUT_A_CUSTOMER = (
    "user|account|customer|token|key|quota|balance|credit|fund|pay|paid|bill|auth|permission|forbidden|denied|suspend"
    "|disabled|blocked|banned|expired|用户|用戶|账户|账号|帐户|帳|令牌|密钥|密鑰|额度|額度|余额|餘額|欠费|禁用|封禁"
)
"""Words that an error about a missing address does not have."""

_WORDS_READ = 2000
"""Most bytes that are read of a text that is not JSON."""

# How the gateway names the key in failures sent with HTTP 200: its reference gives "Failed to get token info",
# "No Authorization header" and their Chinese forms; "invalid api key" with code 401 was observed in 2026.
_KEY_IS_NAMED = r"(?ai)token|api[ _-]?key|authorization|unauthori[sz]ed|令牌|密钥"


def failure_of(answer: Answer, *, scope: Scope, redactor: Redactor) -> ApimartError:
    """Return the error for an answer with a status other than 200, whatever its body."""
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
    """Tell whether an answer with 404 or 405 says nothing about a customer, so that the address alone may be missing.

    Gateways of this family name that address in the message; the words of it do not count.
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
    """Return what kind of answer it is, where no JSON error of the gateway is in it."""
    if answer.mitigated is not None:
        server = redactor.quote(answer.server or "")[:MAX_SERVER_NAME]
        return f"a bot check of {server}" if server else "a bot check"
    return "a web page" if answer.body.lstrip().startswith(b"<") else "something else"


def fields_of(answer: Answer) -> Mapping[str, Any]:
    """Return the body as a JSON object; an empty one where it is none."""
    try:
        return parse_object(answer.body)
    except NotStrictError:
        return {}


def server_words(fields: Mapping[str, Any], reason: str, redactor: Redactor) -> str:
    """Return the server's words about its error, ready to follow a sentence: of the body, else the reason phrase."""
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
    """Return the error if a JSON error of the gateway says that there is no money; else None."""
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
    """Return the error for an answer with HTTP 200 and `success: false`."""
    message = fields.get("message", "")
    if isinstance(message, JsonNumber) or not isinstance(message, str):
        reject(f"`message` is {described(message, redactor)}, not a string")
    if shortage := shortage_told(fields, 200, redactor):
        return shortage
    said = said_of(message, redactor)
    if re.search(_KEY_IS_NAMED, message) or str(fields.get("code")) in {str(status) for status in AUTH_STATUSES}:
        return key_rejected(said)
    return UnavailableError(f"the gateway could not tell {asked_for}{said}", "try again later", was_told=True)


def words_of_error(fields: Mapping[str, Any], redactor: Redactor) -> str:
    """Return the message of an error object among `fields`, ready to follow a sentence."""
    error = fields.get("error")
    message = error.get("message") if isinstance(error, Mapping) else None
    return f"; it says: {redactor.quote(message)}" if isinstance(message, str) else ""
