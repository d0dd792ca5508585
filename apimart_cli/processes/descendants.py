"""The descendants of a command: what it has started, and what that has started, in any process group or session.

On Linux we can become the parent of a process when its own parent ends (`PR_SET_CHILD_SUBREAPER`, prctl(2)), so that it
is still found. We do so only where this process is apimart's own: in a program that imports us, other code may have
started a child.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from apimart_cli.processes import is_claimed
from apimart_cli.processes.table import Process, processes, send

_PR_SET_CHILD_SUBREAPER = 36

_SIGNAL_SECONDS = 0.25
"""Most seconds to look again for processes that were started while the others were being signalled."""

_HOLD_SECONDS = 1.0
"""Most seconds to suspend processes that start new ones faster than these are found, before all are killed."""

GONE_SECONDS = 5.0
"""Most seconds to wait until what was killed is gone: for many processes the system needs a moment."""

_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks; each pause is twice as long as the one before."""

_START_SECONDS = 1.0
"""Most seconds to wait for the end of a start."""


class _StartedCommands:
    """The commands that this process has started, and the orphans that it may adopt."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        """Those that were started and not yet waited for."""
        self.apart: set[int] = set()
        """Those of `running` that have sessions of their own: what they leave behind is known by its session."""
        self.were_apart: set[int] = set()
        """Those that had sessions of their own and have ended: what they left behind goes on."""
        self.starting: set[object] = set()
        """A mark for each start of one that will be `apart`: it may live already, and is not noted yet."""
        self.oldest_stopped = float("inf")
        """When the oldest of those that had to be stopped was started, as the table of processes tells it."""

    def wait_for_starts(self) -> None:
        """Wait until each command that is being started is noted: until then it looks like an orphan."""
        give_up_at = time.monotonic() + _START_SECONDS
        while self.starting and time.monotonic() < give_up_at:
            time.sleep(_PAUSE)

    def orphans(self, pid: int, start: int | None, children: Sequence[Process]) -> list[Process]:
        """Return those of our children that the command `pid`, which is being stopped, has left behind.

        `start` is when that command was started; None where it is not seen any more. Of an orphan, nothing tells which
        command it comes from but its session:

            session of a command that runs apart               it comes from that one
            session of one that ran apart and has ended        it may go on
            older than all commands that had to be stopped     it comes from the program that this process was before
                                                               it became apimart (`sleep 60 & exec apimart ...`)
            any other                                          it comes from one of the commands that do not run apart;
                                                               once the last of those is stopped, it ends with that
        """
        if pid in self.apart:
            return [child for child in children if child.session == pid]
        if not is_claimed():
            return []
        if start is not None:
            self.oldest_stopped = min(self.oldest_stopped, start)
        if self.running - self.apart - {pid}:
            return []
        self.wait_for_starts()
        return [
            child
            for child in children
            if child.pid not in {pid, *self.running}
            and child.start >= self.oldest_stopped
            and child.session not in self.apart | self.were_apart
        ]


_commands = _StartedCommands()


def adopt_orphans() -> None:
    """Become the parent of what commands leave behind, where the system can do that and the process is our own."""
    if not is_claimed() or sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def note_start(pid: int) -> None:
    """Note that a command was started."""
    _commands.running.add(pid)
    _commands.were_apart.discard(pid)


@contextmanager
def starting_apart() -> Iterator[Callable[[int], None]]:
    """Start a command in a session of its own in the block. Yield a function that takes its number."""
    mark = object()

    def note(pid: int) -> None:
        _commands.running.add(pid)
        _commands.apart.add(pid)

    _commands.starting.add(mark)
    try:
        yield note
    finally:
        _commands.starting.discard(mark)


def note_end(pid: int) -> None:
    """Note that a command was waited for."""
    _commands.running.discard(pid)
    if pid in _commands.apart:
        _commands.apart.discard(pid)
        _commands.were_apart.add(pid)


def reap_orphans() -> None:
    """Wait for the orphans that have ended. The code that started a command waits for it itself."""
    if not is_claimed() or not hasattr(os, "waitid"):
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in _commands.running or _commands.starting:
                return
            os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)


class Missed(NamedTuple):
    """The processes that a stop, or a signal that was handed on, does not reach."""

    refused: Sequence[int] = ()
    """Processes that the system does not let us signal: they belong to another user."""
    deaf: Sequence[int] = ()
    """Processes that have been killed, and do not end."""
    is_blind: bool = False
    """Whether the system does not tell what the command has started."""

    @property
    def pids(self) -> Sequence[int]:
        """All of them."""
        return (*self.refused, *self.deaf)


class Descendants:
    """One command and its descendants. Make it before the command is waited for."""

    def __init__(self, pid: int, *, known: Mapping[int, int] | None = None) -> None:
        """Begin with the command `pid`, or with processes that are `known` by number and start."""
        self.is_blind = False
        """Whether the system does not tell what the command has started."""
        self._pid = pid
        self._start: int | None = None
        self._known = dict(known or {})
        self._seen: dict[int, Process] = {}
        self._refused: set[tuple[int, int]] = set()
        self._killed: dict[tuple[int, int], float] = {}

    def signal(self, *numbers: int, except_group: int | None = None) -> None:
        """Send signals to each descendant, once. Those in the process group `except_group` have got them already."""
        signalled: set[tuple[int, int]] = set()
        give_up_at = time.monotonic() + _SIGNAL_SECONDS
        while new := [process for process in self.look() if process.identity not in signalled]:
            for process in new:
                signalled.add(process.identity)
                # Signal 0 tells whether we may signal it.
                has_had_it = except_group is not None and process.group == except_group
                self._send(process, *((0,) if has_had_it else numbers))
            if time.monotonic() >= give_up_at:
                return

    def kill(self, also: Callable[[int], None] = lambda _number: None) -> None:
        """Kill the command, its descendants and what these start meanwhile, and wait until they are gone.

        All are suspended before any of them is killed: then none starts another one, and none loses its parent before
        it was seen. `also` is called with each signal, for processes that are not found in this way. What the system
        does not let us kill goes on.
        """
        held: set[tuple[int, int]] = set()
        give_up_at = time.monotonic() + _HOLD_SECONDS
        if hasattr(signal, "SIGSTOP"):
            also(signal.SIGSTOP)
            while new := [process for process in self._living() if process.identity not in held]:
                for process in new:
                    held.add(process.identity)
                    self._send(process, signal.SIGSTOP)
                if time.monotonic() >= give_up_at:
                    break
        also(getattr(signal, "SIGKILL", signal.SIGTERM))
        if not self.are_seen:
            return
        give_up_at = time.monotonic() + GONE_SECONDS
        pause, began = _PAUSE, time.monotonic()
        while self.kill_what_lives() and time.monotonic() < give_up_at:
            # Looking must leave processor time to the processes that end.
            time.sleep(max(pause, time.monotonic() - began))
            pause, began = min(2 * pause, _LONGEST_PAUSE), time.monotonic()
        self._reap()

    def has_group(self, group: int) -> bool:
        """Tell whether a process that lived at the last look is in this process group."""
        return any(process.is_alive and process.group == group for process in self._seen.values())

    def kill_what_lives(self) -> bool:
        """Kill what lives now, without waiting; tell whether something lives that we may kill."""
        reachable = False
        for process in self._living():
            if process.identity not in self._killed:
                self._killed[process.identity] = time.monotonic()
                self._send(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            reachable = reachable or process.identity not in self._refused
        return reachable

    def missed(self) -> Missed:
        """Return what lived at the last look and could not be signalled, or was killed long before."""
        living = {process.identity for process in self._seen.values() if process.is_alive}
        long_ago = time.monotonic() - GONE_SECONDS
        refused = {pid for pid, start in living & self._refused}
        deaf = {pid for pid, start in living if self._killed.get((pid, start), long_ago) < long_ago} - refused
        return Missed(sorted(refused), sorted(deaf), self.is_blind)

    @property
    def are_seen(self) -> bool:
        """Whether something of it lived at the last look."""
        return any(process.is_alive for process in self._seen.values())

    def look(self) -> list[Process]:
        """Return the descendants that live, also those that were seen before and have another parent now."""
        return [process for process in self._living() if process.pid != self._pid]

    def _living(self) -> list[Process]:
        """Look once; return which of the command and its descendants live."""
        table = processes()
        self.is_blind = table is None
        if table is None:
            return []
        children: dict[int, list[Process]] = {}
        for process in table.values():
            children.setdefault(process.parent, []).append(process)
        ours = children.get(os.getpid(), [])
        waiting = [table[pid] for pid, start in self._known.items() if pid in table and table[pid].start == start]
        root = table.get(self._pid)
        if root is not None and self._start in {None, root.start}:
            self._start = root.start
            waiting.append(root)
        is_same = root is not None and root.start == self._start
        waiting += _commands.orphans(self._pid, self._start if is_same else None, ours)
        self._seen = {}
        while waiting:
            process = waiting.pop()
            if process.pid not in self._seen:
                self._seen[process.pid] = process
                waiting += children.get(process.pid, [])
        self._known = {process.pid: process.start for process in self._seen.values()}
        return [process for process in self._seen.values() if process.is_alive]

    def _send(self, process: Process, *numbers: int) -> None:
        try:
            send(process, *numbers)
        except PermissionError:
            self._refused.add(process.identity)
        except OSError:
            pass
        else:
            self._refused.discard(process.identity)

    def _reap(self) -> None:
        """Wait for the orphans among them that have ended: while we run, no other code does that."""
        if not hasattr(os, "WNOHANG"):
            return
        ours = os.getpid()
        for process in self._seen.values():
            if process.parent == ours and process.pid not in _commands.running:
                with suppress(OSError):
                    os.waitpid(process.pid, os.WNOHANG)
