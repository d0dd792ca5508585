"""Durations as people write them."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.config.durations import UNITS, parse_duration
from apimart_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("36h", timedelta(hours=36)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
        ("1.5d", timedelta(hours=36)),
        (".5h", timedelta(minutes=30)),
        ("0s", timedelta(0)),
        ("007d", timedelta(days=7)),
        ("0.000001s", timedelta(microseconds=1)),
        ("3650d", timedelta(days=3650)),
        ("315360000s", timedelta(days=3650)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, duration: timedelta) -> None:
    """Whole or decimal, exactly."""
    assert parse_duration(text, "--min-runway") == duration


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("3", "'3' has no unit", "give a unit: 3d"),
        ("1.5", "'1.5' has no unit", "give a unit: 1.5d"),
        ("d", "'d' has no number", "give a number and a unit, like 90s, 15m, 36h, 3d or 2w"),
        ("", "'' is empty; a duration is needed", None),
        (" ", "'' is empty; a duration is needed", None),
        ("-1d", "'-1d' has a sign; a duration has none", None),
        ("+1d", "'+1d' has a sign; a duration has none", None),
        ("1e9d", "'1e9d' has an exponent; a duration is written out", None),
        ("1E2", "'1E2' has an exponent; a duration is written out", None),
        ("1,5d", "'1,5d' has a comma; a decimal point is needed", None),
        ("1h30m", "'1h30m' is not a duration", "give one number and one unit, like 90m for 1h30m"),
        ("3 d", "'3 d' is not a duration", None),
        ("3D", "'3D' is not a duration", None),
        ("3y", "'3y' is not a duration", None),
        ("3.d", "'3.d' is not a duration", None),
        ("3d\n", "'3d' is not a duration", None),
        ("٣d", "'٣d' is not a duration", None),
        ("nan", "'nan' is not a duration", None),
        ("3651d", "'3651d' is longer than ten years", "give at most 3650d"),
        ("999999999w", "'999999999w' is longer than ten years", "give at most 3650d"),
        ("1234567890123s", "'1234567890123s' has too many digits", None),
        ("1.1234567s", "'1.1234567s' is not a duration", None),
    ],
)
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
