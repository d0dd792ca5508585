"""No money in the words of a gateway, and answers that are not its own, as the installed command takes them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.running import KEY, Call, Run
from support.scripted import Gateway, Reply, gateway

pytestmark = pytest.mark.measured

EMPTY = '{"error":{"message":"[token_id=77] insufficient balance (current: 0.01 USD, required: 0.050 USD)"}}'
REFUSALS = [
    ("", Reply('{"error":{"message":"\\u8be5\\u4ee4\\u724c\\u989d\\u5ea6\\u5df2\\u7528\\u5c3d"}}', 401)),
    ("", Reply('{"error":{"message":"insufficient quota: balance=12, required=500"}}', 500)),
    ("", Reply('{"error":{"message":"","code":"insufficient_user_quota"}}', 429)),
    ("0.01 USD left, the gateway wants 0.050 for any call", Reply(EMPTY, 402)),
]
PAGE = Reply("<html><title>Just a moment...</title>", 403, headers={"cf-mitigated": "challenge"})


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Reply]], Gateway]]:
    """Start a gateway that answers each path."""
    with gateway(lambda _path, _key: PAGE) as server:

        def start(answer: Callable[[str], Reply]) -> Gateway:
            server.answer = lambda path, _key: answer(path)
            return server

        yield start


@pytest.fixture
def run(call: Call) -> Call:
    """Run each command line in this process: what these tests show does not need one of its own."""
    return call


def at(server: Gateway) -> dict[str, str]:
    return {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}


@pytest.mark.parametrize(("told", "reply"), REFUSALS, ids=range(len(REFUSALS)))
def test_no_money_is_below_critical_and_an_alert(
    run: Run, serve: Callable[..., Gateway], tmp_path: Path, told: str, reply: Reply
) -> None:
    """In every wording: nothing forgives it, it is asked once, and the id of the token is not shown."""
    server = serve(lambda _: reply)
    options = ("--scope", "key", "--fail-open", "--on-low", f"touch {tmp_path}/low")
    checked = run("check", "--min", "1", *options, env=at(server))
    assert checked.returncode == 3
    assert checked.stdout.startswith("BELOW default/key: ")
    assert told in checked.stdout
    assert "77" not in checked.stdout + checked.stderr
    assert ((tmp_path / "low").exists(), len(server.asked)) == (True, 1)
    plugin = run("nagios", "-c", "1:", "--scope", "key", env=at(server))
    assert (plugin.returncode, plugin.stdout.split(" - ")[0]) == (2, "APIMART CRITICAL")


def test_a_bot_check_is_no_word_about_the_key(run: Run, serve: Callable[..., Gateway]) -> None:
    """The answer cannot be trusted, and `login` can keep the key."""
    env = {"APIMART_BASE_URL": serve(lambda _: PAGE).url}
    checked = run("check", "--min", "1", env={**env, "APIMART_API_KEY": KEY})
    assert checked.returncode == 6
    assert "a bot check" in checked.stderr
    assert "answered in place of the gateway (HTTP 403)" in checked.stderr
    assert "rejected" not in checked.stderr
    refused = run("login", env=env, input=KEY)
    assert (refused.returncode, "keep it unverified with: --no-verify" in refused.stderr) == (6, True)
    assert run("login", "--no-verify", env=env, input=KEY).returncode == 0
