"""Whether anybody still reads standard output: told without writing to it."""

import os
import select
import sys
import time
from typing import Any


class Reader:
    """Who reads standard output, from when this is made."""

    def __init__(self) -> None:
        self._poll: Any = None
        self._file = self._identity()
        if hasattr(select, "poll") and sys.stdout is not None and self._file is not None:
            self._poll = select.poll()
            # No events: an error, or a hang-up, is told all the same.
            self._poll.register(sys.stdout.fileno(), 0)

    def is_gone_within(self, seconds: float) -> bool:
        """Wait for so many seconds, or until nobody reads any more; tell whether that is so."""
        if self._identity() != self._file:
            # A write found out, and put the null device in its place.
            return True
        if self._poll is None:
            time.sleep(seconds)
            return False
        return bool(self._poll.poll(seconds * 1000))

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.fstat(sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            return None
        return status.st_dev, status.st_ino
