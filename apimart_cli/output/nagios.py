"""What a monitoring plugin prints: one line of text and performance data, and more lines of text with `--verbose`.

    APIMART OK - work/key 10.5 USD left | 'work_key_remaining'=10.5;10:;5:;0

Performance data, which monitoring systems draw, are `'label'=value[UOM];[warning];[critical];[minimum]`, all on the
first line, after its only bar. Amounts are exact and have no unit, since plugins have none for money.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from hashlib import sha256
from itertools import accumulate
from typing import TYPE_CHECKING

from apimart_cli.errors import ApimartError
from apimart_cli.output import left_in_words, plain, shortened, whole_seconds, with_unit
from apimart_cli.output.runway import duration_in_words, lasts
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.plugin import WEIGHTS, Examined, Finding, FoundSpend, Range, State, Subject, by_weight, worst
from apimart_cli.text import visible

if TYPE_CHECKING:
    from apimart_cli.rules.books import BooksReading

MOST_TEXT = 2_000
"""About how many bytes of text the first line has at most. Nagios keeps 8 KiB of what a plugin prints."""

MOST_BYTES = 5_000
"""Most bytes of performance data. Nagios keeps 8 KiB of what a plugin prints, and would cut an item anywhere."""

LONGEST_NAME = 60
"""Most characters of the name of a profile in a label, and most cells in a sentence."""

_OBEYED = re.compile(r"[|<]|\\(?=n)|\$(?=[({])")
"""What monitoring systems would obey. A bar begins performance data. Icinga's pages show text with tags as HTML. Nagios
reads a backslash and an n as a new line if a result comes through a file. Notification commands put the text into a
line for a shell."""


def render(found: Sequence[Examined], spends: Sequence[FoundSpend] = (), *, verbose: bool = False) -> str:
    """Return what the plugin prints about these readings and about what was spent, with the worst first."""
    ordered = by_weight(found)
    state = worst([*(each.state for each in found), *(each.state for each in spends)])
    is_alone = len(found) + len(spends) == 1
    # If there are too many sentences, the worst are shown.
    sentences = sorted(
        [*((each.state, _sentence(each, is_alone=is_alone)) for each in ordered), *map(_sentence_of_spend, spends)],
        key=lambda each: WEIGHTS.index(each[0]),
        reverse=True,
    )
    text = _joined([sentence for _, sentence in sentences])
    data = " ".join(filter(None, [performance_data(found), *_data_of_spends(found, spends)]))
    first = f"APIMART {state.name} - {text} | {data}" if data else f"APIMART {state.name} - {text}"
    more = [line for each in ordered for line in _long_text(each)] if verbose else []
    more += map(_text_of_spend, spends) if verbose else []
    return "".join(f"{line}\n" for line in [first, *more])


def render_unknown(error: ApimartError) -> str:
    """Return what the plugin prints if an error comes before there is a reading."""
    return f"APIMART {State.UNKNOWN.name} - {_cut(_with_hint(error))}\n"


def in_words(asked: Range, unit: str | None) -> str:
    """Return what a value must be to raise no alert, in words to put before "required"."""
    start = None if asked.start is None else plain(asked.start)
    end = None if asked.end is None else with_unit(asked.end, unit)
    if asked.alerts_inside:
        if start is None and end is None:
            return "nothing"
        if start is not None and end is not None:
            return f"not {start} to {end}"
        return f"less than {with_unit(asked.start or Decimal(0), unit)}" if end is None else f"more than {end}"
    if end is None:
        return f"at least {with_unit(asked.start or Decimal(0), unit)}"
    return f"at most {end}" if start is None else f"{start} to {end}"


def performance_data(found: Sequence[Examined]) -> str:
    """Return the data of all readings, in their order.

    If there is no room for all, the runways are left out first, then what was used, then what the last ones have left.
    Amounts that are unlimited or unknown are left out: Icinga refuses the `U` that plugins once wrote for them.
    """
    names = _names([each.reading for each in found])
    values = [list(_values(each, name)) for each, name in zip(found, names, strict=True)]
    for kinds in (("remaining", "used", "runway"), ("remaining", "used"), ("remaining",)):
        items = [text for each in values for kind, text in each if kind in kinds]
        if _length(items) <= MOST_BYTES:
            return " ".join(items)
    lengths = accumulate(_length([item]) for item in items)
    return " ".join(item for item, length in zip(items, lengths, strict=True) if length <= MOST_BYTES)


def _joined(sentences: Sequence[str]) -> str:
    """Return as many sentences as fit, at least one, and the number of the others.

    No semicolon separates them, as Nagios shows it as a colon.
    """
    first, *rest = sentences
    shown = _cut(first)
    for number, sentence in enumerate(rest):
        if len(f"{shown}. {sentence}".encode()) > MOST_TEXT:
            return f"{shown}. And {len(rest) - number} more"
        shown = f"{shown}. {sentence}"
    return shown


def _cut(text: str) -> str:
    """Return a text; if it is too long for the line, its beginning and `...`."""
    encoded = text.encode("utf-8", "backslashreplace")
    return text if len(encoded) <= MOST_TEXT else f"{encoded[:MOST_TEXT].decode('utf-8', 'ignore')}..."


def _sentence(found: Examined, *, is_alone: bool) -> str:
    """Return what is left, and each finding that is not OK, with its reason.

    A runway that was asked for is always in it, even if it is not known and that was let pass.
    """
    balance = found.reading.balance
    told = [] if balance is None else [left_in_words(balance, _unit(found.reading))]
    for finding in found.findings:
        if finding.state is not State.OK:
            told.append(f"{finding.state.name.lower()}: {_reason(finding, found, is_alone=is_alone)}")
        elif finding.subject is Subject.RUNWAY:
            told.append(_lasts(found.reading))
    return f"{_name(found.reading)} {', '.join(told)}"


def _reason(finding: Finding, found: Examined, *, is_alone: bool) -> str:
    reading, bounds, unit = found.reading, found.bounds, _unit(found.reading)
    match finding.subject:
        case Subject.READING:
            assert reading.error is not None, "only a failed reading is itself what was found"
            return _with_hint(reading.error) if is_alone else _safe(reading.error.message)
        case Subject.REMAINING:
            asked = bounds.critical if finding.state is State.CRITICAL else bounds.warning
            assert asked is not None, "only a range that is given alerts"
            return f"{_most_left(reading)}{in_words(asked, unit)} required"
        case Subject.USED:
            used = f"{with_unit(reading.balance.used_balance, unit)} used, " if reading.balance else ""
            return f"{used}at most {with_unit(bounds.max_used or Decimal(0), unit)} allowed"
        case Subject.RUNWAY:
            return _reason_of_runway(finding, found)


def _reason_of_runway(finding: Finding, found: Examined) -> str:
    critical, warning = found.bounds.runway_critical, found.bounds.runway_warning
    first, second = (warning, critical) if finding.state is State.WARNING else (critical, warning)
    asked = second if first is None else first
    assert asked is not None, "only a runway that is asked for is found"
    told = f"{_lasts(found.reading)}, " if found.reading.balance else ""
    return f"{told}at least {duration_in_words(asked)} required"


def _most_left(reading: Reading) -> str:
    """Return the most that can be spent, by the one part that is known, if the other is not."""
    known = [part.balance.remain_balance for part in reading.parts if part.balance]
    limits = [remain for remain in known if remain is not None]
    return f"at most {with_unit(min(limits), _unit(reading))} left, " if reading.balance is None and limits else ""


def _long_text(found: Examined) -> Iterator[str]:
    """Yield all lines about one reading."""
    reading, bounds = found.reading, found.bounds
    name, unit = _name(reading), _unit(reading)
    yield f"{name}: {found.state.name.lower()}{f', asked of {_safe(reading.host)}' if reading.host else ''}"
    if reading.balance is not None:
        left, used = left_in_words(reading.balance, unit), with_unit(reading.balance.used_balance, unit)
        yield f"{name}: {left}, {used} used, {_lasts(reading)}"
    if reading.error is not None:
        yield f"{name}: {_with_hint(reading.error)}"
    for word, asked in (("critical", bounds.critical), ("warning", bounds.warning)):
        if asked is not None:
            yield f"{name}: {word} unless {in_words(asked, unit)} left"
    if bounds.max_used is not None:
        yield f"{name}: critical unless at most {with_unit(bounds.max_used, unit)} used"
    for word, shortest in (("critical", bounds.runway_critical), ("warning", bounds.runway_warning)):
        if shortest is not None:
            yield f"{name}: {word} unless it lasts at least {duration_in_words(shortest)}"


def _sentence_of_spend(found: FoundSpend) -> tuple[State, str]:
    state = "" if found.state is State.OK else f"{found.state.name.lower()}: "
    return found.state, f"{_name(found.judged.reading)} {state}{_words_of_spend(found)}"


def _text_of_spend(found: FoundSpend) -> str:
    return f"{_name(found.judged.reading)}: {found.state.name.lower()}, {_words_of_spend(found)}"


def _words_of_spend(found: FoundSpend) -> str:
    from apimart_cli.output.spent import findings

    error = found.judged.reading.error
    return _safe(findings(found.judged)) if error is None else _with_hint(error)


def _name(reading: "Reading | BooksReading") -> str:
    return f"{shortened(_safe(reading.profile), LONGEST_NAME, mark='...')}/{reading.scope}"


def _unit(reading: Reading) -> str | None:
    return None if reading.unit is None else _safe(reading.unit)


def _lasts(reading: Reading) -> str:
    return lasts(reading.forecast, unlimited=reading.balance is not None and reading.balance.unlimited_quota)


def _with_hint(error: ApimartError) -> str:
    return _safe(f"{error.message} ({error.hint})" if error.hint else error.message)


def _safe(text: str) -> str:
    """Return text as one visible line that every monitoring system takes for mere text."""
    # Our hints have commands between backticks.
    shown = visible(text).replace("`", "'")
    return re.sub(_OBEYED, lambda match: f"\\x{ord(match.group()):02x}", shown)


def _length(items: Sequence[str]) -> int:
    """Return how many bytes the items take, with a space after each."""
    return sum(len(item.encode()) + 1 for item in items)


def _values(found: Examined, name: str) -> Iterator[tuple[str, str]]:
    """Yield each value that is known: its kind, and its text."""
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


def _data_of_spends(found: Sequence[Examined], spends: Sequence[FoundSpend]) -> Iterator[str]:
    """Yield the data of what was spent, if there is room for them after those of the readings."""
    room = MOST_BYTES - _length([performance_data(found)])
    for each in spends:
        spent = each.judged.spent
        if spent is None:
            continue
        name = _label(each.judged.reading)
        item = f"'{name}_spent'={plain(spent)};;~:{plain(each.judged.budget.most)};0"
        room -= _length([item])
        if room >= 0:
            yield item


def _runway(reading: Reading) -> int | None:
    """Return for how many whole seconds the balance surely lasts: the low end, which is compared with the bounds."""
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
    """Return the beginning of the labels of each reading; no two are the same."""
    names: dict[str, None] = {}
    for reading in readings:
        name = first = _label(reading)
        number = 1
        while name in names:
            number += 1
            name = f"{first}-{number}"
        names[name] = None
    return list(names)


def _label(reading: "Reading | BooksReading") -> str:
    """Return the profile and scope as the beginning of a label.

    It has no character with a meaning: no quote, `=` or bar, and no colon, at which Icinga splits a label. A name that
    had to be changed or shortened ends in a piece of its hash, as another name may look the same now.
    """
    cleaned = re.sub(r"[^\w.-]", "_", visible(reading.profile))
    if cleaned != reading.profile or len(cleaned) > LONGEST_NAME:
        digest = sha256(reading.profile.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        cleaned = f"{cleaned[:LONGEST_NAME]}-{digest}"
    return f"{cleaned}_{reading.scope}"
