"""The gate: readings and thresholds in, one verdict out. The only place that decides whether `check` may exit 0."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    ExitCode,
    OutputError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.rules.balance import Balance, Reading, spendable
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

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)

PASS, BELOW, UNLIMITED, ERROR = Outcome.PASS, Outcome.BELOW, Outcome.UNLIMITED, Outcome.ERROR

PAYMENT = PaymentRequiredError("payment")
AUTH = AuthError("auth")
UNAVAILABLE = UnavailableError("unavailable")
BAD = BadResponseError("bad")


def reading(remain: str | None, used: str = "0") -> Reading:
    """A reading with this much left, or an unlimited one."""
    return Reading("default", Scope.KEY, None, _balance(remain, used))


def failed(error: ApimartError) -> Reading:
    return Reading("default", Scope.KEY, None, error)


def _balance(remain: str | None, used: str) -> Balance:
    return Balance(
        scope=Scope.KEY, remain_balance=None if remain is None else Decimal(remain), used_balance=Decimal(used),
        unlimited_quota=remain is None, fetched_at=MOMENT,
    )  # fmt: skip


def limits(min: str | None = None, max_used: str | None = None) -> Thresholds:
    return Thresholds(
        min=None if min is None else Decimal(min), max_used=None if max_used is None else Decimal(max_used)
    )


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
        ("0.30", "0", "0.3", None, PASS),
        ("4.999999999999999999999999999999", "0", "5", None, BELOW),
        ("5.000000000000000000000000000001", "0", "5", None, PASS),
        ("999999999999999.000000000000000000000000000001", "0", "999999999999.999999", None, PASS),
        ("0.299999999999999988897769753748", "0", "0.3", None, BELOW),
        ("0", "0", "0", None, PASS),
        ("-0.01", "0", "0", None, BELOW),
        ("-0", "0", "0", None, PASS),
        # What was used does not matter to the minimum.
        ("5", "1000", "5", None, PASS),
        # The maximum of what was used is inclusive and exact.
        ("0", "2.3", None, "2.3", PASS),
        ("0", "2.3", None, "2.30", PASS),
        ("0", "2.300000000000000000000000000001", None, "2.3", BELOW),
        ("0", "2.299999", None, "2.3", PASS),
        ("-5", "0", None, "0", PASS),
        # With both, both must be met.
        ("5", "2", "5", "2", PASS),
        ("5", "3", "5", "2", BELOW),
        ("4", "2", "5", "2", BELOW),
        ("4", "3", "5", "2", BELOW),
        # An unlimited quota meets a minimum, not a maximum of what was used.
        (None, "0", "999999999999", None, PASS),
        (None, "2", "5", "2", PASS),
        (None, "3", "5", "2", BELOW),
        (None, "3", None, "2", BELOW),
        (None, "2", None, "2", PASS),
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


@pytest.mark.parametrize(("used", "min", "max_used", "outcome", "code"), [
    ("0", "5", None, UNLIMITED, 7), ("2", "5", "2", UNLIMITED, 7), ("3", "5", "2", BELOW, 3),
    ("2", None, "2", UNLIMITED, 7), ("3", None, "2", BELOW, 3),
])  # fmt: skip
def test_an_unlimited_quota_can_be_refused(
    used: str, min: str | None, max_used: str | None, outcome: Outcome, code: int
) -> None:
    """With `--on-unlimited fail` an unlimited quota does not pass, whatever the thresholds; below comes first."""
    subject, required = reading(None, used), limits(min, max_used)
    assert judge_reading(subject, required, unlimited_passes=False) is outcome
    verdict = judge([(subject, required)], unlimited_passes=False)
    assert verdict == verdict_on(subject, required, outcome, code)


def test_refusing_unlimited_quotas_leaves_limited_ones_alone() -> None:
    """`--on-unlimited fail` changes nothing for a key with a limit."""
    assert judge([(reading("5"), limits("5"))], unlimited_passes=False).exit_code is ExitCode.OK


def _spendable(key: Reading, account: Reading) -> Reading:
    return spendable(key, account._replace(scope=Scope.ACCOUNT))


@pytest.mark.parametrize(("key", "account", "required", "outcome"), [
    (reading(None), reading("10"), limits("5"), UNLIMITED),
    (reading(None), reading(None), limits("5"), UNLIMITED),
    (reading(None), reading("4"), limits("5"), BELOW),
    (reading(None), failed(UNAVAILABLE), limits("5"), UNLIMITED),
    (reading(None), failed(PAYMENT), limits("5"), BELOW),
    (reading(None), reading("10"), limits(None, "5"), UNLIMITED),
    (reading(None), reading("10"), Thresholds(min_runway=timedelta(days=3)), UNLIMITED),
    (reading("10"), reading(None), limits("5"), PASS), (failed(AUTH), reading(None), limits("5"), ERROR),
])  # fmt: skip
def test_refusing_unlimited_quotas_is_about_the_key(
    key: Reading, account: Reading, required: Thresholds, outcome: Outcome
) -> None:
    """Of what can be spent: whatever the account has, unless that is below a threshold."""
    subject = _spendable(key, account)
    assert judge_reading(subject, required, unlimited_passes=False) is outcome
    # Silence of the account is not forgiven then: there is nothing that the answer could change.
    if outcome is UNLIMITED:
        verdict = judge([(subject, required)], unlimited_passes=False, fail_open=True, no_forecast_passes=True)
        assert verdict.exit_code is ExitCode.UNLIMITED


@pytest.mark.parametrize(("error", "outcome", "code"), [
    (PAYMENT, BELOW, 3), (AUTH, ERROR, 4), (UNAVAILABLE, ERROR, 5), (BAD, ERROR, 6), (UsageError("usage"), ERROR, 2),
    (ApimartError("a bug"), ERROR, 1),
])  # fmt: skip
@pytest.mark.parametrize("unlimited_passes", [True, False])
def test_a_failed_reading_never_passes(
    error: ApimartError, outcome: Outcome, code: int, unlimited_passes: bool
) -> None:
    """No balance, no pass; an account that cannot pay is below every threshold."""
    subject, required = failed(error), limits("0")
    verdict = judge([(subject, required)], unlimited_passes=unlimited_passes)
    assert verdict == verdict_on(subject, required, outcome, code)


_GOOD, _LOW, _FREE = reading("10"), reading("1"), reading(None)


@pytest.mark.parametrize(
    ("readings", "outcome", "code", "outcomes"),
    [
        ([_GOOD, _GOOD], PASS, 0, (PASS, PASS)),
        ([_GOOD, _LOW], BELOW, 3, (PASS, BELOW)),
        ([_LOW, _GOOD], BELOW, 3, (BELOW, PASS)),
        ([_FREE, _GOOD], UNLIMITED, 7, (UNLIMITED, PASS)),
        ([_GOOD, _FREE], UNLIMITED, 7, (PASS, UNLIMITED)),
        # Below decides before everything else, whatever the order.
        ([_FREE, _LOW], BELOW, 3, (UNLIMITED, BELOW)),
        ([failed(AUTH), _LOW], BELOW, 3, (ERROR, BELOW)),
        ([failed(UNAVAILABLE), failed(PAYMENT)], BELOW, 3, (ERROR, BELOW)),
        # Then an unlimited quota that is not welcome.
        ([failed(AUTH), _FREE], UNLIMITED, 7, (ERROR, UNLIMITED)),
        ([_FREE, failed(BAD)], UNLIMITED, 7, (UNLIMITED, ERROR)),
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
    """Profiles differ in what they require."""
    small, large = reading("1"), reading("10")
    assert judge([(small, limits("1")), (large, limits("10"))]).exit_code is ExitCode.OK
    verdict = judge([(small, limits("10")), (large, limits("1"))])
    assert [each.outcome for each in verdict.judged] == [BELOW, PASS]


@pytest.mark.parametrize(("readings", "code"), [
    ([failed(UNAVAILABLE)], 0), ([failed(UNAVAILABLE), failed(UNAVAILABLE)], 0), ([failed(UNAVAILABLE), _GOOD], 0),
    ([_GOOD, failed(UNAVAILABLE)], 0), ([failed(AUTH)], 4), ([failed(BAD)], 6), ([failed(UsageError("usage"))], 2),
    ([failed(OutputError("output"))], 1), ([failed(PAYMENT)], 3), ([failed(UNAVAILABLE), failed(AUTH)], 5),
    ([failed(AUTH), failed(UNAVAILABLE)], 4), ([failed(UNAVAILABLE), failed(BAD)], 5), ([failed(UNAVAILABLE), _LOW], 3),
    ([failed(UNAVAILABLE), failed(PAYMENT)], 3), ([failed(UNAVAILABLE), _FREE], 7), ([_LOW], 3), ([_FREE], 7),
    ([_GOOD], 0),
])  # fmt: skip
def test_failing_open_forgives_an_unreachable_gateway_and_nothing_else(readings: list[Reading], code: int) -> None:
    """`--fail-open` goes on only when every failure is that there was no answer; every verdict stands."""
    verdict = judge(alike(readings, limits("5")), unlimited_passes=False, fail_open=True)
    assert verdict.exit_code is ExitCode(code)


def test_failing_open_is_no_pass() -> None:
    """The exit code is 0, but the verdict still says that nothing is known."""
    subject, required = failed(UNAVAILABLE), limits("5")
    assert judge([(subject, required)], fail_open=True) == verdict_on(subject, required, ERROR, 0)


def test_failing_open_is_off_unless_asked_for() -> None:
    """Without `--fail-open` an unreachable gateway stops the pipeline."""
    assert judge([(failed(UNAVAILABLE), limits("5"))]).exit_code is ExitCode.UNAVAILABLE


@pytest.mark.parametrize("required", [
    [], [(_GOOD, limits())], [(_GOOD, limits("5")), (_GOOD, limits())], [(_GOOD, limits()), (_GOOD, limits("5"))],
    [(failed(UNAVAILABLE), limits())],
])  # fmt: skip
def test_nothing_to_judge_is_an_error(required: list[tuple[Reading, Thresholds]]) -> None:
    """Without a reading, or with a reading that nothing is required of, there is no verdict at all."""
    with pytest.raises(UsageError) as caught:
        judge(required, fail_open=True)
    assert caught.value.message == "there is no threshold to check"
    assert caught.value.hint == "give --min, --max-used, --min-runway or --max-spent"


def test_readings_are_judged_once_each_as_they_come() -> None:
    """They may come from an iterator, which is read once."""
    verdict = judge(iter(alike([_GOOD, _LOW], limits("5"))))
    assert [(each.reading, each.outcome) for each in verdict.judged] == [(_GOOD, PASS), (_LOW, BELOW)]


@pytest.mark.parametrize("fail_open", [True, False])
@pytest.mark.parametrize("others", [[], [_GOOD], [failed(UNAVAILABLE)]])
def test_a_reading_that_is_neither_balance_nor_error_cannot_pass(others: list[Reading], fail_open: bool) -> None:
    """Should a bug ever lose a result, the gate fails; it does not take the gap for a pass."""
    lost = Reading("default", Scope.KEY, None, cast("Any", None))
    readings = [*others, lost]
    with pytest.raises(AssertionError):
        judge(alike(readings, limits("0")), fail_open=fail_open)


@pytest.mark.parametrize("not_a_number", ["NaN", "sNaN"])
def test_an_amount_that_is_not_a_number_cannot_pass(not_a_number: str) -> None:
    """The parser lets no NaN through; if it did, the comparison itself would fail."""
    with pytest.raises(ArithmeticError):
        judge([(reading(not_a_number), limits("0"))])
    with pytest.raises(ArithmeticError):
        judge([(reading("1", not_a_number), limits(max_used="0"))])


@pytest.mark.parametrize(
    ("thresholds", "are_set"),
    [(limits(), False), (limits("0"), True), (limits(max_used="0"), True), (limits("1", "1"), True)],
)
def test_a_threshold_of_zero_is_a_threshold(thresholds: Thresholds, are_set: bool) -> None:
    """Zero is an amount like any other."""
    assert thresholds.are_set is are_set


@pytest.mark.parametrize(("readings", "code"), [
    ([], 0), ([_GOOD], 0), ([_LOW, _FREE], 0), ([failed(AUTH)], 4), ([_GOOD, failed(BAD)], 6),
    ([failed(UNAVAILABLE), failed(AUTH)], 5), ([failed(PAYMENT)], 3), ([failed(AUTH), failed(PAYMENT)], 3),
    ([_GOOD, failed(OutputError("output")), failed(AUTH)], 1),
])  # fmt: skip
def test_showing_balances_ends_with_the_first_failure(readings: list[Reading], code: int) -> None:
    """`balance` judges nothing: 402 comes first, then the first failed reading, else all is well."""
    assert code_of_readings(readings) is ExitCode(code)


def test_the_words_of_a_verdict_are_these() -> None:
    """They stand in JSON and in logs, so they are public."""
    assert [outcome.value for outcome in Outcome] == ["pass", "below", "unlimited", "error", "no_forecast"]


def test_a_result_that_is_nothing_of_the_kind_is_named() -> None:
    """A reading that is neither a balance nor an error stops the gate and says what it was."""
    with pytest.raises(AssertionError, match="nothing of the kind"):
        judge_reading(Reading("default", Scope.KEY, None, "nothing of the kind"), Thresholds())  # type: ignore[arg-type]


def test_a_threshold_that_is_not_given_is_none() -> None:
    """One threshold alone asks nothing of the other amount, and none at all is no threshold."""
    empty_and_used = reading("-2", "9")
    assert judge_reading(empty_and_used, limits(max_used="9")) is Outcome.PASS
    assert judge_reading(empty_and_used, limits("-2")) is Outcome.PASS
    assert not Thresholds().are_set


@pytest.mark.parametrize("others", [[], [UNAVAILABLE]])
def test_failing_open_does_not_forgive_the_gateway_s_own_word(others: list[ApimartError]) -> None:
    """It forgives silence; whoever answers "I cannot tell" was reached."""
    told = UnavailableError("the gateway could not tell the balance", was_told=True)
    required = [(failed(error), limits("5")) for error in (told, *others)]
    assert judge(required, fail_open=True).exit_code is ExitCode.UNAVAILABLE


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


# --- how long it lasts ------------------------------------------------------------------------------------------

DAYS = timedelta(days=3)
NO_FORECAST = Outcome.NO_FORECAST


def lasting(low: str, remain: str = "10", state: ForecastState = ForecastState.OK) -> Reading:
    """A reading that surely lasts for so many days."""
    told = Forecast(state, Decimal(14), Decimal(1), Decimal(low) * 2, Decimal(low), Decimal(low) * 4)
    return reading(remain)._replace(forecast=told)


def _with(forecast: Forecast | None, remain: str | None = "10") -> Reading:
    return reading(remain)._replace(forecast=forecast)


_TOO_LITTLE = Forecast(ForecastState.TOO_LITTLE, Decimal("1.4"))
_IDLE = Forecast(ForecastState.IDLE, Decimal(5), Decimal(0))


@pytest.mark.parametrize(
    ("subject", "outcome", "code"),
    [
        # The low end decides, inclusive and exact.
        (lasting("3"), PASS, 0),
        (lasting("2.9999999999999999999999"), BELOW, 3),
        (lasting("3.0000000000000000000001"), PASS, 0),
        (lasting("3", state=ForecastState.ROUGH), PASS, 0),
        (lasting("1", state=ForecastState.ROUGH), BELOW, 3),
        # Nothing spent, and no end: it lasts.
        (_with(_IDLE), PASS, 0),
        (_with(None, None), PASS, 0),
        (_with(Forecast(ForecastState.UNLIMITED, Decimal(3), Decimal(9)), None), PASS, 0),
        # Nothing left lasts no longer, whatever was recorded.
        (_with(None, "0"), BELOW, 3),
        (_with(_TOO_LITTLE, "-0.01"), BELOW, 3),
        (_with(_IDLE, "0"), BELOW, 3),
        # Nobody can tell.
        (_with(None), NO_FORECAST, 8),
        (_with(_TOO_LITTLE), NO_FORECAST, 8),
    ],
)
def test_the_low_end_of_the_forecast_must_be_long_enough(subject: Reading, outcome: Outcome, code: int) -> None:
    """It passes only where it surely lasts; too little history is no pass."""
    required = Thresholds(min_runway=DAYS)
    assert judge_reading(subject, required) is outcome
    assert judge([(subject, required)]) == verdict_on(subject, required, outcome, code)


@pytest.mark.parametrize(("subject", "min", "max_used", "outcome"), [
    (lasting("5"), "10", "0", PASS), (lasting("5"), "10.01", None, BELOW), (lasting("1"), "10", None, BELOW),
    (lasting("5"), None, "-1", BELOW), (_with(None), "10.01", None, BELOW), (_with(None), "10", None, NO_FORECAST),
])  # fmt: skip
def test_every_threshold_must_be_met(subject: Reading, min: str, max_used: str, outcome: Outcome) -> None:
    """A forecast makes no pass of what is below, and turns a pass into a fail where it was asked for."""
    required = limits(min, max_used)._replace(min_runway=DAYS)
    assert judge_reading(subject, required) is outcome


def test_nothing_but_a_missing_forecast_is_passed_over() -> None:
    """`--on-no-forecast pass` lets what nobody can tell pass; what does not last stays below."""
    required = Thresholds(min_runway=DAYS)
    for subject, outcome in (
        (_with(None), PASS),
        (_with(_TOO_LITTLE), PASS),
        (lasting("1"), BELOW),
        (_with(None, "0"), BELOW),
        (failed(UNAVAILABLE), ERROR),
        (failed(PAYMENT), BELOW),
    ):
        assert judge_reading(subject, required, no_forecast_passes=True) is outcome


def test_an_unlimited_quota_can_be_refused_for_its_runway_too() -> None:
    """It follows `--on-unlimited`."""
    required = Thresholds(min_runway=DAYS)
    assert judge_reading(reading(None), required, unlimited_passes=False) is UNLIMITED
    assert judge([(reading(None), required)], unlimited_passes=False).exit_code is ExitCode.UNLIMITED


@pytest.mark.parametrize(("readings", "fail_open", "outcome", "code"), [
    ([_with(None), lasting("1")], False, BELOW, 3), ([_with(None), reading(None)], False, UNLIMITED, 7),
    ([_with(None), failed(AUTH)], False, ERROR, 4),
    ([failed(UNAVAILABLE), _with(None)], False, ERROR, 5),
    ([failed(UNAVAILABLE), _with(None)], True, NO_FORECAST, 8),
    ([failed(UNAVAILABLE), lasting("3")], True, ERROR, 0),
    ([lasting("3"), _with(None)], False, NO_FORECAST, 8), ([lasting("3"), lasting("3")], False, PASS, 0),
])  # fmt: skip
def test_a_missing_forecast_comes_after_every_failure(
    readings: list[Reading], fail_open: bool, outcome: Outcome, code: int
) -> None:
    """Below, unlimited, a failure, no forecast, a pass; `--fail-open` forgives the gateway, not the history."""
    verdict = judge(alike(readings, Thresholds(min_runway=DAYS)), unlimited_passes=False, fail_open=fail_open)
    assert (verdict.outcome, verdict.exit_code) == (outcome, ExitCode(code))


@pytest.mark.parametrize(("key", "account", "outcome"), [
    (lasting("3"), lasting("3"), PASS), (lasting("3"), lasting("1"), BELOW), (lasting("1"), lasting("3"), BELOW),
    (lasting("1"), _with(None), BELOW), (lasting("3"), _with(None), NO_FORECAST),
    (_with(None), lasting("3"), NO_FORECAST), (reading(None), lasting("3"), PASS),
    (reading(None), _with(None), NO_FORECAST), (reading(None), reading(None), PASS),
    (lasting("1"), failed(UNAVAILABLE), BELOW), (lasting("3"), failed(UNAVAILABLE), ERROR),
    (failed(UNAVAILABLE), lasting("1"), BELOW),
])  # fmt: skip
def test_what_can_be_spent_lasts_only_where_both_last(key: Reading, account: Reading, outcome: Outcome) -> None:
    """The key and its account, each by its own forecast; one that does not last is enough to tell."""
    subject = spendable(key, account._replace(scope=Scope.ACCOUNT))
    assert judge_reading(subject, Thresholds(min_runway=DAYS)) is outcome
