"""Reading from a pipe for a limited time. Windows cannot tell whether there is something in a pipe."""

import errno
import os
import select
from collections.abc import Callable

from apimart_cli.processes.signals import start_thread

_SLICE = 0.05
"""Most seconds to wait at a stretch: the seconds that are left may become fewer meanwhile."""


def read_within(descriptor: int, limit: int, seconds_left: Callable[[], float]) -> bytes:
    """Return what is written to a pipe until its other end is closed, at most `limit` bytes.

    Raises TimeoutError when it is still open after the last of the seconds, and OSError where it cannot be read.
    """
    if not hasattr(select, "poll"):
        return _read_beside(descriptor, limit, seconds_left)
    read = b""
    while len(read) < limit:
        if (left := seconds_left()) <= 0:
            raise TimeoutError
        if is_readable(descriptor, min(_SLICE, left)):
            chunk = os.read(descriptor, limit - len(read))
            if not chunk:
                break
            read += chunk
    return read


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read; tell whether there is. Only where the system has `poll`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _read_beside(descriptor: int, limit: int, seconds_left: Callable[[], float]) -> bytes:
    """Read in a thread, which goes on when the time is over, until the other end is closed."""
    chunks: list[bytes] = []
    failures: list[OSError] = []

    def read() -> None:
        left = limit
        try:
            while left > 0 and (chunk := os.read(descriptor, left)):
                chunks.append(chunk)
                left -= len(chunk)
        except OSError as error:
            failures.append(error)

    thread = start_thread(read, "reader")
    if thread is None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    while thread.is_alive():
        if (left := seconds_left()) <= 0:
            raise TimeoutError
        thread.join(min(_SLICE, left))
    if failures:
        raise failures[0]
    return b"".join(chunks)
