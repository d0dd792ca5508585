"""Putting new content in the place of a file, so that no accident leaves neither the old nor the new."""

import errno
import os
from collections.abc import Callable

from apimart_cli.errors import ConfigError
from apimart_cli.files import Place

Warn = Callable[[str, str], None]
"""Shows a warning: what is the matter, and a hint."""

_PRIVATE = 0o600
"""Permissions of what is made here: for its owner alone."""


def replace_file(place: Place, content: bytes, warn: Warn) -> None:
    """Put `content` in the place of the file, or make that file, private to its owner.

    It is done in one step: a reader, or a machine that loses power, finds the old file or the new one. Where the system
    allows no such step (a file that is mounted by itself, as containers do), the file is overwritten after `warn` was
    called, and a copy of the old content lies beside it until that is done.

    The caller holds the lock on the file. Raises OSError, and ConfigError when the old content could not be put back.
    """
    new = f".{place.path.name}.new"
    try:
        _write_new(place, new, content)
    except OSError as error:
        # Linux: a mount point cannot be replaced.
        if error.errno != errno.EBUSY:
            raise
        warn(f"{place.path} is mounted by itself, and is overwritten in place", "do not interrupt it")
        _overwrite(place, content)
    place.sync()


def _write_new(place: Place, new: str, content: bytes) -> None:
    # The caller holds the lock, so what lies there was left by a process that died; it may hold a key.
    place.remove(new)
    with place.replaced(new, mode=_PRIVATE) as file:
        file.write(content)


def _overwrite(place: Place, content: bytes) -> None:
    """Write over the file; when that fails, put its old content back."""
    kept = f".{place.path.name}.old"
    with os.fdopen(place.open_safe(os.O_RDWR), "r+b") as file:
        old = file.read()
        _keep(place, kept, old)
        try:
            _write_over(file.fileno(), content)
        except OSError:
            try:
                _write_over(file.fileno(), old)
            except OSError as error:
                raise ConfigError(
                    f"{place.path} is broken: {error.strerror}",
                    f"restore it from {place.path.with_name(kept)}, which has its old content",
                ) from None
            place.remove(kept)
            raise
    place.remove(kept)


def _keep(place: Place, kept: str, old: bytes) -> None:
    place.remove(kept)
    descriptor = place.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE, name=kept)
    with os.fdopen(descriptor, "wb") as file:
        file.write(old)
        file.flush()
        os.fsync(descriptor)


def _write_over(descriptor: int, content: bytes) -> None:
    if os.name == "posix":
        os.fchmod(descriptor, _PRIVATE)
    # A full disk is found here, before anything is changed.
    if len(content) > os.fstat(descriptor).st_size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, len(content))
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(descriptor)
