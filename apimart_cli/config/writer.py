"""Changing the config file: one writer at a time, and the old file stays until the new one is whole on the disk.

The only importer of filelock; loaded by the commands that write.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from apimart_cli.config.file import check_document, parse_toml
from apimart_cli.config.private_file import PrivateFile, read_private_file
from apimart_cli.config.rewriting import Change, Value, rewritten
from apimart_cli.errors import ConfigError
from apimart_cli.reports import Problem

LOCK_SECONDS = 10
"""How long to wait for another apimart that writes the same file."""


def set_values(
    path: Path, profile: str | None, values: Mapping[str, Value], *, instead_of: Collection[str] = ()
) -> None:
    """Set names of `profile`, or of the top level, in the file at `path`; file, folder and profile are made as needed.

    Names in `instead_of` are removed in the same step.

    Raises ConfigError, leaving the file as it was, when it cannot be read or written, or would be wrong afterwards.
    """
    _edit(path, Change(_table(profile), sets=values, removes=instead_of))


def unset_names(path: Path, profile: str | None, names: Collection[str]) -> bool:
    """Remove names of `profile`, or of the top level; return whether there was any of them. Raises as `set_values`."""
    return _edit(path, Change(_table(profile), removes=names))


def _table(profile: str | None) -> tuple[str, ...]:
    return () if profile is None else ("profiles", profile)


def _edit(path: Path, change: Change) -> bool:
    """Read, change, check and replace the file, one process at a time; return whether it says something else now."""
    # A link stays a link: people keep the real file among their dotfiles.
    path = Path(os.path.realpath(path))
    try:
        _make_folder(path.parent)
        with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
            before = _read(path)
            after = rewritten(before.text, change, path)
            _refuse_new_problems(path, before.text, after)
            if after != before.text:
                _replace(path, _encoded(after, before.encoding))
            return after != before.text
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "check the folder and its permissions") from None


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, as far as they are missing, for their owner alone."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _read(path: Path) -> PrivateFile:
    """Read the file; one that does not exist is an empty one."""
    if not os.path.lexists(path):
        return PrivateFile(path, "")
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


def _refuse_new_problems(path: Path, before: str, after: str) -> None:
    known = {problem.message for problem in _problems(path, before)}
    for problem in _problems(path, after):
        if problem.message not in known:
            raise ConfigError(f"{path} was left as it was: {problem.message}", problem.hint)


def _problems(path: Path, text: str) -> list[Problem]:
    _, problems = check_document(PrivateFile(path, text), parse_toml(text, path))
    return problems


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
