"""What `watch` shows: a line for each change, or a table in place."""

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from apimart_cli.course import View
from apimart_cli.live.board import Board, News
from apimart_cli.output.runs import duration
from apimart_cli.screen.writing import write_answer
from apimart_cli.words import Change

if TYPE_CHECKING:
    from apimart_cli.screen.live import LiveScreen

TICK = 0.2
"""Most seconds until what arrived is shown as a line."""

REDRAWN_EVERY = 1.0
"""Least seconds between two tables that differ in their age alone."""

DRAWING_SHARE = 0.005
"""Most of a core that drawing such tables may take: large ones are drawn less often."""

KEPT_LINES = 2
"""Lines of the terminal that are not the table's."""

_END_KEYS = frozenset("qQ")


class Display(Protocol):
    """What shows the balances."""

    def tell(self, news: Sequence[News], board: Board) -> None:
        """Show what changed. Raises OutputError."""

    def goes_on(self) -> bool:
        """Wait a moment; tell whether somebody still looks. Raises OutputError."""


class Lines:
    """A line for each change, for whoever reads standard output."""

    def __init__(self, written: Callable[[View, Sequence[Change], datetime], str]) -> None:
        """Write what `written` makes of a change."""
        from apimart_cli.screen.reader import Reader

        self._written = written
        self._reader = Reader()

    def tell(self, news: Sequence[News], _board: Board) -> None:
        """Write what changed, and flush it."""
        now = datetime.now(UTC)
        write_answer("".join(self._written(each.view, each.changes, now) for each in news))

    def goes_on(self) -> bool:
        """Wait a moment; tell whether there is a reader."""
        return not self._reader.is_gone_within(TICK)


class Table:
    """A table in place, on a terminal."""

    def __init__(self, screen: "LiveScreen", interval: float, seconds_to_next: Callable[[], float]) -> None:
        """Show it on `screen`, with the seconds from one question to the next, and those that are left."""
        self._screen = screen
        self._seconds_to_next = seconds_to_next
        self._interval = duration(interval) if interval >= 1 else f"{interval:g} s"
        self._views: Sequence[View] = ()
        self._drawn = ("", 0, 0)
        self._draw_at = 0.0

    def tell(self, _news: Sequence[News], board: Board) -> None:
        """Take what is known by now; it is shown at once."""
        self._views = board.views
        self._draw()

    def goes_on(self) -> bool:
        """Show how old it is, and wait for a moment; tell whether nobody pressed `q`."""
        if time.monotonic() >= self._draw_at or self._screen.is_resized:
            self._draw()
        return self._screen.key(REDRAWN_EVERY / 2) not in _END_KEYS

    def _draw(self) -> None:
        began = time.thread_time()
        self._show()
        cost = time.thread_time() - began
        self._draw_at = time.monotonic() + max(REDRAWN_EVERY, cost / DRAWING_SHARE)

    def _show(self) -> None:
        from apimart_cli.output.watched import watched_as_text

        screen, height = self._screen.screen, self._screen.height
        now, room = datetime.now(UTC), height - KEPT_LINES
        text = watched_as_text(self._views, screen, now=now, height=room)
        # What stays at the end is whole.
        self._screen.last = text if text.count("\n") < room else watched_as_text(self._views, screen, now=now)
        drawn = (f"{text}\n{self._footer()}", screen.width or 0, height)
        if drawn != self._drawn:
            self._screen.show(drawn[0])
            self._drawn = drawn

    def _footer(self) -> str:
        seconds = self._seconds_to_next()
        due = f"next in {duration(math.ceil(seconds))}" if seconds else "asking now"
        return f"every {self._interval}; {due}; q ends"
