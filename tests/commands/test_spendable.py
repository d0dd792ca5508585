"""What can be spent: the smaller of a key's and its account's remaining balance, and which of the two it is."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.balance import Balance, Reading, Spendable, with_spendable
from apimart_cli.errors import ApimartError, AuthError, UnavailableError
from apimart_cli.words import Scope
from support.running import KEY, Call
from support.scripted import ACCOUNT, Reply, balance, gateway, refusal

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REJECTED = AuthError("rejected")
UNREACHABLE = UnavailableError("unreachable")


def reading(scope: Scope, remain: str | ApimartError | None, profile: str = "work") -> Reading:
    """A reading with this much left; None is unlimited."""
    if isinstance(remain, ApimartError):
        return Reading(profile, scope, "USD", remain)
    amount = None if remain is None else Decimal(remain)
    return Reading(profile, scope, "USD", Balance(scope, amount, Decimal(1), remain is None, NOW))


def spendable(key: str | ApimartError | None, account: str | ApimartError | None) -> Spendable:
    return Spendable("work", "USD", reading(Scope.KEY, key), reading(Scope.ACCOUNT, account))


# --- pure -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "account", "remain", "limit"),
    [
        ("10.5", "100", "10.5", "key"),
        ("10.5", "3.20", "3.20", "account"),
        ("5.0", "5.00", "5.0", "key"),
        (None, "3", "3", "account"),
        ("3", None, "3", "key"),
        (None, None, None, None),
        ("0", "-2.5", "-2.5", "account"),
        ("0.000000000000000000000000000001", "0.000000000000000000000000000002", "1E-30", "key"),
    ],
)
def test_the_smaller_of_the_two_can_be_spent(
    key: str | None, account: str | None, remain: str | None, limit: str | None
) -> None:
    """Exactly; an unlimited one does not limit; of two that are equal, the key is named."""
    both = spendable(key, account)
    assert both.error is None
    assert both.remain_balance == (None if remain is None else Decimal(remain))
    assert str(both.remain_balance) == str(remain if remain is None else Decimal(remain))
    assert (both.limit.scope.value if both.limit else None) == limit


@pytest.mark.parametrize(
    ("key", "account", "error"),
    [
        (REJECTED, "100", REJECTED),
        ("10.5", UNREACHABLE, UNREACHABLE),
        (REJECTED, UNREACHABLE, REJECTED),
        (None, UNREACHABLE, UNREACHABLE),
    ],
)
def test_without_both_answers_nobody_knows_what_can_be_spent(
    key: str | ApimartError | None, account: str | ApimartError | None, error: ApimartError
) -> None:
    """The first error stands in its place; half an answer is none."""
    both = spendable(key, account)
    assert (both.error, both.limit, both.remain_balance) == (error, None, None)


AMOUNTS = st.none() | st.decimals(-(10**15), 10**15, places=6, allow_nan=False, allow_infinity=False).map(str)


@given(key=AMOUNTS, account=AMOUNTS)
def test_nothing_more_than_either_has_can_be_spent(key: str | None, account: str | None) -> None:
    """For any amounts: it is one of the two, and no more than the other."""
    both = spendable(key, account)
    limits = [Decimal(amount) for amount in (key, account) if amount is not None]
    assert both.remain_balance == (min(limits) if limits else None)
    assert (both.limit is None) is (not limits)


def test_it_is_shown_after_each_key_that_is_followed_by_its_account() -> None:
    """And nowhere else: not for one scope alone, nor for a neighbour's account."""
    key, account = reading(Scope.KEY, "1"), reading(Scope.ACCOUNT, "2")
    other_key, other_account = reading(Scope.KEY, "3", "other"), reading(Scope.ACCOUNT, "4", "other")
    both, other_both = Spendable("work", "USD", key, account), Spendable("other", "USD", other_key, other_account)
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
    assert [type(next(entries)) for _ in range(3)] == [Reading, Reading, Spendable]


# --- through the command ----------------------------------------------------------------------------------------

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
        f"""
        scope = "both"
        [profiles.a]
        api_key = "{KEY}"
        unit = "USD"
        [profiles.b]
        api_key = "{OTHER}"
        """
    )
    config.chmod(0o600)
    with gateway(answer) as server:
        yield {"APIMART_BASE_URL": server.url, "APIMART_CONFIG": str(config)}


def test_a_table_has_a_row_for_it(call: Call, both: dict[str, str]) -> None:
    """With the unit, and the word for what limits it; there is no share of it, and nothing used."""
    shown = call("balance", "--all-profiles", env=both)
    rows = [line.split() for line in shown.stdout.splitlines()[2:]]
    assert shown.code == 0
    assert [row for row in rows if row[1] == "spendable"] == [
        ["a", "spendable", "3.25", "USD", "-", "-", "limited", "by", "account"],
        ["b", "spendable", "7", "-", "-", "limited", "by", "account"],
    ]
    assert [row[1] for row in rows] == ["key", "account", "spendable"] * 2


def test_json_has_a_third_object_for_it(call: Call, both: dict[str, str]) -> None:
    """Of the same schema; the amount with the digits of the reading that limits it."""
    shown = call("balance", "--all-profiles", "--json", env=both)
    lines = shown.stdout.splitlines()
    assert lines[2] == (
        '{"schema":1,"profile":"a","scope":"spendable","remain_balance":3.25,"unlimited_quota":false,'
        '"limited_by":"account","unit":"USD"}'
    )
    assert json.loads(lines[5]) == {
        "schema": 1, "profile": "b", "scope": "spendable", "remain_balance": 7, "unlimited_quota": False,
        "limited_by": "account", "unit": None,
    }  # fmt: skip
    assert [json.loads(line)["scope"] for line in lines] == ["key", "account", "spendable"] * 2


def test_value_has_a_line_for_it(call: Call, both: dict[str, str]) -> None:
    """By its name, so that `grep spendable` finds it."""
    shown = call("balance", "--all-profiles", "-o", "value", env=both)
    assert shown.stdout == (
        "a/key\t10.5\na/account\t3.25\na/spendable\t3.25\nb/key\tunlimited\nb/account\t7\nb/spendable\t7\n"
    )


@pytest.mark.parametrize("scope", ["key", "account"])
def test_one_scope_alone_says_nothing_of_it(call: Call, both: dict[str, str], scope: str) -> None:
    """A key without a quota of its own can sit on an empty account."""
    assert "spendable" not in call("balance", "--all-profiles", "--scope", scope, "--json", env=both).stdout


def test_without_any_limit_it_is_unlimited(call: Call) -> None:
    """In every format."""
    with gateway(lambda _path, _key: balance("-1", unlimited=True)) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        document = json.loads(call("balance", "--scope", "both", "--json", env=env).stdout.splitlines()[2])
        value = call("balance", "--scope", "both", "-o", "value", env=env).stdout.splitlines()[2]
        row = call("balance", "--scope", "both", env=env).stdout.splitlines()[4].split()
    assert document["remain_balance"] is None
    assert (document["unlimited_quota"], document["limited_by"]) == (True, None)
    assert value == "default/spendable\tunlimited"
    assert row == ["default", "spendable", "unlimited", "-", "-", "unlimited"]


@pytest.mark.parametrize(("failing", "status", "code"), [(ACCOUNT, 401, 4), ("/v1/balance", 403, 4), (ACCOUNT, 402, 3)])
def test_one_answer_of_two_leaves_it_unknown(call: Call, failing: str, status: int, code: int) -> None:
    """Its place is taken by the error, whichever of the two failed; the other reading still shows."""
    with gateway(lambda path, _key: refusal(status) if path == failing else balance("5", "1")) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        shown = call("balance", "--scope", "both", "--json", env=env)
        table = call("balance", "--scope", "both", env=env).stdout.splitlines()
        value = call("balance", "--scope", "both", "-o", "value", env=env).stdout.splitlines()
    documents = [json.loads(line) for line in shown.stdout.splitlines()]
    assert shown.code == code
    assert [document["scope"] for document in documents] == ["key", "account", "spendable"]
    assert sum("error" in document for document in documents) == 2
    assert documents[2]["error"]["exit_code"] == code
    assert list(documents[2]) == ["schema", "profile", "scope", "error"]
    assert table[-1].split() == ["default", "spendable", "-", "-", "-", "unknown"]
    assert value[2] == "default/spendable\terror"


# --- the gate ---------------------------------------------------------------------------------------------------


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


def test_check_names_an_unwelcome_unlimited_quota(call: Call, both: dict[str, str]) -> None:
    """The key without a quota of its own is what stops it, not its account."""
    arguments = ("check", "--profile", "b", "--min", "5", "--on-unlimited", "fail", "--json")
    document = json.loads(call(*arguments, env=both).stdout)
    assert (document["exit_code"], document["verdict"], document["stopped_by"]) == (7, "unlimited", ["b/key"])


def test_check_names_a_reading_that_failed(call: Call) -> None:
    """An answer that is missing stops it as surely as an amount."""
    with gateway(lambda path, _key: refusal(500) if path == ACCOUNT else balance("5", "1")) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        document = json.loads(call("check", "--scope", "both", "--min", "5", "--json", env=env).stdout)
    assert (document["exit_code"], document["stopped_by"]) == (5, ["default/account"])
