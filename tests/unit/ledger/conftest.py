"""A ledger of its own for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.place import LedgerError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger may be made."""
    return tmp_path / "state" / "history.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Connection]:
    """A new ledger that is open."""
    with opened(path, seconds=None) as connection:
        yield connection


@pytest.fixture
def refused(path: Path) -> Callable[[str], str]:
    """See that the ledger is refused with a message, returned, and that all files there stay as they are."""

    def state() -> list[tuple[object, ...]]:
        files = [each for each in sorted(path.parent.iterdir()) if each.is_file()]
        return [(each, each.read_bytes(), each.stat().st_mtime_ns, each.stat().st_mode) for each in files]

    def refuse(match: str) -> str:
        before = state()
        for create in (True, False):
            with pytest.raises(LedgerError, match=match) as raised, opened(path, create=create):
                pass
        assert state() == before
        return str(raised.value)

    return refuse
