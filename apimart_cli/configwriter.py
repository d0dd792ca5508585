"""Changing the config file: comments and order are kept, the old file stays until the new one is whole on the disk.

The only importer of tomlkit and filelock; loaded by the commands that write.
"""

import os
from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Float, InlineTable, Item

from apimart_cli.configfile import Problem, check_document, header_path, parse_toml
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
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
            before = read_private_file(path).text if path.exists() else ""
            after = _changed(before, profile, change, path)
            _refuse_new_problems(path, before, after)
            if after != before:
                _replace(path, after)
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder and its permissions") from None


# --- the new text -----------------------------------------------------------------------------------------------


def _changed(text: str, profile: str | None, change: Change, path: Path) -> str:
    """Return `text` with one table changed, and nothing else: held against a plain reading of old and new."""
    expected = dict(parse_toml(text, path))
    change(_table_in(expected, profile, dict))
    wanted = _without_empty(_plain(expected))
    if wanted == _without_empty(parse_toml(text, path)):
        return text
    after = _change_section(text, profile, change) or _change_document(text, profile, change)
    after = after if after.endswith("\n") else after + "\n"
    if _without_empty(parse_toml(after, path)) != wanted:
        raise ConfigError(f"{path} is written in a way that cannot be changed safely", "change it in an editor")
    return after


def _change_section(text: str, profile: str | None, change: Change) -> str | None:
    """Change the lines of one table only, so that a comment above the next table stays where it belongs.

    None where the table does not stand in lines of its own: dotted names, inline tables, a new profile.
    """
    section = _section(text, () if profile is None else ("profiles", profile))
    if section is None:
        return None
    before, lines, behind = section
    try:
        document = tomlkit.parse(lines)
        change(_table_in(document, profile, tomlkit.table))
    except (TOMLKitError, TypeError, AttributeError):
        return None
    return before + tomlkit.dumps(document) + behind


def _section(text: str, table: tuple[str, ...]) -> tuple[str, str, str] | None:
    """Split `text` before a table and behind its last value; the top level is the table without a header."""
    lines = text.splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")]
    starts = [0] if not table else [number for number in headers if header_path(lines[number].strip()) == table]
    if len(starts) != 1:
        return None
    end = min((number for number in headers if number > starts[0] or not table), default=len(lines))
    while end > starts[0] and lines[end - 1].lstrip()[:1] in {"", "#"}:
        end -= 1
    before, section, behind = lines[: starts[0]], "".join(lines[starts[0] : end]), "".join(lines[end:])
    if section and not section.endswith("\n"):
        section += "\n"
    return "".join(before), section, behind


def _change_document(text: str, profile: str | None, change: Change) -> str:
    document = tomlkit.parse(text)
    known = profile in document.get("profiles", {})
    change(_table_in(document, profile, tomlkit.table))
    after = tomlkit.dumps(document)
    # A new profile stands apart from what is before it.
    start = after.rfind("\n[") + 1
    return f"{after[:start]}\n{after[start:]}" if start > 1 and not known and after[start - 2] != "\n" else after


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


def _plain(value: Any) -> Any:
    """Return `value` as the plain reader would read it."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Float):
        return Decimal(value.as_string())
    return value.unwrap() if isinstance(value, Item) else value


def _without_empty(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out tables with nothing in them: an empty one says the same as none."""
    tables = {name: _without_empty(value) if isinstance(value, Mapping) else value for name, value in document.items()}
    return {name: value for name, value in tables.items() if value != {}}


def _refuse_new_problems(path: Path, before: str, after: str) -> None:
    known = {problem.message for problem in _problems(path, before)}
    for problem in _problems(path, after):
        if problem.message not in known:
            raise ConfigError(f"{path} was left as it was: {problem.message}", problem.hint)


def _problems(path: Path, text: str) -> list[Problem]:
    _, problems = check_document(PrivateFile(path, text, is_exposed=False), parse_toml(text, path))
    return problems


# --- the new file -----------------------------------------------------------------------------------------------


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file in one step: whoever reads, or loses power, finds the old file or the new."""
    new = path.with_name(f".{path.name}.new")
    # We hold the lock, so what lies there was left by a process that died; it may hold a key.
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
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
