"""The gate: readings and thresholds in, one verdict out.

Pure and small, because everything hangs on it: this is the only place that decides whether `check` may exit 0.
Comparisons are exact and inclusive, on Decimals, with no tolerance.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple, assert_never

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import ApimartError, ExitCode, PaymentRequiredError, UnavailableError, UsageError
from apimart_cli.words import Outcome, Scope


class Thresholds(NamedTuple):
    """What a reading must show to pass. Amounts are in the gateway's unit; both bounds are inclusive."""

    min: Decimal | None = None
    """The remaining balance must be at least this."""
    max_used: Decimal | None = None
    """The used balance must be at most this."""

    @property
    def are_set(self) -> bool:
        """Whether there is anything to check at all."""
        return self.min is not None or self.max_used is not None


class Judged(NamedTuple):
    """One reading, what it was held to, and what the gate says of it."""

    reading: Reading
    thresholds: Thresholds
    outcome: Outcome


class Verdict(NamedTuple):
    """The gate's answer: one outcome for all, the exit code that says it, and each reading as it was judged."""

    outcome: Outcome
    exit_code: ExitCode
    judged: tuple[Judged, ...]


def judge(
    required: Iterable[tuple[Reading, Thresholds]], *, unlimited_passes: bool = True, fail_open: bool = False
) -> Verdict:
    """Judge each reading by the thresholds beside it, and all of them together.

    Below any threshold decides first, then an unwelcome unlimited quota, then the first failed reading; only when
    none of these is left does the verdict pass. `fail_open` forgives failed readings when every one of them failed
    because the gateway gave no answer (UNAVAILABLE), and no other kind of failure: an answer that says "I cannot tell"
    is the gateway's own word.

    Raises UsageError when there is no reading, or a reading without a threshold: nothing proved is never a pass.
    """
    judged = tuple(
        Judged(reading, thresholds, judge_reading(reading, thresholds, unlimited_passes=unlimited_passes))
        for reading, thresholds in required
    )
    if not judged or not all(each.thresholds.are_set for each in judged):
        raise UsageError("there is no threshold to check", "give --min or --max-used")
    outcomes = {each.outcome for each in judged}
    if Outcome.BELOW in outcomes:
        return Verdict(Outcome.BELOW, ExitCode.BELOW, judged)
    if Outcome.UNLIMITED in outcomes:
        return Verdict(Outcome.UNLIMITED, ExitCode.UNLIMITED, judged)
    if outcomes == {Outcome.PASS}:
        # The one proved path to exit code 0: every reading is a balance, and every balance met its thresholds.
        return Verdict(Outcome.PASS, ExitCode.OK, judged)
    failures = [each.reading.error for each in judged if each.reading.error is not None]
    return Verdict(Outcome.ERROR, _failure_code(failures, fail_open=fail_open), judged)


def code_of_readings(readings: Sequence[Reading]) -> ExitCode:
    """Return the exit code of showing `readings` without judging them: 402 first, else the first failure, else OK."""
    failures = [reading.error for reading in readings if reading.error is not None]
    codes = [failure.exit_code for failure in failures]
    if ExitCode.BELOW in codes:
        return ExitCode.BELOW
    return codes[0] if codes else ExitCode.OK


def judge_reading(reading: Reading, thresholds: Thresholds, *, unlimited_passes: bool = True) -> Outcome:
    """Judge one reading. An unlimited quota meets `min` unless `unlimited_passes` is false.

    What can be spent is below a threshold as soon as one of its parts is, whatever became of the other.
    """
    match reading.result:
        case PaymentRequiredError():
            return Outcome.BELOW
        case ApimartError():
            return Outcome.BELOW if judged_part_below(reading, thresholds) else Outcome.ERROR
        case Balance() as balance:
            return _judge_balance(balance, thresholds, unlimited_passes=unlimited_passes)
        case impossible:
            assert_never(impossible)


def judged_part_below(reading: Reading, thresholds: Thresholds) -> Judged | None:
    """Return the part of `reading` that proves it below a threshold by itself; None where none does.

    Of the account only what is left counts: `max_used` is for what the key used.
    """
    for part in reading.parts:
        held_to = thresholds._replace(max_used=None) if part.scope is Scope.ACCOUNT else thresholds
        if part.balance is not None and _judge_balance(part.balance, held_to, unlimited_passes=True) is Outcome.BELOW:
            return Judged(part, held_to, Outcome.BELOW)
    return None


def _judge_balance(balance: Balance, thresholds: Thresholds, *, unlimited_passes: bool) -> Outcome:
    if thresholds.max_used is not None and balance.used_balance > thresholds.max_used:
        return Outcome.BELOW
    if thresholds.min is None:
        return Outcome.PASS
    if balance.remain_balance is None:
        return Outcome.PASS if unlimited_passes else Outcome.UNLIMITED
    return Outcome.PASS if balance.remain_balance >= thresholds.min else Outcome.BELOW


def _failure_code(failures: Sequence[ApimartError], *, fail_open: bool) -> ExitCode:
    """Return the code of the first failure, or OK where the gateway gave no answer and the user chose to go on."""
    if fail_open and all(isinstance(failure, UnavailableError) and not failure.was_told for failure in failures):
        return ExitCode.OK
    return failures[0].exit_code
