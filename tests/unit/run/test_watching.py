"""The loop that looks while a command runs: whatever fails in it, no stop that is owed is missed."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.rules.balance import Reading
from apimart_cli.rules.guard import Guard, Limits, Look
from apimart_cli.run import watching
from apimart_cli.run.looking import Sight
from apimart_cli.run.watching import Register, Watch
from apimart_cli.words import StoppedBy
from support.processes import LONGEST, wait_until

INTERVAL = 0.002


class Scripted:
    """Looks that tell what the test says, as numbered from 1 on."""

    patience = 0.01
    readings: Sequence[Reading] = ()

    def __init__(self, answer: Callable[[int], Look]) -> None:
        self.count = 0
        self._answer = answer

    def again(self, *, needs_account: bool = False) -> Sight:  # noqa: ARG002  # as the real one
        """Return what the next look tells."""
        self.count += 1
        return Sight(self._answer(self.count), self.readings, None, has_no_forecast=False)


def look(used: str, left: str = "100") -> Look:
    return Look(time.monotonic(), Decimal(used), Decimal(left))


def spending(count: int) -> Look:
    """All at once: who spends all the time is soon taken to have spent the rest while a busy machine does not look."""
    return look("8" if count >= 7 else "0")


def fallen(count: int) -> Look:
    return look("0", "1" if count >= 7 else "100")


def falling(count: int) -> Look:
    """Below the least at one look alone: what is seen once is owed."""
    return look("0", "1" if count == 7 else "100")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LATE", 0.02)
    monkeypatch.setattr(watching, "_REST", INTERVAL)


@contextmanager
def watched(answer: Callable[[int], Look], limits: Limits, *, max_blind: float | None = 15.0) -> Iterator[Watch]:
    """Watch; blind only after as many seconds as no busy machine needs for a look."""
    guard = Guard(limits, interval=INTERVAL, max_blind=max_blind)
    looking: Any = Scripted(answer)
    first = Sight(look("0"), (), None, has_no_forecast=False)
    guard.take(first.look)
    nothing_to_note: Any = None
    register = Register(None, nothing_to_note, patience=0.0)
    with Watch(guard, looking, first, advice="none", register=register) as watch:
        yield watch


def wait_for_stop(watch: Watch) -> None:
    """Ask whether to stop, as often as there are looks, until that is so."""
    give_up_at = time.monotonic() + LONGEST
    while not watch.must_stop():
        assert time.monotonic() < give_up_at, "it does not stop"
        time.sleep(INTERVAL)


BUDGET, LEAST = Limits(max_spend=Decimal(7)), Limits(min=Decimal(5))

CALLS = (
    (Scripted, "again"), (Guard, "take"), (Guard, "stop"), (Guard, "next_look"), (Guard, "new_doubt"),
    (Register, "begin"), (Register, "beat"), (Watch, "_now"), (Watch, "_take"), (Watch, "_look"),
    (Watch, "_wait_for_turn"), (Watch, "_look_after_looks"), (Watch, "_tell_doubts"), (Watch, "_tell_blindness"),
    (watching, "write_warning"), (watching, "bug"), (watching.threading.Thread, "is_alive"),
)  # fmt: skip
"""What is called while a command is watched."""

FAILURES = (ZeroDivisionError("of ours"), MemoryError(), RecursionError(), SystemExit(1), OverflowError(), OSError(28))


class Fault:
    """Makes one call raise at some of its times."""

    def __init__(
        self, patch: pytest.MonkeyPatch, place: Any, name: str, failure: BaseException, fails: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self.count = 0
        self.is_set = False
        own = getattr(place, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self.is_set:
                self.count += 1
                if fails(self.count):
                    # In the main thread what is no Exception is a wish to end, and not a failure.
                    is_main = threading.current_thread() is threading.main_thread()
                    raise MemoryError if is_main and not isinstance(failure, Exception) else failure
            return own(*arguments, **named)

        patch.setattr(place, name, call)


each_call = pytest.mark.parametrize(("place", "name"), CALLS, ids=lambda value: getattr(value, "__name__", value))


def test_the_list_of_calls_is_whole() -> None:
    """Every method of a watch, and of what it calls, that runs in its loop can be made to fail here."""
    named = {name for _, name in CALLS}
    own = {name for name, value in vars(Watch).items() if callable(value) and not name.startswith("__")}
    # What starts a thread, the three that are themselves the ground that the others fail on, and what only tells.
    assert own - named == {"must_stop", "_note_unjudged", "_start_looking", "_begin", "_run", "held"}


@pytest.mark.parametrize(
    ("answer", "limits", "expected"),
    [(spending, BUDGET, StoppedBy.MAX_SPEND), (fallen, LEAST, StoppedBy.MIN)],
    ids=["budget", "least"],
)
@each_call
def test_one_fault_in_the_loop_is_not_the_end_of_looking(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, answer: Callable[[int], Look], limits: Limits,
    expected: StoppedBy,
) -> None:  # fmt: skip
    """Whatever is called raises at its n-th time, and the command is stopped by the limit that it reaches later."""
    for time_of_fault in (1, 2, 3, 5):
        failure = FAILURES[(time_of_fault + len(name)) % len(FAILURES)]
        # Blindness stops nothing here: on a busy machine it would, as what is spent is assumed at the last rate.
        with monkeypatch.context() as patch, watched(answer, limits, max_blind=None) as watch:
            fault = Fault(patch, place, name, failure, time_of_fault.__eq__)
            fault.is_set = True
            wait_for_stop(watch)
        assert watch.stopped_by is expected


@pytest.mark.parametrize("from_fault", [1, 3])
@each_call
def test_what_never_works_again_stops_by_the_limit_or_as_blindness(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, from_fault: int
) -> None:
    """Whatever is called raises for ever from its n-th time on."""
    fault = Fault(monkeypatch, place, name, FAILURES[from_fault], lambda count: count >= from_fault)
    with watched(spending, BUDGET, max_blind=0.05) as watch:
        fault.is_set = True
        wait_for_stop(watch)
        fault.is_set = False
    assert watch.stopped_by in {StoppedBy.MAX_SPEND, StoppedBy.BLIND}


def test_a_thread_that_dies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends it: the next one goes on looking, and what was not seen meanwhile is blindness."""
    own = Watch._run
    died: list[int] = []

    def die_once(watch: Watch) -> None:
        if not died:
            died.append(1)
            return
        own(watch)

    monkeypatch.setattr(Watch, "_run", die_once)
    with watched(spending, BUDGET, max_blind=None) as watch:
        wait_for_stop(watch)
    assert (watch.stopped_by, died) == (StoppedBy.MAX_SPEND, [1])


def test_a_look_that_hangs_is_blindness_and_another_thread_looks() -> None:
    """It may hang for ever. Where all of them hang, the command is stopped, and there are few threads."""
    released = threading.Event()

    def hang(count: int) -> Look:
        released.wait()
        return spending(count)

    with watched(lambda count: hang(count) if count == 2 else spending(count), BUDGET, max_blind=None) as watch:
        wait_for_stop(watch)
        assert watch.stopped_by is StoppedBy.MAX_SPEND
    before = threading.active_count()
    with watched(hang, BUDGET, max_blind=0.1) as watch:
        wait_for_stop(watch)
        assert threading.active_count() - before <= watching._MOST_THREADS
        released.set()
    assert watch.stopped_by is StoppedBy.BLIND
    assert watch.failure is not None
    assert watch.failure.message == "a look at it has not come back"


@pytest.mark.parametrize("asks", [True, False])
def test_what_one_look_has_shown_is_not_taken_back_by_the_next(asks: bool) -> None:
    """Also where a top-up comes before the question whether to stop. Without that question nothing is stopped."""
    with watched(falling, LEAST) as watch:
        wait_until(lambda: watch._looking.count > 9)  # type: ignore[attr-defined]  # the scripted one
        assert not asks or watch.must_stop()
    assert watch.stopped_by is (StoppedBy.MIN if asks else None)
