"""Suspending a command while the process that guards it is stopped, by Ctrl-Z or SIGSTOP, and letting it go on with it.

What the command has started in sessions of its own does not get the Ctrl-Z, and nothing at all gets a SIGSTOP to us.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from apimart_cli.processes.table import start_of, state_of

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


def _send(pid: int, number: int) -> bool:
    with suppress(OSError):
        os.kill(pid, number)
        return True
    return False
