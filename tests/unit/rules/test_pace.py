"""The pace: never quicker than asked, slower after failures, and at once after a sleep."""

import hypothesis.strategies as st
from hypothesis import given

from apimart_cli.errors import LONGEST_RETRY_AFTER
from apimart_cli.rules.pace import JITTER, MOST_BACK_OFF, Moment, Pace

START = Moment(1000.0, 1_700_000_000.0)
intervals = st.floats(5, 86_400)
shares = st.floats(0, 1)


def test_an_answer_is_followed_by_the_interval() -> None:
    """Counted from the question, so that slow answers do not slow it down. What was never asked is due at once."""
    pace = Pace(30, dice=lambda: 1.0)
    assert pace.seconds_left(START) == 0
    assert pace.is_due(START)
    pace.answered(START)
    assert pace.seconds_left(START.after(4)) == 26
    assert not pace.is_due(START.after(29.9))
    assert pace.is_due(START.after(30))


def test_failures_are_followed_by_longer_and_longer_pauses() -> None:
    """Doubled each time, up to five minutes; an answer puts that back."""
    pace = Pace(30, dice=lambda: 0.0)
    pauses = []
    for _ in range(6):
        pace.failed(START)
        pauses.append(pace.seconds_left(START))
    assert pauses == [30, 60, 120, 240, 300, 300]
    pace.answered(START)
    pace.failed(START)
    assert pace.seconds_left(START) == 30


@given(intervals, shares, st.integers(1, 5000), st.none() | st.floats(0, LONGEST_RETRY_AFTER))
def test_a_pause_after_failures_has_bounds(
    interval: float, share: float, times: int, retry_after: float | None
) -> None:
    """Never shorter than the interval, nor than the gateway asks for; never much longer."""
    pace = Pace(interval, dice=lambda: share)
    pace.failures = times - 1
    pace.failed(START, retry_after=retry_after)
    left = pace.seconds_left(START)
    asked = retry_after or 0
    assert max(interval, asked) - 0.001 <= left
    assert left <= max((1 + JITTER) * max(interval, MOST_BACK_OFF), asked) + 0.001


def test_clients_that_failed_together_come_back_one_by_one() -> None:
    """Up to half as long again, as the dice say."""
    for share, pause in ((0.0, 30), (0.5, 37.5), (1.0, 45)):
        pace = Pace(30, dice=lambda share=share: share)
        pace.failed(START)
        assert pace.seconds_left(START) == pause


def test_of_two_clocks_the_one_that_went_on_longer_decides() -> None:
    """After a sleep the wall clock, and the steady one where that is set back: nothing waits for longer."""
    pace = Pace(300, dice=lambda: 0.0)
    pace.answered(START)
    assert pace.is_due(Moment(START.steady + 10, START.wall + 8 * 3600))
    for step in (-1e9, -3600, -1):
        assert pace.seconds_left(Moment(START.steady + 10, START.wall + 10 + step)) == 290
        assert pace.is_due(Moment(START.steady + 300, START.wall + 300 + step))


def test_only_who_answers_is_asked_a_little_early() -> None:
    """A failed one, or one whose gateway asked to be left alone, is not."""
    pace = Pace(30, dice=lambda: 0.0)
    pace.answered(START)
    assert pace.is_due(START.after(26), early=5)
    pace.failed(START)
    assert not pace.is_due(START.after(26), early=5)
