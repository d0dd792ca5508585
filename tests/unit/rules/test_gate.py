"""The gate: readings and thresholds in, one verdict out. The only place that decides whether `check` may exit 0."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    ExitCode,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.forecast import Forecast
from apimart_cli.rules.gate import (
    Judged,
    Thresholds,
    Verdict,
    code_of_readings,
    judge,
    judge_reading,
    judged_part_below,
)
from apimart_cli.words import ForecastState, Outcome, Scope
from support.readings import failed, limits, reading

PASS, BELOW, UNLIMITED, ERROR = Outcome.PASS, Outcome.BELOW, Outcome.UNLIMITED, Outcome.ERROR

DAYS = timedelta(days=3)

PAYMENT = PaymentRequiredError("payment")
AUTH = AuthError("auth")
UNAVAILABLE = UnavailableError("unavailable")
WAS_TOLD = UnavailableError("the gateway could not tell the balance", was_told=True)
BAD = BadResponseError("bad")


def alike(readings: Sequence[Reading], required: Thresholds) -> list[tuple[Reading, Thresholds]]:
    """The same thresholds for every reading."""
    return [(each, required) for each in readings]


def verdict_on(subject: Reading, required: Thresholds, outcome: Outcome, code: int) -> Verdict:
    """The verdict on a single reading."""
    return Verdict(outcome, ExitCode(code), (Judged(subject, required, outcome),))


@pytest.mark.parametrize(
    ("remain", "used", "min", "max_used", "outcome"),
    [
        # The minimum is inclusive and exact.
        ("5", "0", "5", None, PASS),
        ("0.3", "0", "0.30", None, PASS),
        ("4.999999999999999999999999999999", "0", "5", None, BELOW),
        ("5.000000000000000000000000000001", "0", "5", None, PASS),
        ("999999999999999.000000000000000000000000000001", "0", "999999999999.999999", None, PASS),
        ("0.299999999999999988897769753748", "0", "0.3", None, BELOW),
        ("-0.01", "0", "0", None, BELOW),
        ("-0", "0", "0", None, PASS),
        # What was used does not matter to the minimum.
        ("5", "1000", "5", None, PASS),
        # The maximum of what was used is inclusive and exact.
        ("0", "2.3", None, "2.30", PASS),
        ("0", "2.300000000000000000000000000001", None, "2.3", BELOW),
        ("-5", "0", None, "0", PASS),
        # With both, both must be met.
        ("5", "2", "5", "2", PASS),
        ("5", "3", "5", "2", BELOW),
        ("4", "2", "5", "2", BELOW),
        # An unlimited quota meets a minimum, not a maximum of what was used.
        (None, "0", "999999999999", None, PASS),
        (None, "2", "5", "2", PASS),
        (None, "3", None, "2", BELOW),
    ],
)
def test_a_balance_passes_only_when_its_numbers_prove_every_threshold(
    remain: str | None, used: str, min: str | None, max_used: str | None, outcome: Outcome
) -> None:
    """Comparisons are exact and inclusive, without a tolerance."""
    subject, required = reading(remain, used), limits(min, max_used)
    assert judge_reading(subject, required) is outcome
    code = 0 if outcome is PASS else 3
    assert judge([(subject, required)]) == verdict_on(subject, required, outcome, code)


def test_an_unlimited_quota_can_be_refused() -> None:
    """With `--on-unlimited fail`, whatever the thresholds; below comes first; a limited key is left alone."""
    for subject, required, outcome, code in (
        (reading(None, "0"), limits("5"), UNLIMITED, 7),
        (reading(None, "2"), limits(None, "2"), UNLIMITED, 7),
        (reading(None, "3"), limits("5", "2"), BELOW, 3),
        (reading("5", "0"), limits("5"), PASS, 0),
    ):
        assert judge_reading(subject, required, unlimited_passes=False) is outcome
        assert judge([(subject, required)], unlimited_passes=False) == verdict_on(subject, required, outcome, code)


def test_refusing_unlimited_quotas_is_about_the_key() -> None:
    """Of what can be spent: whatever the account has, unless that is below a threshold."""
    for key, account, required, outcome in (
        (reading(None), reading("10"), limits("5"), UNLIMITED),
        (reading(None), reading(None), limits("5"), UNLIMITED),
        (reading(None), reading("4"), limits("5"), BELOW),
        (reading(None), failed(UNAVAILABLE), limits("5"), UNLIMITED),
        (reading(None), failed(PAYMENT), limits("5"), BELOW),
        (reading(None), reading("10"), Thresholds(min_runway=DAYS), UNLIMITED),
        (reading("10"), reading(None), limits("5"), PASS),
        (failed(AUTH), reading(None), limits("5"), ERROR),
    ):
        subject = spendable(key, account._replace(scope=Scope.ACCOUNT))
        assert judge_reading(subject, required, unlimited_passes=False) is outcome
        # Silence of the account is not forgiven then: there is nothing that the answer could change.
        if outcome is UNLIMITED:
            verdict = judge([(subject, required)], unlimited_passes=False, fail_open=True, no_forecast_passes=True)
            assert verdict.exit_code is ExitCode.UNLIMITED


def test_a_failed_reading_never_passes() -> None:
    """No balance, no pass; an account that cannot pay is below every threshold."""
    errors = {PAYMENT: 3, AUTH: 4, UNAVAILABLE: 5, BAD: 6, UsageError("usage"): 2, ApimartError("a bug"): 1}
    for (error, code), unlimited_passes in itertools.product(errors.items(), (True, False)):
        subject, required = failed(error), limits("0")
        verdict = judge([(subject, required)], unlimited_passes=unlimited_passes)
        assert verdict == verdict_on(subject, required, BELOW if error is PAYMENT else ERROR, code)


_GOOD, _LOW, _FREE = reading("10"), reading("1"), reading(None)


@pytest.mark.parametrize(
    ("readings", "outcome", "code", "outcomes"),
    [
        ([_GOOD, _GOOD], PASS, 0, (PASS, PASS)),
        ([_GOOD, _LOW], BELOW, 3, (PASS, BELOW)),
        ([_LOW, _GOOD], BELOW, 3, (BELOW, PASS)),
        ([_FREE, _GOOD], UNLIMITED, 7, (UNLIMITED, PASS)),
        # Below decides before everything else, whatever the order.
        ([_FREE, _LOW], BELOW, 3, (UNLIMITED, BELOW)),
        ([failed(AUTH), _LOW], BELOW, 3, (ERROR, BELOW)),
        ([failed(UNAVAILABLE), failed(PAYMENT)], BELOW, 3, (ERROR, BELOW)),
        # Then an unlimited quota that is not welcome.
        ([failed(AUTH), _FREE], UNLIMITED, 7, (ERROR, UNLIMITED)),
        # Then the first failure, in the order asked.
        ([failed(AUTH), failed(UNAVAILABLE)], ERROR, 4, (ERROR, ERROR)),
        ([failed(UNAVAILABLE), failed(AUTH)], ERROR, 5, (ERROR, ERROR)),
        ([_GOOD, failed(BAD), failed(AUTH)], ERROR, 6, (PASS, ERROR, ERROR)),
        ([failed(AUTH), _GOOD], ERROR, 4, (ERROR, PASS)),
    ],
)
def test_several_readings_give_the_worst_verdict(
    readings: list[Reading], outcome: Outcome, code: int, outcomes: tuple[Outcome, ...]
) -> None:
    """All must pass: below beats unlimited, unlimited beats a failure, a failure beats a pass."""
    verdict = judge(alike(readings, limits("5")), unlimited_passes=False)
    assert (verdict.outcome, verdict.exit_code) == (outcome, ExitCode(code))
    assert verdict.judged == tuple(
        Judged(*each, outcome) for each, outcome in zip(alike(readings, limits("5")), outcomes, strict=True)
    )


def test_each_reading_is_held_to_its_own_thresholds() -> None:
    """Profiles differ in what they require; they may come from an iterator, which is read once."""
    small, large = reading("1"), reading("10")
    assert judge([(small, limits("1")), (large, limits("10"))]).exit_code is ExitCode.OK
    verdict = judge(iter([(small, limits("10")), (large, limits("1"))]))
    assert [(each.reading, each.outcome) for each in verdict.judged] == [(small, BELOW), (large, PASS)]


@pytest.mark.parametrize(
    ("readings", "code"),
    [
        ([failed(UNAVAILABLE)], 0),
        ([failed(UNAVAILABLE), _GOOD], 0),
        ([_GOOD, failed(UNAVAILABLE)], 0),
        ([failed(AUTH)], 4),
        ([failed(BAD)], 6),
        ([failed(UsageError("usage"))], 2),
        ([failed(PAYMENT)], 3),
        ([failed(UNAVAILABLE), failed(AUTH)], 5),
        ([failed(AUTH), failed(UNAVAILABLE)], 4),
        ([failed(UNAVAILABLE), _LOW], 3),
        ([failed(UNAVAILABLE), _FREE], 7),
        ([failed(WAS_TOLD)], 5),
        ([failed(WAS_TOLD), failed(UNAVAILABLE)], 5),
    ],
)
def test_failing_open_forgives_an_unreachable_gateway_and_nothing_else(readings: list[Reading], code: int) -> None:
    """`--fail-open` goes on only when every failure is that there was no answer; it makes no pass of that."""
    verdict = judge(alike(readings, limits("5")), unlimited_passes=False, fail_open=True)
    assert verdict.exit_code is ExitCode(code)
    assert verdict.outcome is not PASS


@pytest.mark.parametrize("required", [[], [limits()], [limits("5"), limits()], [limits(), limits("5")]])
def test_nothing_to_judge_is_an_error(required: list[Thresholds]) -> None:
    """Without a reading, or with one that nothing is required of, there is no verdict. A threshold of zero is one."""
    for subject in (_GOOD, failed(UNAVAILABLE)):
        with pytest.raises(UsageError) as caught:
            judge([(subject, each) for each in required], fail_open=True)
        assert caught.value.message == "there is no threshold to check"
        assert caught.value.hint == "give --min, --max-used, --min-runway or --max-spent"
    assert [each.are_set for each in (limits(), limits("0"), limits(max_used="0"))] == [False, True, True]


def test_what_a_bug_lets_through_cannot_pass() -> None:
    """Where a result is nothing of the kind, the gate stops and says what it was; where it is no number, it stops."""
    lost = Reading("default", Scope.KEY, None, cast("Any", "nothing of the kind"))
    for others, fail_open in itertools.product(([], [_GOOD], [failed(UNAVAILABLE)]), (True, False)):
        with pytest.raises(AssertionError, match="nothing of the kind"):
            judge(alike([*others, lost], limits("0")), fail_open=fail_open)
    for odd, required in itertools.product(("NaN", "sNaN"), (limits("0"), limits(max_used="0"))):
        with pytest.raises(ArithmeticError):
            judge([(reading(odd, odd), required)])


def test_showing_balances_ends_with_the_first_failure() -> None:
    """`balance` judges nothing: 402 comes first, then the first failed reading, else all is well."""
    assert code_of_readings([]) is code_of_readings([_LOW, _FREE]) is ExitCode.OK
    assert code_of_readings([_GOOD, failed(BAD), failed(AUTH)]) is ExitCode.BAD_RESPONSE
    assert code_of_readings([failed(AUTH), failed(PAYMENT)]) is ExitCode.BELOW


def test_the_words_of_a_verdict_are_these() -> None:
    """They stand in JSON and in logs, so they are public."""
    assert [outcome.value for outcome in Outcome] == ["pass", "below", "unlimited", "error", "no_forecast"]


def test_the_part_that_is_below_is_told_with_what_it_was_held_to() -> None:
    """The key to everything; the account not to `max_used`, which is for what the key used."""
    required = limits("5", "8")
    good, low, used = reading("10", "1"), reading("1", "9"), reading("10", "9")
    for key, account, below in (
        (low, failed(UNAVAILABLE), Judged(low, required, BELOW)),
        (used, failed(UNAVAILABLE), Judged(used, required, BELOW)),
        (failed(UNAVAILABLE), low, Judged(low._replace(scope=Scope.ACCOUNT), limits("5"), BELOW)),
        (good, low, Judged(low._replace(scope=Scope.ACCOUNT), limits("5"), BELOW)),
        (failed(UNAVAILABLE), used, None),
        (good, good, None),
    ):
        assert judged_part_below(spendable(key, account._replace(scope=Scope.ACCOUNT)), required) == below


NO_FORECAST = Outcome.NO_FORECAST


def lasting(low: str, remain: str = "10", state: ForecastState = ForecastState.OK) -> Reading:
    """A reading that surely lasts for so many days."""
    return _with(Forecast(state, Decimal(14), Decimal(1), Decimal(low) * 2, Decimal(low), Decimal(low) * 4), remain)


def _with(forecast: Forecast | None, remain: str | None = "10") -> Reading:
    return reading(remain, "0")._replace(forecast=forecast)


_TOO_LITTLE = Forecast(ForecastState.TOO_LITTLE, Decimal("1.4"))
_IDLE = Forecast(ForecastState.IDLE, Decimal(5), Decimal(0))


@pytest.mark.parametrize(
    ("subject", "outcome", "code"),
    [
        # The low end decides, inclusive and exact.
        (lasting("3"), PASS, 0),
        (lasting("2.9999999999999999999999"), BELOW, 3),
        (lasting("3", state=ForecastState.ROUGH), PASS, 0),
        # Nothing spent, and no end: it lasts.
        (_with(_IDLE), PASS, 0),
        (_with(None, None), PASS, 0),
        # Nothing left lasts no longer, whatever was recorded.
        (_with(None, "0"), BELOW, 3),
        (_with(_TOO_LITTLE, "-0.01"), BELOW, 3),
        (_with(_IDLE, "0"), BELOW, 3),
        # It is not known.
        (_with(None), NO_FORECAST, 8),
        (_with(_TOO_LITTLE), NO_FORECAST, 8),
    ],
)
def test_the_low_end_of_the_forecast_must_be_long_enough(subject: Reading, outcome: Outcome, code: int) -> None:
    """It passes only where it surely lasts; too little history is a pass only with `--on-no-forecast pass`."""
    required = Thresholds(min_runway=DAYS)
    assert judge_reading(subject, required) is outcome
    assert judge([(subject, required)]) == verdict_on(subject, required, outcome, code)
    lenient = judge_reading(subject, required, no_forecast_passes=True)
    assert lenient is (PASS if outcome is NO_FORECAST else outcome)


def test_every_threshold_must_be_met() -> None:
    """A forecast makes no pass of what is below or failed, and turns a pass into a fail where it was asked for."""
    for subject, amounts, outcome in (
        (lasting("5"), limits("10", "0"), PASS),
        (lasting("5"), limits("10.01"), BELOW),
        (lasting("1"), limits("10"), BELOW),
        (lasting("5"), limits(None, "-1"), BELOW),
        (_with(None), limits("10.01"), BELOW),
        (_with(None), limits("10"), NO_FORECAST),
        (failed(UNAVAILABLE), limits(), ERROR),
        (failed(PAYMENT), limits(), BELOW),
    ):
        required = amounts._replace(min_runway=DAYS)
        assert judge_reading(subject, required) is outcome
        lenient = judge_reading(subject, required, no_forecast_passes=True)
        assert lenient is (PASS if outcome is NO_FORECAST else outcome)
    assert judge_reading(reading(None), Thresholds(min_runway=DAYS), unlimited_passes=False) is UNLIMITED


def test_a_missing_forecast_comes_after_every_failure() -> None:
    """Below, unlimited, a failure, no forecast, a pass; `--fail-open` forgives the gateway, not the history."""
    for readings, fail_open, outcome, code in (
        ([_with(None), lasting("1")], False, BELOW, 3),
        ([_with(None), reading(None)], False, UNLIMITED, 7),
        ([_with(None), failed(AUTH)], False, ERROR, 4),
        ([failed(UNAVAILABLE), _with(None)], True, NO_FORECAST, 8),
        ([failed(UNAVAILABLE), lasting("3")], True, ERROR, 0),
        ([lasting("3"), _with(None)], False, NO_FORECAST, 8),
    ):
        verdict = judge(alike(readings, Thresholds(min_runway=DAYS)), unlimited_passes=False, fail_open=fail_open)
        assert (verdict.outcome, verdict.exit_code) == (outcome, ExitCode(code))


def test_what_can_be_spent_lasts_only_where_both_last() -> None:
    """The key and its account, each by its own forecast; one that does not last is enough to tell."""
    for key, account, outcome in (
        (lasting("3"), lasting("3"), PASS),
        (lasting("3"), lasting("1"), BELOW),
        (lasting("1"), _with(None), BELOW),
        (lasting("3"), _with(None), NO_FORECAST),
        (reading(None), lasting("3"), PASS),
        (reading(None), _with(None), NO_FORECAST),
        (reading(None), reading(None), PASS),
        (lasting("3"), failed(UNAVAILABLE), ERROR),
        (failed(UNAVAILABLE), lasting("1"), BELOW),
    ):
        subject = spendable(key, account._replace(scope=Scope.ACCOUNT))
        assert judge_reading(subject, Thresholds(min_runway=DAYS)) is outcome
