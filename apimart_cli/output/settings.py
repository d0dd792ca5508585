"""The settings and the report on the config file, as aligned columns or JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from apimart_cli.output.cells import padded, width
from apimart_cli.output.json import render_document
from apimart_cli.reports import ConfigReport, SettingRow
from apimart_cli.text import visible, without_keys

WIDEST_COLUMN = 40
"""Most cells to which a column of settings grows."""


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
            "path": None if report.path is None else str(report.path),
            "problems": [_without_keys(problem._asdict()) for problem in report.problems],
            "profiles": [_without_keys(profile._asdict()) for profile in report.profiles],
        }
    )


def _without_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: without_keys(value) if isinstance(value, str) else value for name, value in document.items()}


def _columns(lines: Sequence[tuple[str, str, str]]) -> str:
    first, second = (_column_width([line[column] for line in lines]) for column in range(2))
    return "".join(f"{padded(line[0], first)}  {padded(line[1], second)}  {line[2]}\n" for line in lines)


def _column_width(texts: Sequence[str]) -> int:
    # What is wider stands out of its column, and does not push the others aside.
    return max((cells for cells in map(width, texts) if cells <= WIDEST_COLUMN), default=0)
