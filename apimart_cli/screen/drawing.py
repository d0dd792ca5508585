"""Drawing a line that shows how far one is: a spinner for one answer, a bar for many. Loaded when somebody waits."""

import math
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.text import Text

WIDEST_BAR = 40
"""Most columns of a bar."""

NARROWEST_BAR = 5
"""Fewest columns of a bar that shows anything."""

_BEGIN, _REST_OF_LINE = "\r", "\x1b[K"


class Drawing:
    """Draws lines for a terminal, each over the one before, and none so wide that it takes two rows."""

    def __init__(self, stream: TextIO) -> None:
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

    def _bar(self, arrived: int, total: int, columns: int) -> ProgressBar:
        done = "cyan"
        return ProgressBar(
            total, arrived, width=columns, style="bright_black", complete_style=done, finished_style=done
        )

    @property
    def _columns(self) -> int:
        # A terminal begins a new row once the last column is written to.
        return max(1, self._console.width - 1)

    def _line(self, *parts: RenderableType) -> str:
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
