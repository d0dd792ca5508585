"""The trend of a balance: what changed, what was spent, how fast, and what was topped up."""

from datetime import timedelta
from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given

from apimart_cli.errors import AuthError, ExitCode, PaymentRequiredError, UnavailableError
from apimart_cli.readings.watch import WatchedBalances
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.trend import BARS, MOST_SAMPLES, Change, Trend
from apimart_cli.words import Scope
from support.readings import MOMENT, failed, reading

D = Decimal
STEP = timedelta(seconds=30)
DOWN = UnavailableError("no answer", "try again later")

amounts = st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False)


def at(number: float, remain: str | None, used: str, **fields: object) -> Reading:
    """A reading so many steps after the first."""
    made = reading(remain, used)
    assert made.balance is not None
    return made._replace(result=made.balance._replace(fetched_at=MOMENT + number * STEP), **fields)  # type: ignore[arg-type]


def played(*readings: Reading) -> tuple[Trend, list[tuple[Change, ...]]]:
    """A trend with these readings, and what each of them changed."""
    trend = Trend(STEP)
    return trend, [trend.take(each) for each in readings]


def test_spend_is_the_rise_of_used_since_the_start() -> None:
    """Whatever happens to what is left; exact. Only the first reading is news by itself."""
    trend, changes = played(
        at(0, "10", "2"), at(1, "10.0", "2.00"), at(2, "9.999999999999999999", "2.000000000000000001")
    )
    assert changes == [(Change.START,), (), (Change.CHANGED,)]
    assert trend.view().spent == D("0.000000000000000001")


def test_a_top_up_is_told_once_when_two_readings_agree() -> None:
    """The first of them may be half of a booking."""
    trend, changes = played(
        at(0, "10", "2"), at(1, "29", "2"), at(2, "29", "3"), at(3, "28", "4"), at(4, "28", "4"), at(5, "28", "4")
    )
    assert changes == [
        (Change.START,), (Change.CHANGED,), (Change.CHANGED,), (Change.CHANGED, Change.TOP_UP), (), (),
    ]  # fmt: skip
    top_up = trend.view().top_up
    assert top_up is not None
    assert (top_up.amount, top_up.at) == (20, MOMENT + 2 * STEP)


def test_a_cut_is_told() -> None:
    """There is less in all. A charge in two bookings is none: what is left fell first, what is used rose later."""
    trend, changes = played(at(0, "10", "2"), at(1, "5", "2"), at(2, "5", "2"))
    assert changes[2] == (Change.CUT,)
    top_up = trend.view().top_up
    assert top_up is not None
    assert top_up.amount == -5
    _, changes = played(at(0, "10", "2"), at(1, "9", "2"), at(2, "9", "3"), at(3, "9", "3"))
    assert Change.CUT not in {change for each in changes for change in each}


def test_a_failure_is_told_once_and_the_last_value_stays() -> None:
    """Again when its reason is another one; and that it is over."""
    trend, changes = played(
        at(0, "10", "2"), failed(DOWN), failed(DOWN), failed(AuthError("rejected")), at(3, "9", "3"), at(4, "9", "3")
    )
    assert changes == [
        (Change.START,), (Change.FAILED,), (), (Change.FAILED,), (Change.RECOVERED, Change.CHANGED), (),
    ]  # fmt: skip
    trend.take(failed(DOWN))
    view = trend.view()
    assert view.failure is DOWN
    assert view.reading.balance is not None
    assert (view.reading.balance.remain_balance, view.spent) == (9, 1)


def test_a_balance_that_was_never_read_shows_its_failure() -> None:
    """And counts from the first answer on."""
    trend, changes = played(failed(DOWN))
    assert changes == [(Change.START, Change.FAILED)]
    assert not trend.was_read
    assert trend.view().reading.error is DOWN
    assert trend.take(at(1, "10", "2")) == (Change.RECOVERED,)
    assert trend.view().spent == 0


def test_below_is_told_when_it_begins_and_when_it_ends() -> None:
    """Exactly at the threshold is enough; a failure changes nothing; HTTP 402 is below."""
    low = {"low_below": D(9)}
    trend, changes = played(
        at(0, "9", "2", **low), at(1, "8.99", "2.01", **low), failed(DOWN)._replace(low_below=D(9)),
        at(3, "9", "2", **low), failed(PaymentRequiredError("pay"))._replace(low_below=D(9)),
    )  # fmt: skip
    assert [Change.BELOW in each for each in changes] == [False, True, False, False, True]
    assert [Change.ENOUGH in each for each in changes] == [False, False, False, True, False]
    assert trend.is_below


def test_of_what_can_be_spent_the_parts_tell_top_ups_and_the_end() -> None:
    """Others spend of the account, too: that is no cut of what can be spent with the key."""
    trend = Trend(STEP)
    for number in range(4):
        key = at(number, "100", str(number))
        account = at(number, str(20 - 5 * number), str(5 * number))
        assert account.balance is not None
        account = account._replace(scope=Scope.ACCOUNT, result=account.balance._replace(scope=Scope.ACCOUNT))
        changes = trend.take(spendable(key, account))
        assert Change.CUT not in changes
    view = trend.view()
    assert (view.spent, view.spent_per_hour) == (3, 120)
    # The account has 5 left and loses 600 an hour.
    assert view.hours_left is not None
    assert round(view.hours_left * 3600) == 30


BUSY = [at(number, "100", str(number)) for number in range(10)]
IDLE = [at(10 + number, "100", "9") for number in range(21)]


def test_the_rate_is_that_of_the_last_minutes() -> None:
    """And the spend that since the start."""
    for readings, spent, spent_per_hour in (
        # One reading tells no rate, and what was spent before the last minutes does not count for ever.
        ([at(0, "10", "2")], 0, None),
        (BUSY, 9, 120),
        ([*BUSY, *IDLE], 9, 0),
        # What counts is the rise from the lowest: what is given back from before the start hides no spend.
        ([at(0, "10", "5"), at(1, "12", "3"), at(2, "11", "4")], 1, 120),
        # A clock that is set back starts the rate anew; what is spent is counted on.
        ([at(0, "10", "2"), at(1, "9", "3"), at(-100, "8", "4"), at(-99, "7", "5")], 3, 120),
        # The `used` of an unlimited key tells.
        ([at(0, None, "2"), at(1, None, "3")], 1, 120),
    ):
        view = played(*readings)[0].view()
        assert (view.spent, view.spent_per_hour) == (spent, spent_per_hour)
        has_end = bool(spent_per_hour) and view.reading.balance is not None and not view.reading.balance.unlimited_quota
        assert (view.hours_left is not None) is has_end


def test_bars_show_the_spend_of_equal_times_with_top_ups_in_their_place() -> None:
    """A question that was late or failed is spread over the time that it took."""
    trend, _ = played(at(0, "10", "0"), at(1, "9", "1"), at(3, "15", "5"), at(4, "15", "5"))
    assert [(bar.spent, bar.has_top_up) for bar in trend.view().bars] == [
        (1, False), (2, False), (2, True), (0, False),
    ]  # fmt: skip


moves = st.lists(st.tuples(st.integers(1, 3000), amounts, amounts, st.booleans()), max_size=60)


@given(moves)
def test_any_course_can_be_shown(steps: list[tuple[int, Decimal, Decimal, bool]]) -> None:
    """Amounts that jump, questions that fail, hours in between: nothing is negative, and nothing grows."""
    trend, moment = Trend(STEP), MOMENT
    trend.take(at(0, "1", "1"))
    for seconds, remain, used, fails in steps:
        moment += timedelta(seconds=seconds)
        made = reading(str(remain), str(used))
        assert made.balance is not None
        trend.take(failed(DOWN) if fails else made._replace(result=made.balance._replace(fetched_at=moment)))
        view = trend.view()
        assert view.spent is not None
        assert view.spent >= 0
        assert view.spent_per_hour is None or view.spent_per_hour >= 0
        assert view.hours_left is None or view.hours_left >= 0
        assert len(view.bars) <= BARS
        assert all(bar.spent >= 0 for bar in view.bars)
        assert (view.failure is DOWN) is fails


@given(st.lists(amounts, min_size=1, max_size=60))
def test_steady_charges_are_all_spend(charges: list[Decimal]) -> None:
    """The sum of them, exactly, whatever there was before; no top-up, no cut; the bars of a short time add up to it."""
    trend, remain, used = Trend(STEP), D(100_000), D(7)
    trend.take(at(0, str(remain), str(used)))
    for number, charge in enumerate(charges, start=1):
        remain, used = remain - charge, used + charge
        changes = trend.take(at(number, str(remain), str(used)))
        assert set(changes) == ({Change.CHANGED} if charge else set())
    view = trend.view()
    assert view.spent == sum(charges)
    assert view.top_up is None
    assert sum(bar.spent for bar in view.bars) == sum(charges[-BARS:])


def test_a_long_course_takes_no_more_room() -> None:
    """However often it is read within the time that a rate is taken over."""
    trend = Trend(timedelta(days=1))
    for number in range(MOST_SAMPLES * 3):
        trend.take(at(number, "10", str(number)))
    [series] = trend._series.values()
    assert len(series._samples) == MOST_SAMPLES


def test_of_many_balances_what_changed_is_news() -> None:
    """The code is that of one that was never read, however others end; 402 comes first, then the first of several."""
    watched = WatchedBalances(STEP)
    assert [len(news.changes) for news in watched.take([at(0, "1", "1", profile=name) for name in "ab"])] == [1, 1]
    [news] = watched.take([at(1, "1", "1", profile="a"), at(1, "0", "2", profile="b")])
    assert news.view.reading.profile == "b"
    assert [view.reading.profile for view in watched.views] == ["a", "b"]
    watched.take([failed(DOWN, "c")])
    assert watched.code is ExitCode.UNAVAILABLE
    watched.take([failed(DOWN, "a"), at(1, "10", "2", profile="c")])
    assert watched.code is ExitCode.OK
    for errors, code in (([DOWN, PaymentRequiredError("pay")], 3), ([AuthError("no"), DOWN], 4)):
        never_read = WatchedBalances(STEP)
        never_read.take(failed(error, f"p{number}") for number, error in enumerate(errors))
        assert never_read.code == code
