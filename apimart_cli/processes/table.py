"""The table of processes, read in one pass, and signals that reach the process that was seen and no later one.

On Linux it comes from /proc, elsewhere from psutil. To ask psutil for the children of each of 1,000 processes takes
minutes, as it reads the whole table for each.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import NamedTuple


class Process(NamedTuple):
    """A process as it was seen. A later one may get its number; number and start together are its own."""

    pid: int
    parent: int
    start: int
    """When it was started, in the ticks of the system; only fit for comparing two processes."""
    group: int
    session: int
    is_alive: bool
    """False if it has ended and its parent has not waited for it."""

    @property
    def identity(self) -> tuple[int, int]:
        """Tells it from every other process, earlier or later."""
        return self.pid, self.start


def processes() -> dict[int, Process] | None:
    """Return all processes by number; None where the system does not tell them, as without /proc or psutil."""
    if sys.platform != "linux":
        return _all_by_psutil()
    if not _is_proc_ours():
        return None
    with suppress(OSError):
        found = (look_up(int(name)) for name in os.listdir("/proc") if name.isdecimal())
        return {process.pid: process for process in found if process is not None}
    return None


def look_up(pid: int) -> Process | None:
    """Return the process with this number; None where there is none, or the system does not tell."""
    if sys.platform != "linux":
        return _one_by_psutil(pid)
    fields = _fields_of(pid)
    try:
        # A program may end its first thread and continue in others.
        is_alive = fields[0] not in {b"Z", b"X"} or int(fields[17]) > 1
        return Process(pid, int(fields[1]), int(fields[19]), int(fields[2]), int(fields[3]), is_alive)
    except (IndexError, ValueError):
        return None


def _fields_of(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat, from the state on; none where there is no such process."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        # The fields after the name (proc(5)), which may hold any characters.
        return file.read(4096).rpartition(b")")[2].split()
    return []


def state_of(pid: int) -> str:
    """Return the letter of a process's state (proc(5)); empty where there is none, or the system does not tell."""
    return next((field.decode("ascii", "replace") for field in _fields_of(pid)), "")


def start_of(pid: int) -> int:
    """Return when a process was started; 0 where it has ended, or the system does not tell."""
    process = look_up(pid)
    return process.start if process is not None and process.is_alive else 0


def send(process: Process, *numbers: int) -> None:
    """Send signals to this process, and never to a later one with its number; none where it has ended.

    Raises PermissionError where the system does not let us, as for a process of another user.
    """
    descriptor = _opened(process.pid)
    try:
        if descriptor is None or start_of(process.pid) != process.start:
            return
        for number in numbers:
            _send(process.pid, descriptor, number)
    finally:
        if descriptor is not None and descriptor >= 0:
            os.close(descriptor)


def _send(pid: int, descriptor: int, number: int) -> None:
    if descriptor >= 0:
        # A container may refuse this call and permit the older one.
        with suppress(OSError):
            signal.pidfd_send_signal(descriptor, number)
            return
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _opened(pid: int) -> int | None:
    """Return a descriptor of the process, -1 where the system has no such thing, None where it has ended."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return -1
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError:
        return -1


def _is_proc_ours() -> bool:
    """Tell whether /proc is there and has our numbers: in a container it may be that of the host."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def _all_by_psutil() -> dict[int, Process] | None:
    try:
        import psutil
    except ImportError:
        return None
    try:
        found = [_described(process) for process in psutil.process_iter()]
    except (psutil.Error, OSError):
        return None
    return {process.pid: process for process in found if process is not None}


def _one_by_psutil(pid: int) -> Process | None:
    try:
        import psutil
    except ImportError:
        return None
    with suppress(psutil.Error, OSError):
        return _described(psutil.Process(pid))
    return None


def _described(process: "object") -> Process | None:
    import psutil

    assert isinstance(process, psutil.Process), "it comes from there"
    with suppress(psutil.Error, OSError), process.oneshot():
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        group, session = _number_of("getpgid", process.pid), _number_of("getsid", process.pid)
        start = round(process.create_time() * 1000)
        return Process(process.pid, process.ppid(), start, group, session, is_alive)
    return None


def _number_of(name: str, pid: int) -> int:
    """Return the process group or session of a process; -1 where there is none, or we may not know."""
    try:
        return int(getattr(os, name)(pid))
    except (OSError, AttributeError):
        return -1


def identity_of(*pids: int) -> str | None:
    """Return a text that names these running processes, and never later ones; None where the system does not allow it.

    It begins with a name for this machine since its start, and for this container on it.
    """
    place = _place()
    if place is None:
        return None
    return " ".join([place, *(f"{pid}:{start}" for pid in pids if (start := start_of(pid)))])


def are_gone(identity: str) -> bool:
    """Tell whether all processes of an `identity_of` have ended; False where that cannot be told from here."""
    place, *named = identity.split()
    if place != _place():
        return False
    try:
        pairs = [(int(pid), int(start)) for pid, _, start in (each.partition(":") for each in named)]
    except ValueError:
        return False
    return all(start_of(pid) != start for pid, start in pairs)


def _place() -> str | None:
    if not _is_proc_ours():
        return None
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except (OSError, ValueError):
        return None
