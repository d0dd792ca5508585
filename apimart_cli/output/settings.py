"""The settings and the report on the config file, as aligned columns or JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from apimart_cli.output.cells import padded
from apimart_cli.output.json import render_document
from apimart_cli.reports import ConfigReport, ProfileRow, SettingRow
from apimart_cli.screen.folding import width
from apimart_cli.screen.output import Screen
from apimart_cli.text import visible, without_keys

WIDEST_COLUMN = 40
"""Most cells to which a column of settings grows."""


def render_settings(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return the settings of each profile as aligned columns: name, value, source; an empty line between profiles."""
    return "\n".join(_columns([(row.name, _cell(row.value), visible(row.source)) for row in rows]) for rows in tables)


def render_settings_as_json(tables: Sequence[Sequence[SettingRow]]) -> str:
    """Return the settings as one document a profile: an object with `value` and `source` for each name."""
    documents = (
        {row.name: _without_keys({"value": row.value, "source": row.source}) for row in rows} for rows in tables
    )
    return "".join(render_document({"settings": document}) for document in documents)


def render_profiles(rows: Sequence[ProfileRow], screen: Screen) -> str:
    """Return the profiles as aligned columns under their names; a star stands before the one in use."""
    lines = [(f"{'*' if row.active else ' '} {visible(row.profile)}", *map(_cell, row[1:4])) for row in rows]
    return _columns([("  Profile", "Key from", "Key id", "Host"), *lines], _widest(screen)) if rows else ""


def render_profiles_as_json(rows: Sequence[ProfileRow]) -> str:
    """Return the profiles as one document each."""
    return "".join(render_document(_without_keys(row._asdict())) for row in rows)


def _cell(value: Any) -> str:
    return "-" if value is None else visible(value)


def render_config_report(report: ConfigReport, screen: Screen, *, json: bool) -> str:
    """Return which profiles of the config file are usable; as JSON, the mistakes too."""
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


def _without_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: without_keys(value) if isinstance(value, str) else value for name, value in document.items()}


def _widest(screen: Screen) -> int | None:
    """Return the most cells of a column of names: a pipe has no limit, and its reader needs every column."""
    return None if screen.width is None else WIDEST_COLUMN


def _columns(lines: Sequence[Sequence[str]], widest: int | None = WIDEST_COLUMN) -> str:
    """Return the cells of each line in columns; the last one is not padded."""
    widths = [_column_width(column, widest) for column in list(zip(*lines, strict=True))[:-1]]
    return "".join(
        "".join(f"{padded(cell, cells)}  " for cell, cells in zip(line, widths, strict=False)) + f"{line[-1]}\n"
        for line in lines
    )


def _column_width(texts: Sequence[str], widest: int | None) -> int:
    # What is wider stands out of its column, and does not push the others aside.
    return max((cells for cells in map(width, texts) if widest is None or cells <= widest), default=0)
