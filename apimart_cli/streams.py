"""Standard output and standard error: the only module that writes to them.

Whatever they are connected to - a terminal, a pipe, a full disk, nothing - writing either succeeds, or raises one
OutputError, or (for messages) is given up quietly. No failure is left for the interpreter to stumble over at exit.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, TextIO

from apimart_cli.balance import Reading
from apimart_cli.errors import ApimartError, OutputError
from apimart_cli.text import visible

PROGRESS_AFTER = 1.0
"""Seconds before progress is shown: most answers are there long before."""

_WIPE_LINE = "\r\x1b[2K"
"""What empties the line of a terminal that the cursor is in."""


class Screen(NamedTuple):
    """What the reader of standard output can show."""

    colour: bool = False
    """Whether escape sequences may be written; never to anything but a terminal."""
    width: int | None = None
    """Columns of the terminal; None where there is no limit."""
    unicode: bool = True
    """Whether characters beyond ASCII can be written."""


def standard_output(environ: Mapping[str, str] = os.environ) -> Screen:
    """Look at standard output. `NO_COLOR` and `TERM=dumb` are honoured; `FORCE_COLOR` cannot colour a pipe."""
    stream = sys.stdout
    if stream is None:
        return Screen()
    unicode = (stream.encoding or "ascii").lower().replace("-", "").startswith("utf")
    if not stream.isatty():
        return Screen(unicode=unicode)
    from shutil import get_terminal_size

    colour = not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
    return Screen(colour=colour, width=get_terminal_size().columns, unicode=unicode)


def is_terminal_error() -> bool:
    """Tell whether a person reads standard error."""
    return sys.stderr is not None and sys.stderr.isatty()


def write_answer(text: str) -> None:
    """Write `text`, whole lines, to standard output. Raises OutputError when it cannot be written to its end."""
    if not text:
        return
    if sys.stdout is None:
        raise _output_error("it is closed")
    try:
        _write(sys.stdout, text)
    except OSError as error:
        raise unwritable(error) from None
    except ValueError:
        raise _output_error("it is closed") from None


def unwritable(error: OSError) -> OutputError:
    """Return the error for standard output that could not be written to, and give the stream up."""
    _silence(sys.stdout)
    # `__main__` makes a stream that was closed before the start one that cannot be written to.
    return _output_error("it is closed" if error.errno == errno.EBADF else f"{error.strerror}")


def write_error(error: ApimartError) -> None:
    """Tell about an error on standard error: what happened, and a hint on what to do next."""
    _write_message("error", error.message, error.hint)


def write_failures(readings: Sequence[Reading]) -> None:
    """Tell about every failed reading on standard error, named where there are several; one hint for a row of them."""
    failures = [(reading.name, reading.error) for reading in readings if reading.error is not None]
    for number, (name, error) in enumerate(failures, start=1):
        message = f"{name}: {error.message}" if len(readings) > 1 else error.message
        is_repeated = number < len(failures) and failures[number][1].hint == error.hint
        _write_message("error", message, None if is_repeated else error.hint)


def write_warning(message: str, hint: str | None = None) -> None:
    """Tell about something that is wrong but did not stop the answer."""
    _write_message("warning", message, hint)


def write_note(message: str, hint: str | None = None) -> None:
    """Tell a person something worth knowing about the answer."""
    _write_message("note", message, hint)


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Callable[[Reading], Reading]]:
    """Show a person on standard error how many of `total` readings are there, once a second has gone by.

    Gives a function through which each reading is passed as it arrives.
    """
    arrived: list[Reading] = []
    done = threading.Event()

    def step(reading: Reading) -> Reading:
        arrived.append(reading)
        return reading

    def show() -> None:
        if done.wait(PROGRESS_AFTER):
            return
        shown = ""
        while not done.is_set():
            line = f"\rapimart: {len(arrived)} of {total} answered "
            # Only when it changes: a command that prints a key may be asking for a password on the same terminal.
            if line != shown:
                _tell(line)
                shown = line
            done.wait(0.1)
        _tell(_WIPE_LINE)

    def wipe() -> None:
        # Not through the stream: a signal may come in the middle of a write to it.
        with suppress(OSError):
            os.write(sys.stderr.fileno(), _WIPE_LINE.encode())

    if quiet or not is_terminal_error() or os.environ.get("TERM", "dumb") == "dumb":
        yield step
        return
    from apimart_cli.child import cleaning_up

    watcher = threading.Thread(target=show, name="apimart-progress", daemon=True)
    watcher.start()
    try:
        with cleaning_up(wipe):
            yield step
    finally:
        done.set()
        watcher.join()


def ask_secret(prompt: str) -> str:
    """Ask at the terminal for one line, which is not shown; empty when there is none (Ctrl-D).

    However the wait ends, the terminal shows again what is typed. What is no text becomes a character no key has.
    """
    from getpass import getpass

    from apimart_cli.child import unwinding

    try:
        with unwinding():
            return getpass(prompt)
    except EOFError:
        return ""
    except UnicodeDecodeError:
        return "\N{REPLACEMENT CHARACTER}"
    except KeyboardInterrupt:
        _tell("\n")
        raise


_OUTPUT_HINT = "free some space or check where the output goes; with --quiet, `check` needs no output"


def _output_error(reason: str) -> OutputError:
    return OutputError(f"the answer could not be written to standard output: {reason}", _OUTPUT_HINT)


def _write_message(kind: str, message: str, hint: str | None) -> None:
    lines = [f"apimart: {kind}: {visible(message)}\n"]
    if hint:
        lines.append(f"hint: {visible(hint)}\n")
    _tell("".join(lines))


def _tell(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        _write(sys.stderr, text)
    except (OSError, ValueError):
        # There is nobody left to tell; the exit code still speaks.
        _silence(sys.stderr)


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; characters that the stream's encoding lacks are written as escapes."""
    encoding = stream.encoding or "ascii"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


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
