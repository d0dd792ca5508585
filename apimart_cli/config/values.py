"""What each value means: text and the words for its source in, the value out, or a UsageError. Pure: no I/O."""

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from apimart_cli.config.durations import parse_duration, read_seconds
from apimart_cli.errors import UsageError
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, check_timeout, parse_base_url
from apimart_cli.text import quote, visible
from apimart_cli.words import ScopeChoice

T_co = TypeVar("T_co", covariant=True)

MAX_UNIT_LENGTH = 16

MAX_PROFILE_LENGTH = 100

MAX_INTEGER_DIGITS = 15
MAX_FRACTION_DIGITS = 30
"""Most digits of an amount before and after the point: as many as the gateway may send."""


class Number(str):
    """A plain decimal that is to be written without quotes."""

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


class _Fault(NamedTuple):
    reason: str
    hint: str


_NO_NUMBER = _Fault("it is not a plain decimal number", "give a number like 5 or 0.25")

_WRITTEN_OTHERWISE = {
    r"[+-][0-9.,eE+-]+": _Fault("it has a sign", "give a number that is not negative, without a sign, like 5"),
    r"[0-9.]*,[0-9.,]*": _Fault("it has a comma", "a point comes before the decimals, and nothing else is needed"),
    r"[0-9.]+[eE][+-]?[0-9]+": _Fault("it has an exponent", "write the number out, like 1000"),
}
"""Numbers in another form than ours, and what is wrong with each."""


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


def parse_timeout(text: str, source: str) -> float:
    """Return a time limit in seconds: `10`, or a duration like `10s`."""
    return check_timeout(float(read_seconds(text, source)), source)


def parse_remind(text: str, source: str) -> timedelta:
    """Return after which time an alert is given again."""
    return parse_duration(text, source, usual="h")


def parse_scope(text: str, source: str) -> ScopeChoice:
    """Return which balance to ask for."""
    try:
        return ScopeChoice(text)
    except ValueError:
        raise UsageError(f"{source}: {shown(text)} is not a scope", "give key, account, both or spendable") from None


def parse_unit(text: str, source: str) -> str:
    """Return the words to show beside amounts."""
    if not _is_word(text, MAX_UNIT_LENGTH):
        raise UsageError(
            f"{source}: {shown(text)} is not a unit",
            f"give a short word like USD, at most {MAX_UNIT_LENGTH} characters",
        )
    return text


def parse_new_profile(text: str, source: str) -> str:
    """Return the name of a profile that may be written to the file; one that looks like a key is a mistake."""
    if not text:
        raise empty(source, "give a word like work")
    if not _is_word(text, MAX_PROFILE_LENGTH):
        raise UsageError(
            f"{source}: {shown(text)} cannot name a profile",
            f"give a word like work, at most {MAX_PROFILE_LENGTH} characters",
        )
    return text


def parse_command(text: str, source: str) -> tuple[str, ...]:
    """Return the words of a command: quotes and backslashes as in a shell, and nothing else of a shell."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{source}: {error}", "quote the words as for a shell") from None
    if not words:
        raise UsageError(f"{source}: the command is empty", "give the command as one argument: 'pass show apimart'")
    return tuple(words)


def parse_rearm(text: str, source: str) -> Decimal:
    """Return by what `min` is multiplied for what is enough again."""
    factor = parse_amount(text, source)
    if factor < 1:
        raise UsageError(f"{source}: {shown(text)} is less than 1", "give a number like 1.2, or 1")
    return factor


def parse_switch(text: str, source: str) -> bool:
    """Return whether something is on."""
    if text not in {"true", "false"}:
        raise UsageError(f"{source}: {shown(text)} is neither true nor false", "give true or false")
    return text == "true"


def _is_word(text: str, longest: int) -> bool:
    """Tell whether `text` may stand on a screen as it is, and is neither empty nor longer than `longest` characters."""
    return 0 < len(text) <= longest and visible(text) == text


def nonempty(environ: Mapping[str, str], variable: str) -> str:
    """Return a variable that is set. An empty one is an error: CI systems make a missing secret an empty string."""
    if environ[variable]:
        return environ[variable]
    raise UsageError(f"{variable} is set but empty", "unset it, or give it a value")


def empty(source: str, hint: str) -> UsageError:
    """Return the error for a value that has nothing in it."""
    return UsageError(f"{source} is empty", hint)


def shown(text: str) -> str:
    """Return text from outside as messages quote it."""
    return f"'{quote(text, 40)}'"


class Rule(NamedTuple, Generic[T_co]):
    """How one setting is found and read."""

    name: str
    parse: Callable[[str, str], T_co]
    default: T_co
    variable: str | None = None


BASE_URL = Rule("base_url", parse_base_url, DEFAULT_BASE_URL, "APIMART_BASE_URL")
TIMEOUT = Rule("timeout", parse_timeout, DEFAULT_TIMEOUT, "APIMART_TIMEOUT")
SCOPE = Rule("scope", parse_scope, ScopeChoice.KEY)
UNIT: Rule[str | None] = Rule("unit", parse_unit, None)
MIN: Rule[Decimal | None] = Rule("min", parse_amount, None)
MAX_USED: Rule[Decimal | None] = Rule("max_used", parse_amount, None)
MIN_RUNWAY: Rule[timedelta | None] = Rule("min_runway", parse_duration, None)
ON_LOW: Rule[tuple[str, ...] | None] = Rule("on_low", parse_command, None)
ON_RECOVER: Rule[tuple[str, ...] | None] = Rule("on_recover", parse_command, None)
ON_STOP: Rule[tuple[str, ...] | None] = Rule("on_stop", parse_command, None)
REARM = Rule("rearm", parse_rearm, Decimal("1.2"))
REMIND: Rule[timedelta | None] = Rule("remind", parse_remind, None)
RECORD: Rule[bool | None] = Rule("record", parse_switch, None)
BACKGROUND_KEYS = Rule("background_keys", parse_switch, default=False)

RULES: Mapping[str, Rule[object]] = {
    rule.name: rule
    for rule in (
        BASE_URL, TIMEOUT, SCOPE, UNIT, MIN, MAX_USED, MIN_RUNWAY, ON_LOW, ON_RECOVER, REARM, REMIND, RECORD,
        BACKGROUND_KEYS,
    )
}  # fmt: skip
"""Every setting but the profile and the key. A new setting is one line here and one in `names.SHARED_NAMES`."""
