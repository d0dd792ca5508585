"""Giving a profile another name in the text of the config file; comments, order and every other byte stay.

Pure: text in, text out.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apimart_cli.config.file import parse_toml
from apimart_cli.config.layout import Statement, split_lines, statements
from apimart_cli.config.names import suggestion
from apimart_cli.errors import ConfigError, UsageError

_PART = r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'"""
"""One part of a dotted name in TOML."""


def check_names(document: Mapping[str, Any], old: str, new: str, path: Path) -> None:
    """Raise UsageError unless there is a profile `old` in the document, and none that is called `new`."""
    profiles = document.get("profiles")
    names = list(profiles) if isinstance(profiles, dict) else []
    if old not in names:
        known = suggestion(old, names, f"choose one of: {', '.join(names)}")
        raise UsageError(f"there is no profile {old!r} in {path}", known if names else None)
    if new in names:
        raise UsageError(f"there is a profile {new!r} already in {path}", "choose another name")


def renamed(text: str, old: str, new: str, path: Path) -> str:
    """Return `text` with profile `old` called `new`, in its tables and in `default_profile`.

    The new text is read again and compared with the old document plus the change. Raises UsageError for names that
    cannot be, and ConfigError when it does not come out right.
    """
    from apimart_cli.config.rewriting import Change, exactly, rewritten

    before = parse_toml(text, path)
    check_names(before, old, new, path)
    profiles = {new if name == old else name: table for name, table in before["profiles"].items()}
    wanted = {**before, "profiles": profiles}
    after = _with_new_name(text, old, new)
    if exactly(parse_toml(after, path)) != exactly(wanted):
        raise ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")
    if before.get("default_profile") == old:
        after = rewritten(after, Change((), sets={"default_profile": new}), path)
    return after


def _with_new_name(text: str, old: str, new: str) -> str:
    lines = split_lines(text)
    for statement in statements(text):
        if any(path[:2] == ("profiles", old) for path in (statement.table, *statement.names)):
            first = statement.first - 1
            lines[first] = _line_with_new_name(lines[first], statement, old, new)
    return "".join(lines)


def _line_with_new_name(line: str, statement: Statement, old: str, new: str) -> str:
    """Return a line, a header or the begin of an assignment, with the second part of its path called `new`."""
    depth = len(statement.table) if statement.names else 0
    if depth > 1:  # it stands in a table whose header has the name
        return line
    names = re.match(rf"\s*\[?\s*(?:{_PART})(?:\s*\.\s*(?:{_PART}))*", line)
    parts = list(re.finditer(_PART, names.group())) if names else []
    if len(parts) <= 1 - depth or _unquoted(parts[1 - depth].group()) != old:
        return line
    part = parts[1 - depth]
    return line[: part.start()] + _quoted(new) + line[part.end() :]


def _unquoted(part: str) -> str:
    return next(iter(parse_toml(f"{part} = 0", Path())))


def _quoted(name: str) -> str:
    # A name that shows has no character that JSON and TOML escape differently.
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
