"""Where the ledger is, and whether readings are recorded."""

from pathlib import Path

import pytest

from apimart_cli.config.settings import Setting, find_history, find_record, history_path
from apimart_cli.errors import UsageError

NOT_IN_FILE: Setting[bool | None] = Setting(None, "default")


def test_the_default_is_in_the_state_folder(home: Path) -> None:
    """And readings are recorded, though nobody asked for it."""
    assert find_history({}) == Setting(home / ".local" / "state" / "apimart" / "history.db", "default")
    assert find_record({}, NOT_IN_FILE) == Setting(value=True, source="default")


def test_a_path_that_is_named_asks_for_nothing(tmp_path: Path, home: Path) -> None:
    """It only says where; `~` is the home folder."""
    environ = {"APIMART_HISTORY": str(tmp_path / "h.db"), "CI": "true"}
    assert find_history(environ) == Setting(tmp_path / "h.db", "APIMART_HISTORY")
    assert find_record(environ, NOT_IN_FILE) == Setting(value=False, source="CI")
    assert history_path({"APIMART_HISTORY": "~/h.db"}) == home / "h.db"


@pytest.mark.parametrize(
    ("environ", "in_file", "is_on", "source"),
    [
        ({"CI": "true"}, None, False, "CI"),
        ({"CI": ""}, None, True, "default"),
        ({"CI": "true"}, True, True, "the file"),
        ({"CI": "true", "APIMART_RECORD": "1"}, None, True, "APIMART_RECORD"),
        ({"APIMART_RECORD": "0"}, True, False, "APIMART_RECORD"),
    ],
)
def test_the_variable_comes_before_the_file_and_the_file_before_ci(
    environ: dict[str, str], in_file: bool | None, is_on: bool, source: str
) -> None:
    """As with every other setting."""
    assert find_record(environ, Setting(in_file, "the file")) == Setting(is_on, source)


@pytest.mark.parametrize("value", ["", "true", "2", " 1"])
def test_any_other_switch_is_an_error(value: str) -> None:
    """It names the variable."""
    with pytest.raises(UsageError, match="APIMART_RECORD") as raised:
        find_record({"APIMART_RECORD": value}, NOT_IN_FILE)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("named", "told"),
    [("", "APIMART_HISTORY is set but empty"), ("~nobody-has-this-name/h.db", "no home folder")],
)
def test_a_path_that_names_no_file_is_an_error(named: str, told: str) -> None:
    """It is not silently another one: a missing secret or variable of CI is an empty string."""
    with pytest.raises(UsageError, match=told):
        find_history({"APIMART_HISTORY": named})


@pytest.mark.parametrize("folder", ["~/.local/state/apimart", "state", None])
def test_a_default_that_is_not_absolute_is_no_ledger(monkeypatch: pytest.MonkeyPatch, folder: str | None) -> None:
    """It would lie in the current folder, a checkout of another person; containers have users without a home folder."""

    def find(_name: str) -> Path:
        if folder is None:
            raise RuntimeError("Could not determine home directory.")
        return Path(folder)

    monkeypatch.setattr("platformdirs.user_state_path", find)
    assert find_history({}) == Setting(None, "default")
