"""Changing the config file: comments and order are kept, the old file stays until the new one is whole on the disk.

The only importer of tomlkit and filelock; loaded by the commands that write.
"""

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit
from filelock import FileLock, Timeout
from tomlkit import TOMLDocument
from tomlkit.items import InlineTable, Table

from apimart_cli.configfile import Problem, check_document, parse_toml
from apimart_cli.errors import ConfigError
from apimart_cli.files import PrivateFile, read_private_file
from apimart_cli.settings import Number

LOCK_SECONDS = 10
"""How long to wait for another apimart that writes the same file."""

Value = str | list[str] | Number | bool


def set_values(
    path: Path, profile: str | None, values: Mapping[str, Value], *, instead_of: Collection[str] = ()
) -> None:
    """Set names of `profile`, or of the top level, in the file at `path`; file, folder and profile are made as needed.

    Names in `instead_of` are removed in the same step.

    Raises ConfigError, leaving the file as it was, when it cannot be read or written, or would be wrong afterwards.
    """

    def change(document: TOMLDocument) -> None:
        table: Any = document if profile is None else _profile_table(document, profile)
        for name in instead_of:
            table.pop(name, None)
        for name, value in values.items():
            table[name] = _item(value)

    _edit(path, change)


def unset_names(path: Path, profile: str | None, names: tuple[str, ...]) -> bool:
    """Remove names of `profile`, or of the top level; return whether there was any of them. Raises as `set_values`."""
    removed = []

    def change(document: TOMLDocument) -> None:
        table: Any = document if profile is None else document.get("profiles", {}).get(profile, {})
        for name in names:
            if name in table:
                del table[name]
                removed.append(name)

    _edit(path, change)
    return bool(removed)


def _item(value: Value) -> Any:
    """Return what tomlkit writes: a number keeps exactly the digits it was given."""
    return tomlkit.parse(f"number = {value}")["number"] if isinstance(value, Number) else value


def _profile_table(document: TOMLDocument, profile: str) -> Any:
    if "profiles" not in document:
        document["profiles"] = tomlkit.table(is_super_table=True)
    profiles: Any = document["profiles"]
    if profile not in profiles:
        profiles[profile] = tomlkit.inline_table() if isinstance(profiles, InlineTable) else _spaced_table(document)
    return profiles[profile]


def _spaced_table(document: TOMLDocument) -> Table:
    """Return a new table, an empty line before it where the file does not end with one."""
    table = tomlkit.table()
    written = tomlkit.dumps(document)
    if written and not written.endswith("\n\n"):
        table.trivia.indent = "\n"
    return table


def _edit(path: Path, change: Callable[[TOMLDocument], None]) -> None:
    """Read, change, check and replace the file, one process at a time."""
    # A link stays a link: people keep the real file among their dotfiles.
    path = Path(os.path.realpath(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
            before = read_private_file(path).text if path.exists() else ""
            parse_toml(before, path)
            document = tomlkit.parse(before)
            change(document)
            after = tomlkit.dumps(document)
            _refuse_new_problems(path, before, after)
            if after != before:
                _replace(path, after)
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder and its permissions") from None


def _refuse_new_problems(path: Path, before: str, after: str) -> None:
    known = {problem.message for problem in _problems(path, before)}
    for problem in _problems(path, after):
        if problem.message not in known:
            raise ConfigError(f"{path} was left as it was: {problem.message}", problem.hint)


def _problems(path: Path, text: str) -> list[Problem]:
    _, problems = check_document(PrivateFile(path, text, is_exposed=False), parse_toml(text, path))
    return problems


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
