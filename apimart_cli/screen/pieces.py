"""What only some commands write: folded lines, long answers in pieces, the files of a CI runner, repeated warnings.

`writing` needs none of it in most runs, and loads it late.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from apimart_cli.errors import OutputError, UsageError
from apimart_cli.files import found_for_output
from apimart_cli.owners import UnsafeError, trusted_owners
from apimart_cli.processes.descendants import Missed
from apimart_cli.screen.writing import width, write_answer, write_warning

AT_ONCE = 1000
"""Lines that are written at once."""

AGAIN_EVERY = 60.0
"""Seconds after which a warning is repeated."""

_RUNNER_FILE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Not blocking: a pipe without a reader would be waited for."""

MOST_NAMED = 8
"""Most processes that are named."""


def folded(line: str, cells: int) -> str:
    """Fold a line at its spaces: a narrow terminal would break it anywhere, even in a number or a word.

    A path or an address, which has no space in it, stays whole.
    """
    first, *words = line.split(" ")
    rows = [first]
    for word in words:
        # `textwrap` would count characters instead of cells.
        if width(f"{rows[-1]} {word}") <= cells:
            rows[-1] += f" {word}"
        else:
            rows.append(f"  {word}")
    return "\n".join(rows)


def write_pieces(lines: Iterable[str], file: Path | None) -> None:
    """Write whole lines to a file, or to standard output until its reader goes away. Raises OutputError."""
    pieces = _joined(lines)
    if file is None:
        # After the reader has gone away, no more pieces are made.
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
    """Open a file, or standard input for `-`. Raises UsageError, also when reading it in the block fails."""
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
    """Return what to do about a file that cannot be read."""
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
    """Open a new file, private to its owner, that takes the place of the one at `file` once it is complete."""
    with found_for_output(file, trusted_owners(), follow=True) as place:
        if place.is_special():
            with open(place.open_special(), "w", encoding="utf-8") as special:
                yield special
            return
        with place.replaced(mode=0o600) as binary:
            stream = TextIOWrapper(binary, encoding="utf-8")
            try:
                yield stream
                stream.flush()
            finally:
                # `place.replaced` closes the file itself, once it is on the disk.
                with suppress(OSError):
                    stream.detach()


def add_to_runner_files(texts: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> None:
    """Append texts to files of a CI runner: `texts` has the text by the variable that names the file.

    A variable that is not set names no file. All are tried; then this raises OutputError for the first that cannot be
    written to its end, as a later step would miss it.
    """
    failures = [
        failure
        for variable, text in texts.items()
        if environ.get(variable) and (failure := _add(variable, environ[variable], text)) is not None
    ]
    if failures:
        raise failures[0]


def _add(variable: str, path: str, text: str) -> OutputError | None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _RUNNER_FILE, 0o644)
        try:
            _write_whole(descriptor, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)
    except OSError as error:
        return OutputError(
            f"{variable}: {path} cannot be written: {error.strerror}",
            "the runner makes this file for each step; elsewhere, unset the variable",
        )
    return None


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write all of it or nothing: the runner would take the beginning of a report for a whole one."""
    size = os.fstat(descriptor).st_size
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


class Unreached:
    """Warns of processes that a stop does not reach: at once, and each minute while they run. For one command."""

    def __init__(self, why: Callable[[], str | None] = lambda: None) -> None:
        """`why` is called for each warning, and says why the command has to end; None if that was told elsewhere."""
        self._why = why
        self._since: float | None = None
        self._told_at = 0.0
        self._was_blind = False

    def __call__(self, missed: Missed) -> None:
        """Warn of these processes, unless that was done within the last minute."""
        if missed.is_blind and not self._was_blind:
            self._was_blind = True
            write_warning(
                "the system does not tell what the command has started (there is no /proc that shows it): "
                "processes that have left its process group may go on",
                "look for them yourself; in a container, mount /proc",
            )
        now = time.monotonic()
        if not missed.pids or (self._since is not None and now - self._told_at < AGAIN_EVERY):
            return
        self._told_at = now
        if self._since is None:
            self._since = now
            told = _in_words(missed)
        else:
            minutes = round((now - self._since) / 60)
            told = f"{_in_words(missed)}, and still {'run' if len(missed.pids) > 1 else 'runs'} after {minutes} min"
        why = self._why()
        pids = " ".join(map(str, missed.pids[:MOST_NAMED]))
        write_warning(
            f"{why}; {told}" if why else told,
            f"end {'them' if len(missed.pids) > 1 else 'it'} as a user who may, like: sudo kill {pids}; "
            "until then it may go on spending",
        )


def _in_words(missed: Missed) -> str:
    parts = []
    if missed.refused:
        parts.append(f"{_named(missed.refused)} cannot be stopped: not permitted")
    if missed.deaf:
        parts.append(f"{_named(missed.deaf)} could not be stopped: killed, but not gone")
    return "; ".join(parts)


def _named(pids: Sequence[int]) -> str:
    if len(pids) == 1:
        return f"process {pids[0]} of the command"
    more = "" if len(pids) <= MOST_NAMED else " ..."
    return f"{len(pids)} processes of the command ({', '.join(map(str, pids[:MOST_NAMED]))}{more})"
