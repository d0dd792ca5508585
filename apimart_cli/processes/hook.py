"""A process of our own that goes on without us: nobody waits for it, and it holds nothing of whoever started us.

A command that is told of an event: no shell, a session of its own, a short time, and nothing of our streams.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

from apimart_cli.processes.child import Child, as_shells_do, is_readable
from apimart_cli.processes.descendants import starting_apart
from apimart_cli.processes.signals import at_ending

_PATHS = (
    "APIMART_API_KEY_FILE",
    "APIMART_CONFIG",
    "APIMART_HISTORY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Variables that name files, perhaps from the current folder on, which it leaves."""


def start_detached(arguments: Sequence[str], *, environment: Mapping[str, str], told: bytes = b"") -> None:
    """Start `apimart` with these arguments and variables, and return at once. Raises OSError when that is not possible.

    `told` is what it can read on standard input, less than a pipe holds, so that this never waits.

    It has a session of its own, so that closing a terminal does not end it; no stream and no open file of ours; and
    the root folder, so that it keeps no file system busy.
    """
    if not sys.executable:
        raise FileNotFoundError("this Python does not know where it is")
    flags = (getattr(subprocess, name, 0) for name in ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"))
    process = subprocess.Popen(  # noqa: S603  # ourselves
        # As isolated as we are: with PYTHONPATH it may be found in another place, or not at all.
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
    # Nobody waits for it, which `Popen` would complain about.
    process.returncode = 0


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return these variables, with relative paths written out."""
    return {**environ, **{name: _written_out(environ[name], name) for name in _PATHS if environ.get(name)}}


def _written_out(value: str, name: str) -> str:
    # Of folders with certificates there may be several, as in PATH.
    paths = value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]
    return os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in paths)


KEPT = 2000
"""Most bytes that are kept of what it prints."""

_CHUNK = 65_536
_SLICE = 0.05
"""Most seconds between two looks whether it has ended."""

_GRACE = 0.5
"""Seconds that it has to end by itself when it is stopped."""


class Ended(NamedTuple):
    """How a hook ended."""

    status: int | None
    """Its exit status, 128 + n after signal n; None when it was stopped, because its time was over."""
    printed: bytes
    """The first of what it wrote, on either stream."""
    goes_on: bool = False
    """Whether something of it could not be stopped."""


def run_hook(command: Sequence[str], *, environment: Mapping[str, str], told: bytes, seconds: float) -> Ended:
    """Run `command` with this environment and no other, and `told` on standard input; wait for its end.

    What it prints is read to its end, so that it never waits for us, and the first of it is returned. When it has
    not ended after `seconds`, it is stopped, together with what it has started. What it leaves behind goes on.

    Raises OSError or ValueError when it cannot be started, ChildProcessError when its status is lost.
    """
    started: list[subprocess.Popen[bytes]] = []

    def end_it() -> None:
        for process in started:
            if process.returncode is None:
                with suppress(OSError, AttributeError):
                    os.killpg(process.pid, signal.SIGKILL)

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

        with _signals_let_in(), starting_apart() as note:
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
    """What it prints: read as it comes, and dropped but for the first of it."""

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
        """Close the end for others: they have theirs."""
        if self.end_for_others >= 0:
            os.close(self.end_for_others)
            self.end_for_others = -1

    def read(self, seconds: float) -> None:
        """Read what there is, or what comes within so many seconds."""
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
    """Write what it is told: less than any pipe holds, so that this never waits. Who reads nothing need not."""
    if stream is not None:
        with suppress(OSError), stream:
            stream.write(told)


@contextmanager
def _signals_let_in() -> Iterator[None]:
    """Start what is started in the block with no signal held back, though our threads hold them back."""
    if threading.current_thread() is threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
