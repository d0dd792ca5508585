"""A terminal that shows one text in place, by Rich's Live on the terminal's other screen, and reads single keys.

At the end the terminal is as it was before: its first screen, the cursor, the echo. The last text stays on it.
"""

import errno
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from apimart_cli.processes.signals import SLICE, asked_to_pause, at_ending, pause
from apimart_cli.screen.writing import Screen, standard_output, unwritable, write_answer

if TYPE_CHECKING:
    from rich.live import Live

_LEAVE = "\x1b[?1049l\x1b[?25h"
"""Brings back the first screen and the cursor."""


class LiveScreen:
    """The terminal of standard output while `opened`."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._keys = _Keys()
        self._text = ""
        self._shown_for = self._size()
        self._asked: Callable[[], bool | None] = lambda: None
        self.last = ""
        """What stays on the terminal at the end, whole lines."""

    @property
    def screen(self) -> Screen:
        """What it can show now; its size may change at any time."""
        return standard_output()._replace(width=self._size().columns)

    @property
    def height(self) -> int:
        """The number of lines that it has now."""
        return self._size().lines

    @property
    def reads_keys(self) -> bool:
        """Whether keys are read: standard input is a terminal that tells each one."""
        return self._keys.are_ours

    @property
    def is_resized(self) -> bool:
        """Whether its size has changed since a text was last shown."""
        return self._size() != self._shown_for

    @contextmanager
    def opened(self) -> Iterator["LiveScreen"]:
        """Take the terminal, and always give it back."""
        with asked_to_pause() as self._asked, at_ending(self._give_back):
            self._enter()
            try:
                yield self
            finally:
                self._leave()
                write_answer(self.last)

    def show(self, text: str) -> None:
        """Show `text` until another one is shown. Raises OutputError where it cannot be written."""
        from rich.text import Text

        assert self._live is not None, "it is open"
        self._text = text
        self._shown_for = self._size()
        encoding = sys.stdout.encoding or "ascii"
        shown = Text.from_ansi(text.encode(encoding, "backslashreplace").decode(encoding), no_wrap=True, end="")
        try:
            self._live.update(shown, refresh=True)
        except OSError as error:
            raise unwritable(error) from None

    def key(self, seconds: float) -> str:
        """Wait at most so many seconds for a key, and return it; "" where none was pressed, or the size changed.

        Ctrl-Z stops the process in here. When the terminal is gone, this returns `q`.
        """
        give_up_at = time.monotonic() + seconds
        while (left := give_up_at - time.monotonic()) > 0:
            if self._follow_stop() or self.is_resized:
                return ""
            pressed = self._keys.pressed(min(SLICE, left))
            if pressed:
                return pressed
        return ""

    def _follow_stop(self) -> bool:
        """Stop if Ctrl-Z was pressed; tell whether other programs had the terminal meanwhile."""
        is_asked = self._asked()
        if is_asked is None:
            return False
        if is_asked:
            self._leave()
            pause()
            self._asked()
        self._enter()
        self.show(self._text)
        return True

    def _enter(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # This comes first: in the background the system stops us here, before anything is drawn.
        self._keys.take()
        screen = standard_output()
        console = Console(
            force_terminal=True,
            color_system="standard" if screen.colour else None,
            no_color=not screen.colour,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
            _environ={"TERM": os.environ.get("TERM", "")},
        )
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        try:
            self._live.start()
        except OSError as error:
            raise unwritable(error) from None

    def _leave(self) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
            self._live = None
        self._keys.give_back()

    def _give_back(self) -> None:
        """Give the terminal back in the handler of a signal."""
        # Not through the stream, as a signal may come in the middle of a write to it.
        if self._live is not None:
            with suppress(OSError):
                text = f"{_LEAVE}{self.last}"
                os.write(sys.stdout.fileno(), text.encode(sys.stdout.encoding or "ascii", "backslashreplace"))
        self._keys.give_back()

    def _size(self) -> os.terminal_size:
        with suppress(OSError):
            size = os.get_terminal_size(sys.stdout.fileno())
            # Some terminals do not know their size.
            if size.columns and size.lines:
                return size
        return os.terminal_size((80, 24))


class _Keys:
    """Standard input, if it is a terminal, read key by key and without echo."""

    def __init__(self) -> None:
        self.are_ours = False
        """Whether they are read here."""
        self._before: list[Any] | None = None

    def take(self) -> None:
        """Get each key when it is pressed, and do not show it."""
        if sys.stdin is None or not sys.stdin.isatty():
            return
        try:
            import termios
        except ModuleNotFoundError:  # Windows: no key is read, and Ctrl-C ends it
            return
        terminal = sys.stdin.fileno()
        changed = termios.tcgetattr(terminal)
        if self._before is None:
            self._before = [*changed]
        changed[3] &= ~(termios.ICANON | termios.ECHO)
        while True:
            try:
                termios.tcsetattr(terminal, termios.TCSANOW, changed)
            except termios.error as error:
                # In the background the system stops us in the middle of the call, which has to be repeated then.
                if error.args[0] != errno.EINTR:
                    return
            else:
                break
        self.are_ours = True

    def give_back(self) -> None:
        """Put the terminal's settings back. It may be called in the handler of a signal."""
        if self._before is None:
            return
        import termios

        with suppress(termios.error, OSError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)
        self._before = None

    def pressed(self, seconds: float) -> str:
        """Wait at most so many seconds for keys, and return the first; `q` where the terminal is gone."""
        if not self.are_ours:
            time.sleep(seconds)
            return ""
        # Not `poll`, which does not work with terminals on some systems.
        if not select.select([sys.stdin.fileno()], [], [], seconds)[0]:
            return ""
        try:
            keys = os.read(sys.stdin.fileno(), 1024)
        except OSError:
            keys = b""
        return keys[:1].decode("ascii", "replace") if keys else "q"
