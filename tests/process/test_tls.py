"""The installed command over real TLS: it passes where the certificate is proved, and the key goes nowhere else."""

import os
import re
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme

from apimart_cli.gateway import connections
from support.programs import need
from support.running import KEY, Call, Run
from support.secure import STARTUP, Gateway, Listener, Proxy, authority, certified, lax_certified
from support.stopwatch import Stopwatch

Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(call: Call) -> Call:
    """Run each command line in this process: what these tests show does not need one of its own."""
    return call


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """The certificate of our authority, in a file."""
    path = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def ask(run: Run, ca_file: Path) -> Ask:
    """Run a command against a server that our authority vouches for: `ask(gateway, "balance")`."""

    def run_command(
        gateway: Listener, *arguments: str, host: str = "localhost", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        trusted = {"REQUESTS_CA_BUNDLE": str(ca_file), **variables}
        where = {"APIMART_BASE_URL": f"https://{host}:{gateway.port}", "APIMART_API_KEY": KEY}
        return run(*(arguments or ("check", "--min", "5", "--scope", "key")), env={**where, **trusted})

    return run_command


def test_a_trusted_gateway_is_asked(ask: Ask) -> None:
    """With the authority in REQUESTS_CA_BUNDLE, the answer comes over TLS, and the key travels in it once."""
    with Gateway(certified("localhost", "127.0.0.1")) as gateway:
        ended = ask(gateway, host="127.0.0.1")
        gateway.settle()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "PASS default/key: 10.5 left, at least 5 required\n"
    (question,) = gateway.received
    assert question.startswith(b"GET /v1/balance HTTP/1.1\r\n")
    assert question.count(KEY.encode()) == question.count(f"Authorization: Bearer {KEY}\r\n".encode()) == 1


def test_an_intermediate_authority_is_followed(ask: Ask) -> None:
    """A chain that leads to the trusted authority is as good as its own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().create_child_ca().issue_cert("localhost").configure_cert(context)
    with Gateway(context) as gateway:
        assert ask(gateway).returncode == 0


NOW = datetime(2026, 6, 1)  # noqa: DTZ001  # trustme takes a moment without a zone; the margin is a year
YEAR = timedelta(days=365)


def wrong_host() -> ssl.SSLContext:
    return certified("gateway.example")


def self_signed(folder: Path) -> ssl.SSLContext:
    stranger = trustme.CA()
    path = folder / "self-signed.pem"
    stranger.cert_pem.write_to_path(str(path))
    stranger.private_key_pem.write_to_path(str(path), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def unknown_authority() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


def tls_1_0_only() -> ssl.SSLContext:
    context = certified("localhost")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def ciphers_without_certificates() -> ssl.SSLContext:
    context = certified("localhost")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


def client_certificate_wanted() -> ssl.SSLContext:
    context = certified("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    return context


UNTRUSTED: list[tuple[Callable[..., ssl.SSLContext], str, str]] = [
    (unknown_authority, "localhost", "unable to get local issuer certificate"),
    (self_signed, "localhost", "self-signed certificate"),
    (
        lambda: certified("localhost", not_before=NOW - 9 * YEAR, not_after=NOW - 8 * YEAR),
        "localhost",
        "certificate has expired",
    ),
    (
        lambda: certified("localhost", not_before=NOW + 70 * YEAR, not_after=NOW + 72 * YEAR),
        "localhost",
        "certificate is not yet valid",
    ),
    (wrong_host, "localhost", "Hostname mismatch, certificate is not valid for 'localhost'."),
    (wrong_host, "127.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'."),
]


@pytest.mark.parametrize(("make", "host", "reason"), UNTRUSTED)
def test_a_certificate_that_proves_nothing_is_refused(
    ask: Ask, tmp_path: Path, make: Callable[..., ssl.SSLContext], host: str, reason: str
) -> None:
    """Exit 5 with the reason and what to do; asked once, and the server never sees a request, let alone the key."""
    context = make(tmp_path) if make is self_signed else make()
    with Gateway(context) as gateway:
        ended = ask(gateway, host=host)
        gateway.settle()
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr == (
        f"apimart: error: no safe connection to {host}:{gateway.port}: its certificate is not trusted ({reason})\n"
        "hint: the connection is not safe and the key was not sent; if you trust a private CA, name it in "
        "REQUESTS_CA_BUNDLE\n"
    )
    assert (gateway.connections, gateway.received) == (1, [])


@pytest.mark.parametrize(
    ("fault", "reason", "remedy"),
    [
        (
            "basic constraints",
            "Basic Constraints of CA cert not marked critical",
            "basicConstraints = critical,CA:TRUE",
        ),
        ("key usage", "CA cert does not include key usage extension", "keyUsage = critical,keyCertSign"),
        ("authority key identifier", "Missing Authority Key Identifier", "authorityKeyIdentifier = keyid"),
        ("subject key identifier", "Missing Subject Key Identifier", "subjectKeyIdentifier = hash"),
    ],
)
def test_an_authority_that_is_not_strict_gets_a_hint_that_says_what_is_wrong(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str, remedy: str
) -> None:
    """Python 3.13 refuses what 3.12 took: who made a CA long ago is not told to name it, but how to mend it."""
    real = connections._make_context

    def strict(trusted: connections.Authorities) -> ssl.SSLContext:
        context = real(trusted)
        # As it is from Python 3.13 on.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        return context

    path = tmp_path / "lax.pem"
    context = lax_certified(path, fault)
    with Gateway(context) as gateway:
        if sys.version_info < (3, 13):
            assert ask(gateway, REQUESTS_CA_BUNDLE=str(path)).returncode == 0
            monkeypatch.setattr(connections, "_make_context", strict)
            monkeypatch.setattr(connections, "TLS_CONTEXTS", connections.TlsContexts())
        ended = ask(gateway, REQUESTS_CA_BUNDLE=str(path))
        gateway.settle()
    assert ended.returncode == 5
    assert (
        f"its certificate is not trusted ({reason})\nhint: the key was not sent; from 3.13 on, Python" in ended.stderr
    )
    assert f"{remedy}; or run apimart with Python 3.12\n" in ended.stderr


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        # The words are OpenSSL's, and differ from version to version.
        (tls_1_0_only, r"tlsv1 alert protocol version|unsupported protocol"),
        (ciphers_without_certificates, r"(sslv3|tls) alert handshake failure"),
        (client_certificate_wanted, r"(sslv3|tls) alert handshake failure|the server broke it off"),
    ],
)
def test_a_server_that_cannot_speak_safely_is_refused(
    ask: Ask, make: Callable[[], ssl.SSLContext], reason: str
) -> None:
    """A protocol or cipher from the past: exit 5, the reason named, asked once, nothing sent."""
    with Gateway(make()) as gateway:
        ended = ask(gateway)
        gateway.settle()
    assert (ended.returncode, ended.stdout) == (5, "")
    assert_message(ended.stderr, rf"no safe connection to localhost:{gateway.port}: TLS failed \(({reason})\)")
    assert "nothing is ever sent over an unsafe connection" in ended.stderr
    assert (gateway.connections, gateway.received) == (1, [])


def test_the_server_of_the_past_does_speak_tls_1_0() -> None:
    """A client that takes everything gets TLS 1.0 from the server above: it is refused for nothing else."""
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        careless.minimum_version = ssl.TLSVersion.TLSv1
    careless.set_ciphers("DEFAULT:@SECLEVEL=0")
    with (
        Gateway(tls_1_0_only()) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port)) as connection,
        careless.wrap_socket(connection) as safe,
    ):
        assert safe.version() == "TLSv1"


def test_plain_http_on_a_tls_port_is_refused(ask: Ask) -> None:
    """A server that answers in the clear sees the first bytes of a handshake, no request, and no second try."""
    with Gateway(None) as gateway:
        ended = ask(gateway)
        gateway.settle()
    assert (ended.returncode, ended.stdout) == (5, "")
    assert_message(
        ended.stderr,
        rf"no safe connection to localhost:{gateway.port}: TLS failed \((wrong version number|record layer failure)\)",
    )
    (hello,) = gateway.received
    assert hello.startswith(b"\x16\x03")
    assert b"GET" not in hello
    assert KEY.encode() not in hello
    assert gateway.connections == 1


def test_a_server_that_never_shakes_hands_runs_into_the_time_limit(ask: Ask) -> None:
    """The handshake is inside `--timeout`, as everything else."""

    def listen(connection: Any) -> None:
        while connection.recv(65536):
            pass

    with Listener(listen) as gateway:
        watch = Stopwatch()
        ended = ask(gateway, "check", "--min", "5", "--timeout", "0.5")
        took = watch.took()
    assert ended.returncode == 5
    assert_message(ended.stderr, rf"no answer from localhost:{gateway.port} within 0\.5 seconds")
    # Half a second of grace, as promised.
    took.assert_within(0.5 + 0.5 + STARTUP)


@pytest.mark.parametrize("arguments", [(), ("check", "--min", "5", "--fail-open")])
def test_a_file_that_tls_cannot_use_is_a_usage_error(ask: Ask, arguments: tuple[str, ...]) -> None:
    """Our own machine is at fault, and no gateway that cannot be reached: --fail-open does not let it pass."""
    with Gateway(certified("localhost")) as gateway:
        ended = ask(gateway, *arguments, REQUESTS_CA_BUNDLE="/proc/self/mem")
        gateway.settle()
    assert (ended.returncode, ended.stdout, gateway.received) == (2, "", [])
    assert ended.stderr.startswith("apimart: error: REQUESTS_CA_BUNDLE names a file that cannot be read")


@pytest.mark.parametrize("keylog", ["", "yes"])
def test_the_secrets_of_a_session_are_written_nowhere(ask: Ask, tmp_path: Path, keylog: str) -> None:
    """SSLKEYLOGFILE, inherited from who knows where, is not obeyed: who reads that file reads the key."""
    path = tmp_path / "secrets"
    with Gateway(certified("localhost")) as gateway, Proxy(context=certified("localhost")) as proxy:
        secrets = {"SSLKEYLOGFILE": str(path), "APIMART_KEYLOG": keylog}
        assert ask(gateway, **secrets).returncode == 0
        through = ask(gateway, **secrets, HTTPS_PROXY=f"https://localhost:{proxy.port}")
    assert (through.returncode, through.stderr, proxy.connections) == (0, "", 1)
    assert not path.exists()


def test_the_secrets_of_a_session_are_written_where_the_user_says_so(ask: Ask, tmp_path: Path) -> None:
    """With APIMART_KEYLOG=1, into a file that nobody else can read."""
    path = tmp_path / "secrets"
    with Gateway(certified("localhost")) as gateway:
        assert ask(gateway, SSLKEYLOGFILE=str(path), APIMART_KEYLOG="1").returncode == 0
    assert "CLIENT" in path.read_text("ascii")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("arguments", [(), ("check", "--min", "5", "--fail-open")])
def test_a_file_for_secrets_that_cannot_be_written_is_a_usage_error(ask: Ask, arguments: tuple[str, ...]) -> None:
    """Whoever wants to look into the connection is told that it will not work; nothing is sent."""
    with Gateway(certified("localhost")) as gateway:
        ended = ask(gateway, *arguments, SSLKEYLOGFILE="/no/such/folder/keys", APIMART_KEYLOG="1")
        gateway.settle()
    assert (ended.returncode, ended.stdout, gateway.received) == (2, "", [])
    assert_message(ended.stderr, "TLS cannot use the file /no/such/folder/keys: no such file or directory")


def test_a_clock_that_is_years_slow_is_no_warning_and_no_bug(
    run_process: Run, environment: Mapping[str, str], ca_file: Path, tmp_path: Path
) -> None:
    """The library warns of such a clock, with a path of this machine, and where warnings are errors it is one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import datetime, urllib3.connection\nurllib3.connection.RECENT_DATE = datetime.date(2999, 1, 1)\n"
    )
    python_path = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    with Gateway(certified("localhost")) as gateway:
        env = {
            "APIMART_BASE_URL": f"https://localhost:{gateway.port}",
            "APIMART_API_KEY": KEY,
            "REQUESTS_CA_BUNDLE": str(ca_file),
            "PYTHONPATH": python_path,
        }
        for warnings_are in ("default", "error"):
            ended = run_process("check", "--min", "5", env={**env, "PYTHONWARNINGS": warnings_are})
            assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_missing_ca_file_is_a_usage_error(ask: Ask, tmp_path: Path, variable: str) -> None:
    """A CA file that does not exist is named by its variable; no connection is opened."""
    with Gateway(certified("localhost")) as gateway:
        ended = ask(gateway, **{"REQUESTS_CA_BUNDLE": "", variable: str(tmp_path / "missing.pem")})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_message(ended.stderr, f"{variable} names a CA file that does not exist")
    assert gateway.connections == 0


def test_other_variables_for_authorities_are_honoured(ask: Ask, ca_file: Path) -> None:
    """What curl, OpenSSL and Go read names the authority as well; a bundle comes before SSL_CERT_FILE."""
    with Gateway(certified("localhost")) as gateway:
        assert ask(gateway, REQUESTS_CA_BUNDLE="", CURL_CA_BUNDLE=str(ca_file)).returncode == 0
        assert ask(gateway, REQUESTS_CA_BUNDLE="", SSL_CERT_FILE=str(ca_file)).returncode == 0
        assert ask(gateway, REQUESTS_CA_BUNDLE=certifi.where(), SSL_CERT_FILE=str(ca_file)).returncode == 5


def test_ssl_cert_dir_is_honoured(ask: Ask, ca_file: Path, tmp_path: Path) -> None:
    """A folder with the names that OpenSSL looks for, or several; beside SSL_CERT_FILE both count."""
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ours.pem").write_bytes(ca_file.read_bytes())
    without_names = {"REQUESTS_CA_BUNDLE": "", "SSL_CERT_DIR": str(folder)}
    with Gateway(certified("localhost")) as gateway:
        ended = ask(gateway, **without_names)
        assert ended.returncode == 2
        assert_message(ended.stderr, "SSL_CERT_DIR names a folder without CA certificates")
        assert "openssl rehash" in ended.stderr
        subprocess.run([need("openssl"), "rehash", folder], check=True, timeout=20)
        assert ask(gateway, **without_names).returncode == 0
        several = f"{tmp_path / 'missing'}{os.pathsep}{folder}"
        assert ask(gateway, REQUESTS_CA_BUNDLE="", SSL_CERT_DIR=several).returncode == 0
        assert ask(gateway, **without_names, SSL_CERT_FILE=certifi.where()).returncode == 0


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("REQUESTS_CA_BUNDLE", b""),
        ("CURL_CA_BUNDLE", b"-----BEGIN CERTIFICATE-----\nthis is none\n-----END CERTIFICATE-----\n"),
        ("SSL_CERT_FILE", b"-----BEGIN CERTIFICATE-----\nMIIB"),
        ("SSL_CERT_DIR", bytes(range(256)) * 16),
    ],
    ids=["empty", "garbage", "cut off", "binary"],
)
def test_a_ca_file_that_is_none_is_a_usage_error(ask: Ask, tmp_path: Path, variable: str, content: bytes) -> None:
    """A CA file without certificates is named as the reason: not the server is at fault, and nothing is sent to it."""
    path = tmp_path / "not-a-ca.pem"
    path.write_bytes(content)
    with Gateway(certified("localhost")) as gateway:
        ended = ask(gateway, **{"REQUESTS_CA_BUNDLE": "", variable: str(path)})
        gateway.settle()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_message(ended.stderr, f"{variable} names a file without CA certificates")
    assert gateway.connections <= 1
    assert gateway.received == []


def assert_message(stderr: str, pattern: str) -> None:
    """One error with this message, and one hint; nothing else."""
    assert re.fullmatch(rf"apimart: error: {pattern}\nhint: .+\n", stderr), stderr
