"""A command of the user as a child process: it keeps its own streams, signals and status.

It is started as `timeout`, `env` and shells start one, which also run a script without `#!`.
"""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from apimart_cli.processes.descendants import GONE_SECONDS, Descendants, Missed, adopt_orphans, note_end, note_start
from apimart_cli.processes.pipes import read_within
from apimart_cli.processes.signals import ENDING, JOB_CONTROL, has_terminal

_SLICE = 0.05
"""Most seconds to wait at a stretch: the seconds that are left may become fewer meanwhile."""

_FIRST_PAUSE = 0.0005
"""Seconds before the second look at a command that has not ended; each further pause is twice as long."""

_LOOK_EVERY = 0.5
"""Fewest seconds between two looks at what could not be stopped."""

_EXHAUSTED = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

_SHELL = "/bin/sh"

Told = Callable[[Missed], None]
"""Takes what a signal did not reach, to tell the user."""


class Child:
    """A running command. Make it with `start`.

    Where we have a terminal it stays in our process group, which the terminal and the shell know: Ctrl-C, Ctrl-Z,
    prompts and pipelines work as without us. Elsewhere it has a group of its own, which we can end as a whole.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", *, has_own_group: bool) -> None:
        self._process = process
        self._has_own_group = has_own_group
        self._left: Descendants | None = None
        """The command, where something of it still runs after it was stopped."""
        self._unheard: Descendants | None = None
        """The command, where something of it did not get the last signal that was to end it."""
        self._look_at = 0.0
        self._is_refused = False
        self.could_not_stop = 0
        """How many of its processes still ran after it was stopped; we can only wait for their end."""
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
                # Descriptors that we were given are for the command, too: `<(...)`, the job server of make. Those that
                # we open ourselves are closed anyway.
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
        """Whether a signal has ended it. SIGPIPE does not count: it ends a command when its reader goes away."""
        status = self._process.returncode
        return status is not None and status < 0 and -status != getattr(signal, "SIGPIPE", None)

    def read(self, limit: int, seconds_left: Callable[[], float]) -> bytes:
        """Return what it prints until it closes its output, at most `limit` bytes.

        Raises TimeoutError when its output is still open after the last of the seconds.
        """
        stream = self._process.stdout
        assert stream is not None, "only a captured command is read"
        return read_within(stream.fileno(), limit, seconds_left)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and return its exit status, 128 + n after signal n; None after `timeout` seconds.

        Raises ChildProcessError when the status is lost: SIGCHLD is ignored, or other code has waited for it.
        """
        try:
            has_ended = self._wait_for_end(timeout)
        except ChildProcessError:
            self._forget()
            raise
        return self._forget() if has_ended else None

    def wait_within(self, seconds_left: Callable[[], float]) -> int | None:
        """Wait as `wait`, for as long as there are `seconds_left`."""
        status = self.wait(0)
        while status is None and (left := seconds_left()) > 0:
            status = self.wait(min(_SLICE, left))
        return status

    def relay(self, number: int, told: Told = lambda _missed: None) -> None:
        """Hand a signal on to the command; if it ends processes, to everything that the command has started, too.

        `told` is called with what could not be reached; `look_after` calls it again while that runs.
        """
        if self._process.returncode is not None:
            return
        if number not in ENDING:
            self._signal(number, to_group=number in JOB_CONTROL)
            return
        descendants = Descendants(self._process.pid)
        descendants.look()
        self._signal_to_end(number)
        descendants.signal(number, except_group=self._group)
        missed = self._missed(descendants, told)
        self._unheard = descendants if missed.pids else None

    def look_after(self, told: Told) -> None:
        """Call `told` with what did not get the last signal that was to end it, while that runs."""
        began = time.monotonic()
        if self._unheard is None or began < self._look_at:
            return
        self._unheard.look()
        if not self._missed(self._unheard, told).pids:
            self._unheard = None
        self._look_at = time.monotonic() + max(_LOOK_EVERY, 20 * (time.monotonic() - began))

    def follow_stop(self, *, unless: Callable[[], bool] = lambda: False) -> None:
        """If it was stopped (Ctrl-Z), stop as well, as the shell expects of its job; go on together.

        `unless` is called after the stop was seen, and tells whether it came because we were stopped: it is not
        followed then.
        """
        if not hasattr(os, "waitid") or not self.shares_our_group or self._process.returncode is not None:
            return
        pid = self._process.pid
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) and not unless():
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
                os.kill(os.getpid(), signal.SIGSTOP)
                # `fg` continues the whole group, `kill -CONT` only us. Another Ctrl-Z may have come already.
                if not os.waitid(os.P_PID, pid, os.WCONTINUED | os.WSTOPPED | os.WNOWAIT | os.WNOHANG):
                    self._signal(signal.SIGCONT)
                os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOHANG)

    def stop(self, grace: float, told: Told = lambda _missed: None) -> int | None:
        """End it and everything that it has started, with SIGTERM and after `grace` seconds with SIGKILL.

        Return its exit status, as `wait` does; None where it goes on, because the system does not let us end it. `told`
        is called at once, and again and again, with what could not be reached; `goes_on` tells later whether something
        of that still runs.
        """
        if self._process.returncode is None:
            self._end(grace, told)
            if not self._has_ended():
                return None
        return self._forget()

    def goes_on(self, told: Told) -> bool:
        """Tell whether something that could not be stopped still runs; end what can be ended by now."""
        if self._left is None:
            return False
        began = time.monotonic()
        if began >= self._look_at:
            self._left.kill_what_lives()
            missed = self._missed(self._left, told)
            if not missed.pids and not self._left.are_seen:
                self._left = None
                return False
            self.could_not_stop = max(self.could_not_stop, len(missed.pids))
            self._look_at = time.monotonic() + max(_LOOK_EVERY, 20 * (time.monotonic() - began))
        return True

    def _end(self, grace: float, told: Told) -> None:
        descendants = Descendants(self._process.pid)
        was_refused = False
        if grace > 0:
            descendants.look()
            # A process that is stopped, as it reads a terminal in the background say, gets SIGTERM when it goes on.
            numbers = (signal.SIGTERM, *([signal.SIGCONT] if hasattr(signal, "SIGCONT") else []))
            for number in numbers:
                self._signal_to_end(number)
            was_refused = self._is_refused
            descendants.signal(*numbers, except_group=self._group)
            self._wait_for_all(descendants, grace, told)
        descendants.kill(self._signal_to_end)
        if not self._is_refused:
            self._wait_for_end(GONE_SECONDS)
        missed = self._missed(descendants, told)
        self.could_not_stop = max(len(missed.pids), int(was_refused))
        if missed.pids or descendants.are_seen:
            self._left = descendants

    def _wait_for_all(self, descendants: Descendants, grace: float, told: Told) -> None:
        """Wait until everything that got the signal has ended, at most for `grace` seconds."""
        give_up_at = time.monotonic() + grace
        while True:
            began = time.monotonic()
            living = {process.pid for process in descendants.look()}
            missed = self._missed(descendants, told)
            has_ended = self._is_refused or self._has_ended()
            # Looking takes at most a fifth of the time, even for thousands of processes.
            pause = min(max(_SLICE, 4 * (time.monotonic() - began)), give_up_at - time.monotonic())
            if pause <= 0 or (has_ended and not living - set(missed.refused)):
                return
            if has_ended:
                time.sleep(pause)
            else:
                self._wait_for_end(pause)

    def _has_ended(self) -> bool:
        try:
            return self._wait_for_end(0)
        except ChildProcessError:
            return True

    def _missed(self, descendants: Descendants, told: Told) -> Missed:
        """Return what could not be reached, and call `told` with it if there is something.

        The command itself is known even without the table of processes.
        """
        missed, pid = descendants.missed(), self._process.pid
        if self._is_refused and pid not in missed.refused and not self._has_ended():
            missed = missed._replace(refused=sorted([*missed.refused, pid]))
        if missed != Missed():
            told(missed)
        return missed

    @property
    def _group(self) -> int | None:
        return self._process.pid if self._has_own_group else None

    def _forget(self) -> int:
        """Take its status and return it, 128 + n after signal n. The system may use its number again from here on."""
        status = self._process.wait()
        note_end(self._process.pid)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return 128 - status if status < 0 else status

    def _wait_for_end(self, timeout: float | None) -> bool:
        """Wait until it has ended, or for `timeout` seconds. Its number stays its own, as its status is not taken."""
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

    def _signal_to_end(self, number: int) -> None:
        """Send a signal that ends it, and note whether the system lets us."""
        self._is_refused = not self._signal(number)

    def _signal(self, number: int, *, to_group: bool = True) -> bool:
        """Send a signal to it, or to its process group; return whether the system lets us."""
        try:
            if self._has_own_group and to_group:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            # Some systems raise this for a process that has ended.
            return self._has_ended()
        return True


def as_shells_do(
    start: Callable[[Sequence[str]], "subprocess.Popen[bytes]"],
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `command`; where the system does not know the format of its file, have the shell run the file as a script.

    execvp(3) does so, with which `timeout` and `env` start a command; Python does not use it. The file is looked for in
    the PATH of `environment`, or of ours. Raises what `start` raises.
    """
    try:
        return start(command)
    except OSError as error:
        if error.errno != errno.ENOEXEC or not os.path.exists(_SHELL):
            raise
        import shutil

        path = (os.environ if environment is None else environment).get("PATH", os.defpath)
        if script := shutil.which(command[0], path=path):
            with suppress(OSError):
                return start([_SHELL, script, *command[1:]])
        raise


def hint_for(error: Exception, usual: str) -> str:
    """Return the hint for an error of `Child.start`: the `usual` one, unless the system lacks something."""
    is_exhausted = isinstance(error, OSError) and error.errno in _EXHAUSTED
    return "look at the limits of this process (ulimit -a) and of its container" if is_exhausted else usual
