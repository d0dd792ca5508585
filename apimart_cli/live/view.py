"""The use case of `watch`: one thread asks round after round, the other shows what changed, until something ends it."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from apimart_cli.balance import Reading, with_spendable
from apimart_cli.config.settings import Settings
from apimart_cli.errors import NO_THREAD_HINT, ExitCode, UsageError
from apimart_cli.live.board import Board
from apimart_cli.live.displays import Display, Lines, Table
from apimart_cli.output.changes import below_in_words, change_as_json, change_as_line
from apimart_cli.pace import LEAST_INTERVAL
from apimart_cli.readings import Taken
from apimart_cli.rounds import Clock, Rounds
from apimart_cli.screen.writing import write_note
from apimart_cli.trace import Trace

LONGEST_WAIT = 1.0
"""Most seconds to wait at a stretch: after a sleep, the wall clock is looked at no later than that."""


class Order(NamedTuple):
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
    told: Callable[[Sequence[Taken]], None] | None = None
    """Called with the readings of every round, once they are out; it must not wait for anything."""
    trace: Trace | None = None


def watch(order: Order, *, clock: Clock = Clock()) -> ExitCode:  # noqa: B008  # a record
    """Watch until something ends it, and return the code to end with.

    OK, or BELOW with `until_below`; where a balance was never read, the code of its failure. Raises AuthError where
    there is a single profile without a usable key, OutputError when the answer cannot be written.
    """
    rounds = Rounds(
        order.profiles, interval=order.interval, least=order.least, told=order.told, trace=order.trace, clock=clock
    )
    board = Board(timedelta(seconds=order.interval))
    give_up_at = None if order.seconds is None else clock.steady() + order.seconds
    first = rounds.first()
    news = board.take(_shown(first))
    with _display(order, rounds) as display, _Background(rounds, order.most_rounds) as background:
        display.tell(news, board)
        rounds.tell(first)
        while not (order.until_below and board.is_below):
            is_over = background.is_over
            for taken in background.arrived():
                display.tell(board.take(_shown(taken)), board)
                rounds.tell(taken)
                if order.until_below and board.is_below:
                    break
            if is_over or (give_up_at is not None and clock.steady() >= give_up_at):
                break
            if not display.goes_on():
                break
    if order.until_below and board.is_below:
        for view in board.views:
            if view.is_below:
                write_note(below_in_words(view), "top up, or ask for less")
        return ExitCode.BELOW
    return board.code


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
        """Whether there was the last round."""

    def __enter__(self) -> "_Background":
        """Begin. Raises UsageError where the system starts no thread."""
        from apimart_cli.processes.signals import held_back

        try:
            with held_back():
                threading.Thread(target=self._run, name="apimart-watch", daemon=True).start()
        except RuntimeError:
            raise UsageError("nothing can be watched: the system starts no thread", NO_THREAD_HINT) from None
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ask no more. A question that is under way is left to itself: its thread holds nobody up."""
        self._is_left.set()
        self._rounds.record(is_last=True)

    def arrived(self) -> Iterator[Sequence[Taken]]:
        """Give the rounds that have arrived since."""
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
def _display(order: Order, rounds: Rounds) -> Iterator[Display]:
    if not order.is_live:
        yield Lines(change_as_json if order.is_json else change_as_line)
        return
    from apimart_cli.screen.live import LiveScreen

    with LiveScreen().opened() as screen:
        yield Table(screen, order.interval, rounds.seconds_to_next)
