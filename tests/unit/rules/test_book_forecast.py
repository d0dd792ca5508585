"""The forecast from the gateway's books: which days count, and that it is the model of the readings."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.rules.balance import Balance
from apimart_cli.rules.book_forecast import forecast_from_books
from apimart_cli.rules.books import agree, are_dollars
from apimart_cli.rules.forecast import Forecast, forecast, left_above, sooner
from apimart_cli.rules.spending import Sample
from apimart_cli.words import ForecastState, Scope

START = datetime(2026, 9, 1, tzinfo=UTC)
ZERO = Decimal(0)


def told(days: str, today: str = "0", remain: str | None = "100", **more: Decimal) -> Forecast:
    amounts = [Decimal(day) for day in days.split()]
    return forecast_from_books(amounts, Decimal(today), None if remain is None else Decimal(remain), **more)


@given(st.lists(st.decimals("0.01", 100, places=2), min_size=3, max_size=28), st.decimals(1, 10_000, places=2))
def test_it_is_the_model_of_the_readings(days: list[Decimal], remain: Decimal) -> None:
    """The same days, read at each midnight, give the same forecast, up to where it is from; of both that is told."""
    used = [sum(days[:number], ZERO) for number in range(len(days) + 1)]
    samples = [Sample(START + timedelta(days=number), remain, each) for number, each in enumerate(used)]
    read, from_books = forecast(samples), forecast_from_books(days, ZERO, remain)
    assert read is not None
    assert from_books == read._replace(is_from_books=True) == sooner(read, from_books)


def test_days_before_the_first_spend_do_not_count() -> None:
    """The key may not have been there; of what is left fewer than three are too little, whatever today is like."""
    assert told("0 0 0 0 1 0 2") == told("1 0 2")
    assert (told("1 0 2").days_seen, told("1 0 2").spent_per_day) == (3, 1)
    for days, seen in (("", 0), ("0 0 0 0 0", 0), ("0 1 1", 2)):
        assert told(days, today="50") == Forecast(ForecastState.TOO_LITTLE, Decimal(seen), is_from_books=True)


def test_today_counts_once_more_was_spent_than_usual() -> None:
    """A job that runs away shows at once; a morning like any other changes nothing."""
    usual = told("1 1 1 1")
    assert told("1 1 1 1", today="1") == usual
    away = told("1 1 1 1", today="1.01")
    assert away.days_seen == 5
    assert (away.spent_per_day or 0) > (usual.spent_per_day or 0)
    assert (told("1 1 1 1", today="50").days_left_low or 0) < (usual.days_left_low or 0)
    # Of nine days seven are looked at, with today in the place of the oldest one.
    assert told("9 9 1 1 1 1 1 1 1").spent_per_day == 1
    assert told("15 " + "1 " * 13).spent_per_day == 2
    assert (told("9 1 1 1 1 1 1", today="8").days_seen, told("9 1 1 1 1 1 1", today="8").spent_per_day) == (7, 2)


def test_what_has_no_end_and_what_has_ended() -> None:
    """As for readings: unlimited, idle for weeks, empty."""
    three, one = Decimal(3), Decimal(1)
    unlimited = Forecast(ForecastState.UNLIMITED, three, one, is_from_books=True)
    assert told("1 1 1", remain=None) == told("1 1 1", remain=None, floor=one) == unlimited
    assert told("1 " + "0 " * 14) == Forecast(ForecastState.IDLE, Decimal(14), ZERO, is_from_books=True)
    empty = Forecast(ForecastState.EMPTY, three, one, ZERO, ZERO, ZERO, is_from_books=True)
    assert told("1 1 1", remain="0") == empty
    assert told("1 1 1").state is ForecastState.ROUGH
    assert told("1 1 1 1 1 1 1").state is ForecastState.OK


def test_it_ends_at_the_floor() -> None:
    """What any call needs cannot be spent, of readings neither."""
    floor = Decimal(40)
    assert told("1 1 1", floor=floor) == told("1 1 1", remain="60")
    assert told("1 1 1", remain="40", floor=floor).state is ForecastState.EMPTY
    samples = [Sample(START + timedelta(days=day), Decimal(100), Decimal(day)) for day in range(4)]
    end = forecast(samples, floor=floor)
    assert end is not None
    assert end.days_left == 60
    assert left_above(Decimal(f"999999999999999.{2:030}"), Decimal("1e-30")) == Decimal(f"999999999999999.{1:030}")


def test_ten_credits_are_a_dollar() -> None:
    """Of both amounts, where they are sent. Nothing shows nothing: ten times that is nothing in every unit."""
    for remain, remain_credits, used, used_credits, are in (
        ("10.5", "105.0", "2.3", None, True),
        (None, None, "2.3", "23", True),
        ("0.1", "1.0000000001", "0", "0", True),
        ("10.5", None, "2.3", None, None),
        ("10.5", "105", "2.3", "2.3", False),
        ("10.5", "105.00001", "2.3", None, True),
        ("10.5", "105.000011", "2.3", None, False),
        ("0." + "9" * 29, "10.00001", "2.3", None, False),
        ("5000000", "105", "0", "0", False),
        ("0", "0", "0", "0", None),
        ("0", "0", "0", "5", False),
    ):
        amounts = [None if text is None else Decimal(text) for text in (remain, remain_credits, used_credits)]
        balance = Balance(Scope.KEY, amounts[0], Decimal(used), remain is None, START, amounts[1], amounts[2])
        assert are_dollars(balance) is are


def read(*used: str, every: int = 24) -> list[Sample]:
    return [
        Sample(START + timedelta(hours=every * number), Decimal(100), Decimal(each)) for number, each in enumerate(used)
    ]


def test_what_differs_by_more_than_two_is_another_unit() -> None:
    """Only days that both know wholly are compared, and together."""
    for used, spends, may_be in (
        (("0", "1", "2"), {0: "2", 1: "2"}, True),
        (("0", "1", "2"), {0: "0.5", 1: "0.5"}, True),
        (("0", "1", "2"), {0: "0", 1: "2"}, True),
        (("0", "1", "2"), {0: "2.1", 1: "2"}, False),
        (("0", "1", "2"), {0: "0.4", 1: "0.5"}, False),
        (("0", "0", "0"), {0: "0", 1: "0"}, True),
        (("0", "0", "0"), {0: "1", 1: "0"}, False),
        (("0", "1"), {0: "2.000001"}, True),
        (("0", "1"), {0: f"2.000001{1:024}"}, False),
        (("0", "1", "2"), {5: "900"}, True),
        ((), {0: "1"}, True),
    ):
        days = {date(2026, 9, 1) + timedelta(days=day): Decimal(spent) for day, spent in spends.items()}
        assert agree(read(*used), days, UTC) is may_be
    for spent in ("1.9", "0.55"):
        # The second of September in Tokyo begins and ends nine hours before that of the readings.
        assert agree(read("0", "1", "2"), {date(2026, 9, 2): Decimal(spent)}, ZoneInfo("Asia/Tokyo"))
    assert agree(read("0", "900", every=12), {START.date(): Decimal(1)}, UTC), "twelve hours say nothing of a day"
