"""Changing the config file: one writer at a time, and the old file stays until the new one is whole on the disk.

Only in folders, and over a file, of our own: what root writes where another user decides can be led anywhere, and a
file that root replaces is root's.

Loads filelock: only the commands that write import it.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from apimart_cli.config.file import check_document, parse_toml
from apimart_cli.config.names import DEFAULT_PROFILE
from apimart_cli.config.private_file import PrivateFile, read_at
from apimart_cli.config.renaming import renamed
from apimart_cli.config.replacing import Warn, replace_file
from apimart_cli.config.rewriting import Change, rewritten
from apimart_cli.errors import ConfigError
from apimart_cli.files import Place, found
from apimart_cli.owners import UnsafeError, own_files
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
    with _told(path):
        # A folder that is missing is made.
        with suppress(FileNotFoundError), _own_place(path):
            pass
        folder = Path(os.path.realpath(path)).parent
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
    # A link stays a link: people keep the real file among their dotfiles.
    with _told(path), _private_umask(), _own_place(path, make=True) as place, _locked(place):
        return _edit_locked(place, rewrite, warn)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise what is wrong with the file or the way to it as ConfigError."""
    try:
        yield
    except UnsafeError as error:
        raise ConfigError(f"cannot write {path}: {error.reason(path)}", error.hint(is_read=False)) from None
    except Timeout:
        raise ConfigError(f"{path} is being changed by another apimart", "try again in a moment") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", _FOLDER_HINT) from None


@contextmanager
def _own_place(path: Path, *, make: bool = False) -> Iterator[Place]:
    """Give the place of a file of ours, or of none. Raises UnsafeError where another user, root included, owns it."""
    with found(path, own_files(), make=make) as place:
        status = place.now()
        # The null device may be read as an empty file, but not be replaced by a real one.
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{place.path} is not a regular file", "name another one in APIMART_CONFIG")
        if status is not None and os.name == "posix" and status.st_uid != os.geteuid():
            raise UnsafeError(str(place.path), "file", status, owner=status.st_uid)
        yield place


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Hold the lock of the file, which is made here, so that it is ours."""
    lock = f"{place.path.name}.lock"
    # It stays, empty: filelock keeps it on purpose, for two who wait for a file that was removed and made anew would
    # hold two locks (said in its source, `UnixFileLock`, 4.2.12). It promises no safe removal.
    os.close(place.open_safe(os.O_RDWR | os.O_CREAT, name=lock))
    # By its path, which no other user can change now: the file and every folder on the way to it are ours or root's.
    with FileLock(place.path.with_name(lock), timeout=LOCK_SECONDS, mode=0o600):
        yield


def _edit_locked(place: Place, rewrite: Rewrite, warn: Warn) -> bool:
    path = place.path
    before = _read(place)
    after = rewrite(before.text)
    _refuse_new_problems(path, before.text, after)
    if after == before.text:
        return False
    replace_file(place, _encoded(after, before.encoding), warn)
    return True


@contextmanager
def _private_umask() -> Iterator[None]:
    """Make what is created inside the block private to its owner, and usable by them, whatever umask we were given."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _read(place: Place) -> PrivateFile:
    """Read the file; one that does not exist is an empty one."""
    return PrivateFile(place.path, "") if place.now() is None else read_at(place, place.path)


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
