"""Processes that tests start, and what they leave behind."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

BREEDING = """
import os, signal, subprocess, sys, time
if {kind!r} == "orphan":
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            os.closerange(0, 3)
            os.execvp("sleep", ["sleep", "60"])
        os._exit(0)
    os.wait()
    bred = int(os.read(reader, 100))
else:
    quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ways = dict(start_new_session={kind!r} == "session", process_group=0 if {kind!r} == "group" else None)
    bred = subprocess.Popen(["sleep", "60"], **quiet, **ways).pid
print("pids", os.getpid(), bred, ".", flush=True)
"""
"""A program that starts another one and tells the numbers of both; format it with one of KINDS."""

LONGEST = 40.0
"""Seconds after which a process hangs, however busy the machine is. What tests start sleeps longer."""

KINDS = ("child", "group", "session", "orphan")
"""How far a process may go away from whoever started it: not at all, into a process group or a session of its own, or
so far that its parent has ended."""


def state(pid: int) -> str:
    """The letter of a process's state, `T` for stopped; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    """Tell whether there is a process with this number that has not ended."""
    return state(pid) not in {"", "Z"}


def wait_until(condition: Callable[[], object], seconds: float = LONGEST) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def pids(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """Wait for the report of BREEDING."""
    assert process.stdout is not None
    found = re.match(r"pids (\d+) (\d+) \.", process.stdout.readline())
    assert found
    return int(found[1]), int(found[2])
