"""How often agents may ask, and which answer stands in where that is too often."""

import pytest

from apimart_cli.agents.kept import MOST_KEPT, MOST_QUESTIONS, WINDOW, Allowance, KeptAnswers, ToolAnswer
from apimart_cli.rules.pace import Moment

START = Moment(1000.0, 1_800_000_000.0)


def test_thirty_questions_fit_into_a_minute_whenever_it_begins() -> None:
    """The minute slides: the thirty-first question waits until the first is a minute old."""
    allowance = Allowance()
    assert [allowance.take(1, float(second)) for second in range(MOST_QUESTIONS)] == [0.0] * MOST_QUESTIONS
    assert allowance.take(1, 30.0) == 30.0
    assert allowance.take(1, 59.9) == pytest.approx(0.1)
    assert allowance.take(1, 60.0) == 0.0
    assert allowance.take(1, 60.5) == pytest.approx(0.5)


def test_a_call_with_two_questions_counts_twice_or_not_at_all() -> None:
    """Key and account are a question each. A call that does not fit leaves the room to one that does."""
    allowance = Allowance()
    assert [allowance.take(2, 0.0) for _ in range(14)] == [0.0] * 14
    assert allowance.take(1, 1.0) == 0.0
    assert allowance.take(2, 2.0) == WINDOW - 2.0
    assert allowance.take(1, 3.0) == 0.0
    assert allowance.take(1, 4.0) > 0


def test_the_last_answer_tells_its_age() -> None:
    """The later of two stands, also where it came first; a question that was never asked has none."""
    kept = KeptAnswers()
    kept.keep(("get_balance", "work"), ToolAnswer({"remain": "2", "age_seconds": 0}), START.after(10))
    kept.keep(("get_balance", "work"), ToolAnswer({"remain": "1", "age_seconds": 0}), START)
    assert kept.last(("get_balance", "work"), START.after(35)) == ToolAnswer({"remain": "2", "age_seconds": 25})
    assert kept.last(("get_balance", "home"), START) is None


def test_an_age_is_never_told_too_small() -> None:
    """Of two clocks the one that has gone on longer counts, and a kept answer is never 0 seconds old."""
    kept = KeptAnswers()
    kept.keep(("q",), ToolAnswer({}, is_error=True), START)
    machine_slept, clock_set_back = Moment(1005.0, 1_800_003_600.0), Moment(1030.0, 1_799_990_000.0)
    for now, age in ((START.after(0.2), 1), (machine_slept, 3600), (clock_set_back, 30)):
        assert kept.last(("q",), now) == ToolAnswer({"age_seconds": age}, is_error=True)


def test_no_more_answers_are_kept_than_there_is_room_for() -> None:
    """What was kept longest ago goes."""
    kept = KeptAnswers()
    for number in range(MOST_KEPT + 1):
        kept.keep((number,), ToolAnswer({}), START.after(number))
    assert kept.last((0,), START.after(100)) is None
    assert kept.last((1,), START.after(100)) is not None
