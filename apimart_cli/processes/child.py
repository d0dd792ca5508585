"""A command of the user as a child process: it keeps its own streams, signals and status."""

import errno
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from apimart_cli.processes.descendants import Descendants, adopt_orphans, note_end, note_start
from apimart_cli.processes.signals import ENDING, JOB_CONTROL
from apimart_cli.processes.starting import as_shells_do

_SLICE = 0.05
"""Most seconds to wait at a stretch: the time that is left may become less while we wait."""

_FIRST_PAUSE = 0.0005
"""Seconds before the second look at a command that has not ended; each further pause is twice as long."""

_EXHAUSTED = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


class Child:
    """A running command. Make it with `start`.

    Where we have a terminal it stays in our process group, which is what the terminal and the shell know: Ctrl-C,
    Ctrl-Z, prompts and pipelines work as without us. Elsewhere it has a group of its own, which ends as a whole.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", *, has_own_group: bool) -> None:
        self._process = process
        self._has_own_group = has_own_group
        note_start(process.pid)

    @classmethod
    def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str] | None = None, captured: bool = False
    ) -> Self:
        """Start `command` without a shell, with `environment` in place of ours where one is given.

        With `captured` it has no standard input, and `read` gets what it prints. Raises OSError or ValueError when it
        cannot be started.
        """
        has_own_group = not has_terminal()
        adopt_orphans()

        def started(words: Sequence[str]) -> "subprocess.Popen[bytes]":
            return subprocess.Popen(  # noqa: S603  # the user's own command
                words,
                env=environment,
                stdin=subprocess.DEVNULL if captured else None,
                stdout=subprocess.PIPE if captured else None,
                # What we were given is the command's too: `<(...)`, the job server of make. Our own are closed anyway.
                close_fds=captured,
                process_group=0 if has_own_group else None,
            )

        return cls(as_shells_do(started, command, environment), has_own_group=has_own_group)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def shares_our_group(self) -> bool:
        """Whether the terminal and the shell signal it together with us."""
        return not self._has_own_group

    @property
    def was_killed(self) -> bool:
        """Whether a signal has ended it. SIGPIPE does not count: so a command ends that is read no further."""
        status = self._process.returncode
        return status is not None and status < 0 and -status != getattr(signal, "SIGPIPE", None)

    def read(self, limit: int, seconds_left: Callable[[], float]) -> bytes:
        """Return what it prints until it closes its output, at most `limit` bytes.

        Raises TimeoutError when no time is left before that: somebody still holds its output.
        """
        stream = self._process.stdout
        assert stream is not None, "only a captured command is read"
        printed = b""
        while len(printed) < limit:
            if (left := seconds_left()) <= 0:
                raise TimeoutError
            if _is_readable(stream.fileno(), min(_SLICE, left)):
                chunk = os.read(stream.fileno(), limit - len(printed))
                if not chunk:
                    break
                printed += chunk
        return printed

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and return its exit status, 128 + n after signal n; None after `timeout` seconds.

        Raises ChildProcessError when the status is lost: SIGCHLD is ignored, or somebody else has waited for it.
        """
        try:
            has_ended = self._wait_for_end(timeout)
        except ChildProcessError:
            self._forget()
            raise
        if not has_ended:
            return None
        status = self._forget()
        return 128 - status if status < 0 else status

    def wait_within(self, seconds_left: Callable[[], float]) -> int | None:
        """Wait as `wait`, for as long as there are `seconds_left`."""
        status = self.wait(0)
        while status is None and (left := seconds_left()) > 0:
            status = self.wait(min(_SLICE, left))
        return status

    def relay(self, number: int) -> None:
        """Hand a signal on to the command; one that ends processes to everything that it has started, too."""
        if self._process.returncode is not None:
            return
        if number not in ENDING:
            self._signal(number, to_group=number in JOB_CONTROL)
            return
        descendants = Descendants(self._process.pid)
        descendants.look()
        self._signal(number)
        descendants.signal(number, except_group=self._process.pid if self._has_own_group else None)

    def follow_stop(self, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Where it was stopped (Ctrl-Z), stop as well, as the shell expects it of its job; go on together.

        `unless` is asked after the stop was seen: one that came because we were stopped is not followed.
        """
        if not hasattr(os, "waitid") or not self.shares_our_group:
            return
        pid = self._process.pid
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) and not unless():
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
                os.kill(os.getpid(), signal.SIGSTOP)
                # `fg` has told the whole group; `kill -CONT` only us. Another Ctrl-Z may have come already.
                if not os.waitid(os.P_PID, pid, os.WCONTINUED | os.WSTOPPED | os.WNOWAIT | os.WNOHANG):
                    self._signal(signal.SIGCONT)
                os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOHANG)

    def stop(self, grace: float) -> int:
        """End it and everything that it has started, with SIGTERM and after `grace` seconds with SIGKILL.

        Return its exit status, as `wait` does.
        """
        if self._process.returncode is None:
            self._end(grace)
        status = self._forget()
        return 128 - status if status < 0 else status

    def _end(self, grace: float) -> None:
        descendants = Descendants(self._process.pid)
        if grace > 0:
            descendants.look()
            self._signal(signal.SIGTERM)
            descendants.signal(signal.SIGTERM, except_group=self._process.pid if self._has_own_group else None)
            if hasattr(signal, "SIGCONT"):
                # One that is stopped, because it reads a terminal in the background say, is told when it goes on.
                self._signal(signal.SIGCONT)
                descendants.signal(signal.SIGCONT)
            give_up_at = time.monotonic() + grace
            self._wait_for_end(grace)
            while descendants.look() and time.monotonic() < give_up_at:
                time.sleep(_SLICE)
        elif not self._has_own_group:
            # Before it ends: not every system gives us what it leaves behind. A group ends as a whole, and at once.
            descendants.look()
        self._signal(signal.SIGKILL)
        descendants.kill()

    def _forget(self) -> int:
        """Take its status: from here on, its number may become that of another process."""
        status = self._process.wait()
        note_end(self._process.pid)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    def _wait_for_end(self, timeout: float | None) -> bool:
        """Wait until it has ended, or for `timeout` seconds; its number stays its own until its status is taken."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
            return self._process.returncode is not None
        if timeout is None:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT) is not None
        give_up_at = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            left = give_up_at - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(2 * pause, _SLICE)
        return True

    def _signal(self, number: int, *, to_group: bool = True) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self._has_own_group and to_group:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)


def hint_for(error: Exception, usual: str) -> str:
    """Return the hint for an error of `Child.start`: the `usual` one, unless the system lacks something."""
    is_exhausted = isinstance(error, OSError) and error.errno in _EXHAUSTED
    return "look at the limits of this process (ulimit -a) and of its container" if is_exhausted else usual


def has_terminal() -> bool:
    """Tell whether there is a terminal that sends us the signals of its keys."""
    if not hasattr(os, "ctermid"):
        return True  # Windows: Ctrl-C reaches every process of the console, and can be sent to none of them alone.
    try:
        os.close(os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _is_readable(descriptor: int, seconds: float) -> bool:
    """Wait for something to read. `select` knows only the first 1024 descriptors; Windows has no `poll`."""
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], seconds)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
