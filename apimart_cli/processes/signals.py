"""Signals: handled for the length of a block, then as before. A signal that is ignored at the start stays ignored.

Code that has something to put back registers that with `at_ending`. The front door wraps each command in
`ending_cleanly`, which calls it before a signal ends the process. In other threads than the main one, which alone can
handle signals, these blocks handle none.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType


def _numbers(*names: str) -> tuple[int, ...]:
    """Return the signals of these names that this platform has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


TYPED = _numbers("SIGINT", "SIGQUIT", "SIGTSTP")
"""Signals of the terminal's keys, which it sends to every process in its foreground."""

ENDING = _numbers("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP")
"""Signals that ask a process to end."""

JOB_CONTROL = _numbers("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT")
"""Signals that stop a job and let it go on."""

OTHERS = _numbers("SIGUSR1", "SIGUSR2", "SIGWINCH")
"""Signals that each program gives a meaning of its own."""

INTERRUPTED = 130
"""The exit status after Ctrl-C."""

SLICE = 0.1
"""Most seconds to wait at a stretch: a signal that comes just before a wait is noticed when the wait ends."""

Handler = Callable[[int, FrameType | None], object]

_clean_ups: list[Callable[[], None]] = []


@contextmanager
def at_ending(clean_up: Callable[[], None]) -> Iterator[None]:
    """Call `clean_up` when a signal ends the process inside the block.

    It runs in the main thread, between any two steps of that: it must take no lock that the main thread may hold.
    """
    _clean_ups.append(clean_up)
    try:
        yield
    finally:
        _clean_ups.remove(clean_up)


@contextmanager
def ending_cleanly(*, by_any: bool = False) -> Iterator[None]:
    """Before a signal ends the process inside the block, call the clean-ups, the latest first.

    This holds for the signals in ENDING; with `by_any`, for every signal that has a handler.
    """
    numbers = [*ENDING, *(other for other in signal.valid_signals() if by_any and callable(signal.getsignal(other)))]
    before = {number: signal.getsignal(number) for number in numbers}

    def end(number: int, frame: FrameType | None) -> None:
        for clean_up in reversed(_clean_ups):
            clean_up()
        own = before[number]
        if callable(own) and own is not signal.default_int_handler:
            # This handler was there before the block, and knows the exit status.
            own(number, frame)
        if number == signal.SIGINT:
            os._exit(INTERRUPTED)
        signal.signal(number, signal.SIG_DFL)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        # Process 1 of a container is still there: the system drops signals that it does not handle.
        os._exit(128 + number)

    with handling(list(before), end):
        yield


@contextmanager
def handling(numbers: Sequence[int], handler: Handler) -> Iterator[Sequence[int]]:
    """Handle these signals inside the block, except those that are ignored; yield the ones that are handled.

    Outside of the main thread none is handled.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if is_main}
    # None is a handler that was not installed from Python, which we could not put back.
    handled = [number for number, previous in before.items() if previous not in {signal.SIG_IGN, None}]
    try:
        for number in handled:
            signal.signal(number, handler)
        yield handled
    finally:
        for number in handled:
            signal.signal(number, before[number])


def start_thread(work: Callable[[], object], name: str, *, takes_signals: bool = False) -> threading.Thread | None:
    """Start a daemon thread that does `work`, and return it; None where the system starts no thread.

    The thread takes no signal from the main one, which then notices each at once. It `takes_signals` where it may start
    commands of the user: they would inherit that signals are held back.
    """
    thread = threading.Thread(target=work, name=f"apimart-{name}", daemon=True)
    try:
        with nullcontext() if takes_signals else masked("SIG_BLOCK", signal.valid_signals()):
            thread.start()
    except RuntimeError:
        return None
    return thread


@contextmanager
def masked(how: str, numbers: Iterable[int]) -> Iterator[None]:
    """Inside the block, change which signals this thread holds back: `how` is "SIG_BLOCK" or "SIG_SETMASK".

    Threads and commands that are started in the block inherit that. Windows has no such thing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(getattr(signal, how), numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def asked_to_end() -> Iterator[Callable[[float], bool]]:
    """Inside the block, let signals that end processes only cut a wait short.

    Yield a function that waits so many seconds and tells whether such a signal came. Outside of the main thread it only
    waits.
    """
    came: list[int] = []

    def wait(seconds: float) -> bool:
        give_up_at = time.monotonic() + seconds
        while not came and (left := give_up_at - time.monotonic()) > 0:
            time.sleep(min(SLICE, left))
        return bool(came)

    with handling(ENDING, lambda number, _frame: came.append(number)):
        yield wait


@contextmanager
def asked_to_pause() -> Iterator[Callable[[], bool | None]]:
    """Inside the block, only note Ctrl-Z, and SIGCONT, with which a stopped process goes on.

    Yield a function that tells which came since its last call: True for Ctrl-Z (call `pause`), False for SIGCONT after
    a stop that we did not see, None for neither.
    """
    came: list[int] = []

    def latest() -> bool | None:
        numbers = [came.pop(0) for _ in range(len(came))]
        return signal.SIGTSTP in numbers if numbers else None

    with handling(_numbers("SIGTSTP", "SIGCONT"), lambda number, _frame: came.append(number)):
        yield latest


def pause() -> None:
    """Stop this process as Ctrl-Z does by default, until it is continued."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.kill(os.getpid(), signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, before)


def wait_for_interrupt() -> None:
    """Wait until Ctrl-C is pressed, so that the caller can close what it opened."""
    pressed: list[int] = []
    # The handler raises nothing and takes no lock: it may be called again before it is taken away.
    with handling((signal.SIGINT,), lambda number, _frame: pressed.append(number)):
        while not pressed:
            time.sleep(SLICE)


def has_terminal() -> bool:
    """Tell whether there is a terminal that sends us the signals of its keys."""
    if not hasattr(os, "ctermid"):
        return True  # Windows: Ctrl-C reaches every process of the console, and can be sent to none of them alone.
    try:
        os.close(os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
