"""The terminal of a command that did not end by itself: put back as it was before the command had it.

Standing in for a command: what is sent to us is handed on to it, until it ends.
"""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from apimart_cli.processes.child import Child
from apimart_cli.processes.descendants import Missed, reap_orphans
from apimart_cli.processes.signals import ENDING, JOB_CONTROL, OTHERS, SLICE, TYPED, handling

_NORMAL = (
    "\x1b\\"  # the end of a title, or of whatever else was only half written
    "\x1b[?2026l"  # show what was held back
    # The other screen. To leave it brings back a cursor that was saved some time ago, in xterm and tmux even where it
    # is not shown. To enter it saves the cursor, and does nothing where it is shown.
    "\x1b[?1049h\x1b[?1049l"
    "\x1b[?9;1000;1002;1003;1005;1006;1015;1016l"  # reports of the mouse
    "\x1b[?1004;2004;2031;2048l"  # reports of the focus, of pasting, of colours and sizes
    "{keys}\x1b[?1l\x1b>"  # cursor and keypad keys of applications
    "\x1b[4l\x1b[?7h\x1b(B\x0f\x1b[m"  # insertion, wrapping, line drawing, colours
    "\x1b7\x1b[r\x1b8"  # the region that scrolls; to set it moves the cursor
    "\x1b[?25h"
)
"""What takes back the modes that programs turn on for themselves (xterm's ctlseqs, kitty's keyboard protocol).

A terminal skips what it does not know.
"""

_KEYS = "\x1b[<u\x1b[=0u\x1b[>4m"
"""Keys in the form of kitty, and of xterm's modifyOtherKeys. Old consoles of Linux would show a part of it."""


class TerminalSettings:
    """How the terminal was set when this was made; nothing where we are not in its foreground, or there is none."""

    def __init__(self) -> None:
        self._attributes: list[Any] | None = None
        with _opened() as terminal:
            if terminal is not None and os.tcgetpgrp(terminal) == os.getpgrp():
                import termios

                with suppress(termios.error):
                    self._attributes = termios.tcgetattr(terminal)

    def restore(self) -> None:
        """Put the terminal back after a command that was stopped, or that a signal has ended.

        What was typed and not read is thrown away: it was meant for the command, and may be half of a password. What is
        written next begins on a line of its own. Nothing happens in the background, nor beside a pager that has the
        terminal now.
        """
        if self._attributes is None:
            return
        import termios

        with _opened() as terminal, suppress(termios.error):
            if terminal is None or not _is_ours(terminal) or _is_taken(termios.tcgetattr(terminal)):
                return
            # Not TCSADRAIN: it would wait for ever where the output of the terminal is held up.
            termios.tcsetattr(terminal, termios.TCSANOW, self._attributes)
            termios.tcflush(terminal, termios.TCIFLUSH)
            os.write(terminal, _reset(terminal).encode("ascii"))


def _reset(terminal: int) -> str:
    """Return what brings back the terminal's modes, and the cursor to the beginning of a line."""
    kind = os.environ.get("TERM", "")
    if kind in {"", "dumb"}:
        return "\r\n"
    normal = _NORMAL.format(keys="" if kind == "linux" else _KEYS)
    columns = os.get_terminal_size(terminal).columns
    # Nothing tells where the cursor is. As many spaces as the terminal has columns fill an empty line, or else go on
    # to the next one. zsh does the same before its prompt.
    return f"{normal}{' ' * columns}\r\x1b[K" if columns else f"{normal}\r\n"


@contextmanager
def _opened() -> Iterator[int | None]:
    """Open the terminal that controls us; None where there is none. One that goes away ends the block."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDWR | os.O_NOCTTY)
    except (OSError, AttributeError):
        yield None
        return
    try:
        with suppress(OSError):
            yield terminal
    finally:
        os.close(terminal)


def _is_ours(terminal: int) -> bool:
    """Tell whether we are in the foreground; from the background the system would stop us for any change.

    A shell that was killed has left its own process group there. What has no process any more is taken back.
    """
    group = os.tcgetpgrp(terminal)
    if group == os.getpgrp():
        return True
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(terminal, os.getpgrp())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True
    except OSError:
        pass
    return False


def _is_taken(attributes: list[Any]) -> bool:
    """Tell whether a program that reads our output from a pipe, a pager say, reads single keys at the terminal.

    It may have begun before us, so that what we found at the start tells nothing.
    """
    import termios

    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) and not attributes[3] & termios.ICANON


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
    if not hasattr(os, "ctermid"):
        return True  # Windows
    with _opened() as terminal:
        return terminal is not None and os.tcgetpgrp(terminal) == os.getpgrp()
    return False
