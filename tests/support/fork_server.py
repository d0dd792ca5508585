"""Loads the package once, and forks a process for every command that is ordered (`support/forked.py`)."""

import fcntl
import gc
import importlib
import marshal
import os
import pkgutil
import resource
import selectors
import socket
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

NUMBER = struct.Struct("!I")

KEYRING = "PYTHON_KEYRING_BACKEND"
"""The variable that names a keyring, which may be one of a test's own."""

LATE = {"typer.rich_utils", "keyring"}
"""What each command has to load for itself, as it looks at the environment when it is loaded."""


def serve(path: str) -> None:
    """Take orders at this path until standard input ends."""
    selector = selectors.DefaultSelector()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    pid = _start(connection)
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
                elif key.data is None:
                    return
                elif key.fileobj is key.data[1]:
                    # The test has its status. Until then, what has ended can be looked at, like any child that has.
                    selector.unregister(key.fd)
                    os.waitpid(key.data[0], 0)
                    key.data[1].close()
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _tell_end(*key.data)
                    selector.register(key.data[1], selectors.EVENT_READ, key.data)


def _tell_end(pid: int, connection: socket.socket) -> None:
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended
    _tell(connection, ended.si_status << 8 if ended.si_code == os.CLD_EXITED else ended.si_status)


def _tell(connection: socket.socket, number: int) -> None:
    # The test may have ended before its process.
    with suppress(OSError):
        connection.sendall(NUMBER.pack(number))


def _start(connection: socket.socket) -> int:
    """Fork what is ordered on this connection, and tell its number."""
    head, streams, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
    order = marshal.loads(connection.recv(NUMBER.unpack(head)[0], socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        try:
            _become(streams, *order)
        finally:
            os._exit(97)
    for each in streams:
        os.close(each)
    _tell(connection, pid)
    return pid


def prepare(closed: Sequence[int], limits: Mapping[int, int]) -> None:
    """Close streams and set limits of this process, by their numbers in `resource`."""
    for number in closed:
        os.close(number)
    for number, most in limits.items():
        resource.setrlimit(number, (most, most))


def _become(
    streams: Sequence[int], arguments: list[str], environment: Mapping[str, str], folder: str, ways: Mapping[str, Any]
) -> None:
    """Be like a process that was just started, and run its command."""
    if ways.get("has_session") or ways.get("has_terminal"):
        os.setsid()
    if ways.get("has_terminal"):
        fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 1024)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    if KEYRING in environment:
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    sys.argv = arguments
    # As the interpreter opens them in this locale.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    for number in ways.get("closed", ()):
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    prepare(ways.get("closed", ()), dict(ways.get("limits", ())))
    from apimart_cli.__main__ import run

    run()


if __name__ == "__main__":
    import apimart_cli

    for module in pkgutil.walk_packages(apimart_cli.__path__, "apimart_cli."):
        importlib.import_module(module.name)
    assert not LATE & set(sys.modules)
    gc.collect()
    gc.freeze()
    serve(sys.argv[1])
