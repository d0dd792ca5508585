"""Watching a command while it runs: one thread looks at the balances, and the guard says when to stop."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from apimart_cli.errors import NO_THREAD_HINT, ApimartError, UsageError, bug
from apimart_cli.guard import Guard, Look
from apimart_cli.guarding.looking import Looking, Sight
from apimart_cli.output.runs import doubt_in_words
from apimart_cli.runs import Run
from apimart_cli.screen.writing import write_warning
from apimart_cli.words import StoppedBy

_LONGEST_TICK = 2.0
"""Seconds between two questions whether to stop; after more than that we were stopped ourselves (Ctrl-Z)."""


class Watch:
    """Looks again and again in a thread of its own, from the beginning of the block to its end."""

    def __init__(self, guard: Guard, looking: Looking, first: Sight, *, advice: str, register: "Register") -> None:
        self.latest = first
        """The last look that told something of every limit, or the first one."""
        self.failure = first.failure
        """Why the last look did not tell enough; None where it did."""
        self.last_readings = first.readings
        """Those of the last look, whatever they told."""
        self.stopped_by: StoppedBy | None = None
        """Why the command has to be stopped, once that is decided."""
        self._guard = guard
        self._looking = looking
        self._advice = advice
        self._register = register
        self._lock = threading.Lock()
        self._stopped_for = 0.0
        self._asked_at = time.monotonic()
        self._is_over = threading.Event()

    def __enter__(self) -> "Watch":
        """Begin to look. Raises UsageError where the system starts no thread."""
        from apimart_cli.processes.signals import held_back

        try:
            with held_back():
                threading.Thread(target=self._run, name="apimart-guard", daemon=True).start()
        except RuntimeError:
            raise UsageError("nothing can be guarded: the system starts no thread", NO_THREAD_HINT) from None
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Look no more. A question that is under way is left to itself: its thread holds nobody up."""
        with self._lock:
            self._is_over.set()

    def must_stop(self) -> bool:
        """Tell whether the command has to be stopped now."""
        if self.stopped_by is None:
            with self._lock:
                self._note_the_time()
                self.stopped_by = self._guard.stop(self._now())
        return self.stopped_by is not None

    def _note_the_time(self) -> None:
        """Take no account of the time that we were stopped for: neither did the command spend, nor did we look."""
        asked_at = time.monotonic()
        if asked_at - self._asked_at > _LONGEST_TICK:
            self._stopped_for += asked_at - self._asked_at
        self._asked_at = asked_at

    def _now(self) -> float:
        return time.monotonic() - self._stopped_for

    def _run(self) -> None:
        self._register.begin()
        while not self._is_over.wait(self._seconds_to_next()):
            sight = self._look()
            with self._lock:
                if self._is_over.is_set():
                    return
                became_blind = self._guard.take(sight.look._replace(at=self._now()))
                self.failure, self.last_readings = sight.failure, sight.readings
                if sight.failure is None:
                    self.latest = sight
                doubt = self._guard.new_doubt()
            if doubt is not None:
                write_warning(*doubt_in_words(doubt))
            if became_blind and sight.failure is not None:
                write_warning(f"the balance is not known: {sight.failure.message}", self._advice)
            self._register.beat(self._seconds_to_next())

    def _seconds_to_next(self) -> float:
        with self._lock:
            return max(0.0, self._guard.next_look() - self._now())

    def _look(self) -> Sight:
        try:
            return self._looking.again(needs_account=self._guard.counts_account)
        except Exception as error:  # noqa: BLE001  # a guard that failed must not go on as though it saw something
            failure = error if isinstance(error, ApimartError) else bug(error)
            return Sight(Look(time.monotonic(), is_blind=True), (), failure, has_no_forecast=False)


class Register:
    """Tells the ledger that a run is under way, so that others of the same key know of it. Best effort."""

    def __init__(self, path: Path | None, run: Run, *, patience: float) -> None:
        """Register `run` in the ledger at `path`; nothing is where that is None. Looks take `patience` seconds."""
        self.run = run
        self._path = path
        self._patience = patience
        self._number: int | None = None
        self._one_at_a_time = threading.Lock()

    def begin(self) -> None:
        """Say that it has begun."""
        if self._path is not None:
            from apimart_cli.ledger.runs import begin

            with self._one_at_a_time, suppress(Exception):
                self._number = begin(self._path, self.run, self._alive_until(0))

    def beat(self, seconds: float) -> None:
        """Say that it goes on, and that the next look comes in so many seconds."""
        if self._path is not None and self._number is not None:
            from apimart_cli.ledger.runs import beat

            with self._one_at_a_time, suppress(Exception):
                beat(self._path, self._number, self._alive_until(seconds))

    def finish(self, run: Run) -> int | None:
        """Say how it ended; return how many others of its key were under way meanwhile, None where nobody knows."""
        if self._path is not None:
            from apimart_cli.ledger.runs import finish

            # A command may end before it is written that it has begun; either takes a quarter of a second at most.
            with self._one_at_a_time, suppress(Exception):
                return finish(self._path, self._number, run)
        return None

    def _alive_until(self, seconds: float) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds + self._patience + _MARGIN)


_MARGIN = 30.0
"""Seconds that a run may be late before it is taken for dead."""
