"""The states of the plugin: which readings are OK, and everything that is not."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.choices import WhenNoForecast, WhenUnavailable
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
    bug,
)
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.books import BooksReading
from apimart_cli.rules.budget import Budget, JudgedSpend
from apimart_cli.rules.forecast import UNREADABLE, Forecast
from apimart_cli.rules.plugin import (
    Bounds,
    Choices,
    FoundSpend,
    Range,
    State,
    Subject,
    by_weight,
    examine,
    examine_spend,
    parse_range,
    worst,
)
from apimart_cli.words import ForecastState, Outcome, Scope
from support.readings import failed, reading

USUAL = Choices()
SILENCE = UnavailableError("no answer")
WEEK = Forecast(ForecastState.OK, Decimal(14), Decimal(1), Decimal(10), Decimal(7), Decimal(12))


def bounds(
    warning: str | None = None, critical: str | None = None, *, max_used: str | None = None,
    runway_warning: int | None = None, runway_critical: int | None = None,
) -> Bounds:  # fmt: skip
    """What a reading is held to; runways in days."""
    return Bounds(
        warning=None if warning is None else parse_range(warning, "-w"),
        critical=None if critical is None else parse_range(critical, "-c"),
        max_used=None if max_used is None else Decimal(max_used),
        runway_warning=None if runway_warning is None else timedelta(days=runway_warning),
        runway_critical=None if runway_critical is None else timedelta(days=runway_critical),
    )


TEN_AND_FIVE = bounds("10:", "5:")


ACCOUNT = reading("3", scope=Scope.ACCOUNT)
NOT_READ = (State.UNKNOWN, Subject.READING)


def half(key: Reading) -> Reading:
    """What can be spent with this key, of an account that was not read."""
    return spendable(key, failed(SILENCE, scope=Scope.ACCOUNT))


def state(found: Reading, held_to: Bounds, choices: Choices = USUAL) -> State:
    return examine(found, held_to, choices).state


def test_the_balance_is_held_to_both_ranges_and_to_the_profile() -> None:
    """In exact numbers."""
    for found, held_to, expected in (
        # To the last digit; critical before warning.
        (reading("10.000"), TEN_AND_FIVE, State.OK),
        (reading("9.999999999999999999999999999999"), TEN_AND_FIVE, State.WARNING),
        (reading("5"), TEN_AND_FIVE, State.WARNING),
        (reading("4.999999999999999999999999999999"), TEN_AND_FIVE, State.CRITICAL),
        # An unlimited quota is more than any number: who meant `5:` sees it at once.
        (reading(None), TEN_AND_FIVE, State.OK),
        (reading(None), bounds(critical="5"), State.CRITICAL),
        # `max_used` is inclusive, as for `check`.
        (reading("10", "2.3"), bounds(max_used="2.3"), State.OK),
        (reading("10", "2.31"), bounds(max_used="2.3"), State.CRITICAL),
    ):
        assert state(found, held_to) is expected


def test_the_runway_is_held_to_both_durations() -> None:
    """By the low end of the forecast; without one nothing is known, but of what is empty or unlimited."""
    for forecast, expected in (
        (WEEK, State.OK),
        (WEEK._replace(days_left_low=Decimal("6.99")), State.WARNING),
        (WEEK._replace(days_left_low=Decimal("2.99")), State.CRITICAL),
        (Forecast(ForecastState.IDLE, Decimal(7)), State.OK),
        (Forecast(ForecastState.EMPTY, Decimal(7)), State.CRITICAL),
        (Forecast(ForecastState.TOO_LITTLE, Decimal(1)), State.UNKNOWN),
        (None, State.UNKNOWN),
    ):
        found = reading()._replace(forecast=forecast)
        assert state(found, bounds(runway_warning=7, runway_critical=3)) is expected
    lenient = Choices(no_forecast=WhenNoForecast.OK)
    assert state(reading("0"), bounds(runway_critical=1), lenient) is State.CRITICAL
    assert state(reading(None), bounds(runway_critical=1)) is State.OK


@pytest.mark.parametrize("chosen", WhenNoForecast)
def test_too_little_history_is_what_was_chosen(chosen: WhenNoForecast) -> None:
    """For either threshold, and of one part however soon the other ends; one that cannot be read is never OK."""
    choices = Choices(no_forecast=chosen)
    for held_to in (bounds(runway_warning=7), bounds(runway_critical=7), bounds("5:", runway_warning=7)):
        assert state(reading(), held_to, choices).name.lower() == chosen
        unread = state(reading()._replace(forecast=UNREADABLE), held_to, choices)
        assert unread.name.lower() == ("unknown" if chosen is WhenNoForecast.OK else chosen)
    hours = reading()._replace(forecast=WEEK._replace(days_left_low=Decimal("0.5")))
    parts = spendable(hours, reading(scope=Scope.ACCOUNT))
    assert state(parts, Bounds(runway_critical=timedelta(hours=3)), choices).name.lower() == chosen


@pytest.mark.parametrize("chosen", WhenUnavailable)
def test_a_balance_that_is_not_to_be_had_is_what_was_chosen(chosen: WhenUnavailable) -> None:
    """No answer, a rejected key, a bad answer. A bug is unknown, and a payment that is missing critical."""

    def found(error: ApimartError) -> State:
        return state(failed(error), bounds(critical="5:"), Choices(unavailable=chosen))

    for error in (SILENCE, AuthError("rejected"), BadResponseError("not JSON")):
        assert found(error).name.lower() == chosen
    assert found(bug(ValueError())) is State.UNKNOWN
    assert found(PaymentRequiredError("pay")) is State.CRITICAL


def test_what_was_spent_is_critical_above_its_budget() -> None:
    """A failure of the books is what was chosen for a missing balance; a bug, and what is no outcome, is unknown."""
    for outcome, result, expected in (
        (Outcome.BELOW, PaymentRequiredError("pay"), State.CRITICAL),
        (Outcome.PASS, None, State.OK),
        (Outcome.ERROR, SILENCE, State.WARNING),
        (Outcome.ERROR, bug(ValueError()), State.UNKNOWN),
        (Outcome.ERROR, None, State.UNKNOWN),
    ):
        books = BooksReading("work", Scope.KEY, result)  # type: ignore[arg-type]
        judged = JudgedSpend(books, Budget(Decimal(5), timedelta(days=1)), outcome)
        found = examine_spend(judged, Choices(unavailable=WhenUnavailable.WARNING))
        assert found == FoundSpend(judged, expected)


def test_the_worst_state_decides() -> None:
    """Critical, then warning, then unknown, in any order; readings are sorted by it, and what is alike stays."""
    heaviest_first = [State.CRITICAL, State.WARNING, State.UNKNOWN, State.OK]
    for states in product(State, repeat=3):
        assert worst(states) is next(each for each in heaviest_first if each in states)
    assert worst([]) is State.UNKNOWN
    named = {"a": reading("3"), "b": reading("7"), "c": failed(SILENCE), "d": reading("20"), "e": reading("3")}
    for order in permutations("abcd"):
        found = [examine(named[name]._replace(profile=name), TEN_AND_FIVE, USUAL) for name in (*order, "e")]
        assert [each.reading.profile for each in by_weight(found)] == ["a", "e", "b", "c", "d"]


@pytest.mark.parametrize("found", [reading(), reading(None), failed(SILENCE)])
def test_a_reading_without_a_bound_is_an_error(found: Reading) -> None:
    """What looks at nothing says nothing; and a result that is nothing of the kind, of a bug, is no state at all."""
    with pytest.raises(UsageError) as raised:
        examine(found, Bounds(), USUAL)
    assert raised.value.message == "there is no threshold to check"
    assert raised.value.hint == "give -w, -c, --runway-warning or --runway-critical"
    with pytest.raises(AssertionError, match="nothing of the kind"):
        examine(found._replace(result="nothing of the kind"), bounds("10:"), USUAL)  # type: ignore[arg-type]


def test_what_was_found_says_what_it_is_about() -> None:
    """What it was held to goes along."""
    for found, held_to, expected in (
        # One finding for each thing that the reading is held to.
        (
            reading("3", "9"),
            bounds("10:", "5:", max_used="2", runway_warning=3),
            [(State.CRITICAL, Subject.REMAINING), (State.CRITICAL, Subject.USED), (State.UNKNOWN, Subject.RUNWAY)],
        ),
        # A failure comes first, and then what its parts prove.
        (failed(PaymentRequiredError("402")), TEN_AND_FIVE, [(State.CRITICAL, Subject.READING)]),
        (half(failed(SILENCE)), TEN_AND_FIVE, [NOT_READ]),
        (half(reading("3")), TEN_AND_FIVE, [NOT_READ, (State.CRITICAL, Subject.REMAINING)]),
        (half(reading("7")), TEN_AND_FIVE, [NOT_READ, (State.WARNING, Subject.REMAINING)]),
        (half(reading("7")), bounds(max_used="2"), [NOT_READ, (State.CRITICAL, Subject.USED)]),
        (half(reading("1")), bounds(critical="@~:2"), [NOT_READ, (State.CRITICAL, Subject.REMAINING)]),
        (spendable(failed(SILENCE), ACCOUNT), TEN_AND_FIVE, [NOT_READ, (State.CRITICAL, Subject.REMAINING)]),
        (half(reading("0")), bounds(runway_critical=3), [NOT_READ, (State.CRITICAL, Subject.RUNWAY)]),
        (half(reading("0")), bounds(runway_warning=3), [NOT_READ, (State.WARNING, Subject.RUNWAY)]),
        # Nothing else is proved: the other part may be smaller, and what was used is that of the key.
        (half(reading("20")), TEN_AND_FIVE, [NOT_READ]),
        (half(reading("3")), bounds(critical="~:2"), [NOT_READ]),
        (half(reading("3")), bounds(critical="@1:2"), [NOT_READ]),
        (half(reading("20")), bounds(runway_warning=3, runway_critical=3), [NOT_READ]),
        (spendable(failed(SILENCE), ACCOUNT), bounds(max_used="2"), [NOT_READ]),
    ):
        examined = examine(found, held_to, USUAL)
        assert [(each.state, each.subject) for each in examined.findings] == expected
        assert examined.bounds is held_to


AMOUNTS = st.decimals(-20, 20, allow_nan=False, allow_infinity=False, places=1)
RANGES = st.builds(Range, st.none() | AMOUNTS, st.none() | AMOUNTS, st.booleans())
FORECASTS = st.sampled_from([None, UNREADABLE, WEEK, Forecast(ForecastState.TOO_LITTLE, Decimal(1))])
HELD_TO = st.builds(
    Bounds, st.none() | RANGES, st.none() | RANGES, st.none() | AMOUNTS, st.none() | st.just(timedelta(days=7)),
    st.none() | st.just(timedelta(days=8)),
).filter(lambda held_to: held_to.are_set)  # fmt: skip


@given(st.none() | AMOUNTS, AMOUNTS, FORECASTS, HELD_TO)
def test_ok_is_a_balance_that_breaks_no_bound(
    remain: Decimal | None, used: Decimal, forecast: Forecast | None, held_to: Bounds
) -> None:
    """OK if and only if every bound that is given was looked at and kept, in the words of the guidelines."""
    found = reading(None if remain is None else f"{remain}", f"{used}")._replace(forecast=forecast)
    value = Decimal("Infinity") if remain is None else remain
    kept = [
        ((asked.start is None or asked.start <= value) and value <= (Decimal("Infinity") if asked.end is None
         else asked.end)) is not asked.alerts_inside
        for asked in (held_to.warning, held_to.critical) if asked is not None
    ]  # fmt: skip
    if held_to.max_used is not None:
        kept.append(used <= held_to.max_used)
    runways = [asked for asked in (held_to.runway_warning, held_to.runway_critical) if asked is not None]
    kept += [remain is None or (remain > 0 and forecast is WEEK and asked.days <= 7) for asked in runways]
    assert (state(found, held_to) is State.OK) == all(kept)
