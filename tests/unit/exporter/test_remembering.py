"""Remembering: what goes into the ledger, how often, and what comes back out of it."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.config.settings import Settings
from apimart_cli.exporter import remembering
from apimart_cli.exporter.remembering import Remembering
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.store import clear
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.words import Scope
from support.past import recorded, write_past
from support.processes import wait_until
from support.profiles import profile
from support.readings import AUTH, failed
from support.running import KEY_ID

HOST = "api.example.com"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def settings(ledger: Path) -> Settings:
    return profile(variables={"APIMART_HISTORY": str(ledger)})


@pytest.fixture
def past(ledger: Path) -> None:
    """Two weeks in which five units were spent each day, up to 50 used and 50 left."""
    write_past(ledger, HOST, days=14, spent_per_day="5", remain="50", used="50")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no time for the first readings, and the thread looks all the time."""
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(remembering, "WRITE_EVERY", 0.01)


def read(used: str = "50", *, profile: str = "default", key_id: str = KEY_ID, minutes: int = 0) -> Reading:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    balance = Balance(Scope.KEY, Decimal(100) - Decimal(used), Decimal(used), unlimited_quota=False, fetched_at=moment)
    return Reading(profile, Scope.KEY, None, balance, key_id, HOST)


def using(*profiles: Settings) -> Remembering:
    found = Remembering()
    found.use(profiles)
    return found


def is_ten_days(reading: Reading) -> bool:
    forecast = reading.forecast
    return forecast is not None and forecast.days_left == pytest.approx(Decimal(10), rel=Decimal("0.05"))


def test_readings_are_recorded_now_and_then(settings: Settings, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, and the next after some minutes: a forecast needs no more. Failures are none."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
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


def test_of_many_balances_each_is_recorded_less_often(settings: Settings) -> None:
    """So that a day of all of them is bounded."""
    assert using(settings)._spacing == remembering.LEAST_SPACING
    assert using(*[settings] * 10_000)._spacing == pytest.approx(10_000 * 86_400 / remembering.MOST_A_DAY)


def test_nothing_is_recorded_where_that_is_turned_off(ledger: Path) -> None:
    """The file is not even made."""
    settings = profile(variables={"APIMART_HISTORY": str(ledger), "APIMART_RECORD": "0"})
    memory = using(settings)
    memory.take(settings, [read("1")])
    memory.finish()
    assert not ledger.exists()


def test_a_balance_with_a_history_gets_a_forecast(settings: Settings, past: None, hurried: None) -> None:
    """With the next reading, where there was no time for it with the first one; one without a history gets none."""
    memory = using(settings)
    [first] = memory.take(settings, [read()])
    assert first.forecast is None
    memory.start()
    try:
        wait_until(lambda: is_ten_days(memory.take(settings, [read()])[0]))
        [other] = memory.take(settings, [read(key_id="0" * 12, profile="other")])
    finally:
        memory.finish()
    assert other.forecast is None


def test_the_first_reading_has_a_forecast(settings: Settings, past: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the first page after a start tells it; where the time for that is over, the others have to wait."""
    [first] = using(settings).take(settings, [read()])
    assert is_ten_days(first)
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.0)
    told = using(settings).take(settings, [read(), read(profile="other")])
    assert [each.forecast for each in told] == [None, None]


def test_a_ledger_that_does_not_answer_holds_up_the_first_page_for_a_moment(
    settings: Settings, past: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not for each balance."""
    asked: list[str] = []
    is_over = threading.Event()

    def hang(_path: Path, reading: Reading) -> None:
        asked.append(reading.profile)
        is_over.wait(60)

    monkeypatch.setattr(remembering, "_forecast", hang)
    monkeypatch.setattr(remembering, "FIRST_SECONDS", 0.2)
    memory = using(settings)
    for name in ("one", "two", "three"):
        [told] = memory.take(settings, [read(profile=name)])
        assert told.forecast is None
    is_over.set()
    assert asked == ["one"]


def test_a_forecast_is_told_of_the_key_and_the_gateway_that_it_was_made_of(settings: Settings, past: None) -> None:
    """And of no other that the profile has afterwards."""
    memory = using(settings)
    memory.take(settings, [read()])
    memory._look()
    others = [read(key_id="0" * 12), read()._replace(host="other.example.com")]
    told = memory.take(settings, [read(), *others])
    assert [each.forecast is not None for each in told] == [True, False, False]


def test_a_forecast_is_not_told_for_ever(
    settings: Settings, past: None, ledger: Path, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the ledger cannot be read any more, it ends after a while; where the history is gone, at once."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    memory = using(settings)

    def is_told() -> bool:
        [known] = memory.take(settings, [read()])
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
    ledger: Path, hurried: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once, where recording was asked for."""
    ledger.write_text("not a database, and not ours")
    monkeypatch.setattr(remembering, "LEAST_SPACING", 0.0)
    settings = profile(variables={"APIMART_HISTORY": str(ledger), "APIMART_RECORD": "1"})
    memory = using(settings)
    memory.start()
    for number in range(50):
        assert memory.take(settings, [read(str(number))])
    wait_until(lambda: memory._asked_by is None)
    memory.take(settings, [read("99")])
    memory.finish()
    assert capsys.readouterr().err.count("nothing was recorded, which APIMART_RECORD asks for") == 1
    assert ledger.read_text() == "not a database, and not ours"


def test_profiles_that_went_are_forgotten(settings: Settings, ledger: Path) -> None:
    """Nothing of them is written, or kept in memory."""
    memory = using(settings)
    memory.take(settings, [read("1", profile="gone")])
    memory.use([settings])
    memory.finish()
    assert not ledger.exists()
