"""The wire: what holds the heads and the framing of an answer to the syntax of HTTP, and to a size."""

import http.client
import re
from collections.abc import Mapping
from typing import IO, Any, cast

from apimart_cli.gateway.failures import untrustworthy

MAX_HEAD_BYTES = 64 * 1024
"""Most bytes of status lines and headers that are read; the library would take 100 lines of this size."""


class StrictResponse(http.client.HTTPResponse):
    """An answer whose head is held to the syntax of a status line and to a size."""

    def begin(self) -> None:
        """Read the head, as strictly as it is written."""
        stream = self.fp
        self.fp = cast("Any", _Head(stream))
        try:
            super().begin()
        except (http.client.HTTPException, OSError):
            raise
        except Exception:  # noqa: BLE001  # headers are read as those of e-mail, which stumbles over odd parameters
            raise http.client.HTTPException("not shown") from None
        finally:
            self.fp = stream
        # What a connection carries behind one answer must not be taken for the next one, to another key perhaps.
        self.will_close = True
        # No cookie is kept, and the library that reads them prints a traceback where it cannot.
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]
        # Behind a line that is none the other headers are not seen, those that tell where the body ends among them.
        if self.headers.defects or self.headers.get_payload():
            self.headers["Content-Length"] = "unseen"
        # urllib3 raises on lengths that differ, before anybody has seen the status, and leaves the socket open. Under
        # one that is no number the status still decides, and `check_framing` finds it.
        lengths = ",".join(self.headers.get_all("Content-Length", [])).split(",")
        if len({length.strip() for length in lengths}) > 1:
            del self.headers["Content-Length"]
            self.headers["Content-Length"] = "contradictory"


class _Head:
    """The status line and the headers, line by line, those of interim answers before them included."""

    # The library takes whatever Python's int() makes a number of: `+200`, `0200` and `2_00` would be 200.
    _STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = MAX_HEAD_BYTES
        self._is_at_start = True

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        if self._is_at_start and line and not self._STATUS_LINE.fullmatch(line):
            raise http.client.BadStatusLine("not shown")
        # Behind an empty line there is another head, or nothing that is read from here.
        self._is_at_start = line in {b"\r\n", b"\n"}
        return line


def check_framing(headers: Mapping[str, str]) -> None:
    """Take only headers that tell in one way where the body ends: a length that they cannot read, libraries ignore."""
    coding, length = headers.get("Transfer-Encoding"), headers.get("Content-Length")
    if coding is not None:
        is_clear = length is None and coding.lower() == "chunked"
    else:
        # The same length twice is one length.
        is_clear = length is None or all(_is_size(text.strip()) for text in length.split(","))
    if not is_clear:
        raise untrustworthy("its headers do not tell where it ends")


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
