"""A ledger of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apimart_cli.ledger.file import Connection, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger may be made."""
    return tmp_path / "state" / "history.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Connection]:
    """A new ledger that is open."""
    with opened(path, seconds=None) as connection:
        yield connection
