"""The answers that a server may send: right, nearly right, and noise.

Each member of `ANSWERS` bends one thing and leaves the rest as documented, because an answer with one fault is the one
that a careless reader accepts. All choices of an answer are taken from one draw of bytes.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from functools import cache
from typing import Any, TypeVar

from hostile.agreement import Answered, Question

T = TypeVar("T")

ENTROPY = 48
"""How many bytes everything about an example is made of."""
Fields = list[tuple[str, str]]
"""The members of a JSON object: names and values, both as JSON text."""


class Choices:
    """Decisions read out of bytes, as the digits of one large number; when they are used up, the plainest is left."""

    def __init__(self, entropy: bytes) -> None:
        self._left = int.from_bytes(entropy, "little")

    def number(self, most: int) -> int:
        """Return a number from 0 to `most`."""
        self._left, chosen = divmod(self._left, most + 1)
        return chosen

    def of(self, options: Sequence[T]) -> T:
        """Return one of the options, the first when nothing is left to choose by."""
        return options[self.number(len(options) - 1)]

    def one_in(self, times: int) -> bool:
        """Return True once in so many times."""
        return self.number(times - 1) == times - 1

    def order(self, items: Sequence[T]) -> list[T]:
        """Return the items in some order."""
        left = list(items)
        return [left.pop(self.number(len(left) - 1)) for _ in items]


THRESHOLDS = ("5", "0", "5.00", "0.3", "0.000001", "999999999999.999999", "10.5", "2.3")
"""Amounts as `--min` and `--max-used` take them."""

_EXPONENTS = (
    "", "", "", "", "", "e0", "E+2", "e-3", "e005", "e13", "e14", "e15", "e16", "e-29", "e-30", "e-31", "e99", "e-99",
    "e+999999999", "e-999999999", "e99999999999999999999", "e-99999999999999999999", "e" + "9" * 35,
)  # fmt: skip
_WHOLES = ("0", "1", "5", "10", "1" + "0" * 13, "9" * 14, "9" * 15, "1" + "0" * 15, "9" * 37, "9" * 41)
_FRACTIONS = ("", "", "", ".0", ".5", ".30", "." + "0" * 29 + "1", "." + "0" * 30 + "1", "." + "0" * 30)

SENTINELS = ("-1", "-1.0", "-1.000", "-1e0", "-10e-1", "-0.1e1", '"-1"', '"-1.0"', "-1.01", "-2")
ODD_VALUES = (
    "NaN", "Infinity", "-Infinity", "-NaN", "nan", "inf", "01", "-01", "1.", ".5", "+1", "0x10", "1_000", "1,5", "--1",
    "1e", "1e+", "1.e5", "1.5.5", "1 000", "-", "\u0661\u0662", "\uff11\uff12", "\u00bd", "1\u00a0", "1\x00", "1f",
    "true", "false", "null", "True", "TRUE", "None", "{}", "[]", "[1]", '{"amount": 5}', "", "'5'", "undefined",
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "10.5 ", " 10.5", "10.5\\n", "$10.5", "10,5", "1e2", "1E2", "+5", "05", "-05", "5.", ".5", "NaN", "1/2",
    "Infinity", "\u0661\u0662", "\uff15", "1_0", "0x10", "unlimited", "\\u0031\\u0030", "1\\u0000", "\u200b5",
    "1\u0662", "1.\u0665", "1\uff12.5", "--5", "-",
)  # fmt: skip


def number(choose: Choices) -> str:
    """A JSON number of any size, often around the limits."""
    whole = choose.of(_WHOLES) if choose.one_in(2) else str(choose.number(10 ** choose.number(16)))
    fraction = choose.of(_FRACTIONS) if choose.one_in(2) else f".{choose.number(10 ** choose.number(31))}"
    return choose.of(("", "", "", "-")) + whole + fraction + choose.of(_EXPONENTS)


def amount(choose: Choices) -> str:
    """What may stand where an amount belongs: a number, a number in quotes, the sentinel, or nothing of the kind."""
    match choose.number(5):
        case 0 | 1:
            return number(choose)
        case 2:
            return f'"{number(choose)}"'
        case 3:
            return f'"{choose.of(ODD_TEXTS)}"'
        case 4:
            return choose.of(SENTINELS)
        case _:
            return choose.of(ODD_VALUES)


@cache
def near(threshold: str) -> Sequence[str]:
    """Numbers so near to a threshold that a tolerance or a float would take one for the other, and itself."""
    numbers = [threshold, f"{threshold}0" if "." in threshold else f"{threshold}.0"]
    numbers += [f"{Decimal(threshold):E}", f'"{threshold}"']
    with localcontext(prec=50):
        for distance in map(Decimal, ("1e-20", "1e-9", "0.000001")):
            numbers += [f"{Decimal(threshold) + distance:f}", f"{Decimal(threshold) - distance:f}"]
    return numbers


def envelope(choose: Choices, around: str) -> Fields:
    """A right answer, limited or unlimited, with or without the fields that not every gateway sends."""
    remain = str(choose.number(10**14)) if choose.one_in(2) else choose.of(near(around))
    unlimited = choose.of(("false", "false", None, "true"))
    if unlimited == "true" and not choose.one_in(3):
        remain = "-1"
    fields = [("success", "true"), ("remain_balance", remain), ("used_balance", choose.of(near(around)))]
    if unlimited:
        fields.append(("unlimited_quota", unlimited))
    if choose.one_in(3):
        fields += [("remain_credits", "105"), ("used_credits", "23.50")]
    if choose.one_in(4):
        fields.append(("message", '"\u4f59\u989d"'))
    return choose.order(fields) if choose.one_in(2) else fields


def written(fields: Fields, blank: str = " ") -> str:
    """Return the members as the text of a JSON object."""
    return "{" + f",{blank}".join(f'"{name}":{blank}{value}' for name, value in fields) + "}"


def _answer(text: str | bytes, encoding: str | None = None) -> Answered:
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return Answered(200, {} if encoding is None else {"Content-Encoding": encoding}, body)


def right(choose: Choices, around: str) -> Answered:
    """A right answer."""
    return _answer(written(envelope(choose, around), choose.of((" ", "", "\n\t", "\r\n"))))


def odd_amounts(choose: Choices, around: str) -> Answered:
    """An answer with one amount of every size and form."""
    fields = dict(envelope(choose, around))
    name = choose.of(("remain_balance", "used_balance", "remain_balance", "remain_credits", "used_credits"))
    return _answer(written(list({**fields, name: amount(choose)}.items())))


_NOT_QUITE_FLAGS = (
    "true", "false", "null", '"true"', '"false"', "1", "0", "1.0", "True", "TRUE", "[true]", "{}", '""', "tru",
)  # fmt: skip


def odd_flags(choose: Choices, around: str) -> Answered:
    """An answer whose `success` or `unlimited_quota` is anything but a plain true or false, or contradicts itself."""
    fields = dict(envelope(choose, around))
    fields[choose.of(("unlimited_quota", "success"))] = choose.of(_NOT_QUITE_FLAGS)
    if choose.one_in(2):
        fields["remain_balance"] = choose.of(SENTINELS)
    return _answer(written(list(fields.items())))


def odd_names(choose: Choices, around: str) -> Answered:
    """An answer with a name missing, twice, in another case, escaped, or too many, or one object too deep."""
    fields = envelope(choose, around)
    place = choose.number(len(fields) - 1)
    name, value = fields[place]
    match choose.number(6):
        case 0:
            del fields[place]
        case 1:
            twin = choose.of((value, "null", "1", "true", "999"))
            fields.insert(choose.number(len(fields)), (_escaped(choose, name), twin))
        case 2:
            spellings = [name.upper(), name.title(), f"{name} ", f" {name}", f"{name}\\u0000", name.replace("_", "")]
            fields[place] = (choose.of([*spellings, name.replace("s", "\u017f"), f"\u200b{name}"]), value)
        case 3:
            fields[place] = (_escaped(choose, name), value)
        case 4:
            fields.append((choose.of(("data", "error", "code", "Success", "")), amount(choose)))
        case 5:
            twins = ('{"a":1,"a":1}', '[{"a":1,"\\u0061":2}]', '{"a":1,"A":1}', '{"":1,"":2}')
            fields.append(("extra", choose.of(twins)))
        case 6:
            wrappers = ('{"data": %s}', "[%s]", "%s%s", "%s,", '{"success": true, "data": %s}')
            return _answer(choose.of(wrappers).replace("%s", written(fields)))
    return _answer(written(fields))


def _escaped(choose: Choices, name: str) -> str:
    """`name` with one of its characters as a JSON escape, or none: the same name to every reader."""
    place = choose.number(len(name) - 1)
    code = f"{ord(name[place]):04x}"
    return name[:place] + choose.of((name[place], f"\\u{code}", f"\\u{code.upper()}")) + name[place + 1 :]


_MESSAGES = (
    '"Failed to get token info"', '"invalid api key"', '"API-Key"', '"apikey"', '"No Authorization header"',
    '"UNAUTHORISED"', '"\u83b7\u53d6\u4ee4\u724c\u4fe1\u606f\u5931\u8d25"', '"\u5bc6\u94a5"', '"to\u212aen"',
    '"TO\\u004bEN"', '"ap\u0131key"', '"unauthori\u017fed"', '"auth"', '"key"', '"user quota query failed"', '""',
    '" "', '"::error::"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\u001b[2J\\u202e"', '"##[group]"',
)  # fmt: skip
_NO_MONEY = (
    "insufficient balance", "Insufficient_Quota",
    "[token_id=1] insufficient balance (current: 0.01 USD, required: 0.05 USD)",
    "token quota is not enough, need quota: 5", "your account balance is too low", "quota of this key has been used up",
    "refused due to insufficient credits", "out of credits", "\u8be5\u4ee4\u724c\u989d\u5ea6\u5df2\u7528\u5c3d",
    "\u4f59\u989d\u4e0d\u8db3", "\u60a8\u7684\u8d26\u6237\u4f59\u989d\u4e0d\u8db3\uff0c\u8bf7\u5145\u503c",
    "token\u989d\u5ea6\u4e0d\u8db3", "\u9918\u984d\u4e0d\u8db3\u4e86",
)  # fmt: skip
_NEARLY_NO_MONEY = (
    "%s per minute", "if %s", "%s or invalid key", "invalid key or %s", "could be %s", "could not go on: %s", "%s/min",
    "requests: %s", "disk %s", "%s, or worse", "%s to go on", "%s unknown", "\u6bcf\u5206\u949f%s", "\u53ef\u80fd%s",
    "%s\u6216\u4ee4\u724c\u65e0\u6548", "%s\uff0c\u6216\u65e0\u6548",
    "\u78c1\u76d8%s", "%s\u8bf7\u5145\u503c", "90%% %s", "Error: %s",
    "error %s", "%s.", "not %s", "\u00e9%s",
)  # fmt: skip
_CODES_OF_NO_MONEY = ("quota_not_enough", "insufficient_user_quota", "pre_consume_token_quota_failed")


def shortages(choose: Choices, _around: str) -> Answered:
    """An error, in any of the gateway's forms and with any status, that says that there is no money, or nearly so."""
    message = choose.of(_NO_MONEY)
    if choose.one_in(2):
        message = choose.of(_NEARLY_NO_MONEY) % message
    if choose.one_in(4):
        place = choose.number(len(message))
        message = (
            message[:place]
            + choose.of((" ", "_", "-", ";", "\uff0c", "x", "or ", "\u6216", "%", "/"))
            + message[place:]
        )
    error: dict[str, Any] = {"message": message if choose.one_in(8) is False else choose.of((None, 7, "no", ["x"]))}
    if choose.one_in(3):
        error["code"] = choose.of((*_CODES_OF_NO_MONEY, "insufficient_quota", "quota_not_enough ", 402, None, "rpm"))
    body = choose.of(({"error": error}, {"success": False, **error}, error, {"success": True, "error": error}))
    if choose.one_in(6):
        body = {**body, "code": choose.of((*_CODES_OF_NO_MONEY, "no"))}
    headers = {"cf-mitigated": "challenge"} if choose.one_in(8) else {}
    status = choose.of((200, 401, 403, 402, 429, 500, 503, 404, 302))
    return Answered(status, headers, json.dumps(body, ensure_ascii=choose.one_in(2)).encode(), choose.of(("OK", "")))


_CODES = ("401", "403", '"401"', '"403"', "402", "500", "401.0", "4.01e2", '"401 "', "null", "true", "[401]")


def failures(choose: Choices, _around: str) -> Answered:
    """HTTP 200 with `success: false`, for reasons that name the key, or another, or make no sense."""
    fields = [("success", "false"), ("message", choose.of(_MESSAGES if choose.one_in(4) is False else ODD_VALUES))]
    if choose.one_in(2):
        fields.append(("code", choose.of(_CODES)))
    if choose.one_in(2):
        fields = [("remain_balance", "999"), ("used_balance", "0"), *fields]
    if choose.one_in(5):
        del fields[choose.number(len(fields) - 1)]
    return _answer(written(fields))


_BYTES = b'"{}[]:,.-+eE01\\ \t\n\x00\x7f\xff\xc0\xed'


def odd_bytes(choose: Choices, around: str) -> Answered:
    """A right answer with a few bytes lost, doubled, changed or put in."""
    body = bytearray(written(envelope(choose, around)), "utf-8")
    for _ in range(1 + choose.number(2)):
        place = choose.number(len(body))
        other = choose.number(255) if choose.one_in(2) else choose.of(_BYTES)
        match choose.number(5):
            case 0:
                del body[place : place + 1]
            case 1:
                body[place : place + 1] = bytes([other])
            case 2 | 3:
                body[place:place] = bytes([other])
            case 4:
                body[place:place] = body[place : place + 1 + choose.number(29)]
            case 5:
                del body[place:]
    return _answer(bytes(body))


_EDGES = (
    b"", b" ", b"\n", b"\r\n\t ", b"\x00", b"\xa0", b"\x0b", b"\x0c", b"{}", b";", b"null", b"\x1a", b"\xef\xbb\xbf",
)  # fmt: skip


def odd_encodings(choose: Choices, around: str) -> Answered:
    """A right answer in another encoding, after a mark, before a tail, or near the limit of size."""
    text = written(envelope(choose, around))
    body = text.encode(choose.of(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030")))
    if choose.one_in(2):
        body = choose.of(_EDGES) + body + choose.of(_EDGES)
    if choose.one_in(30):
        body = body.ljust(65_535 + choose.number(2), choose.of((b" ", b"\n")))
    return _answer(body)


def compressed(choose: Choices, around: str) -> Answered:
    """An answer under some Content-Encoding, whole or damaged, honest or not."""
    plain = written(envelope(choose, around)).encode()
    if choose.one_in(30):
        plain = plain.ljust(65_535 + choose.number(2))
    pack: Callable[[bytes], bytes] = choose.of(
        (gzip.compress, gzip.compress, gzip.compress, _gzip_with_extras, zlib.compress, bytes)
    )
    body = pack(plain)
    place = choose.number(len(body))
    match choose.number(6):
        case 0:
            body = body[:place]
        case 1:
            body = body[:place] + bytes([choose.number(255)]) + body[place + 1 :]
        case 2:
            body += choose.of((b"\x00", b" ", b"\x1f", b"\x00" * 8, pack(b"")))
    names = ("gzip", "gzip", "gzip", "x-gzip", "GZip", " gzip ", "identity", "", "br", "deflate", "gzip, gzip", "zstd")
    return _answer(body, choose.of(names))


def _gzip_with_extras(plain: bytes) -> bytes:
    """Compress with every optional part of the header: an extra field, a name, a comment and a checksum."""
    header = b"\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\x03" + b"\x02\x00ab" + b"name\x00" + b"comment\x00"
    return header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + gzip.compress(plain)[10:]


_LINKS = (("[", "]"), ('{"a":', "}"), ("[1,", "]"), ('{"b":[],"a":', "}"))


def nested(choose: Choices, around: str) -> Answered:
    """A right answer with one more field, nested about as deep as is allowed or far deeper, in lists and objects."""
    depth = choose.of((30, 1, 2, 29, 31, 31, 32, 32, 33, 60, 900, 5_000) if choose.one_in(10) else (30, 31, 32, 33))
    links = [choose.of(_LINKS) for _ in range(4)]
    chain = [links[level % len(links)] for level in range(depth)]
    core = choose.of(("1", "[]", "{}", '""', "null", '"[[["'))
    value = "".join(start for start, _ in chain) + core + "".join(end for _, end in reversed(chain))
    text = written([*envelope(choose, around), ("extra", value)], "")
    return _answer(text[: -1 - choose.number(2)] if choose.one_in(10) else text)


_STATUSES = (
    200, 201, 202, 203, 204, 206, 207, 226, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410,
    418, 422, 425, 429, 451, 499, 500, 501, 502, 503, 504, 511, 599, 600, 999,
)  # fmt: skip


def odd_statuses(choose: Choices, around: str) -> Answered:
    """A right or a wrong body after any status."""
    status = 100 + choose.number(899) if choose.one_in(2) else choose.of(_STATUSES)
    reason = choose.of(("OK", "", "Payment Required", "::error::", "\x1b]0;x\x07"))
    location = (
        {"Location": choose.of(("/v1/balance", "https://example.com/", "\x1b[2J", ""))} if choose.one_in(2) else {}
    )
    answered = choose.of((right, right, failures, noise, compressed))(choose, around)
    return Answered(status, {**answered.headers, **location}, answered.body, reason)


_WORDS = ("success", "remain_balance", "used_balance", "unlimited_quota", "error", "message", "", "\u4f59", "\ud800")


def noise(choose: Choices, _around: str) -> Answered:
    """Anything: bytes, text, or JSON of another shape."""
    match choose.number(2):
        case 0:
            return _answer(json.dumps(_json(choose, 4), ensure_ascii=choose.one_in(2)))
        case 1:
            return _answer(bytes(choose.number(255) for _ in range(choose.number(20))))
        case _:
            parts = ("{", "}", "[", "]", ",", ":", '"', "\\", " ", "1", "-", ".", "e", "true", "null", *_WORDS)
            return _answer("".join(choose.of(parts) for _ in range(choose.number(20))))


def _json(choose: Choices, depth: int) -> Any:
    match choose.number(7 if depth else 5):
        case 0:
            return choose.of((True, False, None))
        case 1:
            return choose.number(10**20) - 10**19
        case 2:
            return choose.number(10**9) / 7
        case 3:
            return choose.of((float("inf"), float("nan"), 1e308, -0.0))
        case 4 | 5:
            return choose.of(_WORDS)
        case 6:
            return [_json(choose, depth - 1) for _ in range(choose.number(3))]
        case _:
            return {choose.of(_WORDS): _json(choose, depth - 1) for _ in range(choose.number(4))}


Answers = Callable[[Choices, str], Answered]


def odd_freshness(choose: Choices, around: str) -> Answered:
    """A right answer out of a cache, fresh, old, or of an age that nobody can read."""
    ages = (None, "0", "59", "60", "61", "3600", " 7 ", "-1", "", "soon", "1e1", "9" * 30, "\u0665", "060")
    warnings = (None, None, None, '110 - "stale"', '112 - "x", 110 - "y"', '199 - "110"', "1100 - x", "")
    chosen = {"Age": choose.of(ages), "Warning": choose.of(warnings)}
    answered = right(choose, around)
    return answered._replace(headers={name: value for name, value in chosen.items() if value is not None})


ANSWERS: Mapping[str, Answers] = {
    "right": right, "odd amounts": odd_amounts, "odd flags": odd_flags, "odd names": odd_names, "failures": failures,
    "odd bytes": odd_bytes, "odd encodings": odd_encodings, "compressed": compressed, "nested": nested,
    "odd freshness": odd_freshness, "odd statuses": odd_statuses, "shortages": shortages, "noise": noise,
}  # fmt: skip
"""Each kind of answer, made around an amount that a threshold may have."""


def question(choose: Choices, answers: Answers) -> Question:
    """One `check`: up to three answers of a kind, or of it and right ones, under thresholds near their amounts."""
    least, most_used = choose.of(((1, 0), (1, 0), (1, 0), (1, 0), (0, 1), (0, 1), (1, 1), (0, 0)))
    flags = {"unlimited_passes": not choose.one_in(2), "fail_open": choose.one_in(2)}
    around = choose.of(THRESHOLDS)
    answered = [answers(choose, around)]
    while len(answered) < 3 and choose.one_in(4):
        answered.insert(choose.number(len(answered)), choose.of((answers, right))(choose, around))
    return Question(answered, Decimal(around) if least else None, Decimal(around) if most_used else None, **flags)
