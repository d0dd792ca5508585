"""`exporter` over TLS and with a token, as curl finds it: who is let in, who is not, and what a reload changes."""

import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from apimart_cli.sandbox.server import Sandbox
from support.exporters import Exporter, Start
from support.leaks import find_key
from support.processes import wait_until
from support.programs import need
from support.running import connected, run_program
from support.secure import authority
from support.servers import write_certificate

TOKEN = "Zq7Wm3Xc9Vb1Nk5Lp8Rt"

Curl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def guarded(start: Start, sandbox: Sandbox, tmp_path: Path) -> Exporter:
    """One that everybody can reach, with TLS and a token."""
    pem = write_certificate(tmp_path)
    write_token(tmp_path, TOKEN)
    tls = ("--tls-cert", str(pem), "--tls-key", str(pem), "--token-file", str(tmp_path / "token"))
    return start("--listen", ":0", *tls, "--interval", "0.2", env=connected(sandbox))


def write_token(folder: Path, token: str) -> None:
    (folder / "token").write_text(f"{token}\n")
    (folder / "token").chmod(0o600)


@pytest.fixture
def curl(tmp_path: Path) -> Curl:
    """Ask an exporter for a path with curl, which trusts our authority."""
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def ask(exporter: Exporter, path: str, *options: str) -> "subprocess.CompletedProcess[str]":
        arguments = [need("curl"), "-sS", "-m", "30", "--cacert", str(tmp_path / "ca.pem"), "-w", "\n%{http_code}"]
        url = f"https://localhost:{exporter.port}{path}"
        return run_program([*arguments, *options, url], env={"PATH": "/usr/bin"})

    return ask


def bearer(token: str) -> tuple[str, str]:
    return "-H", f"Authorization: Bearer {token}"


def test_the_token_opens_the_page(guarded: Exporter, curl: Curl) -> None:
    """And nothing else does. Whether it is well, everybody may ask: an orchestrator has no token."""
    wait_until(lambda: curl(guarded, "/-/ready").stdout == "ready\n\n200")
    let_in = curl(guarded, "/metrics", "--compressed", *bearer(TOKEN))
    assert let_in.stdout.endswith("\n200")
    assert "apimart_remaining_balance" in let_in.stdout
    for options in ((), bearer(TOKEN[:-1]), ("-u", f"user:{TOKEN}"), ("-H", f"X-Token: {TOKEN}")):
        refused = curl(guarded, "/metrics", "-D", "-", *options)
        assert refused.stdout.endswith("\n401")
        assert "WWW-Authenticate: Bearer" in refused.stdout
        assert "apimart_remaining" not in refused.stdout
    assert find_key(guarded.told, TOKEN) == []


def test_nothing_is_told_without_tls(guarded: Exporter, curl: Curl) -> None:
    """Nor over a TLS that is too old, nor to who does not trust the certificate."""
    plain = run_program([need("curl"), "-sS", "-m", "30", *bearer(TOKEN), f"http://localhost:{guarded.port}/metrics"])
    assert (plain.returncode != 0, plain.stdout) == (True, "")
    assert curl(guarded, "/metrics", "--tls-max", "1.1", *bearer(TOKEN)).returncode != 0
    assert curl(guarded, "/metrics", "--cacert", "/dev/null", *bearer(TOKEN)).returncode != 0
    for option in (("--tls-max", "1.2"), ("--tlsv1.3",)):
        assert curl(guarded, "/metrics", *option, *bearer(TOKEN)).stdout.endswith("\n200")


def test_a_reload_takes_another_token_and_certificate(guarded: Exporter, curl: Curl, tmp_path: Path) -> None:
    """One that cannot be used leaves the old ones."""
    other = trustme.CA()
    (tmp_path / "localhost.pem").write_bytes(other.issue_cert("localhost").private_key_and_cert_chain_pem.bytes())
    write_token(tmp_path, "x")
    guarded.reload()
    guarded.wait_until_told("nothing was changed: ")
    assert curl(guarded, "/metrics", *bearer(TOKEN)).stdout.endswith("\n200")
    write_token(tmp_path, TOKEN[::-1])
    guarded.reload()
    guarded.wait_until_told("read again")
    other.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert curl(guarded, "/metrics", *bearer(TOKEN[::-1])).stdout.endswith("\n200")
    assert curl(guarded, "/metrics", *bearer(TOKEN)).stdout.endswith("\n401")


def test_a_handshake_that_never_ends_keeps_nobody_waiting(guarded: Exporter, curl: Curl) -> None:
    """Each is made in a thread of its own."""
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=30))
        assert curl(guarded, "/-/healthy").stdout.endswith("\n200")
