"""Asking a person: for a key, which is not shown, or for a yes. A key can also come from a pipe."""

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from apimart_cli.errors import AuthError, UsageError
from apimart_cli.keys.key import MAX_LENGTH, drop_newline
from apimart_cli.processes.signals import SLICE, at_ending
from apimart_cli.screen.writing import is_terminal_error, tell
from apimart_cli.text import visible


def read_key(asked_by: str, *, hint: str, seconds: float) -> str:
    """Read a key from standard input; at a terminal ask for it, without echo and without a limit of time.

    Raises UsageError, naming `asked_by`, when there is nothing to read from (`hint` tells another way), and AuthError
    when a pipe is still open after `seconds`.
    """
    if sys.stdin is None:
        raise UsageError(f"{asked_by}: standard input is closed", hint)
    if sys.stdin.isatty():
        return ask_secret("API key: ")
    try:
        # More than the longest key, so that a longer input is refused and not cut to a valid key.
        data = _read_within(seconds, 2 * MAX_LENGTH)
    except TimeoutError:
        raise AuthError(
            f"{asked_by}: standard input is still open after {seconds:g} second{'' if seconds == 1 else 's'}, "
            "and the key may not be complete",
            "see why what writes the key does not end, or allow more time with --timeout",
        ) from None
    except OSError as error:
        raise UsageError(f"{asked_by}: cannot read standard input: {error.strerror}", hint) from None
    return drop_newline(data.decode("utf-8", "replace"))


def _read_within(seconds: float, limit: int) -> bytes:
    """Read standard input to its end, at most `limit` bytes. Raises TimeoutError after `seconds`."""
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # not a file of the system: a caller in this process has replaced it
        return sys.stdin.buffer.read(limit)
    if not hasattr(select, "poll"):
        return sys.stdin.buffer.read(limit)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    give_up_at = time.monotonic() + seconds
    data = b""
    while len(data) < limit:
        if not poll.poll(max(0.0, min(SLICE, give_up_at - time.monotonic())) * 1000):
            if time.monotonic() >= give_up_at:
                raise TimeoutError
            continue
        try:
            chunk = os.read(descriptor, limit - len(data))
        except BlockingIOError:  # another process that reads it was quicker
            continue
        if not chunk:
            break
        data += chunk
    return data


def ask_secret(prompt: str) -> str:
    """Ask at the terminal for one line, which is not shown; return "" when there is none (Ctrl-D).

    At the end the terminal shows again what is typed. Input that is no text becomes a character that no key has.
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


def confirm(question: str, option: str) -> bool:
    """Ask a person a question, and tell whether the answer is yes.

    Raises UsageError, naming the option that says yes, where there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not is_terminal_error():
        raise UsageError(
            f"this needs a confirmation, and there is no terminal to ask at: {question}", f"say yes with: {option}"
        )
    tell(f"{visible(question)} [y/N] ")
    try:
        answer = sys.stdin.readline()
    except UnicodeDecodeError:
        return False
    if not answer.endswith("\n"):
        tell("\n")
    return answer.strip().lower() in {"y", "yes"}


@contextmanager
def _echo_put_back() -> Iterator[None]:
    """If a signal ends the process inside the block, have the terminal show again what is typed."""
    try:
        import termios
    except ImportError:  # Windows, where the change does not outlive the process
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
