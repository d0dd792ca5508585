"""`exporter` and clients it does not know: how much they may send, how many they may be, and whom they may mean."""

import re
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import yaml

from apimart_cli.sandbox.server import Sandbox
from support.exporters import Exporter, Start
from support.places import ROOT
from support.running import connected
from support.servers import write_certificate

TOKEN = "Zq7Wm3Xc9Vb1Nk5Lp8Rt"

LIMIT = 16 * 1024
"""Bytes that a question may have."""


@pytest.fixture
def token(tmp_path: Path) -> str:
    """A file with the token."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return str(path)


def ask(exporter: Exporter, sent: bytes, address: str = "127.0.0.1") -> bytes:
    """Send that, and return all that is answered until the connection ends."""
    with socket.create_connection((address, exporter.port), timeout=30) as client:
        client.sendall(sent)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return received


def status(answer: bytes) -> int:
    """Return the status of an answer."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found, answer
    return int(found[1])


def question(*headers: str, target: str = "/metrics", version: str = "HTTP/1.1") -> bytes:
    """A question with these headers alone."""
    return "".join(f"{line}\r\n" for line in (f"GET {target} {version}", *headers, "")).encode()


def test_a_question_may_have_16_kib_and_no_byte_more(start: Start, sandbox: Sandbox) -> None:
    """Its first line and all headers count, in one line or in many; a longer one is 431, and the connection ends."""
    exporter = start(env=connected(sandbox))
    host = "Host: localhost"
    rest = LIMIT - len(question(host, "X: "))
    assert status(ask(exporter, question(host, f"X: {'a' * rest}"))) == 200
    one_more = (
        question(host, f"X: {'a' * (rest + 1)}"),
        question(host, *[f"X{number}: {'a' * 1000}" for number in range(20)]),
        question(host, target=f"/metrics?{'a' * LIMIT}"),
        # Without an end.
        b"GET /metrics HTTP/1.1\r\nX: " + b"a" * (LIMIT * 5),
        b"a" * (LIMIT * 5),
    )
    for sent in one_more:
        refused = ask(exporter, sent)
        assert status(refused) == 431
        assert b"Connection: close\r\n" in refused
        assert b"aaa" not in refused
    assert status(ask(exporter, question(host, target="/-/healthy"))) == 200


def test_one_question_is_answered_and_nothing_after_it(start: Start, sandbox: Sandbox) -> None:
    """Neither a body of whatever length, in chunks or not, nor a second question: one has the limit of a connection."""
    exporter = start(env=connected(sandbox))
    for headers in (
        ("Content-Length: 1000000000000",),
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 10", "Expect: 100-continue"),
        ("Connection: keep-alive",),
    ):
        answer = ask(exporter, question("Host: localhost", *headers, target="/-/healthy") * 2)
        assert (status(answer), answer.endswith(b"\r\n\r\nhealthy\n")) == (200, True)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close\r\n" in answer


def memory_limit() -> int:
    """Return the bytes that the example for Kubernetes gives the exporter."""
    documents = yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "exporter.yaml").read_text(encoding="utf-8"))
    [pod] = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "Deployment"]
    limit: str = pod["containers"][0]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi")) * 2**20


def most_memory(exporter: Exporter) -> int:
    """Return the most bytes of memory that the process has had."""
    text = Path(f"/proc/{exporter.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return int(found[1]) * 1024


def threads(exporter: Exporter) -> int:
    """Return how many threads the process has."""
    return psutil.Process(exporter.process.pid).num_threads()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the most memory of a process is not told here")
@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "tls"])
def test_clients_without_the_token_stay_within_the_memory_of_a_pod(
    has_tls: bool, start: Start, sandbox: Sandbox, token: str, tmp_path: Path
) -> None:
    """All at once, each with as much as is read of it, or with megabytes of headers; then a scrape is answered."""
    pem = str(write_certificate(tmp_path))
    tls = ("--tls-cert", pem, "--tls-key", pem) if has_tls else ()
    exporter = start("--token-file", token, *tls, env=connected(sandbox), forked=False)
    context = ssl._create_unverified_context()
    much, more = [b"X: " + b"a" * 1000 + b"\r\n"] * 15, [b"X: " + b"a" * 65_000 + b"\r\n"] * 98
    with ExitStack() as stack:
        for number in range(300):
            client: socket.socket = stack.enter_context(socket.create_connection(("127.0.0.1", exporter.port), 30))
            try:
                if has_tls:
                    client = stack.enter_context(context.wrap_socket(client))
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
                for line in more if number % 3 else much:
                    client.sendall(line)
            except OSError:
                # Refused meanwhile.
                continue
        assert threads(exporter) < 300
        answer = socket.create_connection(("127.0.0.1", exporter.port), 30)
        client = stack.enter_context(context.wrap_socket(answer) if has_tls else answer)
        client.sendall(question("Host: localhost", f"Authorization: Bearer {TOKEN}"))
        assert status(client.recv(65536)) == 200
    assert most_memory(exporter) < memory_limit()


def test_a_page_of_a_web_site_under_another_name_learns_nothing(start: Start, sandbox: Sandbox) -> None:
    """A browser that was led here by a name that has come to mean this address is refused, on every path: 421."""
    exporter = start(env=connected(sandbox))
    exporter.wait_until_ready()
    for host in (f"evil.example:{exporter.port}", "127.0.0.1.evil.example", "10.1.2.3", ""):
        for path in ("/metrics", "/-/healthy", "/-/ready"):
            refused = ask(exporter, question(f"Host: {host}", target=path))
            assert status(refused) == 421
            assert b"apimart_" not in refused
            assert b"--allowed-host" in refused
    exporter.wait_until_told("a question for a host name that is not answered to was refused (HTTP 421)")
    assert exporter.told.count("421") == 1
    assert "evil" not in exporter.told


def test_its_addresses_and_the_names_that_were_allowed_are_answered_to(start: Start, sandbox: Sandbox) -> None:
    """With whatever port: it may be mapped."""
    allowed = ("--allowed-host", "balances.example.com", "--allowed-host", "10.1.2.3")
    exporter = start(*allowed, env=connected(sandbox))
    for host in ("127.0.0.1:1", "LOCALHOST:9899", "[::1]:9899", "balances.EXAMPLE.com.", "10.1.2.3:80"):
        assert status(ask(exporter, question(f"Host: {host}"))) == 200, host
    assert status(ask(exporter, question("Host: example.com"))) == 421


def test_where_others_reach_it_the_name_of_the_machine_counts(start: Start, sandbox: Sandbox) -> None:
    """And the address at which it was reached. On a loopback address, the name of the machine is not answered to."""
    everywhere = start("--listen", "0.0.0.0:0", "--insecure", env=connected(sandbox))
    own = socket.gethostname()
    for host, address, code in (
        (own, "127.0.0.1", 200),
        ("127.0.0.7", "127.0.0.7", 200),
        ("evil.example", "127.0.0.1", 421),
        ("192.0.2.1", "127.0.0.1", 421),
    ):
        assert status(ask(everywhere, question(f"Host: {host}"), address)) == code
    if own != "localhost":
        assert status(ask(start(env=connected(sandbox)), question(f"Host: {own}"))) == 421


def test_a_question_says_once_whom_it_is_for(start: Start, sandbox: Sandbox) -> None:
    """A whole URL counts before `Host`, and `Host` has to be there; only HTTP/1.0 may do without."""
    expected = {
        question(): 400,
        question("Host: localhost", "Host: localhost"): 400,
        question("Host: user@localhost"): 400,
        question(version="HTTP/1.0"): 200,
        question("Host: evil.example", version="HTTP/1.0"): 421,
        b"GET /metrics\r\n\r\n": 400,
        question("Host: localhost", target="*"): 400,
        question("Host: localhost", target="http://localhost:1/metrics"): 200,
        question("Host: evil.example", target="HTTP://127.0.0.1/metrics"): 200,
        question("Host: localhost", target="http://evil.example/metrics"): 421,
        question("Host: localhost", target="http://localhost@evil.example/metrics"): 400,
        question("Host: localhost", target="ftp://localhost/metrics"): 400,
        question(target="http://localhost/metrics"): 400,
        question("Host: localhost", target="http://localhost"): 404,
        question("Host: evil.example").replace(b"GET", b"POST"): 421,
    }
    exporter = start(env=connected(sandbox))
    assert {sent: status(ask(exporter, sent)) for sent in expected} == expected
