"""The plan: when each profile is due, on a clock of the test's own."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import UnavailableError
from apimart_cli.exporter.plan import Plan, PlannedProfile, asks_the_same
from support.readings import failed, reading
from support.running import KEY

INTERVAL = 60.0
OK, SILENCE = [reading()], [failed(UnavailableError("no answer"))]


def settings(key: str = KEY, **options: Any) -> Settings:
    (found,) = resolve(Options(**options), {"APIMART_API_KEY": key, "HOME": "/nowhere"})
    return found


def plan(seed: int = 1) -> Plan:
    return Plan(INTERVAL, 5.0, random.Random(seed).random)


def due(plan: Plan, now: float) -> list[PlannedProfile]:
    found = []
    while (asked := plan.due(now)) is not None:
        found.append(asked)
    return found


def test_at_the_start_everything_is_due() -> None:
    """Each once."""
    a_plan, one = plan(), settings()
    begun = [a_plan.begin(one, 100.0) for _ in range(3)]
    assert due(a_plan, 100.0) == begun
    assert a_plan.next_at() is None


def test_those_that_answered_are_spread_over_the_interval() -> None:
    """No sooner than five seconds after the first time, and no later than an interval; from then on at even times."""
    a_plan, one = plan(), settings()
    for _ in range(1000):
        a_plan.begin(one, 100.0)
    for asked in due(a_plan, 100.0):
        a_plan.take(asked, OK, 101.0)
        assert 106.0 <= asked.due <= 161.0
    steps = [len(due(a_plan, 106.0 + second)) for second in range(61)]
    assert sum(steps) == 1000
    assert max(steps) < 40


def test_the_rhythm_stays_when_answers_are_late() -> None:
    """An interval from one time to the next, not from the answer; what missed a whole one begins anew."""
    a_plan = plan()
    asked = a_plan.begin(settings(), 100.0)
    a_plan.due(100.0)
    a_plan.take(asked, OK, 101.0)
    first = asked.due
    assert a_plan.due(first + 9) is asked
    a_plan.take(asked, OK, first + 12)
    assert asked.due == pytest.approx(first + INTERVAL)
    a_plan.take(asked, OK, asked.due + 3 * INTERVAL)
    assert asked.due == pytest.approx(first + 5 * INTERVAL)


def test_failures_are_followed_by_longer_and_longer_pauses() -> None:
    """As the pace says; and what the gateway asks for is longer still."""
    a_plan = plan()
    asked = a_plan.begin(settings(), 0.0)
    pauses, now = [], 0.0
    for _ in range(4):
        a_plan.due(now)
        a_plan.take(asked, SILENCE, now)
        pauses.append(asked.due - now)
        now = asked.due
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 240
    error = UnavailableError("slow down")
    error.retry_after = 3000.0
    a_plan.take(asked, [failed(error)], now)
    assert asked.due >= now + 3000


def test_those_whose_gateway_is_back_are_asked_within_the_interval() -> None:
    """However long they would have waited."""
    a_plan = plan()
    asked = a_plan.begin(settings(), 0.0)
    for _ in range(5):
        a_plan.take(asked, SILENCE, 0.0)
    a_plan.hurry(asked, 10.0)
    assert 10.0 <= asked.due <= 10.0 + INTERVAL
    # The times planned before are no more.
    assert due(a_plan, 10_000.0) == [asked]


def test_what_went_is_never_due() -> None:
    """Though a time was planned."""
    a_plan = plan()
    asked = a_plan.begin(settings(), 0.0)
    asked.is_current = False
    assert due(a_plan, 10_000.0) == []


def test_a_gateway_that_is_back_is_left_alone_as_it_asked() -> None:
    """A key that was told to wait waits; the others are asked within the interval."""
    told = UnavailableError("the gateway limits the rate of requests (HTTP 429)")
    told.retry_after = 3600.0
    a_plan = plan()
    waits, fails = (a_plan.begin(settings(), 0.0) for _ in range(2))
    a_plan.take(waits, [failed(told)], 10.0)
    a_plan.take(fails, SILENCE, 10.0)
    for asked in (waits, fails):
        a_plan.hurry(asked, 20.0)
    assert waits.due == 10.0 + 3600.0
    assert 20.0 <= fails.due <= 20.0 + INTERVAL


def test_what_was_skipped_is_due_after_an_interval_or_a_little_later() -> None:
    """Without a longer pause: it did not fail itself. And not all of them at once."""
    a_plan = plan()
    asked = a_plan.begin(settings(), 0.0)
    a_plan.due(1.0)
    a_plan.skip(asked, 1.0)
    assert 1.0 + INTERVAL <= asked.due <= 1.0 + 1.5 * INTERVAL
    assert asked.pace.failures == 0
    other = a_plan.begin(settings(), 0.0)
    a_plan.skip(other, 1.0)
    assert other.due != asked.due


def test_questions_are_the_same_by_their_key_and_where_it_goes() -> None:
    """Thresholds and time limits make no other question."""
    one = settings()
    assert asks_the_same(one, settings(min="5", timeout="3"))
    assert not asks_the_same(one, settings("sk-another-0123456789"))
    assert not asks_the_same(one, settings(scope="account"))
    assert not asks_the_same(one, settings(base_url="https://other.example"))


def test_another_command_may_print_another_key(tmp_path: Path) -> None:
    """Though it is the same program; what one key was told is nothing about another."""

    def printed_by(*command: str) -> Settings:
        config = tmp_path / "config.toml"
        config.write_text(f"[profiles.a]\napi_key_command = {json.dumps(command)}\n")
        config.chmod(0o600)
        (found,) = resolve(Options(), {"APIMART_CONFIG": str(config), "HOME": "/nowhere"})
        return found

    assert asks_the_same(printed_by("pass", "work"), printed_by("pass", "work"))
    assert not asks_the_same(printed_by("pass", "work"), printed_by("pass", "home"))
