"""Periods of the books and the pieces that they are asked in, in any time zone, and sums that must agree."""

import time
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apimart_cli.choices import UsageBy
from apimart_cli.errors import UsageError
from apimart_cli.rules.books import (
    BEGIN,
    LONGEST,
    MOST_DAYS,
    Booked,
    Period,
    Usage,
    added,
    contradiction,
    day_start,
    days_of,
    every_day,
    grouped,
    last_days,
    local_day,
    most_expensive_first,
    period_of,
    pieces,
    together,
)
from apimart_cli.words import Scope

NOW = datetime(2027, 11, 20, 10, tzinfo=UTC)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
KIRITIMATI = zoneinfo.ZoneInfo("Pacific/Kiritimati")
"""Fourteen hours ahead: at NOW its next day begins."""
SECOND = timedelta(seconds=1)

# Every zone there is; those that shift by half an hour, by day, at midnight, or not at all, more often.
ZONES = st.one_of(
    st.sampled_from([
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut", "America/Santiago",
        "Asia/Shanghai", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "UTC",
    ]),
    st.sampled_from(sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})),
).map(zoneinfo.ZoneInfo)  # fmt: skip
MOMENTS = st.integers(946_684_800, 2_145_916_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
PERIODS = st.builds(
    lambda since, seconds: Period(since, since + timedelta(seconds=seconds)), MOMENTS, st.integers(1, 366 * 86_400)
)


@given(PERIODS, ZONES)
@example(Period(datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)), BERLIN)
def test_pieces_leave_nothing_out_and_share_nothing(period: Period, zone: zoneinfo.ZoneInfo) -> None:
    """Whatever the zone does meanwhile: each begins where the one before it ends, and can be asked by itself."""
    found = list(pieces(period, zone))
    assert (found[0].since, found[-1].until) == period
    assert all(before.until == after.since for before, after in pairwise(found))
    assert all(timedelta(0) < each.until - each.since <= LONGEST for each in found)
    assert len(found) <= 13
    for cut in [each.since for each in found[1:]]:
        assert local_day(cut, zone) > local_day(cut - SECOND, zone), "between two days"


def test_a_month_with_the_hour_that_comes_twice_takes_two_questions() -> None:
    """October in Berlin has 745 hours, one more than the gateway takes. Samoa had no 30 December 2011."""
    month = period_of(date(2026, 10, 1), date(2026, 10, 31), NOW, BERLIN)
    assert month.until - month.since == timedelta(hours=745)
    assert list(pieces(month, BERLIN))[1:] == [Period(day_start(date(2026, 10, 31), BERLIN), month.until)]
    longest = Period(NOW - LONGEST, NOW)
    assert list(pieces(longest, BERLIN)) == [longest]
    apia = zoneinfo.ZoneInfo("Pacific/Apia")
    assert day_start(date(2011, 12, 30), apia) == day_start(date(2011, 12, 31), apia)
    year_end = Period(day_start(date(2011, 12, 29), apia), day_start(date(2012, 1, 1), apia))
    assert days_of(year_end, apia) == [date(2011, 12, 29), date(2011, 12, 31)]


@given(st.dates(date(2000, 1, 2), date(2037, 12, 30)), ZONES)
def test_a_day_begins_when_the_clock_first_shows_it(day: date, zone: zoneinfo.ZoneInfo) -> None:
    """Or a later one, where the zone leaves it out."""
    start = day_start(day, zone)
    assert local_day(start, zone) >= day > local_day(start - SECOND, zone)


def test_the_zone_of_the_machine_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of the zone that is farthest behind begins where it does, on a machine that is farthest ahead."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", KIRITIMATI.key)
        time.tzset()
        start = day_start(BEGIN, zoneinfo.ZoneInfo("Etc/GMT+12"))
    time.tzset()
    assert start == datetime(2026, 4, 27, 12, tzinfo=UTC)


def test_a_period_around_midnight_has_two_days() -> None:
    """However short it is."""
    midnight = datetime(2026, 9, 2, tzinfo=UTC)
    assert days_of(Period(midnight - SECOND, midnight + SECOND), UTC) == [date(2026, 9, 1), date(2026, 9, 2)]


@given(PERIODS, ZONES, st.floats(0, 1))
def test_every_moment_lies_on_one_of_the_days(period: Period, zone: zoneinfo.ZoneInfo, share: float) -> None:
    """In order, none twice; what lies outside of the period need not."""
    days = days_of(period, zone)
    assert days == sorted(set(days))
    moment = period.since + timedelta(seconds=int(share * ((period.until - period.since) / SECOND - 1)))
    assert local_day(moment, zone) in days
    assert local_day(period.until - SECOND, zone) == days[-1]


@st.composite
def charges(draw: st.DrawFn) -> tuple[Period, zoneinfo.ZoneInfo, list[tuple[datetime, str, Decimal]]]:
    """Draw a period, a zone, and what was spent at moments in it and around it, many of them where it is cut."""
    period, zone = draw(PERIODS), draw(ZONES)
    edges = [edge for each in pieces(period, zone) for edge in each]
    moments = st.one_of(
        st.builds(lambda edge, seconds: edge + seconds * SECOND, st.sampled_from(edges), st.integers(-3, 3)),
        st.integers(-86_400, int((period.until - period.since) / SECOND) + 86_400).map(
            lambda seconds: period.since + seconds * SECOND
        ),
    )
    amounts = st.decimals(0, 1000, places=6)
    return period, zone, draw(st.lists(st.tuples(moments, st.sampled_from(["a", "b"]), amounts), max_size=30))


@given(charges(), st.sampled_from(list(UsageBy)))
def test_what_is_put_together_is_what_was_spent(
    drawn: tuple[Period, zoneinfo.ZoneInfo, list[tuple[datetime, str, Decimal]]], by: UsageBy
) -> None:
    """Of a gateway that counts charges by itself: no charge is counted twice or left out, however a zone goes on."""
    period, zone, every = drawn

    def asked(part: Period) -> Usage:
        charged = [charge for charge in every if part.since <= charge[0] < part.until]
        inside = [
            Booked(amount, 1, day=local_day(at, zone) if by.has_day else None, model=name if by.has_model else None)
            for at, name, amount in charged
        ]
        rows = grouped(inside)
        assert contradiction(added(inside), rows, days=days_of(part, zone) if by.has_day else None) is None
        return Usage(Scope.KEY, *part, zone.key, by, added(inside), tuple(rows), NOW)

    whole = together([asked(part) for part in pieces(period, zone)])
    at_once = asked(period)
    assert (whole.since, whole.until, whole.total, whole.rows) == (*period, at_once.total, at_once.rows)
    assert sum(row.spent for row in whole.rows) == whole.total.spent
    if by.has_day:
        assert sum(row.spent for row in every_day(whole, zone)) == whole.total.spent


def part(*days: tuple[int, int], **more: object) -> Usage:
    (since, until), *_ = days
    total = Booked(Decimal(1), 1, 1, 1)
    moments = (datetime(2026, 9, day, tzinfo=UTC) for day in (since, until))
    return Usage(Scope.KEY, *moments, "UTC", UsageBy.MODEL, total, (total,), NOW)._replace(**more)


def test_periods_that_do_not_follow_each_other_are_not_put_together() -> None:
    """A gap and an overlap are mistakes."""
    assert together([part((1, 2)), part((2, 3))]).total.spent == 2
    for second in ((3, 4), (1, 3)):
        with pytest.raises(ValueError, match=r"^periods that do not follow each other$"):
            together([part((1, 2)), part(second)])


def test_what_is_put_together_is_as_old_as_its_oldest_part() -> None:
    """The earliest answer, one that was kept, and the largest difference of clocks count."""
    early = NOW - timedelta(minutes=1)
    kept = part((2, 3), fetched_at=early, was_kept=True, skew=-timedelta(seconds=9))
    whole = together([part((1, 2), skew=timedelta(seconds=2)), kept, part((3, 4))])
    assert (whole.fetched_at, whole.was_kept, whole.skew) == (early, True, -timedelta(seconds=9))
    assert whole.until == datetime(2026, 9, 4, tzinfo=UTC)
    assert (whole.lag, part((1, 2)).lag) == (timedelta(minutes=2), timedelta(minutes=1))
    assert part((1, 2)).skew is None
    # A sum without a count that one part does not tell would be too small.
    assert added([Booked(Decimal(1), 2, None, 3), Booked(Decimal(2), 3, 4, 5)]) == Booked(Decimal(3), 5, None, 8)
    assert repr(added([])) == repr(Booked(Decimal(0), 0, 0, 0))
    assert added([booked("999999999999999"), booked("1e-30")]).spent == Decimal(f"999999999999999.{1:030}")


def test_days_are_counted_whole() -> None:
    """The last one, too, and today up to now, without parts of a second. A moment is exactly that."""
    assert last_days(1, NOW + timedelta(milliseconds=5), BERLIN) == Period(datetime(2027, 11, 19, 23, tzinfo=UTC), NOW)
    assert last_days(30, NOW, UTC).since == datetime(2027, 10, 22, tzinfo=UTC)
    assert last_days(1, NOW + SECOND, KIRITIMATI) == Period(NOW, NOW + SECOND)
    january = Period(datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
    assert period_of(date(2027, 1, 1), date(2027, 1, 31), NOW, UTC) == january
    assert period_of(date(2027, 11, 20), date(2027, 11, 20), NOW, UTC).until == NOW
    assert period_of(date(2027, 11, 20), date(2028, 1, 1), NOW, UTC).until == NOW
    hour = datetime(2027, 11, 19, 12, 0, 0, 5, tzinfo=BERLIN)
    begun = datetime(2027, 11, 19, 11, tzinfo=UTC)
    told = period_of(hour, hour + timedelta(hours=1), NOW, BERLIN)
    assert told == Period(begun, begun + timedelta(hours=1))
    assert told.since.tzinfo is UTC


def test_there_are_no_books_before_they_begin() -> None:
    """A period that begins earlier is cut; one that ends earlier is refused, as nothing is known of it."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert period_of(date(2026, 4, 1), None, now, UTC).since == datetime(2026, 4, 27, tzinfo=UTC)
    assert period_of(date(2026, 4, 27), date(2026, 4, 27), now, UTC).since == day_start(BEGIN, UTC)
    morning = Period(datetime(2026, 4, 26, 10, tzinfo=UTC), datetime(2026, 4, 26, 12, tzinfo=UTC))
    assert period_of(date(2026, 4, 1), morning.until, now, KIRITIMATI) == morning


def test_a_period_that_is_none_is_refused() -> None:
    """In words for an option. The longest is a leap year, the first and the last day with it."""
    for first, last, message, hint in (
        (date(2027, 11, 21), None, "the period begins in the future", "give today, or a day before"),
        (NOW, NOW, "the period begins in the future", "give today, or a day before"),
        (date(2027, 11, 2), date(2027, 11, 1), "the period ends before it begins", "give the earlier day first"),
        (date(2026, 11, 19), None, "the period is longer than 366 days", "ask for a part of it"),
        (date(2026, 4, 1), date(2026, 4, 26), "the gateway's books begin on 2026-04-27", "ask for a later time"),
    ):
        with pytest.raises(UsageError) as caught:
            period_of(first, last, NOW, UTC)
        assert (caught.value.message, caught.value.hint) == (message, hint)
    for zone, begin in (("UTC", 20), ("Pacific/Kiritimati", 20), ("Pacific/Honolulu", 19)):
        here = zoneinfo.ZoneInfo(zone)
        assert len(days_of(period_of(date(2026, 11, begin), None, NOW, here), here)) == MOST_DAYS == 366


def booked(spent: str, model: str | None = "a", *counts: int | None, day: date | None = None) -> Booked:
    return Booked(Decimal(spent), *counts, *([None] * (3 - len(counts))), day, model)  # type: ignore[arg-type]


def test_a_total_is_the_sum_of_its_parts() -> None:
    """Within a millionth for each, as amounts have six places; nothing is negative, and nothing stands there twice."""
    for total, rows, fault in (
        ("0", [], ""),
        ("0.000001", [], "not the sum"),
        ("1.000001", [booked("1")], ""),
        ("0.9999989", [booked("1")], "not the sum"),
        ("3.000002", [booked("1"), booked("2", "b")], ""),
        ("3.0000021", [booked("1"), booked("2", "b")], "not the sum"),
        ("-1", [booked("-1")], "negative"),
        ("1", [booked("2"), booked("-1", "b")], "negative"),
        ("3", [booked("1"), booked("2")], "twice"),
        ("999999999999999.000001", [booked("999999999999999"), booked("0.000001", "b")], ""),
        ("999999999999999.000002000000095", [booked("999999999999999"), booked("9e-14", "b")], "not the sum"),
    ):
        found = contradiction(Booked(Decimal(total)), rows, days=None)
        assert found is None if not fault else fault in (found or "")


@pytest.mark.parametrize("name", ["requests", "prompt_tokens", "completion_tokens"])
def test_counts_are_exact(name: str) -> None:
    """A request or a token too many is a contradiction; a count that is not told everywhere is none."""
    total = booked("1", "t", 5, 5, 5)
    rows = [booked("0.5", "a", 3, 3, 3), booked("0.5", "b", 2, 2, 2)]
    assert contradiction(total, rows, days=None) is None
    for wrong in (4, 6):
        found = contradiction(total._replace(**{name: wrong}), rows, days=None)
        assert found == f"its total of {name} is not the sum of its parts"
    assert contradiction(total._replace(**{name: None}), rows, days=None) is None
    assert contradiction(total, [rows[0]._replace(**{name: None}), rows[1]], days=None) is None


def test_days_are_those_that_were_asked_for() -> None:
    """One outside of them is a contradiction, and so is a model twice on one day; on two days it is none."""
    first, second = date(2026, 9, 16), date(2026, 9, 17)
    rows = [booked("1", day=first), booked("1", day=second)]
    assert contradiction(Booked(Decimal(2)), rows, days=[first, second]) is None
    assert contradiction(Booked(Decimal(2)), rows, days=[first]) == "it has a day in it that was not asked for"
    assert contradiction(Booked(Decimal(2)), [rows[0]] * 2, days=[first]) == "a day or a model stands in it twice"


def test_the_most_expensive_comes_first() -> None:
    """By name where two cost the same."""
    rows = [booked("1", "c"), booked("2", "b"), booked("2", "a"), booked("0", "d")]
    assert [row.model for row in most_expensive_first(rows)] == ["a", "b", "c", "d"]


def test_rows_are_in_the_order_of_their_names() -> None:
    """Of days, then of models; one without a name comes first. So it is among those that cost the same."""
    days = [date(2026, 9, day) for day in (1, 2)]
    rows = [booked("1", model, day=day) for day in days for model in (None, "A", "b")]
    assert grouped(reversed(rows)) == most_expensive_first(reversed(rows)) == rows
    different = [booked("2", "A"), booked("1", "b")]
    assert grouped(reversed(different)) == different


def test_days_without_spend_are_there_and_zero() -> None:
    """And of several models on one day there is a sum."""
    day = date(2026, 9, 2)
    usage = part((1, 4), by=UsageBy.DAY_MODEL, rows=(booked("1", "a", 1, day=day), booked("2", "b", 1, day=day)))
    told = every_day(usage, UTC)
    zero = booked("0", None, 0, 0, 0, day=date(2026, 9, 1))
    assert told == [zero, booked("3", None, 2, day=day), zero._replace(day=date(2026, 9, 3))]
    assert [row.day for row in every_day(usage, KIRITIMATI)] == [date(2026, 9, day) for day in (1, 2, 3, 4)]
