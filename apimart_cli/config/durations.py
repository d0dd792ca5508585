"""Durations as people write them: `90s`, `15m`, `36h`, `3d`, `2w`; in some places also `90`. Pure: no I/O."""

import re
from datetime import timedelta
from decimal import Decimal

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

UNITS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
"""Seconds in each unit."""

LONGEST = timedelta(days=3650)
"""Ten years: more is a slip of the hand."""

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}"


def parse_duration(text: str, source: str, *, usual: str = "d") -> timedelta:
    """Return a whole or decimal number of one unit, to the microsecond.

    Raises UsageError, which names `source` and what is wrong, for anything else: no unit, a sign, an exponent, more
    than one number, more than ten years. For a number alone the hint proposes the unit that is `usual` there.
    """
    seconds = _seconds(text, source, usual)
    if seconds > LONGEST.total_seconds():
        raise too_long(text, source)
    return timedelta(microseconds=int(seconds * 1_000_000))


def read_seconds(text: str, source: str) -> Decimal:
    """Return the seconds of a duration, however many; a number alone is in seconds, as for GNU timeout.

    Raises UsageError as `parse_duration`, but not for more than ten years.
    """
    return Decimal(text) if re.fullmatch(_NUMBER, text) else _seconds(text, source)


def parse_whole_days(text: str, source: str, *, most: int) -> int:
    """Return a number of days, from 1 to `most`: `14`, `14d` or `2w`. Raises UsageError for anything else."""
    days = (Decimal(text) if re.fullmatch(_NUMBER, text) else _seconds(text, source, "d") / UNITS["d"]).normalize()
    if days != int(days) or not 1 <= days <= most:
        raise UsageError(
            f"{source}: '{text}' is not a number of days from 1 to {most}", "give whole days, like 14 or 14d"
        )
    return int(days)


def _seconds(text: str, source: str, usual: str | None = None) -> Decimal:
    """Return the seconds of a number and a unit. `usual` is the unit that is proposed; None where none is needed."""
    match = re.fullmatch(rf"({_NUMBER})([smhdw])", text)
    if match is None:
        raise UsageError(f"{source}: '{quote(text, 40)}' {_fault(text)}", _hint(text, usual))
    number, unit = match.groups()
    return Decimal(number) * UNITS[unit]


def too_long(text: str, source: str) -> UsageError:
    """Return the error for more than ten years."""
    return UsageError(f"{source}: '{text}' is longer than ten years", f"give at most {LONGEST.days}d")


def shortest(duration: timedelta) -> str:
    """Return a duration in the largest unit, up to days, that it is a whole number of: `3d`, `36h`."""
    seconds = Decimal(duration // timedelta(microseconds=1)) / 1_000_000
    unit = next((unit for unit in "dhm" if not seconds % UNITS[unit]), "s")
    return f"{(seconds / UNITS[unit]).normalize():f}{unit}"


def _fault(text: str) -> str:
    """Say what is wrong with text that is no duration, the commonest mistakes first."""
    if not text.strip():
        return "is empty; a duration is needed"
    if text[0] in "+-":
        return "has a sign; a duration has none"
    if re.fullmatch(r"[0-9.]+e[+-]?[0-9]+[a-z]*", text, re.IGNORECASE):
        return "has an exponent; a duration is written out"
    if re.fullmatch(_NUMBER, text):
        return "has no unit"
    if re.fullmatch(r"[smhdw]", text):
        return "has no number"
    if "," in text:
        return "has a comma; a decimal point is needed"
    if re.fullmatch(r"[0-9.]{11,}[smhdw]?", text):
        return "has too many digits"
    return "is not a duration"


def _hint(text: str, usual: str | None) -> str:
    if usual is not None and re.fullmatch(_NUMBER, text):
        return f"give a unit: {text}{usual}"
    if re.fullmatch(rf"(?:(?:{_NUMBER})[smhdw]){{2,}}", text):
        return "give one number and one unit, like 90m for 1h30m"
    if usual is None:
        return "give seconds, like 10 or 2.5, or a number and a unit, like 10s or 5m"
    return "give a number and a unit, like 90s, 15m, 36h, 3d or 2w"
