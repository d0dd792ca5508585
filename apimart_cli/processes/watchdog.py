"""A process that ends a command when the process that stands in for it is killed, by a signal that nobody can catch.

It holds the read end of a pipe whose other end closes with us, however we end. It has a session of its own, so that
what is sent to our process group does not end it as well.
"""

import os
import signal
import time
from contextlib import suppress
from typing import NoReturn

_PAUSE = 0.02
"""Seconds between two looks whether the processes have ended."""


class Watchdog:
    """The process that watches. Make it with `start`; tell it what to end with `tell`."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._told = b""

    @classmethod
    def start(cls, grace: float) -> "Watchdog | None":
        """Start it, before any thread is started; None where the system cannot make a copy of a process.

        When we are gone it sends SIGTERM, and after `grace` seconds SIGKILL. Raises OSError when there is no room for
        another process.
        """
        if not hasattr(os, "fork"):
            return None
        reader, writer = os.pipe()
        try:
            between = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if between == 0:
            _detach(reader, grace)
        os.close(reader)
        os.waitpid(between, 0)
        os.set_blocking(writer, False)
        return cls(writer)

    def tell(self, command: int, *, has_own_group: bool) -> None:
        """Say which process to end; call it again and again, so that it knows of the orphans that we adopted."""
        orphans = _children()
        pids = (command, *(pid for pid in orphans if pid != command))
        line = f"{command if has_own_group else 0} {' '.join(map(str, pids))}\n".encode()
        if line != self._told:
            # A line is shorter than what a pipe takes in one piece; where it is not, the oldest orphans are told.
            self._write(line[: _LONGEST - 1].rpartition(b" ")[0] + b"\n" if len(line) > _LONGEST else line)
            self._told = line

    def release(self) -> None:
        """Say that there is nothing to end any more."""
        self._write(b"released\n")
        os.close(self._pipe)

    def _write(self, line: bytes) -> None:
        # One that was killed, or does not read, is no reason to fail or to wait.
        with suppress(OSError):
            os.write(self._pipe, line)


_LONGEST = 512
"""Bytes that POSIX lets no pipe break up."""


def _children() -> list[int]:
    """Return the children of this thread, which are also those that it adopted; none where the system does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except (OSError, ValueError):
        return []


def _detach(reader: int, grace: float) -> NoReturn:
    """Leave the process group, the streams and the parent, and watch. Never returns, whatever happens."""
    try:
        os.setsid()
        # Ours would wait for a child of its own, or end it with the command.
        if os.fork() == 0:
            _leave_everything(reader)
            _watch(0, grace)
    finally:
        os._exit(0)


def _leave_everything(reader: int) -> None:
    """Keep the pipe only: whoever reads our output waits until the last process has closed it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
    os.dup2(reader, 0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.closerange(3, _most_descriptors())
    with suppress(OSError):
        os.chdir("/")


def _most_descriptors() -> int:
    import resource

    with suppress(OSError, ValueError):
        return max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)


def _watch(pipe: int, grace: float) -> None:
    """Read what we are told until the other end is closed, and end what was told last."""
    told = b""
    while chunk := os.read(pipe, 65536):
        told = (told + chunk)[-2 * _LONGEST :]
        lines = told.split(b"\n")
        if b"released" in lines:
            return
    complete = [line for line in told.split(b"\n")[:-1] if line]
    if complete:
        group, *pids = (int(word) for word in complete[-1].split())
        _end(group, pids, grace)


def _end(group: int, pids: list[int], grace: float) -> None:
    """End these processes, the process group, and all that they have started."""
    from apimart_cli.processes.descendants import Descendants

    families = [(pid, Descendants(pid)) for pid in pids]

    def send(number: int) -> None:
        for _, family in families:
            family.look()
        if group:
            with suppress(OSError):
                os.killpg(group, number)
        for pid, family in families:
            if pid != group:
                with suppress(OSError):
                    os.kill(pid, number)
            family.signal(number, except_group=group or None)

    send(signal.SIGTERM)
    send(signal.SIGCONT)
    give_up_at = time.monotonic() + grace
    while time.monotonic() < give_up_at:
        if not any(_is_there(pid) or family.look() for pid, family in families):
            return
        time.sleep(_PAUSE)
    send(signal.SIGKILL)
    for _, family in families:
        family.kill()


def _is_there(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
