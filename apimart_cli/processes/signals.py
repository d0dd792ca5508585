"""Signals: taken over for the length of a block, and put back. A signal that was ignored at the start stays ignored.

What has something to put back says so with `at_ending` and installs nothing. The front door wraps a command in
`ending_cleanly`, which puts it back before a signal ends the process. All of it works in any thread, but only the main
thread can handle signals: elsewhere `ending_cleanly` leaves them to whoever runs the main thread.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


def _numbers(*names: str) -> tuple[int, ...]:
    """Return the signals of these names that this platform has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


TYPED = _numbers("SIGINT", "SIGQUIT", "SIGTSTP")
"""Signals of the terminal's keys: it sends them to every process in its foreground."""

ENDING = _numbers("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP")
"""Signals that ask a process to end."""

JOB_CONTROL = _numbers("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT")
"""Signals that stop a job and let it go on."""

OTHERS = _numbers("SIGUSR1", "SIGUSR2", "SIGWINCH")
"""Signals that mean something to one program alone."""

INTERRUPTED = 130
"""The exit status after Ctrl-C."""

SLICE = 0.1
"""Most seconds to wait at a stretch: a signal that comes just before a wait begins is noticed when it ends."""

Handler = Callable[[int, FrameType | None], object]

_clean_ups: list[Callable[[], None]] = []


@contextmanager
def at_ending(clean_up: Callable[[], None]) -> Iterator[None]:
    """Have `clean_up` called when a signal ends the process inside the block.

    It runs in the main thread, between any two of its steps: it must take no lock that the main thread may hold.
    """
    _clean_ups.append(clean_up)
    try:
        yield
    finally:
        _clean_ups.remove(clean_up)


@contextmanager
def ending_cleanly(*, by_any: bool = False) -> Iterator[None]:
    """Clean up, the latest first, before a signal that comes inside the block ends the process as it would have.

    With `by_any` that is every signal that has a handler, and not only those of ENDING.
    """
    numbers = [*ENDING, *(other for other in signal.valid_signals() if by_any and callable(signal.getsignal(other)))]
    before = {number: signal.getsignal(number) for number in numbers}

    def end(number: int, frame: FrameType | None) -> None:
        for clean_up in reversed(_clean_ups):
            clean_up()
        own = before[number]
        if callable(own) and own is not signal.default_int_handler:
            # Of whoever started the process: it knows which status it is to have.
            own(number, frame)
        if number == signal.SIGINT:
            os._exit(INTERRUPTED)
        signal.signal(number, signal.SIG_DFL)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        # Process 1 of a container is still there: the system drops what it does not handle.
        os._exit(128 + number)

    with handling(list(before), end):
        yield


@contextmanager
def handling(numbers: Sequence[int], handler: Handler) -> Iterator[Sequence[int]]:
    """Handle these signals inside the block, but for those that are ignored; give the ones that are handled.

    Outside of the main thread, which alone can handle signals, these are none.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if is_main}
    # None is a handler that was not installed from Python: it could not be put back.
    handled = [number for number, previous in before.items() if previous not in {signal.SIG_IGN, None}]
    try:
        for number in handled:
            signal.signal(number, handler)
        yield handled
    finally:
        for number in handled:
            signal.signal(number, before[number])


@contextmanager
def held_back() -> Iterator[None]:
    """Hold back every signal while a thread is started, which inherits that: it takes none from the main thread."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def asked_to_end() -> Iterator[Callable[[float], bool]]:
    """Let signals that end processes only cut a wait short.

    Give what waits so many seconds and tells whether one came. Outside of the main thread it just waits.
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
    """Let Ctrl-Z, and the signal to go on after a stop, only be noted.

    Give what tells which came since it was last asked: True is Ctrl-Z, and who is asked that has to `pause`; False is
    that it goes on after a stop that nobody can note; None is neither.
    """
    came: list[int] = []

    def latest() -> bool | None:
        numbers = [came.pop(0) for _ in range(len(came))]
        return signal.SIGTSTP in numbers if numbers else None

    with handling(_numbers("SIGTSTP", "SIGCONT"), lambda number, _frame: came.append(number)):
        yield latest


def pause() -> None:
    """Stop this process as Ctrl-Z does where nobody handles it, until it is told to go on."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.kill(os.getpid(), signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, before)


def wait_for_interrupt() -> None:
    """Return when Ctrl-C is pressed, so that the caller can close what it opened."""
    pressed: list[int] = []
    # Nothing is raised and no lock is taken in the handler: it may be called again before it is taken away.
    with handling((signal.SIGINT,), lambda number, _frame: pressed.append(number)):
        while not pressed:
            time.sleep(SLICE)
