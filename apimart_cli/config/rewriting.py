"""Changing the text of a config file: only what was asked for changes; comments, order and every other byte stay.

Statements and their lines are found here, as TOML readers keep no positions. The only importer of tomlkit. Pure: text
in, text out.
"""

import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.config.file import parse_toml
from apimart_cli.config.names import suggestion, toml_name
from apimart_cli.config.values import Number
from apimart_cli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from tomlkit.items import Item


Value = str | list[str] | Number | bool


MAX_STATEMENT_LINES = 200
"""Most lines of one statement. After a longer one, no places in the file are found."""


_PART = r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'"""
"""One part of a dotted name in TOML."""


class TableChange(NamedTuple):
    """A change of one table of the file."""

    table: tuple[str, ...]
    sets: Mapping[str, Value] = {}
    removes: Collection[str] = ()


class Statement(NamedTuple):
    """One statement of the file, the header of a table or an assignment, and its lines."""

    first: int
    last: int
    table: tuple[str, ...]
    """The table that it begins, or in which it stands."""
    names: tuple[tuple[str, ...], ...]
    """The paths, from the top, of everything that it sets; none for a header."""


def rewritten(text: str, change: TableChange, path: Path) -> str:
    """Return `text` with one table changed, and nothing else.

    The new text is read again and compared with the old document plus the change. Raises ConfigError if no way of
    writing it passes that comparison.
    """
    before = parse_toml(text, path)
    wanted = exactly(_plainly_changed(before, change, path))
    if wanted == exactly(before):
        return text
    # Imported here, as an import that fails must not count as a way of writing that failed.
    import tomlkit  # noqa: F401

    for is_inline in (False, True):
        # tomlkit raises errors of any type for values with a rare layout.
        with suppress(Exception):
            after = _with_changed_lines(text, change, is_inline=is_inline)
            if exactly(parse_toml(after, path)) == wanted:
                return after
    raise _unsafe(path)


def renamed(text: str, old: str, new: str, path: Path) -> str:
    """Return `text` with profile `old` called `new`, in its tables and in `default_profile`.

    The new text is read again and compared with the old document plus the change. Raises UsageError if there is no
    profile `old`, or one with the new name, and ConfigError if the comparison fails.
    """
    before = parse_toml(text, path)
    check_names(before, old, new, path)
    profiles = {new if name == old else name: table for name, table in before["profiles"].items()}
    wanted = {**before, "profiles": profiles}
    after = _with_new_name(text, old, new)
    if exactly(parse_toml(after, path)) != exactly(wanted):
        raise ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")
    if before.get("default_profile") == old:
        after = rewritten(after, TableChange((), sets={"default_profile": new}), path)
    return after


def check_names(document: Mapping[str, Any], old: str, new: str, path: Path) -> None:
    """Raise UsageError unless there is a profile `old` in the document, and none that is called `new`."""
    profiles = document.get("profiles")
    names = list(profiles) if isinstance(profiles, dict) else []
    if old not in names:
        known = suggestion(old, names, f"choose one of: {', '.join(names)}")
        raise UsageError(f"there is no profile {old!r} in {path}", known if names else None)
    if new in names:
        raise UsageError(f"there is a profile {new!r} already in {path}", "choose another name")


def line_of(text: str, table: tuple[str, ...], name: str) -> int | None:
    """Return the line on which `name` of `table` begins, or the line of the table if the name has none."""
    lines = _lines(text)
    return lines.get((*table, name), lines.get(table))


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a valid TOML document in order, as far as their lines can be found."""
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
    """Return the lines of TOML, with their ends. `str.splitlines` knows more kinds of line ends than TOML."""
    return list(io.StringIO(text))


def exactly(value: Any) -> Any:
    """Return a value that is equal only for equal documents: 5 differs from 5.0 and true. Empty tables do not count."""
    if isinstance(value, Mapping):
        tables = {name: exactly(item) for name, item in value.items()}
        return {name: item for name, item in tables.items() if item != {}}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value).__name__, str(value)


def _plainly_changed(document: Mapping[str, Any], change: TableChange, path: Path) -> Mapping[str, Any]:
    """Return the document as it must be after the change."""
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


def _with_changed_lines(text: str, change: TableChange, *, is_inline: bool) -> str:
    """Return `text` with only those lines changed that must change.

    Each statement is handled on its own. Here `min` and `unit` are set in the table profiles.work:

        [profiles.work]              stays
        min = 3  # as of May         sets `min`: written anew, and the comment stays
        api_key = "sk-..."           the last statement of the table, its holder: a line for `unit` follows it

    With `is_inline` the holder is the statement that has the table between its braces, and `unit` goes in there:

        work = { min = 3, api_key = "sk-..." }
    """
    lines = split_lines(_with_newline(text))
    found = list(statements(text))
    known = {path for statement in found for path in statement.names}
    new = [name for name in change.sets if (*change.table, name) not in known]
    holder = _holder(found, change.table, is_inline=is_inline)
    # From the end, so that the line numbers of the statements before stay right.
    for statement in reversed(found):
        place = slice(statement.first - 1, statement.last)
        added = new if statement is holder else []
        lines[place] = [_changed_statement("".join(lines[place]), statement, change, added, is_inline=is_inline)]
    if new and holder is None:
        _insert_table(lines, change, new)
    return _finished("".join(lines), like=text)


def _changed_statement(
    written: str, statement: Statement, change: TableChange, added: Sequence[str], *, is_inline: bool
) -> str:
    """Return the text of one statement after the change, with the names that are `added` in it or after it."""
    names = [name for name in (*change.sets, *change.removes) if (*change.table, name) in statement.names]
    if is_inline:
        names += added
    if names:
        written = _with_names(written, change, names, within=statement.table)
    if not is_inline:
        indent = written[: len(written) - len(written.lstrip())]
        written += "".join(indent + line for line in _new_lines(change, added, within=statement.table))
    return written


def _holder(found: Sequence[Statement], table: tuple[str, ...], *, is_inline: bool) -> Statement | None:
    """Return the statement that new names of `table` follow, or into which they go; None if there is no such table."""
    if is_inline:
        paths = (table[:depth] for depth in range(len(table), 0, -1))
        return next(statement for path in paths for statement in found if path in statement.names)
    holders = [
        statement
        for statement in found
        if statement.table == table or any(path[:-1] == table for path in statement.names)
    ]
    return holders[-1] if holders else None


def _with_names(written: str, change: TableChange, names: Sequence[str], *, within: tuple[str, ...]) -> str:
    """Return one statement, which stands in the table `within`, with names set or removed; its comment stays."""
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


def _new_lines(change: TableChange, names: Sequence[str], *, within: tuple[str, ...]) -> list[str]:
    """Return an assignment for each of `names`, as it is written in the table `within`."""
    prefix = change.table[len(within) :]
    return [f"{_dotted(*prefix, name)} = {_item(change.sets[name]).as_string()}\n" for name in names]


def _insert_table(lines: list[str], change: TableChange, names: Sequence[str]) -> None:
    """Insert the first names of a table: those of the top level before all tables, those of a profile at the end."""
    place = len(lines) if change.table else _end_of_preamble(lines)
    header = [f"[{_dotted(*change.table)}]\n"] if change.table else []
    new = [*header, *_new_lines(change, names, within=change.table)]
    if place and lines[place - 1].strip():
        new.insert(0, "\n")
    if place < len(lines):
        new.append("\n")
    lines[place:place] = new


def _end_of_preamble(lines: Sequence[str]) -> int:
    """Return the number of lines of a comment about the whole file at its top, with the empty line after it."""
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            return number + 1 if number and not line.strip() else 0
    return len(lines)


def _dotted(*names: str) -> str:
    import tomlkit

    return ".".join(tomlkit.key(name).as_string() for name in names)


def _item(value: Value) -> "Item":
    """Return a value as tomlkit writes it; a number keeps exactly its digits."""
    import tomlkit

    item: Item = tomlkit.parse(f"number = {value}\n")["number"] if isinstance(value, Number) else tomlkit.item(value)
    return item


def _finished(text: str, *, like: str) -> str:
    """Return `text` with the kind of line ends that `like` has."""
    if "\n" in like and like.count("\r\n") == like.count("\n"):
        return re.sub(r"(?<!\r)\n", "\r\n", text)
    return text


def _with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _unsafe(path: Path) -> ConfigError:
    return ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")


def _with_new_name(text: str, old: str, new: str) -> str:
    lines = split_lines(text)
    for statement in statements(text):
        if any(path[:2] == ("profiles", old) for path in (statement.table, *statement.names)):
            first = statement.first - 1
            lines[first] = _line_with_new_name(lines[first], statement, old, new)
    return "".join(lines)


def _line_with_new_name(line: str, statement: Statement, old: str, new: str) -> str:
    """Return a header, or the first line of an assignment, with `new` as the second part of its path."""
    depth = len(statement.table) if statement.names else 0
    if depth > 1:  # it stands in a table whose header has the name
        return line
    names = re.match(rf"\s*\[?\s*(?:{_PART})(?:\s*\.\s*(?:{_PART}))*", line)
    parts = list(re.finditer(_PART, names.group())) if names else []
    if len(parts) <= 1 - depth or _without_quotes(parts[1 - depth].group()) != old:
        return line
    part = parts[1 - depth]
    return line[: part.start()] + toml_name(new) + line[part.end() :]


def _without_quotes(part: str) -> str:
    return next(iter(parse_toml(f"{part} = 0", Path())))


@lru_cache(maxsize=1)
def _lines(text: str) -> Mapping[tuple[str, ...], int]:
    """Return for each path the line on which it begins."""
    lines: dict[tuple[str, ...], int] = {}
    for statement in statements(text):
        tables = (statement.table[:depth] for depth in range(1, len(statement.table) + 1))
        for path in (*tables, *statement.names):
            lines.setdefault(path, statement.first)
    return lines


def _read_statement(lines: Iterable[str]) -> Mapping[str, Any] | None:
    """Return a statement that is read on its own; None if it is not complete."""
    import tomllib

    try:
        return tomllib.loads("".join(lines))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return None


def _paths(content: Any) -> Iterator[tuple[str, ...]]:
    """Yield the path of each name in `content`."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield (name,)
            yield from ((name, *path) for path in _paths(value))
