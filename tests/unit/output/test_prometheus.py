"""The text format of Prometheus: what an independent parser reads out of it."""

import re
from collections.abc import Iterator
from decimal import Decimal

import hypothesis
import pytest
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from apimart_cli.output.prometheus import Family, MetricSample, exposition
from apimart_cli.text import visible
from apimart_cli.words import OutputFormat, Scope
from support.readings import AUTH, LONGEST, failed, reading, show
from support.running import KEY

HOSTILE = (
    "a|b", "a=b", "it's", "::error::x", "##[error]x", "one\ntwo", "%0A", 'say "hi"', "{a}", "}", "\\", "\\n", "a\\",
    "\U0001f600", "x" * 10_000, "#", "# HELP", ",", ", ", " ", "\r", "\x00", "\x1b[1m", "\u2028", "\x85", "é", "\ud800",
)  # fmt: skip
"""Names that mean something to some reader of them."""


def parsed(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """What the parser reads: the name, the labels and the number of each sample."""
    for family in parse(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            yield sample.name, dict(sample.labels), sample.value


def test_the_text_is_as_the_format_wants_it() -> None:
    """A help and a type before each metric, and an end to the last line."""
    text = show([reading("10.50", "2.3", profile="work", unit="USD")], OutputFormat.PROMETHEUS)
    assert text.startswith("# HELP apimart_reading_success Whether the last reading gave a balance: 1 or 0.\n")
    assert (
        "# HELP apimart_remaining_balance What is left; no sample where that is unlimited or not known.\n"
        "# TYPE apimart_remaining_balance gauge\n"
        'apimart_remaining_balance{profile="work",scope="key",unit="USD"} 10.50\n'
    ) in text
    assert text.endswith("\n")
    assert not re.search(r"^\s*$", text.removesuffix("\n"), re.MULTILINE)


def test_amounts_are_written_with_every_digit_and_without_an_exponent() -> None:
    """Also those that no float holds."""
    family = Family("apimart_x", "X.", [MetricSample({}, Decimal(LONGEST)), MetricSample({}, Decimal("1E-30"))])
    assert exposition([family]).splitlines()[2:] == [f"apimart_x{{}} {LONGEST}", f"apimart_x{{}} 0.{'0' * 29}1"]


def test_a_help_cannot_end_its_line() -> None:
    """Backslashes and line breaks are escaped there, and quotes are not."""
    family = Family("apimart_x", 'a\\b\n"c"', [MetricSample({}, Decimal(1))])
    assert exposition([family]).splitlines()[0] == '# HELP apimart_x a\\\\b\\n"c"'


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_label_and_nothing_else(name: str) -> None:
    """It comes back from the parser as it is shown everywhere, on the one line of its sample."""
    text = show([reading("1", "2", profile=name, unit=name or None)], OutputFormat.PROMETHEUS)
    [(labels, value)] = [(labels, value) for found, labels, value in parsed(text) if found == "apimart_used_balance"]
    assert (labels, value) == ({"profile": visible(name), "scope": "key", "unit": visible(name)}, 2)
    assert text.splitlines() == text.split("\n")[:-1]
    assert all(line.startswith(("# HELP apimart_", "# TYPE apimart_", "apimart_")) for line in text.splitlines())


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from(Scope), st.booleans()), max_size=6))
def test_whatever_names_there_are_every_reading_is_there_once(asked: list[tuple[str, Scope, bool]]) -> None:
    """No series is there twice, none is lost, and no line is one that a runner would obey."""
    asked = [(name, scope, fails) for name, scope, fails in asked if scope is not Scope.SPENDABLE]
    readings = [
        failed(AUTH, name, scope) if fails else reading(profile=name, scope=scope, unit=name)
        for name, scope, fails in asked
    ]
    text = show(readings, OutputFormat.PROMETHEUS)
    series = [(name, *sorted(labels.items())) for name, labels, _ in parsed(text)]
    assert len(series) == len(set(series))
    successes = [value for name, _, value in parsed(text) if name == "apimart_reading_success"]
    assert len(successes) == len({(name, scope) for name, scope, _ in asked})
    failures = {(name, scope) for name, scope, fails in asked if fails}
    assert successes.count(0) == len(failures)
    assert not re.search(r"^\s*::|##\w*\[", text, re.MULTILINE)


def test_a_key_in_a_name_or_a_unit_is_in_no_line() -> None:
    """Somebody put it in the wrong place."""
    text = show([reading(profile=KEY, unit=KEY), failed(AUTH, KEY, Scope.ACCOUNT)], OutputFormat.PROMETHEUS)
    assert KEY[8:] not in text
