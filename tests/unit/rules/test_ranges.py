"""Ranges of plugins: what is read, what alerts, and what is refused."""

import math
import subprocess
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.errors import UsageError
from apimart_cli.rules.plugin import Range, parse_range
from support.programs import need, without

NUMBERS = st.decimals(min_value=-50, max_value=50, allow_nan=False, allow_infinity=False, places=1)

USUAL_HINT = "give 5: for at least 5, ~:5 for at most 5, 1:5 for between, @1:5 for not between"

BY_PERL = """
use Monitoring::Plugin::Range;
while (<STDIN>) {
  chomp;
  my ($text, $value) = split / /;
  local $SIG{__WARN__} = sub {};
  my $range = Monitoring::Plugin::Range->parse_range_string($text);
  print defined $range ? $range->check_range($value) : "refused", "\\n";
}
"""


def test_both_ends_belong_to_a_range() -> None:
    """A value outside alerts, with `@` one inside; an unlimited one, None, is more than every number."""
    for text, alerting, silent in (
        ("10", ["-0.1", "10.1", None], ["0", "5", "10"]),
        ("10:", ["9.9", "-1"], ["10", "10.00", "1000", None]),
        ("~:10", ["10.1", None], ["-1000", "0", "10"]),
        ("@10:20", ["10", "15", "20"], ["9.9", "20.1", None]),
        (".5:", [".49"], [".5", "0.50"]),
    ):
        found = parse_range(text, "-c")
        assert [value for value in alerting if not found.alerts(None if value is None else Decimal(value))] == []
        assert [value for value in silent if found.alerts(None if value is None else Decimal(value))] == []


def test_anything_else_is_refused() -> None:
    """With the option that it was given to, and what is wrong."""
    for texts, fault in (
        ([""], "is empty"),
        (["5:\n"], "has a space in it"),
        (["@:"], "has no number"),
        (["5:6:7", "@@5", "~5", "5:~", "5.", "\u0665:"], "is not a range"),
        (["1,5:"], "has a comma"),
        (["1e3"], "has an exponent"),
        (["+5"], "has a plus sign"),
        (["/home/me:4"], "a shell puts it in the place of ~"),
        (["1234567890123456", "0.1234567890123456789012345678901"], "has too many digits"),
        (["5:\x1b[31m"], "\\x1b[31m"),
    ):
        for text in texts:
            with pytest.raises(UsageError) as raised:
                parse_range(text, "--critical")
            assert raised.value.message.startswith("--critical: '")
            assert fault in raised.value.message
            assert raised.value.hint == USUAL_HINT


def test_a_refusal_says_what_to_give_instead() -> None:
    """What was given is shown safely, cut where it is long; a key in its place is not repeated."""
    for text, message, hint in (
        ("~:", "-c: '~:' never alerts", "leave it out, or give 5: for at least 5"),
        ("2:1", "-c: '2:1' ends before it starts", "the smaller number comes first, like 1:5"),
        ("a\nb\nc", "-c: 'a\\x0ab\\x0ac' has a space in it", USUAL_HINT),
        ("?" * 50, f"-c: '{'?' * 37}...' is not a range", USUAL_HINT),
        ("sk-test-Zq7Wm3Xc9Vb1Nk5Lp8", "-c: 'sk-...' is not a range", USUAL_HINT),
    ):
        with pytest.raises(UsageError) as raised:
            parse_range(text, "-c")
        assert (raised.value.message, raised.value.hint) == (message, hint)


def test_a_range_is_written_as_it_was_read() -> None:
    """Exactly, without an exponent, so that performance data say what is in force."""
    for text, written in (
        ("0:10", "10"),
        (":10", "10"),
        (".5:", "0.5:"),
        *(
            (text, text)
            for text in ("0:", "~:4", "@1:2", "@~:", "-5:-1.50", f"{'9' * 15}.{'1' * 30}:", f"0.{'0' * 29}1:")
        ),
    ):
        found = parse_range(text, "-c")
        assert f"{found}" == written
        assert parse_range(written, "-c") == found


@given(st.booleans(), st.none() | NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS)
def test_ranges_alert_as_the_guidelines_say(
    inside: bool, start: Decimal | None, end: Decimal | None, value: Decimal | None
) -> None:
    """Whatever the ends are: absent, negative, equal; the numbers here are exact in floats to a tenth."""
    text = f"{'@' if inside else ''}{'~' if start is None else start}:{'' if end is None else end}"
    low, high = -math.inf if start is None else float(start), math.inf if end is None else float(end)
    if low > high or (start is None and end is None and not inside):
        with pytest.raises(UsageError):
            parse_range(text, "-c")
        return
    asked = math.inf if value is None else float(value)
    assert parse_range(text, "-c").alerts(value) == ((low <= asked <= high) is inside)


@given(st.booleans(), st.none() | NUMBERS, st.none() | NUMBERS, NUMBERS, st.lists(NUMBERS))
def test_what_alerts_up_to_an_amount_alerts_for_each_that_is_no_larger(
    inside: bool, start: Decimal | None, end: Decimal | None, most: Decimal, values: list[Decimal]
) -> None:
    """And where it does not say so, one of them does not alert."""
    asked = Range(start, end, inside)
    samples = [most, Decimal(-1000), *(value for value in values if value <= most), *(start, end)]
    alerting = [asked.alerts(value) for value in samples if value is not None and value <= most]
    if start is not None and end is not None and start > end:
        return
    assert asked.alerts_up_to(most) == all(alerting)


@pytest.mark.servers
def test_ranges_are_those_of_monitoring_plugin() -> None:
    """The module of Perl reads the same ranges, and alerts for the same values."""
    perl = need("perl")
    if subprocess.run([perl, "-MMonitoring::Plugin::Range", "-e", "1"], capture_output=True, check=False).returncode:
        without("Monitoring::Plugin", "is not installed")
    numbers = ["", "~", "0", "5", "-5", "1.5", "10"]
    texts = [f"{at}{start}{colon}{end}" for at in ("", "@") for start in numbers for colon in ("", ":")
             for end in ("", "0", "5", "-5", "1.5", "10") if colon or not end]  # fmt: skip
    values = ["-5.1", "-5", "-1", "0", "1", "1.5", "1.6", "5", "5.1", "10", "11"]
    pairs = [(text, value) for text in texts if text for value in values]
    ended = subprocess.run(
        [perl, "-e", BY_PERL],
        input="".join(f"{text} {value}\n" for text, value in pairs),
        capture_output=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    differing = {
        (text, value, ours, theirs)
        for (text, value), ours, theirs in zip(pairs, map(judged, pairs), ended.stdout.splitlines(), strict=True)
        if ours != theirs
    }
    # It takes a range that never alerts; we do not.
    assert {text for text, *_ in differing} <= {"~:"}


def judged(pair: tuple[str, str]) -> str:
    text, value = pair
    try:
        return "1" if parse_range(text, "-c").alerts(Decimal(value)) else "0"
    except UsageError:
        return "refused"
