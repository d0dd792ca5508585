"""Watching a command while it runs: one thread looks at the balances, and the guard says when to stop."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from apimart_cli.errors import ApimartError, UnavailableError, bug, no_thread
from apimart_cli.output.columns import doubt_in_words
from apimart_cli.records import Run
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.guard import Guard, Look
from apimart_cli.run.looking import Looking, Sight, least
from apimart_cli.screen.writing import write_warning
from apimart_cli.words import StoppedBy

_LONGEST_TICK = 2.0
"""Most seconds between two calls of `must_stop`; after more than that we were suspended ourselves (Ctrl-Z)."""

_LATE = 15.0
"""Seconds by which a look may be late, as the machine may be busy; after that it counts as one that told nothing."""

_REST = 0.5
"""Seconds to wait after a failure of ours before the next look."""

_LONGEST_WAIT = 60.0
"""Most seconds to wait at a stretch."""

_MOST_THREADS = 4
"""Most threads that look: one that hangs is replaced, and never ended."""

NOTHING_KNOWN = Decimal("Infinity")
"""Stands for an amount that is unlimited or not known: no other one is more."""


class Watch:
    """Looks again and again in a thread of its own, from the beginning of the block to its end.

    A failure in that thread counts as blindness and never ends the looking. A look that does not come back counts as
    blindness, too.
    """

    def __init__(self, guard: Guard, looking: Looking, first: Sight, *, advice: str, register: "Register") -> None:
        self.latest = first
        """The last look that told enough about every limit, or the first look."""
        self.failure = first.failure
        """Why the last look did not tell enough; None if it did."""
        self.last_readings = first.readings
        """The readings of the last look, failed ones included."""
        self.spent = guard.spent
        """What was spent by the last look, or by the look that decided to stop."""
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
        self._is_woken = threading.Event()
        self._threads: list[threading.Thread] = []
        self._verdict: StoppedBy | None = None
        """Why a look has decided to stop; later looks do not change that."""
        self._unjudged_since: float | None = None

    def __enter__(self) -> "Watch":
        """Begin to look. Raises UsageError where the system starts no thread."""
        if not self._start_looking(self._begin):
            raise no_thread("nothing can be guarded")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Look no more. A question that is under way is not waited for: its thread ends with the process."""
        with self._lock:
            self._is_over.set()
        self._is_woken.set()

    def must_stop(self) -> bool:
        """Tell whether the command must be stopped now. It must if that cannot be judged for too long."""
        if self.stopped_by is None:
            try:
                with self._lock:
                    self.stopped_by = self._verdict or self._guard.stop(self._now())
                if self.stopped_by is None:
                    self._look_after_looks()
                self._unjudged_since = None
            except Exception as error:  # noqa: BLE001  # a guard that cannot judge is blind: the command has `max_blind` seconds
                self._note_unjudged(error)
        return self.stopped_by is not None

    def _note_unjudged(self, error: Exception) -> None:
        now, patience = time.monotonic(), self._guard.max_blind
        if self._unjudged_since is None:
            self._unjudged_since = now
        if patience is not None and now - self._unjudged_since >= patience:
            self.failure, self.stopped_by = bug(error), StoppedBy.BLIND

    def _look_after_looks(self) -> None:
        """Count a look that has not come back as one that told nothing, and start another thread that looks."""
        with self._lock:
            due, now = self._guard.next_look(), self._now()
            if now < due + self._looking.patience + _LATE:
                return
            became_blind = self._guard.take(Look(due, is_blind=True))
            self._verdict = self._verdict or self._guard.stop(now)
            if self.failure is None:
                self.failure = UnavailableError("a look at it has not come back", "look at the gateway first")
        if became_blind:
            self._tell_blindness(self.failure)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) < _MOST_THREADS:
            self._start_looking(self._run)

    def _start_looking(self, work: Callable[[], None]) -> bool:
        """Start a thread that looks; return whether the system started one."""
        from apimart_cli.processes.signals import start_thread

        thread = start_thread(work, "guard")
        if thread is not None:
            self._threads.append(thread)
        return thread is not None

    def held(self) -> Reading:
        """Return the reading with the least left, of those of the last look that are held to the limits."""
        held = self._looking.held(self.last_readings or self.latest.readings)
        return min(held, key=lambda reading: NOTHING_KNOWN if (left := least([reading])) is None else left)

    def _now(self) -> float:
        """Return the time without the seconds for which we were suspended: then the command did not run either."""
        asked_at = time.monotonic()
        if asked_at - self._asked_at > _LONGEST_TICK:
            self._stopped_for += asked_at - self._asked_at
            # Others may have spent meanwhile, so look at once.
            self._is_woken.set()
        self._asked_at = asked_at
        return asked_at - self._stopped_for

    def _begin(self) -> None:
        with suppress(Exception):
            self._register.begin()
        self._run()

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                if self._wait_for_turn():
                    self._take(self._look())
            except BaseException as error:  # noqa: BLE001  # an exception that ends this thread would end the looking
                # If even that fails, `must_stop` finds that looks are missing.
                with suppress(BaseException):
                    self._take(_nothing_seen(error))
                with suppress(BaseException):
                    time.sleep(_REST)

    def _wait_for_turn(self) -> bool:
        """Wait until it is time to look, and return True; return False if the command is over."""
        while not self._is_over.is_set():
            with self._lock:
                now = self._now()
                left, is_resting = self._guard.next_look() - now, now < self._guard.rests_until
                is_woken = self._is_woken.is_set()
                self._is_woken.clear()
            if left <= 0 or (is_woken and not is_resting):
                return True
            self._is_woken.wait(min(left, _LONGEST_WAIT))
        return False

    def _look(self) -> Sight:
        try:
            return self._looking.again(needs_account=self._guard.counts_account)
        except Exception as error:  # noqa: BLE001  # after a failure, the guard must count as blind
            return _nothing_seen(error)

    def _take(self, sight: Sight) -> None:
        """Hold a look to the limits; then write the warnings about it, and note in the ledger that the run goes on."""
        with self._lock:
            if self._is_over.is_set():
                return
            became_blind = self._guard.take(sight.look._replace(at=self._now()))
            if self._verdict is None:
                self.failure, self.last_readings, self.spent = sight.failure, sight.readings, self._guard.spent
                if sight.failure is None:
                    self.latest = sight
                self._verdict = self._guard.stop(self._now())
        with suppress(Exception):
            self._tell_doubts()
        if became_blind:
            self._tell_blindness(sight.failure)
        with suppress(Exception):
            with self._lock:
                left = max(0.0, self._guard.next_look() - self._now())
            self._register.beat(left)

    def _tell_doubts(self) -> None:
        with self._lock:
            doubt = self._guard.new_doubt()
        if doubt is not None:
            write_warning(*doubt_in_words(doubt))

    def _tell_blindness(self, failure: ApimartError | None) -> None:
        if failure is not None:
            with suppress(Exception):
                write_warning(f"the balance is not known: {failure.message}", self._advice)


def _nothing_seen(error: BaseException) -> Sight:
    failure = error if isinstance(error, ApimartError) else bug(error)
    return Sight(Look(time.monotonic(), is_blind=True), (), failure, has_no_forecast=False)


class Register:
    """Notes in the ledger that a run is under way, for other runs of the same key. Failures are silent."""

    def __init__(self, path: Path | None, run: Run, *, patience: float) -> None:
        """Register `run` in the ledger at `path`, or nowhere if that is None. Looks take up to `patience` seconds."""
        self.run = run
        self.command: int | None = None
        """The number of the command's process, once it is started."""
        self._path = path
        self._patience = patience
        self._number: int | None = None
        self._one_at_a_time = threading.Lock()

    def begin(self) -> None:
        """Note that the run has begun."""
        if self._path is not None:
            from apimart_cli.ledger.runs import begin
            from apimart_cli.processes.table import are_gone

            with self._one_at_a_time, suppress(Exception):
                self._number = begin(
                    self._path, self.run, self._alive_until(0), processes=self._processes(), are_gone=are_gone
                )

    def beat(self, seconds: float) -> None:
        """Note that the run goes on, and that the next look comes in so many seconds."""
        if self._path is not None and self._number is not None:
            from apimart_cli.ledger.runs import beat

            with self._one_at_a_time, suppress(Exception):
                beat(self._path, self._number, self._alive_until(seconds), processes=self._processes())

    def finish(self, run: Run) -> int | None:
        """Note how the run ended, and return how many other runs of its key were under way; None if not known."""
        if self._path is not None:
            from apimart_cli.ledger.runs import finish

            # The note that a short command has begun may still be being written: wait for it. Each note takes a quarter
            # of a second at most.
            with self._one_at_a_time, suppress(Exception):
                return finish(self._path, self._number, run)
        return None

    def _processes(self) -> str | None:
        """Return what names us and the command: when both are gone, the run is over, even if its end was not noted."""
        from apimart_cli.processes.table import identity_of

        return identity_of(os.getpid(), *([] if self.command is None else [self.command]))

    def _alive_until(self, seconds: float) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds + self._patience + _MARGIN)


_MARGIN = 30.0
"""Seconds by which a sign of life may be late before the run counts as dead."""
