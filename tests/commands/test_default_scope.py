"""What commands that decide look at where no scope was chosen, and what they do where a gateway has no account."""

import json
import re
import shlex
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from apimart_cli.words import Scope
from support.past import recorded, write_past
from support.running import KEY, Call, Spawn, Write
from support.scripted import ACCOUNT, Gateway, Reply, balance, gateway, refusal

OTHER_KEY = "sk-test-other-1234567890"
WEB_PAGE = Reply("<!doctype html><title>Welcome</title>")
PLENTY, EMPTY, SILENCE = balance("10"), balance("0"), refusal(500)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where readings are recorded."""
    path = tmp_path / "history.db"
    monkeypatch.setenv("APIMART_HISTORY", str(path))
    monkeypatch.setenv("APIMART_RECORD", "1")
    return path


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with a documented account endpoint: this one."""
    monkeypatch.setattr("apimart_cli.target.DOCUMENTED_HOSTS", frozenset({"127.0.0.1"}))


def env_of(server: Gateway) -> dict[str, str]:
    return {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}


def answering(key: Reply, *account: Reply) -> "Callable[[str, str], Reply]":
    """Answer for the account with one reply after the other, the last one again and again."""
    replies = list(account)
    return lambda path, _key: (replies.pop(0) if len(replies) > 1 else replies[0]) if path == ACCOUNT else key


def accounts_asked(server: Gateway) -> int:
    return sum(asked.path == ACCOUNT for asked in server.asked)


@pytest.mark.parametrize(("command", "code"), [("check --min 5", 3), ("nagios -c 5:", 2), ("run --min 5 -- true", 125)])
def test_a_key_on_an_empty_account_does_not_pass(call: Call, command: str, code: int) -> None:
    """By default a gate looks at what can be spent."""
    with gateway(answering(PLENTY, EMPTY)) as server:
        assert call(*command.split(), env=env_of(server)).code == code


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("check --min 5 --scope key", ""),
        ("nagios -c 5:", '[profiles.default]\nscope = "key"\n'),
        ("run --min 5 --no-settle -- true", 'scope = "key"\n'),
    ],
)
def test_a_scope_that_was_chosen_is_kept(call: Call, write_config: Write, command: str, text: str) -> None:
    """Wherever it was chosen: the account is not even asked."""
    write_config(text)
    with gateway(answering(PLENTY, EMPTY)) as server:
        assert call(*command.split(), env=env_of(server)).code == 0
        assert accounts_asked(server) == 0


@pytest.mark.parametrize("command", ["balance", "watch --count 1", "balance -o prometheus"])
def test_commands_that_show_go_on_showing_the_key(call: Call, command: str) -> None:
    """Nothing is asked of the account unless a scope says so."""
    with gateway(answering(PLENTY, EMPTY)) as server:
        assert call(*command.split(), env=env_of(server)).code == 0
        assert accounts_asked(server) == 0


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, ""),
        (404, "<h1>Not found</h1>"),
        (405, '{"error":{"message":"no such route"}}'),
        (404, '{"error":{"message":"Invalid URL (GET /v1/user/balance)","type":"invalid_request_error","code":""}}'),
        (404, '{"timestamp":"2026-11-30","status":404,"error":"Not Found","path":"/v1/user/balance"}'),
        (405, "Cannot GET /v1/user/balance"),
    ],
)
def test_a_gateway_without_an_account_endpoint_has_its_keys_checked(call: Call, status: int, body: str) -> None:
    """Whatever it says about that, its address included, and it is asked once; the reading is the key's."""
    with gateway(answering(PLENTY, Reply(body, status))) as server:
        ended = call("check", "--min", "5", "--json", env=env_of(server))
        assert accounts_asked(server) == 1
        assert call("check", "--min", "10.01", env=env_of(server)).code == 3
        shown = call("check", "--min", "5", env=env_of(server))
    assert (ended.code, ended.stderr) == (0, "")
    assert [each["scope"] for each in json.loads(ended.stdout)["readings"]] == ["key"]
    assert shown.stdout == "PASS default/key: 10 left, at least 5 required\n"


@pytest.mark.parametrize(("status", "body"), [
    (404, '{"error":{"message":"user not found","code":"user_not_found"}}'),
    (405, '{"success":false,"message":"account suspended for non-payment"}'),
    (404, '{"success":false,"message":"user quota query failed"}'),
    (404, '{"error":{"message":"invalid api key","code":"invalid_api_key"}}'),
    (404, '{"error":{"message":"not found","type":"authentication_error"}}'),
    (404, '{"remain_balance":0,"used_balance":9}'), (405, '{"message":"\u7528\u6237\u4e0d\u5b58\u5728"}'),
    (404, "no such user"), (404, '{"success":true}'),
])  # fmt: skip
def test_an_answer_about_the_customer_is_no_missing_endpoint(call: Call, status: int, body: str) -> None:
    """Whatever its status: the gateway knows the address, and says something of the account."""
    with gateway(answering(PLENTY, Reply(body, status))) as server:
        ended = call("check", "--min", "5", "--fail-open", env=env_of(server))
        assert call("nagios", "-c", "5:", env=env_of(server)).code == 3
    assert (ended.code, ended.stdout) == (6, "")


def test_a_bot_check_in_the_place_of_the_account_is_no_missing_endpoint(call: Call) -> None:
    """Nor is any other answer of the network before the gateway."""
    check = Reply("<title>Just a moment...</title>", 404, headers={"cf-mitigated": "challenge"})
    with gateway(answering(PLENTY, check)) as server:
        ended = call("check", "--min", "5", env=env_of(server))
    assert ended.code == 6
    assert re.search(r"error: a bot check of .* answered in place of the gateway", ended.stderr)


def test_an_endpoint_that_goes_missing_after_a_failure_is_not_taken_for_missing(call: Call) -> None:
    """A gateway that is about to fail answers with many things."""
    with gateway(answering(PLENTY, refusal(503), refusal(404))) as server:
        assert call("check", "--min", "5", env=env_of(server)).code == 6


def test_the_other_commands_that_decide_go_on_with_the_key_too(call: Call) -> None:
    """The plugin names the key in its line; `run` starts its command."""
    with gateway(answering(PLENTY, refusal(404))) as server:
        told = call("nagios", "-c", "5:", env=env_of(server))
        assert call("run", "--min", "5", "--no-settle", "--", "true", env=env_of(server)).code == 0
        assert call("run", "--min", "11", "--no-settle", "--", "true", env=env_of(server)).code == 125
    assert told.stdout.startswith("APIMART OK - default/key 10 left | ")


@pytest.mark.parametrize("command", ["check --min 5", "run --min 5 --no-settle -- true"])
def test_a_person_is_told_that_only_the_key_was_looked_at(call: Call, command: str) -> None:
    """As a note at a terminal, and not where the account was looked at."""
    with gateway(answering(PLENTY, refusal(404))) as server:
        shown = call(*command.split(), env=env_of(server), columns=200).stdout
        host = server.url.removeprefix("http://")
    assert f"apimart: note: {host} has no account endpoint: only the key was looked at\r\n" in shown
    with gateway(answering(PLENTY, PLENTY)) as server:
        assert "account endpoint" not in call(*command.split(), env=env_of(server), columns=200).stdout


def test_debug_tells_that_the_key_alone_is_looked_at(call: Call) -> None:
    """Also where nobody reads at a terminal."""
    with gateway(answering(PLENTY, refusal(405))) as server:
        ended = call("check", "--min", "5", "--debug", env=env_of(server))
    assert "default/account: attempt 1: no account endpoint; the key alone is looked at\n" in ended.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--scope", "spendable"], ""),
        (["--scope", "both"], ""),
        (["--scope", "account"], ""),
        ([], 'scope = "spendable"\n'),
    ],
)
def test_a_scope_that_was_chosen_gets_no_other(call: Call, write_config: Write, options: list[str], text: str) -> None:
    """A missing endpoint is an error then, at once."""
    write_config(text)
    with gateway(answering(PLENTY, refusal(404))) as server:
        ended = call("check", "--min", "5", *options, env=env_of(server))
        assert accounts_asked(server) == 1
        guarded = call("run", "--min", "5", *options, "--", "true", env=env_of(server))
    assert (ended.code, guarded.code) == (6, 125)
    hint = "hint: use --scope key: this gateway has no account endpoint\n"
    assert ended.stderr.endswith(hint)
    assert hint in guarded.stderr


def test_each_profile_falls_back_by_itself(call: Call, write_config: Write) -> None:
    """Two profiles with one key: where one of them chose what can be spent, a missing account is its error."""
    env = {"APIMART_KEY_OF_BOTH": KEY}
    write_config(
        '[profiles.a]\napi_key_env = "APIMART_KEY_OF_BOTH"\n'
        '[profiles.b]\napi_key_env = "APIMART_KEY_OF_BOTH"\nscope = "spendable"\n'
    )
    with gateway(answering(PLENTY, refusal(404))) as server:
        base = {**env, "APIMART_BASE_URL": server.url}
        for order in (("a", "b"), ("b", "a")):
            named = [word for name in order for word in ("-p", name)]
            ended = call("check", "--min", "5", *named, "--json", env=base)
            document = json.loads(ended.stdout)
            assert ended.code == 6
            assert {each["profile"]: (each["scope"], each["verdict"]) for each in document["readings"]} == {
                "a": ("key", "pass"),
                "b": ("spendable", "error"),
            }


@pytest.mark.parametrize(("key", "options", "code"), [
    (EMPTY, "--min 5", 3), (refusal(402), "--min 5", 3), (refusal(401), "--min 5", 4), (SILENCE, "--min 5", 5),
    (SILENCE, "--min 5 --fail-open", 0), (WEB_PAGE, "--min 5 --fail-open", 6),
    (balance("-1", unlimited=True), "--min 5 --on-unlimited fail", 7), (PLENTY, "--min-runway 3d", 8),
])  # fmt: skip
def test_the_key_alone_is_judged_as_with_its_scope_chosen(call: Call, key: Reply, options: str, code: int) -> None:
    """Falling back changes what is judged, and nothing about the judgement."""
    with gateway(answering(key, refusal(404))) as server:
        ended = call("check", *options.split(), "--json", env=env_of(server))
        chosen = call("check", *options.split(), "--json", "--scope", "key", env=env_of(server))
    assert ended.code == chosen.code == code
    assert ended.stderr == chosen.stderr
    assert [each["scope"] for each in json.loads(ended.stdout)["readings"]] == ["key"]


WAY_OUT = "hint: try again later; where this gateway has no account endpoint, look at the key alone: --scope key\n"


@pytest.mark.usefixtures("documented")
@pytest.mark.parametrize(("command", "code"), [("check --min 5", 6), ("nagios -c 5:", 3), ("run --min 5 -- true", 125)])
def test_a_documented_account_that_is_missing_is_no_answer(call: Call, command: str, code: int) -> None:
    """It is asked once more: a fault on the way may have answered for it. The hint names the scope that helps."""
    with gateway(answering(PLENTY, refusal(404))) as server:
        ended = call(*command.split(), env=env_of(server))
        assert (ended.code, accounts_asked(server)) == (code, 2)
        assert call("check", "--min", "5", "--scope", "key", env=env_of(server)).code == 0
    assert command.startswith("nagios") or WAY_OUT in ended.stderr


@pytest.mark.usefixtures("documented")
@pytest.mark.parametrize(("second", "options", "code"), [
    (PLENTY, "", 0), (EMPTY, "", 3), (refusal(401), "", 4), (refusal(405), "--fail-open", 6),
    (SILENCE, "--fail-open", 6), (balance("10", delay=9), "--fail-open --timeout 1", 6),
])  # fmt: skip
def test_the_second_answer_of_a_documented_account_counts(call: Call, second: Reply, options: str, code: int) -> None:
    """A balance counts, and so does a verdict; a silence after a missing endpoint is not forgiven as one."""
    with gateway(answering(PLENTY, refusal(404), second)) as server:
        assert call("check", "--min", "5", *options.split(), env=env_of(server)).code == code


@pytest.mark.usefixtures("documented")
def test_where_no_time_is_left_a_missing_account_is_not_asked_again(call: Call) -> None:
    """The gateway's own wish to wait counts, too."""
    with gateway(answering(PLENTY, refusal(404, Retry_After="60"))) as server:
        assert call("check", "--min", "5", "--fail-open", env=env_of(server)).code == 6
        assert accounts_asked(server) == 1


@pytest.mark.parametrize("fault", [WEB_PAGE, Reply("{}"), refusal(302), refusal(410)])
def test_another_answer_of_the_account_proves_nothing_about_it(call: Call, fault: Reply) -> None:
    """Only 404 and 405 say that it is missing; the hint tells how to leave it out."""
    with gateway(answering(PLENTY, fault)) as server:
        ended = call("check", "--min", "5", "--fail-open", env=env_of(server))
    assert ended.code == 6
    assert ended.stderr.endswith(WAY_OUT)


@pytest.mark.parametrize(
    ("options", "status"), [("", 401), ("--scope spendable", 403), ("--scope both", 401), ("--scope account", 401)]
)
def test_an_account_alone_that_is_refused_tells_how_to_leave_it_out(call: Call, options: str, status: int) -> None:
    """Exit 4 as ever; the key itself is good, which the advice about keys would hide. The hint, followed, helps."""
    with gateway(answering(PLENTY, refusal(status))) as server:
        ended = call("check", "--min", "5", *options.split(), env=env_of(server))
        assert ended.code == 4
        assert ended.stderr.splitlines()[-1].startswith("hint: ")
        assert ended.stderr.endswith(" look at the key alone: --scope key\n")
        assert call("check", "--min", "5", "--scope", "key", env=env_of(server)).code == 0


def test_a_key_that_is_refused_with_its_account_is_told_about_the_key(call: Call) -> None:
    """Leaving the account out would not help."""
    with gateway(lambda _path, _key: refusal(401)) as server:
        ended = call("check", "--min", "5", env=env_of(server))
    assert (ended.code, "--scope key" in ended.stderr) == (4, False)


def test_an_account_that_has_answered_is_missed(call: Call, history: Path) -> None:
    """Whichever key asked: one routing fault does not pass an empty account."""
    with gateway(answering(PLENTY, PLENTY, refusal(404))) as server:
        env = env_of(server)
        assert call("check", "--min", "5", env={**env, "APIMART_API_KEY": OTHER_KEY}).code == 0
        ended = call("check", "--min", "5", env=env)
        assert (ended.code, accounts_asked(server)) == (6, 3)
        assert ended.stderr.endswith(WAY_OUT)
    assert Scope.ACCOUNT in {entry.series.scope for entry in recorded(history)}


@pytest.mark.usefixtures("usual_patience")
def test_a_ledger_that_is_locked_may_have_known_it(call: Call, history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a missing account is no answer, whatever the ledger would have said."""
    monkeypatch.setattr("apimart_cli.readings.forecasts.WAITED_SECONDS", 0.3)
    write_past(history, "elsewhere.example", days=1, spent_per_day="0")
    other = sqlite3.connect(history, isolation_level=None)
    with gateway(answering(PLENTY, refusal(404))) as server, closing(other):
        other.execute("BEGIN EXCLUSIVE")
        ended = call("check", "--min", "5", "--fail-open", env=env_of(server))
    assert (ended.code, WAY_OUT in ended.stderr) == (6, True)


def test_an_account_that_goes_missing_while_a_command_runs_is_not_known(call: Call) -> None:
    """`run` falls back when it starts, and only then: later that is blindness, which stops the command."""
    options = ("--min", "5", "--interval", "0.1", "--max-blind", "0.3", "--no-settle", "--kill-after", "1")
    with gateway(answering(PLENTY, PLENTY, refusal(404))) as server:
        ended = call("run", *options, "--", "sleep", "60", env=env_of(server))
    assert ended.code == 124
    assert "the balance is not known" in ended.stderr


def test_a_command_on_a_gateway_without_accounts_goes_on_with_the_key(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its account is asked once, at the start."""
    monkeypatch.setattr("apimart_cli.run.looking.SETTLE_PAUSE", 0.1)
    with gateway(answering(PLENTY, refusal(404))) as server:
        ended = call("run", "--min", "5", "--interval", "0.1", "--", "sleep", "0.5", env=env_of(server))
        assert ended.code == 0
        assert accounts_asked(server) == 1
        assert len(server.asked) > 3


def test_a_runway_waits_for_the_history_of_the_account(call: Call, history: Path) -> None:
    """The hint names the key, whose history is long enough, and helps."""
    with gateway(answering(balance("10.5", "2.3"), balance("100", "25.5"))) as server:
        write_past(history, server.url.removeprefix("http://"), days=7, spent_per_day="0.25")
        ended = call("check", "--min-runway", "3d", env=env_of(server))
        assert ended.code == 8
        assert "hint: it takes readings of the account over three days; look at the key alone with: --scope key" in (
            ended.stderr
        )
        assert call("check", "--min-runway", "3d", "--scope", "key", env=env_of(server)).code == 0


@pytest.fixture
def unlimited() -> Iterator[Mapping[str, str]]:
    """A gateway of unlimited keys, and the variables that name it."""
    with gateway(answering(balance("-1", unlimited=True), EMPTY)) as server:
        yield {"APIMART_BASE_URL": server.url}


NOTE = "apimart: note: an unlimited key spends what its account has left, which was not looked at"


@pytest.mark.parametrize(("options", "hint"), [
    ("", "see the account: apimart balance --scope both"),
    ("-p work", "see the account: apimart balance --profile work --scope both"),
    ("-p work -p 'at home'", "see the account: apimart balance --profile work --profile 'at home' --scope both"),
    ("--all-profiles", "see the account: apimart balance --all-profiles --scope both"),
    (f"--api-key {KEY}", "see the account with: --scope both"),
])  # fmt: skip
def test_balance_says_where_the_money_of_an_unlimited_key_is(
    call: Call, unlimited: Mapping[str, str], write_config: Write, options: str, hint: str
) -> None:
    """With a line that can be typed as it is, about the same profiles, and without the key."""
    write_config(
        f'default_profile = "work"\n[profiles.work]\napi_key = "{KEY}"\n[profiles."at home"]\napi_key = "{OTHER_KEY}"\n'
    )
    shown = call("balance", *shlex.split(options), env=unlimited, columns=150).stdout
    assert f"{NOTE}\r\nhint: {hint}\r\n" in shown
    assert shown.count(NOTE) == 1


@pytest.mark.parametrize("options", ["--scope both", "--scope spendable", "--scope account", "--textfile x.prom"])
def test_nothing_is_said_where_the_account_was_looked_at(
    call: Call, unlimited: Mapping[str, str], options: str
) -> None:
    """Nor where the answer goes into a file for others, or away from a terminal."""
    env = {**unlimited, "APIMART_API_KEY": KEY}
    assert "see the account" not in call("balance", *options.split(), env=env, columns=150).stdout
    assert call("balance", env=env).stderr == ""


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("options", "more", "hint"), [
    ("", {}, "apimart balance --scope both"),
    ("", {"APIMART_API_KEY": OTHER_KEY}, "apimart balance --profile default --scope both"),
])  # fmt: skip
def test_login_says_where_the_money_of_an_unlimited_key_is(
    spawn: Spawn, unlimited: Mapping[str, str], options: str, more: Mapping[str, str], hint: str
) -> None:
    """The line asks about the key that was just kept."""
    child = spawn("apimart", "login", *options.split(), env={**unlimited, **more}, columns=150)
    child.expect("API key:")
    child.sendline(KEY)
    shown = child.read().decode()
    assert f"{NOTE}\r\nhint: see the account: {hint}\r\n" in shown


def test_fifty_keys_and_their_accounts_are_asked_at_once(call: Call, write_config: Write) -> None:
    """A slow gateway costs its time once: none is answered before all have asked."""
    write_config("".join(f'[profiles.p{number}]\napi_key = "sk-of-{number:03d}"\n' for number in range(50)))
    together = threading.Barrier(100, timeout=30)

    def answer(_path: str, _key: str) -> Reply:
        together.wait()
        return PLENTY

    with gateway(answer) as server:
        env = {"APIMART_BASE_URL": server.url}
        assert call("check", "--all-profiles", "--min", "5", "--timeout", "30", env=env).code == 0
        assert len(server.asked) == server.most_at_once == 100
