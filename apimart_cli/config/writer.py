"""Changing the config file: one writer at a time, and the old file stays until the new one is whole on the disk.

Loads filelock: only the commands that write import it.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from apimart_cli.config.file import check_document, parse_toml
from apimart_cli.config.names import DEFAULT_PROFILE
from apimart_cli.config.private_file import PrivateFile, read_private_file
from apimart_cli.config.renaming import renamed
from apimart_cli.config.replacing import Warn, keep_owner, replace_file
from apimart_cli.config.rewriting import Change, Value, rewritten
from apimart_cli.errors import ConfigError
from apimart_cli.reports import Problem

_FOLDER_HINT = "check the folder and its permissions"

Rewrite = Callable[[str], str]
"""Returns the new text of the file for the old one. Called while the file is locked."""

LOCK_SECONDS = 10
"""How long to wait for another apimart that writes the same file."""


def _say_nothing(_message: str, _hint: str) -> None:
    """Take the warning of a caller who shows none."""


def require_writable(path: Path) -> None:
    """Raise ConfigError when the file at `path` can certainly not be written, before anybody types a key in vain."""
    try:
        folder = Path(os.path.realpath(path)).parent
    except OSError as error:  # the path is relative, and the working folder gone
        raise _unwritable(path, error) from None
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {path}: nothing can be written in {folder}", _FOLDER_HINT)


def set_values(
    path: Path,
    profile: str | None,
    values: Mapping[str, Value],
    *,
    warn: Warn = _say_nothing,
    instead_of: Collection[str] = (),
) -> None:
    """Set names of `profile`, or of the top level, in the file at `path`; file, folder and profile are made as needed.

    Names in `instead_of` are removed in the same step. `warn` is called, before anything is changed, when the file
    cannot be replaced in one step.

    Raises ConfigError, leaving the file as it was, when it cannot be read or written, or would be wrong afterwards.
    """
    change = Change(_table(profile), sets=values, removes=instead_of)
    _edit(path, lambda text: rewritten(text, change, path), warn)


def store_key(
    path: Path, profile: str, values: Mapping[str, Value], *, instead_of: Collection[str], warn: Warn = _say_nothing
) -> bool:
    """Set the names of a profile that give its key, and return whether that made it the default profile.

    The first profile of a file becomes the default one, in the same step. Raises as `set_values`.
    """
    is_first = False

    def rewrite(text: str) -> str:
        nonlocal is_first
        text = rewritten(text, Change(_table(profile), sets=values, removes=instead_of), path)
        document = parse_toml(text, path)
        # `default` is what is used anyway where nothing else is.
        is_first = "default_profile" not in document and len(document["profiles"]) == 1 and profile != DEFAULT_PROFILE
        return rewritten(text, Change((), sets={"default_profile": profile}), path) if is_first else text

    _edit(path, rewrite, warn)
    return is_first


def unset_names(path: Path, profile: str | None, names: Collection[str], *, warn: Warn = _say_nothing) -> bool:
    """Remove names of `profile`, or of the top level; return whether there was any of them. Raises as `set_values`."""
    change = Change(_table(profile), removes=names)
    return _edit(path, lambda text: rewritten(text, change, path), warn)


def rename_profile(path: Path, old: str, new: str, *, warn: Warn = _say_nothing) -> None:
    """Call profile `old` of the file `new`, in `default_profile` as well. Raises as `set_values`.

    Raises UsageError when there is no such profile, or one with the new name.
    """
    _edit(path, lambda text: renamed(text, old, new, path), warn)


def _table(profile: str | None) -> tuple[str, ...]:
    return () if profile is None else ("profiles", profile)


def _edit(path: Path, rewrite: Rewrite, warn: Warn) -> bool:
    """Read, change, check and replace the file, one process at a time; return whether it says something else now."""
    try:
        # A link stays a link: people keep the real file among their dotfiles.
        path = Path(os.path.realpath(path))
        with _private_umask():
            _make_folder(path.parent)
            # The empty lock file stays: filelock keeps it on purpose, for two who wait for a file that was removed and
            # made anew would hold two locks (said in its source, `UnixFileLock`, 4.2.12). It promises no safe removal.
            with FileLock(f"{path}.lock", timeout=LOCK_SECONDS, mode=0o600):
                if os.name == "posix" and os.geteuid() == 0:
                    # Else root would lock the owner out.
                    keep_owner(Path(f"{path}.lock"), like=path if path.exists() else path.parent)
                return _edit_locked(path, rewrite, warn)
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}", _FOLDER_HINT)


def _edit_locked(path: Path, rewrite: Rewrite, warn: Warn) -> bool:
    before = _read(path)
    after = rewrite(before.text)
    _refuse_new_problems(path, before.text, after)
    if after == before.text:
        return False
    replace_file(path, _encoded(after, before.encoding), warn)
    return True


@contextmanager
def _private_umask() -> Iterator[None]:
    """Make what is created inside the block private to its owner, and usable by them, whatever umask we were given."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


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
