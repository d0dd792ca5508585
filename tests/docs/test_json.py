"""Every field of every JSON document stands in docs/scripting.md with its type, and none that is never sent."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.words import ForecastState
from support.pages import CONFIG, DOCUMENTATION, code_in, table
from support.past import write_past
from support.running import Call, Serve, Write, connected

JSON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "number": (int, float), "string": str, "boolean": bool, "null": type(None), "list": list, "object": dict,
}  # fmt: skip


def _json(call: Call, *arguments: str, **env: str) -> list[dict[str, Any]]:
    """Run a command with `--json` and return what it printed."""
    return [json.loads(line) for line in call(*arguments, "--json", env=env).stdout.splitlines()]


def _assert_documented(documents: Sequence[Mapping[str, Any]], heading: str) -> None:
    """Hold documents against the table under `heading`: the same fields, and only values of the types there."""
    types = {code_in(row[0])[0]: row[1].split(" or ") for row in table("field", heading).rows}
    assert set().union(*documents) == set(types)
    for document in documents:
        for name, value in document.items():
            assert any(_is_of_type(value, word) for word in types[name]), f"{name} is {value!r}, not {types[name]}"


def _is_of_type(value: object, word: str) -> bool:
    return isinstance(value, JSON_TYPES[word]) and (word == "boolean" or not isinstance(value, bool))


def test_the_json_of_balances_and_checks_is_documented(call: Call, serve: Serve) -> None:
    """The page has every field of `balance --json` and `check --json` with its type, and none that is never sent."""
    usual, unlimited = connected(serve()), connected(serve(key=Funds(None, Decimal(2))))
    failing = connected(serve(fault=Fault.UNAUTHORIZED))
    checks = [
        *_json(call, "check", "--min", "5", "--scope", "both", **usual),
        *_json(call, "check", "--max-used", "1", **unlimited),
        *_json(call, "check", "--min", "5", **failing),
        *_json(call, "check"),
    ]
    balances = [
        *_json(call, "balance", "--scope", "both", **usual), *_json(call, "balance", **unlimited),
        *_json(call, "balance", **failing), *_json(call, "balance"),
    ]  # fmt: skip
    balances += _json(call, "balance", "--scope", "both", **failing)
    balances += _json(
        call,
        "balance",
        "--scope",
        "both",
        **connected(serve(key=Funds(None, Decimal(2)), account=Funds(None, Decimal(2)))),
    )
    spendable = [document for document in balances if document["scope"] == "spendable"]
    assert len(spendable) == 3
    readings = [*balances, *(reading for document in checks for reading in document["readings"])]
    assert [document.get("limited_by") for document in spendable] == ["key", None, None]
    _assert_documented(checks, "Fields of `check`")
    assert [document["stopped_by"] for document in checks] == [[], ["default/spendable"], ["default/spendable"], []]
    _assert_documented(readings, "Fields of a balance")
    _assert_documented(
        [document["error"] for document in (*checks, *readings) if "error" in document], "Fields of an error"
    )


def test_the_json_of_config_is_documented(call: Call, write_config: Write) -> None:
    """Every field of `config show`, `path` and `check` with `--json` stands on the page, each setting by its name."""
    write_config(CONFIG)
    [shown, *others] = _json(call, "config", "show", "--all-profiles")
    assert len(others) == len(tomllib.loads(CONFIG)["profiles"]) - 1
    _assert_documented([shown, *others], "Fields of `config show`")
    _assert_documented(_json(call, "config", "path"), "Fields of `config path`")
    [sentence] = re.findall(r"The\s+settings\s+are\s+([^.]*)\.", DOCUMENTATION)
    assert code_in(sentence) == list(shown["settings"])
    for setting in shown["settings"].values():
        assert set(setting) == {"value", "source"}
        assert isinstance(setting["value"], str | None)
        assert isinstance(setting["source"], str)
    write_config('rearm = "5"\n[profiles.work]\nmim = 5\n')
    [checked] = _json(call, "config", "check")
    _assert_documented([checked], "Fields of `config check`")
    documented = {code_in(row[0])[0]: code_in(row[2]) for row in table("field", "Fields of `config check`").rows}
    assert len(checked["problems"]) == 2
    assert all(set(problem) == set(documented["problems"]) for problem in checked["problems"])
    assert [set(profile) for profile in checked["profiles"]] == [set(documented["profiles"])]


def test_the_json_of_a_forecast_is_documented(call: Call, serve: Serve, tmp_path: Path) -> None:
    """Every field of `forecast` with its type, and every state."""
    gateway = serve()
    host, env = gateway.url.removeprefix("http://"), connected(gateway)
    forecasts = []
    for days, spent in ((8, "0.25"), (4, "0.5"), (1, "0.1"), (8, "0")):
        path = tmp_path / f"{days}-{spent}.db"
        write_past(path, host, days=days, spent_per_day=spent)
        [balance] = _json(call, "balance", APIMART_HISTORY=str(path), **env)
        forecasts.append(balance["forecast"])
    _assert_documented(forecasts, "Fields of a forecast")
    [meaning] = [row[2] for row in table("field", "Fields of a forecast").rows if row[0] == "`state`"]
    assert set(code_in(meaning)) == set(ForecastState)
    assert {each["state"] for each in forecasts} == {"ok", "rough", "too_little", "idle"}


def test_the_json_of_usage_is_documented(call: Call, serve: Serve) -> None:
    """Every field with its type, those of a failure and of the rows, too."""
    env = {**connected(serve(days=3)), "TZ": "UTC"}
    told = [_json(call, "usage", "--by", by, **env)[0] for by in ("model", "day", "day,model")]
    failed = _json(call, "usage", **connected(serve(fault=Fault.USAGE_MISSING)))
    early = _json(call, "usage", "--days", "0", **env)
    _assert_documented([*told, *failed, *early], "Fields of `usage`")
    meanings = {code_in(row[0])[0]: set(code_in(row[2])) for row in table("field", "Fields of `usage`").rows}
    rows = [row for document in told for row in document["rows"]]
    assert set().union(*rows) == meanings["total"] | meanings["rows"]
    assert all(set(document["total"]) == meanings["total"] for document in told)


def test_a_check_that_failed_open_says_so_in_json(call: Call, serve: Serve) -> None:
    """After `--fail-open` the exit code is 0 and the verdict is still `error`, as the page says."""
    [document] = _json(call, "check", "--min", "5", "--fail-open", **connected(serve(fault=Fault.SERVER_ERROR)))
    assert (document["exit_code"], document["verdict"]) == (0, "error")
    assert re.search(r"`exit_code`\s+is\s+0\s+and\s+`verdict`\s+is\s+still\s+`error`", DOCUMENTATION)
