"""Where each name stands in the text of a config file: TOML readers keep no positions. Pure: no I/O.

Giving a profile another name in the text of the config file; comments, order and every other byte stay.

Pure: text in, text out.

The new text of a config file: what was asked for changes, comments, order and every other byte stay.

The only importer of tomlkit. Pure: text in, text out.
"""

import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.config.file import parse_toml
from apimart_cli.config.names import suggestion
from apimart_cli.config.values import Number
from apimart_cli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from tomlkit.items import Item

MAX_STATEMENT_LINES = 200
"""Most lines of a list or text up to which places in the file are found."""


class Statement(NamedTuple):
    """One statement of the file, a table's header or an assignment, and the lines it takes."""

    first: int
    last: int
    table: tuple[str, ...]
    """The table that it opens, or stands in."""
    names: tuple[tuple[str, ...], ...]
    """Everything that it sets, as paths from the top; nothing for a header."""


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a valid TOML document in their order, as far as their places can be found."""
    lines = split_lines(text)
    table: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        first, number = number, number + 1
        start = lines[first].lstrip()[:1]
        if start in {"", "#"}:
            continue
        content = _read_statement(lines[first:number])
        while content is None and number < len(lines) and number - first < MAX_STATEMENT_LINES:
            number += 1
            content = _read_statement(lines[first:number])
        if content is None:
            return
        if start == "[":
            table = max(_paths(content), key=len)
        names = () if start == "[" else tuple((*table, *path) for path in _paths(content))
        yield Statement(first + 1, number, table, names)


def split_lines(text: str) -> list[str]:
    """Return the lines of TOML, ends included. `str.splitlines` knows more line ends than TOML does."""
    return list(io.StringIO(text))


def line_of(text: str, table: tuple[str, ...], name: str) -> int | None:
    """Return the line on which `name` of `table` begins, or the table, where the name has none of its own."""
    lines = _lines(text)
    return lines.get((*table, name), lines.get(table))


@lru_cache(maxsize=1)
def _lines(text: str) -> Mapping[tuple[str, ...], int]:
    """Return the line on which everything that has a name begins, by its path. TOML readers keep no positions."""
    lines: dict[tuple[str, ...], int] = {}
    for statement in statements(text):
        tables = (statement.table[:depth] for depth in range(1, len(statement.table) + 1))
        for path in (*tables, *statement.names):
            lines.setdefault(path, statement.first)
    return lines


def _read_statement(lines: Iterable[str]) -> Mapping[str, Any] | None:
    """Read a statement by itself; None where it goes on."""
    import tomllib

    try:
        return tomllib.loads("".join(lines))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return None


def _paths(content: Any) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything in `content` that has a name."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield (name,)
            yield from ((name, *path) for path in _paths(value))


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


Value = str | list[str] | Number | bool


class Change(NamedTuple):
    """What is done to one table of the file."""

    table: tuple[str, ...]
    sets: Mapping[str, Value] = {}
    removes: Collection[str] = ()


def rewritten(text: str, change: Change, path: Path) -> str:
    """Return `text` with one table changed, and nothing else.

    The new text is read again and compared with the old document plus the change. Raises ConfigError when no way of
    writing it comes out right.
    """
    before = parse_toml(text, path)
    wanted = exactly(_plainly_changed(before, change, path))
    if wanted == exactly(before):
        return text
    # Here, where it may fail: below, what fails is another way to write it.
    import tomlkit  # noqa: F401

    for is_inline in (False, True):
        # tomlkit raises errors of any type where a value is laid out in rare ways.
        with suppress(Exception):
            after = _with_changed_lines(text, change, is_inline=is_inline)
            if exactly(parse_toml(after, path)) == wanted:
                return after
    raise _unsafe(path)


def _plainly_changed(document: Mapping[str, Any], change: Change, path: Path) -> Mapping[str, Any]:
    """Return the document as it should read afterwards."""
    if not change.table:
        kept = {name: value for name, value in document.items() if name not in change.removes}
        return {**kept, **{name: _plain(value, path) for name, value in change.sets.items()}}
    first, *rest = change.table
    inner = document.get(first, {})
    if not isinstance(inner, Mapping):
        raise _unsafe(path)
    return {**document, first: _plainly_changed(inner, change._replace(table=tuple(rest)), path)}


def _plain(value: Value, path: Path) -> Any:
    return parse_toml(f"number = {value}", path)["number"] if isinstance(value, Number) else value


def exactly(value: Any) -> Any:
    """Return what compares equal for the same document only: 5 is not 5.0, nor true. Empty tables say nothing."""
    if isinstance(value, Mapping):
        tables = {name: exactly(item) for name, item in value.items()}
        return {name: item for name, item in tables.items() if item != {}}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value).__name__, str(value)


def _with_changed_lines(text: str, change: Change, *, is_inline: bool) -> str:
    """Return `text` with only those lines changed that say what is to change.

    New names get lines of their own after the last one of their table; with `is_inline`, they go between the braces
    of a table that is written as a value.
    """
    lines = split_lines(_with_newline(text))
    found = list(statements(text))
    known = {path for statement in found for path in statement.names}
    new = [name for name in change.sets if (*change.table, name) not in known]
    holder = _holder(found, change.table, is_inline=is_inline)
    # From the end, so that the numbers of the lines that are still to come stay right.
    for statement in reversed(found):
        place = slice(statement.first - 1, statement.last)
        written = "".join(lines[place])
        names = [name for name in (*change.sets, *change.removes) if (*change.table, name) in statement.names]
        if statement is holder and is_inline:
            names += new
        if names:
            written = _with_names(written, change, names, within=statement.table)
        if statement is holder and not is_inline:
            indent = written[: len(written) - len(written.lstrip())]
            written += "".join(indent + line for line in _new_lines(change, new, within=statement.table))
        lines[place] = [written]
    if new and holder is None:
        _insert_table(lines, change, new)
    return _finished("".join(lines), like=text)


def _holder(found: Sequence[Statement], table: tuple[str, ...], *, is_inline: bool) -> Statement | None:
    """Return the statement after which, or inside of which, new names of `table` go; None without such a table."""
    if is_inline:
        paths = (table[:depth] for depth in range(len(table), 0, -1))
        return next(statement for path in paths for statement in found if path in statement.names)
    holders = [
        statement
        for statement in found
        if statement.table == table or any(path[:-1] == table for path in statement.names)
    ]
    return holders[-1] if holders else None


def _with_names(written: str, change: Change, names: Sequence[str], *, within: tuple[str, ...]) -> str:
    """Set or remove names in a single statement, which stands in the table `within`; its comment stays."""
    import tomlkit

    document = tomlkit.parse(written)
    table: Any = document
    for name in change.table[len(within) :]:
        table = table.setdefault(name, {})
    for name in names:
        if name in change.sets:
            table[name] = _item(change.sets[name])
        else:
            del table[name]
    return tomlkit.dumps(document)


def _new_lines(change: Change, names: Sequence[str], *, within: tuple[str, ...]) -> list[str]:
    """Return an assignment for each of `names`, as it reads inside the table `within`."""
    prefix = change.table[len(within) :]
    return [f"{_dotted(*prefix, name)} = {_item(change.sets[name]).as_string()}\n" for name in names]


def _insert_table(lines: list[str], change: Change, names: Sequence[str]) -> None:
    """Write the first names of a table: the top level before all tables, a profile at the end."""
    place = len(lines) if change.table else _end_of_preamble(lines)
    header = [f"[{_dotted(*change.table)}]\n"] if change.table else []
    new = [*header, *_new_lines(change, names, within=change.table)]
    if place and lines[place - 1].strip():
        new.insert(0, "\n")
    if place < len(lines):
        new.append("\n")
    lines[place:place] = new


def _end_of_preamble(lines: Sequence[str]) -> int:
    """Return the number of lines of a comment at the top that is about the whole file, with the empty line after it."""
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            return number + 1 if number and not line.strip() else 0
    return len(lines)


def _dotted(*names: str) -> str:
    import tomlkit

    return ".".join(tomlkit.key(name).as_string() for name in names)


def _item(value: Value) -> "Item":
    """Return a value as tomlkit writes it; a number keeps exactly the digits it was given."""
    import tomlkit

    item: Item = tomlkit.parse(f"number = {value}\n")["number"] if isinstance(value, Number) else tomlkit.item(value)
    return item


def _finished(text: str, *, like: str) -> str:
    """End every line in the manner of the text that was changed."""
    if "\n" in like and like.count("\r\n") == like.count("\n"):
        return re.sub(r"(?<!\r)\n", "\r\n", text)
    return text


def _with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _unsafe(path: Path) -> ConfigError:
    return ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")
