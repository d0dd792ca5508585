"""A process that ends a command when the process that stands in for it is killed, by a signal that nobody can catch.

It holds the read end of a pipe whose other end closes with us, however we end. It has a session of its own, so that
what is sent to our process group does not end it as well.
"""

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import NoReturn

_PAUSE = 0.02
"""Seconds between two looks whether the processes have ended."""


class Watchdog:
    """The process that watches. Make it with `start`; tell it what to end with `tell`."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._is_released = False

    @classmethod
    def start(cls, grace: float) -> "Watchdog | None":
        """Start it, before any thread is started; None where the system cannot make a copy of a process.

        When we are gone it sends SIGTERM, and after `grace` seconds SIGKILL. Raises OSError when there is no room for
        another process.
        """
        if not hasattr(os, "fork"):
            return None
        ours = os.getpid()
        reader, writer = os.pipe()
        try:
            between = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            raise
        if between == 0:
            _detach(reader, ours, grace)
        os.close(reader)
        os.waitpid(between, 0)
        os.set_blocking(writer, False)
        return cls(writer)

    def tell(self, command: int, *, has_own_group: bool) -> None:
        """Say which process to end, with all that it starts from now on."""
        self._write(f"{command} {command if has_own_group else 0}\n".encode())

    def release(self) -> None:
        """Say that there is nothing to end any more; once is enough."""
        if not self._is_released:
            self._is_released = True
            self._write(b"released\n")
            os.close(self._pipe)

    def _write(self, line: bytes) -> None:
        # One that was killed, or does not read, is no reason to fail or to wait.
        with suppress(OSError):
            os.write(self._pipe, line)


def _detach(reader: int, ours: int, grace: float) -> NoReturn:
    """Leave the process group, the streams and the parent, and watch. Never returns, whatever happens."""
    try:
        os.setsid()
        # Ours would wait for a child of its own, or end it with the command.
        if os.fork() == 0:
            _leave_everything(reader)
            _watch(0, ours, grace)
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


def _watch(pipe: int, ours: int, grace: float) -> None:
    """Look at what the command starts until the other end of the pipe is closed, and end what is left of that then."""
    family: _Family | None = None
    told = b""
    while True:
        if select.select([pipe], [], [], None if family is None else family.pause)[0]:
            chunk = os.read(pipe, 512)
            if not chunk:
                break
            told += chunk
            if b"released" in told:
                return
            if family is None and b"\n" in told:
                command, group = map(int, told.split())
                family = _Family(ours, command, group)
        if family is not None:
            family.look()
    if family is not None:
        _end(family.group, family.living(), grace)


class _Family:
    """The command and all that it has started, as it was seen last: when its parent ends, a process is soon lost.

    The parent of what nobody owns is us (`adopt_orphans`), so it is looked for below us. Where the system does not
    tell who is whose child, it is the command alone.
    """

    def __init__(self, ours: int, command: int, group: int) -> None:
        self.group = group
        self.pause = _LOOK_EVERY
        self._ours = ours
        self._command = command
        self._seen = {command: _start_of(command)}
        # What has ended already starts nothing more.
        self._begun = self._seen[command] or sys.maxsize

    def look(self) -> None:
        """Take note of all that live now."""
        begun = time.monotonic()
        # Older ones are children of the program that we were before (`sleep 60 & exec ...`), or of what gave the key.
        waiting = [pid for pid in _children(self._ours) if _start_of(pid) >= self._begun]
        found: dict[int, int] = {}
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found[pid] = _start_of(pid)
                waiting += _children(pid)
        # What is not found any more may have just lost its parent, and been taken in by somebody else.
        lost = {
            pid: start for pid, start in self._seen.items() if pid not in found and start and _start_of(pid) == start
        }
        self._seen = {**found, **lost}
        # Of thousands of processes, too, at most a fiftieth of the time.
        self.pause = max(_LOOK_EVERY, 50 * (time.monotonic() - begun))

    def living(self) -> list[int]:
        """Return those that live, and are no others with a number that was given away again; the command first."""
        if not _start_of(os.getpid()):
            # The system does not tell of processes.
            return [self._command]
        living = [pid for pid, start in self._seen.items() if start and _start_of(pid) == start]
        return sorted(living, key=lambda pid: pid != self._command)


_LOOK_EVERY = 0.2
"""Seconds between two looks at what a command has started."""


def _children(pid: int) -> list[int]:
    """Return the children of a process, which are also those that it adopted; none where the system does not tell."""
    children: list[int] = []
    with suppress(OSError, ValueError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children


def _start_of(pid: int) -> int:
    """Return when a process was started, which tells it from a later one with its number; 0 where it has ended."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        # What comes after the name (proc(5)), in which anything may stand: the state, and in field 22 the time.
        fields = file.read().rpartition(b")")[2].split()
        return 0 if fields[0] == b"Z" else int(fields[19])
    return 0


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
