"""Durations as people write them."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.config.values import UNITS, parse_duration, parse_whole_days, read_seconds
from apimart_cli.errors import UsageError


@pytest.mark.parametrize(("text", "duration"), [
    ("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("36h", timedelta(hours=36)),
    ("3d", timedelta(days=3)), ("2w", timedelta(weeks=2)), ("1.5d", timedelta(hours=36)),
    (".5h", timedelta(minutes=30)), ("0s", timedelta(0)), ("007d", timedelta(days=7)),
    ("0.000001s", timedelta(microseconds=1)), ("3650d", timedelta(days=3650)), ("315360000s", timedelta(days=3650)),
])  # fmt: skip
def test_a_number_and_a_unit_are_a_duration(text: str, duration: timedelta) -> None:
    """Whole or decimal, exactly."""
    assert parse_duration(text, "--min-runway") == duration


@pytest.mark.parametrize(("text", "message", "hint"), [
    ("3", "'3' has no unit", "give a unit: 3d"), ("1.5", "'1.5' has no unit", "give a unit: 1.5d"),
    ("d", "'d' has no number", "give a number and a unit, like 90s, 15m, 36h, 3d or 2w"),
    ("", "'' is empty; a duration is needed", None), (" ", "'' is empty; a duration is needed", None),
    ("-1d", "'-1d' has a sign; a duration has none", None),
    ("+1d", "'+1d' has a sign; a duration has none", None),
    ("1e9d", "'1e9d' has an exponent; a duration is written out", None),
    ("1E2", "'1E2' has an exponent; a duration is written out", None),
    ("1,5d", "'1,5d' has a comma; a decimal point is needed", None),
    ("1h30m", "'1h30m' is not a duration", "give one number and one unit, like 90m for 1h30m"),
    ("3 d", "'3 d' is not a duration", None), ("3D", "'3D' is not a duration", None),
    ("3y", "'3y' is not a duration", None), ("3.d", "'3.d' is not a duration", None),
    ("3d\n", "'3d' is not a duration", None), ("٣d", "'٣d' is not a duration", None),
    ("nan", "'nan' is not a duration", None),
    ("3651d", "'3651d' is longer than ten years", "give at most 3650d"),
    ("999999999w", "'999999999w' is longer than ten years", "give at most 3650d"),
    ("1234567890123s", "'1234567890123s' has too many digits", None),
    ("1.1234567s", "'1.1234567s' is not a duration", None),
])  # fmt: skip
def test_anything_else_is_refused_with_what_is_wrong(text: str, message: str, hint: str | None) -> None:
    """The message names the source and the mistake, the hint what to write."""
    with pytest.raises(UsageError) as raised:
        parse_duration(text, "--min-runway")
    assert raised.value.message == f"--min-runway: {message}"
    assert raised.value.hint is not None
    assert hint is None or raised.value.hint == hint


def test_a_huge_text_is_refused_shortened() -> None:
    """And at once."""
    with pytest.raises(UsageError) as raised:
        parse_duration("9" * 1_000_000, "--min-runway")
    assert len(raised.value.message) < 100
    assert len(raised.value.hint or "") < 100


def test_a_key_in_the_wrong_place_is_not_shown() -> None:
    """Messages never repeat one."""
    with pytest.raises(UsageError) as raised:
        parse_duration("sk-abcdefghijkl0123456789", "--min-runway")
    assert "abcdef" not in raised.value.message


@pytest.mark.parametrize(("usual", "proposed"), [("s", "10s"), ("h", "10h"), ("d", "10d")])
def test_a_number_alone_is_proposed_with_the_unit_that_is_usual_there(usual: str, proposed: str) -> None:
    """So that the hint, followed, means what was meant."""
    with pytest.raises(UsageError) as raised:
        parse_duration("10", "--for", usual=usual)
    assert (raised.value.message, raised.value.hint) == ("--for: '10' has no unit", f"give a unit: {proposed}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10), ("10s", 10), ("2.5", Decimal("2.5")), (".5", Decimal("0.5")), ("2h", 7200)]
)
def test_where_seconds_are_taken_a_duration_is_too(text: str, seconds: Decimal) -> None:
    """A number alone is in seconds."""
    assert read_seconds(text, "--timeout") == seconds


@pytest.mark.parametrize(("text", "days"), [("14", 14), ("14d", 14), ("2w", 14), ("48h", 2), ("007", 7), ("1.0", 1)])
def test_whole_days_are_a_number_or_a_duration(text: str, days: int) -> None:
    """A number alone is in days."""
    assert parse_whole_days(text, "--days", most=730) == days


@pytest.mark.parametrize("text", ["0", "0d", "1.5", "36h", "731", "105w", "-1", "x", "", "1e1", "٣", "9" * 5000])
def test_no_day_parts_of_days_and_too_many_are_refused(text: str) -> None:
    """By the name of the option, with a hint, and shortened."""
    with pytest.raises(UsageError) as raised:
        parse_whole_days(text, "--days", most=730)
    assert raised.value.message.startswith("--days: '")
    assert raised.value.hint
    assert len(raised.value.message) < 100


@given(st.text(max_size=12))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Whatever it is."""
    with suppress(UsageError):
        assert parse_duration(text, "x") >= timedelta(0)


@given(st.integers(0, 10_000), st.integers(0, 999_999), st.sampled_from(sorted(UNITS)))
def test_every_duration_is_exact(whole: int, parts: int, unit: str) -> None:
    """To the microsecond."""
    if unit in "dw":
        whole %= 500
    expected = timedelta(microseconds=(whole * 1_000_000 + parts) * UNITS[unit])
    assert parse_duration(f"{whole}.{parts:06}{unit}", "x") == expected
