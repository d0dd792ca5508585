"""Write the JSON Schemas of everything that `--json`, `history export` and `run --report` write.

    python3 docs/schemas/generate.py          write them into this folder
    python3 docs/schemas/generate.py --check  fail if one of them is stale

What a field may be is taken from the code where the code says it: scopes, verdicts, states, codes. Each schema stands
alone, so that a file can be copied. A field that is not in a schema is allowed, as fields may be added.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from apimart_cli import errors
from apimart_cli.choices import BooksScope, UsageBy
from apimart_cli.output.json import SCHEMA
from apimart_cli.records import Condition
from apimart_cli.rules.trend import Change
from apimart_cli.words import ForecastState, Outcome, Scope, Since, StoppedBy

FOLDER = Path(__file__).parent

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
KEY_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{12}$"}
TIME: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"}
DAY: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
STATUS: Schema = {"type": "integer"}
"""The status of a command. POSIX has 0 to 255, Windows 32 bits."""
VERSION: Schema = {"const": SCHEMA}


def words(choices: type[Enum]) -> Schema:
    """Return the schema of a word out of these."""
    return {"enum": [choice.value for choice in choices]}


def or_null(schema: Schema) -> Schema:
    """Return the schema of the same, or null."""
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def an_object(fields: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object with these fields."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
    }


def a_list(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def _tree(error: type[errors.ApimartError]) -> Iterator[str]:
    yield error.code
    for child in error.__subclasses__():
        yield from _tree(child)


ERROR = an_object(
    {
        "code": {"enum": list(dict.fromkeys(_tree(errors.ApimartError)))},
        "exit_code": {"enum": [int(code) for code in errors.ExitCode]},
        "message": TEXT,
        "hint": or_null(TEXT),
    }
)

FORECAST = an_object(
    {
        "state": words(ForecastState),
        "spent_per_day": or_null(NUMBER),
        "days_left": or_null(NUMBER),
        "days_left_low": or_null(NUMBER),
        "days_left_high": or_null(NUMBER),
        "days_seen": NUMBER,
        "from": {"enum": ["history", "books"]},
    }
)
FORECAST_OR_NULL: Schema = {"oneOf": [FORECAST, {"type": "null"}]}

_NAMED: Mapping[str, Schema] = {"schema": VERSION, "profile": or_null(TEXT), "scope": or_null(words(Scope))}

_READ: Mapping[str, Schema] = {
    "remain_balance": or_null(NUMBER),
    "used_balance": NUMBER,
    "unlimited_quota": FLAG,
    "remain_credits": or_null(NUMBER),
    "used_credits": or_null(NUMBER),
    "limited_by": {"enum": [Scope.KEY.value, Scope.ACCOUNT.value, None]},
    "unit": or_null(TEXT),
    "fetched_at": TIME,
    "forecast": FORECAST_OR_NULL,
}

_JUDGED: Mapping[str, Schema] = {
    "min": or_null(NUMBER),
    "max_used": or_null(NUMBER),
    "min_runway_days": or_null(NUMBER),
    "verdict": words(Outcome),
}

_READ_OR_FAILED: list[Schema] = [
    {"required": ["key_id", "remain_balance", "used_balance", "unlimited_quota", "unit", "fetched_at", "forecast"]},
    {"required": ["error"]},
]


def a_reading(always: Mapping[str, Schema], sometimes: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of a balance, or of the error in its place, with more fields."""
    at_times = {"key_id": or_null(KEY_ID), **_READ, "error": ERROR, **(sometimes or {})}
    fields = {**_NAMED, **at_times, **always}
    optional = tuple(at_times)
    return {**an_object(fields, optional=optional), "anyOf": _READ_OR_FAILED}


READING = a_reading({})

_SPENT: Mapping[str, Schema] = {
    "spent": NUMBER,
    "unit": {"const": "USD"},
    "since": TIME,
    "until": TIME,
    "booked_until": TIME,
    "error": ERROR,
}

SPENT = {
    **an_object(
        {
            "profile": TEXT,
            "scope": words(BooksScope),
            "key_id": or_null(KEY_ID),
            "host": TEXT,
            "max_spent": NUMBER,
            "within": {"oneOf": [NUMBER, words(Since)]},
            "verdict": words(Outcome),
            **_SPENT,
        },
        optional=tuple(_SPENT),
    ),
    "anyOf": [{"required": [name for name in _SPENT if name != "error"]}, {"required": ["error"]}],
}
"""What was spent, compared with a budget."""

_BOOKED: Mapping[str, Schema] = {
    "spent": NUMBER,
    "requests": or_null(COUNT),
    "prompt_tokens": or_null(COUNT),
    "completion_tokens": or_null(COUNT),
}

_BOOKS: Mapping[str, Schema] = {
    "since": TIME,
    "until": TIME,
    "tz": TEXT,
    "by": words(UsageBy),
    "unit": {"const": "USD"},
    "fetched_at": TIME,
    "booked_until": TIME,
    "total": an_object(_BOOKED),
    "rows": a_list(an_object({"day": DAY, "model": TEXT, **_BOOKED}, optional=("day", "model"))),
}

PROBLEM = an_object({"line": or_null(COUNT), "message": TEXT, "hint": or_null(TEXT), "profile": or_null(TEXT)})

_RUN: Mapping[str, Schema] = {
    "schema": VERSION,
    "label": or_null(TEXT),
    "profile": TEXT,
    "key_id": or_null(KEY_ID),
    "host": TEXT,
    "began_at": TIME,
    "ended_at": or_null(TIME),
    "exit_code": or_null(STATUS),
    "stopped_by": or_null(words(StoppedBy)),
    "stopped": or_null(FLAG),
    "could_not_stop": COUNT,
    "spent": or_null(NUMBER),
    "settled": FLAG,
    "unit": or_null(TEXT),
}

SCHEMAS: Mapping[str, tuple[str, Schema]] = {
    "balance-1": ("One balance: a line of `apimart balance --json`.", READING),
    "check-1": (
        "A verdict: what `apimart check --json` writes.",
        an_object(
            {
                "schema": VERSION,
                "verdict": words(Outcome),
                "exit_code": {"enum": [int(code) for code in errors.ExitCode]},
                "min": or_null(NUMBER),
                "max_used": or_null(NUMBER),
                "min_runway_days": or_null(NUMBER),
                "stopped_by": a_list(TEXT),
                "readings": a_list(a_reading(_JUDGED)),
                "spent": a_list(SPENT),
                "error": ERROR,
            },
            optional=("error",),
        ),
    ),
    "history-1": (
        "What was read of one balance: a line of `apimart history --json`.",
        an_object(
            {
                "schema": VERSION,
                "profile": TEXT,
                "scope": words(Scope),
                "key_id": KEY_ID,
                "host": TEXT,
                "unit": or_null(TEXT),
                "first_at": TIME,
                "last_at": TIME,
                "samples": COUNT,
                "remain_balance": or_null(NUMBER),
                "days": a_list(an_object({"day": DAY, "spent": NUMBER})),
                "top_ups": a_list(an_object({"at": TIME, "amount": NUMBER})),
                "forecast": FORECAST_OR_NULL,
            }
        ),
    ),
    "usage-1": (
        "What was spent, by the gateway's books: a line of `apimart usage --json`.",
        {
            **an_object(
                {
                    "schema": VERSION,
                    "profile": or_null(TEXT),
                    "scope": words(BooksScope),
                    "key_id": or_null(KEY_ID),
                    "host": TEXT,
                    **_BOOKS,
                    "error": ERROR,
                },
                optional=(*_BOOKS, "error"),
            ),
            "anyOf": [{"required": list(_BOOKS)}, {"required": ["error"]}],
        },
    ),
    "runs-1": ("One guarded run: a line of `apimart history runs --json`.", an_object(_RUN)),
    "report-1": (
        "The report of one guarded run: the file of `apimart run --report`.",
        an_object(
            {
                **_RUN,
                "ended_at": TIME,
                "seconds": NUMBER,
                "apimart_exit_code": STATUS,
                "min": or_null(NUMBER),
                "max_spend": or_null(NUMBER),
                "min_runway_days": or_null(NUMBER),
                "counted": {"enum": [Scope.KEY.value, Scope.ACCOUNT.value]},
                "other_runs": or_null(COUNT),
                "before": a_list(READING),
                "after": a_list(READING),
            }
        ),
    ),
    "export-1": (
        "One reading: a line of `apimart history export`, which `history import` reads.",
        an_object(
            {
                "schema": VERSION,
                "at": TIME,
                "key_id": KEY_ID,
                "host": TEXT,
                "scope": words(Scope),
                "profile": TEXT,
                "remain_balance": or_null(NUMBER),
                "used_balance": NUMBER,
                "unlimited_quota": FLAG,
                "unit": or_null(TEXT),
                "source": TEXT,
            }
        ),
    ),
    "watch-1": (
        "A change of one balance: a line of `apimart watch --json`.",
        a_reading(
            {
                "at": TIME,
                "changes": a_list(words(Change)),
                "spent": or_null(NUMBER),
                "spent_per_hour": or_null(NUMBER),
                "top_up": or_null(NUMBER),
                "below": FLAG,
            },
            {"last_remain_balance": or_null(NUMBER)},
        ),
    ),
    "profiles-1": (
        "One profile: a line of `apimart profiles --json`.",
        an_object(
            {
                "schema": VERSION,
                "profile": TEXT,
                "key_source": TEXT,
                "key_id": or_null(KEY_ID),
                "host": or_null(TEXT),
                "active": FLAG,
            }
        ),
    ),
    "settings-1": (
        "The settings of one profile: a line of `apimart config show --json`.",
        an_object(
            {
                "schema": VERSION,
                "settings": {
                    "type": "object",
                    "additionalProperties": an_object({"value": or_null(TEXT), "source": TEXT}),
                },
            }
        ),
    ),
    "path-1": (
        "The place of a file: what `apimart config path --json` and `apimart history path --json` write.",
        an_object({"schema": VERSION, "path": TEXT, "source": TEXT, "exists": FLAG}),
    ),
    "config-check-1": (
        "The mistakes in the config file: what `apimart config check --json` writes.",
        an_object(
            {
                "schema": VERSION,
                "path": or_null(TEXT),
                "problems": a_list(PROBLEM),
                "profiles": a_list(an_object({"profile": TEXT, "works": FLAG, "reason": TEXT})),
                "warnings": a_list(PROBLEM),
            }
        ),
    ),
    "doctor-1": (
        "What was found: what `apimart doctor --json` writes.",
        an_object(
            {
                "schema": VERSION,
                "exit_code": {"enum": [int(code) for code in errors.ExitCode]},
                "findings": a_list(
                    an_object(
                        {
                            "subject": {"type": "string", "pattern": "^[a-z]+$"},
                            "condition": words(Condition),
                            "message": TEXT,
                            "hint": or_null(TEXT),
                        }
                    )
                ),
            }
        ),
    ),
    "error-1": (
        "An error that left nothing to show: what every command but `check` writes with `--json`.",
        an_object({"schema": VERSION, "profile": {"type": "null"}, "scope": {"type": "null"}, "error": ERROR}),
    ),
}
"""For each name of a file what it is about, and the schema."""


def written(name: str) -> str:
    """Return the text of a file."""
    title, schema = SCHEMAS[name]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{name}.json", "title": title}
    return f"{json.dumps({**head, **schema}, indent=2)}\n"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are stale."""
    stale = [name for name in SCHEMAS if not _is_fresh(FOLDER / f"{name}.json", written(name))]
    if arguments == ["--check"]:
        for name in stale:
            sys.stderr.write(f"{name}.json is stale: run python3 docs/schemas/generate.py\n")
        return 1 if stale else 0
    for name in stale:
        (FOLDER / f"{name}.json").write_text(written(name), encoding="utf-8")
    return 0


def _is_fresh(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
