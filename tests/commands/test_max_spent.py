"""`check --max-spent`: what passes, what does not, what is asked, and who else is told."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.runner import commands_in
from support.running import KEY, Call, Serve, Write, connected
from support.scripted import Gateway, Reply, balance, gateway

DAY = ("--max-spent", "5", "--within", "24h")
ENV = {"TZ": "UTC", "APIMART_API_KEY": KEY}
BOOKED = "(booked until about a minute ago)"


def books(*items: str, total: str | None = None, **headers: str) -> Reply:
    """What the books say: amounts of models, and a total."""
    rows = ",".join(f'{{"model":"m{number}","amount_usd":{amount}}}' for number, amount in enumerate(items))
    whole = total or (items[0] if len(items) == 1 else "0")
    text = f'{{"success":true,"data":{{"total":{{"amount_usd":{whole}}},"items":[{rows}]}}}}'
    return Reply(text, headers={name.replace("_", "-"): value for name, value in headers.items()})


def answering(reply: Reply, left: Reply | None = None) -> Callable[[str, str], Reply]:
    return lambda path, _key: reply if "/usage" in path else left or balance("10")


def env_of(server: Gateway, **more: str) -> dict[str, str]:
    return {**ENV, "APIMART_BASE_URL": server.url, **more}


def asked_of(server: Gateway) -> list[dict[str, str]]:
    found = [urlsplit(each.path) for each in server.asked if each.path.startswith("/v1/usage")]
    return [{name: value for name, [value] in parse_qs(each.query).items()} for each in found]


@pytest.mark.parametrize(
    ("spent", "code", "line"),
    [
        ("5.000000", 0, f"PASS default/key: 5.000000 USD spent in the last 24 hours, at most 5 allowed {BOOKED}\n"),
        ("5.000001", 3, f"BELOW default/key: 5.000001 USD spent in the last 24 hours, at most 5 allowed {BOOKED}\n"),
    ],
)
def test_one_line_says_it_all(call: Call, spent: str, code: int, line: str) -> None:
    """What was spent, in which time, what is allowed, and how late that is; inclusive, and exact."""
    with gateway(answering(books(spent))) as server:
        assert call("check", *DAY, env=env_of(server)) == (code, line, "")


@pytest.mark.parametrize(
    ("within", "words"), [("1h", "in the last hour"), ("90m", "in the last 90 minutes"), ("today", "today")]
)
def test_the_time_in_words(call: Call, within: str, words: str) -> None:
    """As it was typed."""
    with gateway(answering(books("1"))) as server:
        shown = call("check", "--max-spent", "5", "--within", within, env=env_of(server)).stdout
    assert f"1 USD spent {words}, at most 5 allowed" in shown


def test_alone_it_asks_for_no_balance(call: Call) -> None:
    """One question, by model, so that the total has parts, up to now; nothing of it is kept."""
    with gateway(answering(books("1"))) as server:
        began = datetime.now(UTC).replace(microsecond=0)
        assert call("check", *DAY, env=env_of(server)).code == 0
        [asked] = asked_of(server)
        assert len(server.asked) == 1
    assert (asked["group_by"], asked["scope"], asked["tz"]) == ("model", "key", "UTC")
    end = datetime.fromtimestamp(int(asked["end"]), UTC)
    assert began <= end <= datetime.now(UTC)
    assert int(asked["end"]) - int(asked["start"]) == 86_400


def test_the_books_of_the_key_or_the_account(call: Call) -> None:
    """The key's, and with `--scope account` those of the account."""
    with gateway(answering(books("1"))) as server:
        for scope in ("account", "both"):
            assert call("check", *DAY, "--scope", scope, env=env_of(server)).code == 0
        assert [each["scope"] for each in asked_of(server)] == ["account", "key"]


@pytest.mark.parametrize(
    ("left", "spent", "code", "outcomes"),
    [
        ("10", "1", 0, ["pass", "pass"]),
        ("1", "1", 3, ["below", "pass"]),
        ("10", "9", 3, ["pass", "below"]),
    ],
)
def test_with_other_thresholds_all_must_hold(call: Call, left: str, spent: str, code: int, outcomes: list[str]) -> None:
    """The balance and the books are asked side by side, and each key is read once."""
    with gateway(answering(books(spent)._replace(delay=0.3), balance(left, delay=0.3))) as server:
        ended = call("check", "--min", "5", "--scope", "key", *DAY, "--json", env=env_of(server))
        assert len(server.asked) == server.most_at_once == 2
    document = json.loads(ended.stdout)
    assert ended.code == document["exit_code"] == code
    assert [each["verdict"] for each in (*document["readings"], *document["spent"])] == outcomes


def test_a_key_command_is_run_once_for_both(call: Call, write_config: Write, tmp_path: Path) -> None:
    """It may ask a person."""
    log = tmp_path / "log"
    program = tmp_path / "key"
    program.write_text(f"#!/bin/sh\necho run >>{log}\nsleep 0.2\necho {KEY}\n")
    program.chmod(0o755)
    with gateway(answering(books("1"))) as server:
        write_config(f'[profiles.a]\napi_key_command = ["{program}"]\nbase_url = "{server.url}"\n')
        assert call("check", "--min", "5", *DAY, env={"TZ": "UTC"}).code == 0
    assert log.read_text() == "run\n"


@pytest.mark.parametrize(
    ("reply", "code", "words", "output"),
    [
        (Reply("", 404), 6, "keeps no books", "table"),
        (Reply('{"error":{"code":"usage_unavailable","message":"later"}}', 503), 5, "cannot tell now", "json"),
        (Reply("", 500), 5, "HTTP 500", "table"),
        (Reply('{"error":{"code":"range_too_large"}}', 400), 2, "finds this period too long", "json"),
        (books("1", total="2"), 6, "not the sum of its parts", "github"),
        (books("1", total="2"), 6, "not the sum of its parts", "dotenv"),
        (books("-1", total="-1"), 6, "negative", "value"),
        (Reply('{"data":{"total":{"amount_usd":0}}}'), 6, "`items` is missing", "json"),
        (Reply("{"), 6, "not JSON", "value"),
        (Reply('{"error":{"message":"insufficient balance"}}', 402), 3, "asks for payment", "dotenv"),
        (Reply('{"error":{"message":"invalid API key"}}', 401), 4, "rejected", "github"),
    ],
)
def test_no_answer_no_books_and_contradictions_are_no_pass(
    call: Call, reply: Reply, code: int, words: str, output: str
) -> None:
    """In every format, each with its code; with `--fail-open` too, as the gateway has spoken."""
    with gateway(answering(reply)) as server:
        env = env_of(server)
        ended = call("check", *DAY, "--timeout", "0.5", "-o", output, env=env)
        assert (ended.code, words in ended.stderr + ended.stdout) == (code, True)
        is_silence = reply.status == 500
        assert call("check", *DAY, "--timeout", "0.5", "--fail-open", env=env).code == (0 if is_silence else code)
    assert "PASS" not in ended.stdout
    assert KEY not in ended.stdout + ended.stderr


def test_a_clock_that_is_wrong_is_no_pass(call: Call) -> None:
    """The spend of another time would be asked for."""
    for skew in (-6, 6):
        late = format_datetime(datetime.now(UTC) + timedelta(minutes=skew), usegmt=True)
        with gateway(answering(books("1", Date=late))) as server:
            ended = call("check", *DAY, env=env_of(server))
        assert (ended.code, "differ by more than five minutes" in ended.stdout + ended.stderr) == (6, True)


def test_what_the_gateway_kept_is_told_as_later(call: Call) -> None:
    """Up to two minutes."""
    with gateway(answering(books("1", X_Usage_Cache="hit"))) as server:
        assert "(booked until about two minutes ago)" in call("check", *DAY, env=env_of(server)).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--max-spent", "5"), "max_spent (--max-spent) has no time beside it"),
        (("--within", "24h"), "within (--within) has no amount beside it"),
        (("--max-spent", "five", "--within", "24h"), "--max-spent: 'five' is not an amount"),
        (("--max-spent", "5", "--within", "24"), "--within: '24' has no unit"),
        (("--max-spent", "5", "--within", "745h"), "not between a minute and 31 days"),
        (("--max-spent", "5", "--within", "59s"), "not between a minute and 31 days"),
        (("--max-spent", "5", "--within", "toady"), "did you mean today?"),
        (("--max-spent", "5", "--within", ""), "--within is empty"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(call: Call, arguments: tuple[str, ...], words: str) -> None:
    """Both must be given, and make sense."""
    with gateway(answering(books("1"))) as server:
        ended = call("check", *arguments, env=env_of(server))
        assert server.asked == []
    assert (ended.code, words in ended.stderr) == (2, True)


def test_the_config_file_has_it_too(call: Call, write_config: Write) -> None:
    """For each profile its own; profiles with a balance alone stand beside them."""
    with gateway(answering(books("4"))) as server:
        write_config(
            f'base_url = "{server.url}"\n'
            '[profiles.a]\napi_key = "sk-a-0123456789"\nmax_spent = 5\nwithin = "today"\n'
            '[profiles.b]\napi_key = "sk-b-0123456789"\nmax_spent = 3\nwithin = "24h"\n'
            '[profiles.c]\napi_key = "sk-c-0123456789"\nmin = 5\nscope = "key"\n'
        )
        ended = call("check", "--all-profiles", env={"TZ": "UTC"})
        assert {each.key for each in server.asked if "usage" in each.path} == {"sk-a-0123456789", "sk-b-0123456789"}
    assert ended.code == 3
    assert [line.split(":")[0] for line in ended.stdout.splitlines()] == ["PASS c/key", "PASS a/key", "BELOW b/key"]


def test_a_month_that_is_too_long_is_asked_in_two(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """October in Berlin has 745 hours; both answers count."""
    from apimart_cli.readings import books as readings_books

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # noqa: ARG003  # the library's signature
            return datetime(2026, 10, 31, 22, 59, 59, tzinfo=UTC)

    monkeypatch.setattr(readings_books, "datetime", Late)
    with gateway(answering(books("3"))) as server:
        ended = call("check", "--max-spent", "5", "--within", "month", env=env_of(server, TZ="Europe/Berlin"))
        asked = sorted(asked_of(server), key=lambda each: int(each["start"]))
    assert len(asked) == 2
    assert asked[0]["end"] == asked[1]["start"]
    assert all(int(each["end"]) - int(each["start"]) <= 31 * 86_400 for each in asked)
    assert (ended.code, "6 USD spent this month" in ended.stdout) == (3, True)


def test_a_run_of_github_shows_it(call: Call, tmp_path: Path) -> None:
    """An annotation, a row of the summary, and its name among those that stop."""
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    with gateway(answering(books("9"))) as server:
        env = env_of(server, **{name: str(path) for name, path in files.items()})
        ended = call("check", *DAY, "-o", "github", env=env)
    [command] = commands_in(ended.stdout)
    assert (ended.code, command.name) == (3, "error")
    assert command.properties["title"] == "apimart: default/key has spent too much"
    assert "9 USD spent in the last 24 hours, at most 5 allowed" in command.data
    assert "| 9 USD spent |" in files["GITHUB_STEP_SUMMARY"].read_text()
    assert "default/key" in files["GITHUB_OUTPUT"].read_text()


@pytest.mark.parametrize(
    ("arguments", "spent", "code", "start"),
    [
        (DAY, "1", 0, "APIMART OK - default/key 1 USD spent in the last 24 hours, at most 5 allowed"),
        (DAY, "6", 2, "APIMART CRITICAL - default/key critical: 6 USD spent in the last 24 hours, at most 5 allowed"),
        (("-c", "50:", *DAY), "1", 2, "APIMART CRITICAL - default/spendable 10 left"),
    ],
)
def test_the_plugin_knows_it(call: Call, arguments: tuple[str, ...], spent: str, code: int, start: str) -> None:
    """Critical where more was spent; the performance data have it."""
    with gateway(answering(books(spent))) as server:
        ended = call("nagios", *arguments, env=env_of(server))
    assert (ended.code, ended.stdout.startswith(start), ended.stderr) == (code, True, "")
    assert f"'default_key_spent'={spent};;~:5;0" in ended.stdout


def test_the_plugin_never_says_ok_without_an_answer(call: Call) -> None:
    """UNKNOWN, or as `--unavailable` says; what says that there is no money is critical."""
    for reply, state in ((Reply("", 404), 3), (Reply('{"error":{"message":"pay"}}', 402), 2)):
        with gateway(answering(reply)) as server:
            assert call("nagios", *DAY, "--timeout", "0.5", env=env_of(server)).code == state
            chosen = call("nagios", *DAY, "--timeout", "0.5", "--unavailable", "critical", env=env_of(server))
        assert chosen.code == 2


def test_an_alert_is_given_once_and_on_the_way_back(call: Call, tmp_path: Path) -> None:
    """Low when more was spent, with the amounts; recovered when 1.2 times what was spent would be allowed."""
    spent = ["6"]
    env_more = {"APIMART_RECORD": "1", "APIMART_HISTORY": str(tmp_path / "history.db")}
    log = tmp_path / "log"
    alert = ("--on-low", f"tee -a {log}", "--on-recover", f"tee -a {log}")
    with gateway(lambda _path, _key: books(spent[0])) as server:
        env = env_of(server, **env_more)
        for amount, code in (("6", 3), ("7", 3), ("4.5", 0), ("4", 0), ("4", 0), ("9", 3)):
            spent[0] = amount
            assert call("check", *DAY, *alert, "-q", env=env).code == code
    told = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(each["event"], each["spent"], each["threshold"], each["threshold_name"]) for each in told] == [
        ("low", 6, 5, "max_spent"),
        ("recovered", 4, 5, "max_spent"),
        ("low", 9, 5, "max_spent"),
    ]
    assert {(each["profile"], each["scope"], each["unit"], each["remain"]) for each in told} == {
        ("default", "key", "USD", None)
    }


def test_against_the_sandbox(call: Call, serve: Serve) -> None:
    """The line of the documentation, with made-up books; what they answer wrongly is no pass."""
    assert call("check", *DAY, env={**connected(serve(days=14)), "TZ": "UTC"}).code == 0
    for fault, code in ((Fault.USAGE_UNAVAILABLE, 5), (Fault.USAGE_MISSING, 6), (Fault.USAGE_WRONG_TOTAL, 6)):
        sandbox: Sandbox = serve(days=14, fault=fault)
        env = {**connected(sandbox), "TZ": "UTC"}
        assert call("check", *DAY, "--timeout", "0.5", env=env).code == code
        assert call("check", "--min", "5", env=env).code == 0
