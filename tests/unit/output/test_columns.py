"""The settings as aligned columns and as JSON, and the findings of `doctor`."""

import json
from pathlib import Path

from rich.cells import cell_len

from apimart_cli.output.columns import render_config_report, render_profiles, render_settings, render_settings_as_json
from apimart_cli.output.doctor import render_findings
from apimart_cli.records import ConfigReport, DoctorFinding, ProfileReport, ProfileRow, SettingRow
from apimart_cli.screen.writing import Screen
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
    # What has no room in its column stands out of it, and the sources of the others stay where eyes look.
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
    """A character of Chinese, Japanese or Korean takes two cells; twenty of them are the widest column."""
    reports = [ProfileReport(name, works=True, reason="key set") for name in ("工作", "work", "仕事用の鍵", "é")]
    text = render_config_report(ConfigReport(Path("/c"), [], reports), PIPE, json=False)
    assert _columns(text, "usable", "key set") == [{12}, {20}]
    rows = [SettingRow(name, value, "SOURCE") for name, value in (("profile", "工作"), ("unit", "元"), ("min", "5"))]
    assert _columns(render_settings([rows]), "SOURCE") == [{15}]
    rows = [SettingRow(name, value, "SOURCE") for name, value in (("a", "工" * 20), ("b", "工" * 21), ("c", "x"))]
    assert [cell_len(line[: line.index("SOURCE")]) for line in render_settings([rows]).splitlines()] == [45, 47, 45]


def test_a_long_name_keeps_the_columns_of_a_pipe() -> None:
    """Its reader needs them; on a terminal such a name stands out of its column and the others stay near."""
    rows = [ProfileRow(name, "api_key", "d995c5dc5253", "host", False) for name in ("work", "a" * 70)]
    assert _columns(render_profiles(rows, PIPE), "api_key", "d995c5dc5253") == [{74}, {84}]
    assert _columns(render_profiles(rows, terminal(80)), "api_key") == [{11, 74}]


NOTE = DoctorFinding.note(
    "unit", "not known", "the gateway does not tell it; if it is dollars: apimart config set unit USD"
)


def test_a_finding_has_its_hint_below_it() -> None:
    """Both are broken between words, at 60 columns, on a wide terminal, too. The condition alone is coloured."""
    wanted = (
        "note  unit: not known\n"
        "      hint: the gateway does not tell it; if it is dollars:\n"
        "      apimart config set unit USD\n"
    )
    assert render_findings([NOTE], PIPE) == render_findings([NOTE], terminal(200)) == wanted
    coloured = render_findings([NOTE], Screen(colour=True))
    assert coloured == wanted.replace("note", "\x1b[33m\x1b[1mnote\x1b[0m", 1)


def test_a_narrow_terminal_gets_narrower_lines() -> None:
    """A word that is longer stays whole."""
    path = DoctorFinding.ok("ledger", "/a/long/path/of/a/ledger.db")
    lines = render_findings([NOTE, path], terminal(20)).splitlines()
    assert [line for line in lines if len(line) > 20] == ["      /a/long/path/of/a/ledger.db"]


def test_foreign_text_in_a_finding_is_harmless() -> None:
    """No cursor moves, no line begins, and nothing looks like a key."""
    shown = render_findings([DoctorFinding.ok("certificate", "by \x1b[2J\nwrong: x sk-abcdefgh12345678")], PIPE)
    assert shown == "ok    certificate: by \\x1b[2J\\x0awrong: x sk-...\n"
