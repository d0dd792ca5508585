"""What a command has started, and what that has started, also where it has left the command's process group or session.

On Linux a process whose parent has ended can be given to us instead of to the system (`PR_SET_CHILD_SUBREAPER`,
prctl(2)), so that it is still found. That is done only where this process is apimart's own: in the process of somebody
else, a child that nobody here started may be theirs.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_PR_SET_CHILD_SUBREAPER = 36

_ROUNDS = 20
"""Most times to look again for processes that were started while the others were being signalled."""

_PAUSE = 0.005
"""Seconds between two looks, for the system to take away what was killed."""

_running: set[int] = set()
"""The commands that have been started and not been waited for."""

_apart: set[int] = set()
"""Those among them that have sessions of their own, and end on their own: neither ends what the other leaves behind."""

_starting: set[object] = set()
"""A mark for each of those that is being started: it may live already, and is not in `_apart` yet."""

_START_SECONDS = 1.0
"""Most seconds to wait for the end of a start."""

_is_own_process = False
_oldest = float("inf")
"""When the oldest of the commands that had to be stopped was started, on psutil's clock."""


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
    _apart.discard(pid)


def reap_orphans() -> None:
    """Wait for the orphans that have ended; the commands themselves are left for whoever started them."""
    if not _is_own_process or not hasattr(os, "waitid"):
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in _running or _starting:
                return
            os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)


class Descendants:
    """The descendants of one command that has not been waited for."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[int, psutil.Process] = {}

    def signal(self, number: int, *, except_group: int | None = None) -> None:
        """Send a signal to each, once; those in the process group `except_group` have had it already."""
        signalled: set[int] = set()
        for _ in range(_ROUNDS):
            new = [process for process in self.look() if process.pid not in signalled]
            if not new:
                return
            for process in new:
                signalled.add(process.pid)
                if _group_of(process) != except_group or except_group is None:
                    _send(process, number)

    def kill(self) -> None:
        """Kill them all, and whatever they start meanwhile."""
        import signal

        for _ in range(_ROUNDS):
            living = self.look()
            if not living:
                return
            for process in living:
                _send(process, signal.SIGKILL)
            time.sleep(_PAUSE)

    def look(self) -> "list[psutil.Process]":
        """Return those that live, those that were seen before included, whoever is their parent now."""
        import psutil

        roots = list(self._seen.values())
        with suppress(psutil.Error):
            roots.append(psutil.Process(self._pid))
        roots += self._orphans()
        for process in roots:
            with suppress(psutil.Error, OSError):
                for found in (process, *process.children(recursive=True)):
                    self._seen.setdefault(found.pid, found)
        self._seen.pop(self._pid, None)
        return [process for process in self._seen.values() if _is_alive(process)]

    def _orphans(self) -> "list[psutil.Process]":
        """Return the orphans that we adopted, unless they may be those of another command that still runs.

        Older ones are children of the program that this process was before it became apimart (`sleep 60 & exec ...`).
        """
        import psutil

        if self._pid in _apart:
            with suppress(psutil.Error, OSError):
                return [child for child in psutil.Process().children() if _session_of(child) == self._pid]
            return []
        global _oldest  # noqa: PLW0603  # the last of several commands that are stopped ends the orphans of all
        if not _is_own_process:
            return []
        with suppress(psutil.Error, OSError):
            _oldest = min(_oldest, psutil.Process(self._pid).create_time())
        if _running - _apart - {self._pid}:
            return []
        with suppress(psutil.Error, OSError):
            children = psutil.Process().children()
            _wait_for_starts()
            return [
                child
                for child in children
                if child.pid != self._pid and child.create_time() >= _oldest and _session_of(child) not in _apart
            ]
        return []


def _wait_for_starts() -> None:
    """Wait until what was being started is known to be ours: a moment ago it looked like an orphan."""
    give_up_at = time.monotonic() + _START_SECONDS
    while _starting and time.monotonic() < give_up_at:
        time.sleep(_PAUSE)


def _is_alive(process: "psutil.Process") -> bool:
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _group_of(process: "psutil.Process") -> int | None:
    try:
        return os.getpgid(process.pid)
    except (OSError, AttributeError):
        return None


def _session_of(process: "psutil.Process") -> int | None:
    try:
        return os.getsid(process.pid)
    except (OSError, AttributeError):
        return None


def _send(process: "psutil.Process", number: int) -> None:
    import psutil

    with suppress(psutil.Error, OSError):
        process.send_signal(number)
