"""Where each name stands in the text of a config file: TOML readers keep no positions. Pure: no I/O."""

import io
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

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
