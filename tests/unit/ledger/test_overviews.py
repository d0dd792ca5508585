"""What the history shows of the ledger."""

from datetime import timedelta
from pathlib import Path

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.store import record
from apimart_cli.ledger.views import overviews
from support.ledger import NOW, entry

DAY = timedelta(days=1)


def test_what_is_dated_in_the_future_is_left_out(tmp_path: Path) -> None:
    """A clock was ahead: neither the days nor the forecast count it, as those of `check` do not."""
    path = tmp_path / "history.db"
    days = [entry(ago=number * DAY, used=str(20 - number)) for number in range(9, -1, -1)]
    with opened(path, seconds=None) as ledger:
        record(ledger, days)
    without, _ = overviews(path, (NOW.date(),), NOW)
    with opened(path, seconds=None) as ledger:
        record(ledger, [entry(ago=-4 * DAY, used="20")])
    assert overviews(path, (NOW.date(),), NOW)[0] == without
    assert without[0].seen.last_at == NOW
