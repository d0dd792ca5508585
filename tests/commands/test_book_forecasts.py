"""Forecasts on the first day: when the gateway's books are asked, how often, and what they may decide."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from apimart_cli.readings.book_forecasts import BookForecasts
from apimart_cli.sandbox.scenario import Fault, Scenario
from apimart_cli.sandbox.server import Sandbox
from support.past import write_past
from support.running import KEY, KEY_ID, Call, Serve, Write, connected
from support.scripted import Gateway, Reply, gateway
from support.stopwatch import Stopwatch

GATE = ("check", "--min-runway", "3d", "--scope", "key")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def env(ledger: Path) -> dict[str, str]:
    """Books may be asked, and readings are recorded."""
    recording = {"APIMART_RECORD": "1", "APIMART_HISTORY": str(ledger)}
    return {"TZ": "UTC", "APIMART_API_KEY": KEY, "APIMART_BOOKS": "1", **recording}


def left(remain: str = "30", used: str = "10", *, factor: int | None = 10, delay: float = 0.0) -> Reply:
    """A balance, with credits of so many times the amounts."""
    in_credits = ""
    if factor is not None:
        in_credits = f',"remain_credits":{Decimal(remain) * factor:f},"used_credits":{Decimal(used) * factor:f}'
    body = f'{{"success":true,"remain_balance":{remain},"used_balance":{used},"unlimited_quota":false{in_credits}}}'
    return Reply(body, delay=delay)


def spent(path: str, per_day: dict[int, str] | None = None, *, days: int = 10, delay: float = 0.0) -> Reply:
    """The books of so many whole days and today, so much a day; of some days ago as `per_day` says."""
    fields = {name: value for name, [value] in parse_qs(urlsplit(path).query).items()}
    assert fields["group_by"] == "date"
    today = datetime.fromtimestamp(int(fields["end"]) - 1, UTC).date()
    amounts = {today - timedelta(days=ago): (per_day or {}).get(ago, "1") for ago in range(days + 1)}
    amounts[today] = (per_day or {}).get(0, "0")
    items = ",".join(f'{{"date":"{day}","amount_usd":{amount}}}' for day, amount in amounts.items())
    total = sum(map(Decimal, amounts.values()))
    return Reply(f'{{"data":{{"total":{{"amount_usd":{total}}},"items":[{items}]}}}}', delay=delay)


def answering(books: Callable[[str], Reply] = spent, balance: Reply | None = None) -> Callable[[str, str], Reply]:
    return lambda path, _key: books(path) if path.startswith("/v1/usage") else balance or left()


def at(server: Gateway, env: dict[str, str], **more: str) -> dict[str, str]:
    return {**env, "APIMART_BASE_URL": server.url, **more}


def questions(server: Gateway) -> int:
    return sum(each.path.startswith("/v1/usage") for each in server.asked)


def forecast_of(call: Call, env: dict[str, str], *arguments: str) -> Any:
    return json.loads(call("balance", "--json", *arguments, env=env).stdout.splitlines()[0])["forecast"]


def test_a_new_machine_has_a_forecast_at_once(call: Call, env: dict[str, str]) -> None:
    """From the books, which are asked beside the balance, and said to be so."""
    with gateway(answering(lambda path: spent(path, delay=0.2), left(delay=0.2))) as server:
        told = forecast_of(call, at(server, env))
        assert server.most_at_once == 2
    assert (told["from"], told["state"], told["spent_per_day"], told["days_left"]) == ("books", "ok", 1, 30)
    with gateway(answering()) as server:
        assert "about 30 days, from the books" in call("balance", env=at(server, env)).stdout


def test_the_gate_passes_and_fails_by_it(call: Call, env: dict[str, str]) -> None:
    """With `unit = "USD"`: as an option, a variable, or in the file; and nothing has to be recorded."""
    with gateway(answering()) as server:
        ci = at(server, env, CI="true", APIMART_RECORD="0", APIMART_HISTORY="/dev/null/none")
        passed = call(*GATE, "--unit", "USD", env=ci)
        assert (passed.code, passed.stderr) == (0, "")
        assert "lasts about 30 days, from the books, at least 3 days required" in passed.stdout
        assert call("check", "--min-runway", "31d", "--scope", "key", env={**ci, "APIMART_UNIT": "USD"}).code == 3


@pytest.mark.parametrize("unit", [None, "CNY", "usd"])
def test_a_gate_wants_to_be_told_that_it_is_dollars(call: Call, env: dict[str, str], unit: str | None) -> None:
    """Credits are not enough, and any other unit is a no, whatever they say; the books are not even asked."""
    with gateway(answering()) as server:
        ended = call(*GATE, *(() if unit is None else ("--unit", unit)), env=at(server, env))
        assert questions(server) == 0
    assert ended.code == 8
    assert ("--unit USD" in ended.stderr) is (unit is None)


@pytest.mark.parametrize(
    ("unit", "factor", "is_told"),
    [(None, 1, False), (None, None, False), ("USD", None, True), ("USD", 1, False), ("CNY", 10, False)],
)
def test_what_is_shown_wants_credits_or_the_unit(
    call: Call, env: dict[str, str], unit: str | None, factor: int | None, is_told: bool
) -> None:
    """Ten credits for each, or the unit USD where no credits contradict it."""
    with gateway(answering(balance=left(factor=factor))) as server:
        told = forecast_of(call, at(server, env), *(() if unit is None else ("--unit", unit)))
    assert (told is not None) is is_told


def test_a_gate_believes_no_unit_that_credits_contradict(call: Call, env: dict[str, str]) -> None:
    """One credit for each of the balance's unit: that is a tenth of a dollar, and would last ten times shorter."""
    with gateway(answering(balance=left(factor=1))) as server:
        ended = call(*GATE, "--unit", "USD", env=at(server, env))
    assert ended.code == 8
    assert "credits show that it is not in dollars" in ended.stderr


def test_check_with_min_alone_asks_no_books(call: Call, env: dict[str, str]) -> None:
    """Nor do commands that show no forecast, nor a profile that does not want them."""
    with gateway(answering()) as server:
        assert call("check", "--min", "5", "--unit", "USD", env=at(server, env)).code == 0
        assert call("balance", "-o", "value", env=at(server, env)).code == 0
        assert call("balance", env=at(server, env, APIMART_BOOKS="0")).code == 0
        assert call("nagios", "-c", "5:", "--unit", "USD", env=at(server, env)).code == 0
        assert questions(server) == 0


def test_they_are_asked_once_an_hour(call: Call, env: dict[str, str], ledger: Path) -> None:
    """However often the balance is; an older answer is asked for again."""
    with gateway(answering()) as server:
        for _ in range(5):
            assert forecast_of(call, at(server, env))["from"] == "books"
        assert call(*GATE, "--unit", "USD", env=at(server, env)).code == 0
        assert questions(server) == 1
        with closing(sqlite3.connect(ledger)) as database, database:
            database.execute("UPDATE books SET at = at - 3600")
        assert forecast_of(call, at(server, env))["from"] == "books"
        assert questions(server) == 2


def test_a_failure_is_remembered(call: Call, env: dict[str, str]) -> None:
    """For a minute, for every command; a gateway without books is not asked at each balance."""
    with gateway(answering(lambda _path: Reply("", 404))) as server:
        for _ in range(4):
            shown = call("balance", "--json", env=at(server, env))
            assert (shown.code, shown.stderr) == (0, "")
            assert (json.loads(shown.stdout)["forecast"] or {"from": "history"})["from"] == "history"
        ended = call(*GATE, "--unit", "USD", env=at(server, env))
        assert questions(server) == 1
    assert (ended.code, "could not be asked a moment ago" in ended.stderr) == (8, True)


def test_the_ledger_decides_as_soon_as_it_has_three_days(call: Call, env: dict[str, str], ledger: Path) -> None:
    """Then nothing is asked."""
    with gateway(answering()) as server:
        host = server.url.removeprefix("http://")
        write_past(ledger, host, days=4, spent_per_day="2", remain="30", used="10")
        assert forecast_of(call, at(server, env))["from"] == "history"
        assert questions(server) == 0


@pytest.mark.parametrize("per_day", ["1.9", "3"])
def test_a_ledger_that_contradicts_them_makes_them_useless(
    call: Call, env: dict[str, str], ledger: Path, per_day: str
) -> None:
    """Two days of it that differ by more than a factor of two: the units do."""
    with gateway(answering()) as server:
        write_past(ledger, server.url.removeprefix("http://"), days=2.5, spent_per_day=per_day, remain="30", used="10")
        told = forecast_of(call, at(server, env), "--unit", "USD")
        ended = call(*GATE, "--unit", "USD", env=at(server, env))
    if per_day == "3":
        assert (told["from"], told["state"]) == ("history", "too_little")
        assert (ended.code, "differ by more than a factor of two" in ended.stderr) == (8, True)
    else:
        assert (told["from"], ended.code) == ("books", 0)


@pytest.mark.parametrize(
    ("days", "per_day", "code"),
    [(2, {}, 8), (10, {0: "30"}, 3)],
)
def test_which_days_count(call: Call, env: dict[str, str], days: int, per_day: dict[int, str], code: int) -> None:
    """Three whole ones since the first spend; today as soon as it is worse: what runs away must show today."""
    with gateway(answering(lambda path: spent(path, per_day, days=days), left("12"))) as server:
        assert call("check", "--min-runway", "4d", "--scope", "key", "--unit", "USD", env=at(server, env)).code == code


@pytest.mark.usefixtures("usual_patience")
def test_balance_waits_half_a_second_at_most(call: Call, env: dict[str, str]) -> None:
    """Then it is shown without; the gate waits for as long as its time limit."""
    with gateway(answering(lambda path: spent(path, delay=2.0))) as server:
        watch = Stopwatch()
        assert forecast_of(call, at(server, env)) is None
        watch.took().assert_within(1.9)
    with gateway(answering(lambda path: spent(path, delay=0.8))) as server:
        assert call(*GATE, "--unit", "USD", "--timeout", "10", env=at(server, env)).code == 0


@pytest.mark.parametrize("fault", [Fault.USAGE_UNAVAILABLE, Fault.USAGE_WRONG_TOTAL])
def test_books_that_fail_change_no_answer(call: Call, serve: Serve, env: dict[str, str], fault: Fault) -> None:
    """`balance` is as without them, and the gate exits 8 and says why."""
    named = {**env, **connected(serve(days=14, fault=fault))}
    shown = call("balance", env=named)
    assert (shown.code, shown.stderr, "Lasts" in shown.stdout) == (0, "", False)
    ended = call(*GATE, "--unit", "USD", "--timeout", "1", env={**named, "APIMART_HISTORY": "/dev/null/none"})
    assert ended.code == 8
    assert "not known how long the balance lasts: no history; " in ended.stderr
    assert call(*GATE, "--unit", "USD", "--on-no-forecast", "pass", "--timeout", "1", env=named).code == 0


def test_what_can_be_spent_needs_both(call: Call, serve: Serve, env: dict[str, str]) -> None:
    """The key's books and the account's, each with its own balance; both are asked at once."""
    named = {**env, **connected(serve(days=14))}
    ended = call("check", "--min-runway", "3d", "--unit", "USD", env=named)
    assert (ended.code, "from the books" in ended.stdout) == (0, True)


def test_the_forecast_ends_at_the_floor(call: Call, env: dict[str, str]) -> None:
    """A 402 that names what any call needs is remembered by host, where the balance is in dollars."""
    told = ["402"]
    message = '{"error":{"message":"insufficient balance (current: 0.01 USD, required: 10 USD)","code":402}}'

    def answer(path: str, _key: str) -> Reply:
        if path.startswith("/v1/usage"):
            return spent(path)
        return Reply(message, 402) if told[0] == "402" else left()

    with gateway(answer) as server:
        assert call("balance", "--unit", "USD", env=at(server, env)).code == 3
        told[0] = "well"
        assert forecast_of(call, at(server, env), "--unit", "USD")["days_left"] == 20
        assert forecast_of(call, at(server, env))["days_left"] == 30


def test_the_history_shows_what_they_said(call: Call, env: dict[str, str]) -> None:
    """`history` asks nothing: it shows what `balance` has asked within the hour."""
    with gateway(answering()) as server:
        assert call("balance", "--unit", "USD", env=at(server, env)).code == 0
        told = json.loads(call("history", "--json", env=env).stdout)
        assert questions(server) == 1
    assert (told["forecast"]["from"], told["forecast"]["days_left"], told["key_id"]) == ("books", 30, KEY_ID)


def test_the_plugin_and_the_guard_use_them(call: Call, env: dict[str, str], tmp_path: Path) -> None:
    """`nagios --runway-critical` and `run --min-runway`, with `unit = "USD"` alone."""
    with gateway(answering()) as server:
        plugin = call("nagios", "--runway-critical", "3d", "--scope", "key", "--unit", "USD", env=at(server, env))
        assert (plugin.code, "lasts about 30 days, from the books" in plugin.stdout) == (0, True)
        assert call("nagios", "--runway-critical", "3d", "--scope", "key", env=at(server, env)).code == 3
        guarded = ("run", "--min-runway", "3d", "--scope", "key", "--no-settle", "--interval", "5")
        assert call(*guarded, "--unit", "USD", "--", "true", env=at(server, env)).code == 0
        assert call(*guarded, "--", "true", env=at(server, env)).code == 125


def test_a_machine_without_zone_uses_utc(call: Call, env: dict[str, str]) -> None:
    """Days are days in any zone."""
    with gateway(answering()) as server:
        assert forecast_of(call, at(server, env, TZ="XYZ3EDT,M3.2.0,M11.1.0"))["from"] == "books"
        [asked] = [each.path for each in server.asked if "usage" in each.path]
    assert "tz=UTC" in asked


def test_fifty_profiles_are_asked_side_by_side(
    call: Call, env: dict[str, str], write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In about the time of one."""
    # A busy machine needs longer for fifty than a person waits for.
    monkeypatch.setitem(BookForecasts.__init__.__kwdefaults__, "seconds", 30)
    with gateway(answering(lambda path: spent(path, delay=0.3), left(delay=0.3))) as server:
        write_config(
            f'base_url = "{server.url}"\n'
            + "".join(f'[profiles.p{n:02}]\napi_key = "sk-p{n:02}-0123456789"\n' for n in range(50))
        )
        named = {name: value for name, value in env.items() if name != "APIMART_API_KEY"}
        named.update(APIMART_RECORD="0", APIMART_TIMEOUT="60")
        told = call("balance", "--all-profiles", "--json", env=named)
        assert questions(server) == 50
        assert server.most_at_once > 50
    assert [json.loads(line)["forecast"] is not None for line in told.stdout.splitlines()] == [True] * 50


def test_the_sandbox_shows_it(call: Call, env: dict[str, str]) -> None:
    """Books without a ledger, as with `--books-only`."""
    with Sandbox(Scenario(days=14)).serving() as sandbox:
        assert forecast_of(call, {**env, **connected(sandbox)})["from"] == "books"
