"""Hostile answers of the gateway's books: each kind of the catalogue, and documents that are nearly right."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.choices import UsageBy
from apimart_cli.errors import ApimartError
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.books import Query, interpret_books
from apimart_cli.keys.key import ApiKey, Redactor
from apimart_cli.rules.books import BooksReading, Period
from apimart_cli.rules.budget import Budget
from apimart_cli.rules.gate import judge
from apimart_cli.words import Scope
from hostile.catalogue import AUTH, BAD, BELOW, ECHOES, KINDS, PASS, UNAVAILABLE, Case, http
from support.fault_server import FaultServer, Script
from support.leaks import find_key
from support.runner import commands_in
from support.running import KEY, Call
from support.stopwatch import Stopwatch

BUDGET = ("check", "--max-spent", "5", "--within", "24h")
Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(call: Call, elsewhere: FaultServer) -> Ask:
    """Run a command line against these scripts, with no key in its output; return its code and its output."""

    def run(scripts: Sequence[Script], *arguments: str, timeout: float = 8.0) -> tuple[int, str]:
        with FaultServer(scripts, other=elsewhere) as server:
            env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "TZ": "UTC"}
            told = call(*arguments, "--timeout", str(timeout), env=env)
            took = (server.since_contact or Stopwatch()).took()
        took.assert_within(timeout + 3)
        assert elsewhere.contacts == 0
        printed = told.stdout + told.stderr
        assert find_key(printed, KEY) == []
        return told.code, printed

    return run


@pytest.mark.parametrize("case", KINDS, ids=lambda case: case.name)
def test_no_answer_of_the_catalogue_passes(case: Case, ask: Ask) -> None:
    """None of them is what the books say, not even the balance that `--min` would believe; nor for `usage`."""
    for arguments in ((*BUDGET, "-o", "json"), BUDGET, ("usage",), ("usage", "--json")):
        code, printed = ask(case.scripts, *arguments, timeout=case.timeout)
        assert code in {BELOW, AUTH, UNAVAILABLE, BAD}
        # A refusal is one whatever was asked; a balance in the place of the books is none.
        if case.code in {AUTH, UNAVAILABLE}:
            assert code == case.code, printed
        if case.code == PASS:
            assert code == BAD
        assert commands_in(printed) == []
        assert not any(line.startswith("PASS") for line in printed.splitlines())


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_names_of_models_never_spill_the_key(echo: str, ask: Ask) -> None:
    """A gateway that repeats the key as the name of a model, in any encoding, in any format."""
    item = {"model": echo, "date": str(datetime.now(UTC).date()), "amount_usd": 1}
    body = json.dumps({"data": {"total": {"amount_usd": 1}, "items": [item]}})
    for output in ("table", "json", "csv", "html"):
        ask([(http(body),)], "usage", "-o", output)


NOW = datetime(2026, 9, 18, 12, tzinfo=UTC)
QUERY = Query(Period(NOW - timedelta(hours=24), NOW), "UTC", UTC, UsageBy.MODEL)
FIVE = Budget(Decimal(5), timedelta(hours=24))

AMOUNTS = st.sampled_from(
    ["0", "1", "2.5", "4.999999", "5", "5.000001", "-1", "0.000001", '"2"', '"x"', "null", "1e2", "true", "[]", "5e-1"]
)
NAMES = st.sampled_from(['"a"', '"b"', '"c"', '""', "null", "5"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a document that is what the books say, or nearly."""
    items, spends = [], []
    for _ in range(draw(st.integers(0, 3))):
        amount = draw(AMOUNTS)
        spends.append(amount)
        fields = {"amount_usd": amount, "model": draw(NAMES), **draw(_EXTRAS)}
        dropped = draw(st.sampled_from(["", "", "", "", "amount_usd", "model"]))
        items.append("{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if name != dropped) + "}")
    try:
        right = str(sum(Decimal(each.strip('"')) for each in spends))
    except ArithmeticError:
        right = "1"
    total = draw(st.sampled_from([right] * 6 + ["0", "1", f"{right}1", "null"]))
    data = f'"data":{{"total":{{"amount_usd":{total}}},"items":[{",".join(items)}]}}'
    head = draw(
        st.sampled_from(["", '"success":true,', '"success":false,', '"success":1,', '"error":"x",', '"code":0,'])
    )
    return f"{{{head}{draw(st.sampled_from([data] * 6 + [data.replace('items', 'rows'), '']))}}}"


_EXTRAS = st.dictionaries(
    st.sampled_from(["requests", "prompt_tokens", "date"]), st.sampled_from(["0", "1", "-1", "null", '"2"']), max_size=2
)


def number(value: Any) -> Fraction:
    """Return an amount, or raise: a number, or a text that is one, and no boolean."""
    if isinstance(value, bool) or not isinstance(value, Fraction | str):
        raise TypeError
    return Fraction(value)


def may_pass(text: str) -> bool:
    """Tell, by means of its own, whether a document proves that at most 5 was spent."""
    try:
        document = json.loads(text, parse_float=Fraction, parse_int=Fraction)
        if document.get("success", True) is not True or document.get("error"):
            return False
        total, items = document["data"]["total"], document["data"]["items"]
        spends = [number(item["amount_usd"]) for item in items]
        names = [item["model"] for item in items]
        whole = number(total["amount_usd"])
        counts = [
            number(item[name]) for item in items for name in ("requests", "prompt_tokens") if item.get(name) is not None
        ]
    except (ValueError, TypeError, KeyError):
        return False
    return (
        all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
        and min([*spends, *counts, whole]) >= 0
        and abs(sum(spends) - whole) * 1_000_000 <= len(spends)
        and max(sum(spends, Fraction(0)), whole) <= 5
    )


@given(documents())
@settings(max_examples=800)
def test_a_pass_is_a_complete_answer_that_agrees_with_itself(text: str) -> None:
    """The parser and the gate together, against an oracle that shares nothing with them."""
    try:
        result: Any = interpret_books(
            Answer(200, "OK", text.encode()),
            query=QUERY,
            redactor=Redactor(ApiKey(KEY, source="a test")),
            fetched_at=NOW,
        )
    except ApimartError as error:
        result = error
    verdict = judge((), budgets=[(BooksReading("p", Scope.KEY, result), FIVE)])
    assert (verdict.exit_code == 0) is may_pass(text), text
