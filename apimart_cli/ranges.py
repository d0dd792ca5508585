"""Ranges as plugins of Nagios take them: `[@][start:]end`, which values raise an alert. Pure: no I/O.

Both ends belong to the range (monitoring-plugins.org, development guidelines). A value outside of it alerts, with `@`
one inside. `start` is 0 where it is left out, `~` is no lower end; without an `end` after the colon there is none.
"""

import re
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

_AMOUNT = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
"""An amount as options take it, but for the sign: what is left can be less than nothing."""

_RANGE = re.compile(rf"(@?)(?:(~|{_AMOUNT})?(:))?({_AMOUNT})?")

_HINT = "give 5: for at least 5, ~:5 for at most 5, 1:5 for between, @1:5 for not between"

_FAULTS = {
    r"\s*": "is empty",
    r"@?/.*:.*": "begins with a folder: a shell puts it in the place of ~, unless that is in quotes",
    r".*\s.*": "has a space in it",
    r".*[0-9],[0-9].*": "has a comma; a decimal point is needed",
    r".*[0-9.][eE][+-]?[0-9].*": "has an exponent; a number is written out",
    r".*\+.*": "has a plus sign",
    r".*[0-9]{16}.*": "has too many digits",
    r"[@~:]+": "has no number",
}
"""What is wrong with text of these forms, the first that fits."""


class Range(NamedTuple):
    """Values from `start` to `end`, both included; None is no end on that side."""

    start: Decimal | None = Decimal(0)
    end: Decimal | None = None
    alerts_inside: bool = False

    def alerts(self, value: Decimal | None) -> bool:
        """Tell whether a value raises an alert. None is unlimited: more than every number."""
        is_above = self.start is None or value is None or value >= self.start
        is_below = self.end is None or (value is not None and value <= self.end)
        return (is_above and is_below) == self.alerts_inside

    def alerts_up_to(self, most: Decimal) -> bool:
        """Tell whether every value up to `most` raises an alert: then one does that is known to be no larger."""
        if self.alerts_inside:
            return self.start is None and (self.end is None or most <= self.end)
        return self.start is not None and most < self.start

    def __str__(self) -> str:
        """Return the range as it is written, the start left out where it is 0 and an end is there."""
        at = "@" if self.alerts_inside else ""
        end = "" if self.end is None else f"{self.end:f}"
        if self.start is None:
            return f"{at}~:{end}"
        return f"{at}{end}" if self.start == 0 and end else f"{at}{self.start:f}:{end}"


def parse_range(text: str, source: str) -> Range:
    """Return a range, its ends exactly as written.

    Raises UsageError, which names `source` and says what is wrong, for anything else, and for a range that no value
    can leave: a threshold that never alerts proves nothing.
    """
    match = _RANGE.fullmatch(text)
    if match is None or not (match[2] or match[4]):
        raise UsageError(f"{source}: '{quote(text, 40)}' {_fault(text)}", _HINT)
    start = None if match[2] == "~" else Decimal(match[2] or 0)
    found = Range(start, None if match[4] is None else Decimal(match[4]), bool(match[1]))
    if found.start is None and found.end is None and not found.alerts_inside:
        raise UsageError(f"{source}: '{text}' never alerts", "leave it out, or give 5: for at least 5")
    if found.start is not None and found.end is not None and found.start > found.end:
        raise UsageError(f"{source}: '{text}' ends before it starts", "the smaller number comes first, like 1:5")
    return found


def _fault(text: str) -> str:
    return next((fault for form, fault in _FAULTS.items() if re.fullmatch(form, text, re.DOTALL)), "is not a range")
