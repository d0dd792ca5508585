"""Days, as options have them: `2026-11-20`, which begins at 00:00 UTC. Pure: no I/O, no clock."""

import re
from datetime import UTC, datetime

from apimart_cli.config.values import shown
from apimart_cli.errors import UsageError

FIRST_YEAR = 2020
"""No gateway of this family is older, and so is no reading."""


def parse_past_day(text: str, source: str, now: datetime) -> datetime:
    """Return the beginning of a day up to today. Raises UsageError, which names `source`, for anything else."""
    hint = "give a day like 2026-11-20"
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise UsageError(f"{source}: {shown(text)} is not a day", hint)
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{source}: there is no day {shown(text)}", hint) from None
    if day.year < FIRST_YEAR:
        raise UsageError(f"{source}: {text} is before {FIRST_YEAR}: no reading is that old", hint)
    if day > now:
        raise UsageError(f"{source}: {text} is in the future", "give today, in UTC, or a day before")
    return day
