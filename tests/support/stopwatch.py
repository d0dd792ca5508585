"""How long something takes, and how much of that is due to what else the machine does.

A promise of so many seconds is about our own: those in which nothing on this machine waits for a processor or a disk.
Where the system does not tell how many those are, all are ours.
"""

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.processes import wait_until

HANGS = 10.0
"""Seconds more than promised after which something hangs, however busy the machine is."""


class Took(NamedTuple):
    """How long something took."""

    seconds: float
    """All of them."""
    ours: float
    """Those in which no process of this machine waited for a processor or a disk."""

    def assert_within(self, promised: float) -> None:
        """Fail where that were more than so many seconds of our own, or HANGS more than those in all."""
        assert self.ours <= promised
        assert self.seconds <= promised + HANGS


class Stopwatch:
    """Runs from when it is made: `watch = Stopwatch()`, and then `watch.took().assert_within(2)`."""

    def __init__(self) -> None:
        self._began, self._was_crowded = time.monotonic(), _crowded()

    def took(self) -> Took:
        """Return how long it has run."""
        seconds = time.monotonic() - self._began
        return Took(seconds, seconds - (_crowded() - self._was_crowded))


def wait_within(condition: Callable[[], object], seconds: float) -> None:
    """Return as soon as `condition` holds; fail when that takes more than so many seconds of our own."""
    watch = Stopwatch()
    wait_until(condition, seconds + HANGS)
    watch.took().assert_within(seconds)


def seconds_to_end(process: "subprocess.Popen[str]", number: int) -> float:
    """Send a process this signal and wait for its end.

    Return the seconds that this took, but for those in which the process could have run, and others did.
    """
    descriptor = os.pidfd_open(process.pid)
    try:
        began, had_waited = time.monotonic(), _waited(process.pid)
        process.send_signal(number)
        assert select.select([descriptor], [], [], HANGS)[0], "it does not end"
        # It has not been waited for yet, so that its files are there.
        return time.monotonic() - began - (_waited(process.pid) - had_waited)
    finally:
        os.close(descriptor)


def _waited(pid: int) -> float:
    """Return the seconds for which the first thread of a process has waited for a processor."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def _crowded() -> float:
    """Return the seconds, since the machine was started, in which a process waited for a processor or a disk."""
    total = 0
    for resource in ("cpu", "io"):
        try:
            some = Path("/proc/pressure", resource).read_text(encoding="ascii").splitlines()[0]
        except OSError:
            continue
        total += int(some.rpartition("total=")[2])
    return total / 1e6
