"""`exporter`: what its command line refuses before anything is asked."""

import pytest

from support.running import KEY, Call, Write

URL = {"APIMART_BASE_URL": "http://127.0.0.1:1", "APIMART_API_KEY": KEY}


@pytest.mark.parametrize(("options", "told"), [
    (("--interval", "4"), "--interval: must be at least 5 seconds"),
    (("--listen", "9899"), "--listen: '9899' is no address with a port"),
    (("--listen", "0.0.0.0:0"), "without TLS and a token they could read the balances"),
    (("--listen", "[::]:0", "--tls-cert", "a"), "TLS needs a certificate and its key: --tls-key is missing"),
    (("--tls-cert", "a", "--tls-key", "none"), "cannot read none: No such file or directory"),
    (("--token-file", "none"), "cannot read none: No such file or directory"),
    (("--shard", "1/2"), "--shard: there are no profiles to share out"),
    (("--concurrency", "0"), "--concurrency"), (("--api-key", "-"), "standard input only once"),
    (("-p", "none"), "there is no profile 'none'"),
])  # fmt: skip
def test_what_cannot_be_done_is_a_usage_error(call: Call, options: tuple[str, ...], told: str) -> None:
    """With what is wrong, before anybody is asked."""
    ended = call("exporter", *options, env=URL)
    assert (ended.code, ended.stdout) == (2, "")
    assert told in ended.stderr


def test_a_single_key_cannot_be_shared_out(call: Call, write_config: Write) -> None:
    """Not said as if there were no profiles."""
    write_config('[profiles.work]\napi_key = "sk-work-0123456789"\n')
    for name, value in (("APIMART_PROFILE", "work"), ("APIMART_API_KEY", "sk-other-0123456789")):
        ended = call("exporter", "--shard", "1/2", env={name: value})
        assert ended.code == 2
        assert "--shard: an option or a variable names a single key" in ended.stderr


def test_without_the_library_it_says_how_to_get_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; no other command needs it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    ended = call("exporter", env=URL)
    assert ended.code == 2
    assert "prometheus-client package is not installed" in ended.stderr
    assert "hint: install it beside apimart: pip install 'prometheus-client>=" in ended.stderr


def test_a_single_profile_without_a_key_is_an_error(call: Call) -> None:
    """As everywhere: there is nothing to ask. Of several, such a one fails and the others are told."""
    ended = call("exporter", "--listen", "127.0.0.1:0")
    assert (ended.code, "API key" in ended.stderr) == (4, True)


def test_profile_and_all_profiles_exclude_each_other(call: Call, write_config: Write) -> None:
    """In a shard, too."""
    write_config('[profiles.work]\napi_key = "sk-work-0123456789"\n')
    for options in ((), ("--shard", "1/1")):
        ended = call("exporter", "-p", "work", "--all-profiles", *options)
        assert ended.code == 2
        assert "exclude each other" in ended.stderr
