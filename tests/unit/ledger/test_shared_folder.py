"""A ledger in a folder like /tmp, where other users may make files: SQLite would use what they put beside it."""

import os
from pathlib import Path

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.store import record
from support.ledger import entry
from support.strangers import as_root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one reading, in a folder that is about to become such a one."""
    path = tmp_path / "shared" / "history.db"
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry()])
    return path


@as_root
@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("mode", [0o1777, 0o1775, 0o1757])
def test_a_ledger_in_a_shared_folder_is_left_alone(path: Path, mode: int, create: bool) -> None:
    """Before SQLite looks for a journal or a write-ahead log there; the reason says what helps."""
    before = path.read_bytes()
    os.chown(path.parent, 0, 54328)
    path.parent.chmod(mode)
    with pytest.raises(LedgerError) as refused, opened(path, create=create):
        pass
    assert f"can change the folder {path.parent}, and SQLite reads what lies beside it" in str(refused.value)
    assert "use a folder of your own: APIMART_HISTORY" in str(refused.value)
    assert (path.read_bytes(), os.listdir(path.parent)) == (before, ["history.db"])


def test_nothing_is_made_in_a_shared_folder(path: Path) -> None:
    """No ledger is begun where other users could add to it."""
    path.unlink()
    path.parent.chmod(0o1777)
    with pytest.raises(LedgerError), opened(path):
        pass
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("create", [True, False])
def test_a_folder_of_our_own_in_a_shared_one_will_do(path: Path, create: bool) -> None:
    """As below /tmp: no other user can put a file into it."""
    path.parent.parent.chmod(0o1777)
    with opened(path, seconds=None, create=create) as ledger:
        assert len(list(entries(ledger))) == 1
    assert os.listdir(path.parent) == ["history.db"]


def test_a_link_in_the_place_of_a_journal_is_not_followed(path: Path) -> None:
    """In a folder of our own, too."""
    Path(f"{path}-journal").symlink_to(path.with_name("precious"))
    with pytest.raises(LedgerError), opened(path):
        pass
    assert not path.with_name("precious").exists()


def test_a_journal_in_a_folder_of_our_own_goes(path: Path) -> None:
    """There it is SQLite's business alone."""
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry(used="9")])
    assert os.listdir(path.parent) == ["history.db"]
