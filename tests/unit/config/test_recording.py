"""Where the ledger is, and whether readings are recorded."""

from pathlib import Path

import pytest

from apimart_cli.config.recording import Recording, history_path, recording
from apimart_cli.errors import UsageError


def test_the_default_is_in_the_state_folder(home: Path) -> None:
    """On, and nobody asked for it."""
    expected = home / ".local" / "state" / "apimart" / "history.db"
    assert recording({}, record=None) == Recording(expected, is_on=True, is_asked_for=False)


def test_a_path_that_is_named_asks_for_nothing(tmp_path: Path, home: Path) -> None:
    """It only says where; `~` is the home folder."""
    named = recording({"APIMART_HISTORY": str(tmp_path / "h.db")}, record=None)
    assert named == Recording(tmp_path / "h.db", is_on=True, is_asked_for=False)
    assert history_path({"APIMART_HISTORY": "~/h.db"}) == home / "h.db"


@pytest.mark.parametrize(
    ("environ", "record", "is_on", "is_asked_for"),
    [
        ({}, None, True, False),
        ({}, True, True, True),
        ({}, False, False, False),
        ({"CI": "true"}, None, False, False),
        ({"CI": ""}, None, True, False),
        ({"CI": "true"}, True, True, True),
        ({"CI": "true", "APIMART_RECORD": "1"}, None, True, True),
        ({"APIMART_RECORD": "1"}, False, True, True),
        ({"APIMART_RECORD": "0"}, True, False, False),
        ({"APIMART_RECORD": "0"}, None, False, False),
    ],
)
def test_the_variable_comes_before_the_file_and_the_file_before_ci(
    environ: dict[str, str], record: bool | None, is_on: bool, is_asked_for: bool
) -> None:
    """As with every other setting."""
    found = recording(environ, record=record)
    assert (found.is_on, found.is_asked_for) == (is_on, is_asked_for)


@pytest.mark.parametrize("value", ["", "yes", "true", "2", " 1"])
def test_any_other_switch_is_an_error(value: str) -> None:
    """That names the variable."""
    with pytest.raises(UsageError, match="APIMART_RECORD") as raised:
        recording({"APIMART_RECORD": value}, record=None)
    assert raised.value.hint


def test_an_empty_path_is_an_error() -> None:
    """A missing secret or variable of CI is an empty string."""
    with pytest.raises(UsageError, match="APIMART_HISTORY is set but empty"):
        recording({"APIMART_HISTORY": ""}, record=None)


def test_a_home_folder_that_nobody_has_is_an_error() -> None:
    """The path was named: it is not silently another one."""
    with pytest.raises(UsageError, match="no home folder"):
        recording({"APIMART_HISTORY": "~nobody-has-this-name/h.db"}, record=None)


@pytest.mark.parametrize("folder", ["~/.local/state/apimart", "state"])
def test_a_default_that_is_not_absolute_is_no_ledger(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """It would lie in the current folder: a checkout of somebody else."""
    monkeypatch.setattr("platformdirs.user_state_path", lambda _: Path(folder))
    assert recording({}, record=True) == Recording(None, is_on=False, is_asked_for=True)


def test_without_a_home_folder_there_is_no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run as a user id that nobody has."""

    def fail(name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_state_path", fail)
    assert recording({}, record=None) == Recording(None, is_on=False, is_asked_for=False)


def test_it_is_new_until_there_is_a_file(tmp_path: Path) -> None:
    """The first time is worth a note, where something is recorded at all."""
    environ = {"APIMART_HISTORY": str(tmp_path / "h.db")}
    assert recording(environ, record=None).is_new
    assert not recording(environ, record=False).is_new
    (tmp_path / "h.db").touch()
    assert not recording(environ, record=None).is_new
