"""The settings as aligned columns and as JSON."""

import json

from apimart_cli.output.settings import render_settings, render_settings_as_json
from apimart_cli.reports import SettingRow

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
