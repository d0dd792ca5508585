"""The terminal of a command that did not end by itself: put back as it was before the command had it."""

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

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
