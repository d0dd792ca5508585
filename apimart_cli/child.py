"""The user's command and the user's signals: a child keeps its own streams, signals and status; blocks put things back.

`__main__` ends the process on the spot when Ctrl-C is pressed. What is in here takes signals over for a while.
A signal that is ignored since before the start (`nohup`, a background job of a script) stays ignored.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from apimart_cli.errors import CommandStatus, ExitCode, UsageError

_TYPED = ("SIGINT", "SIGQUIT")
"""Signals of the terminal's keys: it sends them to every process in its foreground."""

_SENT = ("SIGTERM", "SIGHUP")

_ENDING = (*_TYPED, *_SENT)
"""All of them end a process."""

_SLICE = 0.1
"""Most seconds to wait at a stretch: a signal that comes just before a wait begins is noticed when it ends."""

_Handler = Callable[[int, FrameType | None], object]


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> CommandStatus:
    """Run `command` with `environment` added to ours, and return its exit status; 128 + n for signal n.

    While it runs, signals sent to us are handed on to it, so that no child is left behind.

    Raises UsageError when the command cannot be started.
    """
    relay = _Relay()
    # Before the child is there: a signal that came between its start and the handlers would end us and not it.
    with _handling(_TYPED, relay.hand_on_unless_typed), _handling(_SENT, relay.hand_on):
        try:
            child = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603  # the user's own command
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its arguments cannot be passed on"
            raise UsageError(f"cannot run {command[0]}: {reason}", "check the command after --") from None
        relay.start(child)
        _wait_for(child)
    status = child.returncode
    return CommandStatus(128 - status if status < 0 else status)


def _wait_for(child: "subprocess.Popen[bytes]") -> None:
    waiting = threading.Thread(target=child.wait, daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(_SLICE)


class _Relay:
    """Hands signals on to a child, those that came before it was there included."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def start(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child
        while self._early:
            child.send_signal(self._early.pop(0))

    def hand_on(self, number: int, _frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.send_signal(number)

    def hand_on_unless_typed(self, number: int, frame: FrameType | None) -> None:
        # Ctrl-C at the terminal reaches the child by itself, and two in a row make many programs give up cleaning up.
        if self._child is None or not is_in_foreground():
            self.hand_on(number, frame)


def is_in_foreground() -> bool:
    """Tell whether our terminal sends us, and so the child too, the signals of its keys."""
    if not hasattr(os, "ctermid"):
        return True  # Windows: Ctrl-C reaches every process of the console, and can be sent to none of them alone.
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def wait_for_interrupt() -> None:
    """Return when Ctrl-C is pressed, so that the caller can close what it opened."""
    pressed: list[int] = []
    # Nothing is raised and no lock is taken in the handler: it may be called again before it is taken away.
    with _handling(("SIGINT",), lambda number, _frame: pressed.append(number)):
        while not pressed:
            time.sleep(_SLICE)


@contextmanager
def unwinding() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for a signal that ends the process, so that it can put back what it changed.

    Of Ctrl-C it goes on behind the block; the other signals end the process there by themselves.
    """
    caught: list[int] = []

    def unwind(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        # Once: a second one would interrupt the putting back.
        if len(caught) == 1:
            raise KeyboardInterrupt

    try:
        with _handling(_ENDING, unwind):
            yield
    except KeyboardInterrupt:
        if caught and caught[0] != signal.SIGINT:
            os.kill(os.getpid(), caught[0])
        raise


@contextmanager
def cleaning_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Call `clean_up` before a signal ends the process, wherever it is then, and after it what cleans up around it."""
    outer = {number: signal.getsignal(number) for number in _numbers(_ENDING)}

    def end(number: int, frame: FrameType | None) -> None:
        clean_up()
        around = outer[number]
        if callable(around) and around is not signal.default_int_handler:
            around(number, frame)
        if number == signal.SIGINT:
            os._exit(ExitCode.INTERRUPTED)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with _handling(_ENDING, end):
        yield


def _numbers(names: Sequence[str]) -> list[int]:
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def _handling(names: Sequence[str], handler: _Handler) -> Iterator[None]:
    """Handle the signals of these names, as far as this platform has them and they are not ignored."""
    before = {number: signal.getsignal(number) for number in _numbers(names)}
    handled = [number for number, previous in before.items() if previous is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])
