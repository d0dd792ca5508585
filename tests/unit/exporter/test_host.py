"""One gateway: when it counts as down, who finds out that it is back, and what counts as an answer."""

import pytest

from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.exporter.plan import PROBE_EVERY, SILENT_AFTER, Host
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import MOST_BACK_OFF
from support.readings import failed, reading

SILENCE = failed(UnavailableError("no answer from x within 10 seconds"))


@pytest.fixture
def down() -> Host:
    """A gateway that is down since the moment 0."""
    host = Host()
    for _ in range(SILENT_AFTER):
        host.take(SILENCE, 0.0, 0.0)
    assert host.is_down
    return host


def test_a_few_questions_without_an_answer_are_no_outage() -> None:
    """One that is answered between them starts the count again."""
    host = Host()
    for _ in range(SILENT_AFTER - 1):
        host.take(SILENCE, 0.0, 0.0)
    assert (host.is_in_doubt, host.is_down) == (True, False)
    host.take(reading(), 0.0, 0.0)
    assert not host.is_in_doubt
    host.take(SILENCE, 0.0, 0.0)
    assert (host.is_in_doubt, host.is_down) == (True, False)


def test_silence_to_a_question_is_no_outage_where_others_were_answered_meanwhile() -> None:
    """Some keys may never be answered in time; those of the others are as well as before."""
    host = Host()
    host.take(reading(), now=1.0, began=0.0)
    for _ in range(2 * SILENT_AFTER):
        host.take(SILENCE, now=10.0, began=0.5)
    assert (host.is_in_doubt, host.is_down) == (False, False)
    for _ in range(SILENT_AFTER):
        host.take(SILENCE, now=20.0, began=1.5)
    assert host.is_down


def test_one_question_at_a_time_finds_out_whether_it_is_back(down: Host) -> None:
    """Some seconds after the last one, and none beside it."""
    assert not down.may_be_asked(PROBE_EVERY - 0.1)
    assert down.may_be_asked(PROBE_EVERY)
    assert not down.may_be_asked(PROBE_EVERY)
    assert not down.take(SILENCE, 20.0, 20.0)
    assert not down.may_be_asked(20.0 + PROBE_EVERY - 0.1)
    assert down.may_be_asked(20.0 + PROBE_EVERY)


def test_it_is_back_with_the_first_answer(down: Host) -> None:
    """That is told once."""
    assert down.take(reading(), 9.0, 9.0)
    assert not down.is_down
    assert not down.take(reading(), 9.0, 9.0)


@pytest.mark.parametrize(("asked", "quiet"), [(100.0, 100.0), (86_400.0, MOST_BACK_OFF)])
def test_it_is_left_alone_for_as_long_as_it_asks(asked: float, quiet: float) -> None:
    """Not only by the key that was told so: all are refused in a row. Not for days: the next one may be let in."""
    error = UnavailableError("the gateway limits the rate of requests (HTTP 429)")
    error.retry_after = asked
    host = Host()
    for _ in range(SILENT_AFTER):
        host.take(failed(error), 0.0, 0.0)
    assert not host.may_be_asked(quiet - 1.0)
    assert host.may_be_asked(quiet)


@pytest.mark.parametrize("error", [
    PaymentRequiredError("402"), BadResponseError("not JSON"), AuthError("rejected", rejection=" (HTTP 401)"),
    UnavailableError("it cannot tell", was_told=True),
])  # fmt: skip
def test_a_failure_that_the_gateway_tells_is_an_answer(down: Host, error: ApimartError) -> None:
    """It is there."""
    assert down.take(failed(error), 9.0, 9.0)


@pytest.mark.parametrize("error", [AuthError("no key"), UsageError("no CA file")])
def test_a_failure_before_it_was_asked_says_nothing_of_it(down: Host, error: ApimartError) -> None:
    """Neither that it is there, nor that it is not."""
    assert not down.take(failed(error), 9.0, 9.0)
    assert down.is_down
    host = Host()
    for _ in range(SILENT_AFTER):
        host.take(failed(error), 0.0, 0.0)
    assert not host.is_down


def test_why_a_question_was_not_asked_is_told_with_the_failure_of_others(down: Host) -> None:
    """So that one line says what there is to know."""
    told: Reading = SILENCE
    assert told.error is not None
    assert told.error.message in down.failure().message
