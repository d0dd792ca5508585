"""Progress: what a person waits for, on standard error, once a second has gone by."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from apimart_cli.processes.signals import at_ending
from apimart_cli.screen.output import is_terminal_error
from apimart_cli.screen.writing import tell

PROGRESS_AFTER = 1.0
"""Seconds before progress is shown: most answers are there long before."""

_REDRAWN_EVERY = 0.1
"""Seconds between two looks at what has changed."""

_WIPE_LINE = "\r\x1b[2K"
"""What empties the line of a terminal that the cursor is in."""

_LONGEST_WRITE = 0.05
"""Most seconds to wait, when a signal ends the process, until a line that is being written is there to be wiped."""


class Waiting(NamedTuple):
    """What a person waits for."""

    total: int
    """How many answers."""
    host: str | None = None
    """The host that is asked, where it is one profile that waits; it is shown with the seconds that are left."""
    seconds: float = 0.0
    """How long that may take."""
    may_prompt: bool = False
    """Whether what gives a key may ask for a password on the same terminal: nothing that moves may disturb it."""


class Progress:
    """How many of the answers are there."""

    def __init__(self, waiting: Waiting) -> None:
        self.arrived = 0
        self._waiting = waiting
        self._give_up_at = time.monotonic() + waiting.seconds
        self._is_over = threading.Event()
        # Read and written in the handler of a signal as well, so there is no lock.
        self._is_wiped = False
        self._is_writing = False

    def step(self) -> None:
        """Count one more."""
        self.arrived += 1

    def show(self) -> None:
        """Show how far it is, once PROGRESS_AFTER has gone by, until it is over."""
        if self._is_over.wait(PROGRESS_AFTER):
            return
        # Where it cannot be drawn (no file can be opened to load Rich from), it is left out: the answer matters.
        with suppress(Exception):
            self._draw_until_over()

    def _draw_until_over(self) -> None:
        draw = self._drawing()
        shown = ""
        try:
            while not self._is_over.is_set():
                line = draw()
                if line != shown:
                    self._write(line)
                    shown = line
                self._is_over.wait(_REDRAWN_EVERY)
        finally:
            if shown:
                self._write(_WIPE_LINE)

    def end(self) -> None:
        """Show nothing any more."""
        self._is_over.set()

    def wipe(self) -> None:
        """Empty the line, and write nothing after that. It may be called in the handler of a signal."""
        self._is_wiped = True
        give_up_at = time.monotonic() + _LONGEST_WRITE
        while self._is_writing and time.monotonic() < give_up_at:
            time.sleep(0.001)
        # Not through the stream: a signal may come in the middle of a write to it.
        with suppress(OSError):
            os.write(sys.stderr.fileno(), _WIPE_LINE.encode())

    def _write(self, text: str) -> None:
        self._is_writing = True
        if not self._is_wiped:
            tell(text)
        self._is_writing = False

    def _drawing(self) -> Callable[[], str]:
        """Return what draws the line."""
        waiting = self._waiting
        if waiting.may_prompt:
            # It changes only when an answer arrives: whoever types a password is not disturbed ten times a second.
            return lambda: f"\rapimart: {self.arrived} of {waiting.total} answered "
        # Rich takes its time to load, and most answers are there before.
        from apimart_cli.screen.drawing import Drawing

        drawing = Drawing(sys.stderr)
        if waiting.host is None:
            return lambda: drawing.bar(self.arrived, waiting.total)
        host = waiting.host
        return lambda: drawing.spinner(host, max(0.0, self._give_up_at - time.monotonic()))


@contextmanager
def progress(waiting: Waiting, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a person on standard error what the block waits for, once a second has gone by; wipe it at the end."""
    counted = Progress(waiting)
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
        with at_ending(counted.wipe):
            yield counted
    finally:
        counted.end()
        watcher.join()


def is_beside_answer() -> bool:
    """Tell whether the answer appears where progress does: on a terminal, lines of both would run into each other."""
    return is_terminal_error() and sys.stdout is not None and sys.stdout.isatty()
