"""The schemas of `docs/schemas/` are fresh, are schemas, and say what the pages and the program say.

What each command prints is held against them everywhere: see `support/schemas.py`.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.words import ForecastState
from support.pages import CONFIG, DOCUMENTATION, PAGES, code_in, table
from support.past import write_past
from support.places import ROOT
from support.running import Call, Serve, Write, connected, run_program
from support.schemas import FOLDER, hold, kind_of

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
GENERATE = FOLDER / "generate.py"


def schema(name: str) -> dict[str, Any]:
    """Return a schema."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return found


def test_the_schemas_are_what_their_command_writes(environment: Mapping[str, str], tmp_path: Path) -> None:
    """From the code of today; without them it says which are stale."""
    copy = tmp_path / "generate.py"
    copy.write_bytes(GENERATE.read_bytes())
    checked = run_program([sys.executable, str(copy), "--check"], env=environment)
    assert checked.returncode == 1
    assert "balance-1.json is stale: run python3 docs/schemas/generate.py\n" in checked.stderr
    run_program([sys.executable, str(copy)], env=environment, check=True)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json")} == {
        f"{name}.json": (FOLDER / f"{name}.json").read_bytes() for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_schema_that_the_page_links(name: str) -> None:
    """It says which version of JSON Schema it is, allows more fields, and stands in docs/scripting.md."""
    found = schema(name)
    Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["$id"] == f"{name}.json"
    assert '"additionalProperties": false' not in json.dumps(found)
    assert f"(schemas/{name}.json)" in PAGES["docs/scripting.md"]


PERHAPS_NULL = {"used_credits", "scope"}
"""Fields for which a schema or a page allows a null that is not sent."""


def _fields(name: str, place: Sequence[str | int] = ()) -> dict[str, Any]:
    """Return the fields of a schema, or of a part of it."""
    found: Any = schema(name)
    for step in place:
        found = found[step] if isinstance(found, list) or step in found else found["properties"][step]
    return dict(found["properties"])


def _types(field: Mapping[str, Any]) -> set[str]:
    """Return what a field may be, in the words of the pages."""
    found = set[str]().union(*(_types(each) for each in field.get("oneOf", ())))
    values = field.get("enum", [field["const"]] if "const" in field else [])
    found |= {"null" if value is None else "string" if isinstance(value, str) else "number" for value in values}
    told = field.get("type", [])
    words = {"integer": "number", "array": "list"}
    return found | {words.get(each, each) for each in ([told] if isinstance(told, str) else told)}


@pytest.mark.parametrize(
    ("name", "place", "heading"),
    [
        ("check-1", ["readings", "items"], "Fields of a balance"),
        ("balance-1", ["forecast", "oneOf", 0], "Fields of a forecast"),
        ("check-1", [], "Fields of `check`"),
        ("check-1", ["spent", "items"], "Fields of what was spent"),
        ("usage-1", [], "Fields of `usage`"),
        ("error-1", ["error"], "Fields of an error"),
        ("doctor-1", [], "Fields of `doctor`"),
        ("settings-1", [], "Fields of `config show`"),
        ("path-1", [], "Fields of `config path`"),
        ("config-check-1", [], "Fields of `config check`"),
    ],
)
def test_the_pages_have_the_fields_and_types_of_the_schemas(name: str, place: list[str], heading: str) -> None:
    """None more, none less."""
    documented = {code_in(row[0])[0]: set(row[1].split(" or ")) for row in table("field", heading).rows}
    allowed = {field: _types(rule) for field, rule in _fields(name, place).items()}
    assert documented.keys() == allowed.keys()
    for field, types in documented.items():
        assert types ^ allowed[field] <= ({"null"} if field in PERHAPS_NULL else set()), field


def test_the_pages_name_what_stands_inside_of_fields(call: Call) -> None:
    """The states of a forecast, the settings, and the fields of rows, problems and profiles."""
    named = {
        (heading, code_in(row[0])[0]): set(code_in(row[2]))
        for heading in ("Fields of a forecast", "Fields of `usage`", "Fields of `config check`")
        for row in table("field", heading).rows
    }
    assert named["Fields of a forecast", "state"] == set(ForecastState)
    [row, total] = (_fields("usage-1", place) for place in (["rows", "items"], ["total"]))
    assert named["Fields of `usage`", "total"] == set(total)
    assert named["Fields of `usage`", "total"] | named["Fields of `usage`", "rows"] == set(row)
    for field in ("problems", "profiles"):
        assert named["Fields of `config check`", field] == set(_fields("config-check-1", [field, "items"]))
    [sentence] = re.findall(r"The\s+settings\s+are\s+([^.]*)\.", DOCUMENTATION)
    assert code_in(sentence) == list(json.loads(call("config", "show", "--json").stdout)["settings"])


def test_a_check_that_failed_open_says_so_in_json(call: Call, serve: Serve) -> None:
    """After `--fail-open` the exit code is 0 and the verdict is still `error`, as the page says."""
    env = connected(serve(fault=Fault.SERVER_ERROR))
    document = json.loads(call("check", "--min", "5", "--fail-open", "--json", env=env).stdout)
    assert (document["exit_code"], document["verdict"]) == (0, "error")
    assert re.search(r"`exit_code`\s+is\s+0\s+and\s+`verdict`\s+is\s+still\s+`error`", DOCUMENTATION)


def test_what_the_commands_write_is_of_each_kind(call: Call, serve: Serve, write_config: Write, tmp_path: Path) -> None:
    """A document that were of no kind would not be held against a schema at all."""
    gateway = serve()
    env = {**connected(gateway), "APIMART_HISTORY": str(tmp_path / "history.db"), "APIMART_RECORD": "1"}
    write_past(tmp_path / "history.db", gateway.url.removeprefix("http://"), days=4, spent_per_day="1")
    write_config(CONFIG)
    kinds = {
        "balance --scope both --json": "balance-1",
        "balance --scope spendable --json": "balance-1",
        "balance --json -p none": "error-1",
        "check --min 5 --json": "check-1",
        "check --json": "check-1",
        "run --min 1 --report report.json -- true": None,
        "usage --json": "usage-1",
        "usage --by day,model --json": "usage-1",
        "check --max-spent 9 --within 24h --json": "check-1",
        "history --json": "history-1",
        "history runs --json": "runs-1",
        "history --json --days x": "error-1",
        "doctor --json": "doctor-1",
        "history export": "export-1",
        "history path --json": "path-1",
        "config path --json": "path-1",
        "config show --json": "settings-1",
        "config check --json": "config-check-1",
        "profiles --json": "profiles-1",
    }
    for line, kind in kinds.items():
        printed = call(*line.split(), env=env).stdout.splitlines()
        assert {kind_of(json.loads(each)) for each in printed} == ({kind} if kind else set()), line
    assert kind_of(json.loads((tmp_path / "report.json").read_text("utf-8"))) == "report-1"
    failing = connected(serve(fault=Fault.UNAUTHORIZED))
    [failed] = call("balance", "--json", env=failing).stdout.splitlines()
    assert kind_of(json.loads(failed)) == "balance-1"
    [failed] = call("usage", "--json", env=failing).stdout.splitlines()
    assert kind_of(json.loads(failed)) == "usage-1"


def test_a_document_that_is_wrong_is_noticed(call: Call, serve: Serve) -> None:
    """By type, word, form, missing and unknown field; the published schema allows a field that is added, alone."""
    document = json.loads(call("balance", "--json", env=connected(serve())).stdout)
    wrong = {"remain_balance": "10.5", "scope": "keys", "fetched_at": "yesterday", "key_id": "sk-", "added": 1}
    for name, value in {**wrong, "forecast": {"state": "ok"}}.items():
        with pytest.raises(AssertionError, match="balance-1"):
            hold({**document, name: value})
        assert Draft202012Validator(schema("balance-1")).is_valid({**document, name: value}) is (name == "added")
    with pytest.raises(AssertionError, match="balance-1"):
        json.loads(json.dumps({**document, "added": 1}))


def test_every_schema_stands_in_the_folder() -> None:
    """Those of the table in docs/scripting.md, and no other."""
    assert sorted(code_in(row[0])[0].removesuffix(".json") for row in table("schema").rows) == NAMES
    assert {"balance-1", "check-1", "doctor-1", "error-1", "history-1", "report-1", "runs-1"} <= set(NAMES)
    assert GENERATE.is_relative_to(ROOT / "docs")
