"""Suspending a command while the process that guards it is stopped, by Ctrl-Z or SIGSTOP, and letting it go on with it.

What the command has started in sessions of its own does not get the Ctrl-Z, and nothing at all gets a SIGSTOP to us.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

_ROUNDS = 20
"""Most times to look again for what was started while the others were being stopped."""

SUSPENDED, CONTINUED = b"s", b"c"
"""What is written before the first process is stopped, and after the last one was continued."""


class Suspension:
    """What was stopped because one process is; ask it again and again to `follow` that process."""

    def __init__(self, leader: int, report: int) -> None:
        """Follow the process `leader`; what becomes of that is written to the descriptor `report`."""
        self._leader = leader
        self._report = report
        self._stopped: dict[int, int] = {}
        self._is_suspended = False
        self._was_traced = False

    def follow(self, look: Callable[[], Iterable[int]]) -> None:
        """Stop what `look` finds while the leader is stopped, and continue it when the leader goes on.

        `look` gives the processes that may run, parents before their children: a parent that runs would take the stop
        of its child for a Ctrl-Z.
        """
        if self._leader_is_stopped():
            self._tell(is_suspended=True)
            for _ in range(_ROUNDS):
                if not self._stop(look()):
                    break
            # It may have been continued just now.
            if self._leader_is_stopped():
                return
        self.end()

    def end(self) -> None:
        """Continue what was stopped here, and nothing else; children before their parents."""
        for pid, start in reversed(self._stopped.items()):
            if start_of(pid) == start:
                _send(pid, signal.SIGCONT)
        self._stopped = {}
        self._tell(is_suspended=False)

    def _stop(self, pids: Iterable[int]) -> bool:
        """Stop those that run; return whether there are any that were not stopped before."""
        is_any_new = False
        for pid in pids:
            start = start_of(pid)
            if pid != os.getpid() and start and state_of(pid) not in {"T", "t"} and _send(pid, signal.SIGSTOP):
                is_any_new |= self._stopped.get(pid) != start
                self._stopped[pid] = start
        return is_any_new

    def _leader_is_stopped(self) -> bool:
        state = state_of(self._leader)
        # A tracer (strace) stops it for moments, a debugger for longer.
        is_traced, was_traced = state == "t", self._was_traced
        self._was_traced = is_traced
        return state == "T" or (is_traced and was_traced)

    def _tell(self, *, is_suspended: bool) -> None:
        if is_suspended != self._is_suspended:
            self._is_suspended = is_suspended
            with suppress(OSError):
                os.write(self._report, SUSPENDED if is_suspended else CONTINUED)


def state_of(pid: int) -> str:
    """Return the letter of a process's state (proc(5)); empty where there is none, or the system does not tell."""
    fields = _fields_of(pid)
    return fields[0].decode("ascii", "replace") if fields else ""


def start_of(pid: int) -> int:
    """Return when a process was started, which tells it from a later one with its number; 0 where it has ended."""
    fields = _fields_of(pid)
    return 0 if not fields or fields[0] == b"Z" else int(fields[19])


def _fields_of(pid: int) -> list[bytes]:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        # What comes after the name (proc(5)), in which anything may stand: the state, and in field 22 the time.
        fields = file.read().rpartition(b")")[2].split()
        return fields if len(fields) > 19 else []
    return []


def _send(pid: int, number: int) -> bool:
    with suppress(OSError):
        os.kill(pid, number)
        return True
    return False
