"""Putting new content in the place of a file, so that no accident leaves neither the old nor the new."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from apimart_cli.errors import ConfigError

Warn = Callable[[str, str], None]
"""Shows a warning: what is the matter, and a hint."""


def replace_file(path: Path, content: bytes, warn: Warn) -> None:
    """Put `content` in the place of the file at `path`, or make that file, private to its owner.

    It is done in one step: a reader, or a machine that loses power, finds the old file or the new one. Where the system
    allows no such step (a file that is mounted by itself, as containers do), the file is overwritten after `warn` was
    called, and a copy of the old content lies beside it until that is done.

    The caller holds the lock on the file. Raises OSError, and ConfigError when the old content could not be put back.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        _write_new(new, content, owner_of=path)
        os.replace(new, path)
    except OSError as error:
        _remove(new)
        # Linux: a mount point cannot be replaced.
        if error.errno != errno.EBUSY:
            raise
        warn(f"{path} is mounted by itself, and is overwritten in place", "do not interrupt it")
        _overwrite(path, content)
    except BaseException:
        _remove(new)
        raise
    _sync_folder(path.parent)


def _write_new(new: Path, content: bytes, *, owner_of: Path) -> None:
    # The caller holds the lock, so what lies there was left by a process that died; it may hold a key.
    _remove(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        keep_owner(file.fileno(), like=owner_of)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def keep_owner(file: int | Path, *, like: Path) -> None:
    """Give `file` the owner and group of `like`: root that edits a user's file does not take it away.

    Raises OSError when the owner cannot be kept.
    """
    if os.name != "posix" or not os.path.exists(like):
        return
    wanted, found = os.stat(like), os.stat(file)
    if found.st_uid != wanted.st_uid:
        os.chown(file, wanted.st_uid, -1)
    if found.st_gid != wanted.st_gid:
        # Only members may give a file to their group. It means nothing to a file that is its owner's alone.
        with suppress(PermissionError):
            os.chown(file, -1, wanted.st_gid)


def _overwrite(path: Path, content: bytes) -> None:
    """Write over the file; when that fails, put its old content back."""
    copy = path.with_name(f".{path.name}.old")
    old = path.read_bytes()
    try:
        _write_new(copy, old, owner_of=path)
        _write_over(path, content)
    except OSError:
        try:
            _write_over(path, old)
        except OSError as error:
            raise ConfigError(
                f"{path} is broken: {error.strerror}", f"restore it from {copy}, which has its old content"
            ) from None
        _remove(copy)
        raise
    _remove(copy)


def _write_over(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file:
        if os.name == "posix":
            os.fchmod(file.fileno(), 0o600)
        # A full disk is found here, before anything is changed.
        if len(content) > os.fstat(file.fileno()).st_size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, len(content))
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name last; where folders cannot be synchronised (Windows), the system does it in its own time."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
