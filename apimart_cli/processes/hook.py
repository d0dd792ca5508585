"""Commands apart from us: a hook that is told of an event, and a process of our own that goes on after we have ended.

Both have a session of their own and none of our streams. A hook has no shell, and a short time.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

from apimart_cli.processes.child import Child, as_shells_do
from apimart_cli.processes.descendants import starting_apart
from apimart_cli.processes.pipes import is_readable
from apimart_cli.processes.signals import at_ending, masked

KEPT = 2000
"""Most bytes that are kept of what a hook prints."""

_CHUNK = 65_536
_SLICE = 0.05
"""Most seconds between two looks at whether it has ended."""

_GRACE = 0.5
"""Seconds that it has to end by itself when its time is over."""

_PATHS = (
    "APIMART_API_KEY_FILE",
    "APIMART_CONFIG",
    "APIMART_HISTORY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Variables that name files, perhaps relative to the current folder, which the process leaves."""


class Ended(NamedTuple):
    """How a hook ended."""

    status: int | None
    """Its exit status, 128 + n after signal n; None when it was stopped, because its time was over."""
    printed: bytes
    """The first bytes that it wrote, on either stream."""
    goes_on: bool = False
    """Whether something of it could not be stopped."""


def run_hook(command: Sequence[str], *, environment: Mapping[str, str], told: bytes, seconds: float) -> Ended:
    """Run `command` with this environment and no other, and `told` on standard input; wait for its end.

    All that it prints is read, so that it never waits for us; the first bytes are returned. If it has not ended after
    `seconds`, it is stopped, together with what it has started. What it leaves behind otherwise goes on.

    Raises OSError or ValueError when it cannot be started, ChildProcessError when its status is lost.
    """
    started: list[subprocess.Popen[bytes]] = []

    def end_it() -> None:
        for process in started:
            if process.returncode is None:
                with suppress(OSError):
                    if hasattr(os, "killpg"):
                        os.killpg(process.pid, signal.SIGKILL)
                    else:
                        process.kill()

    with _Output() as output, at_ending(end_it):

        def start(words: Sequence[str]) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(  # noqa: S603  # the user's own command
                words,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output.end_for_others,
                stderr=output.end_for_others,
                close_fds=True,
                start_new_session=True,
            )

        # Our threads, but not the main one, hold signals back, and it would inherit that.
        is_main = threading.current_thread() is threading.main_thread()
        with nullcontext() if is_main else masked("SIG_SETMASK", ()), starting_apart() as note:
            process = as_shells_do(start, command, environment)
            started.append(process)
            note(process.pid)
        output.is_passed_on()
        child = Child(process, has_own_group=hasattr(os, "setsid"))
        give_up_at = time.monotonic() + seconds
        _write(process.stdin, told)
        status = child.wait(0)
        while status is None and (left := give_up_at - time.monotonic()) > 0:
            output.read(min(_SLICE, left))
            status = child.wait(0)
        if status is None:
            child.stop(_GRACE)
        output.read(0)
        return Ended(status, output.kept, goes_on=child.could_not_stop > 0)


class _Output:
    """What a hook prints: read as it comes; the first bytes are kept."""

    def __init__(self) -> None:
        self.kept = b""
        self._reader: int | None = None
        self.end_for_others = subprocess.DEVNULL
        # Windows has no way to look whether there is something in a pipe.
        if hasattr(select, "poll"):
            self._reader, self.end_for_others = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.is_passed_on()
        self._close()

    def is_passed_on(self) -> None:
        """Close our copy of the end that was given to the hook."""
        if self.end_for_others >= 0:
            os.close(self.end_for_others)
            self.end_for_others = -1

    def read(self, seconds: float) -> None:
        """Read what is there, or comes within so many seconds."""
        if self._reader is None:
            time.sleep(seconds)
        elif is_readable(self._reader, seconds):
            chunk = os.read(self._reader, _CHUNK)
            self.kept += chunk[: KEPT - len(self.kept)]
            if not chunk:
                self._close()

    def _close(self) -> None:
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None


def _write(stream: IO[bytes] | None, told: bytes) -> None:
    """Write what the hook is told. It fits in a pipe's buffer, so this never blocks, even if the hook does not read."""
    if stream is not None:
        with suppress(OSError), stream:
            stream.write(told)


def start_detached(arguments: Sequence[str], *, environment: Mapping[str, str], told: bytes = b"") -> None:
    """Start `apimart` with these arguments and variables, and return at once. Raises OSError when that is not possible.

    It can read `told` on standard input: less than a pipe holds, so that this never waits. It has a session of its own,
    so that closing a terminal does not end it; no stream and no open file of ours; and the root folder, so that it
    keeps no file system busy.
    """
    if not sys.executable:
        raise FileNotFoundError("this Python does not know where it is")
    flags = (getattr(subprocess, name, 0) for name in ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"))
    process = subprocess.Popen(  # noqa: S603  # ourselves
        # As isolated as we are: with PYTHONPATH, Python may find the package elsewhere, or not at all.
        [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", "apimart_cli", *arguments],
        env=_environment(environment),
        cwd=Path(os.sep),
        stdin=subprocess.PIPE if told else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=True,
        start_new_session=True,
        creationflags=sum(flags),
    )
    if process.stdin is not None:
        with suppress(OSError), process.stdin:
            process.stdin.write(told)
    # We do not wait for it, about which `Popen` would complain.
    process.returncode = 0


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return these variables, with relative paths written out."""
    return {**environ, **{name: _written_out(environ[name], name) for name in _PATHS if environ.get(name)}}


def _written_out(value: str, name: str) -> str:
    # There may be several folders with certificates, as in PATH.
    paths = value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]
    return os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in paths)
