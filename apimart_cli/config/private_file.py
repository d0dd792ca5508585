"""Small files that may hold a key: read whole, with limits, and only where no other user decides what they say."""

import codecs
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ConfigError
from apimart_cli.files import Place, found
from apimart_cli.owners import UnsafeError, permissions_for_others, trusted_owners

MAX_FILE_BYTES = 1024 * 1024
"""Largest config or key file that is read."""


class UnsafeFileError(ConfigError):
    """Other users can change the file, or put another one in its place: it is not used."""


class PrivateFile(NamedTuple):
    """The text of a file, and what other users of this machine may do with it."""

    path: Path
    text: str
    permissions: int = 0
    """The permission bits, those of the group as `permissions_for_others` has them; none where they protect nothing."""
    encoding: str = "utf-8"
    """What writes `text` as the bytes that were read: `utf-8-sig` where they began with a byte order mark."""

    def exposure(self, *, group_may_read: bool = False, what: str = "holds a key") -> ConfigError | None:
        """Return the error for a file with a secret that other users can read, with the command that mends it."""
        readers = stat.S_IROTH if group_may_read else stat.S_IRGRP | stat.S_IROTH
        if not self.permissions & readers:
            return None
        return ConfigError(
            f"{self.path} {what} and other users can read it", f"run: chmod 600 {shlex.quote(str(self.path))}"
        )


def read_private_file(path: Path, environ: Mapping[str, str] = os.environ) -> PrivateFile:
    """Read a regular file of UTF-8 text, a byte order mark allowed.

    Raises UnsafeFileError where another user can change it, or a folder or link on its way, and ConfigError, naming the
    file, when it is missing, unreadable, no regular file, too large or not text.
    """
    try:
        with found(path, trusted_owners(environ)) as place:
            return read_at(place, path)
    except UnsafeError as error:
        raise UnsafeFileError(f"{path} is not used: {error.reason(path)}", error.hint(is_read=True)) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def read_at(place: Place, path: Path) -> PrivateFile:
    """Read the file at a place, which messages call `path`, as `read_private_file` does. Raises UnsafeError, too."""
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
    """Return the beginning of the file, which says whether it is too large, and its permission bits."""
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
    # The null device is for everybody, and holds nothing. Windows has other permissions, which are not looked at.
    is_protected = os.name == "posix" and stat.S_ISREG(status.st_mode)
    return content, permissions if is_protected else 0


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"cannot read {path}: {reason}", "check the path and its permissions")
