"""The guard: when it stops, when it looks again, and what it assumes while it sees nothing."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.rules.guard import LEAST_INTERVAL, LOOKS_AHEAD, MOST_INTERVAL, CountingDoubt, Guard, Limits, Look
from apimart_cli.words import StoppedBy

D = Decimal


def guard(
    *, min: str | None = None, max_spend: str | None = None, interval: float | None = None,
    max_blind: float | None = 600,
) -> Guard:  # fmt: skip
    limits = Limits(None if min is None else D(min), None if max_spend is None else D(max_spend))
    return Guard(limits, interval=interval, max_blind=max_blind)


def seen(at: float, used: str | None, left: str | None = None) -> Look:
    return Look(at, None if used is None else D(used), None if left is None else D(left))


def blind(at: float, **fields: float) -> Look:
    return Look(at, is_blind=True, **fields)


def both(at: float, used: str, of_account: str | None) -> Look:
    """A look at an unlimited key and its account."""
    return Look(at, D(used), used_of_account=None if of_account is None else D(of_account))


def after(watching: Guard, *looks: Look) -> Guard:
    for look in looks:
        watching.take(look)
    return watching


def test_it_stops_at_its_limits() -> None:
    """Exactly, and for what the last look tells."""
    for watching, looks, stopped in (
        # So much as `min` may be left, and no digit less; of what is unlimited nothing can run out.
        (guard(min="5"), [seen(0, "1", "5")], None),
        (guard(min="5"), [seen(0, "1", "4.999999999999999999999")], StoppedBy.MIN),
        (guard(min="5"), [seen(0, "1", None)], None),
        # What is counted is the rise of `used` since the first look, to the last digit.
        (guard(max_spend="3"), [seen(0, "1"), seen(2, "3.999999999999999999999999999999")], None),
        (guard(max_spend="3"), [seen(0, "1"), seen(2, "4")], StoppedBy.MAX_SPEND),
        # A charge from before the start that is given back hides no spend.
        (guard(max_spend="3"), [seen(0, "10"), seen(2, "8"), seen(4, "11")], StoppedBy.MAX_SPEND),
        # HTTP 402, or words of the gateway: no call can be paid any more.
        (guard(max_spend="3"), [seen(0, "1"), Look(2, must_pay=True)], StoppedBy.PAYMENT_REQUIRED),
        # One part is below, although the other is not known.
        (guard(min="5"), [Look(0, D(1), D("4.9"), is_blind=True)], StoppedBy.MIN),
        # The gate judges what may not last, and the next look may take it back.
        (guard(min="5"), [Look(0, D(1), D(50), ends_too_soon=True)], StoppedBy.MIN_RUNWAY),
        (guard(min="5"), [Look(0, D(1), D(50), ends_too_soon=True), seen(2, "1", "50")], None),
    ):
        assert after(watching, *looks).stop(looks[-1].at) is stopped


def test_the_spend_is_counted_from_the_first_look() -> None:
    """Also where the gateway was silent at the start. What is given back or topped up is not spent."""
    watching = after(guard(max_spend="3"), blind(0))
    assert watching.spent is None
    assert after(watching, seen(9, "70")).spent == D(0)
    assert after(watching, seen(11, "73")).stop(11) is StoppedBy.MAX_SPEND
    assert after(guard(max_spend="3"), seen(0, "1"), seen(2, "3"), seen(4, "1.5")).spent == D("0.5")
    assert after(guard(min="5", max_spend="3"), seen(0, "1", "6"), seen(2, "1", "60")).spent == D(0)


def test_where_the_key_is_never_counted_its_account_is() -> None:
    """Some gateways never count what an unlimited key uses. From the first digit on, and said once."""
    watching = after(guard(max_spend="3"), both(0, "0", "25.5"))
    assert (watching.spent, watching.counts_account, watching.new_doubt()) == (D(0), False, None)
    after(watching, both(2, "0.000", "26"))
    assert (watching.spent, watching.counts_account) == (D("0.5"), True)
    assert (watching.new_doubt(), watching.new_doubt()) == (CountingDoubt.ACCOUNT_COUNTS, None)
    assert after(watching, both(4, "0", "28.5")).stop(4) is StoppedBy.MAX_SPEND


def test_a_key_that_is_counted_counts_alone() -> None:
    """As soon as it has used anything, or where its account is not asked, others' spend is none of its business."""
    for looks in (
        [both(0, "0", "10"), both(2, "0.1", "90")],
        [both(0, "0", "10"), both(2, "0", "11"), both(4, "0.1", "90")],
        [both(0, "0", None), both(2, "0.1", None)],
    ):
        watching = after(guard(max_spend="3"), *looks)
        assert (watching.spent, watching.counts_account, watching.new_doubt()) == (D("0.1"), False, None)


def test_what_the_account_counts_is_kept() -> None:
    """What is given back to it hides no spend, and a limit that was reached is not forgotten while it is silent."""
    assert after(guard(max_spend="3"), both(0, "0", "10"), both(2, "0", "8"), both(4, "0", "9")).spent == D(1)
    watching = after(guard(max_spend="3"), both(0, "0", "10"), both(2, "0", "13"), both(4, "0", None))
    assert (watching.spent, watching.stop(4)) == (D(3), StoppedBy.MAX_SPEND)


def test_a_key_that_stands_still_while_its_account_spends_is_told_once() -> None:
    """At the second look that shows it: its part may be booked later. What is counted is the key's."""
    watching = after(guard(max_spend="3"), both(0, "2", "10"), both(2, "2", "14"))
    assert watching.new_doubt() is None
    after(watching, both(4, "2", "18"))
    assert (watching.new_doubt(), watching.new_doubt()) == (CountingDoubt.KEY_STANDS_STILL, None)
    assert (watching.spent, watching.stop(4), watching.counts_account) == (D(0), None, False)
    # One that moves with its account is in no doubt, nor one whose account stands still, too.
    moving = [both(0, "2", "10"), both(2, "3", "14"), both(4, "3", "18"), both(6, "3", "20")]
    still = [both(0, "2", "10"), both(2, "2", "10"), both(4, "2", "10")]
    assert [after(guard(max_spend="9"), *looks).new_doubt() for looks in (moving, still)] == [None, None]


def test_limits_know_what_they_need() -> None:
    """A budget needs the key alone."""
    assert not Limits().are_set
    assert (Limits(max_spend=D(1)).are_set, Limits(max_spend=D(1)).need_what_is_left) == (True, False)
    assert Limits(min=D(1)).need_what_is_left
    assert Limits(min_runway=timedelta(days=1)).need_what_is_left


@pytest.mark.parametrize(
    ("watching", "looks", "pause"),
    [
        # As long as no rate is known, the next look comes soon.
        (guard(max_spend="100"), [seen(50, "1")], 2),
        (guard(max_spend="100"), [seen(50, "1"), seen(52, "1")], 2),
        (guard(max_spend="9"), [seen(3, "1"), seen(3, "5")], 2),
        # A quarter of what is left by the rate, between 2 and 30 seconds: here 1 a second, 4 spent.
        (guard(max_spend="100"), [seen(0, "1"), seen(4, "5")], 24),
        (guard(max_spend="1000"), [seen(0, "1"), seen(4, "5")], 30),
        (guard(max_spend="13"), [seen(0, "1"), seen(4, "5")], 2.25),
        (guard(max_spend="5"), [seen(0, "1"), seen(4, "5")], 2),
        # The nearer limit counts; for what is left, what others spend of the account, too.
        (guard(max_spend="1000", min="5"), [seen(0, "1", "61"), seen(4, "5", "57")], 52 / 4),
        (guard(min="5"), [seen(0, "1", "85"), seen(4, "5", "65")], 60 / 5 / 4),
        # After a top-up what is used tells the rate.
        (guard(min="5"), [seen(0, "1", "10"), seen(4, "5", "106")], 101 / 4),
        # An interval of the user is kept, whatever the rate.
        (guard(max_spend="4.1", interval=17), [seen(0, "1"), seen(4, "5")], 17),
        # A gateway that asks for time gets it, but for more than five minutes.
        (guard(max_spend="3"), [seen(0, "1"), blind(2, retry_after=300)], 300),
        (guard(max_spend="3", interval=1), [seen(0, "1"), blind(2, retry_after=300)], 300),
        (guard(max_spend="3"), [seen(0, "1"), blind(2, retry_after=0.5)], 2),
        (guard(max_spend="3"), [seen(0, "1"), blind(2, retry_after=301)], 300),
        (guard(max_spend="3"), [seen(0, "1"), blind(2, retry_after=float("inf"))], 300),
    ],
)
def test_looks_come_closer_as_the_limit_does(watching: Guard, looks: Sequence[Look], pause: float) -> None:
    """By what the last looks tell."""
    assert after(watching, *looks).next_look() - looks[-1].at == pause


def test_a_burst_counts_at_once_and_is_not_forgotten_at_once() -> None:
    """The rate is that of the last two looks or of the last minute, whichever is more."""
    looks = [*(seen(at, "1") for at in range(0, 60, 2)), seen(60, "5")]
    assert after(guard(max_spend="50"), *looks).rate == 2
    watching = after(guard(max_spend="50"), *looks, seen(62, "5"))
    assert watching.rate == pytest.approx(4 / 62, rel=0.05)


def test_the_first_look_that_tells_nothing_is_told_once() -> None:
    """And once more after it has seen something again."""
    watching = guard(max_spend="3")
    took = [watching.take(look) for look in (seen(0, "1"), blind(2), blind(4), seen(6, "1"), blind(8))]
    assert took == [False, True, False, False, True]


def test_blind_it_takes_spending_to_go_on() -> None:
    """It stops when at the last rate nothing is left, or when it was blind for too long."""
    for watching, looks, until in (
        # 1 a second, 2 spent of 10 when it was last seen: the rest lasts 8 seconds.
        (guard(max_spend="10"), [seen(0, "1"), seen(2, "3"), blind(4)], 10),
        (guard(min="5"), [seen(0, "1", "15"), seen(2, "3", "13"), blind(4)], 10),
        # The rate is that of the account, where that is what is counted.
        (guard(max_spend="10"), [both(0, "0", "10"), both(2, "0", "12"), blind(4)], 10),
        # The key has plenty left; of the account, with 3 above the limit, nothing is known any more.
        (guard(min="5"), [seen(0, "1", "10"), seen(2, "3", "8"), Look(4, D(5), D(100), is_blind=True)], 5),
        # Where nothing was spent so far, the time decides, also while the gateway is left alone.
        (guard(max_spend="10", max_blind=600), [seen(0, "1"), blind(30), blind(60)], 630),
        (guard(max_spend="3", max_blind=250), [seen(0, "1"), blind(2, retry_after=301)], 252),
        (guard(max_spend="3"), [seen(0, "1"), seen(2, "2"), blind(4, retry_after=300)], 6),
    ):
        after(watching, *looks)
        assert (watching.stop(until - 0.001), watching.stop(until)) == (None, StoppedBy.BLIND)


def test_blind_it_goes_on_where_nothing_runs_out() -> None:
    """What became unlimited, `--on-blind continue`, and what was seen again."""
    unlimited = [seen(0, "1", "15"), seen(2, "3", "13"), seen(4, "5", None), blind(6)]
    assert after(guard(min="5"), *unlimited).stop(500) is None
    assert after(guard(max_spend="10", max_blind=None), seen(0, "1"), seen(2, "9"), blind(4)).stop(1_000_000) is None
    watching = after(guard(max_spend="10"), seen(0, "1"), seen(2, "3"), blind(4), seen(30, "4"))
    assert (watching.is_blind, watching.stop(100)) == (False, None)


AMOUNTS = st.decimals(min_value=0, max_value=10**15 - 1, places=12)
PAUSES = st.floats(min_value=0.001, max_value=100)


@st.composite
def courses(draw: st.DrawFn) -> Sequence[Look]:
    """Looks at what is spent, some of which tell nothing."""
    at, looks = 0.0, []
    for pause, used, left, is_blind in draw(
        st.lists(st.tuples(PAUSES, AMOUNTS, st.none() | AMOUNTS, st.booleans()), min_size=1, max_size=30)
    ):
        at += pause
        looks.append(Look(at, is_blind=True) if is_blind else Look(at, used, left))
    return looks


@given(courses(), st.none() | AMOUNTS, st.none() | AMOUNTS)
def test_it_looks_again_in_time_and_never_counts_backwards(
    looks: Sequence[Look], least: D | None, budget: D | None
) -> None:
    """Whatever is seen: the next look is between 2 and 30 seconds away, and the spend is never negative."""
    watching = Guard(Limits(least, budget))
    for look in looks:
        watching.take(look)
        assert look.at + LEAST_INTERVAL <= watching.next_look() <= look.at + MOST_INTERVAL
        assert watching.spent is None or watching.spent >= 0
        if not look.is_blind and watching.spent is not None:
            broken = (least is not None and look.left is not None and look.left < least) or (
                budget is not None and watching.spent >= budget
            )
            assert (watching.stop(look.at) is not None) == broken


@given(st.floats(min_value=0.001, max_value=1000), st.decimals(min_value=1, max_value=10_000, places=3), st.booleans())
def test_an_even_spend_overshoots_by_less_than_one_pause(rate: float, budget: D, has_min: bool) -> None:
    """A limit is passed by no more than what is spent in the last pause.

    From one look to the next at most a quarter of what was left is spent, where that takes more than 2 seconds.
    """
    start = D(10) ** 9
    limits = Limits(min=start - budget) if has_min else Limits(max_spend=budget)
    watching, at, count = Guard(limits), 0.0, 0
    spent = D(0)
    while True:
        spent = D(rate * at).quantize(D("0.000000001"))
        watching.take(Look(at, spent, start - spent))
        if watching.stop(at) is not None:
            break
        count += 1
        last, at = at, watching.next_look()
        ahead = (float(budget) - rate * last) / rate
        if watching.rate is not None and ahead > LEAST_INTERVAL * LOOKS_AHEAD:
            assert at - last <= max(LEAST_INTERVAL, ahead / LOOKS_AHEAD * 1.001)
        if count > 100:
            # As slow as this, it takes its time; nothing was passed so far.
            assert spent < budget
            return
    assert float(spent - budget) <= rate * (at - last) * 1.001 + 1e-6
