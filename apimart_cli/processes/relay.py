"""Standing in for a command: what is sent to us is handed on to it, until it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from apimart_cli.processes.child import Child
from apimart_cli.processes.descendants import Missed, reap_orphans
from apimart_cli.processes.signals import ENDING, JOB_CONTROL, OTHERS, SLICE, TYPED, handling


def supervise(
    start: Callable[[], Child],
    *,
    stop_within: Callable[[Child], float | None] = lambda _child: None,
    is_suspended: Callable[[], bool] = lambda: False,
    told: Callable[[Missed], None] = lambda _missed: None,
) -> int:
    """Start a child, hand on the signals that are sent to us until it ends, and return its exit status.

    Signals that come before it is there reach it, too. What the terminal sends to its foreground reaches it without
    us. In other threads than the main one nothing is handed on. Raises what `start` and `Child.wait` raise.

    `stop_within` is asked again and again, several times a second, whether to stop it, and returns the seconds that it
    has to end by itself; None while it may go on. What could not be stopped is waited for, with all that it has
    started. `is_suspended` tells whether the child was stopped because we were: that is no reason to stop. `told` is
    called with what a stop or an ending signal did not reach, again and again while that runs.
    """
    if threading.current_thread() is not threading.main_thread():
        return _wait_for(start(), stop_within, told)
    caught: list[int] = []
    # Before the child is there: a signal that came between its start and the handlers would end us and not it.
    with handling((*ENDING, *JOB_CONTROL, *OTHERS), lambda number, _frame: caught.append(number)) as handled:
        child = start()
        with _blocked(handled):
            while caught:
                child.relay(caught.pop(0), told)
            is_stopped = False
            while (status := child.wait(0)) is None or child.goes_on(told):
                if not is_stopped and (grace := stop_within(child)) is not None:
                    child.stop(grace, told)
                    is_stopped = True
                    continue
                for number in _signals_sent(handled, caught):
                    if number != signal.SIGCONT or not child.shares_our_group:
                        child.relay(number, told)
                child.look_after(told)
                child.follow_stop(unless=is_suspended)
                reap_orphans()
    return status


def _wait_for(child: Child, stop_within: Callable[[Child], float | None], told: Callable[[Missed], None]) -> int:
    is_stopped = False
    while (status := child.wait(SLICE)) is None or child.goes_on(told):
        if not is_stopped and (grace := stop_within(child)) is not None:
            child.stop(grace, told)
            is_stopped = True
        elif status is not None:
            time.sleep(SLICE)
    return status


@contextmanager
def _blocked(numbers: Sequence[int]) -> Iterator[None]:
    """Hold these signals back in this thread, so that `_signals_sent` gets them, with who has sent them."""
    if not hasattr(signal, "sigtimedwait"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*numbers, signal.SIGCHLD))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signals_sent(numbers: Sequence[int], caught: list[int]) -> list[int]:
    """Wait for a moment, or until something happens; return the signals that other processes have sent to us."""
    sent: list[int] = []
    if hasattr(signal, "sigtimedwait"):
        got = signal.sigtimedwait((*numbers, signal.SIGCHLD), SLICE)
        # A wait that is interrupted when its time is over (SIGSTOP, then SIGCONT) returns whatever stood in memory
        # (CPython 3.11, Modules/signalmodule.c): only the numbers that were waited for are signals.
        #
        # What the system itself sends (a positive code, sigaction(2)) for a key typed at the terminal goes to all of
        # its foreground. A hang-up goes only to the shell, which may be what we stand in for.
        if got is not None and got.si_signo in numbers and (got.si_code <= 0 or got.si_signo == signal.SIGHUP):
            sent.append(got.si_signo)
    else:
        time.sleep(SLICE)
    while caught:
        number = caught.pop(0)
        if number not in TYPED or not _is_in_foreground():
            sent.append(number)
    return [number for number in sent if number != signal.SIGCHLD]


def _is_in_foreground() -> bool:
    """Tell whether a key typed at the terminal reaches us, and so the child too."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    except AttributeError:
        return True  # Windows
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
