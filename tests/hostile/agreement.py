"""The project's opinion of an answer, taken through its own code and set beside the oracle's."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from io import BytesIO
from math import inf
from typing import NamedTuple

import requests
import urllib3

from apimart_cli.errors import ApimartError, UnavailableError, UsageError
from apimart_cli.gateway.answer import Answer, interpret
from apimart_cli.gateway.transport import Incoming
from apimart_cli.keys.key import ApiKey, GivenKey, Redactor
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.rules.forecast import Forecast
from apimart_cli.rules.gate import Thresholds, code_of_readings, judge
from apimart_cli.rules.spending import DAY
from apimart_cli.target import Target
from apimart_cli.words import ForecastState, Scope
from hostile import oracle

_MICROSECOND = timedelta(microseconds=1)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
API_KEY = ApiKey("sk-test-Zq7Wm3Xc9Vb1Nk5Lp8", source="the tests")
TARGET = Target("default", Scope.KEY, GivenKey(API_KEY))


class Answered(NamedTuple):
    """One answer as it comes over the wire, its body still compressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str = "OK"


class Question(NamedTuple):
    """Everything that the exit code of one `check` depends on."""

    answers: Sequence[Answered]
    least: Decimal | None
    most_used: Decimal | None
    unlimited_passes: bool = True
    fail_open: bool = False


def receive(answered: Answered) -> Answer:
    """Take an answer in as the project does, from bytes to bytes."""
    response = requests.Response()
    response.status_code = answered.status
    response.reason = answered.reason
    response.headers.update(answered.headers)
    response.raw = urllib3.HTTPResponse(BytesIO(answered.body), answered.headers, preload_content=False)
    with Incoming(response, TARGET, seconds_left=lambda: 1.0) as incoming:
        return incoming.receive()


def read(answered: Answered) -> Reading:
    """Return the reading that the project makes of an answer; any exception but its own errors is a bug."""
    result: Balance | ApimartError
    try:
        result = interpret(receive(answered), scope=Scope.KEY, redactor=Redactor(API_KEY), fetched_at=NOW)
    except ApimartError as error:
        result = error
    return Reading("default", Scope.KEY, None, result)


def check_alike(question: Question) -> int:
    """Hold the project to the oracle, for every answer and for the verdict; return the exit code they agree on."""
    readings = [read(answered) for answered in question.answers]
    proofs = [oracle.read(answered.status, answered.headers, answered.body) for answered in question.answers]
    for reading, proof in zip(readings, proofs, strict=True):
        assert opinion(reading) == proof, f"the project reads {reading.result!r}, the oracle {proof!r}"
        if reading.error is not None:
            assert oracle.faults_of_text(f"{reading.error.message} {reading.error.hint}") == []
    choices = oracle.Choices(unlimited_passes=question.unlimited_passes, fail_open=question.fail_open)
    thresholds = Thresholds(question.least, question.most_used)
    return judge_alike(readings, [thresholds] * len(readings), choices)


def judge_alike(readings: Sequence[Reading], thresholds: Sequence[Thresholds], choices: oracle.Choices) -> int:
    """Hold the gate to the oracle, for readings from anywhere; return the exit code they agree on."""
    opinions = [opinion(reading) for reading in readings]
    limits = [oracle.Limits(exact(each.min), exact(each.max_used), days(each.min_runway)) for each in thresholds]
    expected = oracle.verdict(opinions, limits, choices)
    try:
        code = judge(
            zip(readings, thresholds, strict=True),
            unlimited_passes=choices.unlimited_passes,
            no_forecast_passes=choices.untold_passes,
            fail_open=choices.fail_open,
        ).exit_code
    except UsageError as error:
        code = error.exit_code
    assert int(code) == expected, f"the project ends with {code!r}, the oracle with {expected}"
    assert int(code_of_readings(readings)) == oracle.shown(opinions)
    return expected


def opinion(reading: Reading) -> oracle.Proof | oracle.Pair | int:
    """Return a reading of the project in the oracle's terms; of what can be spent, what it was made of."""
    if reading.parts:
        key, account = (opinion(part) for part in reading.parts)
        assert not isinstance(key, oracle.Pair)
        assert not isinstance(account, oracle.Pair)
        return oracle.Pair(key, account)
    match reading.result:
        case ApimartError() as error:
            return oracle.TOLD if isinstance(error, UnavailableError) and not error.is_silence else int(error.exit_code)
        case balance:
            return oracle.Proof(
                unlimited=balance.unlimited_quota, remain=exact(balance.remain_balance),
                used=Fraction(balance.used_balance), remain_credits=exact(balance.remain_credits),
                used_credits=exact(balance.used_credits), lasts=lasting(reading.forecast),
            )  # fmt: skip


def days(duration: timedelta | None) -> Fraction | None:
    """Return a duration in days, exactly."""
    return None if duration is None else Fraction(duration // _MICROSECOND, DAY // _MICROSECOND)


def lasting(forecast: Forecast | None) -> Fraction | float | None:
    """Return for how many days a forecast says that the rest surely lasts, in the oracle's terms."""
    if forecast is None or forecast.state is ForecastState.TOO_LITTLE:
        return None
    if forecast.state in {ForecastState.IDLE, ForecastState.UNLIMITED}:
        return inf
    return exact(forecast.days_left_low)


def exact(amount: Decimal | None) -> Fraction | None:
    """Return an amount of the project in the oracle's terms."""
    return None if amount is None else Fraction(amount)
