"""The lines of `check`, for people and logs."""

import re
from collections.abc import Mapping

import pytest
from rich.cells import cell_len

from apimart_cli.errors import ExitCode, PaymentRequiredError
from apimart_cli.output.lines import checked_as_lines
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Judged, Thresholds, Verdict
from apimart_cli.words import Outcome, OutputFormat, Scope
from support.readings import AUTH, LONGEST, PIPE, check, failed, limits, reading, terminal

TABLE = OutputFormat.TABLE


@pytest.mark.parametrize(("subject", "thresholds", "rules", "line"), [
    (reading(), limits("5"), {}, "PASS default/key: 10.5 left, at least 5 required"),
    (reading(), limits("10.50"), {}, "PASS default/key: 10.5 left, at least 10.50 required"),
    (reading(unit="USD"), limits("20"), {}, "BELOW default/key: 10.5 USD left, at least 20 USD required"),
    (reading(), limits(None, "2"), {}, "BELOW default/key: 10.5 left; 2.3 used, at most 2 allowed"),
    (reading(scope=Scope.ACCOUNT, profile="work", unit="USD"), limits("5", "3"), {},
     "PASS work/account: 10.5 USD left, at least 5 USD required; 2.3 USD used, at most 3 USD allowed"),
    (reading(None), limits("5"), {}, "PASS default/key: unlimited quota, at least 5 required"),
    (reading(None, unit="USD"), limits("5"), {"unlimited_passes": False},
     "UNLIMITED default/key: unlimited quota, a limited one of 5 USD or more required"),
    (reading(None), limits(None, "2"), {}, "BELOW default/key: unlimited quota; 2.3 used, at most 2 allowed"),
    (failed(PaymentRequiredError("no money")), limits("5", "3"), {},
     "BELOW default/key: the account cannot pay (HTTP 402); at least 5 required; at most 3 used allowed"),
    (failed(PaymentRequiredError("no money")), limits(None, "3"), {},
     "BELOW default/key: the account cannot pay (HTTP 402); at most 3 used allowed"),
])  # fmt: skip
def test_a_verdict_is_a_line_that_a_log_reader_understands(
    subject: Reading, thresholds: Thresholds, rules: Mapping[str, bool], line: str
) -> None:
    """The word, whose balance, what is there, what was required; exact, without colour."""
    assert check([subject], thresholds, TABLE, **rules) == f"{line}\n"


def test_several_readings_have_a_line_each() -> None:
    """But for those that failed: their message on standard error says it all, and says it once."""
    readings = [reading(), failed(AUTH, "default", Scope.ACCOUNT), reading("1", profile="other")]
    assert check(readings, limits("5"), TABLE) == (
        "PASS default/key: 10.5 left, at least 5 required\nBELOW other/key: 1 left, at least 5 required\n"
    )
    assert check([failed(AUTH)], limits("5"), TABLE) == ""


@pytest.mark.parametrize(
    ("subject", "rules", "colour"),
    [(reading(), {}, "32"), (reading("1"), {}, "31"), (reading(None), {"unlimited_passes": False}, "33")],
)
def test_the_word_of_a_verdict_is_coloured_on_a_terminal(
    subject: Reading, rules: Mapping[str, bool], colour: str
) -> None:
    """Nothing else is, and without the escapes the line is the same."""
    coloured = check([subject], limits("5"), TABLE, terminal(80, colour=True), **rules)
    assert re.match(rf"\x1b\[{colour}m\x1b\[1m[A-Z]+\x1b\[0m default/key: ", coloured)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == check([subject], limits("5"), TABLE, **rules)


@pytest.mark.parametrize("width", [1, 20, 40, 60])
def test_a_line_is_folded_at_its_spaces(width: int) -> None:
    """A narrow terminal would break it anywhere, in a number too."""
    text = check([reading(LONGEST, "2.3", unit="USD")], limits("5", "3"), TABLE, terminal(width))
    assert re.search(rf"(?<![\d.]){re.escape(LONGEST)}(?![\d.])", text)
    assert " ".join(text.split()) == " ".join(check([reading(LONGEST, unit="USD")], limits("5", "3"), TABLE).split())


def test_a_line_with_wide_characters_is_folded_by_cells() -> None:
    """No row is wider than the terminal, though it has fewer characters."""
    text = check([reading(profile="工作" * 8)], limits("5", "3"), TABLE, terminal(45))
    assert max(cell_len(row) for row in text.splitlines()) <= 45
    assert len(text.splitlines()) == 3


def test_a_profile_in_a_verdict_is_data() -> None:
    """A name with a line end in it cannot fake a second verdict, nor command a CI runner."""
    text = check([reading("1", profile="x\nPASS ::error::y")], limits("5"), TABLE)
    assert text == "BELOW x\\x0aPASS :\\:error::y/key: 1 left, at least 5 required\n"


def test_a_verdict_knows_its_words() -> None:
    """What is rendered is the gate's own verdict, not a second opinion."""
    judged = Judged(reading(), limits("5"), Outcome.BELOW)
    text = checked_as_lines(Verdict(Outcome.BELOW, ExitCode.BELOW, (judged,)), PIPE)
    assert text.startswith("BELOW ")
