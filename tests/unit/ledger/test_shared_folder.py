"""A ledger in a folder like /tmp, where other users may make files: SQLite plays back no journal but ours."""

import os
import stat
from pathlib import Path

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.store import record
from support.ledger import entry
from support.strangers import STRANGER, as_root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger in such a folder."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder / "history.db"


def test_the_journal_of_a_shared_folder_is_ours_and_stays(path: Path) -> None:
    """So that there is no moment at which another one could be put in its place."""
    journal = Path(f"{path}-journal")
    for number in range(3):
        with opened(path, seconds=None) as ledger:
            before = journal.stat().st_ino
            record(ledger, [entry(used=f"{number}")])
            assert journal.stat().st_ino == before
        assert (journal.stat().st_size, stat.S_IMODE(journal.stat().st_mode)) == (0, 0o600)
    with opened(path, create=False) as ledger:
        assert len(list(entries(ledger))) == 1


@as_root
@pytest.mark.parametrize("create", [True, False])
def test_a_journal_of_another_user_is_not_played_back(path: Path, create: bool) -> None:
    """The ledger is left alone."""
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry()])
    before = path.read_bytes()
    journal = Path(f"{path}-journal")
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    os.chown(journal, STRANGER, STRANGER)
    with pytest.raises(LedgerError, match="belongs to another user"), opened(path, create=create):
        pass
    assert path.read_bytes() == before


def test_a_link_in_the_place_of_a_journal_is_not_followed(path: Path) -> None:
    """Whoever made it."""
    Path(f"{path}-journal").symlink_to(path.with_name("precious"))
    with pytest.raises(LedgerError), opened(path):
        pass
    assert not path.with_name("precious").exists()


def test_a_journal_in_a_folder_of_our_own_goes(tmp_path: Path) -> None:
    """There it is SQLite's business alone."""
    path = tmp_path / "own" / "history.db"
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry()])
    assert os.listdir(path.parent) == ["history.db"]
