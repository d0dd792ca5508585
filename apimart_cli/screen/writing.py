"""Writing to standard output and standard error, and what their readers can show.

They may be a terminal, a pipe, a full disk or closed. Writing an answer succeeds or raises OutputError; writing a
message succeeds or is given up. The interpreter has nothing left to flush at exit.
"""

import errno
import io
import os
import select
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, TextIO

from apimart_cli.errors import ApimartError, OutputError, bug
from apimart_cli.text import iso_time, visible

PATIENCE = 0.25
"""Most seconds to wait until a full pipe is read."""

_OUTPUT_HINT = "free some space or check where the output goes; with --quiet, `check` needs no output"


class Screen(NamedTuple):
    """What the reader of standard output can show."""

    colour: bool = False
    """Whether escape sequences may be written."""
    width: int | None = None
    """Columns of the terminal; None where there is no limit."""
    unicode: bool = True
    """Whether characters beyond ASCII can be written."""


def width(text: str) -> int:
    """Return the number of cells that `text` takes on a screen."""
    if text.isascii():
        return len(text)
    # The table measures in the same way. It takes 2 ms to load, and loads nothing else of Rich.
    from rich.cells import cell_len

    return cell_len(text)


def standard_output(environ: Mapping[str, str] = os.environ) -> Screen:
    """Return what the reader of standard output can show.

    Terminals that have colour get it. `NO_COLOR` takes it away (no-color.org); `FORCE_COLOR` gives it to pipes and dumb
    terminals, too (force-color.org); `NO_COLOR` wins. Either counts with any value but the empty one.
    """
    stream = sys.stdout
    if stream is None:
        return Screen()
    unicode = (stream.encoding or "ascii").lower().replace("-", "").startswith("utf")
    is_terminal = stream.isatty()
    has_colours = is_terminal and environ.get("TERM", "") not in {"", "dumb"}
    colour = not environ.get("NO_COLOR") and bool(environ.get("FORCE_COLOR") or has_colours)
    if not is_terminal:
        return Screen(colour=colour, unicode=unicode)
    from shutil import get_terminal_size

    return Screen(colour=colour, width=get_terminal_size().columns, unicode=unicode)


def is_terminal_error() -> bool:
    """Tell whether a person reads standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


def write_answer(text: str, encoding: str | None = None) -> bool:
    """Write `text`, whole lines, to standard output; tell whether it still has a reader.

    With `encoding` the text is written in that, in place of the stream's encoding.

    A reader that went away (`| head -1`) has what it wanted: that is no error, and this and later answers are dropped.
    Raises OutputError when `text` cannot be written to its end for any other reason.
    """
    if not text:
        return True
    if sys.stdout is None:
        raise _output_error("it is closed")
    try:
        if encoding is not None and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding=encoding)
        _write(sys.stdout, text)
    except (BrokenPipeError, ConnectionResetError):
        _silence(sys.stdout)
        return False
    except OSError as error:
        raise unwritable(error) from None
    except ValueError:
        raise _output_error("it is closed") from None
    return True


def unwritable(error: OSError) -> OutputError:
    """Give standard output up after a write to it has failed, and return the error for that."""
    _silence(sys.stdout)
    # A stream that was closed at the start was replaced by one that cannot be written to: see `__main__`.
    return _output_error("it is closed" if error.errno == errno.EBADF else f"{error.strerror}")


def write_error(message: str, hint: str | None = None) -> None:
    """Write an error to standard error: what happened, and what to do next."""
    _write_message("error", message, hint)


def write_warning(message: str, hint: str | None = None) -> None:
    """Write a warning to standard error: something is wrong, but there is an answer."""
    _write_message("warning", message, hint)


def write_note(message: str, hint: str | None = None) -> None:
    """Write a note about the answer to standard error."""
    _write_message("note", message, hint)


def write_debug(line: str) -> None:
    """Write one line of `--debug` to standard error."""
    tell(f"apimart: debug: {visible(line)}\n")


@contextmanager
def only_told() -> Iterator[None]:
    """Make a failure in the block a warning, after a command of the user has ended: we end with its status."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # no error must replace the status
        told = error if isinstance(error, ApimartError) else bug(error)
        with suppress(Exception):
            write_warning(told.message, told.hint)


def _output_error(reason: str) -> OutputError:
    return OutputError(f"the answer could not be written to standard output: {reason}", _OUTPUT_HINT)


def message_lines(kind: str, message: str, hint: str | None) -> list[str]:
    """Return a message and its hint as lines, folded if standard error is a terminal."""
    lines = [f"apimart: {kind}: {visible(message)}"]
    if hint:
        lines.append(f"hint: {visible(hint)}")
    if columns := _columns_of_errors():
        from apimart_cli.screen.pieces import folded

        lines = [folded(line, columns) for line in lines]
    return [f"{line}\n" for line in lines]


def _write_message(kind: str, message: str, hint: str | None) -> None:
    tell("".join(message_lines(kind, message, hint)))


def _columns_of_errors() -> int:
    """Return the columns of standard error; 0 if it is no terminal, or one that does not know its size.

    The variable `COLUMNS` wins, as for standard output. In a pipe a message is one line.
    """
    try:
        if sys.stderr is None or not sys.stderr.isatty():
            return 0
        asked = os.environ.get("COLUMNS", "")
        if asked.isdecimal() and int(asked):
            return int(asked)
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return 0


def tell(text: str) -> None:
    """Write `text` to standard error as it is; if that fails, drop it."""
    if sys.stderr is None:
        return

    try:
        if not write_in_time(sys.stderr, _encoded(sys.stderr, text)):
            _write(sys.stderr, text)
    except (OSError, ValueError):
        # The exit code still tells the result.
        _silence(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; characters that the stream's encoding lacks are written as escapes."""
    stream.write(_encoded(stream, text).decode(stream.encoding or "ascii"))
    stream.flush()


def _encoded(stream: TextIO, text: str) -> bytes:
    return text.encode(stream.encoding or "ascii", "backslashreplace")


def _silence(stream: TextIO | None) -> None:
    """Point a broken stream at the null device: the interpreter would flush it at exit, and end with status 120."""
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass


def log_note(message: str, hint: str | None = None) -> None:
    """Write a note, and what to do next, with its time."""
    _log("note", message, hint)


def log_warning(message: str, hint: str | None = None) -> None:
    """Write a warning, and what to do next, with its time."""
    _log("warning", message, hint)


def is_journal(environ: Mapping[str, str]) -> bool:
    """Tell whether standard error goes to the journal of systemd.

    The variable says which file that is (systemd.exec(5)): a child inherits it, and may have another standard error.
    """
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log(kind: str, message: str, hint: str | None) -> None:
    """Write a message of a program that runs on and on: each line with its time, which the journal adds itself."""
    moment = "" if is_journal(os.environ) else f"{iso_time(datetime.now(UTC))} "
    tell("".join(f"{moment}{line}" for line in message_lines(kind, message, hint)))


def write_in_time(stream: TextIO, data: bytes) -> bool:
    """Write `data` to a pipe or a socket; tell whether the stream is one, as otherwise nothing is written.

    Raises TimeoutError when a full pipe is not read within PATIENCE seconds, and every OSError of writing.
    """
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return False
    # A terminal is waited for: a person stops its output with Ctrl-S to make it wait.
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)) or not hasattr(select, "poll"):
        return False
    stream.flush()
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    give_up_at = time.monotonic() + PATIENCE
    while data:
        if not poll.poll(max(0.0, give_up_at - time.monotonic()) * 1000):
            raise TimeoutError
        try:
            # Where there is any room, so many bytes are written without waiting.
            written = os.write(descriptor, data[: select.PIPE_BUF])
        except BlockingIOError:  # another process that shares the pipe made it non-blocking, and was quicker
            continue
        data = data[written:]
    return True


class Reader:
    """The reader of standard output, seen without writing to it."""

    def __init__(self) -> None:
        self._poll: Any = None
        self._file = self._identity()
        if hasattr(select, "poll") and sys.stdout is not None and self._file is not None:
            self._poll = select.poll()
            # Without any event, poll still reports an error or a hang-up.
            self._poll.register(sys.stdout.fileno(), 0)

    def is_gone_within(self, seconds: float) -> bool:
        """Wait so many seconds, or until the reader has gone away; tell whether it has."""
        if self._identity() != self._file:
            # A write has noticed it, and put the null device in place of standard output.
            return True
        if self._poll is None:
            time.sleep(seconds)
            return False
        return bool(self._poll.poll(seconds * 1000))

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.fstat(sys.stdout.fileno())
        except (OSError, ValueError, AttributeError):
            return None
        return status.st_dev, status.st_ino
