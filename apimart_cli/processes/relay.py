"""Standing in for a command: we hand on to it the signals that are sent to us, until it ends.

If it does not end by itself, the terminal is put back as it was before the command had it.
"""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from apimart_cli.processes.child import Child, Told
from apimart_cli.processes.descendants import reap_orphans
from apimart_cli.processes.signals import ENDING, JOB_CONTROL, OTHERS, SLICE, TYPED, handling, masked

_NORMAL = (
    "\x1b\\"  # the end of a title, or of whatever else was only half written
    "\x1b[?2026l"  # show what was held back
    # The other screen. Leaving it brings back a cursor that was saved earlier, in xterm and tmux even where the other
    # screen is not shown. Entering it saves the cursor, and does nothing where it is shown already.
    "\x1b[?1049h\x1b[?1049l"
    "\x1b[?9;1000;1002;1003;1005;1006;1015;1016l"  # reports of the mouse
    "\x1b[?1004;2004;2031;2048l"  # reports of the focus, of pasting, of colours and sizes
    "{keys}\x1b[?1l\x1b>"  # cursor and keypad keys of applications
    "\x1b[4l\x1b[?7h\x1b(B\x0f\x1b[m"  # insertion, wrapping, line drawing, colours
    "\x1b7\x1b[r\x1b8"  # the region that scrolls; to set it moves the cursor
    "\x1b[?25h"
)
"""Takes back the modes that programs turn on for themselves (xterm's ctlseqs, kitty's keyboard protocol).

A terminal skips what it does not know.
"""

_KEYS = "\x1b[<u\x1b[=0u\x1b[>4m"
"""Keys in the form of kitty, and of xterm's modifyOtherKeys. Old consoles of Linux would show a part of this."""


_CONTINUE, _CHILD_ENDED = getattr(signal, "SIGCONT", None), getattr(signal, "SIGCHLD", None)
"""None on Windows."""


def supervise(
    start: Callable[[], Child],
    *,
    stop_within: Callable[[Child], float | None] = lambda _child: None,
    is_suspended: Callable[[], bool] = lambda: False,
    told: Told = lambda _missed: None,
) -> int:
    """Start a child, hand on the signals that are sent to us until it ends, and return its exit status.

    A signal that comes before the child is there reaches it, too. What the terminal sends to its foreground reaches the
    child without us. Only in the main thread are signals handed on. Raises what `start` and `Child.wait` raise.

    `stop_within` is called several times a second. It returns None while the child may go on, else the seconds that the
    child has to end by itself. What could not be stopped is waited for, with all that it has started. `is_suspended`
    tells whether the child was stopped (as by Ctrl-Z) because we were: we do not stop for that. `told` is called with
    what a stop or an ending signal did not reach, again and again while that runs.
    """
    if threading.current_thread() is not threading.main_thread():
        return _to_the_end(start(), stop_within, told, _pause)
    caught: list[int] = []
    # Before the child is there: a signal between its start and the handlers would end us and not the child.
    with handling((*ENDING, *JOB_CONTROL, *OTHERS), lambda number, _frame: caught.append(number)) as handled:
        child = start()

        def hand_on(child: Child) -> None:
            for number in _signals_sent(handled, caught):
                if number != _CONTINUE or not child.shares_our_group:
                    child.relay(number, told)
            child.look_after(told)
            child.follow_stop(unless=is_suspended)
            reap_orphans()

        # Held back in this thread, so that `_signals_sent` gets them, and where they come from.
        holds_back = (
            masked("SIG_BLOCK", (*handled, signal.SIGCHLD)) if hasattr(signal, "sigtimedwait") else nullcontext()
        )
        with holds_back:
            while caught:
                child.relay(caught.pop(0), told)
            return _to_the_end(child, stop_within, told, hand_on)


def _to_the_end(
    child: Child, stop_within: Callable[[Child], float | None], told: Told, between: Callable[[Child], None]
) -> int:
    """Wait until the child has ended, and what of it could not be stopped; return its exit status.

    It is stopped once, when `stop_within` says so. `between` is called between two looks, and takes a moment.
    """
    is_stopped = False
    while (status := child.wait(0)) is None or child.goes_on(told):
        if not is_stopped and (grace := stop_within(child)) is not None:
            child.stop(grace, told)
            is_stopped = True
        else:
            between(child)
    return status


def _pause(child: Child) -> None:
    if child.wait(0) is None:
        child.wait(SLICE)
    else:
        time.sleep(SLICE)


def _signals_sent(numbers: Sequence[int], caught: list[int]) -> list[int]:
    """Wait a moment, or until a signal comes; return the signals that other processes have sent to us."""
    sent: list[int] = []
    if hasattr(signal, "sigtimedwait"):
        got = signal.sigtimedwait((*numbers, signal.SIGCHLD), SLICE)
        # If SIGSTOP and SIGCONT interrupt the wait when its time is over, it returns what happens to be in memory
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
    return [number for number in sent if number != _CHILD_ENDED]


class TerminalSettings:
    """The settings of the terminal when this was made; none where there is no terminal, or we are in its background."""

    def __init__(self) -> None:
        self._attributes: list[Any] | None = None
        with _opened() as terminal:
            if terminal is not None and os.tcgetpgrp(terminal) == os.getpgrp():
                import termios

                with suppress(termios.error):
                    self._attributes = termios.tcgetattr(terminal)

    def restore(self) -> None:
        """Put the terminal back after a command that was stopped, or that a signal has ended.

        What was typed and not read is thrown away: it was meant for the command, and may be half of a password. The
        next output begins on a line of its own. In the background nothing happens, nor while a pager has the terminal.
        """
        if self._attributes is None:
            return
        import termios

        with _opened() as terminal, suppress(termios.error):
            if terminal is None or not _is_ours(terminal) or _is_taken(termios.tcgetattr(terminal)):
                return
            # Not TCSADRAIN, which would wait for ever while the output of the terminal is held up.
            termios.tcsetattr(terminal, termios.TCSANOW, self._attributes)
            termios.tcflush(terminal, termios.TCIFLUSH)
            os.write(terminal, _reset(terminal).encode("ascii"))


def _reset(terminal: int) -> str:
    """Return what resets the terminal's modes, and moves the cursor to the beginning of a line."""
    kind = os.environ.get("TERM", "")
    if kind in {"", "dumb"}:
        return "\r\n"
    normal = _NORMAL.format(keys="" if kind == "linux" else _KEYS)
    columns = os.get_terminal_size(terminal).columns
    # Nothing tells where the cursor is. As many spaces as the terminal has columns fill an empty line; from elsewhere
    # in a line they go on to the next one. zsh does the same before its prompt.
    return f"{normal}{' ' * columns}\r\x1b[K" if columns else f"{normal}\r\n"


@contextmanager
def _opened() -> Iterator[int | None]:
    """Open the terminal that controls us; yield None where there is none. If the terminal goes away, the block ends."""
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


def _is_in_foreground() -> bool:
    """Tell whether a key typed at the terminal reaches us, and so the child, too."""
    if not hasattr(os, "ctermid"):
        return True  # Windows
    with _opened() as terminal:
        return terminal is not None and os.tcgetpgrp(terminal) == os.getpgrp()
    return False


def _is_ours(terminal: int) -> bool:
    """Tell whether we are in the foreground; from the background the system would stop us for any change.

    A shell that was killed leaves its own process group in the foreground. Where that has no process any more, ours
    takes its place.
    """
    group = os.tcgetpgrp(terminal)
    if group == os.getpgrp():
        return True
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        with masked("SIG_BLOCK", (signal.SIGTTOU,)):
            os.tcsetpgrp(terminal, os.getpgrp())
        return True
    except OSError:
        pass
    return False


def _is_taken(attributes: list[Any]) -> bool:
    """Tell whether a program that reads our output from a pipe, like a pager, reads single keys at the terminal.

    It may have begun before us, so that the settings we found at the start do not tell.
    """
    import termios

    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) and not attributes[3] & termios.ICANON
