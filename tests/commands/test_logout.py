"""Forgetting a key, and removing names: neither needs the rest of the settings to be right."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.running import KEY, Call, Write

STORED = f'[profiles.default]\napi_key = "{KEY}"\n'


@pytest.mark.parametrize(
    "env",
    [{"APIMART_TIMEOUT": "abc"}, {"APIMART_BASE_URL": "ftp://x"}, {"APIMART_API_KEY": ""}],
)
def test_no_other_variable_stands_in_the_way_of_logout(call: Call, write_config: Write, env: Mapping[str, str]) -> None:
    """What would be needed to ask a gateway is not needed to forget a key."""
    path = write_config(STORED)
    assert call("logout", env=env).code == 0
    assert path.read_text() == "[profiles.default]\n"


@pytest.mark.parametrize("mistake", [
    "[profiles.other]\napi_key = 5\n", "[profile.other]\nmin = 5\n", "mim = 5\n", "timeout = 'soon'\n",
    "api_key_env = 'X'\n",
])  # fmt: skip
def test_no_mistake_stands_in_the_way_of_logout(call: Call, write_config: Write, mistake: str) -> None:
    """A typo in the profile itself or in another one keeps no key in the file."""
    path = write_config(STORED + mistake)
    assert call("logout") == (0, "", "apimart: note: the key of profile default is forgotten\n")
    assert path.read_text() == f"[profiles.default]\n{mistake}"


def test_a_default_profile_that_is_no_name_is_not_guessed(call: Call, write_config: Write) -> None:
    """The key of another profile would be forgotten by mistake; named by option, it goes."""
    text = f"default_profile = 5\n{STORED}"
    path = write_config(text)
    logout = call("logout")
    assert (logout.code, path.read_text()) == (2, text)
    assert logout.stderr == (
        f"apimart: error: {path}: default_profile must be a string\nhint: name the profile with --profile\n"
    )
    assert call("logout", "-p", "default").code == 0


@pytest.mark.parametrize("text", ["profiles = 5\n", "[profiles]\ndefault = 5\n", ""])
def test_a_profile_that_is_no_table_keeps_no_key(call: Call, write_config: Write, text: str) -> None:
    """Nothing is changed."""
    path = write_config(text)
    logout = call("logout")
    assert (logout.code, path.read_text()) == (2, text)
    assert logout.stderr == (
        f"apimart: error: profile default keeps no key in {path}\nhint: there is nothing to forget\n"
    )


@pytest.mark.parametrize(("arguments", "text", "after"), [
    (("mim",), "mim = 5\nmin = 4\n", "min = 4\n"),
    (("mim", "-p", "work"), "[profiles.work]\nmim = 5\nmin = 4\n", "[profiles.work]\nmin = 4\n"),
    (("api_key",), f'api_key = "{KEY}"\nmin = 4\n', "min = 4\n"),
    (("default_profile", "-p", "work"), "[profiles.work]\ndefault_profile = 'x'\n", "[profiles.work]\n"),
    (("min",), "min = 'five'\n", ""),
])  # fmt: skip
def test_what_config_check_reports_can_be_removed(
    call: Call, write_config: Write, arguments: tuple[str, ...], text: str, after: str
) -> None:
    """A misspelled name, one in the wrong place, or one of the wrong type."""
    path = write_config(text)
    assert call("config", "check").code == 2
    ended = call("config", "unset", *arguments)
    assert (ended.code, path.read_text()) == (0, after)
    assert "is removed from" in ended.stderr
    assert call("config", "check").code == 0


@pytest.mark.parametrize(("arguments", "text", "message"), [
    (("mim",), "min = 5\n", "there is no setting 'mim'"),
    (("mim", "-p", "work"), "mim = 5\n[profiles.work]\n", "there is no setting 'mim'"),
    (("mim", "-p", "other"), "[profiles.work]\nmim = 5\n", "there is no setting 'mim'"),
    (("profiles",), "profiles = {work = {min = 5}}\n", "there is no setting 'profiles'"),
    (("default_profile", "-p", "work"), "[profiles.work]\n", "there is no setting 'default_profile'"),
    (("api_key",), "min = 5\n", "api_key belongs to a profile"),
])  # fmt: skip
def test_a_name_that_is_not_there_must_be_known(
    call: Call, write_config: Write, arguments: tuple[str, ...], text: str, message: str
) -> None:
    """Whoever misspells a name is told, and no profile is removed with all that is in it."""
    path = write_config(text)
    ended = call("config", "unset", *arguments)
    assert (ended.code, path.read_text()) == (2, text)
    assert message in ended.stderr


def test_a_mistake_makes_no_folder(call: Call, home: Path) -> None:
    """A name that there is not is no reason to make a place for a config file."""
    assert call("config", "unset", "mim").code == 2
    assert list(home.iterdir()) == []
