"""What `watch` shows: a line for each change, or a table in place."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from apimart_cli.board import Board, News
from apimart_cli.course import View
from apimart_cli.output.runs import duration
from apimart_cli.screen.writing import write_answer
from apimart_cli.words import Change

if TYPE_CHECKING:
    from apimart_cli.screen.live import LiveScreen

TICK = 0.5
"""Most seconds until what arrived is shown as a line."""

REDRAWN_EVERY = 1.0
"""Seconds between two looks at how old a table has become."""

KEPT_LINES = 2
"""Lines of the terminal that are not the table's."""

_END_KEYS = frozenset("qQ")


class Display(Protocol):
    """What shows the balances."""

    def tell(self, news: Sequence[News], board: Board) -> None:
        """Show what changed. Raises OutputError."""

    def goes_on(self, seconds_to_next: Callable[[], float]) -> bool:
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

    def goes_on(self, _seconds_to_next: Callable[[], float]) -> bool:
        """Wait a moment; tell whether there is a reader."""
        return not self._reader.is_gone_within(TICK)


class Table:
    """A table in place, on a terminal."""

    def __init__(self, screen: "LiveScreen", interval: str) -> None:
        """Show it on `screen`; the interval is shown as it is."""
        self._screen = screen
        self._interval = interval
        self._views: Sequence[View] = ()
        self._drawn = ("", 0, 0)

    def tell(self, _news: Sequence[News], board: Board) -> None:
        """Take what is known by now; it is shown at once."""
        self._views = board.views
        self._draw(None)

    def goes_on(self, seconds_to_next: Callable[[], float]) -> bool:
        """Show how old it is, and wait for a moment; tell whether nobody pressed `q`."""
        self._draw(seconds_to_next())
        # Until the second is over: ages change with it.
        return self._screen.key(REDRAWN_EVERY - time.time() % REDRAWN_EVERY) not in _END_KEYS

    def _draw(self, seconds_to_next: float | None) -> None:
        from apimart_cli.output.watched import watched_as_text

        screen, height = self._screen.screen, self._screen.height
        text = watched_as_text(self._views, screen, now=datetime.now(UTC), height=height - KEPT_LINES)
        self._screen.last = text
        drawn = (f"{text}\n{self._footer(seconds_to_next)}", screen.width or 0, height)
        if drawn != self._drawn:
            self._screen.show(drawn[0])
            self._drawn = drawn

    def _footer(self, seconds_to_next: float | None) -> str:
        if seconds_to_next is None or seconds_to_next < 1:
            return f"every {self._interval}; asking now; q ends"
        return f"every {self._interval}; next in {duration(seconds_to_next)}; q ends"
