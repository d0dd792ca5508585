"""What the ledger knows of a gateway: whether its account has ever answered."""

from pathlib import Path

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.readings.forecasts import may_lack_account
from apimart_cli.target import DOCUMENTED_HOSTS
from apimart_cli.words import Scope
from support.past import write_past

HOST = "gateway.example:8443"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def lacks(path: Path | None, host: str = HOST) -> bool:
    return may_lack_account(path, host, 5.0)


def test_a_documented_account_is_never_missing(path: Path) -> None:
    """Whatever the ledger says, or where there is none."""
    assert not any(lacks(path, host) or lacks(None, host) for host in DOCUMENTED_HOSTS)


def test_without_a_ledger_an_account_may_be_missing(path: Path) -> None:
    """No place for one, no file, and an empty file are the same."""
    assert lacks(None)
    assert lacks(path)
    assert lacks(path / "not" / "there")
    path.touch()
    assert lacks(path)


def test_an_account_that_has_answered_is_not_missing(path: Path) -> None:
    """At this host, with any key and under any name; entries of an import that was cut off are not there yet."""
    write_past(path, HOST, days=1, spent_per_day="0")
    write_past(path, "gateway.example", days=1, spent_per_day="0", scope=Scope.ACCOUNT)
    assert lacks(path)
    write_past(path, HOST, days=1, spent_per_day="0", scope=Scope.ACCOUNT, key_id="0" * 12, profile="other")
    assert not lacks(path)
    with opened(path) as connection:
        connection.execute("UPDATE labels SET batch = 1")
    assert lacks(path)


@pytest.mark.parametrize("content", [b"no ledger of ours", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_ledger_that_cannot_be_read_may_have_known_it(path: Path, content: bytes) -> None:
    """Then a missing account is no answer."""
    path.write_bytes(content)
    assert not lacks(path)
