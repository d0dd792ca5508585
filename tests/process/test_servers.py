"""The installed command against real servers and proxies: nginx, haproxy, squid and mitmproxy."""

import gzip
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from support.fault_server import FaultServer, stall
from support.running import KEY, Run
from support.secure import ANSWER, Gateway, authority, certified
from support.servers import BODY, free_ports, haproxy, mitmproxy, nginx, squid, write_certificate

pytestmark = pytest.mark.servers

SECRET = "hunter2-Xy7Qw9"
PASSED = "PASS default/key: 10.5 left, at least 5 required\n"
HTTP_1_0 = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY.encode()
"""An answer whose end is the end of the connection."""

Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ask(run: Run, tmp_path: Path) -> Ask:
    """Run `check --min 5` against a base URL, with our authority trusted: `ask(url, HTTPS_PROXY=...)`."""
    ca_file = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(ca_file))

    def run_command(url: str, *, timeout: str = "5", **variables: str) -> "subprocess.CompletedProcess[str]":
        env = {"APIMART_BASE_URL": url, "APIMART_API_KEY": KEY, "REQUESTS_CA_BUNDLE": str(ca_file), **variables}
        return run("check", "--min", "5", "--scope", "key", "--timeout", timeout, env=env)

    return run_command


def passes(ended: "subprocess.CompletedProcess[str]") -> bool:
    """Whether the check passed and said nothing else."""
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, PASSED, "")
    return True


def fails(ended: "subprocess.CompletedProcess[str]", code: int, *told: str) -> bool:
    """Whether the check failed with this code, in these words and without the key."""
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    assert [words for words in told if words not in ended.stderr] == []
    assert KEY not in ended.stderr
    return True


NGINX = """
  location /length/ {{ return 200 '{body}'; }}
  location /gzip/ {{ root {folder}; gzip_static always; }}
  location /chunked/ {{ proxy_pass {upstream}; proxy_http_version 1.0; }}
  location /closed/ {{ proxy_pass {upstream}; proxy_http_version 1.0; chunked_transfer_encoding off; }}
  location /kept/ {{ keepalive_timeout 60; return 200 '{body}'; }}
  location /401/ {{ return 401; }}
  location /402/ {{ return 402 '{{"error":{{"message":"top it up"}}}}'; }}
  location /403/ {{ deny all; }}
  location /404/ {{ return 404; }}
  location /301/ {{ return 301 https://elsewhere.example/; }}
  location /429/ {{ return 429; }}
  location /444/ {{ return 444; }}
  location /502/ {{ proxy_pass http://127.0.0.1:{dead}; }}
  location /504/ {{ proxy_pass {silent}; proxy_read_timeout 300ms; }}
  location /html/ {{ default_type text/html; return 200 '<title>Welcome to nginx!</title>'; }}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Base URLs of one nginx: TLS 1.2, TLS 1.3 and none."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "gzip" / "v1").mkdir(parents=True)
    (folder / "gzip" / "v1" / "balance.gz").write_bytes(gzip.compress(BODY.encode()))
    old, new, plain, dead = free_ports(4)
    pem = write_certificate(folder)
    with FaultServer([[HTTP_1_0]]) as upstream, FaultServer([[stall]]) as silent:
        locations = NGINX.format(body=BODY, folder=folder, upstream=upstream.url, silent=silent.url, dead=dead)
        tls = f"ssl_certificate {pem}; ssl_certificate_key {pem};"
        servers = (
            f"server {{ listen 127.0.0.1:{old} ssl; {tls} ssl_protocols TLSv1.2; {locations} }}"
            f"server {{ listen 127.0.0.1:{new} ssl; {tls} ssl_protocols TLSv1.3; {locations} }}"
            f"server {{ listen 127.0.0.1:{plain}; {locations} }}"
        )
        with nginx(folder, servers, port=plain):
            yield {
                "TLS 1.2": f"https://localhost:{old}",
                "TLS 1.3": f"https://localhost:{new}",
                "plain": f"http://localhost:{plain}",
            }


@pytest.mark.parametrize(
    ("protocol", "way"),
    [
        *(("TLS 1.3", way) for way in ("length", "gzip", "chunked", "closed", "kept")),
        ("TLS 1.2", "length"), ("TLS 1.2", "chunked"), ("plain", "gzip"), ("plain", "closed"),
    ],
)  # fmt: skip
def test_nginx_passes(ask: Ask, served: dict[str, str], protocol: str, way: str) -> None:
    """With a length, in gzip, in chunks, up to the end of the connection, and on one that is kept open."""
    assert passes(ask(f"{served[protocol]}/{way}"))


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        ("401", 4, "rejected the API key from APIMART_API_KEY (HTTP 401)"),
        ("403", 6, "a web page answered in place of the gateway (HTTP 403)"),
        ("404", 6, "no balance endpoint at this address (HTTP 404)"),
        ("301", 6, "a redirect to https://elsewhere.example/ (HTTP 301)"),
        ("429", 5, "limits the rate of requests (HTTP 429)"),
        ("444", 5, "the server closed the connection without an answer"), ("502", 5, "could not answer (HTTP 502)"),
        ("504", 5, "could not answer (HTTP 504)"), ("html", 6, "it is not JSON"),
    ],
)  # fmt: skip
def test_nginx_fails(ask: Ask, served: dict[str, str], status: str, code: int, told: str) -> None:
    """Its own pages of failure are told by their status."""
    assert fails(ask(f"{served['TLS 1.3']}/{status}", timeout="1"), code, told)


def test_nginx_asks_for_payment(ask: Ask, served: dict[str, str]) -> None:
    """HTTP 402 is the verdict, with the words beside it."""
    ended = ask(f"{served['TLS 1.3']}/402")
    assert (ended.returncode, "(HTTP 402): top it up" in ended.stderr) == (3, True)


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Base URLs of one haproxy, by what it does."""
    folder = tmp_path_factory.mktemp("haproxy")
    pem = write_certificate(folder)
    names = ("hint", "HTTP/1.0", "closing", "limited", "down", "silent")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    dead = free_ports(1)[0]
    json = BODY.replace('"', '\\"')
    with FaultServer([[HTTP_1_0]]) as old, FaultServer([[stall]]) as silent:
        answers = f'http-request return status 200 content-type application/json string "{json}"'
        rules = {
            "hint": f'http-request early-hint Link "</style.css>; rel=preload"\n server a 127.0.0.1:{old.port}',
            "HTTP/1.0": f"server a 127.0.0.1:{old.port}",
            "closing": f"option httpclose\n {answers}",
            "limited": "http-request deny deny_status 429",
            "down": f"server a 127.0.0.1:{dead}",
            "silent": f"server a 127.0.0.1:{silent.port}",
        }
        sections = "\n".join(
            f"listen {name.replace('/', '-')}\n bind 127.0.0.1:{ports[name]} ssl crt {pem}\n {rules[name]}"
            for name in names
        )
        with haproxy(folder, sections, port=ports["hint"]):
            yield {name: f"https://localhost:{port}" for name, port in ports.items()}


@pytest.mark.parametrize("way", ["hint", "HTTP/1.0", "closing"])
def test_haproxy_passes(ask: Ask, balanced: dict[str, str], way: str) -> None:
    """Also after 103 Early Hints, and for a server of HTTP/1.0."""
    assert passes(ask(balanced[way]))


@pytest.mark.parametrize(
    ("way", "told"), [("limited", "(HTTP 429)"), ("down", "(HTTP 503)"), ("silent", "no answer from localhost")]
)
def test_haproxy_fails(ask: Ask, balanced: dict[str, str], way: str, told: str) -> None:
    """It limits, it has nobody to ask, or whom it asks says nothing."""
    assert fails(ask(balanced[way], timeout="0.9"), 5, told)


CHECKER = f"""#!/bin/sh
while read -r name password; do
  if [ "$password" = "{SECRET}" ]; then echo OK; else echo ERR; fi
done
"""


@pytest.fixture(scope="module")
def forwarder() -> Iterator[str]:
    """The address of a squid that wants a password."""
    [port] = free_ports(1)
    lines = (
        f"http_port 127.0.0.1:{port}\nauth_param basic program @HELPER@\nauth_param basic realm tests\n"
        "acl known proxy_auth REQUIRED\nacl forbidden dstdomain forbidden.example\n"
        "http_access deny forbidden\nhttp_access allow known\nhttp_access deny all\ncache deny all\n"
    )
    with squid(lines, port=port, helper=CHECKER):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway over TLS."""
    with Gateway(certified("localhost")) as server:
        yield server


def test_squid_lets_a_known_user_through(ask: Ask, forwarder: str, gateway: Gateway) -> None:
    """The key goes through the tunnel; the proxy's password stays with the proxy."""
    assert passes(ask(f"https://localhost:{gateway.port}", HTTPS_PROXY=f"http://me:{SECRET}@{forwarder}"))
    gateway.settle()
    assert [KEY.encode() in question and b"Proxy" not in question for question in gateway.received] == [True]


@pytest.mark.parametrize("user", ["", "me:wrong-Password7@"])
def test_squid_refuses_an_unknown_user(ask: Ask, forwarder: str, gateway: Gateway, user: str) -> None:
    """407 is told with the proxy's name and without a password; the gateway is not asked."""
    ended = ask(f"https://localhost:{gateway.port}", HTTPS_PROXY=f"http://{user}{forwarder}")
    assert fails(ended, 5, f"no connection through the proxy {forwarder}: it answered with HTTP 407", "HTTPS_PROXY")
    assert "wrong-Password7" not in ended.stderr
    assert gateway.connections == 0


def test_squid_refuses_a_host(ask: Ask, forwarder: str) -> None:
    """403 of the proxy is no 403 of the gateway."""
    ended = ask("https://forbidden.example", HTTPS_PROXY=f"http://me:{SECRET}@{forwarder}")
    assert fails(ended, 5, f"no connection through the proxy {forwarder}: it answered with HTTP 403")


def test_squid_cannot_reach_the_gateway(ask: Ask, forwarder: str) -> None:
    """503 of the proxy is asked again, until the time is over."""
    [dead] = free_ports(1)
    ended = ask(f"https://localhost:{dead}", timeout="1", HTTPS_PROXY=f"http://me:{SECRET}@{forwarder}")
    assert fails(ended, 5, f"no connection through the proxy {forwarder}: it answered with HTTP 503")


@pytest.mark.parametrize(("minutes", "is_fresh"), [(0, True), (60, False)])
def test_squid_keeps_answers(ask: Ask, minutes: int, is_fresh: bool) -> None:
    """A cache before the gateway says how old its answer is, and an old one is no proof."""
    [port] = free_ports(1)
    made = format_datetime(datetime.now(UTC) - timedelta(minutes=minutes), usegmt=True)
    head = f"HTTP/1.1 200 OK\r\nDate: {made}\r\nCache-Control: public, max-age=86400\r\nContent-Length: {len(BODY)}\r\n"
    with FaultServer([[f"{head}\r\n{BODY}".encode()]]) as origin:
        lines = (
            f"http_port 127.0.0.1:{port} accel defaultsite=localhost no-vhost ignore-cc\n"
            f"cache_peer 127.0.0.1 parent {origin.port} 0 no-query originserver\n"
            "http_access allow all\ncache_mem 8 MB\nrefresh_pattern . 1440 100% 1440 override-expire ignore-reload\n"
        )
        with squid(lines, port=port):
            # The first answer is handed on, the second comes out of the cache.
            assert passes(ask(f"http://127.0.0.1:{port}"))
            kept = ask(f"http://127.0.0.1:{port}")
            assert passes(kept) if is_fresh else fails(kept, 6, "an old answer from a cache")
        assert len(list(filter(None, origin.heads))) == 1


@pytest.fixture(scope="module")
def interceptors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, Path]]]:
    """The addresses of two mitmproxies and the authorities that they sign with: one wants TLS 1.3, one a password."""
    open_port, closed_port = free_ports(2)
    opened, closed = tmp_path_factory.mktemp("open"), tmp_path_factory.mktemp("closed")
    with (
        mitmproxy(opened, "--set", "tls_version_client_min=TLS1_3", port=open_port) as authority_of_open,
        mitmproxy(closed, "--proxyauth", f"me:{SECRET}", port=closed_port) as authority_of_closed,
    ):
        yield {
            "open": (f"127.0.0.1:{open_port}", authority_of_open),
            "closed": (f"127.0.0.1:{closed_port}", authority_of_closed),
        }


def test_mitmproxy_is_not_trusted_by_itself(
    ask: Ask, interceptors: dict[str, tuple[str, Path]], gateway: Gateway
) -> None:
    """Whoever reads along without being trusted gets no key."""
    proxy, _ = interceptors["open"]
    ended = ask(f"https://localhost:{gateway.port}", HTTPS_PROXY=f"http://{proxy}")
    assert fails(ended, 5, "its certificate is not trusted")
    gateway.settle()
    assert not any(gateway.received)


@pytest.mark.parametrize("answer", [HTTP_1_0, ANSWER])
def test_mitmproxy_hands_on_either_version_of_http(
    ask: Ask, interceptors: dict[str, tuple[str, Path]], answer: bytes
) -> None:
    """HTTP/1.0 and 1.1, inside the tunnel; a company's proxy that looks into everything is trusted by its authority."""
    proxy, bundle = interceptors["open"]
    with Gateway(certified("localhost"), answer=answer) as server:
        url = f"https://localhost:{server.port}"
        assert passes(ask(url, HTTPS_PROXY=f"http://{proxy}", REQUESTS_CA_BUNDLE=str(bundle)))
    assert len(server.received) == 1


@pytest.mark.parametrize(("user", "is_known"), [("", False), (f"me:{SECRET}@", True)])
def test_mitmproxy_wants_a_password(
    ask: Ask, interceptors: dict[str, tuple[str, Path]], gateway: Gateway, user: str, is_known: bool
) -> None:
    """With the right one the check passes; without, the proxy is named."""
    proxy, bundle = interceptors["closed"]
    ended = ask(
        f"https://localhost:{gateway.port}", HTTPS_PROXY=f"http://{user}{proxy}", REQUESTS_CA_BUNDLE=str(bundle)
    )
    assert passes(ended) if is_known else fails(ended, 5, f"through the proxy {proxy}: it answered with HTTP 407")
