"""Lines that GitLab takes for variables."""

import re

import pytest

from apimart_cli.errors import UsageError
from apimart_cli.output import format_of
from apimart_cli.rules.balance import Reading
from apimart_cli.words import OutputFormat
from support.hostile_names import NAMES
from support.readings import AUTH, LONGEST, check, failed, limits, reading

DOTENV = OutputFormat.DOTENV


@pytest.mark.parametrize(("subject", "values"), [
    (reading("3.50", "7.10"), "below 3 3.50 7.10"), (reading(LONGEST), f"pass 0 {LONGEST} 2.3"),
    (reading(None), "pass 0 unlimited 2.3"), (failed(AUTH), "error 4  "),
])  # fmt: skip
def test_a_verdict_is_four_variables(subject: Reading, values: str) -> None:
    """With every digit; empty where the amount is not known."""
    names = ("VERDICT", "EXIT_CODE", "REMAINING", "USED")
    lines = [f"APIMART_{name}={value}\n" for name, value in zip(names, values.split(" "), strict=True)]
    assert check([subject], limits("5"), DOTENV) == "".join(lines)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_nothing_foreign_is_in_it(name: str) -> None:
    """Names and units have no place in such a file, and it stays below the 5 KB that GitLab takes."""
    text = check([reading("3", profile=name, unit=name)] * 100, limits("5"), DOTENV)
    assert re.fullmatch(r"(?:APIMART_[A-Z_]+=[a-z0-9._]*\n){4}", text)


def test_an_error_is_a_verdict_too() -> None:
    """A later job knows that nothing was checked."""
    failed_ = format_of(DOTENV).failed
    assert failed_ is not None
    assert failed_(UsageError("no")) == (
        "APIMART_VERDICT=error\nAPIMART_EXIT_CODE=2\nAPIMART_REMAINING=\nAPIMART_USED=\n"
    )
