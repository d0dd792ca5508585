"""Readings and verdicts as text: one renderer a format, in one table. Pure; the only importer of rich.

Amounts keep every digit that the gateway sent, trailing zeros included; an exponent is written out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal, localcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.balance import Balance, Reading, Scope, Spendable, with_spendable
from apimart_cli.errors import ApimartError, PaymentRequiredError
from apimart_cli.gate import Outcome, Thresholds, Verdict
from apimart_cli.settings import ConfigReport, SettingRow
from apimart_cli.streams import Screen
from apimart_cli.text import visible, without_keys

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SCHEMA = 1
"""Version of the JSON documents; it changes when a field changes its meaning or goes."""

SPENDABLE = "spendable"
"""What stands in the place of the scope for what can be spent with a key and its account together."""

EXACT_DIGITS = 100
"""Digits that a sum may have: more than any amounts the parser lets through can add up to."""

WIDEST_COLUMN = 40
"""Most characters to which a column of settings grows."""

LOW_SHARE = Decimal("0.1")
"""Below this share of what there ever was, a balance is called low."""


class OutputFormat(StrEnum):
    """How the answer is written."""

    TABLE = "table"
    JSON = "json"
    VALUE = "value"


class Checked(NamedTuple):
    """What `check` has to show: the verdict and everything it rests on."""

    verdict: Verdict
    readings: Sequence[Reading]
    thresholds: Sequence[Thresholds]


class Renderer(NamedTuple):
    """One output format: readings for `balance`, a checked verdict for `check`."""

    readings: Callable[[Sequence[Reading], Screen, int], str]
    checked: Callable[[Checked, Screen], str]

    streams: bool
    """Whether readings can be written one after the other, as they arrive."""


def render_readings(
    readings: Sequence[Reading], output: OutputFormat, screen: Screen, *, asked: int | None = None
) -> str:
    """Return the answer of `balance`, whole lines; `asked` is how many readings there will be, if these are not all."""
    return _RENDERERS[output].readings(readings, screen, len(readings) if asked is None else asked)


def can_stream(output: OutputFormat) -> bool:
    """Tell whether readings in this format can be written as they arrive."""
    return _RENDERERS[output].streams


def render_checked(checked: Checked, output: OutputFormat, screen: Screen) -> str:
    """Return the answer of `check`, whole lines."""
    return _RENDERERS[output].checked(checked, screen)


def prepare(output: OutputFormat) -> None:
    """Load what rendering in this format needs, so that it can be done while the answer travels."""
    if output is OutputFormat.TABLE:
        import rich.console
        import rich.table  # noqa: F401  # loaded for its side effect: the next import of it is free


# --- json -------------------------------------------------------------------------------------------------------


def _readings_as_json(readings: Sequence[Reading], _screen: Screen, _asked: int) -> str:
    return "".join(f"{_encode(_entry_document(entry))}\n" for entry in with_spendable(readings))


def _checked_as_json(checked: Checked, _screen: Screen) -> str:
    verdict = checked.verdict
    document = {
        "schema": SCHEMA,
        "verdict": verdict.outcome.value,
        "exit_code": int(verdict.exit_code),
        "min": _common([thresholds.min for thresholds in checked.thresholds]),
        "max_used": _common([thresholds.max_used for thresholds in checked.thresholds]),
        "stopped_by": [
            without_keys(reading.name)
            for reading, outcome in zip(checked.readings, verdict.outcomes, strict=True)
            if outcome is not Outcome.PASS
        ],
        "readings": [
            {**_reading_document(reading), **thresholds._asdict(), "verdict": outcome.value}
            for reading, thresholds, outcome in zip(checked.readings, checked.thresholds, verdict.outcomes, strict=True)
        ],
    }
    return f"{_encode(document)}\n"


def _common(thresholds: Sequence[Decimal | None]) -> Decimal | None:
    """Return the threshold that all readings share; None where profiles have their own."""
    return thresholds[0] if all(threshold == thresholds[0] for threshold in thresholds) else None


def render_error_as_json(error: ApimartError, *, is_check: bool) -> str:
    """Return the document for an error that left nothing to show; `check` keeps its own shape."""
    if is_check:
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "verdict": Outcome.ERROR.value,
            "exit_code": int(error.exit_code),
            "min": None,
            "max_used": None,
            "stopped_by": [],
            "readings": [],
        }
    else:
        document = {"schema": SCHEMA, "profile": None, "scope": None}
    return f"{_encode({**document, 'error': _error_document(error)})}\n"


def render_document(document: Mapping[str, Any]) -> str:
    """Return any document of ours as one line of JSON, the schema first."""
    return f"{_encode({'schema': SCHEMA, **document})}\n"


def _entry_document(entry: Reading | Spendable) -> dict[str, Any]:
    return _spendable_document(entry) if isinstance(entry, Spendable) else _reading_document(entry)


def _spendable_document(spendable: Spendable) -> dict[str, Any]:
    name = {"schema": SCHEMA, "profile": without_keys(spendable.profile), "scope": SPENDABLE}
    if spendable.error:
        return {**name, "error": _error_document(spendable.error)}
    return {
        **name,
        "remain_balance": spendable.remain_balance,
        "unlimited_quota": spendable.limit is None,
        "limited_by": spendable.limit.scope.value if spendable.limit else None,
        "unit": spendable.unit,
    }


def _reading_document(reading: Reading) -> dict[str, Any]:
    name = {"schema": SCHEMA, "profile": without_keys(reading.profile), "scope": reading.scope.value}
    match reading.result:
        case Balance() as balance:
            return {**name, **_balance_document(balance), "unit": reading.unit, "fetched_at": _utc(balance.fetched_at)}
        case error:
            return {**name, "error": _error_document(error)}


def _balance_document(balance: Balance) -> dict[str, Any]:
    document: dict[str, Any] = {
        "remain_balance": balance.remain_balance,
        "used_balance": balance.used_balance,
        "unlimited_quota": balance.unlimited_quota,
    }
    if balance.remain_credits is not None or balance.used_credits is not None:
        document |= {"remain_credits": balance.remain_credits, "used_credits": balance.used_credits}
    return document


def _error_document(error: ApimartError) -> dict[str, Any]:
    return {"code": error.code, "exit_code": int(error.exit_code), "message": error.message, "hint": error.hint}


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _encode(value: Any) -> str:
    """Return JSON in ASCII on one line. Unlike the library's encoder it writes a Decimal with every digit it has."""
    match value:
        case Decimal():
            return _plain(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_encode(item)}" for name, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_encode, value)) + "]"
        case _:
            return json.dumps(value)


# --- settings ---------------------------------------------------------------------------------------------------


def render_settings(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return the settings of each profile as aligned columns: name, value, source; an empty line between profiles."""
    return "\n".join(
        _columns([(row.name, "-" if row.value is None else visible(row.value), visible(row.source)) for row in rows])
        for rows in tables
    )


def render_settings_as_json(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return the settings as one document a profile: an object with `value` and `source` for each name."""
    documents = (
        {row.name: _without_keys({"value": row.value, "source": row.source}) for row in rows} for rows in tables
    )
    return "".join(render_document({"settings": document}) for document in documents)


def render_config_report(report: ConfigReport, *, json: bool) -> str:
    """Return which profiles of the config file would work; as JSON, the mistakes too."""
    if not json:
        words = {True: "works", False: "broken"}
        return _columns([(visible(each.profile), words[each.works], visible(each.reason)) for each in report.profiles])
    return render_document(
        {
            "path": str(report.path),
            "problems": [_without_keys(problem._asdict()) for problem in report.problems],
            "profiles": [_without_keys(profile._asdict()) for profile in report.profiles],
        }
    )


def _without_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: without_keys(value) if isinstance(value, str) else value for name, value in document.items()}


def _columns(lines: Sequence[tuple[str, str, str]]) -> str:
    # What is longer than that stands out of its column, and does not push the others aside.
    lengths = [[len(line[column]) for line in lines if len(line[column]) <= WIDEST_COLUMN] for column in range(2)]
    widths = [max(column, default=0) for column in lengths]
    return "".join(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}\n" for first, second, third in lines)


# --- value ------------------------------------------------------------------------------------------------------


def _readings_as_value(readings: Sequence[Reading], _screen: Screen, asked: int) -> str:
    """The number alone where one is asked for; behind its name and a tab where there are several."""
    if asked == 1:
        return "".join(f"{_value(reading)}\n" for reading in readings if _has_row(reading, asked))
    return "".join(f"{_entry_name(entry)}\t{_value(entry)}\n" for entry in with_spendable(readings))


def _checked_as_value(checked: Checked, screen: Screen) -> str:
    return _readings_as_value(checked.readings, screen, len(checked.readings))


def _entry_name(entry: Reading | Spendable) -> str:
    scope = SPENDABLE if isinstance(entry, Spendable) else entry.scope.value
    return visible(f"{entry.profile}/{scope}")


def _value(entry: Reading | Spendable) -> str:
    if entry.error is not None:
        return "error"
    remain = entry.remain_balance if isinstance(entry, Spendable) else _balance_of(entry).remain_balance
    return "unlimited" if remain is None else _plain(remain)


def _balance_of(reading: Reading) -> Balance:
    assert isinstance(reading.result, Balance), "only answered readings have a balance"
    return reading.result


def _has_row(reading: Reading, asked: int) -> bool:
    """A failed reading has a row beside others; alone, there is no answer, and the message says it all."""
    return reading.error is None or asked > 1


# --- table ------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """One reading as the cells of a table."""

    profile: str
    scope: str
    remaining: str
    used: str
    share: Decimal | None
    status: str
    style: str

    def cells(self, *, bar: str) -> dict[str, str]:
        """Return the cells by the names of their columns; `bar` has the characters of a full and an empty step."""
        return {
            "Profile": self.profile,
            "Scope": self.scope,
            "Remaining": self.remaining,
            "Used": self.used,
            "Left": _share_left(self.share, bar),
            "Status": self.status,
        }


def _readings_as_table(readings: Sequence[Reading], screen: Screen, asked: int) -> str:
    shown = [reading for reading in readings if _has_row(reading, asked)]
    rows = [_spendable_row(entry) if isinstance(entry, Spendable) else _row(entry) for entry in with_spendable(shown)]
    if not rows:
        return ""
    rows += _total_rows(shown)
    console = _console(screen)
    # The widest layout that fits: a number is never cut, so a narrow screen costs the bar first, then the columns.
    for bar in (_UNICODE_BAR if screen.unicode else _ASCII_BAR, _NO_BAR):
        table = _table(rows, bar, screen)
        width = console.measure(table).maximum
        if screen.width is None or width <= screen.width:
            return _print(console, table, width)
    return _stacked(rows)


_COLUMNS = ("Profile", "Scope", "Remaining", "Used", "Left", "Status")
_RIGHT_COLUMNS = frozenset({"Remaining", "Used"})

_UNICODE_BAR = "█░"
_ASCII_BAR = "#."
_NO_BAR = ""
_BAR_STEPS = 10

_NO_WIDTH_LIMIT = 1_000_000_000
"""Columns that no table needs: Rich, which must be told some width, cuts a cell that is beyond it."""


def _row(reading: Reading) -> _Row:
    profile, scope = visible(reading.profile), reading.scope.value
    match reading.result:
        case Balance() as balance:
            status, style = _status(balance)
            remaining = _with_unit(_remaining(balance), reading.unit if balance.remain_balance is not None else None)
            used = _with_unit(_plain(balance.used_balance), reading.unit)
            return _Row(profile, scope, remaining, used, _share(balance), status, style)
        case error:
            return _Row(profile, scope, "-", "-", None, f"error: {error.code}", "red")


def _spendable_row(spendable: Spendable) -> _Row:
    profile = visible(spendable.profile)
    if spendable.error:
        return _Row(profile, SPENDABLE, "-", "-", None, "unknown", "red")
    if spendable.limit is None or spendable.remain_balance is None:
        return _Row(profile, SPENDABLE, "unlimited", "-", None, "unlimited", "cyan")
    status = f"limited by {spendable.limit.scope}"
    style = "red" if spendable.remain_balance <= 0 else "green"
    return _Row(
        profile, SPENDABLE, _with_unit(_plain(spendable.remain_balance), spendable.unit), "-", None, status, style
    )


def _total_rows(readings: Sequence[Reading]) -> list[_Row]:
    """Return the sum of several keys, only where it means something: one unit, known to be the same, and all limited.

    Accounts are left out, for two keys may share one.
    """
    keys = [reading for reading in readings if reading.scope is Scope.KEY]
    units = {reading.unit for reading in keys}
    balances = [reading.balance for reading in keys]
    unit = next(iter(units), None)
    if (
        len(keys) < 2
        or len(units) > 1
        or unit is None
        or any(balance is None or balance.remain_balance is None for balance in balances)
    ):
        return []
    with localcontext(prec=EXACT_DIGITS):
        left = (balance.remain_balance for balance in balances if balance is not None)
        remain = sum((amount for amount in left if amount is not None), Decimal(0))
        used = sum((balance.used_balance for balance in balances if balance is not None), Decimal(0))
    return [
        _Row("total", Scope.KEY.value, _with_unit(_plain(remain), unit), _with_unit(_plain(used), unit), None, "-", "")
    ]


def _status(balance: Balance) -> tuple[str, str]:
    """Return the status word and its colour."""
    share = _share(balance)
    if balance.remain_balance is None:
        return "unlimited", "cyan"
    if balance.remain_balance <= 0:
        return "empty", "red"
    return ("low", "yellow") if share is not None and share < LOW_SHARE else ("ok", "green")


def _share(balance: Balance) -> Decimal | None:
    """Return which part of the whole is left, from 0 to 1 in thousandths, rounded down; None without a whole."""
    if balance.remain_balance is None:
        return None
    left = max(balance.remain_balance, Decimal(0))
    # With digits enough that no amount is rounded on the way: a share just below 1 stays below it.
    with localcontext(prec=100):
        whole = left + balance.used_balance
        return (left / whole).quantize(Decimal("0.001"), ROUND_FLOOR) if whole > 0 else None


def _share_left(share: Decimal | None, bar: str) -> str:
    if share is None:
        return "-"
    # Rounded down: only what is wholly left is shown as 100 %.
    percent = int((share * 100).to_integral_value(ROUND_FLOOR))
    if not bar:
        return f"{percent:3d} %"
    full, empty = bar[0], bar[1]
    filled = int((share * _BAR_STEPS).to_integral_value(ROUND_FLOOR))
    return f"{full * filled}{empty * (_BAR_STEPS - filled)} {percent:3d} %"


def _console(screen: Screen) -> "Console":
    from io import StringIO

    from rich.console import Console

    return Console(
        file=StringIO(),
        force_terminal=screen.colour,
        color_system="standard" if screen.colour else None,
        no_color=not screen.colour,
        # Not the screen's: the table would measure itself against it, and always fit, its cells cut.
        width=_NO_WIDTH_LIMIT,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )


def _table(rows: Sequence[_Row], bar: str, screen: Screen) -> "Table":
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table
    from rich.text import Text

    # Rich has no such box in ASCII: eight rows of four characters, all of them empty but the rule below the head.
    simple_head = SIMPLE_HEAD if screen.unicode else Box("    \n" * 2 + " -- \n" + "    \n" * 5, ascii=True)
    # Where the bar has no place, no space is to be wasted between the columns either.
    table = Table(box=simple_head, show_edge=False, pad_edge=False, padding=(0, 1) if bar else (0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name in _RIGHT_COLUMNS else "left")
    for row in rows:
        cells = row.cells(bar=bar)
        styled = {"Left": row.style, "Status": row.style, "Remaining": "bold"}
        table.add_row(*(Text(cells[name], style=styled.get(name, "")) for name in _COLUMNS))
    return table


def _print(console: "Console", table: "Table", width: int) -> str:
    with console.capture() as capture:
        console.print(table, width=width, crop=False, no_wrap=True, soft_wrap=False)
    lines = (line.rstrip() for line in capture.get().splitlines())
    return "".join(f"{line}\n" for line in lines)


def _stacked(rows: Sequence[_Row]) -> str:
    """One line a cell, for screens that no table fits; a terminal may fold a long number, but none is cut."""
    blocks = []
    for row in rows:
        cells = row.cells(bar=_NO_BAR)
        blocks.append("".join(f"{name + ':':<11}{cells[name].lstrip()}\n" for name in _COLUMNS))
    return "\n".join(blocks)


# --- the lines of check -----------------------------------------------------------------------------------------

_OUTCOME_COLOURS = {Outcome.PASS: "green", Outcome.BELOW: "red", Outcome.UNLIMITED: "yellow", Outcome.ERROR: "red"}


def _checked_as_lines(checked: Checked, screen: Screen) -> str:
    """One line a reading, for people and for logs: the verdict word, whose balance, what it is, what was required."""
    lines = []
    for reading, thresholds, outcome in zip(
        checked.readings, checked.thresholds, checked.verdict.outcomes, strict=True
    ):
        # A failed reading that decides the verdict has its line; one that leaves no verdict has only its message.
        if outcome is not Outcome.ERROR or len(checked.readings) > 1:
            findings = "; ".join(_findings(reading, thresholds, outcome))
            word = outcome.value.upper()
            line = _fold(f"{word} {visible(reading.name)}: {findings}", screen)
            lines.append(f"{_coloured(word, outcome, screen)}{line.removeprefix(word)}\n")
    return "".join(lines)


def _fold(line: str, screen: Screen) -> str:
    """Fold a line at its spaces: left to itself, a narrow terminal breaks it anywhere, in a number too."""
    if screen.width is None or len(line) <= screen.width:
        return line
    from textwrap import fill

    return fill(line, screen.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _coloured(word: str, outcome: Outcome, screen: Screen) -> str:
    if not screen.colour:
        return word
    from typer import style

    return style(word, fg=_OUTCOME_COLOURS[outcome], bold=True)


def _findings(reading: Reading, thresholds: Thresholds, outcome: Outcome) -> list[str]:
    match reading.result:
        case Balance() as balance:
            return _balance_findings(balance, thresholds, outcome, reading.unit)
        case PaymentRequiredError():
            return ["the account cannot pay (HTTP 402)", *_requirements(thresholds, reading.unit)]
        case error:
            return [f"no balance to judge ({error.code})"]


def _balance_findings(balance: Balance, thresholds: Thresholds, outcome: Outcome, unit: str | None) -> list[str]:
    findings = []
    if balance.remain_balance is None:
        left = "unlimited quota"
    else:
        left = f"{_with_unit(_plain(balance.remain_balance), unit)} left"
    if thresholds.min is None:
        findings.append(left)
    elif outcome is Outcome.UNLIMITED:
        findings.append(f"{left}, a limited one of {_with_unit(_plain(thresholds.min), unit)} or more required")
    else:
        findings.append(f"{left}, at least {_with_unit(_plain(thresholds.min), unit)} required")
    if thresholds.max_used is not None:
        used = _with_unit(_plain(balance.used_balance), unit)
        findings.append(f"{used} used, at most {_with_unit(_plain(thresholds.max_used), unit)} allowed")
    return findings


def _requirements(thresholds: Thresholds, unit: str | None) -> list[str]:
    requirements = []
    if thresholds.min is not None:
        requirements.append(f"at least {_with_unit(_plain(thresholds.min), unit)} required")
    if thresholds.max_used is not None:
        requirements.append(f"at most {_with_unit(_plain(thresholds.max_used), unit)} used allowed")
    return requirements


# --- amounts ----------------------------------------------------------------------------------------------------


def _remaining(balance: Balance) -> str:
    return "unlimited" if balance.remain_balance is None else _plain(balance.remain_balance)


def _plain(amount: Decimal) -> str:
    """Return every digit of an amount, without an exponent."""
    return f"{amount:f}"


def _with_unit(amount: str, unit: str | None) -> str:
    return f"{amount} {unit}" if unit else amount


_RENDERERS: Mapping[OutputFormat, Renderer] = {
    OutputFormat.TABLE: Renderer(_readings_as_table, _checked_as_lines, streams=False),
    OutputFormat.JSON: Renderer(_readings_as_json, _checked_as_json, streams=True),
    OutputFormat.VALUE: Renderer(_readings_as_value, _checked_as_value, streams=True),
}
"""Every output format. A new one is one member of `OutputFormat`, two functions and one line here."""
