"""The lines of `check`, for people and logs."""

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
SHORTAGE = PaymentRequiredError("no money")


@pytest.mark.parametrize(("subject", "thresholds", "rules", "line", "colour"), [
    (reading(), limits("10.50"), {}, "PASS default/key: 10.5 left, at least 10.50 required", 32),
    (reading(unit="USD"), limits("20"), {}, "BELOW default/key: 10.5 USD left, at least 20 USD required", 31),
    (reading(), limits(None, "2"), {}, "BELOW default/key: 10.5 left; 2.3 used, at most 2 allowed", 31),
    (reading(scope=Scope.ACCOUNT, profile="work", unit="USD"), limits("5", "3"), {},
     "PASS work/account: 10.5 USD left, at least 5 USD required; 2.3 USD used, at most 3 USD allowed", 32),
    (reading(None), limits("5"), {}, "PASS default/key: unlimited quota, at least 5 required", 32),
    (reading(None, unit="USD"), limits("5"), {"unlimited_passes": False},
     "UNLIMITED default/key: unlimited quota, a limited one of 5 USD or more required", 33),
    (reading(None), limits(None, "2"), {}, "BELOW default/key: unlimited quota; 2.3 used, at most 2 allowed", 31),
    (failed(SHORTAGE), limits("5", "3"), {},
     "BELOW default/key: the account cannot pay (HTTP 402); at least 5 required; at most 3 used allowed", 31),
    (failed(SHORTAGE), limits(None, "3"), {},
     "BELOW default/key: the account cannot pay (HTTP 402); at most 3 used allowed", 31),
])  # fmt: skip
def test_a_verdict_is_a_line_that_a_log_reader_understands(
    subject: Reading, thresholds: Thresholds, rules: Mapping[str, bool], line: str, colour: int
) -> None:
    """The word, whose balance, what is there, what was required. The word is coloured on a terminal, and no more."""
    assert check([subject], thresholds, TABLE, **rules) == f"{line}\n"
    word, _, rest = line.partition(" ")
    coloured = check([subject], thresholds, TABLE, terminal(200, colour=True), **rules)
    assert coloured == f"\x1b[{colour}m\x1b[1m{word}\x1b[0m {rest}\n"


def test_several_readings_have_a_line_each() -> None:
    """But for those that failed: their message on standard error says it all, and says it once."""
    readings = [reading(), failed(AUTH, "default", Scope.ACCOUNT), reading("1", profile="other")]
    assert check(readings, limits("5"), TABLE) == (
        "PASS default/key: 10.5 left, at least 5 required\nBELOW other/key: 1 left, at least 5 required\n"
    )
    assert check([failed(AUTH)], limits("5"), TABLE) == ""


@pytest.mark.parametrize("width", [1, 20, 40, 60])
def test_a_line_is_folded_at_its_spaces(width: int) -> None:
    """A narrow terminal would break it anywhere, in a number too."""
    text = check([reading(LONGEST, unit="USD")], limits("5", "3"), TABLE, terminal(width))
    assert text.split() == check([reading(LONGEST, unit="USD")], limits("5", "3"), TABLE).split()


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
    assert checked_as_lines(Verdict(Outcome.BELOW, ExitCode.BELOW, (judged,)), PIPE).startswith("BELOW ")
