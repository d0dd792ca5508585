"""A second opinion: what an answer proves and how `check` must end, written from the documented contract alone.

It shares no code and no technique with the parser and the gate, so that a bug of theirs is not repeated here: JSON is
read by hand, character by character, gzip by its published layout, and amounts are fractions instead of decimals.
Plain on purpose: it is meant to be read beside the contract, not to be fast.
"""

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from hostile import wording

OK, USAGE, BELOW, AUTH, UNAVAILABLE, BAD_RESPONSE, UNLIMITED, NO_FORECAST = 0, 2, 3, 4, 5, 6, 7, 8
TOLD = 100 + UNAVAILABLE
"""UNAVAILABLE in the gateway's own words, which no option forgives."""

MOST_BYTES = 65_536
DEEPEST = 32
LONGEST_AMOUNT = 40
MOST_DIGITS_BEFORE_THE_POINT = 15
MOST_DIGITS_BEHIND_THE_POINT = 30


class Proof(NamedTuple):
    """What a trustworthy answer says. Amounts are exact; a remaining amount is None where it is unlimited."""

    unlimited: bool
    remain: Fraction | None
    used: Fraction
    remain_credits: Fraction | None
    used_credits: Fraction | None
    lasts: Fraction | float | None = None
    """Days that the rest surely lasts: not from the answer, but from what was recorded; None is not known."""


class UntrustworthyError(Exception):
    """The answer is not exactly what the contract asks for."""


def read(status: int, headers: Mapping[str, str], body: bytes) -> Proof | int:
    """Return what an answer proves, or the exit code of the failure that it is."""
    told = _error_in(headers, body)
    if status == 402 or (status != 200 and told is not None and wording.says_no_money(told, status)):
        return BELOW
    if status in (401, 403) and "cf-mitigated" in headers:
        return BAD_RESPONSE
    if status == 401:
        return AUTH
    if status == 403:
        return BAD_RESPONSE if told is None else AUTH
    if status in (408, 429) or status in range(500, 600):
        return UNAVAILABLE
    if status != 200 or _is_stale(headers):
        return BAD_RESPONSE
    try:
        return _read_envelope(_read_json(unpack(body, headers.get("Content-Encoding"))))
    except UntrustworthyError:
        return BAD_RESPONSE


def _error_in(headers: Mapping[str, str], body: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer, where it is an error of the gateway."""
    try:
        document = _read_json(unpack(body, headers.get("Content-Encoding")))
    except UntrustworthyError:
        return None
    if not isinstance(document, dict) or document.get("success") is True:
        return None
    if isinstance(document.get("error"), dict):
        return document
    return document if isinstance(document.get("message"), str) else None


def _is_stale(headers: Mapping[str, str]) -> bool:
    """Whether a cache confesses to an answer of more than a minute, or says something else than a number of seconds."""
    age = headers.get("Age", "0").strip(" ")
    if not age.isascii() or not age.isdigit() or int(age[:12]) > 60 or len(age) > 10:
        return True
    return any(warning.strip(" ").split(" ")[0] == "110" for warning in headers.get("Warning", "").split(","))


def _read_envelope(document: Any) -> Proof | int:
    if not isinstance(document, dict):
        raise UntrustworthyError
    if "success" not in document:
        return _read_nameless(document)
    if document["success"] is False:
        return _read_failure(document)
    if document["success"] is not True:
        raise UntrustworthyError
    error = document.get("error")
    if not (error is None or error is False or _is_zero(error) or (isinstance(error, str | list) and not error)):
        raise UntrustworthyError
    unlimited = document.get("unlimited_quota", False)
    if unlimited is not True and unlimited is not False:
        raise UntrustworthyError
    if "remain_balance" not in document or "used_balance" not in document:
        raise UntrustworthyError
    amounts = {
        name: _read_amount(document[name])
        for name in ("remain_balance", "used_balance", "remain_credits", "used_credits")
        if name in document
    }
    if amounts["used_balance"] < 0:
        raise UntrustworthyError
    if amounts["remain_balance"] == -1 and not unlimited:
        raise UntrustworthyError
    return Proof(
        unlimited=unlimited, remain=None if unlimited else amounts["remain_balance"], used=amounts["used_balance"],
        remain_credits=None if unlimited else amounts.get("remain_credits"), used_credits=amounts.get("used_credits"),
    )  # fmt: skip


def _is_zero(error: object) -> bool:
    return error == "0" or (isinstance(error, Number) and error.text == "0")


def _read_nameless(document: dict[str, Any]) -> int:
    """An object that says neither success nor failure: an error, perhaps."""
    is_error = isinstance(document.get("error"), dict) or isinstance(document.get("message"), str)
    if is_error and wording.says_no_money(document, 200):
        return BELOW
    raise UntrustworthyError


def _read_failure(document: dict[str, Any]) -> int:
    message = document.get("message", "")
    if not isinstance(message, str):
        raise UntrustworthyError
    if wording.says_no_money(document, 200):
        return BELOW
    code = document.get("code")
    if (code.text if isinstance(code, Number) else code) in ("401", "403"):
        return AUTH
    upper, lower = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
    message = message.translate(str.maketrans(upper, lower))
    names_of_the_key = (
        "token", "apikey", "api key", "api_key", "api-key", "authorization", "unauthorized", "unauthorised",
        "\u4ee4\u724c", "\u5bc6\u94a5",
    )  # fmt: skip
    return AUTH if any(name in message for name in names_of_the_key) else TOLD


_NEVER_SHOWN = re.compile(
    "["
    "\x00-\x1f"  # C0 controls, the end of a line among them
    "\x7f-\x9f"  # delete and the C1 controls
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\ufeff\uffa0"  # seen as nothing
    "\u200b-\u200f"  # zero-width characters and marks of direction
    "\u2028-\u202e"  # line and paragraph separators, embeddings and overrides of direction
    "\u2060-\u206f"  # joiners, invisible operators, isolates
    "\ud800-\uf8ff"  # surrogates and private use
    "\ufe00-\ufe0f"  # variation selectors
    "\ufff0-\ufffb"  # marks of annotations
    "\U000e0000-\U0010ffff"  # tags, further selectors, private use
    "]"
)


def faults_of_text(text: str) -> list[str]:
    """Return what may not stand in a message: characters that hide or move others, and commands to a CI runner."""
    faults = [f"U+{ord(character):04X}" for character in _NEVER_SHOWN.findall(text)]
    if any(word.startswith("::") for word in text.split()):
        faults.append("a word that starts with ::")
    return faults + [command for command in ("##[", "##vso[", "##teamcity[") if command in text]


class Limits(NamedTuple):
    """The thresholds of one reading, both inclusive; None where one is not set."""

    least: Fraction | None
    most_used: Fraction | None
    shortest: Fraction | None = None
    """Days that the rest must last."""


class Choices(NamedTuple):
    """What the user chose to let pass."""

    unlimited_passes: bool = True
    untold_passes: bool = False
    fail_open: bool = False


class Pair(NamedTuple):
    """What `--scope spendable` rests on: the answers about a key and about its account."""

    key: Proof | int
    account: Proof | int

    @property
    def failures(self) -> list[int]:
        """The failures of the two: payment required first, silence last, the key's before the account's."""
        failed = [answer for answer in self if isinstance(answer, int)]
        return (
            [failure for failure in failed if failure == BELOW]
            + [failure for failure in failed if failure not in (BELOW, UNAVAILABLE)]
            + [failure for failure in failed if failure == UNAVAILABLE]
        )


def verdict(readings: Sequence[Proof | Pair | int], limits: Sequence[Limits], choices: Choices) -> int:
    """Return the exit code of `check`."""
    if not readings or any(limit == (None, None, None) for limit in limits):
        return USAGE
    words = [_judge(reading, limit, choices) for reading, limit in zip(readings, limits, strict=True)]
    if "below" in words:
        return BELOW
    if "unlimited" in words:
        return UNLIMITED
    failures = _failures(readings)
    if failures and not (choices.fail_open and set(failures) == {UNAVAILABLE}):
        return failures[0] % 100
    if "untold" in words:
        return NO_FORECAST
    assert failures or set(words) == {"enough"}, "exit 0 is for proofs alone"
    return OK


def _judge(reading: Proof | Pair | int, limits: Limits, choices: Choices) -> str:
    if isinstance(reading, Pair):
        # Each by itself: there is enough to spend when both have enough. What the account used is not asked.
        key = _judge(reading.key, limits, choices)
        account = _judge(reading.account, limits._replace(most_used=None), choices)
        if "below" in (key, account):
            return "below"
        # Refusing what is unlimited is about the key, whatever its account has.
        words = ("unlimited",) if key == "unlimited" else ("failed", "untold")
        return next((word for word in words if word in (key, account)), "enough")
    if isinstance(reading, int):
        return "below" if reading == BELOW else "failed"
    if limits.most_used is not None and not reading.used <= limits.most_used:
        return "below"
    if reading.remain is None:
        return "enough" if choices.unlimited_passes else "unlimited"
    if limits.least is not None and not reading.remain >= limits.least:
        return "below"
    if limits.shortest is None:
        return "enough"
    if reading.lasts is None and reading.remain > 0:
        return "enough" if choices.untold_passes else "untold"
    return (
        "enough" if reading.remain > 0 and reading.lasts is not None and reading.lasts >= limits.shortest else "below"
    )


def _failures(readings: Sequence[Proof | Pair | int]) -> list[int]:
    """Return the failure of each reading that has one."""
    failures = []
    for reading in readings:
        if isinstance(reading, int):
            failures.append(reading)
        elif isinstance(reading, Pair):
            failures += reading.failures[:1]
    return failures


def shown(readings: Sequence[Proof | Pair | int]) -> int:
    """Return the exit code of `balance`."""
    failures = _failures(readings)
    return BELOW if BELOW in failures else next(iter(failures), OK) % 100


class Number(NamedTuple):
    """A JSON number: as it was written, and its parts."""

    text: str
    negative: bool
    whole: str
    fraction: str
    exponent: int


def _read_amount(value: Any) -> Fraction:
    if isinstance(value, str):
        # Gateways send amounts as strings, too: plain decimals only, nothing around them and no exponent.
        number, end = _number(value, 0)
        if end != len(value) or "e" in value or "E" in value:
            raise UntrustworthyError
        value = number
    if not isinstance(value, Number) or len(value.text) > LONGEST_AMOUNT:
        raise UntrustworthyError
    # The digits written out: `places` of them stand after the point (before it, where negative).
    digits = (value.whole + value.fraction).lstrip("0") or "0"
    places = len(value.fraction) - value.exponent
    if len(digits) - places > MOST_DIGITS_BEFORE_THE_POINT or places > MOST_DIGITS_BEHIND_THE_POINT:
        raise UntrustworthyError
    amount = Fraction(int(digits)) * Fraction(10) ** -places
    return -amount if value.negative else amount


def _read_json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise UntrustworthyError from None
    value, position = _value(text, _skip_blanks(text, 0), 0)
    if _skip_blanks(text, position) != len(text):
        raise UntrustworthyError
    return value


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\n\r":
        position += 1
    return position


def _value(text: str, position: int, depth: int) -> tuple[Any, int]:
    for word, meaning in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, position):
            return meaning, position + len(word)
    match text[position : position + 1]:
        case '"':
            return _string(text, position)
        case "{" if depth < DEEPEST:
            return _object(text, position, depth + 1)
        case "[" if depth < DEEPEST:
            return _list(text, position, depth + 1)
        case _:  # a number, or nothing that can start a value here
            return _number(text, position)


def _object(text: str, position: int, depth: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    position = _skip_blanks(text, position + 1)
    if text[position : position + 1] == "}":
        return members, position + 1
    while True:
        name, position = _string(text, position)
        if name in members:
            raise UntrustworthyError
        position = _expect(":", text, _skip_blanks(text, position))
        members[name], position = _value(text, _skip_blanks(text, position), depth)
        position = _skip_blanks(text, position)
        if text[position : position + 1] == "}":
            return members, position + 1
        position = _skip_blanks(text, _expect(",", text, position))


def _list(text: str, position: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    position = _skip_blanks(text, position + 1)
    if text[position : position + 1] == "]":
        return items, position + 1
    while True:
        item, position = _value(text, position, depth)
        items.append(item)
        position = _skip_blanks(text, position)
        if text[position : position + 1] == "]":
            return items, position + 1
        position = _skip_blanks(text, _expect(",", text, position))


def _expect(character: str, text: str, position: int) -> int:
    if text[position : position + 1] != character:
        raise UntrustworthyError
    return position + 1


_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _string(text: str, position: int) -> tuple[str, int]:
    position = _expect('"', text, position)
    units: list[str] = []
    while (character := text[position : position + 1]) != '"':
        if character < " ":  # a control character, or the end of the text
            raise UntrustworthyError
        if character != "\\":
            units.append(character)
            position += 1
        elif text[position + 1 : position + 2] == "u":
            units.append(_code_unit(text[position + 2 : position + 6]))
            position += 6
        elif text[position + 1 : position + 2] in _ESCAPES:
            units.append(_ESCAPES[text[position + 1]])
            position += 2
        else:
            raise UntrustworthyError
    # Two escaped halves of a surrogate pair are one character; a half alone stays what it is.
    joined = "".join(units).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return joined, position + 1


def _code_unit(digits: str) -> str:
    if len(digits) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        raise UntrustworthyError
    return chr(int(digits, 16))


def _number(text: str, start: int) -> tuple[Number, int]:
    position = start
    if negative := text[position : position + 1] == "-":
        position += 1
    whole, position = _digits(text, position)
    if len(whole) > 1 and whole[0] == "0":
        raise UntrustworthyError
    fraction = ""
    if text[position : position + 1] == ".":
        fraction, position = _digits(text, position + 1)
    exponent = "0"
    if text[position : position + 1] in ("e", "E"):
        position += 1
        sign = text[position : position + 1]
        position += sign in ("+", "-")
        exponent, position = _digits(text, position)
        # Cut to what matters: the sign and the size. A zero more or less in front changes neither.
        exponent = ("-" if sign == "-" else "") + (exponent.lstrip("0") or "0")[:6]
    return Number(text[start:position], negative, whole, fraction, int(exponent)), position


def _digits(text: str, start: int) -> tuple[str, int]:
    position = start
    while position < len(text) and text[position] in "0123456789":
        position += 1
    if position == start:
        raise UntrustworthyError
    return text[start:position], position


def unpack(body: bytes, encoding: str | None) -> bytes:
    """Return the bytes that a body stands for, compressed or not."""
    if len(body) > MOST_BYTES:
        raise UntrustworthyError
    encoding = (encoding or "").strip(" \t")
    if encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise UntrustworthyError
    position = _gzip_header_end(body)
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(body[position:], MOST_BYTES + 1)
    except zlib.error:
        raise UntrustworthyError from None
    if len(plain) > MOST_BYTES or not inflater.eof:
        raise UntrustworthyError
    if inflater.unused_data != struct.pack("<II", zlib.crc32(plain), len(plain)):
        raise UntrustworthyError
    return plain


def _gzip_header_end(body: bytes) -> int:
    """Return where the compressed data starts: after ten fixed bytes and the parts that the flags announce."""
    flags = body[3:4]
    if len(body) < 10 or body[:3] != b"\x1f\x8b\x08" or flags[0] & 0b1110_0000:
        raise UntrustworthyError
    position = 10
    if flags[0] & 0b100:  # extra field, its length in front
        position += 2 + int.from_bytes(body[position : position + 2], "little")
    for flag in (0b1000, 0b1_0000):  # name and comment, each up to a zero byte
        if flags[0] & flag:
            zero = body.find(b"\0", position)
            if zero < 0:
                raise UntrustworthyError
            position = zero + 1
    if flags[0] & 0b10:  # a checksum of the header
        if body[position : position + 2] != struct.pack("<H", zlib.crc32(body[:position]) & 0xFFFF):
            raise UntrustworthyError
        position += 2
    return position
