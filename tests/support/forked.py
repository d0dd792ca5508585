"""Commands in processes that are forked from one that has loaded the package.

Loading takes nine tenths of the time of most commands. Each of these has a process of its own all the same, with
streams, a terminal, signals and an end. What the start of an interpreter decides (the encoding of its streams, what it
loads and from where) it does not have: a command whose variables speak of that gets an interpreter of its own, and so
do the tests of the start itself, which take `run_process` or start `command`.
"""

import marshal
import os
import select
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pexpect
import ptyprocess

from support.fork_server import KEYRING, NUMBER, prepare
from support.places import GUARD, TESTS

_WORKS = hasattr(os, "pidfd_open") and not any(name.startswith("COVERAGE") for name in os.environ)
"""The server waits for processes as Linux lets it. Coverage counts what an interpreter has loaded itself."""

_OF_THE_START = ("PYTHON", "LANG", "LC_", "LD_", "COVERAGE", "USUAL_PATIENCE")
"""How the names of variables begin that decide what an interpreter is like before it comes to us."""

_USUAL = {"LANG": "C.UTF-8", "PYTHONPATH": str(GUARD)}
"""What they are in the tests."""


class _Started(NamedTuple):
    pid: int
    connection: socket.socket

    def has_ended(self) -> bool:
        return bool(select.select([self.connection], [], [], 0)[0])

    def wait(self, timeout: float | None) -> int:
        """Return the exit code once it has ended, or minus the number of a signal. Raises TimeoutError."""
        self.connection.settimeout(timeout)
        told = self.connection.recv(NUMBER.size, socket.MSG_WAITALL)
        self.connection.close()
        return os.waitstatus_to_exitcode(NUMBER.unpack(told)[0])


class Forks:
    """The servers that fork: one for commands that record nothing, and one for those that do."""

    def __init__(self, command: str) -> None:
        self.command = command
        self._folder = tempfile.TemporaryDirectory(prefix="apimart-forks-")
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        """Held while a server starts: tests start commands from several threads."""

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            server.communicate(timeout=20)
        self._folder.cleanup()

    def can_start(self, program: str, environment: Mapping[str, str]) -> bool:
        """Tell whether this is our command, and needs no interpreter of its own in this environment."""
        deciding = {name: value for name, value in environment.items() if name.startswith(_OF_THE_START)}
        if deciding.pop(KEYRING, None) is not None:
            # It is loaded when it is needed, from where the tests have made it.
            deciding["PYTHONPATH"] = deciding.get("PYTHONPATH", "").rpartition(os.pathsep)[2]
        return _WORKS and program in {self.command, "apimart"} and deciding == _USUAL

    def process(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        closed: Sequence[int] = (),
        limits: Mapping[int, int] = MappingProxyType({}),
        encoding: str = "utf-8",
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Start a program as `subprocess.Popen` does, forked where that can be.

        It may have `closed` streams, and `limits` by their numbers in `resource`.
        """
        start: Callable[..., subprocess.Popen[str]] = subprocess.Popen
        if self.can_start(arguments[0], env) and not options.keys() & {"preexec_fn", "pass_fds"}:
            start = partial(_Process, self, closed=closed, limits=limits)
        elif closed or limits:
            options["preexec_fn"] = partial(prepare, closed, limits)
        return start(arguments, env=env, cwd=cwd, encoding=encoding, **options)

    def spawn(self, program: str, *arguments: str, env: Mapping[str, str], **options: Any) -> "pexpect.spawn[bytes]":
        """Start a program on a terminal as `pexpect.spawn` does, forked where that can be."""
        start = partial(_Spawn, self, self.command) if self.can_start(program, env) else partial(pexpect.spawn, program)
        with warnings.catch_warnings():
            # It forks this process else; the threads that serve here hold no lock that the child could miss.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            started: pexpect.spawn[bytes] = start(list(arguments), env=env, **options)
        return started

    @cached_property
    def scripts(self) -> str:
        """A folder with a program that does what our command does, forked, for scripts and shells on their PATH."""
        for record in ("0", "1"):
            self._server(record=record)
        values = {"command": self.command, "usual": _USUAL, "of_the_start": _OF_THE_START, "folder": self._folder.name}
        path = Path(self._folder.name) / "bin" / "apimart"
        path.parent.mkdir()
        path.write_text(f"#!{sys.executable} -IS\n{(SCRIPT if _WORKS else OTHERWISE).format(**values)}")
        path.chmod(0o755)
        return str(path.parent)

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str, streams: Sequence[int], **ways: Any
    ) -> _Started:
        """Start a command with these three standard streams."""
        variables = {name: str(value) for name, value in environment.items()}
        order = marshal.dumps([[self.command, *map(str, arguments)], variables, os.path.abspath(folder), ways])
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._server(record=environment.get("APIMART_RECORD", "1")))
        socket.send_fds(connection, [NUMBER.pack(len(order))], streams)
        connection.sendall(order)
        return _Started(NUMBER.unpack(connection.recv(NUMBER.size, socket.MSG_WAITALL))[0], connection)

    def _server(self, *, record: str) -> str:
        path = f"{self._folder.name}/{'nothing' if record == '0' else 'records'}"
        with self._guard:
            if path not in self._servers:
                self._servers[path] = self._started_server(path, record)
        return path

    @staticmethod
    def _started_server(path: str, record: str) -> "subprocess.Popen[bytes]":
        server = subprocess.Popen(
            [sys.executable, "-P", str(TESTS / "support" / "fork_server.py"), path],
            env={**_USUAL, "APIMART_RECORD": record},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        return server


OTHERWISE = """
import os, sys
os.execv({command!r}, [{command!r}, *sys.argv[1:]])
"""

SCRIPT = """
# Imports what the interpreter has loaded or has in it: every millisecond counts.
import marshal, os, sys
import _signal, _socket
environ = dict(os.environ)
if {{name: value for name, value in environ.items() if name.startswith({of_the_start})}} != {usual}:
    os.execv({command!r}, [{command!r}, *sys.argv[1:]])
closed = []
for number in range(3):
    try:
        os.fstat(number)
    except OSError:
        # What is opened now has its number.
        os.open(os.devnull, os.O_RDWR)
        closed.append(number)
connection = _socket.socket(_socket.AF_UNIX)
connection.connect({folder!r} + ("/nothing" if environ.get("APIMART_RECORD") == "0" else "/records"))
order = marshal.dumps([[{command!r}, *sys.argv[1:]], environ, os.getcwd(), {{"closed": closed}}])
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
connection.sendmsg([len(order).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
connection.sendall(order)
for number in range(3):
    os.close(number)
pid = int.from_bytes(connection.recv(4, _socket.MSG_WAITALL), "big")
for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
    _signal.signal(number, lambda number, _: os.kill(pid, number))
code = os.waitstatus_to_exitcode(int.from_bytes(connection.recv(4, _socket.MSG_WAITALL), "big"))
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class _Process(subprocess.Popen[str]):
    """`subprocess.Popen`, forked: with what it does for itself by fork, exec and waitpid done by a server."""

    def __init__(
        self, forks: Forks, *arguments: Any, closed: Sequence[int], limits: Mapping[int, int], **options: Any
    ) -> None:
        self._forks, self._ways = forks, {"closed": closed, "limits": list(limits.items())}
        super().__init__(*arguments, **options)

    def _execute_child(self, args: Sequence[str], *options: Any) -> None:
        folder, environment, handles = options[4], options[5], options[9:15]
        streams = [own if own != -1 else number for number, own in enumerate((handles[0], handles[3], handles[5]))]
        ways = {**self._ways, "has_session": bool(options[-2])}
        self._started = self._forks.start(args[1:], environment, str(folder), streams, **ways)
        self.pid, self._child_created = self._started.pid, True
        self._close_pipe_fds(*handles)  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **_named: Any) -> int | None:
        if self.returncode is None and self._started.has_ended():
            self.returncode = self._started.wait(None)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            try:
                self.returncode = self._started.wait(timeout)
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        return self.returncode


class _Terminal(ptyprocess.PtyProcess):  # type: ignore[misc]  # it has no types
    def __init__(self, started: _Started, descriptor: int) -> None:
        super().__init__(started.pid, descriptor)
        self._started = started
        self.exitstatus: int | None
        self.signalstatus: int | None

    def isalive(self) -> bool:
        if self.exitstatus is self.signalstatus is None and self._started.has_ended():
            self.wait()
        return self.exitstatus is self.signalstatus is None

    def wait(self) -> int | None:
        if self.exitstatus is self.signalstatus is None:
            code = self._started.wait(None)
            self.terminated = True
            self.exitstatus, self.signalstatus = (code, None) if code >= 0 else (None, -code)
        return self.exitstatus


class _Spawn(pexpect.spawn):  # type: ignore[misc]  # it has no types
    """`pexpect.spawn`, forked."""

    def __init__(self, forks: Forks, *arguments: Any, **options: Any) -> None:
        self._forks = forks
        super().__init__(*arguments, **options)

    def _spawnpty(self, args: list[str], **named: Any) -> _Terminal:
        ours, theirs = os.openpty()
        termios.tcsetwinsize(ours, named["dimensions"])
        started = self._forks.start(args[1:], named["env"], named["cwd"] or ".", [theirs] * 3, has_terminal=True)
        os.close(theirs)
        return _Terminal(started, ours)
