"""Output: readings and verdicts as text, one file a format behind one small interface. Writes nothing itself.

A format is a module of this package with the name of its `OutputFormat` and a `FORMAT` in it; it is imported when it is
asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple

from apimart_cli.balance import Reading
from apimart_cli.errors import ApimartError
from apimart_cli.gate import Verdict
from apimart_cli.screen.output import Screen
from apimart_cli.words import OutputFormat


class Format(NamedTuple):
    """What a format can show; a part that it does not have is None."""

    readings: Callable[[Sequence[Reading], Screen, int], str] | None = None
    """Shows readings as whole lines. The number is how many there will be, if these are not all."""
    checked: Callable[[Verdict, Screen], str] | None = None
    """Shows a verdict as whole lines."""
    failed: Callable[[ApimartError], str] | None = None
    """Shows an error that left nothing to judge, as whole lines."""
    reports: Callable[[Verdict | ApimartError], Mapping[str, str]] | None = None
    """What a CI runner is to keep of either: for each variable that names a file, what is added to that file."""
    prepare: Callable[[], None] = lambda: None
    """Loads what showing readings needs, so that it can be done while the answer travels."""
    head: str = ""
    """Whole lines that come once, before the first readings, like the names of columns."""
    streams: bool = False
    """Whether readings can be written one after the other, as they arrive."""
    encoding: str | None = None
    """The encoding that it always has; None where that is the reader's."""


def format_of(output: OutputFormat) -> Format:
    """Return the format of that name."""
    found: Format = import_module(f"apimart_cli.output.{output.value}").FORMAT
    return found
