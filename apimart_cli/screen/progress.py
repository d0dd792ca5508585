"""Progress: how many answers are there, for a person who waits."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from apimart_cli.processes.signals import at_ending
from apimart_cli.screen.output import is_terminal_error
from apimart_cli.screen.writing import tell

PROGRESS_AFTER = 1.0
"""Seconds before progress is shown: most answers are there long before."""

_WIPE_LINE = "\r\x1b[2K"
"""What empties the line of a terminal that the cursor is in."""


class Progress:
    """How many of `total` answers are there."""

    def __init__(self, total: int) -> None:
        self.arrived = 0
        self._total = total
        self._is_over = threading.Event()

    def step(self) -> None:
        """Count one more."""
        self.arrived += 1

    def show(self) -> None:
        """Show the count on standard error, once PROGRESS_AFTER has gone by, until it is over."""
        if self._is_over.wait(PROGRESS_AFTER):
            return
        shown = ""
        while not self._is_over.is_set():
            line = f"\rapimart: {self.arrived} of {self._total} answered "
            # Only when it changes: a command that prints a key may be asking for a password on the same terminal.
            if line != shown:
                tell(line)
                shown = line
            self._is_over.wait(0.1)
        tell(_WIPE_LINE)

    def end(self) -> None:
        """Show nothing any more."""
        self._is_over.set()


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a person on standard error how many of `total` answers are there, once a second has gone by."""
    counted = Progress(total)
    if quiet or not is_terminal_error() or os.environ.get("TERM", "dumb") == "dumb":
        yield counted
        return
    watcher = threading.Thread(target=counted.show, name="apimart-progress", daemon=True)
    try:
        watcher.start()
    except RuntimeError:  # the system starts no thread
        yield counted
        return
    try:
        with at_ending(_wipe):
            yield counted
    finally:
        counted.end()
        watcher.join()


def is_beside_answer() -> bool:
    """Tell whether the answer appears where progress does: on a terminal, lines of both would run into each other."""
    return is_terminal_error() and sys.stdout is not None and sys.stdout.isatty()


def _wipe() -> None:
    # Not through the stream: a signal may come in the middle of a write to it.
    with suppress(OSError):
        os.write(sys.stderr.fileno(), _WIPE_LINE.encode())
