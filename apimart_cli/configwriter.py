"""Changing the config file: comments and order are kept, the old file stays until the new one is whole on the disk.

The only importer of tomlkit and filelock; loaded by the commands that write.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout
from tomlkit.items import Float, InlineTable, Item

from apimart_cli.configfile import Problem, check_document, parse_toml, split_lines, statements
from apimart_cli.errors import ConfigError
from apimart_cli.files import PrivateFile, read_private_file
from apimart_cli.settings import Number

LOCK_SECONDS = 10
"""How long to wait for another apimart that writes the same file."""

Value = str | list[str] | Number | bool
Change = Callable[[MutableMapping[str, Any]], None]
"""What is done to one table, be it tomlkit's or a plain dict."""


def set_values(
    path: Path, profile: str | None, values: Mapping[str, Value], *, instead_of: Collection[str] = ()
) -> None:
    """Set names of `profile`, or of the top level, in the file at `path`; file, folder and profile are made as needed.

    Names in `instead_of` are removed in the same step.

    Raises ConfigError, leaving the file as it was, when it cannot be read or written, or would be wrong afterwards.
    """

    def change(table: MutableMapping[str, Any]) -> None:
        for name in instead_of:
            table.pop(name, None)
        table.update({name: _item(value) for name, value in values.items()})

    _edit(path, profile, change)


def unset_names(path: Path, profile: str | None, names: Collection[str]) -> bool:
    """Remove names of `profile`, or of the top level; return whether there was any of them. Raises as `set_values`."""
    removed: set[str] = set()

    def change(table: MutableMapping[str, Any]) -> None:
        removed.update(name for name in names if table.pop(name, None) is not None)

    _edit(path, profile, change)
    return bool(removed)


def _item(value: Value) -> Any:
    """Return what tomlkit writes: a number keeps exactly the digits it was given."""
    return tomlkit.parse(f"number = {value}\n")["number"] if isinstance(value, Number) else value


def _edit(path: Path, profile: str | None, change: Change) -> None:
    """Read, change, check and replace the file, one process at a time."""
    # A link stays a link: people keep the real file among their dotfiles.
    path = Path(os.path.realpath(path))
    try:
        _make_folder(path.parent)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
            before = _read(path)
            after = _changed(before.text, profile, change, path)
            _refuse_new_problems(path, before.text, after)
            if after != before.text:
                _replace(path, _encoded(after, before.encoding))
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder and its permissions") from None


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, as far as they are missing, for their owner alone."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _read(path: Path) -> PrivateFile:
    """Read the file; one that does not exist is an empty one."""
    if not os.path.lexists(path):
        return PrivateFile(path, "", is_exposed=False)
    # The null device may be read as an empty file, but not be replaced by a real one.
    if not path.is_file():
        raise ConfigError(f"{path} is not a regular file", "name another one in APIMART_CONFIG")
    return read_private_file(path)


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        # Arguments may hold bytes that are no text in the locale of the terminal.
        raise ConfigError("a name or value is not text, and a config file is", "write it as UTF-8") from None


# --- the new text -----------------------------------------------------------------------------------------------


def _changed(text: str, profile: str | None, change: Change, path: Path) -> str:
    """Return `text` with one table changed, and nothing else: held against a plain reading of old and new."""
    wanted = parse_toml(text, path)
    change(_table_in(wanted, profile, dict))
    if _exactly(wanted) == _exactly(parse_toml(text, path)):
        return text
    for write in (_change_lines, _append_profile, _change_document):
        # tomlkit raises what it likes, and writes what it likes, where a file is laid out in rare ways.
        with suppress(Exception):
            after = _finished(write(text, profile, change), like=text)
            if _exactly(parse_toml(after, path)) == _exactly(wanted):
                return after
    raise ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")


def _change_lines(text: str, profile: str | None, change: Change) -> str:
    """Change the lines of one table only, so that a comment above the next table stays where it belongs."""
    before, lines, behind = _section(text, () if profile is None else ("profiles", profile))
    document = tomlkit.parse(_with_newline(lines))
    change(_table_in(document, profile, tomlkit.table))
    gap = "\n" if not lines and behind.strip() else ""
    return f"{before}{tomlkit.dumps(document)}{gap}{behind}"


def _section(text: str, table: tuple[str, ...]) -> tuple[str, str, str]:
    """Split `text` before a table and behind its last value; the top level is the table without a header.

    Raises LookupError where the table does not stand in lines of its own: dotted names, inline tables, no table yet.
    """
    lines = split_lines(text)
    own = [statement for statement in statements(text) if statement.table == table]
    if own:
        first, last = own[0].first - 1, own[-1].last
    elif not table:
        first = last = _end_of_preamble(lines)
    else:
        raise LookupError(table)
    return "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])


def _end_of_preamble(lines: list[str]) -> int:
    """Return the number of lines of a comment at the top that is about the whole file, with the empty line behind."""
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            return number + 1 if number and not line.strip() else 0
    return len(lines)


def _append_profile(text: str, profile: str | None, change: Change) -> str:
    """Write a new profile behind everything else, set apart by an empty line."""
    document = tomlkit.document()
    change(_table_in(document, profile, tomlkit.table))
    gap = "\n" if text.strip() else ""
    return f"{_with_newline(text)}{gap}{tomlkit.dumps(document)}"


def _change_document(text: str, profile: str | None, change: Change) -> str:
    """Leave the layout to tomlkit: a table that is written inline or in dotted names."""
    document = tomlkit.parse(text)
    change(_table_in(document, profile, tomlkit.table))
    return tomlkit.dumps(document)


def _table_in(document: Any, profile: str | None, new_table: Callable[[], Any]) -> Any:
    """Return the table to change, made where it is missing."""
    if profile is None:
        return document
    if "profiles" not in document:
        document["profiles"] = new_table() if new_table is dict else tomlkit.table(is_super_table=True)
    profiles = document["profiles"]
    if profile not in profiles:
        profiles[profile] = tomlkit.inline_table() if isinstance(profiles, InlineTable) else new_table()
    return profiles[profile]


def _finished(text: str, *, like: str) -> str:
    """End every line, in the manner of the text that was changed."""
    text = _with_newline(text)
    if "\n" in like and like.count("\r\n") == like.count("\n"):
        return re.sub(r"(?<!\r)\n", "\r\n", text)
    return text


def _with_newline(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _exactly(value: Any) -> Any:
    """Return what compares equal for the same document only: 5 is not 5.0, nor true. Empty tables say nothing."""
    if isinstance(value, Mapping):
        tables = {name: _exactly(item) for name, item in value.items()}
        return {name: item for name, item in tables.items() if item != {}}
    if isinstance(value, list):
        return [_exactly(item) for item in value]
    if isinstance(value, Float):
        value = Decimal(value.as_string())
    plain = value.unwrap() if isinstance(value, Item) else value
    return type(plain).__name__, str(plain)


def _refuse_new_problems(path: Path, before: str, after: str) -> None:
    known = {problem.message for problem in _problems(path, before)}
    for problem in _problems(path, after):
        if problem.message not in known:
            raise ConfigError(f"{path} was left as it was: {problem.message}", problem.hint)


def _problems(path: Path, text: str) -> list[Problem]:
    _, problems = check_document(PrivateFile(path, text, is_exposed=False), parse_toml(text, path))
    return problems


# --- the new file -----------------------------------------------------------------------------------------------


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file in one step: whoever reads, or loses power, finds the old or the new."""
    new = path.with_name(f".{path.name}.new")
    # We hold the lock, so what lies there was left by a process that died; it may hold a key.
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last; where folders cannot be synchronised (Windows), the system does it in its own time."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
