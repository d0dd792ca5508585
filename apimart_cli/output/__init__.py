"""Output: readings and verdicts as text, one file a format behind one small interface. Writes nothing itself.

A format is a module of this package with the name of its `OutputFormat` and a `FORMAT` in it; it is imported when it is
asked for. What formats share stands here, too: amounts with every digit that the gateway sent, and text that is cut or
filled up to a width in cells, of which a character of Chinese, Japanese or Korean takes two.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from importlib import import_module
from typing import NamedTuple

from apimart_cli.errors import ApimartError
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Verdict
from apimart_cli.screen.pieces import width
from apimart_cli.screen.writing import Screen
from apimart_cli.words import OutputFormat


class Format(NamedTuple):
    """What a format can show; a part that it does not have is None."""

    readings: Callable[[Sequence[Reading], Screen, int], str] | None = None
    """Shows readings as whole lines. The number is how many there will be, if these are not all."""
    checked: Callable[[Verdict, Screen], str] | None = None
    """Shows a verdict as whole lines."""
    failed: Callable[[ApimartError], str] | None = None
    """Shows an error that left nothing to judge, as whole lines."""
    runner_files: Callable[[Verdict | ApimartError], Mapping[str, str]] | None = None
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


def plain(amount: Decimal) -> str:
    """Return every digit of an amount, without an exponent."""
    return f"{amount:f}"


def with_unit(amount: Decimal, unit: str | None) -> str:
    """Return every digit of an amount, and its unit where it is known."""
    return f"{plain(amount)} {unit}" if unit else plain(amount)


def whole_seconds(days: Decimal, rounding: str) -> Decimal:
    """Return days of 24 hours as whole seconds, rounded as `decimal` calls it."""
    with localcontext(prec=120):
        return (days * 24 * 60 * 60).to_integral_value(rounding)


def listed(names: Sequence[str]) -> str:
    """Return all of up to three names, and of more the first two and how many more there are."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def padded(text: str, cells: int) -> str:
    """Return `text` with as many spaces after it as fill so many cells."""
    return text + " " * (cells - width(text))


def shortened(text: str, cells: int, *, mark: str) -> str:
    """Return `text` with `mark` in place of its middle where it takes more than so many cells."""
    if width(text) <= cells:
        return text
    room = max(0, cells - width(mark))
    head = _beginning(text, room - room // 2)
    return f"{head}{mark}{_beginning(text[::-1], room // 2)[::-1]}"


def _beginning(text: str, cells: int) -> str:
    taken = ""
    for character in text:
        if width(taken + character) > cells:
            break
        taken += character
    return taken
