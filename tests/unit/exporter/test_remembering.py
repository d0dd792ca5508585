"""Remembering: what goes into the ledger, how often, and what comes back out of it."""

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.exporter import remembering
from apimart_cli.exporter.remembering import Remembering
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.queries import all_series, entries
from apimart_cli.ledger.schema import Entry, Series
from apimart_cli.ledger.store import clear, record
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.words import Scope
from support.processes import wait_until
from support.readings import AUTH, failed
from support.running import KEY, KEY_ID

HOST = "api.example.com"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def profile(ledger: Path, **variables: str) -> Settings:
    environ = {
        "APIMART_API_KEY": KEY, "HOME": os.environ["HOME"], "APIMART_HISTORY": str(ledger), **variables
    }  # fmt: skip
    [settings] = resolve(Options(), environ)
    return settings


def read(used: str, *, profile: str = "default", key_id: str = KEY_ID, minutes: int = 0) -> Reading:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    balance = Balance(Scope.KEY, Decimal(100) - Decimal(used), Decimal(used), unlimited_quota=False, fetched_at=moment)
    return Reading(profile, Scope.KEY, None, balance, key_id, HOST)


def recorded(ledger: Path) -> list[Entry]:
    with opened(ledger, seconds=None) as connection:
        return list(entries(connection))


def using(*profiles: Settings) -> Remembering:
    found = Remembering()
    found.use(profiles)
    return found


def test_readings_are_recorded_now_and_then(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, and the next after some minutes: a forecast needs no more. Failures are none."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    settings = profile(ledger)
    memory = using(settings)
    memory.take(settings, [read("1")])
    memory.take(settings, [read("2", minutes=1)])
    memory.take(settings, [failed(AUTH)])
    memory._write()
    now += remembering.LEAST_SPACING
    memory.take(settings, [read("3", minutes=5)])
    monkeypatch.undo()
    memory.finish()
    assert [(entry.used, entry.source) for entry in recorded(ledger)] == [
        (Decimal(1), "exporter"),
        (Decimal(3), "exporter"),
    ]


def test_of_many_balances_each_is_recorded_less_often(ledger: Path) -> None:
    """So that a day of all of them is bounded."""
    settings = profile(ledger)
    assert using(settings)._spacing == remembering.LEAST_SPACING
    assert using(*[settings] * 10_000)._spacing == pytest.approx(10_000 * 86_400 / remembering.MOST_A_DAY)


def test_nothing_is_recorded_where_that_is_turned_off(ledger: Path) -> None:
    """The file is not even made."""
    settings = profile(ledger, APIMART_RECORD="0")
    memory = using(settings)
    memory.take(settings, [read("1")])
    memory.finish()
    assert not ledger.exists()


def test_a_balance_with_a_history_gets_a_forecast(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next reading, where there was no time for it with the first one; one without a history gets none."""
    write_past(ledger)
    monkeypatch.setattr(remembering, "WRITE_EVERY", 0.01)
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.0)
    settings = profile(ledger)
    memory = using(settings)
    [first] = memory.take(settings, [read("50")])
    assert first.forecast is None
    memory.start()

    def again() -> Reading:
        [known] = memory.take(settings, [read("50")])
        return known

    try:
        wait_until(lambda: again().forecast is not None)
        [other] = memory.take(settings, [read("50", key_id="0" * 12, profile="other")])
    finally:
        memory.finish()
    forecast = again().forecast
    assert forecast is not None
    assert forecast.days_left == pytest.approx(Decimal(10), rel=Decimal("0.05"))
    assert other.forecast is None


def test_the_first_reading_has_a_forecast(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the first page after a start tells it; where the time for that is over, the others have to wait."""
    write_past(ledger)
    settings = profile(ledger)
    [first] = using(settings).take(settings, [read("50")])
    assert first.forecast is not None
    assert first.forecast.days_left == pytest.approx(Decimal(10), rel=Decimal("0.05"))
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.0)
    memory = using(settings)
    assert [each.forecast for each in memory.take(settings, [read("50"), read("50", profile="other")])] == [None, None]


def test_a_ledger_that_does_not_answer_holds_up_the_first_page_for_a_moment(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not for each balance."""
    write_past(ledger)
    settings = profile(ledger)
    asked: list[str] = []
    is_over = threading.Event()

    def hang(_path: Path, reading: Reading) -> None:
        asked.append(reading.profile)
        is_over.wait(60)

    monkeypatch.setattr(remembering, "_forecast", hang)
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.2)
    memory = using(settings)
    for name in ("one", "two", "three"):
        [told] = memory.take(settings, [read("50", profile=name)])
        assert told.forecast is None
    is_over.set()
    assert asked == ["one"]


def test_a_forecast_is_told_of_the_key_and_the_gateway_that_it_was_made_of(ledger: Path) -> None:
    """And of no other that the profile has afterwards."""
    write_past(ledger)
    settings = profile(ledger)
    memory = using(settings)
    memory.take(settings, [read("50")])
    memory._look()
    known, rotated, moved = memory.take(
        settings, [read("50"), read("50", key_id="0" * 12), read("50")._replace(host="other.example.com")]
    )
    assert known.forecast is not None
    assert rotated.forecast is None
    assert moved.forecast is None


def test_a_forecast_is_not_told_for_ever(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger cannot be read any more, it ends after a while; where the history is gone, at once."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.0)
    write_past(ledger)
    settings = profile(ledger)
    memory = using(settings)

    def is_told() -> bool:
        [known] = memory.take(settings, [read("50")])
        return known.forecast is not None

    assert not is_told()
    memory._look()
    now += remembering.FORECAST_LASTS - 1
    assert is_told()
    now += 1
    assert not is_told()
    memory._look()
    assert is_told()
    with opened(ledger, seconds=None) as connection:
        clear(connection)
    memory._look()
    assert not is_told()


def test_a_ledger_that_cannot_be_used_changes_nothing(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once, where recording was asked for."""
    ledger.write_text("not a database, and not ours")
    monkeypatch.setattr(remembering, "WRITE_EVERY", 0.01)
    monkeypatch.setattr(remembering, "LEAST_SPACING", 0.0)
    settings = profile(ledger, APIMART_RECORD="1")
    memory = using(settings)
    memory.start()
    for number in range(50):
        assert memory.take(settings, [read(str(number))])
    wait_until(lambda: memory._asked_by is None)
    memory.take(settings, [read("99")])
    memory.finish()
    assert capsys.readouterr().err.count("nothing was recorded, which APIMART_RECORD asks for") == 1
    assert ledger.read_text() == "not a database, and not ours"


def test_profiles_that_went_are_forgotten(ledger: Path) -> None:
    """Nothing of them is written, or kept in memory."""
    settings = profile(ledger)
    memory = using(settings)
    memory.take(settings, [read("1", profile="gone")])
    memory.use([settings])
    memory.finish()
    assert not ledger.exists()


def write_past(ledger: Path) -> None:
    """Write two weeks in which five units were spent each day, up to 50 used."""
    series = Series(KEY_ID, HOST, Scope.KEY)
    now = datetime.now(UTC).replace(microsecond=0)
    past: Sequence[Entry] = [
        Entry(series, now - timedelta(hours=hours), "default", 50 + used, 50 - used, None, "check")
        for hours in range(14 * 24, 0, -6)
        for used in [Decimal(hours) * 5 / 24]
    ]
    with opened(ledger, seconds=None) as connection:
        record(connection, past)
        assert all_series(connection) == [series]
