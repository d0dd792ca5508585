"""Small files that may hold a key: read whole, with limits, and with a look at who else can read them."""

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
    """The text of a file and whether other users of this machine can read it."""

    path: Path
    text: str
    is_exposed: bool
    encoding: str = "utf-8"
    """What writes `text` as the bytes that were read: `utf-8-sig` where they began with a byte order mark."""

    @property
    def exposure(self) -> ConfigError:
        """The error that says so, with the command that mends it."""
        return ConfigError(
            f"{self.path} holds a key and other users can read it", f"run: chmod 600 {shlex.quote(str(self.path))}"
        )


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
    return PrivateFile(path, text, _is_exposed(status), encoding)


def _is_exposed(status: os.stat_result) -> bool:
    # The null device is for everybody, and holds nothing.
    is_file = os.name == "posix" and stat.S_ISREG(status.st_mode)
    return is_file and bool(status.st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"cannot read {path}: {reason}", "check the path and its permissions")
