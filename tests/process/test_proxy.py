"""A real proxy on loopback: used for what travels over TLS, told nothing but where to, and never for plain HTTP."""

import base64
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.addresses import LIVE, SILENT, resolve_to, silent_address
from support.running import KEY, Call, Run
from support.secure import STARTUP, Gateway, Listener, Proxy, SocksProxy, authority, certified, dead_port
from support.stopwatch import Stopwatch

SECRET = "hunter2-Xy7Qw9"
Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(call: Call) -> Call:
    """Run each command line in this process: what these tests show does not need one of its own."""
    return call


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway over TLS, vouched for by our authority."""
    with Gateway(certified("localhost")) as server:
        yield server


@pytest.fixture
def ask(run: Run, gateway: Gateway, tmp_path: Path) -> Ask:
    """Ask the gateway, with proxies and other variables by name: `ask(HTTPS_PROXY=...)`."""
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))
    fixed = {
        "APIMART_BASE_URL": f"https://localhost:{gateway.port}",
        "APIMART_API_KEY": KEY,
        "REQUESTS_CA_BUNDLE": str(ca_file),
    }

    def run_command(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return run(*(arguments or ("check", "--min", "5", "--scope", "key")), env={**fixed, **variables})

    return run_command


@pytest.mark.parametrize(("variable", "scheme"), [("HTTPS_PROXY", "http://"), ("https_proxy", ""), ("ALL_PROXY", "")])
def test_a_proxy_of_the_environment_is_used(ask: Ask, gateway: Gateway, variable: str, scheme: str) -> None:
    """The proxy learns where to and nothing else: the key goes through it encrypted. Its address needs no scheme."""
    with Proxy() as proxy:
        ended = ask(**{variable: f"{scheme}127.0.0.1:{proxy.port}"})
        gateway.settle()
    assert (ended.returncode, ended.stderr) == (0, "")
    (head,) = proxy.questions
    assert head.startswith(f"CONNECT localhost:{gateway.port} HTTP/1.".encode())
    assert b"authorization" not in head.lower()
    assert KEY.encode() not in head + proxy.relayed
    (question,) = gateway.received
    assert f"Authorization: Bearer {KEY}\r\n".encode() in question
    assert b"proxy" not in question.lower()


def test_the_proxy_s_own_password_goes_to_the_proxy_only(ask: Ask, gateway: Gateway) -> None:
    """Credentials in the proxy's URL are sent to the proxy, and never to the gateway."""
    with Proxy() as proxy:
        ended = ask(HTTPS_PROXY=f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        gateway.settle()
    assert ended.returncode == 0
    token = base64.b64encode(f"user:{SECRET}".encode())
    assert b"Proxy-Authorization: Basic " + token in proxy.questions[0]
    assert token not in gateway.received[0]


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_dead_proxy_means_no_answer(ask: Ask, gateway: Gateway, scheme: str) -> None:
    """Exit 5, and the proxy is what the message and the hint name; the gateway is not asked past it."""
    with dead_port() as port:
        ended = ask(HTTPS_PROXY=f"{scheme}://user:{SECRET}@127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr == (
        f"apimart: error: no connection through the proxy 127.0.0.1:{port}: connection refused\n"
        "hint: check HTTPS_PROXY and ALL_PROXY\n"
    )
    assert gateway.connections == 0


@pytest.mark.parametrize(
    ("refusal", "attempts"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 1),
        (b"HTTP/1.1 403 \x1b[31m::error::Forbidden\r\n\r\n", 1),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", 1),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 4),
    ],
)
def test_a_proxy_that_refuses_means_no_answer(ask: Ask, gateway: Gateway, refusal: bytes, attempts: int) -> None:
    """Exit 5 with the proxy's status and not its words; only a refusal that may pass is asked about again."""
    with Proxy(refusal) as proxy:
        ended = ask(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    status = refusal[9:12].decode()
    assert (ended.returncode, ended.stdout) == (5, "")
    told = f"no connection through the proxy 127.0.0.1:{proxy.port}: it answered with HTTP {status}\n"
    assert told in ended.stderr
    assert "\x1b" not in ended.stderr
    assert "Forbidden" not in ended.stderr
    assert len(proxy.questions) == attempts
    assert gateway.connections == 0


@pytest.mark.parametrize(
    ("reply", "reason"), [(SocksProxy.REFUSED, "connection refused"), (SocksProxy.UNREACHABLE, "host unreachable")]
)
def test_a_socks_proxy_that_refuses_means_no_answer(ask: Ask, gateway: Gateway, reply: int, reason: str) -> None:
    """Exit 5; the proxy is named, without the password that it was given, and the gateway is not."""
    with SocksProxy(reply) as proxy:
        ended = ask("check", "--min", "5", "--timeout", "1", HTTPS_PROXY=f"socks5h://u:{SECRET}@127.0.0.1:{proxy.port}")
    assert (ended.returncode, ended.stdout, gateway.connections) == (5, "", 0)
    assert ended.stderr.startswith(f"apimart: error: no connection through the proxy 127.0.0.1:{proxy.port}: ")
    assert reason in ended.stderr
    assert SECRET not in ended.stderr


def test_a_proxy_that_speaks_something_else_is_not_believed(ask: Ask, gateway: Gateway) -> None:
    """What is not HTTP is a bad answer, exit 6."""
    with Proxy(b"SSH-2.0-OpenSSH_9.2\r\n") as proxy:
        ended = ask(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
    assert (ended.returncode, gateway.connections) == (6, 0)


def test_a_silent_proxy_runs_into_the_time_limit(ask: Ask) -> None:
    """The proxy is inside `--timeout`, as everything else."""

    def listen(connection: Any) -> None:
        while connection.recv(65536):
            pass

    with Listener(listen) as proxy:
        watch = Stopwatch()
        ended = ask("check", "--min", "5", "--timeout", "0.5", HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}")
        took = watch.took()
    assert ended.returncode == 5
    took.assert_within(0.5 + 0.5 + STARTUP)


def test_a_proxy_does_not_make_a_certificate_trusted(ask: Ask, gateway: Gateway) -> None:
    """Through a proxy the certificate is checked as ever: one tunnel, exit 5, no request."""
    with Proxy() as proxy:
        ended = ask(HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", REQUESTS_CA_BUNDLE="")
        gateway.settle()
    assert ended.returncode == 5
    assert "its certificate is not trusted" in ended.stderr
    assert (proxy.connections, gateway.connections, gateway.received) == (1, 1, [])


MALFORMED = {
    "http://": "it has no host",
    "::::": "it has no host, or more than a host and a port",
    "://proxy": "there is nothing before ://",
    "http:///proxy": "it has no host",
    "http://[::g]:80": "what is in brackets is no IPv6 address",
    "http://127.0.0.1:99999": "its port is not a number from 1 to 65535",
    "http://127.0.0.1:0": "its port is not a number from 1 to 65535",
    "http://127.0.0.1:port": "it has no host, or more than a host and a port",
    "http:127.0.0.1:80": "it has no host, or more than a host and a port",
    "ftp://127.0.0.1:9": "it begins with a scheme that is not known",
    f"{SECRET}://127.0.0.1:9": "it begins with a scheme that is not known",
    f"http://user:{SECRET}@:80": "it has no host",
    f"http://user:{SECRET}@127.0.0.1:port": "it has no host, or more than a host and a port",
    f"http://us€r:{SECRET}@127.0.0.1:9": "there is a character in it that a URL cannot have",
    " ": "there is a character in it that a URL cannot have",
    f"http://DOMAIN\\user:{SECRET}@127.0.0.1:9": "there is a backslash in it",
    f"http://user@corp.example:{SECRET}@127.0.0.1:9": "there is an @ in the user or the password",
    f"http://user:a/{SECRET}@127.0.0.1:9": "there is a / in the user or the password",
    f"http://user:#{SECRET}@127.0.0.1:9": "there is a # in the user or the password",
    f"http://user:?{SECRET}@127.0.0.1:9": "there is a ? in the user or the password",
}
"""Proxies with a mistake in their address, and what is said of it."""


@pytest.mark.parametrize(
    ("proxy", "variable"),
    [*((each, "HTTPS_PROXY") for each in MALFORMED), ("::::", "https_proxy"), ("::::", "ALL_PROXY")],
)
def test_a_malformed_proxy_is_a_usage_error(ask: Ask, gateway: Gateway, proxy: str, variable: str) -> None:
    """Exit 2; the message names the variable and the mistake, and prints no part of the proxy's URL."""
    ended = ask(**{variable: proxy})
    assert (ended.returncode, ended.stdout, gateway.connections) == (2, "", 0)
    message, hint = ended.stderr.splitlines()
    assert message.startswith(f"apimart: error: {variable}: the proxy's address is malformed: {MALFORMED[proxy]}")
    assert hint.startswith("hint: ")
    assert SECRET not in ended.stderr


def test_the_hint_about_a_user_of_a_domain_helps(ask: Ask) -> None:
    r"""`DOMAIN\user` was taken for the name of a host; written as the hint says, the proxy gets the user as it is."""
    with Proxy() as proxy:
        refused = ask(HTTPS_PROXY=f"http://DOMAIN\\user:{SECRET}@127.0.0.1:{proxy.port}")
        assert "write the user DOMAIN\\user as DOMAIN%5Cuser\n" in refused.stderr
        assert ask(HTTPS_PROXY=f"http://DOMAIN%5Cuser:{SECRET}@127.0.0.1:{proxy.port}").returncode == 0
    token = base64.b64encode(f"DOMAIN\\user:{SECRET}".encode())
    assert b"Proxy-Authorization: Basic " + token in proxy.questions[0]


def test_a_proxy_that_is_not_used_may_be_malformed(ask: Ask) -> None:
    """A host of NO_PROXY is asked without it, whatever it is."""
    assert ask(HTTPS_PROXY="http://", NO_PROXY="localhost").returncode == 0


@pytest.mark.parametrize(("variable", "scheme"), [("HTTPS_PROXY", "http"), ("ALL_PROXY", "socks5h")])
def test_of_a_proxy_with_several_addresses_a_dead_one_costs_little(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    """Its name is looked up as that of a gateway is, and the address that answers is used."""
    refusal = b"HTTP/1.1 403 Forbidden\r\n\r\n"
    resolve_to(monkeypatch, "proxy.example", SILENT, LIVE)
    listening = SocksProxy(SocksProxy.REFUSED) if scheme == "socks5h" else Proxy(refusal)
    with listening as proxy, silent_address(proxy.port):
        address = f"proxy.example:{proxy.port}"
        began = time.monotonic()
        ended = ask("check", "--min", "5", "--timeout", "30", **{variable: f"{scheme}://u:{SECRET}@{address}"})
    assert ended.returncode == 5
    assert f"no connection through the proxy {address}: " in ended.stderr
    assert ("connection refused" if scheme == "socks5h" else "HTTP 403") in ended.stderr
    assert proxy.connections
    # All of the limit, where the dead address was given as long as it wants.
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("scheme", ["socks4", "socks5h"])
def test_socks_without_its_package_is_a_usage_error(
    run_process: Run, gateway: Gateway, environment: Mapping[str, str], tmp_path: Path, scheme: str
) -> None:
    """Exit 2 and the command that adds SOCKS; there is no way round the proxy."""
    (tmp_path / "socks.py").write_text("raise ImportError\n")
    python_path = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    env = {
        "APIMART_BASE_URL": f"https://localhost:{gateway.port}", "APIMART_API_KEY": KEY,
        "HTTPS_PROXY": f"{scheme}://user:{SECRET}@127.0.0.1:9", "PYTHONPATH": python_path,
    }  # fmt: skip
    ended = run_process("check", "--min", "5", env=env)
    assert (ended.returncode, gateway.connections) == (2, 0)
    assert (
        "a SOCKS proxy needs one more package\nhint: install it with: pip install 'requests[socks]'\n" in ended.stderr
    )
    assert SECRET not in ended.stderr


@pytest.mark.parametrize("arguments", ["config show", "config show --json", "balance --json"])
def test_the_proxy_s_password_is_never_printed(ask: Ask, arguments: str) -> None:
    """Neither settings nor failures show the credentials in the proxy's URL."""
    with dead_port() as port:
        ended = ask(*arguments.split(), HTTPS_PROXY=f"http://user:{SECRET}@127.0.0.1:{port}")
    assert ended.stdout + ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
