"""Performance data: what a monitoring system draws, `'label'=value[UOM];[warning];[critical];[minimum]`.

A label has no character that means something to somebody: no quote, `=` or bar, and no colon, at which Icinga takes a
label apart. Amounts are exact and bare, since no plugin has a currency for its unit. What is unlimited or unknown is
left out: Icinga refuses the `U` that plugins once wrote for it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from hashlib import sha256
from itertools import accumulate

from apimart_cli.balance import Reading
from apimart_cli.output.amounts import plain, whole_seconds
from apimart_cli.plugin import Found
from apimart_cli.text import visible

MOST_BYTES = 5_000
"""Bytes of performance data. Nagios keeps 8 KiB of what a plugin prints: an item more would be cut anywhere."""

LONGEST_NAME = 60
"""Characters of the name of a profile in a label."""


def performance_data(found: Sequence[Found]) -> str:
    """Return the data of all readings, in their order.

    Where there is no room for all, first the runways are left out, then what was used, then what is left of the last.
    """
    names = _names([each.reading for each in found])
    values = [list(_values(each, name)) for each, name in zip(found, names, strict=True)]
    for kinds in (("remaining", "used", "runway"), ("remaining", "used"), ("remaining",)):
        items = [text for each in values for kind, text in each if kind in kinds]
        if _length(items) <= MOST_BYTES:
            return " ".join(items)
    lengths = accumulate(_length([item]) for item in items)
    return " ".join(item for item, length in zip(items, lengths, strict=True) if length <= MOST_BYTES)


def _length(items: Sequence[str]) -> int:
    """Return how many bytes the items take, with a space after each."""
    return sum(len(item.encode()) + 1 for item in items)


def _values(found: Found, name: str) -> Iterator[tuple[str, str]]:
    """Yield each value that is known: its kind, and how it is written."""
    balance, bounds = found.reading.balance, found.bounds
    if balance is None:
        return
    if balance.remain_balance is not None:
        warning, critical = (f"{asked or ''}" for asked in (bounds.warning, bounds.critical))
        yield "remaining", f"'{name}_remaining'={plain(balance.remain_balance)};{warning};{critical};0"
    most_used = "" if bounds.max_used is None else f"~:{plain(bounds.max_used)}"
    yield "used", f"'{name}_used'={plain(balance.used_balance)};;{most_used};0"
    seconds = _runway(found.reading)
    if seconds is not None:
        warning, critical = (_at_least(shortest) for shortest in (bounds.runway_warning, bounds.runway_critical))
        yield "runway", f"'{name}_runway'={seconds}s;{warning};{critical};0"


def _runway(reading: Reading) -> int | None:
    """Return for how many whole seconds the balance surely lasts, the low end, which is what is held to bounds."""
    days = reading.forecast.days_left_low if reading.forecast is not None else None
    if days is None:
        return None
    return int(whole_seconds(days, ROUND_FLOOR))


def _at_least(shortest: timedelta | None) -> str:
    if shortest is None:
        return ""
    seconds = Decimal(shortest // timedelta(microseconds=1)) / 1_000_000
    return f"{seconds.normalize():f}:"


def _names(readings: Sequence[Reading]) -> list[str]:
    """Return what the labels of each reading begin with: no two are the same."""
    names: dict[str, None] = {}
    for reading in readings:
        name = first = _label(reading)
        number = 1
        while name in names:
            number += 1
            name = f"{first}-{number}"
        names[name] = None
    return list(names)


def _label(reading: Reading) -> str:
    """Return the profile and scope as a label begins with them.

    A name that had to be changed, or shortened, ends in a piece of its hash: another may look the same by now.
    """
    cleaned = re.sub(r"[^\w.-]", "_", visible(reading.profile))
    if cleaned != reading.profile or len(cleaned) > LONGEST_NAME:
        digest = sha256(reading.profile.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        cleaned = f"{cleaned[:LONGEST_NAME]}-{digest}"
    return f"{cleaned}_{reading.scope}"
