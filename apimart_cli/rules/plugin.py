"""The plugin for Nagios: readings and the ranges they are held to in, a state of Nagios out. Pure, as the gate is.

There is one path to `OK`: every reading is a balance, each was held to something, and nothing raised an alert.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, NamedTuple, assert_never

from apimart_cli.choices import WhenNoForecast, WhenUnavailable
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.rules.gate import Thresholds, judge_reading
from apimart_cli.text import quote
from apimart_cli.words import Outcome

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend


_AMOUNT = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
"""An amount as options take it, but with a sign, as what is left can be negative."""

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
"""What is wrong with text of these forms. The first form that fits counts."""


class Range(NamedTuple):
    """A range as plugins take it, `[@][start:]end`: values from `start` to `end`, both included; None is no end.

    A value outside of the range alerts; with `@`, a value inside (monitoring-plugins.org, development guidelines).
    """

    start: Decimal | None = Decimal(0)
    end: Decimal | None = None
    alerts_inside: bool = False

    def alerts(self, value: Decimal | None) -> bool:
        """Tell whether a value raises an alert. None is unlimited, which is more than every number."""
        is_above = self.start is None or value is None or value >= self.start
        is_below = self.end is None or (value is not None and value <= self.end)
        return (is_above and is_below) == self.alerts_inside

    def alerts_up_to(self, most: Decimal) -> bool:
        """Tell whether every value up to `most` raises an alert, and so any value that is at most `most`."""
        if self.alerts_inside:
            return self.start is None and (self.end is None or most <= self.end)
        return self.start is not None and most < self.start

    def __str__(self) -> str:
        """Return the range as it is written, without a start of 0 if there is an end."""
        at = "@" if self.alerts_inside else ""
        end = "" if self.end is None else f"{self.end:f}"
        if self.start is None:
            return f"{at}~:{end}"
        return f"{at}{end}" if self.start == 0 and end else f"{at}{self.start:f}:{end}"


def parse_range(text: str, source: str) -> Range:
    """Return a range, its ends exactly as written. Without a start it begins at 0; a start of `~` is no lower end.

    Raises UsageError, which names `source` and says what is wrong, for other text, and for a range that contains all
    values: a threshold that never alerts proves nothing.
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


class State(IntEnum):
    """The state that a plugin reports; the value is its exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


WEIGHTS = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)
"""The order of `max_state_alt` of monitoring-plugins: in that of their `max_state`, an OK outweighs an UNKNOWN."""


class Subject(StrEnum):
    """What a state is about."""

    READING = "reading"
    """The reading itself: there is no balance."""
    REMAINING = "remaining"
    USED = "used"
    RUNWAY = "runway"


class Bounds(NamedTuple):
    """What the readings of a profile are held to. Amounts are in the gateway's unit."""

    warning: Range | None = None
    """Holds the remaining balance, as `critical` does."""
    critical: Range | None = None
    max_used: Decimal | None = None
    """It is critical if more than this was used."""
    runway_warning: timedelta | None = None
    """It is a warning if the balance may not last this long; `runway_critical` likewise."""
    runway_critical: timedelta | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any bound."""
        return self != Bounds()


class Choices(NamedTuple):
    """Which state the user chose for what is not known."""

    unavailable: WhenUnavailable = WhenUnavailable.UNKNOWN
    no_forecast: WhenNoForecast = WhenNoForecast.UNKNOWN


class Finding(NamedTuple):
    """One state, and what it is about."""

    state: State
    subject: Subject


class Examined(NamedTuple):
    """One reading, what it was held to, and what was found."""

    reading: Reading
    bounds: Bounds
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The state of this reading."""
        return worst(finding.state for finding in self.findings)


class FoundSpend(NamedTuple):
    """What was spent, what it was held to, and the state of that."""

    judged: "JudgedSpend"
    state: State


def examine_spend(judged: "JudgedSpend", choices: Choices) -> FoundSpend:
    """Return the state of what was spent: critical where it is more than its budget."""
    match judged.outcome:
        case Outcome.BELOW:
            return FoundSpend(judged, _state(is_critical=True))
        case Outcome.PASS:
            return FoundSpend(judged, _state(is_critical=False))
        case _:
            return FoundSpend(judged, _state_of_failure(judged.reading.error, choices))


def worst(states: Iterable[State]) -> State:
    """Return the state that decides: critical, then warning, then unknown; UNKNOWN if there is none."""
    return max(states, key=WEIGHTS.index, default=State.UNKNOWN)


def by_weight(found: Iterable[Examined]) -> list[Examined]:
    """Return what was found, the worst first; equal states stay in their order."""
    return sorted(found, key=lambda each: WEIGHTS.index(each.state), reverse=True)


def examine(reading: Reading, bounds: Bounds, choices: Choices) -> Examined:
    """Hold one reading to its bounds. Raises UsageError if there is none, as nothing would be checked."""
    if not bounds.are_set:
        raise UsageError("there is no threshold to check", "give -w, -c, --runway-warning or --runway-critical")
    match reading.result:
        case PaymentRequiredError():
            findings = [Finding(State.CRITICAL, Subject.READING)]
        case ApimartError() as error:
            findings = [Finding(_state_of_failure(error, choices), Subject.READING), *_proved_by_part(reading, bounds)]
        case Balance() as balance:
            findings = list(_of_balance(reading, balance, bounds, choices))
        case impossible:
            assert_never(impossible)
    return Examined(reading, bounds, tuple(findings))


def _state_of_failure(error: ApimartError | None, choices: Choices) -> State:
    """Return the state that the user chose for a missing answer; UNKNOWN for a bug of ours, or for no reason."""
    is_meant = isinstance(error, AuthError | UnavailableError | BadResponseError)
    return State[choices.unavailable.name] if is_meant else State.UNKNOWN


def _of_balance(reading: Reading, balance: Balance, bounds: Bounds, choices: Choices) -> Iterator[Finding]:
    if bounds.warning is not None or bounds.critical is not None:
        is_critical = bounds.critical is not None and bounds.critical.alerts(balance.remain_balance)
        is_warning = bounds.warning is not None and bounds.warning.alerts(balance.remain_balance)
        yield Finding(_state(is_critical=is_critical, is_warning=is_warning), Subject.REMAINING)
    if bounds.max_used is not None:
        yield Finding(_state(is_critical=_is_below(reading, max_used=bounds.max_used)), Subject.USED)
    if bounds.runway_warning is not None or bounds.runway_critical is not None:
        yield Finding(_state_of_runway(reading, bounds, choices), Subject.RUNWAY)


def _proved_by_part(reading: Reading, bounds: Bounds) -> Iterator[Finding]:
    """Yield what one part of what can be spent proves by itself, although the other part failed.

    What can be spent is at most what each part has left.
    """
    known = [part.balance.remain_balance for part in reading.parts if part.balance is not None]
    limits = [remain for remain in known if remain is not None]
    if any(bounds.critical is not None and bounds.critical.alerts_up_to(limit) for limit in limits):
        yield Finding(State.CRITICAL, Subject.REMAINING)
    elif any(bounds.warning is not None and bounds.warning.alerts_up_to(limit) for limit in limits):
        yield Finding(State.WARNING, Subject.REMAINING)
    if bounds.max_used is not None and _is_below(reading, max_used=bounds.max_used):
        yield Finding(State.CRITICAL, Subject.USED)
    if bounds.runway_critical is not None and _is_below(reading, min_runway=bounds.runway_critical):
        yield Finding(State.CRITICAL, Subject.RUNWAY)
    elif bounds.runway_warning is not None and _is_below(reading, min_runway=bounds.runway_warning):
        yield Finding(State.WARNING, Subject.RUNWAY)


def _state_of_runway(reading: Reading, bounds: Bounds, choices: Choices) -> State:
    critical, warning = (
        judge_reading(reading, Thresholds(min_runway=shortest))
        for shortest in (bounds.runway_critical, bounds.runway_warning)
    )
    states = [_state(is_critical=critical is Outcome.BELOW, is_warning=warning is Outcome.BELOW)]
    if Outcome.NO_FORECAST in {critical, warning}:
        states.append(_state_without_forecast(reading, choices))
    return worst(states)


def _state_without_forecast(reading: Reading, choices: Choices) -> State:
    """Return the state that the user chose; at least UNKNOWN if a history cannot be read: it may say "too short"."""
    chosen = State[choices.no_forecast.name]
    forgiving = judge_reading(reading, Thresholds(min_runway=timedelta(0)), no_forecast_passes=True)
    return chosen if forgiving is Outcome.PASS else worst([chosen, State.UNKNOWN])


def _is_below(reading: Reading, *, max_used: Decimal | None = None, min_runway: timedelta | None = None) -> bool:
    return judge_reading(reading, Thresholds(max_used=max_used, min_runway=min_runway)) is Outcome.BELOW


def _state(*, is_critical: bool, is_warning: bool = False) -> State:
    return State.CRITICAL if is_critical else State.WARNING if is_warning else State.OK
