"""A gateway over TLS, and proxies before it, on raw sockets: they keep what they were sent, for tests to look at.

They share no code with the client, and nothing but plain sockets with the sandbox.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)
"""The documented answer of the gateway: 10.5 left, 2.3 used."""

STARTUP = 6
"""Seconds that a busy machine may take to start an interpreter."""

Serve = Callable[[socket.socket], None]


@cache
def authority() -> trustme.CA:
    """A certificate authority of our own, made once."""
    return trustme.CA()


def certified(*names: str, **validity: datetime) -> ssl.SSLContext:
    """The TLS settings of a server whose certificate our authority issued for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names, **validity).configure_cert(context)
    return context


def lax_certified(ca_file: Path, fault: str) -> ssl.SSLContext:
    """The TLS settings of a server whose authority, written to `ca_file`, is as many were made by hand: not strict."""
    now = datetime.now(UTC)
    made = []
    for name, subject in ((None, "an authority by hand"), ("localhost", "localhost")):
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key, issuer = (made[0][0], made[0][1].subject) if made else (key, _named(subject))
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=9))
        )
        if fault != "subject key identifier" or name:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        if name:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            if fault != "authority key identifier":
                identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
                builder = builder.add_extension(identifier, critical=False)
        else:
            is_critical = fault != "basic constraints"
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=is_critical)
            if fault != "key usage":
                builder = builder.add_extension(_SIGNING, critical=True)
        made.append((key, builder.sign(issuer_key, hashes.SHA256())))
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(made[0][1].public_bytes(pem))
    server = ca_file.with_suffix(".server")
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server.write_bytes(made[1][1].public_bytes(pem) + made[1][0].private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return context


def _named(subject: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])


_SIGNING = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


class Listener:
    """A server on a port of its own that gives each connection to `serve`, in a thread, until the block is left.

    With a `context` it is reached over TLS.
    """

    def __init__(self, serve: Serve, context: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        """How many connections were opened, whatever became of them."""
        self._serve = serve
        self._context = context
        self._handlers: list[threading.Thread] = []
        self._starting = threading.Lock()
        """Held while a connection is counted and its thread starts: only then can it be waited for."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # Closing alone does not wake the thread that accepts.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with self._starting:
                    # Counted before it is served: the client may have ended by the time that this thread goes on.
                    self.connections += 1
                    handler = threading.Thread(target=self._handle, args=(connection,), daemon=True)
                    self._handlers.append(handler)
                    handler.start()

    def settle(self) -> None:
        """Wait until every connection was served to its end, so that nothing more arrives that was sent before."""
        with self._starting:
            handlers = list(self._handlers)
        for handler in handlers:
            handler.join(timeout=20)
            assert not handler.is_alive()

    def _handle(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(20)
            if self._context is None:
                self._serve(connection)
            else:
                with self._context.wrap_socket(connection, server_side=True) as safe:
                    self._serve(safe)


class Gateway(Listener):
    """A gateway that gives each question the same `answer`: over TLS with a context, in the clear without."""

    def __init__(self, context: ssl.SSLContext | None, *, answer: bytes = ANSWER) -> None:
        super().__init__(self._converse, context)
        self._reply = answer
        self.received: list[bytes] = []
        """Each question that arrived, decrypted."""

    def _converse(self, connection: socket.socket) -> None:
        self.received.append(connection.recv(65536))
        connection.sendall(self._reply)


class Proxy(Listener):
    """A proxy that connects to whatever it is asked for with CONNECT, or refuses all with one `refusal`."""

    def __init__(self, refusal: bytes | None = None, *, context: ssl.SSLContext | None = None) -> None:
        super().__init__(self._tunnel, context)
        self.questions: list[bytes] = []
        """The head of each request that it was sent."""
        self.relayed = b""
        """Everything that went through to the other side."""
        self._refusal = refusal

    def _tunnel(self, connection: socket.socket) -> None:
        head = connection.recv(65536)
        self.questions.append(head)
        if self._refusal is not None:
            connection.sendall(self._refusal)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._relay(connection, other)

    def _relay(self, client: socket.socket, other: socket.socket) -> None:
        """Hand on what comes from either side until one of them ends. In one thread: two must not share TLS."""
        chunk = b"all"
        while chunk:
            waiting = client.pending() if isinstance(client, ssl.SSLSocket) else 0
            ready, _, _ = select.select([client, other], [], [], 0 if waiting else 20)
            if waiting or client in ready:
                chunk = client.recv(65536)
                self.relayed += chunk
                other.sendall(chunk)
            else:
                chunk = other.recv(65536) if ready else b""
                client.sendall(chunk)


class SocksProxy(Listener):
    """A SOCKS 5 proxy that answers the request for a connection with one `reply`, and wants a password."""

    GRANTED, REFUSED, UNREACHABLE = 0, 5, 4

    def __init__(self, reply: int) -> None:
        super().__init__(self._negotiate)
        self._reply = reply

    def _negotiate(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"\x05\x02")
        connection.recv(65536)
        connection.sendall(b"\x01\x00")
        connection.recv(65536)
        connection.sendall(bytes((5, self._reply, 0, 1)) + bytes(6))
        while connection.recv(65536):
            pass


@contextmanager
def dead_port() -> Iterator[int]:
    """A port that nobody listens on, kept from everybody else meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
