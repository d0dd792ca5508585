"""NO_PROXY in the forms that curl and Go know, and which variable a mistake in a proxy's address stands in."""

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.gateway.proxies import check_proxy, environment_proxies, is_excepted

MATCHING = {
    "api.example.com": ["*", "other.example, *", "example.com", ".example.com", "*.example.com", "api.EXAMPLE.com"],
    "API.Example.COM.": ["api.example.com", "other.example api.example.com", " other.example ,\tapi.example.com ,"],
    "example.com": [".example.com", "example.com."],
    "a.b.example.com": ["*.example.com", "example.com"],
    # With a port; the usual one does not stand in the address.
    "api.example.com:443": ["api.example.com:443"],
    "api.example.com:8443": ["api.example.com", ".example.com:8443"],
    # Addresses and networks.
    "127.0.0.1": ["127.0.0.1:443", "127.0.0.1"],
    "127.0.0.1:8443": ["127.0.0.1:8443"],
    "[::1]": ["::1", "[::1]", "0:0:0:0:0:0:0:1"],
    "[::1]:8443": ["[::1]:8443"],
    "[FD00::1]:8443": ["fd00:0::1", "fd00::/8"],
    "10.1.2.3": ["10.1.2.9/24", "10.0.0.0/8"],
    "10.1.2.3:8443": ["192.168.0.0/16,10.0.0.0/8"],
}

DIFFERENT = {
    "api.example.com": ["", ",", "api.example.com:8443", "api.example", "*.com.example", "**", ".", "10.0.0.0/8"],
    "api.example.com:8443": ["api.example.com:443"],
    "badexample.com": ["example.com"],
    "example.com.evil.example": ["example.com"],
    "example.com": ["api.example.com", "*.example.com"],
    "127.0.0.1": ["127.0.0.1:8443", "0.0.1", ".0.0.1"],
    "11.1.2.3": ["10.0.0.0/8"],
    "10.1.2.3": ["10.0.0.0/33", "fd00::/8"],
    "[fe00::1]": ["fd00::/8"],
    "[::1]": ["::2", "1"],
    "[::1]:8443": ["[::1]:443"],
}


def test_what_no_proxy_names_is_asked_directly() -> None:
    """Names, domains, ports, addresses and networks. The end of a name is no domain, and a port is that port."""
    for names, is_direct in ((MATCHING, True), (DIFFERENT, False)):
        for host, excepted in names.items():
            wrong = [each for each in excepted if is_excepted(f"https://{host}/v1/balance", each) is not is_direct]
            assert (host, wrong) == (host, [])


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_either_spelling_is_read(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """As for every program that knows them."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert environment_proxies("https://api.example.com/")["https"] == "http://127.0.0.1:9"
    monkeypatch.setenv(variable, "*.example.com")
    assert environment_proxies("https://api.example.com/") == {}
    assert environment_proxies("https://elsewhere.example/")["https"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("proxy", [
    "proxy.example:3128", "proxy", "HTTP://proxy/", "https://user:pa%40ss@proxy:443", "socks5h://u:p@[::1]:1080",
    "socks4a://user@proxy", "http://[::1]",
])  # fmt: skip
def test_a_good_address_has_no_fault(proxy: str) -> None:
    """With and without scheme, port, user and password."""
    check_proxy(proxy, {"HTTPS_PROXY": proxy})


@pytest.mark.parametrize(("variables", "named"), [
    ({"HTTPS_PROXY": "http://"}, "HTTPS_PROXY"),
    ({"HTTPS_PROXY": "http://", "https_proxy": "http://"}, "https_proxy"),
    ({"HTTPS_PROXY": "http://good", "all_proxy": "http://"}, "all_proxy"),
    ({}, "the system's settings"),
])  # fmt: skip
def test_the_variable_is_named(variables: dict[str, str], named: str) -> None:
    """That which the libraries take."""
    with pytest.raises(UsageError, match=f"^{named}: the proxy's address is malformed: "):
        check_proxy("http://", variables)
