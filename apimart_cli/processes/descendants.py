"""What a command has started, and what that has started, also where it has left the command's process group or session.

On Linux a process whose parent has ended can be given to us instead of to the system (`PR_SET_CHILD_SUBREAPER`,
prctl(2)), so that it is still found. That is done only where this process is apimart's own: in the process of somebody
else, a child that nobody here started may be theirs.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from apimart_cli.processes.table import Process, processes, send

_PR_SET_CHILD_SUBREAPER = 36

_SIGNAL_SECONDS = 0.25
"""Most seconds to look again for processes that were started while the others were being signalled."""

_HOLD_SECONDS = 1.0
"""Most seconds to stop what starts new ones faster than it is found, before all of it is killed."""

GONE_SECONDS = 5.0
"""Most seconds to wait until what was killed is gone: the system may need a moment for many of them."""

_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
"""Seconds between two looks; each pause is twice as long as the one before."""

_running: set[int] = set()
"""The commands that have been started and not been waited for."""

_apart: set[int] = set()
"""Those among them that have sessions of their own, and end on their own: neither ends what the other leaves behind."""

_were_apart: set[int] = set()
"""Those that had sessions of their own and have ended: what they have left behind goes on."""

_starting: set[object] = set()
"""A mark for each of those that is being started: it may live already, and is not in `_apart` yet."""

_START_SECONDS = 1.0
"""Most seconds to wait for the end of a start."""

_is_own_process = False
_oldest = float("inf")
"""When the oldest of the commands that had to be stopped was started, as the table of processes tells it."""


def claim_process() -> None:
    """Say that this process is apimart's own: whatever becomes a child of it comes from a command that it started."""
    global _is_own_process  # noqa: PLW0603  # one process, one owner
    _is_own_process = True


def adopt_orphans() -> None:
    """Become the parent of what commands leave behind, where the system can do that and the process is our own."""
    if not _is_own_process or sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def note_start(pid: int) -> None:
    """Take note of a command that was started."""
    _running.add(pid)
    _were_apart.discard(pid)


@contextmanager
def starting_apart() -> Iterator[Callable[[int], None]]:
    """Start a command beside others in the block, in a session of its own; give what takes note of its id."""
    mark = object()

    def note(pid: int) -> None:
        _running.add(pid)
        _apart.add(pid)

    _starting.add(mark)
    try:
        yield note
    finally:
        _starting.discard(mark)


def note_end(pid: int) -> None:
    """Take note of a command that was waited for."""
    _running.discard(pid)
    if pid in _apart:
        _apart.discard(pid)
        _were_apart.add(pid)


def reap_orphans() -> None:
    """Wait for the orphans that have ended; the commands themselves are left for whoever started them."""
    if not _is_own_process or not hasattr(os, "waitid"):
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in _running or _starting:
                return
            os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)


class Missed(NamedTuple):
    """What a stop, or a signal that was handed on, does not reach."""

    refused: Sequence[int] = ()
    """Processes that the system does not let us signal: they belong to another user."""
    deaf: Sequence[int] = ()
    """Processes that have been killed, and do not end."""
    is_blind: bool = False
    """Whether the system does not tell what the command has started."""

    @property
    def pids(self) -> Sequence[int]:
        """All that go on."""
        return (*self.refused, *self.deaf)


class Descendants:
    """One command, which has not been waited for when this is made, and its descendants."""

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
        """Send signals to each descendant, once; those in the process group `except_group` have had them already."""
        signalled: set[tuple[int, int]] = set()
        give_up_at = time.monotonic() + _SIGNAL_SECONDS
        while new := [process for process in self.look() if process.identity not in signalled]:
            for process in new:
                signalled.add(process.identity)
                # Whether we may signal it is asked all the same.
                has_had_it = except_group is not None and process.group == except_group
                self._send(process, *((0,) if has_had_it else numbers))
            if time.monotonic() >= give_up_at:
                return

    def kill(self, also: Callable[[int], None] = lambda _number: None) -> None:
        """Kill the command, all that descends from it, and what they start meanwhile, and wait until they are gone.

        They are stopped before any of them is killed: none starts another one then, and none loses its parent before
        it was seen. `also` is given each signal, for those that are not found in this way. What the system does not
        let us kill is left.
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
            # Looking must not keep those that end from the processor.
            time.sleep(max(pause, time.monotonic() - began))
            pause, began = min(2 * pause, _LONGEST_PAUSE), time.monotonic()
        self._reap()

    def has_group(self, group: int) -> bool:
        """Tell whether a process that lived at the last look is in this process group."""
        return any(process.is_alive and process.group == group for process in self._seen.values())

    def kill_what_lives(self) -> bool:
        """Kill what lives now, without waiting; return whether something lives that we may kill."""
        reachable = False
        for process in self._living():
            if process.identity not in self._killed:
                self._killed[process.identity] = time.monotonic()
                self._send(process, getattr(signal, "SIGKILL", signal.SIGTERM))
            reachable = reachable or process.identity not in self._refused
        return reachable

    def missed(self) -> Missed:
        """Return what lived at the last look and could not be signalled, or was killed some seconds before."""
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
        """Return the descendants that live, those that were seen before included, whoever is their parent now."""
        return [process for process in self._living() if process.pid != self._pid]

    def _living(self) -> list[Process]:
        """Look once, in one pass; return what lives of the command and its descendants."""
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
        waiting += self._orphans(ours, root)
        self._seen = {}
        while waiting:
            process = waiting.pop()
            if process.pid not in self._seen:
                self._seen[process.pid] = process
                waiting += children.get(process.pid, [])
        self._known = {process.pid: process.start for process in self._seen.values()}
        return [process for process in self._seen.values() if process.is_alive]

    def _orphans(self, children: Sequence[Process], root: Process | None) -> list[Process]:
        """Return those of our children that we adopted, unless they may be those of another command that still runs.

        Older ones are children of the program that this process was before it became apimart (`sleep 60 & exec ...`).
        """
        if self._pid in _apart:
            return [child for child in children if child.session == self._pid]
        global _oldest  # noqa: PLW0603  # the last of several commands that are stopped ends the orphans of all
        if not _is_own_process:
            return []
        if root is not None and root.start == self._start:
            _oldest = min(_oldest, root.start)
        if _running - _apart - {self._pid}:
            return []
        _wait_for_starts()
        return [
            child
            for child in children
            if child.pid not in {self._pid, *_running}
            and child.start >= _oldest
            and child.session not in _apart | _were_apart
        ]

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
        """Wait for the orphans among them that have ended: no one else does that while we run."""
        if not hasattr(os, "WNOHANG"):
            return
        ours = os.getpid()
        for process in self._seen.values():
            if process.parent == ours and process.pid not in _running:
                with suppress(OSError):
                    os.waitpid(process.pid, os.WNOHANG)


def _wait_for_starts() -> None:
    """Wait until what was being started is known to be ours: a moment ago it looked like an orphan."""
    give_up_at = time.monotonic() + _START_SECONDS
    while _starting and time.monotonic() < give_up_at:
        time.sleep(_PAUSE)
