"""Progress on standard error, for a person who waits more than a second: a spinner for one answer, a bar for many."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TextIO

from apimart_cli.processes.signals import at_ending, start_thread
from apimart_cli.screen.writing import is_terminal_error, tell

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress_bar import ProgressBar

PROGRESS_AFTER = 1.0
"""Seconds before progress is shown: most answers arrive long before."""

_REDRAWN_EVERY = 0.1
"""Seconds between two lines."""

_WIPE_LINE = "\r\x1b[2K"
"""Empties the line of a terminal in which the cursor is."""

_LONGEST_WRITE = 0.05
"""Most seconds for which the end of the process waits until a line is written and can be wiped."""

WIDEST_BAR = 40
"""Most columns of a bar."""

NARROWEST_BAR = 5
"""Fewest columns of a bar that shows anything."""

_BEGIN, _REST_OF_LINE = "\r", "\x1b[K"


class Waiting(NamedTuple):
    """What a person waits for."""

    total: int
    """How many answers."""
    host: str | None = None
    """The host that is asked, where only one profile is asked; it is shown with the seconds that are left."""
    seconds: float = 0.0
    """How long that may take."""
    may_prompt: bool = False
    """Whether a source of a key may ask for a password on the same terminal: the line must not move then."""


@contextmanager
def progress(waiting: Waiting, *, quiet: bool = False) -> Iterator["Progress"]:
    """Show a person on standard error, after a second, what the block waits for; wipe that at the end."""
    counted = Progress(waiting)
    if quiet or not is_terminal_error() or os.environ.get("TERM", "dumb") == "dumb":
        yield counted
        return
    watcher = start_thread(counted.show, "progress")
    if watcher is None:
        yield counted
        return
    try:
        with at_ending(counted.wipe):
            yield counted
    finally:
        counted.end()
        watcher.join()


def is_beside_answer() -> bool:
    """Tell whether the answer goes to the terminal that shows progress, where the lines of both would mix."""
    return is_terminal_error() and sys.stdout is not None and sys.stdout.isatty()


class Progress:
    """The line that shows how many of the answers have arrived."""

    def __init__(self, waiting: Waiting) -> None:
        self.arrived = 0
        self._waiting = waiting
        self._give_up_at = time.monotonic() + waiting.seconds
        self._is_over = threading.Event()
        # The handler of a signal uses these, too, so there is no lock.
        self._is_wiped = False
        self._is_writing = False

    def step(self) -> None:
        """Count one more answer."""
        self.arrived += 1

    def show(self) -> None:
        """Show the line, from PROGRESS_AFTER seconds on until `end` is called."""
        if self._is_over.wait(PROGRESS_AFTER):
            return
        # Where it cannot be drawn (say Rich cannot be loaded, as no file can be opened), the answer matters more.
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
        """Show no more lines."""
        self._is_over.set()

    def wipe(self) -> None:
        """Empty the line, and write no other. It may be called in the handler of a signal."""
        self._is_wiped = True
        give_up_at = time.monotonic() + _LONGEST_WRITE
        while self._is_writing and time.monotonic() < give_up_at:
            time.sleep(0.001)
        # Not through the stream, as a signal may come in the middle of a write to it.
        with suppress(OSError):
            os.write(sys.stderr.fileno(), _WIPE_LINE.encode())

    def _write(self, text: str) -> None:
        self._is_writing = True
        if not self._is_wiped:
            tell(text)
        self._is_writing = False

    def _drawing(self) -> Callable[[], str]:
        """Return a function that draws the line."""
        waiting = self._waiting
        if waiting.may_prompt:
            # It changes only when an answer arrives: a person who types a password is not disturbed all the time.
            return lambda: f"\rapimart: {self.arrived} of {waiting.total} answered "
        drawing = Drawing(sys.stderr)
        if waiting.host is None:
            return lambda: drawing.bar(self.arrived, waiting.total)
        host = waiting.host
        return lambda: drawing.spinner(host, max(0.0, self._give_up_at - time.monotonic()))


class Drawing:
    """Draws lines for a terminal, each over the one before. None is so wide that it takes two rows.

    It loads Rich, which takes time: most answers arrive before that is needed.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.spinner import Spinner

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, legacy_windows=False)
        self._is_ascii = self._console.options.ascii_only
        self._spinner = Spinner("line" if self._is_ascii else "dots", style="cyan")

    def spinner(self, host: str, seconds_left: float) -> str:
        """Return a line with a spinner, the host that is asked and the seconds that are left."""
        frame = self._spinner.render(self._console.get_time())
        return self._line("apimart: ", frame, f" waiting for {host}, {math.ceil(seconds_left)} s left")

    def bar(self, arrived: int, total: int) -> str:
        """Return a line with a bar that shows how many of the answers have arrived."""
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
        # A terminal begins a new row after a character in the last column.
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
