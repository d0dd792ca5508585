"""Asking for a key: at the terminal without showing it, or from a pipe."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from apimart_cli.errors import UsageError
from apimart_cli.keys.key import MAX_LENGTH
from apimart_cli.keys.source import drop_newline
from apimart_cli.processes.signals import at_ending
from apimart_cli.screen.writing import tell


def read_key(asked_by: str, *, hint: str) -> str:
    """Read a key from standard input; a terminal is asked for it without echo.

    Raises UsageError, naming `asked_by`, when there is nothing to read from; `hint` tells another way.
    """
    if sys.stdin is None:
        raise UsageError(f"{asked_by}: standard input is closed", hint)
    if sys.stdin.isatty():
        return ask_secret("API key: ")
    try:
        # More than a key may have, so that a longer input is refused and not cut into a shorter key.
        data = sys.stdin.buffer.read(2 * MAX_LENGTH)
    except OSError as error:
        raise UsageError(f"{asked_by}: cannot read standard input: {error.strerror}", hint) from None
    return drop_newline(data.decode("utf-8", "replace"))


def ask_secret(prompt: str) -> str:
    """Ask at the terminal for one line, which is not shown; empty when there is none (Ctrl-D).

    However the wait ends, the terminal shows again what is typed. What is no text becomes a character no key has.
    """
    from getpass import getpass

    try:
        with _echo_put_back():
            return getpass(prompt)
    except EOFError:
        return ""
    except UnicodeDecodeError:
        return "\N{REPLACEMENT CHARACTER}"
    except KeyboardInterrupt:
        tell("\n")
        raise


@contextmanager
def _echo_put_back() -> Iterator[None]:
    """Have the terminal show again what is typed when a signal ends the process inside the block."""
    try:
        import termios
    except ImportError:  # Windows, where nothing is changed that would outlive the process
        yield
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        terminal = os.dup(sys.stdin.fileno())
    before = termios.tcgetattr(terminal)

    def put_back() -> None:
        with suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSANOW, before)
        with suppress(OSError):
            os.write(2, b"\n")

    try:
        with at_ending(put_back):
            yield
    finally:
        os.close(terminal)
