"""The wire: reads heads and chunks of an answer, by the strict syntax of HTTP and up to a size.

The standard library reads headers as those of e-mail, in a time that grows with the square of their length, and takes
any form of numbers and line ends. Here each line is looked at once, and only the headers that are used are kept.
"""

import http.client
import math
import re
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from apimart_cli.errors import untrustworthy

MAX_HEAD_BYTES = 64 * 1024
"""Most bytes of one answer's status lines and headers, and of its chunk extensions and trailers."""

MAX_HEADERS = 100
"""Most headers of one head."""

MAX_INTERIM_ANSWERS = 16
"""Most answers like 103 Early Hints that may come before the final one."""

MAX_CHUNK_LINE_BYTES = 1024
"""Most bytes of the line before a chunk: its size and its extensions."""

USED_HEADERS = frozenset(
    {"age", "content-encoding", "content-length", "location", "retry-after", "transfer-encoding", "warning"}
)
"""Headers that are kept, in small letters. Cookies and Content-Type are not: libraries fail at odd ones."""

TOLD_HEADERS = frozenset({"cf-mitigated", "date", "server", "x-usage-cache"})
"""Headers that are kept to tell what answered, and when. Mistakes in them make no answer invalid."""

# The library takes every text that Python's int() takes: `+200`, `0200` and `2_00` would be 200.
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\r\n]*))?\r?\n")
_HEADER_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r\n")
_CHUNK_END = b"\r\n"

_UNCLEAR = "unclear"
"""Replaces a Content-Length that tells no length. The status still decides; `check_framing` refuses the body."""


class StrictResponse(http.client.HTTPResponse):
    """An answer of which we read the head, and the body where it comes in chunks; the library reads other bodies."""

    _chunks: "_Chunks"

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        """Read from a connection. Its time limit, which the library counts anew for each byte, is for all lines."""
        super().__init__(sock, *arguments, **named)
        seconds = sock.gettimeout()
        self._give_up_at = math.inf if seconds is None else time.monotonic() + seconds

    def begin(self) -> None:
        """Read the head, after those of interim answers. Raises HTTPException where there is none."""
        if self.headers is not None:
            return
        head = _read_final_head(_Lines(self.fp, self._give_up_at))
        self.version, self.status, self.reason = 10 + min(head.minor_version, 1), head.status, head.reason
        self.code = head.status
        self.headers = self.msg = _used(head)
        length = self.headers.get("Content-Length")
        self.length = int(length) if length is not None and length != _UNCLEAR else None
        if head.status in {204, 304}:
            self.length = 0
        self.chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        self._chunks = _Chunks(self.fp, self._give_up_at)
        # Bytes after an answer must not be taken for the next answer, which may be that to another key.
        self.will_close = True

    def read1(self, n: int = -1) -> bytes:
        """Return the bytes of the body that have come, at most `n`; none at its end."""
        return self._chunks.read1(n) if self.chunked else super().read1(n)


class _Head(NamedTuple):
    """A head as it was written: the headers that are used, and whether every line was a header."""

    minor_version: int
    status: int
    reason: str
    headers: list[tuple[str, str]]
    is_clean: bool


class _Lines:
    """The lines of a head, which have a size limit together."""

    def __init__(self, stream: Any, give_up_at: float) -> None:
        self._stream = stream
        self._give_up_at = give_up_at
        self._left = MAX_HEAD_BYTES

    def read(self) -> bytes:
        """Return the next line, empty at the end of the connection. Raises LineTooLong beyond the size."""
        line = _read_line(self._stream, self._left + 1, self._give_up_at)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        return line


def _read_line(stream: Any, most: int, give_up_at: float) -> bytes:
    """Return the next line, at most `most` bytes of it, empty at the end of the connection. Raises TimeoutError.

    It does not use `readline`, which waits for ever while single bytes arrive in time.
    """
    line = bytearray()
    while len(line) < most and not line.endswith(b"\n") and (there := stream.peek(1)):
        if time.monotonic() >= give_up_at:
            raise TimeoutError
        line += stream.read(min(there.find(b"\n") + 1 or len(there), most - len(line)))
    return bytes(line)


def _read_final_head(lines: _Lines) -> _Head:
    for _ in range(MAX_INTERIM_ANSWERS + 1):
        head = _read_head(lines)
        # 101 is no interim answer: it ends HTTP on this connection.
        if head.status >= 200 or head.status == 101:
            return head
    raise http.client.HTTPException("too many interim answers")


def _read_head(lines: _Lines) -> _Head:
    line = lines.read()
    if not line:
        raise http.client.RemoteDisconnected("no answer")
    status_line = _STATUS_LINE.fullmatch(line)
    if status_line is None:
        raise http.client.BadStatusLine("not shown")
    headers, is_clean = _read_headers(lines)
    minor_version, status, reason = status_line.groups(b"")
    return _Head(int(minor_version), int(status), reason.decode("latin-1").strip(), headers, is_clean)


def _read_headers(lines: _Lines) -> tuple[list[tuple[str, str]], bool]:
    """Return the headers that are used, and whether every line up to the empty one was a header."""
    headers: list[tuple[str, str]] = []
    is_clean, before = True, None
    for _ in range(MAX_HEADERS + 1):
        line = lines.read()
        if line in {b"\r\n", b"\n"}:
            return headers, is_clean
        if not line:
            return headers, False
        name, colon, value = line.removesuffix(b"\n").removesuffix(b"\r").partition(b":")
        if line[:1] in b" \t" and before is not None:
            # The second line of a header: an old custom, which does no harm if the header is not used.
            is_clean = is_clean and before not in USED_HEADERS
            continue
        is_clean = is_clean and bool(colon and _HEADER_NAME.fullmatch(name)) and not re.search(rb"[\r\n\0]", value)
        before = name.decode("latin-1").lower()
        if before in USED_HEADERS | TOLD_HEADERS:
            headers.append((before, value.decode("latin-1").lstrip(" \t")))
    raise http.client.HTTPException("too many headers")


def _used(head: _Head) -> http.client.HTTPMessage:
    """Return the headers as the libraries want them, with one length or none."""
    message = http.client.HTTPMessage()
    for name, value in head.headers:
        if name != "content-length":
            message[name] = value
    told = [value for name, value in head.headers if name == "content-length"]
    lengths = {length.strip() for value in told for length in value.split(",")}
    if not head.is_clean or len(lengths) > 1 or not all(map(_is_size, lengths)):
        message["Content-Length"] = _UNCLEAR
    elif lengths:
        # The same length twice is one length.
        message["Content-Length"] = lengths.pop()
    return message


class _Chunks:
    """A body in chunks, of which each line must follow the syntax exactly."""

    def __init__(self, stream: Any, give_up_at: float) -> None:
        self._stream = stream
        self._give_up_at = give_up_at
        self._left_in_chunk = 0
        self._extras_left = MAX_HEAD_BYTES
        self._is_first = True
        self._is_over = False

    def read1(self, most: int) -> bytes:
        """Return the bytes of the current chunk that have come, at most `most`; none after the last chunk."""
        if self._left_in_chunk == 0 and not self._is_over:
            self._start_chunk()
        if self._is_over:
            return b""
        data: bytes = self._stream.read1(min(most, self._left_in_chunk) if most >= 0 else self._left_in_chunk)
        if not data:
            raise http.client.IncompleteRead(b"")
        self._left_in_chunk -= len(data)
        return data

    def _start_chunk(self) -> None:
        if not self._is_first and self._stream.read(len(_CHUNK_END)) != _CHUNK_END:
            raise http.client.HTTPException("no line end after a chunk")
        self._is_first = False
        line = _CHUNK_LINE.fullmatch(self._read_line(MAX_CHUNK_LINE_BYTES))
        if line is None:
            raise http.client.HTTPException("no size of a chunk")
        self._spend(len(line[0]) - len(line[1]) - len(_CHUNK_END))
        self._left_in_chunk = int(line[1], 16)
        if self._left_in_chunk == 0:
            self._read_trailers()
            self._is_over = True

    def _read_trailers(self) -> None:
        """Read the lines after the last chunk. None of them is used."""
        while (line := self._read_line(self._extras_left)) != _CHUNK_END:
            self._spend(len(line))
            name, colon, _ = line.partition(b":")
            if not (colon and _HEADER_NAME.fullmatch(name) and line.endswith(_CHUNK_END)):
                raise http.client.HTTPException("no trailer")

    def _read_line(self, most: int) -> bytes:
        line = _read_line(self._stream, most + 1, self._give_up_at)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        return line

    def _spend(self, size: int) -> None:
        self._extras_left -= size
        if self._extras_left < 0:
            raise http.client.LineTooLong("chunk extensions and trailers")


def check_framing(headers: Mapping[str, str]) -> None:
    """Refuse headers that do not tell in exactly one way where the body ends: libraries ignore an odd length."""
    coding, length = headers.get("Transfer-Encoding"), headers.get("Content-Length")
    if coding is not None:
        is_clear = length is None and coding.lower() == "chunked"
    else:
        is_clear = length is None or _is_size(length)
    if not is_clear:
        raise untrustworthy("its headers do not tell where it ends")


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
