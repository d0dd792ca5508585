"""Small files that may hold a key: read whole, with limits, and with a look at who else can read or change them."""

import codecs
import os
import shlex
import stat
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
"""Largest config or key file that is read."""


class PrivateFile(NamedTuple):
    """The text of a file and what other users of this machine may do with it."""

    path: Path
    text: str
    permissions: int = 0
    """The permission bits; 0 where they protect nothing."""
    encoding: str = "utf-8"
    """What writes `text` as the bytes that were read: `utf-8-sig` where they began with a byte order mark."""

    def exposure(self, *, holds_key: bool) -> ConfigError | None:
        """Return what is wrong with the permissions as an error, with the command that mends it, or None."""
        quoted = shlex.quote(str(self.path))
        if holds_key and self.permissions & (stat.S_IRGRP | stat.S_IROTH):
            return ConfigError(f"{self.path} holds a key and other users can read it", f"run: chmod 600 {quoted}")
        if holds_key and self.permissions & (stat.S_IWGRP | stat.S_IWOTH):
            return ConfigError(f"{self.path} holds a key and other users can change it", f"run: chmod 600 {quoted}")
        # A group may well share a file without a key; what everybody can change may send the key anywhere.
        if self.permissions & stat.S_IWOTH:
            return ConfigError(
                f"{self.path} says where keys are sent and every user can change it", f"run: chmod o-w {quoted}"
            )
        return None


def read_private_file(path: Path) -> PrivateFile:
    """Read a regular file of UTF-8 text, a byte order mark allowed.

    Raises ConfigError, naming the file, when it is missing, unreadable, no regular file, too large or not text.
    """
    try:
        # Not blocking: opening a FIFO that nobody writes to would otherwise wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) and not os.path.samefile(path, os.devnull):
                raise ConfigError(
                    f"{path} is not a regular file", "name a file; a key can also come from standard input: --api-key -"
                )
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB", "is it the right file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    encoding = "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
    return PrivateFile(path, text, _permissions(status), encoding)


def _permissions(status: os.stat_result) -> int:
    # The null device is for everybody, and holds nothing.
    is_file = os.name == "posix" and stat.S_ISREG(status.st_mode)
    return stat.S_IMODE(status.st_mode) if is_file else 0


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"cannot read {path}: {reason}", "check the path and its permissions")
