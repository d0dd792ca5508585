"""The settings of the terminal: put back after a command that was not given the time to do it."""

import os
from contextlib import suppress
from typing import Any


class TerminalSettings:
    """How the terminal was set when this was made; nothing where we are not in its foreground, or there is none."""

    def __init__(self) -> None:
        self._attributes: list[Any] | None = None
        with suppress(OSError, AttributeError, ImportError):
            import termios

            terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
            try:
                if os.tcgetpgrp(terminal) == os.getpgrp():
                    with suppress(termios.error):
                        self._attributes = termios.tcgetattr(terminal)
            finally:
                os.close(terminal)

    def restore(self) -> None:
        """Put them back: without that nobody would see what is typed next."""
        if self._attributes is None:
            return
        import termios

        with suppress(OSError):
            terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
            try:
                # From the background the system would stop us for it.
                if os.tcgetpgrp(terminal) == os.getpgrp():
                    with suppress(termios.error):
                        termios.tcsetattr(terminal, termios.TCSADRAIN, self._attributes)
            finally:
                os.close(terminal)
