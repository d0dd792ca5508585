"""Mistakes in the config file that say what was meant: the hint, followed, mends the file."""

import pytest

from apimart_cli.config.file import read_config
from apimart_cli.errors import ConfigError
from support.running import KEY, Write


def _refusal() -> ConfigError:
    import os

    with pytest.raises(ConfigError) as caught:
        read_config(os.environ)
    return caught.value


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        ("api_key = 'K'", "api_key stands outside of the profiles", "a profile: move it under [profiles.work]"),
        ("api_key_env = 'X'\n[profiles.home]", "api_key_env stands outside of the profiles", "[profiles.home]"),
        (
            "default_profile = 'two words'\napi_key_command = ['pass']\n[profiles.'two words']",
            "api_key_command stands outside of the profiles",
            'move it under [profiles."two words"]',
        ),
        ("background_keys = true", "background_keys stands outside of the profiles", "it stands in a profile: "),
        ("[work]\napi_key = 'K'", "unknown table [work]", "keys stand in a profile: [profiles.work]"),
        ("['my key']", "unknown table [my key]", 'keys stand in a profile: [profiles."my key"]'),
        ("[profile.work]\napi_key = 'K'", "unknown table [profile.work]", "in a profile: [profiles.work]"),
        ("on_low = 'mail x'", "on_low must be a list of strings", 'on_low = ["mail", "-s", "the balance is low", '),
        ("on_recover = 'mail x'", "on_recover must be a list of strings", 'on_recover = ["mail", "-s", "enough'),
        ("[profiles.w]\napi_key_command = 'pass x'", "api_key_command must be a list", '["pass", "show",'),
        ("min_runway = 3", "min_runway must be a duration in quotes", 'in quotes: min_runway = "3d"'),
        ("min_runway = 1.5", "min_runway must be a duration in quotes", 'in quotes: min_runway = "1.5d"'),
        ("remind = 12", "remind must be a duration in quotes", 'in quotes: remind = "12h"'),
        ("remind = true", "remind must be a duration in quotes", 'in quotes: remind = "24h"'),
        ("rearm = '2'", "rearm must be a number", "like rearm = 1.2"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_was_meant(write_config: Write, text: str, fault: str, hint: str) -> None:
    """Names and tables that belong into a profile, and values in the form of the name itself."""
    write_config(text.replace("'K'", f"'{KEY}'"))
    error = _refusal()
    assert fault in error.message
    assert hint in (error.hint or "")
    assert KEY not in f"{error.message}{error.hint}"


@pytest.mark.parametrize(("text", "reason", "hint"), [
    ("min: 5\n", "this is YAML", "the file is TOML, like: min = 5; a profile begins with [profiles.work]"),
    ("# mine\n---\ndefault_profile: work\n", "this is YAML", 'like: default_profile = "work"; '),
    (f"profiles:\n  work:\n    api_key: {KEY}\n", "this is YAML", "like: min = 5; "),
    ("- a\n- b\n", "this is YAML", "like: min = 5; "),
    (f'{{"profiles": {{"work": {{"api_key": "{KEY}"}}}}}}', "this is JSON", "the file is TOML, like: "),
    ('{\n  "min": 5,\n', "this is JSON", "the file is TOML, like: min = 5; "),
    ("[profiles.work]\nmin = 5\n[profiles.home]\n[profiles.work]\n", "[profiles.work] is there twice, again on line 4",
     "put all of it under one of them"),
    ("[profiles.'a b']\n[profiles.'a b']", '[profiles."a b"] is there twice, again on line 2', "under one of them"),
    ("min = 5\nunit = 'USD'\nmin = 6\n", "min is set twice, again on line 3", "keep one of them"),
    ("min 5", "Expected '=' after a key in a key/value pair (at line 1, ", "correct the file; strings need quotes"),
])  # fmt: skip
def test_what_is_no_toml_is_told_apart(write_config: Write, text: str, reason: str, hint: str) -> None:
    """Another language, a table or a name that is there twice; no value of the file is repeated."""
    path = write_config(text)
    error = _refusal()
    assert error.message.startswith(f"{path} is not valid TOML: {reason}")
    assert hint in (error.hint or "")
    assert KEY not in f"{error.message}{error.hint}"
