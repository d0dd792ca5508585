"""The gate: readings and thresholds in, one verdict out.

Pure and small, as this is the only place that decides whether `check` may exit 0. Comparisons of Decimals are exact and
inclusive, without tolerance.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, assert_never

from apimart_cli.errors import ApimartError, ExitCode, PaymentRequiredError, UsageError
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.words import ForecastState, Outcome, Scope

if TYPE_CHECKING:
    from apimart_cli.rules.books import BooksReading
    from apimart_cli.rules.budget import Budget, JudgedSpend


class Thresholds(NamedTuple):
    """What a reading must show to pass. Amounts are in the gateway's unit; every bound is inclusive."""

    min: Decimal | None = None
    """The remaining balance must be at least this."""
    max_used: Decimal | None = None
    """The used balance must be at most this."""
    min_runway: timedelta | None = None
    """The balance must last at least this long, by the low end of its forecast."""

    @property
    def are_set(self) -> bool:
        """Whether there is any threshold."""
        return self != Thresholds()


class Judged(NamedTuple):
    """One reading, what it was held to, and what the gate says of it."""

    reading: Reading
    thresholds: Thresholds
    outcome: Outcome


class Verdict(NamedTuple):
    """The answer of the gate: one outcome for all, its exit code, and each reading as it was judged."""

    outcome: Outcome
    exit_code: ExitCode
    judged: tuple[Judged, ...]
    spends: "tuple[JudgedSpend, ...]" = ()
    """What was spent, by the gateway's own books, and held to a budget."""


def judge(
    required: Iterable[tuple[Reading, Thresholds]],
    *,
    budgets: "Sequence[tuple[BooksReading, Budget]]" = (),
    unlimited_passes: bool = True,
    no_forecast_passes: bool = False,
    fail_open: bool = False,
) -> Verdict:
    """Judge each reading by its thresholds, what was spent by the budgets, and all of them together.

    A reading below a threshold decides first, then an unlimited quota that does not pass, then the first failed
    reading, then a runway that is not known. Only without any of these the verdict is a pass. `fail_open` forgives
    failed readings if all of them failed because the gateway gave no answer (UNAVAILABLE). It forgives no other
    failure, and not the answer "I cannot tell".

    Raises UsageError if there is no reading, or a reading without a threshold: a pass must be proved.
    """
    choices = {"unlimited_passes": unlimited_passes, "no_forecast_passes": no_forecast_passes}
    judged = tuple(
        Judged(reading, thresholds, judge_reading(reading, thresholds, **choices)) for reading, thresholds in required
    )
    spends = _judged_spends(budgets)
    if not (judged or spends) or not all(each.thresholds.are_set for each in judged):
        raise UsageError("there is no threshold to check", "give --min, --max-used, --min-runway or --max-spent")
    outcomes = {each.outcome for each in judged} | {each.outcome for each in spends}
    if Outcome.BELOW in outcomes:
        return Verdict(Outcome.BELOW, ExitCode.BELOW, judged, spends)
    if Outcome.UNLIMITED in outcomes:
        return Verdict(Outcome.UNLIMITED, ExitCode.UNLIMITED, judged, spends)
    if outcomes == {Outcome.PASS}:
        # The one proved path to exit code 0: every reading is a balance, and every balance met its thresholds; all that
        # was spent is told by a complete answer, and is within its budget.
        return Verdict(Outcome.PASS, ExitCode.OK, judged, spends)
    return _untold(judged, spends, fail_open=fail_open)


def _judged_spends(budgets: "Sequence[tuple[BooksReading, Budget]]") -> "tuple[JudgedSpend, ...]":
    if not budgets:
        return ()
    # Late: hardly any check needs it.
    from apimart_cli.rules.budget import judge_spend

    return tuple(judge_spend(reading, budget) for reading, budget in budgets)


def code_of_readings(readings: Sequence[Reading]) -> ExitCode:
    """Return the code of showing `readings` without judging them, as `code_of_failures`."""
    return code_of_failures([reading.error for reading in readings if reading.error is not None])


def code_of_failures(failures: Sequence[ApimartError]) -> ExitCode:
    """Return the code of showing answers some of which failed: no money first, else the first failure, else OK."""
    codes = [failure.exit_code for failure in failures]
    if ExitCode.BELOW in codes:
        return ExitCode.BELOW
    return codes[0] if codes else ExitCode.OK


def judge_reading(
    reading: Reading, thresholds: Thresholds, *, unlimited_passes: bool = True, no_forecast_passes: bool = False
) -> Outcome:
    """Judge one reading. An unlimited quota meets every bound of what is left, unless `unlimited_passes` is false.

    What can be spent is below a threshold as soon as one of its parts is, even if the other part failed. Otherwise it
    counts as unlimited as soon as the key is, even if the account is limited.
    """
    outcome = _judge_result(reading, thresholds, unlimited_passes, no_forecast_passes)
    if not unlimited_passes and outcome is not Outcome.BELOW and unlimited_key(reading) is not None:
        return Outcome.UNLIMITED
    return outcome


def unlimited_key(reading: Reading) -> Reading | None:
    """Return the part of what can be spent that is an unlimited key; None if there is none."""
    for part in reading.parts:
        if part.scope is Scope.KEY and part.balance is not None and part.balance.unlimited_quota:
            return part
    return None


def _judge_result(
    reading: Reading, thresholds: Thresholds, unlimited_passes: bool, no_forecast_passes: bool
) -> Outcome:
    match reading.result:
        case PaymentRequiredError():
            return Outcome.BELOW
        case ApimartError():
            return Outcome.BELOW if judged_part_below(reading, thresholds) else Outcome.ERROR
        case Balance() as balance:
            outcome = _judge_balance(balance, thresholds, unlimited_passes=unlimited_passes)
            if outcome is not Outcome.PASS or thresholds.min_runway is None or balance.remain_balance is None:
                return outcome
            return _judge_runway(reading, thresholds.min_runway, no_forecast_passes=no_forecast_passes)
        case impossible:
            assert_never(impossible)


def judged_part_below(reading: Reading, thresholds: Thresholds) -> Judged | None:
    """Return the part of `reading` that proves by itself that it is below a threshold; None if none does.

    `max_used` is about what the key used, so it does not count for the account.
    """
    for part in reading.parts:
        held_to = thresholds._replace(max_used=None) if part.scope is Scope.ACCOUNT else thresholds
        if part.balance is not None and judge_reading(part, held_to) is Outcome.BELOW:
            return Judged(part, held_to, Outcome.BELOW)
    return None


def _judge_balance(balance: Balance, thresholds: Thresholds, *, unlimited_passes: bool) -> Outcome:
    if thresholds.max_used is not None and balance.used_balance > thresholds.max_used:
        return Outcome.BELOW
    if balance.remain_balance is None:
        return Outcome.PASS if unlimited_passes else Outcome.UNLIMITED
    return Outcome.PASS if thresholds.min is None or balance.remain_balance >= thresholds.min else Outcome.BELOW


def _judge_runway(reading: Reading, min_runway: timedelta, *, no_forecast_passes: bool) -> Outcome:
    """Judge how long a limited balance lasts; for what can be spent, how long each of its limited parts lasts."""
    from apimart_cli.rules.forecast import all_last_at_least

    balances = [(part.balance, part.forecast) for part in reading.parts or (reading,) if part.balance]
    limited = [
        (balance.remain_balance, forecast) for balance, forecast in balances if balance.remain_balance is not None
    ]
    if any(remain <= 0 for remain, _ in limited):
        return Outcome.BELOW
    match all_last_at_least((forecast for _, forecast in limited), min_runway):
        case True:
            return Outcome.PASS
        case False:
            return Outcome.BELOW
        case None:
            # Too little history may pass. A history that cannot be read may not: it may say that the balance ends soon.
            is_unread = any(
                forecast is not None and forecast.state is ForecastState.UNREADABLE for _, forecast in limited
            )
            return Outcome.PASS if no_forecast_passes and not is_unread else Outcome.NO_FORECAST


def _untold(judged: tuple[Judged, ...], spends: "tuple[JudgedSpend, ...]", *, fail_open: bool) -> Verdict:
    """Return the verdict if nothing is below, but a balance, a runway or what was spent is not known."""
    errors = [*(each.reading.error for each in judged), *(each.reading.error for each in spends)]
    failures = [error for error in errors if error is not None]
    if failures and not (fail_open and all(failure.is_silence for failure in failures)):
        return Verdict(Outcome.ERROR, failures[0].exit_code, judged, spends)
    if any(each.outcome is Outcome.NO_FORECAST for each in judged):
        return Verdict(Outcome.NO_FORECAST, ExitCode.NO_FORECAST, judged, spends)
    # The gateway gave no answer, and `--fail-open` says to go on.
    return Verdict(Outcome.ERROR, ExitCode.OK, judged, spends)
