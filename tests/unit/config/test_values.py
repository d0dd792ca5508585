"""What each value means: durations, amounts, scopes and units as people write them."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.config.values import (
    LEAST_IN_SANDBOX,
    UNITS,
    least_interval,
    parse_amount,
    parse_duration,
    parse_interval,
    parse_scope,
    parse_seconds,
    parse_timeout,
    parse_unit,
    parse_whole_days,
    read_seconds,
)
from apimart_cli.errors import UsageError
from apimart_cli.rules.pace import LEAST_INTERVAL
from apimart_cli.words import Scope


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("15m", timedelta(minutes=15)),
        ("2w", timedelta(weeks=2)),
        (".5h", timedelta(minutes=30)),
        ("0s", timedelta(0)),
        ("007d", timedelta(days=7)),
        ("3650d", timedelta(days=3650)),
        ("315360000s", timedelta(days=3650)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, duration: timedelta) -> None:
    """Whole or decimal, up to ten years."""
    assert parse_duration(text, "--min-runway") == duration


@pytest.mark.parametrize(
    ("fault", "texts"),
    [
        ("has no unit", ["3", "1.5"]),
        ("has no number", ["d"]),
        ("is empty; a duration is needed", ["", " "]),
        ("has a sign; a duration has none", ["-1d", "+1d"]),
        ("has an exponent; a duration is written out", ["1e9d", "1E2"]),
        ("has a comma; a decimal point is needed", ["1,5d"]),
        ("is not a duration", ["1h30m", "3 d", "3D", "3.d", "3d\n", "٣d", "nan", "1.1234567s"]),
        ("is longer than ten years", ["3651d"]),
        ("has too many digits", ["1234567890123s"]),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(fault: str, texts: list[str]) -> None:
    """The message names the source and the mistake."""
    for text in texts:
        with pytest.raises(UsageError) as raised:
            parse_duration(text, "--min-runway")
        assert raised.value.message == f"--min-runway: '{text.strip()}' {fault}"
        assert raised.value.hint is not None


@pytest.mark.parametrize(
    ("text", "usual", "hint"),
    [
        ("10", "s", "give a unit: 10s"),
        ("1.5", "d", "give a unit: 1.5d"),
        ("1h30m", "d", "give one number and one unit, like 90m for 1h30m"),
        ("3651d", "d", "give at most 3650d"),
        ("d", "d", "give a number and a unit, like 90s, 15m, 36h, 3d or 2w"),
    ],
)
def test_the_hint_followed_means_what_was_meant(text: str, usual: str, hint: str) -> None:
    """A number alone is proposed with the unit that is usual there."""
    with pytest.raises(UsageError) as raised:
        parse_duration(text, "--for", usual=usual)
    assert raised.value.hint == hint


@pytest.mark.parametrize("text", ["9" * 1_000_000, "sk-abcdefghijkl0123456789"])
def test_no_message_has_a_key_or_a_long_text_in_it(text: str) -> None:
    """A huge text is shortened, and a key in the wrong place is not repeated."""
    with pytest.raises(UsageError) as raised:
        parse_duration(text, "--min-runway")
    told = f"{raised.value.message} {raised.value.hint}"
    assert len(told) < 200
    assert "abcdef" not in told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", "10"), ("10s", "10"), ("2.5", "2.5"), (".5", "0.5"), ("2h", "7200"), ("0.000001", "0.000001")],
)
def test_where_seconds_are_taken_a_duration_is_too(text: str, seconds: str) -> None:
    """A number alone is in seconds: of a wait, of an interval, of a time limit."""
    assert read_seconds(text, "--wait") == Decimal(seconds)
    assert parse_seconds(text, "--interval") == float(seconds)
    if Decimal(seconds) <= 3600:
        assert parse_timeout(text, "--timeout") == float(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1,5", "1e3", "5\n", "10 s", "9" * 400])
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    """The error names the source and shows at most forty characters."""
    with pytest.raises(UsageError) as caught:
        parse_timeout(text, "--timeout")
    assert caught.value.message.startswith("--timeout: '")
    assert len(caught.value.message) < 100
    assert caught.value.hint == "give seconds, like 10 or 2.5, or a number and a unit, like 10s or 5m"


@pytest.mark.parametrize(("text", "told"), [("4.9", "at least 5 seconds"), ("", "is empty"), ("99999w", "ten years")])
def test_an_interval_that_is_too_short_or_no_time_is_refused(text: str, told: str) -> None:
    """The error names the option."""
    with pytest.raises(UsageError, match=f"^--interval: .*{told}"):
        parse_interval(text, least=5, example="a duration like 60s")


def test_only_the_sandbox_may_be_asked_all_the_time() -> None:
    """Only while nothing but this machine is asked."""
    inside, here, there = {"APIMART_SANDBOX": "1"}, "http://127.0.0.1:1", "https://api.example.com"
    assert least_interval([here], inside) == LEAST_IN_SANDBOX
    assert least_interval([here], {}) == LEAST_INTERVAL
    assert least_interval([here, there], inside) == LEAST_INTERVAL


@pytest.mark.parametrize(("text", "days"), [("14", 14), ("2w", 14), ("48h", 2), ("007", 7), ("1.0", 1), ("730", 730)])
def test_whole_days_are_a_number_or_a_duration(text: str, days: int) -> None:
    """A number alone is in days."""
    assert parse_whole_days(text, "--days", most=730) == days


@pytest.mark.parametrize("text", ["0", "1.5", "36h", "731", "105w", "-1", "x", "", "9" * 5000])
def test_no_day_parts_of_days_and_too_many_are_refused(text: str) -> None:
    """The error names the option, and is short."""
    with pytest.raises(UsageError) as raised:
        parse_whole_days(text, "--days", most=730)
    assert raised.value.message.startswith("--days: '")
    assert raised.value.hint
    assert len(raised.value.message) < 100


@given(st.text(max_size=12))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Each text is a duration or a UsageError."""
    with suppress(UsageError):
        assert parse_duration(text, "x") >= timedelta(0)


@given(st.integers(0, 10_000), st.integers(0, 999_999), st.sampled_from(sorted(UNITS)))
def test_every_duration_is_exact(whole: int, parts: int, unit: str) -> None:
    """To the microsecond."""
    if unit in "dw":
        whole %= 500
    expected = timedelta(microseconds=(whole * 1_000_000 + parts) * UNITS[unit])
    assert parse_duration(f"{whole}.{parts:06}{unit}", "x") == expected


@pytest.mark.parametrize("text", ["0", ".5", "5.000001", "0.30", "00000.5", f"{'9' * 15}.{'9' * 30}"])
def test_an_amount_is_a_plain_decimal(text: str) -> None:
    """Up to 15 digits, and up to 30 after the point, kept exactly."""
    assert str(parse_amount(text, "--min")) == str(Decimal(text))


_NO_NUMBER = "it is not a plain decimal number"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-0", "it has a sign"),
        ("+5", "it has a sign"),
        ("-1e3", "it has a sign"),
        ("1.000,50", "it has a comma"),
        ("1,000.50", "it has a comma"),
        ("1.5E-3", "it has an exponent"),
        ("1" + "0" * 15, "it has more than 15 digits before the point"),
        ("0." + "0" * 30 + "1", "it has more than 30 digits after the point"),
        *((text, _NO_NUMBER) for text in (" ", ".", "5.", "nan", "inf", "0x10", "1_000", " 5", "5\n", "\u0665", "-")),
    ],
)
def test_what_is_no_plain_decimal_is_no_amount(text: str, reason: str) -> None:
    """A threshold that could be misread is a usage error that says what is wrong, never a guess."""
    with pytest.raises(UsageError) as caught:
        parse_amount(text, "--min")
    assert caught.value.message.startswith("--min: '")
    assert caught.value.message.endswith(f"' is not an amount: {reason}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("key", (Scope.KEY,)),
        ("account", (Scope.ACCOUNT,)),
        ("both", (Scope.KEY, Scope.ACCOUNT)),
        ("spendable", (Scope.KEY, Scope.ACCOUNT)),
    ],
)
def test_a_scope_is_one_of_four_words(text: str, scopes: tuple[Scope, ...]) -> None:
    """`both` and `spendable` ask for the key first, then for the account."""
    scope = parse_scope(text, "scope")
    assert (scope.value, scope.asked) == (text, scopes)


@pytest.mark.parametrize("text", ["", "Key", "key,account", " key"])
def test_any_other_word_is_no_scope(text: str) -> None:
    """The error names the choices."""
    with pytest.raises(UsageError) as caught:
        parse_scope(text, "scope of the file")
    assert caught.value.message == f"scope of the file: '{text.strip()}' is not a scope"
    assert caught.value.hint == "give key, account, both or spendable"


@pytest.mark.parametrize("text", ["¥", "u" * 16, "a b", "[red]"])
def test_a_unit_is_a_short_word(text: str) -> None:
    """Up to 16 visible characters."""
    assert parse_unit(text, "unit") == text


@pytest.mark.parametrize("text", ["", "u" * 17, "US\nD", "\x1b[31m", "US\u202e", "::x::", "sk-abcdef", "\xa0"])
def test_what_does_not_show_is_no_unit(text: str) -> None:
    """A unit stands beside every amount, in tables and logs: it must be one visible word and no key."""
    with pytest.raises(UsageError) as caught:
        parse_unit(text, "unit")
    assert caught.value.message.startswith("unit: '")
    assert caught.value.hint == "give a short word like USD, at most 16 characters"
    assert "sk-a" not in caught.value.message
