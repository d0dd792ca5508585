"""The catalogue: what a broken or hostile gateway may answer, and the exit code that `check --min 5` owes to it.

To add a case, add one line to its group, which is named by what it is about and by that exit code: the name of the
case, and what the server sends. What it sends is one of

    b"..."                  these bytes, after the question has been read, and then the end of the connection
    (b"...", pause(1), ...) bytes and actions, one after the other (see `server`)
    [first, second, ...]    one of the above for each connection; the last one for all further ones

`http(...)` writes a whole answer, `balance(...)` the documented object with some of its values replaced. A case about
the clock, with a `timeout` of at most a second, runs through the command in a process, unless it is a variant of
another one; all others through the same front door without a process.
"""

import base64
import gzip
import html
import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest

from support.fault_server import Action, Door, Script, drip, flood, pause, reset, stall, unasked
from support.running import KEY

PASS, BELOW, AUTH, UNAVAILABLE, BAD = 0, 3, 4, 5, 6
"""The exit codes, written out: the catalogue must not follow the code it tests."""

Play = bytes | Action | tuple[bytes | Action, ...] | list[Any]


@dataclass(frozen=True)
class Case:
    """What a server does, and what `apimart check --min 5 --timeout <timeout>` makes of it."""

    name: str
    code: int
    play: Play
    timeout: float = 8.0
    """Seconds; small where the clock decides."""
    asked: int | None = 1
    """How often the client must have asked; None where it may ask again."""
    shows: str | None = None
    """What the error message must show."""
    door: Door = Door.OPEN
    is_variant: bool = False
    """Whether it differs from another case in what is said alone, not in how: then it needs no process either way."""

    @property
    def scripts(self) -> Sequence[Script]:
        """One script a connection."""
        return [_script(play) for play in (self.play if isinstance(self.play, list) else [self.play])]


def _script(play: Any) -> Script:
    return play if isinstance(play, tuple) else (play,)


def group(name: str, code: int, plays: Mapping[str, Play], **options: Any) -> list[Case]:
    """Return a case for each of `plays`; `options` are the other fields of Case, the same for all."""
    return [Case(f"{name}: {case}", code, play, **options) for case, play in plays.items()]


def by_group(cases: Sequence[Case]) -> Sequence[Any]:
    """Return the cases of each group of the catalogue as one parameter."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.name.partition(":")[0], []).append(case)
    return [pytest.param(group, id=name) for name, group in groups.items()]


@contextmanager
def named(case: Case) -> Iterator[None]:
    """Say in an error which case of the group it is about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"the case is {case.name!r}")
        raise


def balance(
    remain: str = "10.5", used: str = "2.3", *, success: str = "true", unlimited: str = "false", more: str = ""
) -> str:
    """Return the documented object; the arguments are JSON texts, `more` follows the last field."""
    return (
        f'{{"success":{success},"remain_balance":{remain},"used_balance":{used},"unlimited_quota":{unlimited}{more}}}'
    )


GOOD = balance()
"""An answer that passes: every false pass in the catalogue would be one of its words believed."""
PADDED = GOOD.ljust(64 * 1024)
"""The largest answer that is allowed."""


def http(body: str | bytes = GOOD, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """Return a whole HTTP answer, with a right Content-Length unless `length` is false."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def failed(message: str, **fields: Any) -> bytes:
    """Return the answer of a gateway that reports a failure with HTTP 200."""
    return http(json.dumps({"success": False, "message": message, **fields}))


def refused(status: str, message: str) -> bytes:
    """Return the answer of a gateway that reports a failure in the usual form."""
    return http(json.dumps({"error": {"message": message, "type": "apimart_error"}}), status=status)


def chunked(*pieces: str | bytes, end: bytes = b"0\r\n\r\n", headers: Sequence[str] = ()) -> bytes:
    """Return an answer in chunks, closed by `end`."""
    raw = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in raw)
    return http(b"", "Transfer-Encoding: chunked", *headers, length=False) + chunks + end


def packed(body: str | bytes, encoding: str = "gzip") -> bytes:
    """Return an answer that says its body is compressed."""
    return http(body, f"Content-Encoding: {encoding}")


def zipped(text: str | bytes = GOOD) -> bytes:
    """Return `text` as gzip."""
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)


@cache
def bomb(megabytes: int) -> bytes:
    """Return a gzip of the good answer with so many megabytes of white space after it: about a thousandth of them."""
    spaces = b" " * 1_000_000
    packer = zlib.compressobj(9, wbits=-15)
    start = packer.compress(GOOD.encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    # Behind a full flush the same bytes are packed in the same way: once is enough.
    block = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    end = packer.flush()
    checksum = zlib.crc32(GOOD.encode())
    for _ in range(megabytes):
        checksum = zlib.crc32(spaces, checksum)
    trailer = struct.pack("<II", checksum, len(GOOD) + megabytes * len(spaces))
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + start + block * megabytes + end + trailer


PAGE = "<!DOCTYPE html><title>Just a moment...</title>"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
HEAD = http(b"", length=False)
"""A good status line and the end of the headers: the body goes on until the connection ends."""
BACKSLASHES = '\\"' * 15_000 + ";" * 30_000
"""A value that the e-mail parser of the standard library takes seconds to read."""
MEGABYTES_300 = flood(b" " * 1_000_000, 300)
"""Three hundred megabytes of white space, which JSON allows at either end."""


GROUPS: defaultdict[tuple[str, int], dict[str, Play]] = defaultdict(dict)
"""The cases without options, by what they are about and by their exit code."""
CASES: list[Case] = []
"""Those with options."""


def _perfect(codes: str) -> dict[str, Play]:
    return {f"{code} with a perfect body": http(status=f"{code} Status") for code in codes.split()}


GROUPS["status", PASS] |= {
    "200 after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + http(),
    "200 after 103 Early Hints": EARLY_HINTS + http(),
    "200 after 102 Processing": b"HTTP/1.1 102 Processing\r\n\r\n" + http(),
    "200 after 16 interim answers": EARLY_HINTS * 16 + http(),
    "200 after hints that contradict it": b"HTTP/1.1 103 Hm\r\nContent-Length: 5\r\nAge: 99\r\n\r\n" + http(),
    "200 of HTTP/1.0, ended by the connection": b"HTTP/1.0 200 OK\r\n\r\n" + GOOD.encode(),
    "200 without a reason": http(status="200"),
    "200 with any reason": http(status="200 Alles in Ordnung"),
    "200 with bare line feeds": http().replace(b"\r\n", b"\n"),
}
GROUPS["status", AUTH] |= _perfect("401")
CASES += group(
    "status",
    BAD,
    {
        "403 of a bot check": http(PAGE, "cf-mitigated: challenge", "Server: cloudflare", status="403 Forbidden"),
        **_perfect("403"),
        "403 with a web page": http(PAGE, status="403 Forbidden"),
        "403 with a web page about money": http("<p>insufficient balance</p>", status="403 Forbidden"),
        "403 without a body": http("", status="403 Forbidden"),
        "401 of a bot check": http("{}", "CF-Mitigated: challenge", status="401 No"),
        "403 of a bot check that repeats the key": http(
            PAGE, "cf-mitigated: x", f"Server: {KEY}", status="403 Forbidden"
        ),
    },
    shows="answered in place of the gateway",
)
GROUPS["status", AUTH] |= {"403 with an error": refused("403 No", "not allowed")}
GROUPS["status", BELOW] |= _perfect("402")
endless = f"&#{'1' * 5000};"
for code, status in ((AUTH, "401 No"), (BELOW, "402 Pay"), (UNAVAILABLE, "500 Oops"), (BAD, "404 Nothing")):
    GROUPS["status", code] |= {f"{status} with an endless entity": refused(status, endless)}
CASES += group("status", UNAVAILABLE, _perfect("429 503"), timeout=0.7, asked=None)
CASES += group("status", UNAVAILABLE, _perfect("408 502 504"), timeout=0.7, asked=None, is_variant=True)
GROUPS["status", UNAVAILABLE] |= _perfect("500 501 505 507 511 520 529 599")
GROUPS["status", BAD] |= _perfect(
    "204 299 404 999 101 103 201 202 203 205 206 226 304 400 405 407 409 418 425 451 499 600 700"
)
GROUPS["status", BAD] |= {
    "100 Continue for ever": flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "200 after 17 interim answers": EARLY_HINTS * 17 + http(),
    "103 Early Hints for ever": flood(EARLY_HINTS * 99),
    "200 after interim answers of 70 KiB": EARLY_HINTS.replace(b"style", b"s" * 5000) * 14 + http(),
    "200 after a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + http(),
}
GROUPS["status", AUTH] |= {"401 after 103": EARLY_HINTS + http(status="401 No")}


for code, status in ((AUTH, "401 Unauthorized"), (BELOW, "402 Payment Required"), (UNAVAILABLE, "500 Oops")):
    head = http(b"", status=status, length=False)
    sized = http(b"", f"Content-Length: {len(GOOD)}", status=status, length=False)
    gzipped = http(b"", "Content-Encoding: gzip", status=status, length=False)
    CASES += group(
        "body",
        code,
        {
            f"after {status}, dripping": (sized, drip(GOOD.encode())),
            f"after {status}, never sent": (sized, stall),
            f"after {status}, of 300 MB": (head, MEGABYTES_300),
        },
        timeout=1.0,
        asked=None,
    )
    CASES += group(
        "body",
        code,
        {
            f"after {status}, cut off": sized + GOOD[:40].encode(),
            f"after {status}, a bomb": gzipped + bomb(300),
            f"after {status}, reset": (sized, GOOD[:40].encode(), pause(0.05), reset),
            f"after {status}, in bad chunks": chunked(end=b"-1\r\nzz").replace(b"200 OK", status.encode()),
            f"after {status}, of two lengths": http(GOOD, "Content-Length: 5", status=status),
            f"after {status}, of an unclear length": http(GOOD, "Content-Length: +5", status=status, length=False),
        },
        timeout=1.0,
        asked=None,
        is_variant=True,
    )


GROUPS["status line", BAD] |= {
    "a sign": http(status="+200 OK"),
    "HTTP/0.9, the body alone": GOOD.encode() + b"\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "an alert of TLS": b"\x15\x03\x03\x00\x02\x02\x46",
    "longer than 64 KiB": http(status="200 " + "O" * 70_000),
    "an underscore": http(status="2_00 OK"),
    "four digits": http(status="2000 OK"),
    "no digits": http(status="OK"),
    "nothing": http(status=""),
    "a leading zero": http(status="0200 OK"),
    "a fraction": http(status="200.0 OK"),
    "a letter after it": http(status="200OK"),
    "two spaces": http(status=" 200 OK"),
    "a space before": b" " + http(),
    "an empty line before": b"\r\n" + http(),
    "a carriage return inside": http(status="200 OK\rHTTP/1.1 200 OK"),
    "of another protocol": http().replace(b"HTTP/1.1", b"ICY", 1),
    "of HTTP/2 in text": http().replace(b"HTTP/1.1", b"HTTP/2", 1),
    "of HTTP/1.11": http().replace(b"HTTP/1.1", b"HTTP/1.11", 1),
    "in small letters": http().replace(b"HTTP/1.1", b"http/1.1", 1),
    "frames of HTTP/2": b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a handshake of TLS": b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(range(111)),
    "every byte there is": bytes(range(256)) * 4,
    "cut off": b"HTTP/1.1 200 O",
}


def _to(place: str, status: str = "302 Found") -> bytes:
    return http(GOOD, f"Location: {place}", status=status)


GROUPS["redirect", BAD] |= {
    "307 to another host": _to("@OTHER@/v1/balance", "307 Temporary Redirect"),
    "to itself, good the second time": [_to("@SELF@/v1/balance"), http()],
    "with a body of 300 MB": (http(b"", "Location: @OTHER@/", status="302 Found", length=False), MEGABYTES_300),
    "302 to another host": _to("@OTHER@/v1/balance"),
    "301 to another host": _to("@OTHER@/v1/balance", "301 Moved Permanently"),
    "303 to another host": _to("@OTHER@/v1/balance", "303 See Other"),
    "308 to another host": _to("@OTHER@/v1/balance", "308 Permanent Redirect"),
    "300 with a choice": _to("@OTHER@/v1/balance", "300 Multiple Choices"),
    "305 to a proxy": _to("@OTHER@", "305 Use Proxy"),
    "to another host without its scheme": _to("//localhost/v1/balance"),
    "to a path, good the second time": [_to("/v1/balance"), http()],
    "to itself for ever": _to("@SELF@/v1/balance"),
    "to https": _to("https://localhost/v1/balance"),
    "to a file": _to("file:///etc/passwd"),
    "to nowhere": _to(""),
    "to what is no address": _to("http://[::1"),
    "without a place": http(status="302 Found"),
    "to two places": http(GOOD, "Location: @SELF@/a", "Location: @OTHER@/b", status="302 Found"),
}
GROUPS["redirect", PASS] |= {
    "a Location after 200 is none": http(GOOD, "Location: @OTHER@/", "Refresh: 0; url=@OTHER@/"),
    "an Alt-Svc header is none": http(GOOD, 'Alt-Svc: http/1.1="localhost:1"', "Link: <@OTHER@/>"),
}


size = len(GOOD)


def _sized(*values: str, body: str = GOOD) -> bytes:
    return http(body, *(f"Content-Length: {value}" for value in values), length=False)


GROUPS["length", BAD] |= {
    "one too many": _sized(str(size + 1)),
    "negative": _sized("-5"),
    "twice and different": _sized(str(size), str(size + 1)),
    "one too few": _sized(str(size - 1)),
    "far too many": _sized("999999999999"),
    "beyond any number": _sized("9" * 5000),
    "with a sign": _sized(f"+{size}"),
    "with an underscore": _sized("8_3"),
    "with a fraction": _sized(f"{size}.0"),
    "hexadecimal": _sized(hex(size)),
    "a word": _sized("abc"),
    "empty": _sized(""),
    "zero": _sized("0"),
    "in Latin-1 digits": _sized("8\u00b3"),
    "twice and different, on one line": _sized(f"{size}, {size + 1}"),
    "twice, once a word": _sized(f"{size}", "abc"),
    "of a body that is not there": _sized(str(size), body=""),
    "with a space before the colon": http(GOOD, "Content-Length : 3000", length=False),
    "after a line that is no header": http(GOOD, "garbage", "Content-Length: 3000", length=False),
}
GROUPS["length", PASS] |= {
    "with more after the end": _sized(str(size), body=GOOD + "HTTP/1.1 500 Oops\r\n\r\n"),
    "twice and the same": _sized(str(size), str(size)),
    "twice and the same, on one line": _sized(f"{size}, {size}"),
}


GROUPS["chunks", PASS] |= {
    "many": chunked(*GOOD),
    "one": chunked(GOOD),
    "with a trailer": chunked(GOOD, end=b"0\r\nX-Checksum: 1\r\n\r\n"),
    "with a size in capitals and zeros": chunked(GOOD).replace(b"51\r\n", b"00051\r\n", 1),
    "with an extension of 1 KiB": chunked(GOOD).replace(b"\r\n{", b" ;a=" + b"b" * 1000 + b"\r\n{", 1),
    "with an extension": chunked(GOOD).replace(b"\r\n{", b";a=b\r\n{", 1),
}
GROUPS["chunks", BAD] |= {
    "the last one missing": chunked(GOOD, end=b""),
    "a size that is no number": chunked(end=b"zz\r\n" + GOOD.encode() + b"\r\n0\r\n\r\n"),
    "a negative size and 300 MB": (chunked(end=b"-1\r\n" + GOOD.encode()), MEGABYTES_300),
    "for ever": (chunked(end=b""), flood(b"1000\r\n" + b" " * 0x1000 + b"\r\n")),
    "and a length as well": chunked(GOOD, headers=[f"Content-Length: {len(GOOD)}"]),
    "cut off in a chunk": chunked(GOOD, end=b"")[:-20],
    "an empty size": chunked(end=b"\r\n" + GOOD.encode()),
    "a negative size": chunked(end=b"-1\r\n" + GOOD.encode()),
    "a size beyond the body": chunked(end=b"FFFFFFFFFFFFFFFF\r\n" + GOOD.encode()),
    "a size that is too small": chunked(end=b"5\r\n" + GOOD.encode() + b"\r\n0\r\n\r\n"),
    "a size line without an end": (chunked(end=b""), flood(b"0" * 65536)),
    "said twice": chunked(GOOD, headers=["Transfer-Encoding: chunked"]),
}
trailers = flood(b"X: y\r\n" * 99)
drops = flood(b"X: y\r\n", every=0.05)
CASES += group("chunks", UNAVAILABLE, {"trailers that drip": (chunked(GOOD, end=b"0\r\n"), drops)}, timeout=0.7)
GROUPS["chunks", BAD] |= {
    "trailers for ever": (chunked(GOOD, end=b"0\r\n"), trailers),
    **{
        f"a size of {size!r}": chunked(end=size.encode() + b"\r\n" + GOOD.encode() + b"\r\n0\r\n\r\n")
        for size in ("+0x51", "0x51", "+51", "5_1", " 51", "51 ", "\t51", "000000051", "51\r", "51;a\r", "\u0665\u0661")
    },
    "a line end missing after a chunk": chunked(end=b"51\r\n" + GOOD.encode() + b"0\r\n\r\n"),
    "another line end after a chunk": chunked(end=b"51\r\n" + GOOD.encode() + b"\n\n0\r\n\r\n"),
    "bare line feeds": chunked(GOOD).replace(b"\r\n{", b"\n{").replace(b"}\r\n0\r\n", b"}\r\n0\n"),
    "an extension of 2 KiB": chunked(GOOD).replace(b"\r\n{", b";a=" + b"b" * 2048 + b"\r\n{", 1),
    "extensions of 90 KiB together": chunked(*GOOD).replace(b"1\r\n", b"1;a=" + b"b" * 1000 + b"\r\n"),
    "an extension without an end": (chunked(end=b"51;a="), flood(b"b" * 65536)),
    "a trailer that is none": chunked(GOOD, end=b"0\r\ngarbage\r\n\r\n"),
    "the end of the trailers missing": chunked(GOOD, end=b"0\r\nX: y\r\n"),
    "the empty line at the end missing": chunked(GOOD, end=b"0\r\n"),
}
packed_chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(zipped()), zipped())
GROUPS["transfer encoding", BAD] |= {
    "gzip said, plain sent": http(GOOD, "Transfer-Encoding: gzip", length=False),
    "gzip": http(zipped(), "Transfer-Encoding: gzip", length=False),
    "gzip and chunked": http(packed_chunk, "Transfer-Encoding: gzip, chunked", length=False),
    "unknown": http(GOOD, "Transfer-Encoding: xchunked", length=False),
    "chunked, with a space after it": http(GOOD, "Transfer-Encoding: chunked ", length=False),
    "empty": http(GOOD, "Transfer-Encoding:", length=False),
}


GROUPS["headers", PASS] |= {
    "that lie about the type": http(GOOD, "Content-Type: text/html; charset=utf-16"),
    "with a cookie for ever": http(GOOD, f"Set-Cookie: a=b; max-age={'9' * 400}"),
    "with a cookie until the end of time": http(GOOD, f"Set-Cookie: a=b; expires=1 Jan {'9' * 5000}"),
    "with bytes beyond ASCII": http(GOOD, "X-Note: \u202e\u00e9\u4e2d"),
    "with parameters that contradict": http(GOOD, "Content-Type: multipart/mixed; boundary*=a; boundary*0=b"),
    "with a parameter of 5,000 digits": http(GOOD, f"Content-Type: multipart/mixed; boundary*{'1' * 5000}=a"),
    "with a parameter without a value": http(GOOD, "Content-Type: application/json; charset"),
    "with parameters of 60 KiB": http(GOOD, f'Content-Type: multipart/mixed; a="{BACKSLASHES}";b'),
    "with a second line that nobody uses": http(GOOD, "X-Note: a\r\n b", "X-Other: c\r\n\td"),
    "with an Age of a minute": http(GOOD, "Age: 60"),
    "with another warning": http(GOOD, 'Warning: 199 - "110 ways"'),
}
GROUPS["headers", BAD] |= {
    "more than a hundred": http(GOOD, *(f"X-{number}: y" for number in range(200))),
    "of 6 MB": http(GOOD, *(f"X-{number}: {'y' * 65_000}" for number in range(90))),
    "one without an end": (b"HTTP/1.1 200 OK\r\nX: ", flood(b"y" * 65536)),
    "for ever": (b"HTTP/1.1 200 OK\r\n", flood(b"X: y\r\n" * 99)),
    "cut off": http()[: -len(GOOD) - 10],
    "a length with a second line": http(GOOD, f"Content-Length: {len(GOOD)}\r\n 0", length=False),
    "a line that is none": http(GOOD, "garbage"),
    "a carriage return inside": http(GOOD, "X-Note: a\rContent-Length: 5"),
    "a NUL inside": http(GOOD, "X-Note: a\0b"),
    "a name with a space": http(GOOD, "X Note: a"),
    "a second line before the first": http(GOOD).replace(b"\r\n", b"\r\n b\r\n", 1),
}
GROUPS["cache", BAD] |= {
    "an Age of more than a minute": http(GOOD, "Age: 61"),
    "an Age that is no number": http(GOOD, "Age: soon"),
    "a negative Age": http(GOOD, "Age: -1"),
    "two Ages": http(GOOD, "Age: 0", "Age: 3600"),
    "an Age beyond any number": http(GOOD, f"Age: {'9' * 5000}"),
    "a warning of a stale answer": http(GOOD, 'Warning: 110 - "Response is stale"'),
    "the second of two warnings": http(GOOD, 'Warning: 112 - "Disconnected"', 'Warning: 110 cache "Stale"'),
}
for code, status in ((AUTH, "401 Unauthorized"), (BELOW, "402 Payment Required")):
    hostile = f'Content-Type: multipart/mixed; a="{BACKSLASHES}";b'
    GROUPS["headers", code] |= {
        f"cut off after {status}": http(status=status)[:40],
        f"parameters of 60 KiB after {status}": http("", hostile, status=status),
        f"a parameter without a value after {status}": http("{}", "Content-Type: a/b; charset", status=status),
        f"an old answer after {status}": http("{}", "Age: 3600", status=status),
    }


good = zipped()
raw_deflate = zlib.compressobj(wbits=-15)
GROUPS["compression", PASS] |= {
    "gzip": packed(good),
    "gzip of 64 KiB exactly": packed(zipped(PADDED)),
    "GZIP in capitals": packed(good, "GZIP"),
    "gzip in chunks": chunked(good[:20], good[20:], headers=["Content-Encoding: gzip"]),
    "identity": packed(GOOD, "identity"),
}
GROUPS["compression", BAD] |= {
    "gzip of one byte more": packed(zipped(PADDED + " ")),
    "gzip cut in the middle": packed(good[:40]),
    "gzip without its checksum": packed(good[:-8]),
    "gzip with a wrong checksum": packed(good[:-8] + struct.pack("<II", zlib.crc32(b"another"), len(GOOD))),
    "gzip with bytes after it": packed(good + b"\0"),
    "gzip in gzip": packed(zipped(good), "gzip, gzip"),
    "deflate": packed(zlib.compress(GOOD.encode()), "deflate"),
    "a bomb of 300 MB in 300 kB": packed(bomb(300)),
    "a bomb of 50 MB in 50 kB": packed(bomb(50)),
    "a bomb in a bomb": packed(zipped(bomb(300)), "gzip, gzip"),
    "br": packed(GOOD, "br"),
    "gzip without its last byte": packed(good[:-1]),
    "gzip with a wrong size": packed(good[:-4] + struct.pack("<I", len(GOOD) + 1)),
    "gzip twice in a row": packed(good + zipped(b" ")),
    "gzip in gzip, said once": packed(zipped(good)),
    "gzip of nothing": packed(zipped(b"")),
    "gzip said, plain sent": packed(GOOD),
    "gzip sent, nothing said": http(good),
    "gzip said, nothing sent": packed(b""),
    "raw deflate": packed(raw_deflate.compress(GOOD.encode()) + raw_deflate.flush(), "deflate"),
    "zstd": packed(GOOD, "zstd"),
    "unknown": packed(GOOD, "x-rot13"),
    "identity twice": packed(GOOD, "identity, identity"),
    "a bomb in a bomb, said once": packed(zipped(bomb(300))),
}


sized = http(b"", "Content-Length: 300000000", length=False)
GROUPS["size", PASS] |= {"64 KiB exactly": http(PADDED)}
GROUPS["size", BAD] |= {
    "one byte more": http(PADDED + " "),
    "nothing": http(""),
    "nothing, not even a length": HEAD,
    "300 MB with a length": (sized + GOOD.encode(), MEGABYTES_300),
    "300 MB without a length": (HEAD + GOOD.encode(), MEGABYTES_300),
    "without an end": (HEAD + GOOD.encode(), flood(b" " * 65536)),
}


def _bodies(texts: Mapping[str, str | bytes]) -> dict[str, Play]:
    return {name: http(text) for name, text in texts.items()}


def _noted(note: bytes) -> bytes:
    return balance(more=',"x":"?"').encode().replace(b"?", note)


deep = '{"success":true,"remain_balance":10.5,"used_balance":2.3,"x":%s%s}'
GROUPS["JSON", PASS] |= _bodies(
    {
        "a name with an escape": GOOD.replace("success", "succ\\u0065ss"),
        "white space around it": f"\r\n\t {GOOD} \n",
        "fields that nobody knows": balance(more=',"x":[{"y":null}],"\\ud800":"\\udfff"'),
        "32 levels": deep % ("[" * 31, "]" * 31),
    }
)
GROUPS["JSON", BAD] |= _bodies(
    {
        "33 levels": deep % ("[" * 32, "]" * 32),
        "30,000 brackets, closed, in a field": deep % ("[" * 30_000, "]" * 30_000),
        "100,000 brackets": "[" * 100_000,
        "cut off": GOOD[:-1],
        "bytes after it": GOOD + "x",
        "UTF-8 with a byte order mark": GOOD.encode("utf-8-sig"),
        "UTF-16": GOOD.encode("utf-16"),
        "Latin-1": _noted(b"\xe9"),
        "success twice, false first": GOOD.replace('"success":true', '"success":false,"success":true'),
        "the amount twice": balance("1", more=',"remain_balance":100'),
        "an envelope": f'{{"success":true,"data":{GOOD}}}',
        "no success": GOOD.replace('"success":true,', ""),
        "a page": "<!doctype html><title>Welcome</title>",
        "a list": f"[{GOOD}]",
        "success twice, true first": GOOD.replace('"success":true', '"success":true,"success":false'),
        "an overlong character": _noted(b"\xc0\xaf"),
        "a comma at its end": GOOD[:-1] + ",}",
        "two objects": GOOD + GOOD,
        "30,000 brackets": "[" * 30_000,
        "30,000 objects": '{"x":' * 10_000,
        "a NUL after it": GOOD + "\0",
        "two lines": GOOD + "\n" + GOOD,
        "a comment after it": GOOD + "// fine",
        "a comment in it": GOOD.replace("{", "{/* fine */"),
        "single quotes": GOOD.replace('"', "'"),
        "names without quotes": GOOD.replace('"', ""),
        "Python's words": GOOD.replace("true", "True").replace("false", "False"),
        "a form feed before it": "\f" + GOOD,
        "a guard before it": ")]}',\n" + GOOD,
        "a callback around it": f"callback({GOOD})",
        "a server-sent event": f"data: {GOOD}\n\n",
        "a control character in a string": _noted(b"\n"),
        "an unknown escape": _noted(b"\\q"),
        "UTF-16 without a mark": GOOD.encode("utf-16-be"),
        "UTF-32": GOOD.encode("utf-32"),
        "UTF-7": GOOD.replace("{", "+AHs-"),
        "a surrogate in UTF-8": _noted(b"\xed\xa0\x80"),
        "a character cut off": _noted(b"\xe4\xb8"),
        "success twice, once with an escape": GOOD.replace('"success"', '"success":true,"succ\\u0065ss"'),
        "a name twice, in a field": balance(more=',"x":[{"y":1,"y":1}]'),
        "an envelope without success": f'{{"data":{GOOD}}}',
        "a string": json.dumps(GOOD),
        "a number": "10.5",
        "true": "true",
        "null": "null",
        "an empty object": "{}",
        "an error with HTTP 200": '{"error":{"message":"invalid API key","type":"apimart_error"}}',
        "names in capitals": GOOD.upper().replace("TRUE", "true").replace("FALSE", "false"),
        "names in camel case": GOOD.replace("remain_b", "remainB"),
        "a zero-width space in a name": GOOD.replace("success", "suc\u200bcess"),
        "a letter of another alphabet in a name": GOOD.replace("success", "su\u0441cess"),
        "no remaining amount": GOOD.replace('"remain_balance":10.5,', ""),
        "no used amount": GOOD.replace('"used_balance":2.3,', ""),
    }
)


def _remaining(*texts: str) -> dict[str, Play]:
    return {text[:40]: http(balance(text)) for text in texts}


GROUPS["remaining", PASS] |= _remaining(
    "5", '"10.5"', *("5.000000000000000000", "5.00000000000000000000000001", '"5"', "1e1", "50E-1", "999999999999999")
)
GROUPS["remaining", BELOW] |= _remaining(
    "4.999999999999999999", "-3", "0", "-0", "-0.01", "4e0", '"4.99"', "0.000001e6"
)
GROUPS["remaining", BAD] |= _remaining(
    *("NaN", "Infinity", "1e400", "1e999999999", "0e999999999", "1e99999999999999999999", "9" * 400),
    *("true", '"$10.5"', '"\u0661\u0660"', "-1"),
    *(
        "-Infinity",
        "null",
        '"10,5"',
        "1e-400",
        "-1e999999999",
        "0e-99999999999999999999",
        "10." + "0" * 400,
        "1" + "0" * 15,
        "5e-31",
    ),
    *("[10.5]", '{"value":10.5}', "010.5", "+10.5", ".5", "10.", "0x1F", "1_0", "10,5", "1e", "--1"),
    *('" 10.5"', '"10.5 "', '"+10.5"', '"0x1F"', '"1_0"', '"1e1"', '"Infinity"', '"NaN"', '""', '"010"'),
    *('"10."', '".5"', '"\uff11\uff10"', '"10.5\\n"', '"10.5\\u0000"', '"\u221e"', '"unlimited"', '"true"'),
    *("-1.0", "-1e0", "-10e-1", '"-1"', '"-1.00"'),
)
GROUPS["used", BAD] |= {
    text: http(balance(used=text)) for text in ("null", "-0.01", "true", "NaN", '"2,3"', "1e99999999999999999999", "-1")
}
wrong = ("null", "1e400", '"x"', "NaN")
GROUPS["credits", BAD] |= {text: http(balance(more=f',"remain_credits":{text}')) for text in wrong}


def _success(*texts: str) -> dict[str, Play]:
    return {text: http(balance(success=text)) for text in texts}


def _unlimited(*texts: str) -> dict[str, Play]:
    return {text: http(balance(unlimited=text)) for text in texts}


GROUPS["success", BAD] |= _success('"true"', "1", "null", "[true]", "1e0", '"false"', "0", "{}")
GROUPS["success", BAD] |= {
    "beside an error": http(balance(more=',"error":{"message":"no such quota"}')),
    "beside an empty error": http(balance(more=',"error":{}')),
}
unsaid = balance("-1").replace(',"unlimited_quota":false', "")
GROUPS["unlimited", PASS] |= {
    "with -1 left": http(balance("-1", unlimited="true")),
    "with 0 left": http(balance("0", unlimited="true")),
    "with -7.5 left": http(balance('"-7.5"', unlimited="true")),
    "not said, 10.5 left": http(GOOD.replace(',"unlimited_quota":false', "")),
}
GROUPS["unlimited", BAD] |= {
    **_unlimited('"true"'),
    "not said, -1 left": http(unsaid),
    **_unlimited("1", "null", '"false"', "0", "[]"),
    "with null left": http(balance("null", unlimited="true")),
    "with NaN left": http(balance("NaN", unlimited="true")),
    "with nothing said of what is left": http('{"success":true,"unlimited_quota":true,"used_balance":2.3}'),
}


GROUPS["failure", AUTH] |= {
    "an unknown key": failed("Failed to get token info"),
    "an unknown key, in Chinese": failed("\u83b7\u53d6\u4ee4\u724c\u4fe1\u606f\u5931\u8d25"),
    "no header": failed("No Authorization header"),
    "a code": failed("no", code=401),
    "an unknown key and an endless entity": failed(f"invalid token &#{'1' * 5000};"),
    "an unknown key beside a balance": http(balance(success="false", more=',"message":"invalid token"')),
}
GROUPS["failure", UNAVAILABLE] |= {
    "beside a perfect balance": http(balance(success="false")),
    "of another kind": failed("user quota query failed"),
    "without a message": http('{"success":false}'),
    "with an empty message": failed(""),
    "beside an unlimited quota": http(balance("-1", success="false", unlimited="true")),
}
GROUPS["failure", BAD] |= {
    "with a message of 1 MB": failed("x" * 1_000_000),
    "with null for a message": http('{"success":false,"message":null}'),
    "with a number for a message": http('{"success":false,"message":401}'),
}


empty, short = "该令牌额度已用尽", "token quota is not enough, token remain quota: 12, need quota: 500"
coded = json.dumps({"error": {"message": "no", "code": "insufficient_user_quota"}})
CASES += group(
    "no money",
    BELOW,
    {
        "401 in Chinese": refused("401 No", empty),
        "429 with a code": http(coded, status="429 Busy"),
        "503, never asked again": [refused("503 Oops", "insufficient balance"), http()],
        "403 in English": refused("403 No", short),
        "500 with a code": http(coded, status="500 Oops"),
        "404": refused("404 No", "余额不足"),
        "500 with what a call costs": refused(
            "500 Oops", "insufficient balance: 0.01 available, 0.05 required per request"
        ),
        "500 with an amount that could not be booked": refused(
            "500 Oops", "预扣费额度失败, 用户剩余额度: \uff040.000000, 需要预扣费额度: \uff040.050000"
        ),
        "200 that failed": failed(short),
        "200 that failed for the key": failed(empty, code=401),
        "200 with an error alone": http(json.dumps({"error": {"message": "insufficient_quota"}})),
    },
    shows="the quota or the balance is used up",
)
floor = "[token_id=4711] insufficient balance (current: 0.013570 USD, required: 0.050000 USD)"
CASES.append(
    Case(
        "no money: below the floor",
        BELOW,
        refused("402 Pay", floor),
        shows=": 0.013570 USD left, the gateway wants 0.050000 for any call",
    )
)
key_in_two = f"{KEY[:12]}[token_id=1]{KEY[12:]}"
GROUPS["no money", BELOW]["the key around an id"] = refused("402 Pay", key_in_two)
GROUPS["nearly no money", UNAVAILABLE] |= {
    "a page about it": http("<p>insufficient balance</p>", status="500 Oops"),
    "a quota for a time": refused("500 Oops", "request quota exceeded per minute"),
    "a query that failed": failed("user quota query failed"),
    "another query that failed": failed("used quota query failed"),
    "a disk": refused("500 Oops", "disk quota exhausted"),
    "a limit of the rate": failed("每分钟额度已用尽"),
}
GROUPS["nearly no money", AUTH] |= {
    "a key that is not known": failed("Failed to get token info"),
    "a key, or money": refused("401 No", "invalid key or insufficient balance"),
    "a key, and money": refused("401 No", "令牌无效\uff0c额度不足"),
}
wait = http('{"error":{"message":"insufficient balance"}}', status="429 Busy")
CASES.append(Case("nearly no money: 429 in words", UNAVAILABLE, wait, timeout=0.7, asked=None))
pass_with_words = balance(more=',"message":"insufficient balance"')
GROUPS["nearly no money", PASS]["words beside success"] = http(pass_with_words)


sized = http(b"", f"Content-Length: {len(GOOD)}", length=False)
in_parts = (http()[:-20], pause(0.1), GOOD[-20:-9].encode(), pause(0.1), GOOD[-9:].encode())
GROUPS["clock", PASS]["a body in three parts"] = in_parts
CASES.append(Case("clock: the answer before the question", PASS, (unasked, http()), asked=None))
CASES.append(Case("clock: let in and never heard", UNAVAILABLE, (unasked, stall), asked=None, timeout=0.7))
CASES += group(
    "clock",
    UNAVAILABLE,
    {
        "let in and never answered": stall,
        "a status line that drips": drip(http()),
        "headers that drip": (b"HTTP/1.1 200 OK\r\n", drip(b"X-Header: drop\r\n" * 9)),
        "headers for ever, slowly": (b"HTTP/1.1 200 OK\r\n", flood(b"X: y\r\n", every=0.05)),
        "a body that drips": (sized, drip(GOOD.encode())),
        "chunks that drip": (chunked(end=b""), flood(b"1\r\n \r\n", every=0.05)),
        "white space that drips": (HEAD + GOOD.encode(), flood(b" ", every=0.05)),
        "a body that stops": (sized + GOOD[:40].encode(), stall),
        "a body that never ends": (HEAD + GOOD.encode(), stall),
        "chunks that stop": (chunked(GOOD, end=b""), stall),
        "headers that stop": (http()[:40], stall),
    },
    timeout=0.7,
)
CASES += group(
    "connection",
    UNAVAILABLE,
    {
        "reset at once": (unasked, reset),
        "reset after the question": reset,
        "reset in the headers": (http()[:40], pause(0.1), reset),
        "reset in the body": (http()[:-20], pause(0.1), reset),
        "closed at once": (unasked,),
        "closed after the question": b"",
    },
    timeout=0.7,
    asked=None,
)
CASES.append(Case("connection: refused", UNAVAILABLE, b"", door=Door.SHUT, timeout=0.7, asked=0))
CASES.append(Case("connection: never accepted", UNAVAILABLE, b"", door=Door.CROWDED, timeout=0.7, asked=0))


def _busy(*headers: str, status: str = "429 Too Many Requests") -> bytes:
    return http("{}", *headers, "Connection: close", status=status)


def _asks_to_wait(value: str) -> bytes:
    return _busy(f"Retry-After: {value}")


CASES += group(
    "retry",
    PASS,
    {
        "after 429": [_busy(), http()],
        "after 503 that asks for no wait": [_busy("Retry-After: 0", status="503 Busy"), http()],
        "after a reset": [reset, http()],
        "after a negative wait": [_asks_to_wait("-5"), http()],
        "after a cookie, which is not sent back": [_busy(f"Set-Cookie: a={KEY}; Path=/", "Retry-After: 0"), http()],
        "after 408": [_busy(status="408 Request Timeout"), http()],
        "after a connection that was closed": [b"", http()],
        "after a body that was reset": [(http()[:-20], pause(0.05), reset), http()],
        "after a date that is past": [_asks_to_wait("Wed, 21 Oct 2015 07:28:00 GMT"), http()],
        "after a fraction": [_asks_to_wait("0.2"), http()],
        "after a word": [_asks_to_wait("soon"), http()],
        "after an empty wait": [_asks_to_wait(""), http()],
        "after a broken date": [_asks_to_wait("Thu, 99 Foo 99999999999 25:61:61 +9999"), http()],
        "after two waits": [_busy("Retry-After: 0", "Retry-After: 0"), http()],
    },
    asked=2,
)
CASES += group("retry", PASS, {"after two failures": [_busy("Retry-After: 0"), reset, http()]}, asked=3)
GROUPS["retry", UNAVAILABLE] |= {
    "never when the wait is longer than the clock": [_asks_to_wait("3600"), http()],
    "never when the wait is longer than any clock": [_asks_to_wait("9" * 400), http()],
    "never when the date is far": [_asks_to_wait("Fri, 31 Dec 9999 23:59:59 GMT"), http()],
    "never after 500": [http(status="500 Oops"), http()],
    "never after a failure with HTTP 200": [failed("busy"), http()],
}
early = (http("{}", status="429 Busy"), pause(0.05), http(), stall)
CASES.append(Case("retry: an answer that nobody asked for", BAD, [early, http("{")], asked=2, timeout=1.0))
CASES.append(Case("retry: a storm that asks for no wait", UNAVAILABLE, _asks_to_wait("0"), asked=4))
CASES.append(Case("retry: a storm", UNAVAILABLE, _busy(), asked=None, timeout=1.0))
ended = _busy("Retry-After: 0")
CASES += group("retry", AUTH, {"ended by 401": [ended, http(status="401 No"), http()]}, asked=2)
CASES += group("retry", BELOW, {"ended by 402": [ended, http(status="402 Pay"), http()]}, asked=2)
CASES += group("retry", BAD, {"ended by a bad body": [ended, http("{"), http()]}, asked=2)
GROUPS["retry", AUTH] |= {"never after 401": [http(status="401 No"), http()]}
GROUPS["retry", BAD] |= {"never after a bad body": [http("{"), http()]}


ATTACKS: Mapping[str, tuple[str, str]] = {
    "a colour": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "a window title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "a link": ("\x1b]8;;http://evil\x1b\\click", r"\x1b]8;;http://evil\x1b\click"),
    "a cleared screen": ("\x1b[2J\x1b[H\x1bc", r"\x1b[2J"),
    "C1 controls": ("\x9b31m\x85\x90", r"\x9b31m\x85\x90"),
    "carriage returns and backspaces": ("ok\r\x08\x08PASS", r"ok\x0d\x08\x08PASS"),
    "line breaks": ("a\nPASS default/key: 99 left\r\n\u2028b\u2029c\vd\fe", r"a\x0aPASS"),
    "text written backwards": ("\u202eevil\u202c \u2066x\u2069\u200f", r"\u202eevil\u202c"),
    "zero-width characters": ("a\u200bb\u200dc\ufeffd\u00ade", r"a\u200bb\u200dc\ufeffd\xade"),
    "lone surrogates": ("\ud800x\udfff", r"\ud800x\udfff"),
    "tag characters": ("a\U000e0041\U000e007f", r"a\U000e0041\U000e007f"),
    "piled accents": ("a" + "\u0301" * 50, r"a\u0301\u0301"),
    "a command for GitHub": ("::error::gotcha", r":\:error"),
    "a command for GitHub on a line of its own": ("x\n::set-output name=a::b", r"x\x0a:"),
    "an old command for GitHub": ("##[group]x", r"#\#[group]"),
    "a command for Azure": ("##vso[task.setvariable variable=a]b", r"#\#vso["),
    "a command for TeamCity": ("##teamcity[buildStatus text='x']", r"#\#teamcity["),
    "markup": ("[red]x[/red][link=http://evil]y[/link][/]", "[red]x[/red][link=http://evil]y[/link][/]"),
    "a format": ("%s%n{0}{key}${HOME}$(id)`id`", "%s%n{0}{key}${HOME}$(id)`id`"),
    "60 kB": ("long " * 12_000, "long long"),
}
"""What a server says, and what of it the message shows."""


for name, (text, shown) in ATTACKS.items():
    CASES += [
        Case(f"text in a message: {name}", UNAVAILABLE, failed(text), shows=shown),
        Case(f"text in an error: {name}", AUTH, refused("401 No", text), shows=shown),
        Case(f"text in an amount: {name}", BAD, http(balance(json.dumps(text))), shows=shown),
    ]
for name in ("C1 controls", "a colour", "a command for GitHub", "an old command for GitHub", "markup", "60 kB"):
    text, shown = ATTACKS[name]
    head = text.encode("latin-1")  # header lines are read as Latin-1
    place = b"HTTP/1.1 302 No\r\nLocation: " + head + b"\r\n\r\n"
    CASES += [
        Case(f"text in a reason: {name}", AUTH, b"HTTP/1.1 401 " + head + b"\r\n\r\n", shows=shown),
        Case(f"text in a place: {name}", BAD, place, shows=shown),
    ]
CASES.append(Case("text in a reason: bidi in UTF-8", AUTH, http("", status="401 \u202ea"), shows=r"\x80"))


def _pieces(separator: str, size: int = 4) -> str:
    return separator.join(KEY[start : start + size] for start in range(0, len(KEY), size))


ECHOES: Mapping[str, str] = {
    "plain": f"invalid key {KEY}", "with its scheme": f"Bearer {KEY}", "in other letters": KEY.swapcase(),
    "eight characters of it": KEY[8:16], "its last eight characters": f"...{KEY[-8:]}",
    "percent-encoded": "".join(f"%{ord(character):02x}" for character in KEY),
    "percent-encoded twice": quote("".join(f"%{ord(character):02X}" for character in KEY)),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 with its scheme": base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 with a user": base64.b64encode(f"me:{KEY}".encode()).decode(),
    "hex": KEY.encode().hex(), "hex in pairs": KEY.encode().hex(" ").upper(), "quoted as bytes": repr(KEY.encode()),
    "quoted with escapes": "".join(f"\\x{ord(character):02x}" for character in KEY),
    "quoted for JSON": "".join(f"\\u{ord(character):04x}" for character in KEY),
    "quoted in octal": "".join(f"\\{ord(character):03o}" for character in KEY),
    "as bytes of Go": f"[{' '.join(str(ord(character)) for character in KEY)}]",
    "as bytes in Go": f"[]byte{{{', '.join(f'{ord(character):#x}' for character in KEY)}}}",
    "as code points": " ".join(f"U+{ord(character):04X}" for character in KEY),
    "in base32": base64.b32encode(KEY.encode()).decode(),
    "as HTML": "".join(f"&#{ord(character)};" for character in KEY),
    "in HTML": f"<b>{html.escape(KEY)}</b>", "split by spaces": _pieces(" "), "split by line breaks": _pieces("\n", 1),
    "split by zero-width spaces": _pieces("\u200b", 2), "split by escape sequences": _pieces("\x1b[", 3),
    "after 60 kB": "x" * 60_000 + KEY,
    "over the edge of what is shown": "x" * 190 + " " + KEY,
}  # fmt: skip
"""How a server repeats the key."""


for name, text in ECHOES.items():
    key_in_place = f"Location: @OTHER@/?k={text}".replace("\n", "%0a")
    GROUPS["key in a message", UNAVAILABLE][name] = failed(text)
    GROUPS["key in an error", AUTH][name] = refused("403 No", text)
    GROUPS["key in a place", BAD][name] = http("", key_in_place, status="302 No")
    GROUPS["key in an amount", BAD][name] = http(balance(json.dumps(text)))
GROUPS["key", AUTH] |= {"in a reason": http("", status=f"401 {KEY}")}
GROUPS["key", BAD] |= {
    "in a status line": f"HTTP/1.1 {KEY}\r\n\r\n".encode(),
    "in success": http(balance(success=json.dumps(KEY))),
    "in unlimited_quota": http(balance(unlimited=json.dumps(KEY))),
    "in a name": http(json.dumps({KEY: KEY})),
    "in an error with HTTP 200": http(json.dumps({"error": {"message": KEY}})),
    "in a body that is not JSON": http(f"<p>{KEY}</p>"),
    "in a coding": packed(GOOD, KEY),
    "in a transfer coding": http(GOOD, f"Transfer-Encoding: {KEY}", length=False),
    "in a length": http(GOOD, f"Content-Length: {KEY}", length=False),
    "in two lengths": http(GOOD, f"Content-Length: {KEY}", "Content-Length: 5", length=False),
    "in a protocol": f"HTTP/{KEY} 200 OK\r\n\r\n".encode(),
    "in a header without a colon": http(GOOD[1:], f"{KEY} {KEY}"),
    "in the size of a chunk": chunked(end=f"{KEY}\r\n".encode()),
}
wait = http("", f"Retry-After: {KEY}", status="429 Busy")
CASES.append(Case("key in a wait", UNAVAILABLE, wait, timeout=0.7, asked=None, is_variant=True))
GROUPS["key", PASS]["in a cookie"] = http(GOOD, f"Set-Cookie: key={KEY}", f"Set-Cookie2: key={KEY}")


CATALOGUE: Sequence[Case] = [
    *(case for (name, code), plays in GROUPS.items() for case in group(name, code, plays)),
    *CASES,
]

_NAMES = (
    "remaining: 5", "unlimited: with -1 left", "remaining: 4.999999999999999999", "status: 402 with a perfect body",
    "no money: 401 in Chinese", "status: 401 with a perfect body", "status: 403 of a bot check",
    "status: 404 with a perfect body", "status: 408 with a perfect body", "status: 500 with a perfect body",
    "failure: beside a perfect balance", "retry: never when the wait is longer than the clock", "JSON: cut off",
    "key in a message: plain",
)  # fmt: skip
KINDS: Sequence[Case] = [case for name in _NAMES for case in CATALOGUE if case.name == name]
"""A case of each kind: of balance, and of error by its exit code and hint.

A format, an agent and the books see no more of an answer than that, and the text of the gateway.
"""
