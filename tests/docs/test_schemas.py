"""The schemas of `docs/schemas/` are fresh, are schemas, and say what the pages and the program say.

What each command prints is held against them everywhere: see `support/schemas.py`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from apimart_cli.sandbox.scenario import Fault
from support.pages import CONFIG, PAGES, code_in, table
from support.past import write_past
from support.places import ROOT
from support.running import Call, Serve, Write, connected
from support.schemas import FOLDER, hold, kind_of, strict

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
GENERATE = FOLDER / "generate.py"


def schema(name: str) -> dict[str, Any]:
    """Return a schema."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return found


def test_the_schemas_are_not_stale(environment: Mapping[str, str]) -> None:
    """They are what their command writes from the code of today."""
    ended = subprocess.run(
        [sys.executable, str(GENERATE), "--check"], env=environment, capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_schema_that_is_stale_is_noticed(environment: Mapping[str, str], tmp_path: Path) -> None:
    """And written again by the command."""
    copy = tmp_path / "generate.py"
    copy.write_bytes(GENERATE.read_bytes())
    command = [sys.executable, str(copy)]
    checked = subprocess.run([*command, "--check"], env=environment, capture_output=True, timeout=60, check=False)
    assert checked.returncode == 1
    assert b"balance-1.json is stale: run python3 docs/schemas/generate.py\n" in checked.stderr
    subprocess.run(command, env=environment, timeout=60, check=True)
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


@pytest.mark.parametrize(
    ("name", "place", "heading"),
    [
        ("check-1", ["readings", "items"], "Fields of a balance"),
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
def test_the_schemas_have_the_fields_of_the_pages(name: str, place: list[str], heading: str) -> None:
    """None more, none less."""
    found = schema(name)
    for step in place:
        found = found[step] if step in found else found["properties"][step]
    assert set(found["properties"]) == {code_in(row[0])[0] for row in table("field", heading).rows}


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remain_balance", "10.5"),
        ("scope", "keys"),
        ("fetched_at", "yesterday"),
        ("key_id", "sk-"),
        ("forecast", {"state": "ok"}),
        ("added", 1),
    ],
)
def test_a_document_that_is_wrong_is_noticed(call: Call, serve: Serve, name: str, value: object) -> None:
    """By type, word, form, missing and unknown field: a test that sees such a document fails."""
    document = json.loads(call("balance", "--json", env=connected(serve())).stdout)
    hold(document)
    with pytest.raises(AssertionError, match="balance-1"):
        hold({**document, name: value})
    with pytest.raises(AssertionError, match="balance-1"):
        json.loads(json.dumps({**document, name: value}))


def test_the_published_schemas_allow_fields_that_are_added(call: Call, serve: Serve) -> None:
    """As the page promises: a reader who validates does not fail when a field is new."""
    document = {**json.loads(call("balance", "--json", env=connected(serve())).stdout), "added": 1}
    assert Draft202012Validator(schema("balance-1")).is_valid(document)
    assert not Draft202012Validator(strict(schema("balance-1"))).is_valid(document)


def test_every_schema_stands_in_the_folder() -> None:
    """Those of the table in docs/scripting.md, and no other."""
    assert sorted(code_in(row[0])[0].removesuffix(".json") for row in table("schema").rows) == NAMES
    assert {"balance-1", "check-1", "doctor-1", "error-1", "history-1", "report-1", "runs-1"} <= set(NAMES)
    assert GENERATE.is_relative_to(ROOT / "docs")
