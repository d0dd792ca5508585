"""A server that sends exactly the bytes it is told to, exactly when it is told to, over raw sockets on loopback."""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Self

from support.stopwatch import Stopwatch


class Door(Enum):
    """What becomes of those who connect."""

    OPEN = "they are let in"
    SHUT = "nobody listens: they are refused"
    CROWDED = "the queue before the door is full: they wait for ever"


class Closing(Exception):  # noqa: N818  # not an error: the test is over
    """The server is being closed while a step waits."""


class Connection:
    """One client, as the steps of a script see it."""

    def __init__(self, peer: socket.socket, closing: threading.Event, replacements: Mapping[bytes, bytes]) -> None:
        self.peer = peer
        self._closing = closing
        self._replacements = replacements

    def send(self, data: bytes) -> None:
        """Send `data`, the addresses in it filled in."""
        for placeholder, value in self._replacements.items():
            data = data.replace(placeholder, value)
        self.peer.sendall(data)

    def wait(self, seconds: float | None) -> None:
        """Wait; for ever, when `seconds` is None."""
        if self._closing.wait(seconds):
            raise Closing

    def read_head(self) -> bytes:
        """Return what the client sends, up to the empty line after its headers."""
        head = b""
        while b"\r\n\r\n" not in head and (chunk := self.peer.recv(65536)):
            head += chunk
        return head

    def finish(self) -> None:
        """End the answer, and take in what is left of the question: closing on top of it would destroy the answer."""
        self.peer.shutdown(socket.SHUT_WR)
        while self.peer.recv(65536):
            pass


Action = Callable[[Connection], None]
Script = Sequence[bytes | Action]
"""What one connection does: bytes are sent, actions are called. After the last one the connection is closed."""


def drip(data: bytes, every: float = 0.1) -> Action:
    """Send `data` byte by byte, `every` seconds one."""

    def act(connection: Connection) -> None:
        for position in range(len(data)):
            connection.send(data[position : position + 1])
            connection.wait(every)

    return act


def flood(data: bytes, times: int | None = None, every: float = 0.0) -> Action:
    """Send `data` again and again, for ever when `times` is None, `every` seconds once."""

    def act(connection: Connection) -> None:
        sent = 0
        while times is None or sent < times:
            connection.send(data)
            connection.wait(every)
            sent += 1

    return act


def pause(seconds: float) -> Action:
    """Do nothing for a while."""
    return lambda connection: connection.wait(seconds)


def stall(connection: Connection) -> None:
    """Do nothing for ever, with the connection open."""
    connection.wait(None)


def reset(connection: Connection) -> None:
    """Break the connection off with a TCP reset."""
    connection.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.peer.close()
    raise Closing


def unasked(_connection: Connection) -> None:
    """As the first step of a script: do not wait for the question."""


class FaultServer:
    """Plays `scripts`, one for each connection, the last one again for all further ones. Use as a context manager.

    Key and account are asked side by side: each has the scripts by itself, or the account those of `account`.

    In what it sends, `@SELF@` stands for its own base URL and `@OTHER@` for the one of `other`.
    """

    def __init__(
        self, scripts: Sequence[Script], *, account: Sequence[Script] | None = None, door: Door = Door.OPEN,
        other: "FaultServer | None" = None,
    ) -> None:  # fmt: skip
        self.contacts = 0
        """How many clients were let in."""
        self.heads: list[bytes] = []
        """The questions, each up to the end of its headers."""
        self.since_contact: Stopwatch | None = None
        """Runs from when the first client was let in."""
        self._scripts = {False: scripts, True: scripts if account is None else account}
        self._played: Counter[bool] = Counter()
        self._choosing = threading.Lock()
        self._door = door
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = self._open_door()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._replacements = {b"@SELF@": self.url.encode(), b"@OTHER@": (other or self).named_url.encode()}

    @property
    def named_url(self) -> str:
        """The same address with another host name in it."""
        return f"http://localhost:{self.port}"

    def __enter__(self) -> Self:
        if self._door is Door.OPEN:
            self._start(self._accept)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._closing.set()
        if self._door is Door.OPEN:
            # First the thread that lets in, woken by a last client: after it nobody new comes.
            socket.create_connection(self._listener.getsockname(), timeout=5).close()
            self._threads[0].join(timeout=5)
        for opened in self._sockets:
            # Whoever waits in it for the client wakes up.
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        for opened in (self._listener, *self._sockets):
            opened.close()
        assert not any(thread.is_alive() for thread in self._threads), "a connection of the fault server did not end"

    def _open_door(self) -> socket.socket:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        if self._door is Door.OPEN:
            listener.listen(128)
        elif self._door is Door.CROWDED:
            listener.listen(0)
            # The queue holds one connection more than it was asked to; further ones stay unanswered.
            for _ in range(3):
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
                self._sockets.append(waiting)
        return listener

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            if self._closing.is_set():
                peer.close()
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.since_contact = self.since_contact or Stopwatch()
            self._sockets.append(peer)
            # Counted before it is served: who has an answer finds its contact counted.
            self.contacts += 1
            self._start(self._serve, peer)

    def _choose(self, peer: socket.socket) -> Script:
        """Return what is played to a client: the next script of what it asks about."""
        is_about_account = False
        if self._scripts[False] is not self._scripts[True] or unasked not in self._scripts[False][0][:1]:
            asked = b""
            while b"\r\n" not in asked and (seen := peer.recv(65536, socket.MSG_PEEK)) != asked:
                asked = seen
            is_about_account = b"/user/balance " in asked.partition(b"\r\n")[0]
        with self._choosing:
            number = self._played[is_about_account]
            self._played[is_about_account] += 1
        scripts = self._scripts[is_about_account]
        return scripts[min(number, len(scripts) - 1)]

    def _serve(self, peer: socket.socket) -> None:
        connection = Connection(peer, self._closing, self._replacements)
        # A client that has heard enough hangs up: that ends the script, and is its good right.
        with suppress(OSError, Closing):
            script = self._choose(peer)
            if unasked not in script[:1]:
                self.heads.append(connection.read_head())
            for step in script:
                if isinstance(step, bytes):
                    connection.send(step)
                else:
                    step(connection)
            connection.finish()
        peer.close()
