"""What each value means: text and the words for its source in, the value out, or a UsageError. Pure: no I/O, no clock.

`RULES` says for each setting which parser reads it, its default, and the variable that can set it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import PurePath, PureWindowsPath
from typing import Generic, NamedTuple, TypeVar

from apimart_cli.config.names import suggestion
from apimart_cli.errors import UsageError
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, check_timeout, is_plain_http, parse_base_url
from apimart_cli.text import quote, visible
from apimart_cli.words import ScopeChoice, Since

T_co = TypeVar("T_co", covariant=True)

ESCAPE = "" if isinstance(PurePath(), PureWindowsPath) else "\\"
"""What takes the meaning of the next letter in a command."""

MAX_UNIT_LENGTH = 16

MAX_PROFILE_LENGTH = 100

MAX_INTEGER_DIGITS = 15
MAX_FRACTION_DIGITS = 30
"""Most digits of an amount before and after the point: as many as the gateway may send."""


UNITS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60, "w": 7 * 24 * 60 * 60}
"""Seconds in each unit."""

LONGEST = timedelta(days=3650)
"""Ten years: more is most likely a mistake."""


LEAST_IN_SANDBOX = 0.1
"""Least seconds between two questions to the sandbox."""


FIRST_YEAR = 2020
"""No gateway of this family is older, so there are no older readings."""


class Number(str):
    """A plain decimal, which a config file has without quotes."""

    __slots__ = ()


def parse_amount(text: str, source: str) -> Decimal:
    """Return an amount written as a plain decimal, exactly: `5`, `0.25`, `.5`.

    Raises UsageError, which names `source` and says what is wrong, for anything else.
    """
    if not text:
        raise empty(source, _NO_NUMBER.hint)
    fault = _amount_fault(text)
    if fault:
        raise UsageError(f"{source}: {shown(text)} is not an amount: {fault.reason}", fault.hint)
    return Decimal(text)


def parse_rearm(text: str, source: str) -> Decimal:
    """Return the factor from a threshold to the amount or time that is enough again."""
    factor = parse_amount(text, source)
    if factor < 1:
        raise UsageError(f"{source}: {shown(text)} is less than 1", "give a number like 1.2, or 1")
    return factor


def parse_duration(text: str, source: str, *, usual: str = "d") -> timedelta:
    """Return a duration of one number and one unit, to the microsecond: `90s`, `15m`, `36h`, `3d`, `2w`, `1.5h`.

    Raises UsageError, which names `source` and what is wrong, for anything else: no unit, a sign, an exponent, more
    than one number, more than ten years. For a number without a unit the hint proposes the `usual` one.
    """
    seconds = _seconds(text, source, usual)
    if seconds > LONGEST.total_seconds():
        raise too_long(text, source)
    return timedelta(microseconds=int(seconds * 1_000_000))


def parse_remind(text: str, source: str) -> timedelta:
    """Return the time after which an alert is given again."""
    return parse_duration(text, source, usual="h")


def parse_seconds(text: str, source: str) -> float:
    """Return the seconds of a duration of at most ten years, as `read_seconds` does. Raises UsageError."""
    seconds = read_seconds(text, source)
    if seconds > LONGEST.total_seconds():
        raise too_long(text, source)
    return float(seconds)


def parse_timeout(text: str, source: str) -> float:
    """Return a time limit in seconds: `10`, or a duration like `10s`."""
    return check_timeout(float(read_seconds(text, source)), source)


def read_seconds(text: str, source: str) -> Decimal:
    """Return the seconds of a duration; a number without a unit is in seconds, as for GNU timeout.

    Raises UsageError as `parse_duration` does, but not for more than ten years.
    """
    return Decimal(text) if re.fullmatch(_NUMBER, text) else _seconds(text, source)


def parse_interval(text: str, *, least: float, example: str, source: str = "--interval") -> float:
    """Return the seconds between two questions. Raises UsageError, with the `example`, for less than `least`."""
    seconds = parse_seconds(text, source)
    if seconds < least:
        raise UsageError(f"{source}: must be at least {least:g} seconds", f"give {example}")
    return seconds


def least_interval(base_urls: Iterable[str], environ: Mapping[str, str]) -> float:
    """Return the shortest interval that is allowed: the sandbox of this machine may be asked nearly all the time."""
    is_sandbox = "APIMART_SANDBOX" in environ and all(map(is_plain_http, base_urls))
    from apimart_cli.rules.pace import LEAST_INTERVAL

    return LEAST_IN_SANDBOX if is_sandbox else LEAST_INTERVAL


def parse_whole_days(text: str, source: str, *, most: int) -> int:
    """Return a number of days, from 1 to `most`: `14`, `14d` or `2w`. Raises UsageError for anything else."""
    days = (Decimal(text) if re.fullmatch(_NUMBER, text) else _seconds(text, source, "d") / UNITS["d"]).normalize()
    if days != int(days) or not 1 <= days <= most:
        raise UsageError(
            f"{source}: '{text}' is not a number of days from 1 to {most}", "give whole days, like 14 or 14d"
        )
    return int(days)


def parse_past_day(text: str, source: str, now: datetime) -> datetime:
    """Return when a day like `2026-11-20`, at most today, begins in UTC. Raises UsageError for anything else."""
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


SHORTEST_WITHIN = timedelta(minutes=1)
"""A shorter time than the gateway's books are late says nothing."""

LONGEST_WITHIN = timedelta(days=31)


def parse_within(text: str, source: str) -> timedelta | Since:
    """Return the time in which spend counts: a duration, `today` or `month`."""
    if text in set(Since):
        return Since(text)
    if re.fullmatch("[a-z]{4,}", text):
        close = suggestion(text, list(Since), "give a duration like 24h, today or month")
        raise UsageError(f"{source}: {shown(text)} is no time", close)
    within = parse_duration(text, source, usual="h")
    if not SHORTEST_WITHIN <= within <= LONGEST_WITHIN:
        raise UsageError(f"{source}: {shown(text)} is not between a minute and 31 days", "give a time like 24h or 7d")
    return within


def parse_books(text: str, source: str) -> bool:
    """Return whether the gateway's books may be asked for forecasts: 1 or 0 in the variable, elsewhere a switch."""
    if source != "APIMART_BOOKS":
        return parse_switch(text, source)
    if text not in {"1", "0"}:
        raise UsageError(f"APIMART_BOOKS: {shown(text)} is neither 1 nor 0", "set it to 1 or 0, or unset it")
    return text == "1"


def parse_scope(text: str, source: str) -> ScopeChoice:
    """Return which balance to ask for."""
    try:
        return ScopeChoice(text)
    except ValueError:
        raise UsageError(f"{source}: {shown(text)} is not a scope", "give key, account, both or spendable") from None


def parse_unit(text: str, source: str) -> str:
    """Return the unit to show with amounts."""
    if not _is_word(text, MAX_UNIT_LENGTH):
        raise UsageError(
            f"{source}: {shown(text)} is not a unit",
            f"give a short word like USD, at most {MAX_UNIT_LENGTH} characters",
        )
    return text


def parse_new_profile(text: str, source: str) -> str:
    """Return the name of a profile that may be written to the file. Raises UsageError for hidden characters."""
    if not text:
        raise empty(source, "give a word like work")
    if not _is_word(text, MAX_PROFILE_LENGTH):
        raise UsageError(
            f"{source}: {shown(text)} cannot name a profile",
            f"give a word like work, at most {MAX_PROFILE_LENGTH} characters",
        )
    return text


def parse_command(text: str, source: str) -> tuple[str, ...]:
    """Return the words of a command. Quotes and backslashes work as in a shell, and nothing else does.

    Where a backslash stands between folders, it is a letter like others.
    """
    from shlex import shlex

    lexer = shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ESCAPE
    try:
        words = list(lexer)
    except ValueError as error:
        raise UsageError(f"{source}: {error}", "quote the words as for a shell") from None
    if not words:
        raise UsageError(f"{source}: the command is empty", "give the command as one argument: 'pass show apimart'")
    return tuple(words)


def parse_switch(text: str, source: str) -> bool:
    """Return whether something is on."""
    if text not in {"true", "false"}:
        raise UsageError(f"{source}: {shown(text)} is neither true nor false", "give true or false")
    return text == "true"


def nonempty(environ: Mapping[str, str], variable: str) -> str:
    """Return a variable that is set. Raises UsageError for an empty one: CI systems make that of a missing secret."""
    if environ[variable]:
        return environ[variable]
    raise UsageError(f"{variable} is set but empty", "unset it, or give it a value")


def empty(source: str, hint: str) -> UsageError:
    """Return the error for an empty value."""
    return UsageError(f"{source} is empty", hint)


def too_long(text: str, source: str) -> UsageError:
    """Return the error for more than ten years."""
    return UsageError(f"{source}: '{text}' is longer than ten years", f"give at most {LONGEST.days}d")


def shown(text: str) -> str:
    """Return text from outside as messages quote it."""
    return f"'{quote(text, 40)}'"


def shortest(duration: timedelta) -> str:
    """Return a duration in the largest unit, at most days, that needs no fraction: `3d`, `36h`."""
    seconds = Decimal(duration // timedelta(microseconds=1)) / 1_000_000
    unit = next((unit for unit in "dhm" if not seconds % UNITS[unit]), "s")
    return f"{(seconds / UNITS[unit]).normalize():f}{unit}"


_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}"


def _seconds(text: str, source: str, usual: str | None = None) -> Decimal:
    """Return the seconds of a number and a unit. `usual` is the unit to propose; None if a number alone is allowed."""
    match = re.fullmatch(rf"({_NUMBER})([smhdw])", text)
    if match is None:
        raise UsageError(f"{source}: '{quote(text, 40)}' {_fault(text)}", _hint(text, usual))
    number, unit = match.groups()
    return Decimal(number) * UNITS[unit]


def _fault(text: str) -> str:
    """Say what is wrong with text that is no duration. The most common mistakes come first."""
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


class _Fault(NamedTuple):
    reason: str
    hint: str


_NO_NUMBER = _Fault("it is not a plain decimal number", "give a number like 5 or 0.25")

_WRITTEN_OTHERWISE = {
    r"[+-][0-9.,eE+-]+": _Fault("it has a sign", "give a number that is not negative, without a sign, like 5"),
    r"[0-9.]*,[0-9.,]*": _Fault("it has a comma", "a point comes before the decimals, and nothing else is needed"),
    r"[0-9.]+[eE][+-]?[0-9]+": _Fault("it has an exponent", "write the number out, like 1000"),
}
"""Numbers in other forms, and what is wrong with each."""


def _amount_fault(text: str) -> _Fault | None:
    number = re.fullmatch(r"([0-9]*)(?:\.([0-9]+))?", text)
    if number is None:
        return next((fault for form, fault in _WRITTEN_OTHERWISE.items() if re.fullmatch(form, text)), _NO_NUMBER)
    before, after = number.groups(default="")
    if len(before) > MAX_INTEGER_DIGITS:
        return _Fault(f"it has more than {MAX_INTEGER_DIGITS} digits before the point", "give a smaller number")
    if len(after) > MAX_FRACTION_DIGITS:
        return _Fault(f"it has more than {MAX_FRACTION_DIGITS} digits after the point", "give fewer of them")
    return None


def _is_word(text: str, longest: int) -> bool:
    """Tell whether `text` can be shown as it is, and has from 1 to `longest` characters."""
    return 0 < len(text) <= longest and visible(text) == text


class Rule(NamedTuple, Generic[T_co]):
    """How to find and read one setting."""

    name: str
    parse: Callable[[str, str], T_co]
    default: T_co
    variable: str | None = None


BASE_URL = Rule("base_url", parse_base_url, DEFAULT_BASE_URL, "APIMART_BASE_URL")
TIMEOUT = Rule("timeout", parse_timeout, DEFAULT_TIMEOUT, "APIMART_TIMEOUT")
SCOPE = Rule("scope", parse_scope, ScopeChoice.KEY)
UNIT: Rule[str | None] = Rule("unit", parse_unit, None, "APIMART_UNIT")
MIN: Rule[Decimal | None] = Rule("min", parse_amount, None)
MAX_USED: Rule[Decimal | None] = Rule("max_used", parse_amount, None)
MIN_RUNWAY: Rule[timedelta | None] = Rule("min_runway", parse_duration, None)
MAX_SPENT: Rule[Decimal | None] = Rule("max_spent", parse_amount, None)
WITHIN: Rule[timedelta | Since | None] = Rule("within", parse_within, None)
ON_LOW: Rule[tuple[str, ...] | None] = Rule("on_low", parse_command, None)
ON_RECOVER: Rule[tuple[str, ...] | None] = Rule("on_recover", parse_command, None)
ON_STOP: Rule[tuple[str, ...] | None] = Rule("on_stop", parse_command, None)
REARM = Rule("rearm", parse_rearm, Decimal("1.2"))
REMIND: Rule[timedelta | None] = Rule("remind", parse_remind, None)
RECORD: Rule[bool | None] = Rule("record", parse_switch, None)
BOOKS = Rule("books", parse_books, default=True, variable="APIMART_BOOKS")
BACKGROUND_KEYS = Rule("background_keys", parse_switch, default=False)

RULES: Mapping[str, Rule[object]] = {
    rule.name: rule
    for rule in (
        BASE_URL, TIMEOUT, SCOPE, UNIT, MIN, MAX_USED, MIN_RUNWAY, MAX_SPENT, WITHIN, ON_LOW, ON_RECOVER, REARM,
        REMIND, RECORD, BOOKS, BACKGROUND_KEYS,
    )
}  # fmt: skip
"""Every setting but the profile and the key. A new setting is one line here and one in `names.SHARED_NAMES`."""
