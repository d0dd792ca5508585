"""Writing to standard output and standard error.

Whatever they are connected to - a terminal, a pipe, a full disk, nothing - writing either succeeds, or raises one
OutputError, or (for messages) is given up quietly. The interpreter has nothing left to flush at exit.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from apimart_cli.errors import ApimartError, OutputError, bug
from apimart_cli.text import visible

_OUTPUT_HINT = "free some space or check where the output goes; with --quiet, `check` needs no output"


def write_answer(text: str, encoding: str | None = None) -> bool:
    """Write `text`, whole lines, to standard output; return whether anybody reads on.

    An `encoding` is one that the text always has, whatever the reader's is.

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
    """Return the error for standard output that could not be written to, and give the stream up."""
    _silence(sys.stdout)
    # A stream that was closed before the start has become one that cannot be written to: see `__main__`.
    return _output_error("it is closed" if error.errno == errno.EBADF else f"{error.strerror}")


def write_error(message: str, hint: str | None = None) -> None:
    """Write an error to standard error: what happened, and a hint on what to do next."""
    _write_message("error", message, hint)


def write_warning(message: str, hint: str | None = None) -> None:
    """Write to standard error what is wrong but did not stop the answer."""
    _write_message("warning", message, hint)


def write_note(message: str, hint: str | None = None) -> None:
    """Write to standard error what is worth knowing about the answer."""
    _write_message("note", message, hint)


def write_debug(line: str) -> None:
    """Tell what `--debug` asks for: one line, whatever is in it."""
    tell(f"apimart: debug: {visible(line)}\n")


@contextmanager
def only_told() -> Iterator[None]:
    """Make a failure in the block a warning: a command of the user has ended, and its status is what we end with."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not replace the status
        told = error if isinstance(error, ApimartError) else bug(error)
        with suppress(Exception):
            write_warning(told.message, told.hint)


def _output_error(reason: str) -> OutputError:
    return OutputError(f"the answer could not be written to standard output: {reason}", _OUTPUT_HINT)


def message_lines(kind: str, message: str, hint: str | None) -> list[str]:
    """Return a message, and its hint, as lines, folded for a terminal that standard error is."""
    lines = [f"apimart: {kind}: {visible(message)}"]
    if hint:
        lines.append(f"hint: {visible(hint)}")
    if columns := _columns_of_errors():
        from apimart_cli.screen.folding import folded

        lines = [folded(line, columns) for line in lines]
    return [f"{line}\n" for line in lines]


def _write_message(kind: str, message: str, hint: str | None) -> None:
    tell("".join(message_lines(kind, message, hint)))


def _columns_of_errors() -> int:
    """Return the columns of the terminal that standard error is; 0 where it is none, or does not know them.

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
    """Write `text` to standard error as it is; where that fails, drop it."""
    if sys.stderr is None:
        return
    from apimart_cli.screen.unread import write_in_time

    try:
        if not write_in_time(sys.stderr, _encoded(sys.stderr, text)):
            _write(sys.stderr, text)
    except (OSError, ValueError):
        # The exit code still says how it ended.
        _silence(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; characters that the stream's encoding lacks are written as escapes."""
    stream.write(_encoded(stream, text).decode(stream.encoding or "ascii"))
    stream.flush()


def _encoded(stream: TextIO, text: str) -> bytes:
    return text.encode(stream.encoding or "ascii", "backslashreplace")


def _silence(stream: TextIO | None) -> None:
    """Point a broken stream at the null device: the interpreter flushes it once more at exit, and would exit 120."""
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass
