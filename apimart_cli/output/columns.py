"""Settings, profiles, the report on the config file, and guarded runs: as aligned columns, in words, and as JSON.

Pure: no I/O, no library.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from apimart_cli.output import padded, with_unit
from apimart_cli.output.json import render_document
from apimart_cli.records import ConfigReport, ProfileRow, Run, SettingRow
from apimart_cli.rules.guard import CountingDoubt, Limits
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import iso_time, visible, without_keys
from apimart_cli.words import StoppedBy

WIDEST_COLUMN = 40
"""Most cells by which a column of settings is aligned."""

_REASONS = {
    StoppedBy.MIN: "--min",
    StoppedBy.MAX_SPEND: "--max-spend",
    StoppedBy.MIN_RUNWAY: "--min-runway",
    StoppedBy.PAYMENT_REQUIRED: "no money",
    StoppedBy.BLIND: "balance not known",
}


def render_settings(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return the settings of each profile as columns: name, value, source; with an empty line between profiles."""
    return "\n".join(_columns([(row.name, _cell(row.value), visible(row.source)) for row in rows]) for rows in tables)


def render_settings_as_json(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return one document for each profile, with `value` and `source` for each setting."""
    documents = (
        {row.name: _without_keys({"value": row.value, "source": row.source}) for row in rows} for rows in tables
    )
    return "".join(render_document({"settings": document}) for document in documents)


def render_profiles(rows: Sequence[ProfileRow], screen: Screen) -> str:
    """Return the profiles as columns with a header; a star marks the one in use."""
    lines = [(f"{'*' if row.active else ' '} {visible(row.profile)}", *map(_cell, row[1:4])) for row in rows]
    return _columns([("  Profile", "Key from", "Key id", "Host"), *lines], _widest(screen)) if rows else ""


def render_profiles_as_json(rows: Sequence[ProfileRow]) -> str:
    """Return one document for each profile."""
    return "".join(render_document(_without_keys(row._asdict())) for row in rows)


def render_config_report(report: ConfigReport, screen: Screen, *, json: bool) -> str:
    """Return which profiles of the config file are usable; as JSON, with the mistakes."""
    if not json:
        words = {True: "usable", False: "broken"}
        lines = [(visible(each.profile), words[each.works], visible(each.reason)) for each in report.profiles]
        return _columns(lines, _widest(screen))
    return render_document(
        {
            "path": None if report.path is None else str(report.path),
            "problems": [_without_keys(problem._asdict()) for problem in report.problems],
            "profiles": [_without_keys(profile._asdict()) for profile in report.profiles],
            "warnings": [_without_keys(warning._asdict()) for warning in report.warnings],
        }
    )


def runs_as_lines(runs: Sequence[Run]) -> str:
    """Return a line for each run, under a header; nothing if there are no runs."""
    if not runs:
        return ""
    rows = [("Began (UTC)", "Profile", "Label", "Took", "Spent", "Ended"), *map(_row, runs)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("   ".join(padded(cell, cells) for cell, cells in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def runs_as_json(runs: Sequence[Run]) -> str:
    """Return a JSON object for each run, one on each line."""
    return "".join(
        render_document(
            {
                "label": None if run.label is None else without_keys(run.label),
                "profile": without_keys(run.profile),
                "key_id": run.key_id,
                "host": without_keys(run.host),
                "began_at": iso_time(run.began),
                "ended_at": None if run.ended is None else iso_time(run.ended),
                "exit_code": run.exit_code,
                "stopped_by": run.stopped_by,
                "stopped": run.was_stopped,
                "could_not_stop": run.could_not_stop,
                "spent": run.spent,
                "settled": run.is_settled,
                "unit": None if run.unit is None else without_keys(run.unit),
            }
        )
        for run in runs
    )


def duration(seconds: float) -> str:
    """Return a time in one or two units: `4 s`, `12 min`, `1 h 5 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def spent_in_words(
    spent: Decimal | None, *, seconds: float, is_settled: bool, left: Decimal | None, unit: str | None
) -> str:
    """Return the cost of a run: `spent 1.83 USD in 12 min (settled); 8.67 USD left`."""
    if spent is None:
        return f"ran for {duration(seconds)}; what was spent is not known"
    amount = with_unit(spent, unit)
    certainty = ("", " (settled)") if is_settled else ("at least ", "")
    cost = f"spent {certainty[0]}{amount} in {duration(seconds)}{certainty[1]}"
    return cost if left is None else f"{cost}; {with_unit(left, unit)} left"


def breach_in_words(
    stopped_by: StoppedBy,
    limits: Limits,
    *,
    left: Decimal | None,
    spent: Decimal | None,
    unit: str | None,
    shortage: str | None = None,
) -> str:
    """Return which limit was passed: `4.02 USD spent, 3 USD allowed`. `shortage` is the gateway's word on money."""
    match stopped_by:
        case StoppedBy.MIN if left is not None and limits.min is not None:
            return f"{with_unit(left, unit)} left, at least {with_unit(limits.min, unit)} required"
        case StoppedBy.MAX_SPEND if spent is not None and limits.max_spend is not None:
            return f"{with_unit(spent, unit)} spent, {with_unit(limits.max_spend, unit)} allowed"
        case StoppedBy.MIN_RUNWAY if limits.min_runway is not None:
            return f"what is left may not last {duration(limits.min_runway.total_seconds())}"
        case StoppedBy.PAYMENT_REQUIRED:
            return shortage or "the gateway says that there is no money"
        case _:
            return "the balance is not known"


def doubt_in_words(doubt: CountingDoubt) -> tuple[str, str]:
    """Return why the counted spend may be wrong, and what to do about it."""
    hint = "give the key a quota of its own: then its own spend is counted"
    match doubt:
        case CountingDoubt.ACCOUNT_COUNTS:
            told = "the gateway does not count what this unlimited key uses: what its account uses is counted"
            return f"{told}, and the spend of other keys is in it", hint
        case CountingDoubt.KEY_STANDS_STILL:
            told = "what this unlimited key has used stands still while what its account has used rises"
            return f"{told}: either other keys spend it, or the gateway does not count this one", hint


def others_in_words(count: int) -> str:
    """Return how many other runs may have spent with the same key meanwhile."""
    if count == 1:
        return "1 other run was active on this key; what it spent is counted, too"
    return f"{count} other runs were active on this key; what they spent is counted, too"


def _cell(value: Any) -> str:
    return "-" if value is None else visible(value)


def _without_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: without_keys(value) if isinstance(value, str) else value for name, value in document.items()}


def _widest(screen: Screen) -> int | None:
    """Return the most cells of a column of names; None in a pipe: its reader needs aligned columns."""
    return None if screen.width is None else WIDEST_COLUMN


def _columns(lines: Sequence[Sequence[str]], widest: int | None = WIDEST_COLUMN) -> str:
    """Return lines of aligned cells; the last column is not padded."""
    widths = [_column_width(column, widest) for column in list(zip(*lines, strict=True))[:-1]]
    return "".join(
        "".join(f"{padded(cell, cells)}  " for cell, cells in zip(line, widths, strict=False)) + f"{line[-1]}\n"
        for line in lines
    )


def _column_width(texts: Sequence[str], widest: int | None) -> int:
    # A cell that is wider sticks out of its column, and the others stay where they are.
    return max((cells for cells in map(width, texts) if widest is None or cells <= widest), default=0)


def _row(run: Run) -> tuple[str, ...]:
    took = "-" if run.ended is None else duration((run.ended - run.began).total_seconds())
    unit = None if run.unit is None else visible(run.unit)
    spent = "-" if run.spent is None else f"{'' if run.is_settled else '>= '}{with_unit(run.spent, unit)}"
    label = "-" if run.label is None else visible(run.label)
    return f"{run.began:%Y-%m-%d %H:%M}", visible(run.profile), label, took, spent, _how_it_ended(run)


def _how_it_ended(run: Run) -> str:
    if run.exit_code is None:
        return "running, or killed"
    if run.stopped_by is None:
        return f"exit {run.exit_code}"
    return f"{'not stopped' if run.could_not_stop else 'stopped'}: {_REASONS[run.stopped_by]}"
