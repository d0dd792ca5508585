"""`apimart usage`, from option to answer, against the sandbox's books."""

import csv
import io
import json
import time
from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, KEY_ID, Call, Called, Serve, Write, connected

ZONE = {"TZ": "Europe/Berlin"}


@pytest.fixture
def gateway(serve: Serve) -> Sandbox:
    """A sandbox with a fortnight in its books: 2.3 of the key, 25.5 of the account."""
    return serve(days=14)


@pytest.fixture
def env(gateway: Sandbox) -> dict[str, str]:
    return {**connected(gateway), **ZONE}


def documents(ended: Called) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in ended.stdout.splitlines()]


def test_it_shows_the_models_the_most_expensive_first(call: Call, env: dict[str, str], gateway: Sandbox) -> None:
    """Of the key, in the last 30 days with today, with a total and how late that is."""
    ended = call("usage", env=env)
    assert (ended.code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == f"default/key  key {KEY_ID} at {gateway.url.removeprefix('http://')}"
    assert lines[2].split() == ["Model", "Spent", "Share", "Calls", "In", "Out"]
    spends = [Decimal(line.split()[1]) for line in lines[4:8]]
    assert spends == sorted(spends, reverse=True)
    assert lines[9].split()[:2] == ["total", "2.300000"]
    assert sum(spends) == Decimal("2.3")
    assert lines[-2].startswith("Spent   2.300000 USD, ")
    assert lines[-2].endswith(" (Europe/Berlin)")
    assert lines[-1] == "Booked  until about a minute ago"


def test_json_has_every_digit(call: Call, env: dict[str, str], gateway: Sandbox) -> None:
    """One object, whose rows add up to its total."""
    [document] = documents(call("usage", "--json", env=env))
    rows = document["rows"]
    assert document["total"]["spent"] == sum(row["spent"] for row in rows) == Decimal("2.3")
    names = ("schema", "profile", "scope", "key_id", "host", "tz", "by", "unit")
    host = gateway.url.removeprefix("http://")
    told = [document[name] for name in names]
    assert told == [1, "default", "key", KEY_ID, host, "Europe/Berlin", "model", "USD"]
    assert all("day" not in row for row in rows)
    assert '"spent":2.300000,' in call("usage", "-o", "json", env=env).stdout


def test_days_without_spend_are_there(call: Call, env: dict[str, str]) -> None:
    """As zero, in the order of the calendar, in every format."""
    [document] = documents(call("usage", "--by", "day", "--days", "30", "--json", env=env))
    days = [row["day"] for row in document["rows"]]
    assert len(days) == 30
    assert days == sorted(set(days))
    assert [row["spent"] for row in document["rows"][:10]] == [0] * 10
    assert all("model" not in row for row in document["rows"])
    shown = call("usage", "--by", "day", env=env).stdout.splitlines()
    assert shown[4].split()[:2] == [days[0], "0"]


def test_the_books_of_the_key_or_the_account(call: Call, env: dict[str, str], write_config: Write) -> None:
    """The key's, or the account's where the option or the profile says so."""
    for arguments, profile, scope in (
        ((), 'scope = "account"\n', "account"),
        ((), 'scope = "spendable"\n', "key"),
        (("--scope", "account"), 'scope = "key"\n', "account"),
    ):
        write_config(profile)
        [document] = documents(call("usage", "--json", *arguments, env=env))
        spent = {"key": Decimal("2.3"), "account": Decimal("25.5")}[scope]
        assert (document["scope"], document["total"]["spent"]) == (scope, spent)


def test_a_period_between_two_days(call: Call, env: dict[str, str]) -> None:
    """Both days count; what is not in it is not in the total."""
    [whole] = documents(call("usage", "--by", "day", "--days", "10", "--json", env=env))
    first, last = whole["rows"][2], whole["rows"][4]
    [part] = documents(call("usage", "--by", "day", "--since", first["day"], "--until", last["day"], "--json", env=env))
    assert part["rows"] == whole["rows"][2:5]


def test_a_year_is_put_together(call: Call, env: dict[str, str]) -> None:
    """366 days are several questions, and days before the books begin are not known."""
    ended = call("usage", "--days", "366", env=env)
    assert ended.code == 0
    assert " 2.300000 USD, 2026-04-27 to " in ended.stdout
    assert ended.stdout.endswith("Before  not known: the books begin on 2026-04-27\n")


def test_csv_can_be_opened_in_a_spreadsheet(call: Call, env: dict[str, str]) -> None:
    """A header and a row each, exact; only some models by their exact names."""
    ended = call("usage", "-o", "csv", "--by", "day,model", env=env)
    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    assert list(rows[0]) == ["day", "model", "spent", "requests", "prompt_tokens", "completion_tokens"]
    assert sum(Decimal(row["spent"]) for row in rows) == Decimal("2.3")
    [document] = documents(call("usage", "--model", "gpt-5", "--model", "gpt-5-mini", "--json", env=env))
    assert {row["model"] for row in document["rows"]} == {"gpt-5", "gpt-5-mini"}


def test_many_profiles_are_asked_side_by_side(
    call: Call, serve: Serve, write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty of them, in about the time of one; one that fails stands among the others, and decides the code."""
    url = serve(days=2, latency=0.3).url
    names = [f"p{number:02}" for number in range(20)]
    write_config(
        "".join(f'[profiles.{name}]\nbase_url = "{url}"\napi_key = "sk-{name}-0123456789abcdef"\n' for name in names)
        + f'[profiles.broken]\nbase_url = "{url}"\napi_key_file = "/no/such/file"\n'
    )
    ended = call("usage", "--all-profiles", "--json", env=ZONE)
    told = documents(ended)
    assert [document["profile"] for document in told] == [*names, "broken"]
    assert all(document["total"]["spent"] == Decimal("2.3") for document in told[:-1])
    assert told[-1]["error"]["code"] == "auth"
    assert ended.code == 4
    shown = call("usage", "-p", "p00", "-p", "p01", env=ZONE).stdout
    assert shown.count("total") == 2
    assert "\n\np01/key  key " in shown


@pytest.mark.parametrize(
    ("fault", "code", "words", "output"),
    [
        (Fault.USAGE_UNAVAILABLE, 5, "cannot tell now what was spent (HTTP 503)", "table"),
        (Fault.USAGE_MISSING, 6, "this gateway keeps no books that can be asked (HTTP 404)", "json"),
        (Fault.USAGE_WRONG_TOTAL, 6, "its total is not the sum of its parts", "csv"),
        (Fault.USAGE_WRONG_TOTAL, 6, "its total is not the sum of its parts", "html"),
        (Fault.UNAUTHORIZED, 4, "rejected the API key", "html"),
        (Fault.PAYMENT_REQUIRED, 3, "asks for payment", "json"),
        (Fault.HTML, 6, "it is not JSON", "table"),
    ],
)
def test_no_answer_is_never_zero(call: Call, serve: Serve, fault: Fault, code: int, words: str, output: str) -> None:
    """Each failure has its code and its words, and shows no amount in any format."""
    env = {**connected(serve(days=14, fault=fault)), **ZONE}
    ended = call("usage", "-o", output, "--timeout", "2", env=env)
    assert ended.code == code
    assert words in ended.stderr
    if output == "json":
        [document] = documents(ended)
        assert (document["error"]["exit_code"], "total" in document) == (code, False)
    elif output == "html":
        assert words.split("(", maxsplit=1)[0].strip()[:20] in ended.stdout
        assert "<td>" not in ended.stdout
    else:
        assert ended.stdout == ""
    assert KEY not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--days", "367"), "--days: '367' is not a number of days from 1 to 366"),
        (("--days", "3", "--since", "2026-11-01"), "--days and --since exclude each other"),
        (("--until", "2026-11-01"), "--until: there is no beginning"),
        (("--since", "2026-02-30"), "--since: there is no day '2026-02-30'"),
        (("--since", "2999-01-01"), "begins in the future"),
        (("--since", "2026-06-02", "--until", "2026-06-01"), "ends before it begins"),
        (("--since", "2026-04-01", "--until", "2026-04-02"), "books begin on 2026-04-27"),
        (("--tz", "Mars/Olympus"), "--tz: there is no time zone 'Mars/Olympus'"),
        (("--model", "a,b"), "--model: 'a,b' is no name of a model"),
        (("--scope", "both"), "'both' is not one of"),
        (("--json", "-o", "csv"), "--json and --output csv contradict each other"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked(
    call: Call, serve: Serve, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2."""
    ended = call("usage", *arguments, env={**connected(serve(fault=Fault.TIMEOUT)), **ZONE})
    assert (ended.code, words in ended.stderr) == (2, True)


def test_csv_is_for_one_profile(call: Call, write_config: Write) -> None:
    """Its columns have no place for names."""
    write_config('[profiles.a]\napi_key = "sk-a-0123456789"\n[profiles.b]\napi_key = "sk-b-0123456789"\n')
    ended = call("usage", "--all-profiles", "-o", "csv")
    assert (ended.code, "no place for several profiles" in ended.stderr) == (2, True)


def test_a_machine_whose_zone_has_no_name(call: Call, env: dict[str, str]) -> None:
    """A rule is no name that a gateway would know; --tz gives one."""
    odd = {**env, "TZ": "XYZ3EDT,M3.2.0,M11.1.0"}
    ended = call("usage", env=odd)
    assert (ended.code, "has no name" in ended.stderr) == (2, True)
    assert call("usage", "--tz", "UTC", "--json", env=odd).code == 0


@pytest.mark.parametrize(("variable", "name"), [("", "UTC"), ("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo")])
def test_the_zone_of_the_machine(
    call: Call, env: dict[str, str], variable: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TZ in a form that has a name."""
    # The library looks once in each process.
    monkeypatch.setattr("tzlocal.unix._cache_tz_name", None)
    [document] = documents(call("usage", "--json", env={**env, "TZ": variable}))
    assert document["tz"] == name


def test_what_is_burnt_moves_the_books(call: Call, serve: Serve) -> None:
    """The sandbox books what it spends, second by second."""
    gateway = serve(key=Funds(Decimal(100), Decimal(0)), burn=Decimal("0.25"))
    env = {**connected(gateway), **ZONE}
    spent = Decimal(0)
    while spent == 0:
        time.sleep(0.1)
        [document] = documents(call("usage", "--json", env=env))
        spent = document["total"]["spent"]
    assert spent % Decimal("0.25") == 0
    assert [row["model"] for row in document["rows"]] == ["claude-sonnet-4-5"]
