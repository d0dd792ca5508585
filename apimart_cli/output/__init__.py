"""Output: readings and verdicts as text, one file for each format behind one small interface. It writes nothing itself.

A format is a module of this package with the name of its `OutputFormat` and a `FORMAT` in it. It is imported when it is
asked for. What formats share is here, too: amounts with every digit that the gateway sent, and text that is cut or
padded to a width in cells, of which a character of Chinese, Japanese or Korean takes two.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.errors import ApimartError
from apimart_cli.screen.writing import Screen, width
from apimart_cli.words import OutputFormat

if TYPE_CHECKING:
    from apimart_cli.rules.balance import Balance, Reading
    from apimart_cli.rules.gate import Verdict


class Format(NamedTuple):
    """What a format can show. A part that it cannot show is None."""

    readings: "Callable[[Sequence[Reading], Screen, int], str] | None" = None
    """Returns readings as whole lines. The number is how many there will be in all."""
    checked: "Callable[[Verdict, Screen], str] | None" = None
    """Returns a verdict as whole lines."""
    failed: Callable[[ApimartError], str] | None = None
    """Returns an error that left nothing to judge, as whole lines."""
    runner_files: "Callable[[Verdict | ApimartError], Mapping[str, str]] | None" = None
    """Returns, for each variable with which a CI runner names a file, the text to add to that file."""
    prepare: Callable[[], None] = lambda: None
    """Imports what showing readings needs, while the answer travels."""
    head: str = ""
    """Whole lines that are written once, before the first readings, like the names of columns."""
    streams: bool = False
    """Whether each reading can be written as soon as it arrives."""
    encoding: str | None = None
    """The encoding that it always has; None for that of the output."""


def format_of(output: OutputFormat) -> Format:
    """Return the format of that name."""
    found: Format = import_module(f"apimart_cli.output.{output.value}").FORMAT
    return found


def plain(amount: Decimal) -> str:
    """Return every digit of an amount, without an exponent."""
    return f"{amount:f}"


def with_unit(amount: Decimal, unit: str | None) -> str:
    """Return every digit of an amount, and its unit if that is known."""
    return f"{plain(amount)} {unit}" if unit else plain(amount)


def remaining(remain: Decimal | None, unit: str | None = None) -> str:
    """Return every digit of what is left, and its unit if that is known; or `unlimited`."""
    return "unlimited" if remain is None else with_unit(remain, unit)


def left_in_words(balance: "Balance", unit: str | None) -> str:
    """Return what is left: `10.5 USD left`, `10.5 USD left (limited by key)`, `unlimited quota`."""
    if balance.remain_balance is None:
        return "unlimited quota"
    limit = f" (limited by {balance.limited_by})" if balance.limited_by else ""
    return f"{with_unit(balance.remain_balance, unit)} left{limit}"


def whole_seconds(days: Decimal, rounding: str) -> Decimal:
    """Return days of 24 hours as whole seconds. `rounding` is a mode of `decimal`."""
    with localcontext(prec=120):
        return (days * 24 * 60 * 60).to_integral_value(rounding)


def padded(text: str, cells: int) -> str:
    """Return `text` with spaces after it, so that it takes so many cells."""
    return text + " " * (cells - width(text))


def shortened(text: str, cells: int, *, mark: str) -> str:
    """Return `text`; if it takes more than so many cells, with `mark` in place of its middle."""
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
