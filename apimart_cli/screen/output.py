"""What the reader of standard output can show, and whether a person reads standard error."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Screen(NamedTuple):
    """What the reader of standard output can show."""

    colour: bool = False
    """Whether escape sequences may be written."""
    width: int | None = None
    """Columns of the terminal; None where there is no limit."""
    unicode: bool = True
    """Whether characters beyond ASCII can be written."""


def standard_output(environ: Mapping[str, str] = os.environ) -> Screen:
    """Look at standard output.

    Colour is for terminals that have it. `NO_COLOR` takes it away (no-color.org), `FORCE_COLOR` brings it to pipes and
    dumb terminals too (force-color.org); `NO_COLOR` wins. Either counts with any value but the empty one.
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
