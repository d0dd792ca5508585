"""Documents held against our schemas, and files against those that others publish, which come with check-jsonschema.

Every JSON document of ours that a test sees is held: what the command prints in the fixtures `call` and `run_process`,
and whatever a test parses with `json.loads`. A test that makes documents of its own is not in the way: they are held
when they have the form of one of ours.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from support.places import ROOT
from support.programs import need
from support.running import run_program

FOLDER = ROOT / "docs" / "schemas"

_parse = json.loads

_MARKS = {
    "findings": "doctor-1",
    "readings": "check-1",
    "apimart_exit_code": "report-1",
    "began_at": "runs-1",
    "top_ups": "history-1",
    "changes": "watch-1",
    "key_source": "profiles-1",
    "settings": "settings-1",
    "exists": "path-1",
    "problems": "config-check-1",
    "source": "export-1",
    "host": "usage-1",
}
"""A field that documents of this kind have, and none that stand after them here."""

_OF_OTHERS = {"text", "event"}
"""Fields of documents that have no schema: what `statusline --preset json` writes, and what an alert is told."""


def kind_of(document: object) -> str | None:
    """Return the name of the schema for a document of ours; None for any other."""
    if not isinstance(document, dict) or document.get("schema") != 1 or _OF_OTHERS & document.keys():
        return None
    for mark, name in _MARKS.items():
        if mark in document:
            return name
    if "scope" not in document:
        return None
    return "error-1" if document["profile"] is None and "key_id" not in document else "balance-1"


def strict(schema: Any) -> Any:
    """Return a schema that allows no field that it does not name: one that the code adds needs its place there."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {**{name: strict(each) for name, each in schema.items()}, **closed}


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what holds documents against a schema, strictly."""
    return Draft202012Validator(strict(_parse((FOLDER / f"{name}.json").read_text("utf-8"))))


def hold(document: object) -> None:
    """Fail where a document of ours is not as its schema says."""
    name = kind_of(document)
    if name is not None:
        mistakes = [f"{name}: {error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]
        if mistakes:
            raise AssertionError("\n".join(mistakes))


def hold_printed(printed: str) -> None:
    """Hold each line of an output that is a document of ours."""
    for line in printed.splitlines():
        if line.startswith('{"schema":1,') and line.endswith("}"):
            hold(_parse(line))


def held_where_tests_parse(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Return `json.loads` for the tests: what they parse is held. The program's own calls are left alone."""

    @wraps(parse)
    def loads(text: Any, *arguments: Any, **named: Any) -> Any:
        value = parse(text, *arguments, **named)
        caller = sys._getframe(1).f_code.co_filename
        if isinstance(value, dict) and caller.startswith(str(ROOT / "tests")):
            # Once more without the hooks of the test, which may read numbers as text.
            hold(parse(text) if named else value)
        return value

    return loads


def held_against(schema: str, path: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Hold a file against a schema, like `vendor.github-actions`; 0 is the status where it is valid."""
    return run_program([need("check-jsonschema"), "--builtin-schema", schema, str(path)], env=environment)
