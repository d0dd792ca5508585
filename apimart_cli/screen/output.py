"""What the reader of standard output can show, and whether a person reads standard error."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple


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
