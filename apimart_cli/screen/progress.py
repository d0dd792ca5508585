"""Progress: what a person waits for, on standard error, once a second has gone by: a spinner, or a bar for many."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TextIO

from apimart_cli.processes.signals import at_ending
from apimart_cli.screen.writing import is_terminal_error, tell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress_bar import ProgressBar

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


WIDEST_BAR = 40
"""Most columns of a bar."""

NARROWEST_BAR = 5
"""Fewest columns of a bar that shows anything."""

_BEGIN, _REST_OF_LINE = "\r", "\x1b[K"


class Drawing:
    """Draws lines for a terminal, each over the one before, and none so wide that it takes two rows."""

    def __init__(self, stream: TextIO) -> None:
        # Rich takes its time to load, and most answers are there before a line is drawn.
        from rich.console import Console
        from rich.spinner import Spinner

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, legacy_windows=False)
        self._is_ascii = self._console.options.ascii_only
        self._spinner = Spinner("line" if self._is_ascii else "dots", style="cyan")

    def spinner(self, host: str, seconds_left: float) -> str:
        """Return a line that moves, with the host that is asked and the seconds that are left."""
        frame = self._spinner.render(self._console.get_time())
        return self._line("apimart: ", frame, f" waiting for {host}, {math.ceil(seconds_left)} s left")

    def bar(self, arrived: int, total: int) -> str:
        """Return a line with a bar: how many of the answers are there."""
        before, after = "apimart: ", f" {arrived} of {total} answered"
        room = min(WIDEST_BAR, self._columns - len(before) - len(after))
        if room < NARROWEST_BAR:
            return self._line(before, after.lstrip())
        return self._line(before, self._bar(arrived, total, room), after)

    def _bar(self, arrived: int, total: int, columns: int) -> "ProgressBar":
        from rich.progress_bar import ProgressBar

        done = "cyan"
        return ProgressBar(
            total, arrived, width=columns, style="bright_black", complete_style=done, finished_style=done
        )

    @property
    def _columns(self) -> int:
        # A terminal begins a new row once the last column is written to.
        return max(1, self._console.width - 1)

    def _line(self, *parts: "RenderableType") -> str:
        from rich.text import Text

        with self._console.capture() as capture:
            room = self._columns
            for part in parts:
                if room > 0 and isinstance(part, str | Text):
                    text = part if isinstance(part, Text) else Text(part)
                    text.truncate(room, overflow="crop" if self._is_ascii else "ellipsis")
                    room -= text.cell_len
                    self._console.print(text, end="", no_wrap=True, crop=False, overflow="ignore")
                elif room > 0:
                    self._console.print(part, end="")
        return f"{_BEGIN}{capture.get()}{_REST_OF_LINE}"
