"""Files that no other user can change or swap, found from the root on, and replaced whole or not at all.

A path is walked folder by folder through descriptors, and each link on the way is followed here and not by the system.
So the file that is opened, made or renamed at the end is the one that was checked, even if another user changes the
path meanwhile. Windows has other permissions, which are not checked, and no such descriptors: there, paths are used.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from apimart_cli.owners import UnsafeError, has_owners, look
from apimart_cli.processes.signals import at_ending

MOST_LINKS = 40
"""Most links that are followed, as many as by Linux."""

_HELD = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _HELD
_FILE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | _HELD
"""Not blocking: otherwise opening a FIFO without a writer would wait for ever."""
_IS_NO_FOLDER = {errno.ELOOP, errno.ENOTDIR, getattr(errno, "EMLINK", errno.ELOOP)}
"""The errors of `O_DIRECTORY | O_NOFOLLOW` for a link, on different systems."""


class Place(NamedTuple):
    """A place for a file: an open folder, and a name in it. Everything is done in that very folder."""

    path: Path
    """The path without links: for messages, and for libraries that open paths themselves."""
    folder: int | None
    """The descriptor of the folder; None on Windows."""
    owners: frozenset[int]

    def _of(self, name: str | None) -> str:
        return str(self.path.with_name(name or self.path.name)) if self.folder is None else name or self.path.name

    def now(self) -> os.stat_result | None:
        """Return the status of what lies here, of a link itself; None where there is nothing."""
        return _status(self._of(None), self.folder)

    def open(self, flags: int, mode: int = 0o600, *, name: str | None = None) -> int:
        """Open the file, or another `name` in its folder. A link is an error: there was none when we looked."""
        return os.open(self._of(name), flags | _FILE, mode, dir_fd=self.folder)

    def open_safe(self, flags: int, mode: int = 0o600, *, name: str | None = None) -> int:
        """Open a file that no other user can change. Raises UnsafeError where another user can."""
        descriptor = self.open(flags, mode, name=name)
        try:
            status = os.fstat(descriptor)
            # A device stays the same with any permissions. A pipe of another user leads to that user.
            if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                look(status, descriptor, str(self.path.with_name(name or self.path.name)), "file", self.owners)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def is_special(self) -> bool:
        """Tell whether something lies here that no file may replace: a device, a pipe, a folder."""
        status = self.now()
        if status is None or stat.S_ISREG(status.st_mode):
            return False
        return not stat.S_ISLNK(status.st_mode) or self._is_in_proc()

    def open_special(self) -> int:
        """Open a device or a pipe for writing; wait for the reader of a FIFO.

        Raises UnsafeError for one of another user: opening it may already have an effect.
        """
        self._require_owner(self.now())
        flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | _HELD
        if self._is_in_proc():
            # The link stands for something that one of our processes has open already.
            flags &= ~getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._of(None), flags, dir_fd=self.folder)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                raise OSError("it was swapped for another file meanwhile")
            if not self._is_in_proc():
                self._require_owner(status)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def require_ours(self) -> None:
        """Raise UnsafeError where another user can change what lies here, or put something else here.

        For libraries that write files by their paths: in a folder like /tmp, another user could make the file first.
        """
        self.require_own_folder()
        status = self.now()
        if status is not None and stat.S_ISREG(status.st_mode):
            os.close(self.open_safe(os.O_RDONLY))
        else:
            self._require_owner(status)

    def require_own_folder(self) -> None:
        """Raise UnsafeError where other users can make files in the folder, as in /tmp."""
        if self.folder is not None:
            status, at = os.fstat(self.folder), str(self.path.parent)
            look(status, self.folder, at, "folder", self.owners, may_be_sticky=False)

    def _require_owner(self, status: os.stat_result | None) -> None:
        if self.folder is not None and status is not None and status.st_uid not in self.owners:
            raise UnsafeError(str(self.path), "file", status, owner=status.st_uid)

    def _is_in_proc(self) -> bool:
        return self.folder is not None and _is_in_proc(str(self.path.parent))

    def remove(self, name: str) -> None:
        """Remove a file of the folder, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._of(name), dir_fd=self.folder)

    @contextmanager
    def replaced(self, new: str | None = None, *, mode: int, whatever_the_umask: bool = False) -> Iterator[BinaryIO]:
        """Yield a file called `new` to write to, which replaces the one here once it is on the disk.

        When the block fails or a signal ends the process, the new file is removed, and the old one is still there. By
        default `new` is made of the name here and the number of this process.
        """
        new = new or f".{self.path.name}.{os.getpid()}.new"
        is_ours = False

        def remove() -> None:
            if is_ours:
                with suppress(OSError):
                    self.remove(new)

        with at_ending(remove):
            descriptor = self.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, name=new)
            is_ours = True
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if whatever_the_umask and hasattr(os, "fchmod"):
                        os.fchmod(descriptor, mode)
                    yield file
                    file.flush()
                    # Some file systems find only here that there is no room.
                    os.fsync(descriptor)
                os.replace(self._of(new), self._of(None), src_dir_fd=self.folder, dst_dir_fd=self.folder)
                is_ours = False
            finally:
                remove()

    @contextmanager
    def listed(self) -> Iterator[int | str]:
        """Yield the folder in a form that can be listed or synchronised."""
        if self.folder is None:
            yield str(self.path.parent)
            return
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | _HELD, dir_fd=self.folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def sync(self) -> None:
        """Write the names in the folder to the disk now; Windows, which cannot do that, writes them later."""
        with suppress(OSError), self.listed() as folder:
            if isinstance(folder, int):
                os.fsync(folder)


@contextmanager
def found(path: Path, owners: frozenset[int], *, make: bool = False, follow: bool = True) -> Iterator[Place]:
    """Yield the place of `path`. No user but `owners` can change its folders and links.

    With `make`, missing folders are made, private to their owner. Without `follow`, a link at the end is not followed,
    but is itself the file there.

    Raises UnsafeError, and OSError or ValueError where there is no such folder.
    """
    if not has_owners():
        real = type(path)(os.path.realpath(path)) if follow else path
        if make:
            real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Place(real, None, owners)
        return
    with _Walk(path, owners) as walk:
        yield walk.to_the_end(make=make, follow=follow)


@contextmanager
def found_for_output(path: Path, owners: frozenset[int], *, follow: bool = False) -> Iterator[Place]:
    """Yield the place of a file that is only written, and holds no secret.

    No other user can change its own folder. A folder above may belong to another user, as it does for Debian's
    node_exporter. That user can rename the folder, but cannot make us write anywhere else: we follow no link of theirs,
    and no `..` out of it.

    Raises as `found`.
    """
    if not has_owners():
        with found(path, owners, follow=follow) as place:
            yield place
        return
    with _Walk(path, owners, is_output=True) as walk:
        yield walk.to_the_end(follow=follow)


class _Walk:
    """The way to a file, one folder after the other."""

    def __init__(self, path: Path, owners: frozenset[int], *, is_output: bool = False) -> None:
        text = os.fspath(path)
        if "\0" in text:
            # The functions of the system word this error differently.
            raise ValueError("no file has a NUL in its name")
        self._names = _reversed_names(text if os.path.isabs(text) else os.path.join(os.getcwd(), text))
        self._owners = owners
        self._is_output = is_output
        self._links = 0
        self._fault: UnsafeError | None = None
        """What is wrong with the folder that the walk is in, where that does not end the walk."""
        self._behind: UnsafeError | None = None
        """What is wrong with the first such folder on the way: its owner can move it while we are in it."""
        self._folder = -1
        self._at = "/"

    def __enter__(self) -> "_Walk":
        self._enter(os.open("/", _FOLDER), "/")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def _enter(self, folder: int, at: str) -> None:
        before, self._folder, self._at = self._folder, folder, at
        if before >= 0:
            os.close(before)
        self._fault = None
        try:
            look(os.fstat(folder), folder, at, "folder", self._owners)
        except UnsafeError as fault:
            if not self._is_output:
                if before < 0:
                    os.close(folder)
                raise
            self._fault = fault
            self._behind = self._behind or fault

    def to_the_end(self, *, make: bool = False, follow: bool = True) -> Place:
        while self._names:
            name = self._names.pop()
            if self._names or name == "..":
                self._into(name, make=make)
                continue
            status = _status(name, self._folder)
            if follow and status is not None and stat.S_ISLNK(status.st_mode) and not self._leads_to_no_path(name):
                self._follow(name, status)
                continue
            if self._fault is not None:
                raise self._fault
            return Place(Path(self._at, name), self._folder, self._owners)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    def _into(self, name: str, *, make: bool) -> None:
        if name == ".." and self._behind is not None:
            raise self._behind.leaving()
        try:
            folder = os.open(name, _FOLDER, dir_fd=self._folder)
        except FileNotFoundError:
            if not make:
                raise
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._folder)
                # For bits that the umask took away.
                os.chmod(name, 0o700, dir_fd=self._folder)
            folder = os.open(name, _FOLDER, dir_fd=self._folder)
        except OSError as error:
            status = _status(name, self._folder) if error.errno in _IS_NO_FOLDER else None
            if status is None or not stat.S_ISLNK(status.st_mode):
                raise
            self._follow(name, status)
            return
        self._enter(folder, os.path.normpath(os.path.join(self._at, name)))

    def _follow(self, name: str, status: os.stat_result) -> None:
        """Go on where a link leads. Its permissions mean nothing; its owner and its folder's decide where it leads."""
        if self._fault is not None:
            raise self._fault
        look(status, -1, os.path.join(self._at, name), "link", self._owners)
        self._links += 1
        if self._links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(name, dir_fd=self._folder)
        if os.path.isabs(target):
            self._behind = None
            self._enter(os.open("/", _FOLDER), "/")
        self._names += _reversed_names(target)

    def _leads_to_no_path(self, name: str) -> bool:
        """Tell whether it is one of the links in /proc that stand for a pipe or another thing without a path."""
        if not _is_in_proc(self._at):
            return False
        with suppress(OSError):
            return not stat.S_ISREG(os.stat(name, dir_fd=self._folder).st_mode)
        return False


def is_absent(path: Path) -> bool:
    """Tell whether there is certainly no file; one that cannot be looked at may be there."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def _is_in_proc(folder: str) -> bool:
    return folder.startswith("/proc/")


def _reversed_names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _status(name: str | Path, folder: int | None = None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
