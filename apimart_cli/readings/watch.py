"""The use case of `watch`: one thread asks round after round, the other shows what changed, until something ends it.

Changes are shown as lines, or in a table that is drawn over and over in its place.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from apimart_cli.config.settings import Settings
from apimart_cli.errors import ExitCode, Trace, no_thread
from apimart_cli.output.columns import duration
from apimart_cli.output.watched import below_in_words, change_as_json, change_as_line
from apimart_cli.readings.rounds import Clock, Rounds
from apimart_cli.readings.take import Taken
from apimart_cli.rules.balance import Reading, with_spendable
from apimart_cli.rules.gate import code_of_readings
from apimart_cli.rules.pace import LEAST_INTERVAL
from apimart_cli.rules.trend import Change, Trend, View
from apimart_cli.screen.writing import write_answer, write_note
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from apimart_cli.screen.live import LiveScreen


LONGEST_WAIT = 1.0
"""Most seconds to wait at a stretch, so that a round that became due while the machine slept comes soon after."""

TICK = 0.2
"""Most seconds until a change that arrived is shown as a line."""

REDRAWN_EVERY = 1.0
"""Least seconds between two drawings if only the age of the readings differs."""

DRAWING_SHARE = 0.005
"""Most of a core that drawing may take: large tables are drawn less often."""

KEPT_LINES = 2
"""Lines of the terminal that are kept free of the table."""

_END_KEYS = frozenset("qQ")


class WatchOptions(NamedTuple):
    """What is watched, and until when. Times are in seconds."""

    profiles: Sequence[Settings]
    interval: float = 30.0
    least: float = LEAST_INTERVAL
    seconds: float | None = None
    most_rounds: int | None = None
    until_below: bool = False
    is_json: bool = False
    is_live: bool = False
    """Whether standard output is a terminal that can show a table in place."""
    on_readings: Callable[[Sequence[Taken]], None] | None = None
    """Called with the readings of every round after they are shown; it must not wait for anything."""
    trace: Trace | None = None


def watch(options: WatchOptions, *, clock: Clock = Clock()) -> ExitCode:  # noqa: B008  # a record
    """Watch until something ends it, and return the code to end with.

    That is OK, or BELOW with `until_below`; if a balance was never read, it is the code of its failure. Raises
    AuthError if there is a single profile without a usable key, and OutputError if the answer cannot be written.
    """
    rounds = Rounds(
        options.profiles,
        interval=options.interval,
        least=options.least,
        on_readings=options.on_readings,
        trace=options.trace,
        clock=clock,
    )
    watched = WatchedBalances(timedelta(seconds=options.interval))
    give_up_at = None if options.seconds is None else clock.steady() + options.seconds
    first = rounds.first()
    news = watched.take(_shown(first))
    with _display(options, rounds) as display, _Background(rounds, options.most_rounds) as background:
        display.tell(news, watched)
        rounds.tell(first)
        while not (options.until_below and watched.is_below):
            is_over = background.is_over
            for taken in background.arrived():
                display.tell(watched.take(_shown(taken)), watched)
                rounds.tell(taken)
                if options.until_below and watched.is_below:
                    break
            if is_over or (give_up_at is not None and clock.steady() >= give_up_at):
                break
            if not display.goes_on():
                break
    if options.until_below and watched.is_below:
        for view in watched.views:
            if view.is_below:
                write_note(below_in_words(view), "top up, or ask for less")
        return ExitCode.BELOW
    return watched.code


class News(NamedTuple):
    """A balance of which something changed."""

    view: View
    changes: Sequence[Change]


class WatchedBalances:
    """Every balance that is watched and its trend, in the order in which they were first seen."""

    def __init__(self, bar: timedelta) -> None:
        """Show the spend of times as long as `bar`."""
        self._bar = bar
        self._trends: dict[tuple[str, Scope], Trend] = {}

    def take(self, readings: Iterable[Reading]) -> list[News]:
        """Take note of readings, and return what changed with them."""
        news = []
        for reading in readings:
            trend = self._trends.setdefault((reading.profile, reading.scope), Trend(self._bar))
            changes = trend.take(reading)
            if changes:
                news.append(News(trend.view(), changes))
        return news

    @property
    def views(self) -> list[View]:
        """What is known by now."""
        return [trend.view() for trend in self._trends.values()]

    @property
    def is_below(self) -> bool:
        """Whether any balance is below its `min`."""
        return any(trend.is_below for trend in self._trends.values())

    @property
    def code(self) -> ExitCode:
        """What to end with: OK, or the code of the first failure of a balance that was never read."""
        unread = [trend.view() for trend in self._trends.values() if not trend.was_read]
        return code_of_readings([view.reading for view in unread])


class Display(Protocol):
    """What shows the balances."""

    def tell(self, news: Sequence[News], watched: WatchedBalances) -> None:
        """Show what changed. Raises OutputError."""

    def goes_on(self) -> bool:
        """Wait a moment, and return whether to go on. Raises OutputError."""


class Lines:
    """A line for each change, on standard output."""

    def __init__(self, written: Callable[[View, Sequence[Change], datetime], str]) -> None:
        """Write what `written` makes of a change."""
        from apimart_cli.screen.writing import Reader

        self._written = written
        self._reader = Reader()

    def tell(self, news: Sequence[News], _watched: WatchedBalances) -> None:
        """Write what changed, and flush it."""
        now = datetime.now(UTC)
        write_answer("".join(self._written(each.view, each.changes, now) for each in news))

    def goes_on(self) -> bool:
        """Wait a moment, and return whether standard output still has a reader."""
        return not self._reader.is_gone_within(TICK)


class Table:
    """A table in place, on a terminal."""

    def __init__(self, screen: "LiveScreen", interval: float, seconds_to_next: Callable[[], float]) -> None:
        """Show it on `screen`. The footer tells the `interval` and the `seconds_to_next` round, in seconds."""
        self._screen = screen
        self._seconds_to_next = seconds_to_next
        self._interval = duration(interval) if interval >= 1 else f"{interval:g} s"
        self._views: Sequence[View] = ()
        self._drawn = ("", 0, 0)
        self._draw_at = 0.0

    def tell(self, _news: Sequence[News], watched: WatchedBalances) -> None:
        """Show what is known by now, at once."""
        self._views = watched.views
        self._draw()

    def goes_on(self) -> bool:
        """Redraw the table when it is due, wait a moment, and return True unless `q` was pressed."""
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
        # The table that stays on the terminal at the end is not cut to its height.
        self._screen.last = text if text.count("\n") < room else watched_as_text(self._views, screen, now=now)
        drawn = (f"{text}\n{self._footer()}", screen.width or 0, height)
        if drawn != self._drawn:
            self._screen.show(drawn[0])
            self._drawn = drawn

    def _footer(self) -> str:
        seconds = self._seconds_to_next()
        due = f"next in {duration(math.ceil(seconds))}" if seconds else "asking now"
        key = "q" if self._screen.reads_keys else "Ctrl-C"
        return f"every {self._interval}; {due}; {key} ends"


def _shown(taken: Sequence[Taken]) -> Iterator[Reading]:
    return (reading for each in taken for reading in with_spendable(each.readings))


class _Background:
    """The thread that asks, from the beginning of the block to its end."""

    def __init__(self, rounds: Rounds, count: int | None) -> None:
        self._rounds = rounds
        self._count = count
        self._arrived: deque[Sequence[Taken]] = deque()
        self._is_left = threading.Event()
        self.is_over = False
        """Whether the last round has arrived."""

    def __enter__(self) -> "_Background":
        """Begin. Raises UsageError where the system starts no thread."""
        from apimart_cli.processes.signals import start_thread

        if start_thread(self._run, "watch") is None:
            raise no_thread("nothing can be watched")
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ask no more. A question that is under way is not waited for: its thread ends with the process."""
        self._is_left.set()
        self._rounds.record(is_last=True)

    def arrived(self) -> Iterator[Sequence[Taken]]:
        """Yield the rounds that have arrived since the last call."""
        while self._arrived:
            yield self._arrived.popleft()

    def _run(self) -> None:
        while self._count is None or self._rounds.asked < self._count:
            if self._is_left.wait(min(self._rounds.seconds_to_next(), LONGEST_WAIT)):
                return
            if self._rounds.seconds_to_next() == 0:
                taken = self._rounds.again()
                self._arrived.append(taken)
                self._rounds.record()
        self.is_over = True


@contextmanager
def _display(options: WatchOptions, rounds: Rounds) -> Iterator[Display]:
    if not options.is_live:
        yield Lines(change_as_json if options.is_json else change_as_line)
        return
    from apimart_cli.screen.live import LiveScreen

    with LiveScreen().opened() as screen:
        yield Table(screen, options.interval, rounds.seconds_to_next)
