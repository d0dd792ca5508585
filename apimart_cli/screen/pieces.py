"""Long answers, written piece by piece: to standard output, or to a file that is there whole or not at all."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from apimart_cli.errors import OutputError, UsageError
from apimart_cli.files import found_for_output
from apimart_cli.owners import UnsafeError, trusted_owners
from apimart_cli.screen.writing import write_answer

AT_ONCE = 1000
"""Lines that are written at once."""


def write_pieces(lines: Iterable[str], file: Path | None) -> None:
    """Write whole lines to a file, or to standard output until its reader goes away. Raises OutputError."""
    pieces = _joined(lines)
    if file is None:
        # Whatever comes after a reader went away need not even be made.
        all(map(write_answer, pieces))
        return
    try:
        with _new_file(file) as new:
            new.writelines(pieces)
    except UnsafeError as error:
        raise OutputError(f"{file} could not be written: {error.reason(file)}", error.hint(is_read=True)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{file} could not be written: {reason}", "check the path, and the space there") from None


@contextmanager
def opened_input(file: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input, which is called `-`. Raises UsageError, also when reading it fails."""
    try:
        if file != "-":
            with open(file, "rb") as opened:
                yield opened
        elif sys.stdin is None:
            raise UsageError("standard input is closed", "name a file")
        else:
            yield sys.stdin.buffer
    except (OSError, ValueError) as error:
        is_standard = file == "-"
        name = "standard input" if is_standard else file
        reason = getattr(error, "strerror", None) or str(error)
        hint = "name a file" if is_standard else _input_hint(error)
        raise UsageError(f"cannot read {name}: {reason}", hint) from None


def _input_hint(error: OSError | ValueError) -> str:
    """Return what to do about a file that was named and cannot be read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "check the path; a relative one begins in the folder that you are in"
    if isinstance(error, PermissionError):
        return "let your user read it, or copy it to where it can"
    if isinstance(error, IsADirectoryError):
        return "name the file in it"
    return "check the path, and the disk that it is on"


def _joined(lines: Iterable[str]) -> Iterator[str]:
    rest = iter(lines)
    while some := list(islice(rest, AT_ONCE)):
        yield "".join(some)


@contextmanager
def _new_file(file: Path) -> Iterator[TextIO]:
    """Open a file, private to its owner, that takes the place of the one at `file` once it is whole."""
    with found_for_output(file, trusted_owners(), follow=True) as place:
        if place.is_special():
            with open(place.open_special(), "w", encoding="utf-8") as special:
                yield special
            return
        new = f".{place.path.name}.{os.getpid()}.new"
        with place.replaced(new, mode=0o600) as binary:
            stream = TextIOWrapper(binary, encoding="utf-8")
            try:
                yield stream
                stream.flush()
            finally:
                # Closed with the file itself, once that is on the disk.
                with suppress(OSError):
                    stream.detach()
