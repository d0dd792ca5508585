"""What to ask, and where a key may be sent."""

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.target import (
    Target,
    check_timeout,
    has_documented_account,
    is_plain_http,
    parse_base_url,
)
from apimart_cli.text import visible
from apimart_cli.words import Scope
from support.running import KEY


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("https://api.apimart.ai", "https://api.apimart.ai"),
        ("https://api.apimart.ai/", "https://api.apimart.ai"),
        ("https://api.apimart.ai//v1//", "https://api.apimart.ai"),
        ("https://gateway.example/prefix/v1/", "https://gateway.example/prefix"),
        ("https://gateway.example/a/b//", "https://gateway.example/a/b"),
        ("https://gateway.example/v1/prefix", "https://gateway.example/v1/prefix"),
        ("https://gateway.example/myv1", "https://gateway.example/myv1"),
        ("https://gateway.example/V1", "https://gateway.example/V1"),
        ("https://gateway.example/v10", "https://gateway.example/v10"),
        ("https://gateway.example:8443/v1", "https://gateway.example:8443"),
        ("HTTPS://Gateway.Example/v1", "https://Gateway.Example"),
        ("https://[2001:db8::1]:8443/v1", "https://[2001:db8::1]:8443"),
        ("https://gateway.example/%7Eme", "https://gateway.example/%7Eme"),
        ("http://localhost:8000/v1", "http://localhost:8000"),
        ("http://127.255.255.254/", "http://127.255.255.254"),
        ("http://[::1]:8000/prefix/v1", "http://[::1]:8000/prefix"),
        ("http://LOCALHOST", "http://LOCALHOST"),
    ],
)
def test_a_base_url_is_kept_without_version_and_trailing_slashes(text: str, base_url: str) -> None:
    """With or without `/v1`, with or without a trailing slash; a path prefix and a port are kept."""
    assert parse_base_url(text) == base_url
    assert parse_base_url(base_url) == base_url


_CHARACTERS = "is empty or has a character in it that a URL cannot have"
_SCHEME = "must start with https://"
_CREDENTIALS = "carries credentials"
_QUERY = "carries a query or a fragment"
_HOST = "has a host or a port that no server can have"


@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        (_CHARACTERS, ["", " https://h.example", "https://h.example\n", "https://h.example/a b"]),
        (_CHARACTERS, ["https://h.example\r\nX-Other: 1", "https://gatew\u0430y.example", "https://bücher.example"]),
        (_CHARACTERS, ["https://h.example\\@other.example", "https:\\\\h.example"]),
        (_SCHEME, ["h.example", "h.example:443", "//h.example", "ftp://h.example", "file:///etc/passwd"]),
        (_SCHEME, ["httpss://h.example", "https+unix://h.example"]),
        ("names no host", ["https://", "https:///v1", "https:h.example", "https://:443"]),
        ("is malformed", ["https://[::1", "https://h.example:port", "https://h.example:65536", "https://h.example:-1"]),
        (_CREDENTIALS, ["https://user@h.example", "https://user:password@h.example", "https://@h.example"]),
        (_QUERY, ["https://h.example?key=1", "https://h.example/v1?", "https://h.example/#top", "https://h.example#"]),
        (_HOST, ["https://h.example:0", "https://h.example:", "https://gateway%2Eexample"]),
        (_HOST, ["https://[::1].other.example", "http://[::1].other.example", "https://[::1]other.example:443"]),
    ],
)
def test_what_is_no_safe_base_url_is_refused(fault: str, texts: list[str]) -> None:
    """The error names the source and the fault and repeats nothing of a URL that may hold secrets."""
    for text in texts:
        with pytest.raises(UsageError) as caught:
            parse_base_url(text, "--base-url")
        assert caught.value.message == f"--base-url: the base URL {fault}", text
        assert caught.value.hint


@pytest.mark.parametrize(
    "host",
    [
        "gateway.example",
        "10.0.0.1",
        "0.0.0.0",
        "128.0.0.1",
        "[2001:db8::1]",
        "[::]",
        "127.0.0.1.other.example",
        "localhost.other.example",
        "127.1",
        "0x7f000001",
        "localhost.",
    ],
)
def test_a_key_is_never_sent_unencrypted_to_another_host(host: str) -> None:
    """Plain http is for loopback only, and loopback is recognised by its exact names."""
    with pytest.raises(UsageError, match="would send the key unencrypted to ") as caught:
        parse_base_url(f"http://{host}:8000/v1")
    assert visible(host.strip("[]")) in caught.value.message
    assert caught.value.hint == "use https://; http:// is for loopback only"


def test_an_error_about_a_base_url_names_the_argument_by_default() -> None:
    """The Python API has no option to name."""
    with pytest.raises(UsageError, match=r"^base_url: "):
        parse_base_url("ftp://gateway.example")


@pytest.mark.parametrize(
    ("base_url", "scope", "endpoint"),
    [
        ("https://h/prefix", Scope.KEY, "https://h/prefix/v1/balance"),
        ("http://127.0.0.1:8000", Scope.ACCOUNT, "http://127.0.0.1:8000/v1/user/balance"),
    ],
)
def test_each_scope_has_its_endpoint(base_url: str, scope: Scope, endpoint: str) -> None:
    """The key's balance and the account's are two addresses below the base URL."""
    target = Target("default", scope, GivenKey(ApiKey(KEY, source="a test")), base_url)
    assert target.endpoint == endpoint
    assert is_plain_http(target.base_url) is base_url.startswith("http:")


@pytest.mark.parametrize("seconds", [0.000001, 10.5, 3600])
def test_a_time_limit_up_to_an_hour_is_kept(seconds: float) -> None:
    """The upper bound is inclusive."""
    assert check_timeout(seconds) == seconds


@pytest.mark.parametrize("seconds", [0, -0.0, -1e-9, 3600.0001, float("inf"), -float("inf"), float("nan")])
def test_a_time_limit_that_limits_nothing_is_refused(seconds: float) -> None:
    """No limit, no time at all and no number are errors that name their source."""
    with pytest.raises(UsageError) as caught:
        check_timeout(seconds, "--timeout")
    assert caught.value.message == "--timeout: the time limit must be more than 0 and at most 3600 seconds"
    assert caught.value.hint == "give a number like 10"


@pytest.mark.parametrize(
    ("is_documented", "urls"),
    [
        (True, ["https://api.apimart.ai", "https://API.APIMART.AI/v1", "https://api.apimart.ai.:8443/behind/a/path"]),
        (True, ["https://api.apib.ai", "https://api.aiuxu.com", "https://api.aishuch.com"]),
        (False, ["https://apimart.ai", "https://api.apimart.ai.example.com", "https://xapi.apimart.ai"]),
        (False, ["https://api-apimart.ai", "http://127.0.0.1:8080", "http://[::1]:8080"]),
    ],
)
def test_the_default_host_and_its_mirrors_have_an_account(is_documented: bool, urls: list[str]) -> None:
    """However their address is written, and no other host."""
    for url in urls:
        target = Target("default", Scope.ACCOUNT, GivenKey(ApiKey(KEY, source="test")), parse_base_url(url))
        assert has_documented_account(target.host) is is_documented, url
