"""Small files that are read whole, and replaced whole: the config file, a file with a key, a file of metrics.

A file that may hold a key is read only where no other user can change it. After any accident, either the old or the new
content is there.
"""

import codecs
import errno
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ConfigError, OutputError, UsageError
from apimart_cli.files import Place, found, found_for_output
from apimart_cli.owners import UnsafeError, has_owners, permissions_for_others, trusted_owners
from apimart_cli.text import shell_word

MAX_FILE_BYTES = 1024 * 1024
"""Largest config or key file that is read."""


Warn = Callable[[str, str], None]
"""Shows a warning: what is wrong, and a hint."""

_PRIVATE = 0o600
"""Permissions of new files: for their owner alone."""

SUFFIX = ".prom"
"""The end of the names of the files that node_exporter's textfile collector reads."""

MARK = ".apimart-textfile-"
"""The beginning of the names of our temporary files."""

LEFT_AFTER_SECONDS = 60 * 60
"""A process that was killed has left a temporary file that is older."""

_READABLE = 0o644
"""Permissions of the file of metrics, with any umask: the collector is another user."""

_HINTS = {
    errno.EBUSY: "where it is mounted by itself, mount its folder instead: the file is replaced, not overwritten",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
}


class UnsafeFileError(ConfigError):
    """Other users can change the file or replace it, so it is not used."""


class PrivateFile(NamedTuple):
    """The text of a file, and what other users of this machine may do with it."""

    path: Path
    text: str
    permissions: int = 0
    """The permission bits, as `permissions_for_others` returns them; 0 where they protect nothing."""
    encoding: str = "utf-8"
    """Encodes `text` to the bytes that were read: `utf-8-sig` where they began with a byte order mark."""

    def exposure(self, *, group_may_read: bool = False, what: str = "holds a key") -> ConfigError | None:
        """Return the error for a file with a secret that other users can read, with the command that mends it."""
        readers = stat.S_IROTH if group_may_read else stat.S_IRGRP | stat.S_IROTH
        if not self.permissions & readers:
            return None
        return ConfigError(
            f"{self.path} {what} and other users can read it", f"run: chmod 600 {shell_word(str(self.path))}"
        )


def read_private_file(path: Path, environ: Mapping[str, str] = os.environ) -> PrivateFile:
    """Read a regular file of UTF-8 text, a byte order mark allowed.

    Raises UnsafeFileError where another user can change the file, or a folder or link on its path, and ConfigError,
    naming the file, when it is missing, unreadable, no regular file, too large or not text.
    """
    try:
        with found(path, trusted_owners(environ)) as place:
            return read_at(place, path)
    except UnsafeError as error:
        raise UnsafeFileError(f"{path} is not used: {error.reason(path)}", error.hint(is_read=True)) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def read_at(place: Place, path: Path) -> PrivateFile:
    """Read the file at a place as `read_private_file` does; errors call it `path`. Raises UnsafeError, too."""
    try:
        content, permissions = _read(place, path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB", "check that it is the right file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    encoding = "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
    return PrivateFile(path, text, permissions, encoding)


def _read(place: Place, path: Path) -> tuple[bytes, int]:
    """Return the content of the file, up to a byte more than is allowed, and its permission bits."""
    descriptor = place.open_safe(os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) and not os.path.samestat(status, os.stat(os.devnull)):
            raise ConfigError(
                f"{path} is not a regular file", "name a file; a key can also come from standard input: --api-key -"
            )
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_FILE_BYTES + 1)
        permissions = permissions_for_others(status, descriptor, place.owners)
    finally:
        os.close(descriptor)
    # The null device has no content to protect. Windows has other permissions, which are not checked.
    is_protected = has_owners() and stat.S_ISREG(status.st_mode)
    return content, permissions if is_protected else 0


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"cannot read {path}: {reason}", "check the path and its permissions")


def replace_file(place: Place, content: bytes, warn: Warn) -> None:
    """Replace the content of the file, or make the file. It becomes private to its owner.

    This is one step: a reader, or a machine that loses power, finds the old file or the new one. Where the system
    allows no such step (a file that is mounted by itself, as in containers), `warn` is called and the file is
    overwritten, with a copy of the old content beside it until that is done.

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
    # The caller holds the lock, so a process that died has left this file; it may hold a key.
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
    if has_owners():
        os.fchmod(descriptor, _PRIVATE)
    # On a full disk this fails, before anything is changed.
    if len(content) > os.fstat(descriptor).st_size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, len(content))
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(descriptor)


def require_place(path: Path) -> None:
    """Raise UsageError where the collector would not read the file, or we cannot write it safely."""
    if not path.name.endswith(SUFFIX):
        raise UsageError(
            f"--textfile: the name of {path} does not end in {SUFFIX}", "node_exporter reads no other file"
        )
    if os.path.isdir(path):
        raise UsageError(f"--textfile: {path} is a folder", f"name a file in it, like {path / 'apimart.prom'}")
    if _is_no_folder(path.parent):
        raise UsageError(
            f"--textfile: there is no folder {path.parent}",
            "make it, or name the one of node_exporter's --collector.textfile.directory",
        )
    try:
        # Other errors come when the file is written.
        with suppress(OSError), found_for_output(path, trusted_owners()):
            pass
    except UnsafeError as error:
        raise UsageError(
            f"--textfile: nothing is written to {path}: {error.reason(path)}", error.hint(is_read=True)
        ) from None


def _is_no_folder(path: Path) -> bool:
    """Tell whether there is certainly no folder; a path that cannot be looked at may be one."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))


def write_textfile(path: Path, text: str) -> None:
    """Replace the file at `path` by one with `text`, in one step: no reader finds a part of it. A link is replaced.

    Several processes may do so at once. If it raises OutputError, the old file is still there.
    """
    new = f"{MARK}{os.getpid()}-{time.monotonic_ns()}"
    try:
        with found_for_output(path, trusted_owners()) as place:
            _remove_left(place)
            with place.replaced(new, mode=_READABLE, whatever_the_umask=True) as file:
                file.write(text.encode())
    except UnsafeError as error:
        raise OutputError(
            f"the metrics could not be written to {path}: {error.reason(path)}", error.hint(is_read=True)
        ) from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "see that the user of this command may write to its folder")
        raise OutputError(f"the metrics could not be written to {path}: {error.strerror}", hint) from None


def _remove_left(place: Place) -> None:
    """Remove, as far as we may, the files of processes that were killed while they wrote."""
    with place.listed() as folder, os.scandir(folder) as entries:
        left = [entry for entry in entries if entry.name.startswith(MARK)]
        for entry in left:
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_AFTER_SECONDS:
                    place.remove(entry.name)
