"""One page for many readers: those that ask within half a second share the same bytes, in memory and on the wire."""

import gzip
import threading
import time
from collections.abc import Callable

FRESH = 0.5
"""Seconds for which a page is handed out again."""

GZIP_LEVEL = 1
"""The quickest: the page repeats itself so much that it becomes a tenth."""


class Pages:
    """The page, plain and compressed, made anew when it is asked for and the last one is not fresh."""

    def __init__(self, render: Callable[[], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._render = render
        self._clock = clock
        self._guard = threading.Lock()
        self._made_at: float | None = None
        self._plain = b""
        self._compressed: bytes | None = None

    def get(self, *, compressed: bool) -> bytes:
        """Return the page. Raises what went wrong with it; then it is made anew the next time."""
        with self._guard:
            if self._made_at is None or not 0 <= self._clock() - self._made_at < FRESH:
                self._made_at = None
                self._plain, self._compressed = self._render(), None
                self._made_at = self._clock()
            if not compressed:
                return self._plain
            if self._compressed is None:
                self._compressed = gzip.compress(self._plain, GZIP_LEVEL, mtime=0)
            return self._compressed

    def forget(self) -> None:
        """Make it anew the next time, fresh or not."""
        with self._guard:
            self._made_at = None
