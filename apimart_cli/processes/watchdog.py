"""A process that ends a command when we, who stand in for the command, are killed by a signal that cannot be caught.

It also suspends the command while we are stopped. It holds the read end of a pipe; the other end closes with us,
however we end. It has a session of its own, so that a signal to our process group does not end it as well.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from apimart_cli.processes.table import start_of, state_of

NAME = b"apimart-watchdog"
"""The name of the process. The system keeps 15 characters of it; among the arguments it stands whole."""

_PR_SET_NAME = 15

_PAUSE = 0.02
"""Seconds between two looks at whether the processes have ended."""

_LOOK_EVERY = 0.2
"""Seconds between two looks at what a command has started."""


_ROUNDS = 20
"""Most times to look again for processes that were started while the others were being stopped."""

SUSPENDED, CONTINUED = b"s", b"c"
"""Written before the first process is stopped, and after the last one was continued."""


class Watchdog:
    """The process that watches, as we see it. Make it with `start`, and `tell` it which command to end."""

    def __init__(self, pipe: int, reports: int) -> None:
        self._pipe = pipe
        self._reports = reports
        self._suspends = False
        self._is_released = False

    @classmethod
    def start(cls, grace: float) -> "Watchdog | None":
        """Start it, before any thread is started; return None where the system cannot copy a process.

        When we are gone it sends SIGTERM, and after `grace` seconds SIGKILL. Raises OSError when there is no room for
        another process.
        """
        if not hasattr(os, "fork"):
            return None
        ours = os.getpid()
        reader, writer = os.pipe()
        reports, report = os.pipe()
        try:
            between = os.fork()
        except OSError:
            for descriptor in (reader, writer, reports, report):
                os.close(descriptor)
            raise
        if between == 0:
            _detach(reader, report, ours, grace)
        os.close(reader)
        os.close(report)
        os.waitpid(between, 0)
        os.set_blocking(writer, False)
        os.set_blocking(reports, False)
        return cls(writer, reports)

    def tell(self, command: int, *, has_own_group: bool) -> None:
        """Say which process to end, with all that it starts from now on."""
        self._write(f"{command} {command if has_own_group else 0}\n".encode())

    @property
    def suspends(self) -> bool:
        """Whether it has stopped the command because we were stopped, and has not continued it yet."""
        # While it writes nothing new, its last word is true.
        with suppress(BlockingIOError):
            said = os.read(self._reports, 512)
            self._suspends = said.endswith(SUSPENDED)
        return self._suspends

    def release(self) -> None:
        """Say that there is nothing to end any more. It may be called twice."""
        if not self._is_released:
            self._is_released = True
            self._write(b"released\n")
            os.close(self._pipe)
            os.close(self._reports)

    def _write(self, line: bytes) -> None:
        # If it was killed, or does not read, we neither fail nor wait.
        with suppress(OSError):
            os.write(self._pipe, line)


def _detach(reader: int, report: int, ours: int, grace: float) -> NoReturn:
    """In the copy: leave the process group, the streams and the parent, and watch. Never returns."""
    try:
        os.setsid()
        # A second copy is no child of ours: we would wait for a child, or end it with the command.
        if os.fork() == 0:
            _leave_everything(reader, report)
            _take_name()
            _watch(0, Suspension(ours, 1), ours, grace)
    finally:
        os._exit(0)


def _leave_everything(reader: int, report: int) -> None:
    """Keep only the two pipes: a reader of our output waits until the last process has closed it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
    # Each may have the number that the other one is to get.
    reader, report = os.dup(reader), os.dup(report)
    os.dup2(reader, 0)
    os.dup2(report, 1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    os.set_blocking(1, False)
    os.closerange(3, _most_descriptors())
    with suppress(OSError):
        os.chdir("/")


def _take_name() -> None:
    """Take the name `apimart-watchdog`, so that `pkill -f "apimart run"` and the like do not end this process, too.

    Our arguments and variables, in which a key may stand, are overwritten where the system shows them to others. This
    is done only on Linux, which tells where they are (fields 48 to 51 of proc(5)); a failure is ignored.
    """
    with suppress(Exception), open("/proc/self/stat", "rb") as file:
        import ctypes

        fields = file.read().rpartition(b")")[2].split()
        arguments, arguments_end, variables, variables_end = map(int, fields[45:49])
        length = arguments_end - arguments
        # The last byte stays zero, as otherwise the system would show what comes after it, too.
        ctypes.memmove(arguments, NAME[: length - 1].ljust(length, b"\0"), length)
        ctypes.memset(variables, 0, variables_end - variables)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME, 0, 0, 0)


def _most_descriptors() -> int:
    import resource

    with suppress(OSError, ValueError):
        return max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65536)


def _watch(pipe: int, suspension: "Suspension", ours: int, grace: float) -> None:
    """Until the other end of the pipe closes, look at what the command starts; then end what is left of it.

    Meanwhile, the command is suspended when the process `ours` is stopped.
    """
    family: _Family | None = None
    told = b""
    while True:
        if select.select([pipe], [], [], None if family is None else _LOOK_EVERY)[0]:
            chunk = os.read(pipe, 512)
            if not chunk:
                break
            told += chunk
            if b"released" in told:
                suspension.end()
                return
            if family is None and b"\n" in told:
                command, group = map(int, told.split())
                family = _Family(ours, command, group)
        if family is not None:
            family.look_if_due()
            suspension.follow(family.found)
    if family is not None:
        _end(family, grace)


class _Family:
    """The command and all that it has started, as seen at the last look: it is hard to find a process without a parent.

    The process `ours` adopts orphans (`adopt_orphans`), so all of them are looked for below that. Where the system does
    not tell the children of a process, the command is all there is.
    """

    def __init__(self, ours: int, command: int, group: int) -> None:
        self.group = group
        self._next_look = 0.0
        self._ours = ours
        self.command = command
        self.seen = {command: start_of(command)}
        """The processes that live, by number, with the start of each."""
        # If the command has ended already, it starts nothing more.
        self._begun = self.seen[command] or sys.maxsize

    def look_if_due(self) -> None:
        """Look, unless the last look is recent: looking takes at most a fiftieth of the time."""
        begun = time.monotonic()
        if begun >= self._next_look:
            self.look()
            self._next_look = begun + 50 * (time.monotonic() - begun)

    def found(self) -> list[int]:
        """Look, and return the processes that live, parents before their children."""
        self.look()
        return list(self.seen) if start_of(os.getpid()) else []

    def look(self) -> None:
        """Note which processes live now."""
        # Older ones come from the program that `ours` was before (`sleep 60 & exec ...`), or gave the key.
        waiting = [pid for pid in _children(self._ours) if start_of(pid) >= self._begun]
        found: dict[int, int] = {}
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found[pid] = start_of(pid)
                waiting += _children(pid)
        # A process that is not found any more may have just lost its parent, and be the child of another one.
        lost = {pid: start for pid, start in self.seen.items() if pid not in found and start and start_of(pid) == start}
        self.seen = {**found, **lost}


def _children(pid: int) -> list[int]:
    """Return the children of a process, adopted ones included; none where the system does not tell them."""
    children: list[int] = []
    with suppress(OSError, ValueError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    return children


def _end(family: _Family, grace: float) -> None:
    """End these processes, the process group, and all that they have started."""
    from apimart_cli.processes.descendants import Descendants

    descendants = Descendants(0, known=family.seen)

    def send_to_group(number: int) -> None:
        # Without the table of processes, we know only of the command.
        if family.group and (descendants.is_blind or descendants.has_group(family.group)):
            with suppress(OSError):
                os.killpg(family.group, number)
        elif descendants.is_blind:
            with suppress(OSError):
                os.kill(family.command, number)

    descendants.look()
    for number in (signal.SIGTERM, signal.SIGCONT):
        send_to_group(number)
    descendants.signal(signal.SIGTERM, signal.SIGCONT, except_group=family.group or None)
    give_up_at = time.monotonic() + grace
    while descendants.look() or descendants.is_blind:
        if time.monotonic() >= give_up_at:
            break
        time.sleep(_PAUSE)
    descendants.kill(send_to_group)


class Suspension:
    """Stops a command while one process, the leader, is stopped, and continues it with the leader.

    Without it, processes in sessions of their own would miss a Ctrl-Z, and the whole command a SIGSTOP to the leader.
    """

    def __init__(self, leader: int, report: int) -> None:
        """Take the number of the leader, and the descriptor to which SUSPENDED and CONTINUED are written."""
        self._leader = leader
        self._report = report
        self._stopped: dict[int, int] = {}
        self._is_suspended = False
        self._was_traced = False

    def follow(self, look: Callable[[], Iterable[int]]) -> None:
        """Stop what `look` finds if the leader is stopped, and continue it if the leader runs. Call it again and again.

        `look` returns the processes that may run, parents before their children: a running parent would take the stop
        of its child for a Ctrl-Z.
        """
        if self._leader_is_stopped():
            self._tell(is_suspended=True)
            for _ in range(_ROUNDS):
                if not self._stop(look()):
                    break
            # The leader may have been continued just now.
            if self._leader_is_stopped():
                return
        self.end()

    def end(self) -> None:
        """Continue the processes that were stopped here, and no others; children before their parents."""
        for pid, start in reversed(self._stopped.items()):
            if start_of(pid) == start:
                _send(pid, signal.SIGCONT)
        self._stopped = {}
        self._tell(is_suspended=False)

    def _stop(self, pids: Iterable[int]) -> bool:
        """Stop those that run; tell whether any of them was not stopped before."""
        is_any_new = False
        for pid in pids:
            start = start_of(pid)
            if pid != os.getpid() and start and state_of(pid) not in {"T", "t"} and _send(pid, signal.SIGSTOP):
                is_any_new |= self._stopped.get(pid) != start
                self._stopped[pid] = start
        return is_any_new

    def _leader_is_stopped(self) -> bool:
        state = state_of(self._leader)
        # A tracer (strace) stops it for moments, which do not count; a debugger stops it for longer.
        is_traced, was_traced = state == "t", self._was_traced
        self._was_traced = is_traced
        return state == "T" or (is_traced and was_traced)

    def _tell(self, *, is_suspended: bool) -> None:
        if is_suspended != self._is_suspended:
            self._is_suspended = is_suspended
            with suppress(OSError):
                os.write(self._report, SUSPENDED if is_suspended else CONTINUED)


def _send(pid: int, number: int) -> bool:
    with suppress(OSError):
        os.kill(pid, number)
        return True
    return False
