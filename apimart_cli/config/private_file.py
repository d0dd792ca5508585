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


class Access(NamedTuple):
    """What other users of this machine may do with a file. The defaults are those of a file that protects nothing."""

    permissions: int = 0
    """The permission bits."""
    has_other_owner: bool = False
    """Whether it belongs neither to us nor to root: its owner can change it, and give it any permissions."""
    open_folder: Path | None = None
    """Its folder, where everybody can put another file in its place: writable for all, and without the sticky bit."""


class PrivateFile(NamedTuple):
    """The text of a file and what other users of this machine may do with it."""

    path: Path
    text: str
    access: Access = Access()
    encoding: str = "utf-8"
    """What writes `text` as the bytes that were read: `utf-8-sig` where they began with a byte order mark."""

    def exposure(self, *, holds_key: bool) -> ConfigError | None:
        """Return what is wrong with who may do what as an error, with the command that mends it, or None."""
        if holds_key:
            found = self._key_exposure()
        elif self.access.permissions & stat.S_IWOTH:
            # A group may share a file without a key; what everybody can change may send the key anywhere.
            found = "every user can change it", "chmod o-w", self.path
        else:
            found = self._folder_exposure()
        if found is None:
            return None
        fault, command, path = found
        what = "holds a key" if holds_key else "says where keys are sent"
        return ConfigError(f"{self.path} {what} and {fault}", f"run: {command} {shlex.quote(str(path))}")

    def _key_exposure(self) -> tuple[str, str, Path] | None:
        if self.access.has_other_owner:
            return "another user owns it", f"sudo chown {os.geteuid()}", self.path
        if self.access.permissions & (stat.S_IRGRP | stat.S_IROTH):
            return "other users can read it", "chmod 600", self.path
        if self.access.permissions & (stat.S_IWGRP | stat.S_IWOTH):
            return "other users can change it", "chmod 600", self.path
        return self._folder_exposure()

    def _folder_exposure(self) -> tuple[str, str, Path] | None:
        folder = self.access.open_folder
        return None if folder is None else ("every user can replace it", "chmod o-w", folder)


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
            access = _access(path, status)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB", "check that it is the right file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    encoding = "utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8"
    return PrivateFile(path, text, access, encoding)


def _access(path: Path, status: os.stat_result) -> Access:
    # The null device is for everybody, and holds nothing. Windows has other permissions, which are not looked at.
    if os.name != "posix" or not stat.S_ISREG(status.st_mode):
        return Access()
    # Whoever can replace a link can replace the file as well.
    folders = dict.fromkeys((path.parent, Path(os.path.realpath(path)).parent))
    open_folders = [folder for folder in folders if _can_everybody_write(folder)]
    return Access(
        stat.S_IMODE(status.st_mode),
        has_other_owner=status.st_uid not in {0, os.geteuid()},
        open_folder=open_folders[0] if open_folders else None,
    )


def _can_everybody_write(folder: Path) -> bool:
    mode = os.stat(folder).st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"cannot read {path}: {reason}", "check the path and its permissions")
