"""The user's command and the user's signals: a child process keeps its own streams, signals and exit status."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from apimart_cli.errors import CommandStatus, UsageError

_FORWARDED = ("SIGTERM", "SIGHUP", "SIGQUIT")


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> CommandStatus:
    """Run `command` with `environment` added to ours, and return its exit status; 128 + n for signal n.

    While it runs, signals sent to us are handed on to it, so that no child is left behind.

    Raises UsageError when the command cannot be started.
    """
    try:
        child = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603  # the user's own command
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its arguments cannot be passed on"
        raise UsageError(f"cannot run {command[0]}: {reason}", "check the command behind --") from None
    with _handing_on_signals(child):
        status = child.wait()
    return CommandStatus(128 - status if status < 0 else status)


@contextmanager
def _handing_on_signals(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    def hand_on(number: int, _frame: object) -> None:
        child.send_signal(number)

    def hand_on_unless_typed(number: int, _frame: object) -> None:
        # Ctrl-C at the terminal reaches the child by itself, and two in a row make many programs give up cleaning up.
        if not _is_in_foreground():
            child.send_signal(number)

    handlers = {getattr(signal, name): hand_on for name in _FORWARDED if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, hand_on_unless_typed)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Tell whether we belong to the foreground process group of the terminal that is our standard input."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return False


def wait_for_interrupt() -> None:
    """Return when Ctrl-C is pressed, so that the caller can close what it opened."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: interrupted.set())
    try:
        # In slices: on Windows a signal does not end a wait without a limit.
        while not interrupted.wait(0.2):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
