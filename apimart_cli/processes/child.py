"""A command of the user as a child process: it keeps its own streams, signals and status."""

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

from apimart_cli.processes.signals import SENT, SLICE, TYPED, handling


class Child:
    """A running command. Make it with `start`."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, has_own_group: bool) -> None:
        self._process = process
        self._has_own_group = has_own_group

    @classmethod
    def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str] | None = None, captured: bool = False
    ) -> Self:
        """Start `command` without a shell, with `environment` added to ours.

        With `captured` it has no standard input, and `read` gets what it prints. Raises OSError or ValueError when it
        cannot be started.
        """
        # Where a person sits at the terminal, the command stays in the foreground, so that it can ask for a password.
        # Elsewhere a captured one gets a process group of its own, which ends as a whole: what it has started itself
        # would outlive it otherwise, and keep the pipe of a CI log open.
        has_own_group = captured and not is_in_foreground()
        process = subprocess.Popen(  # noqa: S603  # the user's own command
            command,
            env=None if environment is None else {**os.environ, **environment},
            stdin=subprocess.DEVNULL if captured else None,
            stdout=subprocess.PIPE if captured else None,
            process_group=0 if has_own_group else None,
        )
        return cls(process, has_own_group=has_own_group)

    def read(self, limit: int, seconds_left: Callable[[], float]) -> bytes:
        """Return at most `limit` bytes of what it prints, until it closes its output or no time is left."""
        stream = self._process.stdout
        assert stream is not None, "only a captured command is read"
        printed = b""
        while len(printed) < limit and seconds_left() > 0:
            ready, _, _ = select.select([stream], [], [], min(SLICE, seconds_left()))
            if ready:
                chunk = os.read(stream.fileno(), limit - len(printed))
                if not chunk:
                    break
                printed += chunk
        return printed

    def relay(self, number: int) -> None:
        """Hand a signal on to the command."""
        self._process.send_signal(number)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and return its exit status, 128 + n after signal n; None after `timeout` seconds."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        return 128 - status if status < 0 else status

    def stop(self, grace: float) -> None:
        """End it, with SIGTERM and after `grace` seconds with SIGKILL."""
        if grace > 0:
            self._signal(signal.SIGTERM)
            if self.wait(grace) is not None:
                return
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._has_own_group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)


@contextmanager
def relaying(start: Callable[[], Child]) -> Iterator[Child]:
    """Start a child and hand on to it the signals that come inside the block, those that came before it included."""
    relay = _Relay()
    # Before the child is there: a signal that came between its start and the handlers would end us and not it.
    with handling(TYPED, relay.hand_on_unless_typed), handling(SENT, relay.hand_on):
        yield relay.start(start())


class _Relay:
    """Hands signals on to a child, those that came before it was there included."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._early: list[int] = []

    def start(self, child: Child) -> Child:
        self._child = child
        while self._early:
            child.relay(self._early.pop(0))
        return child

    def hand_on(self, number: int, _frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.relay(number)

    def hand_on_unless_typed(self, number: int, frame: FrameType | None) -> None:
        # Ctrl-C at the terminal reaches the child by itself, and two in a row make many programs give up cleaning up.
        if self._child is None or not is_in_foreground():
            self.hand_on(number, frame)


def wait_for(child: Child) -> int:
    """Wait for the end of `child`, in slices, and return its exit status."""
    statuses: list[int | None] = []
    waiting = threading.Thread(target=lambda: statuses.append(child.wait()), daemon=True)
    waiting.start()
    while waiting.is_alive():
        waiting.join(SLICE)
    status = statuses[0]
    assert status is not None, "without a limit the wait ends with the child"
    return status


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
