"""The file of metrics that node_exporter's textfile collector reads: replaced whole, and readable for the collector."""

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from apimart_cli.errors import OutputError, UsageError
from apimart_cli.files import Place, found_for_output
from apimart_cli.owners import UnsafeError, trusted_owners

SUFFIX = ".prom"
"""What the names of the files end with that the collector reads."""

MARK = ".apimart-textfile-"
"""What the names of our temporary files begin with."""

LEFT_AFTER_SECONDS = 60 * 60
"""A temporary file that is older was left behind by a process that was killed."""

_READABLE = 0o644
"""Permissions of the file, whatever the umask is: the collector is another user."""

_HINTS = {
    errno.EBUSY: "where it is mounted by itself, mount its folder instead: the file is replaced, not overwritten",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
}


def require_place(path: Path) -> None:
    """Raise UsageError where the collector would not read the file, or no file can be written safely."""
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
        # Writing tells what else is wrong.
        with suppress(OSError), found_for_output(path, trusted_owners()):
            pass
    except UnsafeError as error:
        raise UsageError(
            f"--textfile: nothing is written to {path}: {error.reason(path)}", error.hint(is_read=True)
        ) from None


def _is_no_folder(path: Path) -> bool:
    """Tell whether there is certainly no folder; one that cannot be looked at may be there."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))


def write_textfile(path: Path, text: str) -> None:
    """Put `text` in the place of the file at `path`, in one step: nobody sees a part of it. A link there is replaced.

    Several processes may do so at once. Raises OutputError, and the old file is still there then.
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
    """Remove what processes left behind that were killed while they wrote, as far as we may."""
    with place.listed() as folder, os.scandir(folder) as entries:
        left = [entry for entry in entries if entry.name.startswith(MARK)]
        for entry in left:
            with suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_AFTER_SECONDS:
                    place.remove(entry.name)
