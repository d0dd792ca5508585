"""The settings as aligned columns and as JSON."""

import json
from pathlib import Path

from rich.cells import cell_len

from apimart_cli.output.columns import render_config_report, render_profiles, render_settings, render_settings_as_json
from apimart_cli.records import ConfigReport, ProfileReport, ProfileRow, SettingRow
from support.readings import PIPE, terminal

ROWS = [
    SettingRow("profile", "work", "--profile"),
    SettingRow("unit", None, "default"),
    SettingRow("base_url", "https://gateway.example", "profile work in /a\tb"),
]


def test_settings_are_aligned_columns() -> None:
    """Name, value, source; a setting without a value is a dash; foreign text is visible; profiles are a line apart."""
    shown = (
        "profile   work                     --profile\n"
        "unit      -                        default\n"
        "base_url  https://gateway.example  profile work in /a\\x09b\n"
    )
    assert render_settings([ROWS]) == shown
    assert render_settings([ROWS, ROWS[:1]]) == f"{shown}\nprofile  work  --profile\n"


def test_a_long_setting_does_not_push_the_others_aside() -> None:
    """What has no room in its column stands out of it; the sources of the other settings stay where eyes look."""
    rows = [*ROWS[:2], SettingRow("api_key", "not usable: " + 40 * "x", "CI_KEY")]
    assert render_settings([rows]) == (
        f"profile  work  --profile\nunit     -     default\napi_key  not usable: {40 * 'x'}  CI_KEY\n"
    )


def test_settings_are_one_json_document_a_profile() -> None:
    """Every setting by name, with its value and its source."""
    text = render_settings_as_json([ROWS])
    assert text.count("\n") == 1
    assert render_settings_as_json([ROWS, ROWS]) == text * 2
    assert json.loads(text) == {
        "schema": 1,
        "settings": {
            "profile": {"value": "work", "source": "--profile"},
            "unit": {"value": None, "source": "default"},
            "base_url": {"value": "https://gateway.example", "source": "profile work in /a\tb"},
        },
    }


def _columns(text: str, *ends: str) -> list[set[int]]:
    """In which cells of their lines the words begin that stand in these columns."""
    return [{cell_len(line[: line.index(end)]) for line in text.splitlines() if end in line} for end in ends]


def test_columns_are_aligned_whatever_the_writing() -> None:
    """A character of Chinese, Japanese or Korean takes two cells of a terminal."""
    reports = [ProfileReport(name, works=True, reason="key set") for name in ("工作", "work", "仕事用の鍵", "é")]
    text = render_config_report(ConfigReport(Path("/c"), [], reports), PIPE, json=False)
    assert _columns(text, "usable", "key set") == [{12}, {20}]
    rows = [
        SettingRow("profile", "工作", "SOURCE"),
        SettingRow("unit", "元", "SOURCE"),
        SettingRow("min", "5", "SOURCE"),
    ]
    assert _columns(render_settings([rows]), "SOURCE") == [{15}]


def test_a_long_name_keeps_the_columns_of_a_pipe() -> None:
    """Its reader needs them; on a terminal such a name stands out of its column and the others stay near."""
    rows = [ProfileRow(name, "api_key", "d995c5dc5253", "host", False) for name in ("work", "a" * 70)]
    assert _columns(render_profiles(rows, PIPE), "api_key", "d995c5dc5253") == [{74}, {84}]
    assert _columns(render_profiles(rows, terminal(80)), "api_key") == [{11, 74}]


def test_a_wide_value_that_fills_its_column_is_measured_in_cells() -> None:
    """Twenty characters of two cells are the widest that the column grows to."""
    rows = [SettingRow("a", "工" * 20, "SOURCE"), SettingRow("b", "工" * 21, "SOURCE"), SettingRow("c", "x", "SOURCE")]
    assert [cell_len(line[: line.index("SOURCE")]) for line in render_settings([rows]).splitlines()] == [45, 47, 45]
