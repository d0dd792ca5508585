"""The plan, on a clock of the test's own: when each profile is due, the first round, and a gateway that is down."""

import json
import random
from pathlib import Path

import pytest

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.exporter.plan import PROBE_EVERY, SILENT_AFTER, FirstRound, Host, Plan, PlannedProfile, asks_the_same
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import MOST_BACK_OFF
from support.profiles import profile
from support.readings import failed, reading

INTERVAL = 60.0
SILENCE = failed(UnavailableError("no answer from x within 10 seconds"))


@pytest.fixture
def plan() -> Plan:
    return Plan(INTERVAL, 5.0, random.Random(1).random)


def silent(
    host: Host, answer: Reading = SILENCE, *, times: int = SILENT_AFTER, now: float = 0.0, began: float = 0.0
) -> Host:
    """Have so many questions at a gateway end like this."""
    for _ in range(times):
        host.take(answer, now, began)
    return host


@pytest.fixture
def down() -> Host:
    """A gateway that is down since the moment 0."""
    host = silent(Host())
    assert host.is_down
    return host


def some(plan: Plan, number: int, now: float = 0.0) -> list[PlannedProfile]:
    return [plan.begin(profile(), now) for _ in range(number)]


def due(plan: Plan, now: float) -> list[PlannedProfile]:
    return list(iter(lambda: plan.due(now), None))


def asked_to_wait(seconds: float) -> UnavailableError:
    error = UnavailableError("the gateway limits the rate of requests (HTTP 429)")
    error.retry_after = seconds
    return error


def test_those_that_answered_are_spread_over_the_interval(plan: Plan) -> None:
    """At the start everything is due, once. Then from five seconds later to an interval later; from then on evenly."""
    begun = some(plan, 1000, now=100.0)
    assert due(plan, 100.0) == begun
    assert plan.next_at() is None
    for asked in begun:
        plan.take(asked, [reading()], 101.0)
        assert 106.0 <= asked.due <= 161.0
    steps = [len(due(plan, 106.0 + second)) for second in range(61)]
    assert sum(steps) == 1000
    assert max(steps) < 40


def test_the_rhythm_stays_when_answers_are_late(plan: Plan) -> None:
    """An interval from one time to the next, not from the answer; what missed a whole one begins anew."""
    [asked] = some(plan, 1, now=100.0)
    plan.due(100.0)
    plan.take(asked, [reading()], 101.0)
    first = asked.due
    assert plan.due(first + 9) is asked
    plan.take(asked, [reading()], first + 12)
    assert asked.due == pytest.approx(first + INTERVAL)
    plan.take(asked, [reading()], asked.due + 3 * INTERVAL)
    assert asked.due == pytest.approx(first + 5 * INTERVAL)


def test_failures_are_followed_by_longer_and_longer_pauses(plan: Plan) -> None:
    """As the pace says; and what the gateway asks for is longer still."""
    [asked] = some(plan, 1)
    pauses, now = [], 0.0
    for _ in range(4):
        plan.due(now)
        plan.take(asked, [SILENCE], now)
        pauses.append(asked.due - now)
        now = asked.due
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 240
    plan.take(asked, [failed(asked_to_wait(3000.0))], now)
    assert asked.due >= now + 3000


def test_those_whose_gateway_is_back_are_asked_within_the_interval(plan: Plan) -> None:
    """However long they would have waited; but a key that was told to wait waits."""
    waits, fails = some(plan, 2)
    plan.take(waits, [failed(asked_to_wait(3600.0))], 10.0)
    for _ in range(5):
        plan.take(fails, [SILENCE], 10.0)
    for asked in (waits, fails):
        plan.hurry(asked, 20.0)
    assert waits.due == 10.0 + 3600.0
    assert 20.0 <= fails.due <= 20.0 + INTERVAL
    # The times planned before are no more.
    assert sorted(map(id, due(plan, 10_000.0))) == sorted(map(id, (waits, fails)))


def test_what_went_is_never_due(plan: Plan) -> None:
    """Though a time was planned."""
    [asked] = some(plan, 1)
    asked.is_current = False
    assert due(plan, 10_000.0) == []


def test_what_was_skipped_is_due_after_an_interval_or_a_little_later(plan: Plan) -> None:
    """Without a longer pause: it did not fail itself. And not all of them at once."""
    asked, other = some(plan, 2)
    for each in (asked, other):
        plan.skip(each, 1.0)
        assert 1.0 + INTERVAL <= each.due <= 1.0 + 1.5 * INTERVAL
    assert asked.pace.failures == 0
    assert other.due != asked.due


def test_questions_are_the_same_by_their_key_and_where_it_goes() -> None:
    """Thresholds and time limits make no other question."""
    one = profile()
    assert asks_the_same(one, profile(min="5", timeout="3"))
    assert not asks_the_same(one, profile(key="sk-another-0123456789"))
    assert not asks_the_same(one, profile(scope="account"))
    assert not asks_the_same(one, profile(base_url="https://other.example"))


def test_another_command_may_print_another_key(tmp_path: Path) -> None:
    """Though it is the same program; what one key was told is nothing about another."""

    def printed_by(*command: str) -> Settings:
        config = tmp_path / "config.toml"
        config.write_text(f"[profiles.a]\napi_key_command = {json.dumps(command)}\n")
        config.chmod(0o600)
        [found] = resolve(Options(), {"APIMART_CONFIG": str(config), "HOME": "/nowhere"})
        return found

    assert asks_the_same(printed_by("pass", "work"), printed_by("pass", "work"))
    assert not asks_the_same(printed_by("pass", "work"), printed_by("pass", "home"))


def test_the_first_round_is_over_when_each_was_seen(plan: Plan) -> None:
    """That is told once. What comes meanwhile is waited for, what comes afterwards is not."""
    goes, comes, later = some(plan, 3)
    a_round = FirstRound(ends_at=100.0)
    a_round.add(goes)
    a_round.add(comes)
    a_round.saw(goes)
    assert a_round.end(1.0) is None
    a_round.saw(comes)
    assert a_round.end(2.0) == []
    assert a_round.is_over
    a_round.add(later)
    assert a_round.end(200.0) is None


def test_the_first_round_is_over_when_its_time_is(plan: Plan) -> None:
    """Those that are missing are named."""
    a_round = FirstRound(ends_at=100.0)
    [late] = some(plan, 1)
    a_round.add(late)
    assert a_round.end(99.9) is None
    assert a_round.end(100.0) == [late]


def test_a_few_questions_without_an_answer_are_no_outage() -> None:
    """One that is answered between them starts the count again."""
    host = silent(Host(), times=SILENT_AFTER - 1)
    assert (host.is_in_doubt, host.is_down) == (True, False)
    host.take(reading(), 0.0, 0.0)
    assert not host.is_in_doubt
    host.take(SILENCE, 0.0, 0.0)
    assert (host.is_in_doubt, host.is_down) == (True, False)


def test_silence_to_a_question_is_no_outage_where_others_were_answered_meanwhile() -> None:
    """Some keys may never be answered in time; those of the others are as well as before."""
    host = Host()
    host.take(reading(), now=1.0, began=0.0)
    silent(host, times=2 * SILENT_AFTER, now=10.0, began=0.5)
    assert (host.is_in_doubt, host.is_down) == (False, False)
    assert silent(host, now=20.0, began=1.5).is_down


def test_one_question_at_a_time_finds_out_whether_it_is_back(down: Host) -> None:
    """Some seconds after the last one, and none beside it."""
    assert not down.may_be_asked(PROBE_EVERY - 0.1)
    assert down.may_be_asked(PROBE_EVERY)
    assert not down.may_be_asked(PROBE_EVERY)
    assert not down.take(SILENCE, 20.0, 20.0)
    assert not down.may_be_asked(20.0 + PROBE_EVERY - 0.1)
    assert down.may_be_asked(20.0 + PROBE_EVERY)


@pytest.mark.parametrize(("asked", "quiet"), [(100.0, 100.0), (86_400.0, MOST_BACK_OFF)])
def test_it_is_left_alone_for_as_long_as_it_asks(asked: float, quiet: float) -> None:
    """Not only by the key that was told so: all are refused in a row. Not for days: the next one may be let in."""
    host = silent(Host(), failed(asked_to_wait(asked)))
    assert not host.may_be_asked(quiet - 1.0)
    assert host.may_be_asked(quiet)


@pytest.mark.parametrize("error", [
    None, PaymentRequiredError("402"), BadResponseError("not JSON"), AuthError("rejected", rejection=" (HTTP 401)"),
    UnavailableError("it cannot tell", was_told=True),
])  # fmt: skip
def test_it_is_back_with_the_first_answer(down: Host, error: ApimartError | None) -> None:
    """A failure that the gateway tells is one. That it is back is told once."""
    answer = reading() if error is None else failed(error)
    assert down.take(answer, 9.0, 9.0)
    assert not down.is_down
    assert not down.take(answer, 9.0, 9.0)


@pytest.mark.parametrize("error", [AuthError("no key"), UsageError("no CA file")])
def test_a_failure_before_it_was_asked_says_nothing_of_it(down: Host, error: ApimartError) -> None:
    """Neither that it is there, nor that it is not."""
    assert not down.take(failed(error), 9.0, 9.0)
    assert down.is_down
    assert not silent(Host(), failed(error)).is_down


def test_why_a_question_was_not_asked_is_told_with_the_failure_of_others(down: Host) -> None:
    """So that one line says what there is to know."""
    assert SILENCE.error is not None
    assert SILENCE.error.message in down.failure().message
