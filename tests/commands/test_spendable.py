"""What can be spent: the smaller of a key's and its account's remaining balance, and which of the two it is."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli import fetch_balance
from apimart_cli.errors import ApimartError, AuthError, BadResponseError, PaymentRequiredError, UnavailableError
from apimart_cli.keys.key import ApiKey
from apimart_cli.rules.balance import Balance, Reading, with_spendable
from apimart_cli.rules.balance import spendable as combine
from apimart_cli.words import Scope
from support.running import KEY, Call
from support.scripted import ACCOUNT, Reply, balance, gateway, refusal

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REJECTED = AuthError("rejected")
UNREACHABLE = UnavailableError("unreachable")
TOLD = UnavailableError("cannot tell", was_told=True)
PAYMENT = PaymentRequiredError("payment")
BAD = BadResponseError("bad")


def reading(
    scope: Scope, remain: str | ApimartError | None, profile: str = "work", *, used: str = "1", at: datetime = NOW
) -> Reading:
    """A reading with this much left; None is unlimited."""
    if isinstance(remain, ApimartError):
        return Reading(profile, scope, "USD", remain)
    amount = None if remain is None else Decimal(remain)
    return Reading(profile, scope, "USD", Balance(scope, amount, Decimal(used), remain is None, at))


def spendable(key: str | ApimartError | None, account: str | ApimartError | None) -> Reading:
    return combine(reading(Scope.KEY, key), reading(Scope.ACCOUNT, account, used="9", at=NOW - timedelta(seconds=3)))


@pytest.mark.parametrize(("key", "account", "remain", "limit"), [
    ("10.5", "100", "10.5", "key"), ("10.5", "3.20", "3.20", "account"), ("5.0", "5.00", "5.0", "key"),
    (None, "3", "3", "account"), ("3", None, "3", "key"), (None, None, None, None), ("0", "-2.5", "-2.5", "account"),
    ("0", "0.5", "0", "key"),
    ("0.000000000000000000000000000001", "0.000000000000000000000000000002", "1E-30", "key"),
])  # fmt: skip
def test_the_smaller_of_the_two_can_be_spent(
    key: str | None, account: str | None, remain: str | None, limit: str | None
) -> None:
    """Exactly; an unlimited one does not limit; of two that are equal, the key is named."""
    both = spendable(key, account)
    assert (both.name, both.unit, both.error) == ("work/spendable", "USD", None)
    assert both.balance is not None
    assert both.balance.scope is Scope.SPENDABLE
    assert str(both.balance.remain_balance) == str(remain if remain is None else Decimal(remain))
    assert both.balance.unlimited_quota is (remain is None)
    assert both.balance.limited_by == limit


def test_what_was_used_is_the_keys_and_the_time_is_that_of_the_older_answer() -> None:
    """Whichever of the two limits."""
    for key, account in [("1", "2"), ("2", "1"), (None, "1"), (None, None)]:
        both = spendable(key, account).balance
        assert both is not None
        assert (both.used_balance, both.fetched_at) == (Decimal(1), NOW - timedelta(seconds=3))


def test_credits_are_those_of_what_limits_it() -> None:
    """What is left of them belongs to the one, what was used to the key."""
    key, account = reading(Scope.KEY, "5"), reading(Scope.ACCOUNT, "3")
    assert key.balance is not None
    assert account.balance is not None
    key = key._replace(result=key.balance._replace(remain_credits=Decimal(50), used_credits=Decimal(10)))
    account = account._replace(result=account.balance._replace(remain_credits=Decimal(30), used_credits=Decimal(90)))
    both = combine(key, account).balance
    assert both is not None
    assert (both.remain_credits, both.used_credits) == (Decimal(30), Decimal(10))


@pytest.mark.parametrize(("key", "account", "error"), [
    (REJECTED, "100", REJECTED), ("10.5", UNREACHABLE, UNREACHABLE), (REJECTED, UNREACHABLE, REJECTED),
    (None, UNREACHABLE, UNREACHABLE), ("10.5", PAYMENT, PAYMENT), (REJECTED, PAYMENT, PAYMENT),
    (UNREACHABLE, REJECTED, REJECTED), (UNREACHABLE, TOLD, TOLD), (BAD, REJECTED, BAD),
])  # fmt: skip
def test_without_both_answers_nobody_knows_what_can_be_spent(
    key: str | ApimartError | None, account: str | ApimartError | None, error: ApimartError
) -> None:
    """One error stands in its place: 402 first, silence last, so that `--fail-open` never hides what was told."""
    both = spendable(key, account)
    assert (both.error, both.balance) == (error, None)


AMOUNTS = st.none() | st.decimals(-(10**15), 10**15, places=6, allow_nan=False, allow_infinity=False).map(str)


@given(key=AMOUNTS, account=AMOUNTS)
def test_nothing_more_than_either_has_can_be_spent(key: str | None, account: str | None) -> None:
    """For any amounts: it is one of the two, and no more than the other."""
    both = spendable(key, account).balance
    limits = [Decimal(amount) for amount in (key, account) if amount is not None]
    assert both is not None
    assert both.remain_balance == (min(limits) if limits else None)
    assert (both.limited_by is None) is both.unlimited_quota is (not limits)


def test_it_is_shown_after_each_key_that_is_followed_by_its_account() -> None:
    """And nowhere else: not for one scope alone, nor for a neighbour's account."""
    key, account = reading(Scope.KEY, "1"), reading(Scope.ACCOUNT, "2")
    other_key, other_account = reading(Scope.KEY, "3", "other"), reading(Scope.ACCOUNT, "4", "other")
    both, other_both = combine(key, account), combine(other_key, other_account)
    for readings, entries in [
        ([key, account], [key, account, both]),
        ([key, account, other_key, other_account], [key, account, both, other_key, other_account, other_both]),
        ([key], [key]),
        ([account], [account]),
        ([account, key], [account, key]),
        ([key, other_account], [key, other_account]),
        ([key, other_key, account], [key, other_key, account]),
        ([], []),
    ]:
        assert list(with_spendable(readings)) == entries


def test_it_is_told_as_soon_as_both_are_there() -> None:
    """Nobody waits for a third reading."""

    def arriving() -> Iterator[Reading]:
        yield reading(Scope.KEY, "1")
        yield reading(Scope.ACCOUNT, "2")
        raise AssertionError("asked for more than was needed")

    entries = with_spendable(arriving())
    assert [next(entries).scope.value for _ in range(3)] == ["key", "account", "spendable"]


OTHER = "sk-other-Hx4Jd8Rw2Ty6Ub"


def answer(path: str, key: str) -> Reply:
    """The test key has 10.5 of 3.25 in its account; the other key has no limit of its own."""
    if path == ACCOUNT:
        return balance("3.25", "1") if key == KEY else balance("7", "2")
    return balance("10.5", "2.3") if key == KEY else balance("-1", "2", unlimited=True)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two profiles with `scope = "both"`, at a gateway of their own; what points a command at them."""
    config = tmp_path / "both.toml"
    config.write_text(
        f'scope = "both"\n[profiles.a]\napi_key = "{KEY}"\nunit = "USD"\n[profiles.b]\napi_key = "{OTHER}"\n'
    )
    config.chmod(0o600)
    with gateway(answer) as server:
        yield {"APIMART_BASE_URL": server.url, "APIMART_CONFIG": str(config)}


def test_a_table_and_values_have_a_line_for_it(call: Call, both: dict[str, str]) -> None:
    """With the unit, what the key used, and the word for what limits it; there is no share of it."""
    shown = call("balance", "--all-profiles", env=both)
    rows = [line.split() for line in shown.stdout.splitlines()[2:]]
    assert shown.code == 0
    assert [row for row in rows if row[1] == "spendable"] == [
        ["a", "spendable", "3.25", "USD", "2.3", "USD", "-", "limited", "by", "account"],
        ["b", "spendable", "7", "2", "-", "limited", "by", "account"],
    ]
    assert [row[1] for row in rows] == ["key", "account", "spendable"] * 2
    assert call("balance", "--all-profiles", "-o", "value", env=both).stdout == (
        "a/key\t10.5\na/account\t3.25\na/spendable\t3.25\nb/key\tunlimited\nb/account\t7\nb/spendable\t7\n"
    )
    for scope in ("key", "account"):
        assert "spendable" not in call("balance", "--all-profiles", "--scope", scope, "--json", env=both).stdout


def test_json_has_a_third_object_for_it(call: Call, both: dict[str, str]) -> None:
    """Of the same schema; the amount with the digits of the reading that limits it."""
    shown = call("balance", "--all-profiles", "--json", env=both)
    lines = shown.stdout.splitlines()
    key_id = ApiKey(KEY, source="the tests").key_id
    assert re.sub(r'"fetched_at":"[^"]*"', '"fetched_at":"T"', lines[2]) == (
        f'{{"schema":1,"profile":"a","scope":"spendable","key_id":"{key_id}",'
        '"remain_balance":3.25,"used_balance":2.3,'
        '"unlimited_quota":false,"limited_by":"account","unit":"USD","fetched_at":"T","forecast":null}'
    )
    third = json.loads(lines[5])
    assert (third["remain_balance"], third["limited_by"], third["unit"]) == (7, "account", None)
    assert "limited_by" not in json.loads(lines[0])
    assert [json.loads(line)["scope"] for line in lines] == ["key", "account", "spendable"] * 2


def test_without_any_limit_it_is_unlimited(call: Call) -> None:
    """In every format."""
    with gateway(lambda _path, _key: balance("-1", unlimited=True)) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        json_, value, table = (
            call("balance", "--scope", "both", "-o", output, env=env).stdout.splitlines()
            for output in ("json", "value", "table")
        )
    document = json.loads(json_[2])
    assert (document["remain_balance"], document["unlimited_quota"], document["limited_by"]) == (None, True, None)
    assert value[2] == "default/spendable\tunlimited"
    assert table[4].split() == ["default", "spendable", "unlimited", "0", "-", "unlimited"]


@pytest.mark.parametrize(("failing", "status", "code"), [(ACCOUNT, 401, 4), ("/v1/balance", 403, 4), (ACCOUNT, 402, 3)])
def test_one_answer_of_two_leaves_it_unknown(call: Call, failing: str, status: int, code: int) -> None:
    """Its place is taken by the error, whichever of the two failed; the other reading still shows."""
    with gateway(lambda path, _key: refusal(status) if path == failing else balance("5", "1")) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        shown, table, value = (
            call("balance", "--scope", "both", "-o", output, env=env) for output in ("json", "table", "value")
        )
    documents = [json.loads(line) for line in shown.stdout.splitlines()]
    assert shown.code == code
    assert [document["scope"] for document in documents] == ["key", "account", "spendable"]
    assert sum("error" in document for document in documents) == 2
    assert list(documents[2]) == ["schema", "profile", "scope", "key_id", "error"]
    error = documents[2]["error"]
    assert error["exit_code"] == code
    assert table.stdout.splitlines()[-1].split() == ["default", "spendable", "-", "-", "-", "error:", error["code"]]
    assert value.stdout.splitlines()[2] == "default/spendable\terror"


@pytest.mark.parametrize(
    ("minimum", "code", "stopped_by"),
    [("3", 0, []), ("5", 3, ["a/account"]), ("50", 3, ["a/key", "a/account"])],
)
def test_check_names_what_stopped_it(
    call: Call, both: dict[str, str], minimum: str, code: int, stopped_by: list[str]
) -> None:
    """Key, account or both; every reading has to pass by itself, and its line says whether it did."""
    arguments = ("check", "--profile", "a", "--min", minimum)
    document = json.loads(call(*arguments, "--json", env=both).stdout)
    assert (document["exit_code"], document["stopped_by"]) == (code, stopped_by)
    shown = call(*arguments, env=both)
    assert shown.code == code
    below = [line.split(":")[0] for line in shown.stdout.splitlines() if line.startswith("BELOW ")]
    assert below == [f"BELOW {name}" for name in stopped_by]
    assert len(shown.stdout.splitlines()) == 2


def test_check_names_an_unlimited_quota_and_a_failure(call: Call, both: dict[str, str]) -> None:
    """The key without a quota of its own stops it, not its account; an answer that is missing does it, too."""
    arguments = ("check", "--profile", "b", "--min", "5", "--on-unlimited", "fail", "--json")
    document = json.loads(call(*arguments, env=both).stdout)
    assert (document["exit_code"], document["verdict"], document["stopped_by"]) == (7, "unlimited", ["b/key"])
    with gateway(lambda path, _key: refusal(500) if path == ACCOUNT else balance("5", "1")) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        document = json.loads(call("check", "--scope", "both", "--min", "5", "--json", env=env).stdout)
    assert (document["exit_code"], document["stopped_by"]) == (5, ["default/account"])


@pytest.fixture
def one(both: dict[str, str]) -> dict[str, str]:
    """The same two profiles, with `scope = "spendable"`."""
    path = Path(both["APIMART_CONFIG"])
    path.write_text(path.read_text().replace('scope = "both"', 'scope = "spendable"'))
    return both


def test_the_scope_spendable_is_one_reading(call: Call, one: dict[str, str]) -> None:
    """In every format, from the config file; a single one has no name before its value."""
    table, in_json, values = (
        call("balance", "--all-profiles", "-o", output, env=one).stdout for output in ("table", "json", "value")
    )
    rows = [line.split()[:3] for line in table.splitlines()[2:]]
    assert rows == [["a", "spendable", "3.25"], ["b", "spendable", "7"]]
    documents = [json.loads(line) for line in in_json.splitlines()]
    assert [(each["scope"], each["remain_balance"]) for each in documents] == [("spendable", 3.25), ("spendable", 7)]
    assert [each["limited_by"] for each in documents] == ["account", "account"]
    assert values == "a/spendable\t3.25\nb/spendable\t7\n"
    assert call("balance", "-p", "a", "-o", "value", env=one).stdout == "3.25\n"
    assert ["scope", "spendable"] in [line.split()[:2] for line in call("config", "show", env=one).stdout.splitlines()]


@pytest.mark.parametrize(
    ("key", "account", "options", "code", "line"),
    [
        (balance("10.5", "2"), balance("100"), "--min 5", 0,
         "PASS default/spendable: 10.5 left (limited by key), at least 5 required"),
        (balance("100", "2"), balance("4.99"), "--min 5", 3,
         "BELOW default/spendable: 4.99 left (limited by account), at least 5 required"),
        (balance("-1", "2", unlimited=True), balance("5.0"), "--min 5 --on-unlimited fail", 7,
         "UNLIMITED default/spendable: unlimited quota, a limited one of 5 or more required"),
        (balance("-1", "2", unlimited=True), balance("-1", unlimited=True), "--min 5", 0,
         "PASS default/spendable: unlimited quota, at least 5 required"),
        (balance("10", "2"), balance("100", "50"), "--max-used 2", 0,
         "PASS default/spendable: 10 left (limited by key); 2 used, at most 2 allowed"),
        (balance("10", "2.1"), balance("100", "0"), "--max-used 2", 3,
         "BELOW default/spendable: 10 left (limited by key); 2.1 used, at most 2 allowed"),
        (balance("10"), refusal(402), "--min 5", 3,
         "BELOW default/spendable: the account cannot pay (HTTP 402); at least 5 required"),
        (balance("10"), refusal(401), "--min 5", 4, ""),
        (balance("10"), refusal(500), "--min 5 --timeout 1", 5, ""),
        (balance("10"), Reply("{}"), "--min 5", 6, ""),
        (balance("1"), refusal(500), "--min 5 --timeout 1 --fail-open", 3,
         "BELOW default/spendable: 1 left (limited by key), at least 5 required; "
         "the other of key and account is not known (unavailable)"),
        (refusal(500), balance("1", "9"), "--min 5 --max-used 2 --timeout 1 --fail-open", 3,
         "BELOW default/spendable: 1 left (limited by account), at least 5 required; "
         "the other of key and account is not known (unavailable)"),
        (refusal(500), refusal(401), "--min 5 --timeout 1 --fail-open", 4, ""),
        (balance("10"), refusal(500), "--min 5 --timeout 1 --fail-open", 0, ""),
    ],
)  # fmt: skip
def test_check_passes_only_where_key_and_account_prove_it(
    call: Call, key: Reply, account: Reply, options: str, code: int, line: str
) -> None:
    """One line, which names what limits; `--max-used` judges the key; either of the two that is below decides."""
    with gateway(lambda path, _key: account if path == ACCOUNT else key) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = call("check", "--scope", "spendable", *options.split(), env=env)
        document = json.loads(call("check", "--scope", "spendable", *options.split(), "--json", env=env).stdout)
    assert (ended.code, ended.stdout) == (code, f"{line}\n" if line else "")
    assert document["exit_code"] == code
    assert [each["scope"] for each in document["readings"]] == ["spendable"]
    assert document["stopped_by"] == ([] if document["verdict"] == "pass" else ["default/spendable"])


def test_spendable_has_no_total(call: Call, one: dict[str, str]) -> None:
    """Two keys may share one account."""
    path = Path(one["APIMART_CONFIG"])
    path.write_text(f'unit = "USD"\n{path.read_text()}')
    ended = call("balance", "--all-profiles", env=one)
    assert ended.code == 0
    assert "total" not in ended.stdout


def test_a_wrong_address_is_told_before_a_missing_account() -> None:
    """Where the key has no endpoint either, the address is what is wrong."""
    with gateway(lambda _path, _key: refusal(404)) as server, pytest.raises(BadResponseError) as caught:
        fetch_balance(KEY, scope="spendable", base_url=server.url)
    assert "base URL" in (caught.value.hint or "")


def test_python_can_ask_for_what_can_be_spent() -> None:
    """One balance, with what limits it; any failure of the two is raised."""
    with gateway(lambda path, _key: balance("3", "7") if path == ACCOUNT else balance("10.50", "2")) as server:
        both = fetch_balance(KEY, scope="spendable", base_url=server.url)
    assert (both.scope, both.remain_balance, both.used_balance, both.limited_by) == (
        Scope.SPENDABLE, Decimal(3), Decimal(2), Scope.ACCOUNT,
    )  # fmt: skip
    with gateway(lambda _path, _key: refusal(402)) as server, pytest.raises(PaymentRequiredError):
        fetch_balance(KEY, scope="spendable", base_url=server.url)


@pytest.mark.parametrize(("key", "hinted"), [(balance("-1", unlimited=True), ["key"]), (balance("10"), [])])
def test_a_pass_of_an_unlimited_key_hints_at_it_on_a_terminal(call: Call, key: Reply, hinted: list[str]) -> None:
    """Such a pass says nothing about money. A limited key that was chosen is what was asked for."""
    with gateway(lambda path, _key: balance("5") if path == ACCOUNT else key) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        shown = {
            scope: call("check", "--min", "1", "--scope", scope, env=env, columns=60).stdout
            for scope in ("key", "account", "both", "spendable")
        }
    assert [scope for scope, text in shown.items() if "hint: check both with: --scope spendable" in text] == hinted
