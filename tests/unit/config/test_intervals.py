"""Intervals: seconds or durations, and never less than is allowed."""

import pytest

from apimart_cli.config.values import LEAST_IN_SANDBOX, least_interval, parse_interval, parse_seconds
from apimart_cli.errors import UsageError
from apimart_cli.rules.pace import LEAST_INTERVAL


@pytest.mark.parametrize(("text", "seconds"), [("60", 60), ("60s", 60), ("5m", 300), (".5", 0.5), ("1.5h", 5400)])
def test_a_number_alone_is_in_seconds(text: str, seconds: float) -> None:
    """Like a duration with its unit."""
    assert parse_seconds(text, "--interval") == seconds


@pytest.mark.parametrize(("text", "told"), [("4.9", "at least 5 seconds"), ("", "is empty"), ("soon", "no duration")])
def test_what_is_too_short_or_no_time_is_refused(text: str, told: str) -> None:
    """By the name of the option."""
    with pytest.raises(UsageError) as refused:
        parse_interval(text, least=5, example="a duration like 60s")
    assert refused.value.message.startswith("--interval: ")
    assert told.replace("no duration", "is not a duration") in refused.value.message


def test_only_the_sandbox_may_be_asked_all_the_time() -> None:
    """And only as long as nothing but this machine is asked."""
    inside, here, there = {"APIMART_SANDBOX": "1"}, "http://127.0.0.1:1", "https://api.example.com"
    assert least_interval([here], inside) == LEAST_IN_SANDBOX
    assert least_interval([here], {}) == LEAST_INTERVAL
    assert least_interval([here, there], inside) == LEAST_INTERVAL
