"""What the plugin prints: the line, its performance data, and that no text from outside means anything in them."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.errors import ApimartError, BadResponseError, PaymentRequiredError, UnavailableError
from apimart_cli.output.nagios import in_words, render, render_unknown
from apimart_cli.rules.balance import Reading, spendable
from apimart_cli.rules.forecast import UNREADABLE, Forecast
from apimart_cli.rules.plugin import Bounds, Choices, examine, parse_range
from apimart_cli.words import ForecastState, Scope
from support.hostile_names import NAMES
from support.readings import LONGEST, failed, reading

TWO = Bounds(parse_range("10:", "-w"), parse_range("5:", "-c"))
SILENCE = UnavailableError("no answer from localhost within 1 second", "check the network")
WEEK = Forecast(ForecastState.OK, Decimal(14), Decimal(1), Decimal(10), Decimal("7.00000001"), Decimal(12))


def shown(*readings: Reading, held_to: Bounds = TWO, verbose: bool = False) -> str:
    return render([examine(each, held_to, Choices()) for each in readings], verbose=verbose)


def parsed(printed: str) -> tuple[str, list[Sequence[str]]]:
    """Return the text of the first line, and of each value the label, the value itself, its thresholds and its least.

    They are read as the guidelines say; it fails where that is not possible.
    """
    text, _, data = printed.partition("\n")[0].partition("|")
    rest, items = data.strip(), list[Sequence[str]]()
    while rest:
        match = re.match(r"'([^'=]+)'=(-?[0-9.]+s?);([@~:0-9.-]*);([@~:0-9.-]*);([0-9]*)( |$)", rest)
        assert match is not None, rest
        items.append(match.groups()[:5])
        rest = rest[match.end() :]
    return text.strip(), items


def labels(*readings: Reading) -> list[str]:
    return [label for label, *_ in parsed(shown(*readings))[1]]


def test_the_line_is_that_of_the_manual() -> None:
    """Text, a bar, and first of all what is left, with the thresholds as they were given."""
    printed = shown(reading(profile="work", unit="USD"))
    assert printed == (
        "APIMART OK - work/key 10.5 USD left | 'work_key_remaining'=10.5;10:;5:;0 'work_key_used'=2.3;;;0\n"
    )


@pytest.mark.parametrize(
    ("found", "held_to", "text"),
    [
        (reading("7"), TWO, "WARNING - default/key 7 left, warning: at least 10 required"),
        (reading("3", unit="USD"), TWO, "CRITICAL - default/key 3 USD left, critical: at least 5 USD required"),
        (reading(None), TWO, "OK - default/key unlimited quota"),
        (failed(SILENCE), TWO, f"UNKNOWN - default/key unknown: {SILENCE.message} (check the network)"),
        (failed(PaymentRequiredError("pay up")), TWO, "CRITICAL - default/key critical: pay up"),
        (
            reading("10.5", "9"),
            Bounds(max_used=Decimal(5)),
            "CRITICAL - default/key 10.5 left, critical: 9 used, at most 5 allowed",
        ),
        (
            reading()._replace(forecast=WEEK),
            Bounds(runway_warning=timedelta(days=9), runway_critical=timedelta(days=1)),
            "WARNING - default/key 10.5 left, warning: lasts about 10 days (7 to 12), at least 9 days required",
        ),
        (
            reading(),
            Bounds(runway_critical=timedelta(hours=36)),
            "UNKNOWN - default/key 10.5 left, unknown: no history, at least 36 hours required",
        ),
        (
            reading()._replace(forecast=UNREADABLE),
            Bounds(runway_warning=timedelta(days=2)),
            "UNKNOWN - default/key 10.5 left, unknown: the history cannot be read, at least 2 days required",
        ),
        (
            spendable(reading("3"), failed(SILENCE, scope=Scope.ACCOUNT)),
            TWO,
            f"CRITICAL - default/spendable unknown: {SILENCE.message} (check the network), "
            "critical: at most 3 left, at least 5 required",
        ),
        (
            spendable(reading("30"), reading("20", scope=Scope.ACCOUNT)),
            TWO,
            "OK - default/spendable 20 left (limited by account)",
        ),
    ],
)
def test_the_text_says_what_is_wrong(found: Reading, held_to: Bounds, text: str) -> None:
    """What is left, and for each thing that is not as it should be its state and the reason."""
    assert parsed(shown(found, held_to=held_to))[0] == f"APIMART {text}"


@pytest.mark.parametrize(("text", "words"), [
    ("5:", "at least 5 USD"), ("~:4", "at most 4 USD"), ("1:2", "1 to 2 USD"), ("2", "0 to 2 USD"),
    ("@1:2", "not 1 to 2 USD"), ("@5:", "less than 5 USD"), ("@~:4", "more than 4 USD"), ("@~:", "nothing"),
])  # fmt: skip
def test_a_range_in_words(text: str, words: str) -> None:
    """What a value must be to raise no alert."""
    assert in_words(parse_range(text, "-c"), "USD") == words


def test_the_worst_of_several_comes_first() -> None:
    """Whatever their order is; the data keep theirs. Hints of several would fill the line."""
    readings = [reading("20", profile="a"), failed(SILENCE, "b"), reading("3", profile="c"), reading("7", profile="d")]
    assert parsed(shown(*readings))[0] == (
        "APIMART CRITICAL - c/key 3 left, critical: at least 5 required. "
        "d/key 7 left, warning: at least 10 required. "
        f"b/key unknown: {SILENCE.message}. a/key 20 left"
    )
    assert labels(*readings) == [f"{name}_key_{kind}" for name in "acd" for kind in ("remaining", "used")]


def test_the_data_hold_every_digit() -> None:
    """Without an exponent, and with the thresholds of each kind."""
    least = "0.000000000000000000000000000001"
    held_to = Bounds(
        parse_range(f"{LONGEST}:", "-w"), parse_range(f"-{least}:", "-c"), Decimal("1E+3"),
        timedelta(days=9), timedelta(seconds=90.5),
    )  # fmt: skip
    _, items = parsed(shown(reading(LONGEST, least)._replace(forecast=WEEK), held_to=held_to))
    assert items == [
        ("default_key_remaining", LONGEST, f"{LONGEST}:", f"-{least}:", "0"),
        ("default_key_used", least, "", "~:1000", "0"),
        # The low end, which is what is held to the bounds, in whole seconds.
        ("default_key_runway", "604800s", "777600:", "90.5:", "0"),
    ]


def test_a_value_that_is_not_known_is_left_out() -> None:
    """An unlimited rest, a failed reading, and a runway without an end: no `U`, no made-up number."""
    for state in ForecastState:
        assert labels(reading(None)._replace(forecast=Forecast(state, Decimal(3)))) == ["default_key_used"]
    assert shown(failed(SILENCE)).endswith("(check the network)\n")


def test_more_lines_are_text() -> None:
    """With -v everything about each balance follows, and no data."""
    found = reading("3", profile="work", unit="USD", host="api.example")._replace(forecast=WEEK)
    held_to = TWO._replace(max_used=Decimal(9), runway_critical=timedelta(days=2))
    first, *more = shown(found, failed(SILENCE, "b"), held_to=held_to, verbose=True).splitlines()
    assert first + "\n" == shown(found, failed(SILENCE, "b"), held_to=held_to)
    assert more == [
        "work/key: critical, asked of api.example", "work/key: 3 USD left, 2.3 USD used, lasts about 10 days (7 to 12)",
        "work/key: critical unless at least 5 USD left", "work/key: warning unless at least 10 USD left",
        "work/key: critical unless at most 9 USD used", "work/key: critical unless it lasts at least 2 days",
        "b/key: unknown", f"b/key: {SILENCE.message} (check the network)", "b/key: critical unless at least 5 left",
        "b/key: warning unless at least 10 left", "b/key: critical unless at most 9 used",
        "b/key: critical unless it lasts at least 2 days",
    ]  # fmt: skip


@pytest.mark.parametrize("foreign", NAMES, ids=range(len(NAMES)))
def test_no_foreign_text_means_anything(foreign: str) -> None:
    """As a name, a unit, a message or a hint: the same state, one bar, and data that can be read."""
    named = reading("7", profile=foreign, unit=foreign)
    broken = failed(BadResponseError(f"said: {foreign}", foreign), foreign, Scope.ACCOUNT)
    for readings, state, items in (([named], "WARNING", 2), ([broken], "UNKNOWN", 0), ([named, broken], "WARNING", 2)):
        printed, more = shown(*readings), shown(*readings, verbose=True)
        for each in (printed, more):
            assert each.startswith(f"APIMART {state} - ")
            assert_safe(each, bars=1 if items else 0)
            assert len(parsed(each)[1]) == items
        assert printed.count("\n") == 1
    assert_safe(render_unknown(ApimartError(foreign, foreign)), bars=0)


def assert_safe(printed: str, *, bars: int) -> None:
    """Whether nothing in it is a control, a second bar, a tag, an escaped line end, a runner's command or a key."""
    assert printed.count("|") == bars
    assert "|" not in printed.partition("\n")[2]
    assert [character for character in printed if not character.isprintable() and character != "\n"] == []
    assert re.search(r"<|\\n|##\[|(^|\s)::", printed) is None
    assert "a1B2" not in printed
    assert len(printed.partition("\n")[0].encode()) < 8000


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=70) | st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
def test_names_that_differ_have_labels_that_differ(names: list[str]) -> None:
    """Of letters, digits, `_`, `-` and `.`, and at most 100 of them."""
    found = labels(*(reading(profile=name, scope=scope) for name in names for scope in (Scope.KEY, Scope.ACCOUNT)))
    assert len(set(found)) == len(found) == 4 * len(names)
    assert [label for label in found if not re.fullmatch(r"[\w.-]{1,100}", label)] == []


def test_a_label_is_the_same_in_every_run() -> None:
    """It is the name of a graph. A name that is made up to be a label of another is numbered."""
    first = labels(reading(profile="a|b"))
    assert labels(reading(profile="a/b"), reading(profile="a|b"))[2:] == first
    assert labels(reading(profile="büro-2.x"))[0] == "büro-2.x_key_remaining"
    made_up = reading(profile=first[0].removesuffix("_key_remaining"))
    found = labels(reading(profile="a|b"), made_up, made_up)
    assert len(set(found)) == len(found) == 6


@pytest.mark.parametrize("count", [1, 30, 300])
def test_a_line_has_an_end(count: int) -> None:
    """Text is shortened and says so; of the data whole values are left out, what is left last."""
    name = "a-long-name-as-people-give-them-in-companies-"
    printed = shown(*(reading("3", profile=f"{name}{number}")._replace(forecast=WEEK) for number in range(count)))
    text, items = parsed(printed)
    assert len(printed.encode()) < 8000
    assert text.startswith("APIMART CRITICAL - ")
    told = text.count(f"{name}")
    assert told == count or text.endswith(f". And {count - told} more")
    kinds = {label.rpartition("_")[2] for label, *_ in items}
    assert kinds == {1: {"remaining", "used", "runway"}, 30: {"remaining", "used"}}.get(count, {"remaining"})
    assert len(items) == count * len(kinds) or kinds == {"remaining"}


@pytest.mark.parametrize(("error", "line"), [
    (ApimartError("there is none", "make one"), "APIMART UNKNOWN - there is none (make one)\n"),
    (ApimartError("there | is\nnone"), "APIMART UNKNOWN - there \\x7c is\\x0anone\n"),
    (ApimartError("$5 `id` $(id) ${IFS}"), "APIMART UNKNOWN - $5 'id' \\x24(id) \\x24{IFS}\n"),
])  # fmt: skip
def test_what_stops_the_plugin_is_one_line(error: ApimartError, line: str) -> None:
    """With its hint, and without data."""
    assert render_unknown(error) == line
