"""Writing to a pipe that is full because nobody reads it: for a moment, and not for ever."""

import os
import select
import stat
import time
from typing import TextIO

PATIENCE = 0.25
"""Most seconds to wait for somebody to read."""


def write_in_time(stream: TextIO, data: bytes) -> bool:
    """Write `data`, and tell whether that was tried: only for pipes and sockets.

    Raises TimeoutError when nobody reads for PATIENCE seconds, and whatever OSError writing raises.
    """
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return False
    # Who stops the output of a terminal (Ctrl-S) wants it to wait.
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) or not hasattr(select, "poll"):
        return False
    stream.flush()
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    give_up_at = time.monotonic() + PATIENCE
    while data:
        if not poll.poll(max(0.0, give_up_at - time.monotonic()) * 1000):
            raise TimeoutError
        try:
            # So much is written without waiting where there is room for anything.
            written = os.write(descriptor, data[: select.PIPE_BUF])
        except BlockingIOError:  # somebody who shares the pipe made it so, and was quicker
            continue
        data = data[written:]
    return True
