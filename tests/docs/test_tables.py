"""Tables and numbers of the documentation are those of the program: variables, exit codes, errors, faults, limits."""

import re
from collections.abc import Iterator

import pytest

from apimart_cli import errors, target, text
from apimart_cli.errors import ExitCode
from apimart_cli.gateway import client, failures, question, transport
from apimart_cli.output import json
from apimart_cli.output import table as table_rows
from apimart_cli.sandbox.scenario import Fault
from support.pages import DOCUMENTATION, code_in, table
from support.running import Call, Serve, connected
from support.source import strings

FAULTS = [(code_in(row[0])[0], int(row[2])) for row in table("`--fault`").rows]


def test_every_environment_variable_is_documented() -> None:
    """The table of variables has every variable that the code names, and the code knows every one in the table."""
    pattern = r"\b(?:APIMART_[A-Z_]+|CI|NO_COLOR|FORCE_COLOR|TERM|[A-Z]+_PROXY|[A-Z]+_CA_BUNDLE|SSL_CERT_[A-Z]+)\b"
    in_code = {name for constant in strings() for name in re.findall(pattern, constant)}
    documented = {name for row in table("variable").rows for name in code_in(row[0])}
    assert documented == in_code


def test_every_exit_code_and_error_code_and_fault_is_documented() -> None:
    """The tables are the enums, in their order, and the error of each class with its exit code."""

    def tree(error: type[errors.ApimartError]) -> Iterator[tuple[str, int]]:
        yield error.code, int(error.exit_code)
        for child in error.__subclasses__():
            yield from tree(child)

    assert [(int(row[0]), row[1]) for row in table("code").rows] == [(int(code), code.name) for code in ExitCode]
    documented = [(code_in(row[0])[0], int(row[1])) for row in table("`code`").rows]
    assert sorted(documented) == sorted(set(tree(errors.ApimartError)))
    assert [fault for fault, _ in FAULTS] == list(Fault)


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_every_fault_ends_as_documented(fault: str, code: int, call: Call, serve: Serve) -> None:
    """Each failure of the table ends with the code that stands there."""
    ended = call("check", "--min", "5", "--timeout", "0.8", env=connected(serve(fault=Fault(fault))))
    assert ended.code == code


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        (r"at most (\d+) KiB", transport.MAX_BODY_BYTES // 1024),
        (r"at most (\d+) characters", text.QUOTE_LIMIT),
        (r"default `10`, at most (\d+)", target.MAX_TIMEOUT),
        (r"less than (\d+) % left", table_rows.LOW_SHARE * 100),
        (r"queried concurrently, up to (\d+) at once", client.MAX_CONCURRENCY),
        (r"version of this form: (\d+)", json.SCHEMA),
    ],
)
def test_numbers_on_the_pages_are_those_of_the_code(sentence: str, value: float) -> None:
    """A limit that a page names is the one that the code holds."""
    found = re.findall(sentence, " ".join(DOCUMENTATION.split()))
    assert found
    assert {int(number) for number in found} == {value}


def test_the_statuses_that_are_tried_again_are_documented() -> None:
    """A page names every HTTP status that is retried, no other, and how often."""
    [statuses] = re.findall(
        r"HTTP ([\d, ]+ and \d+) are tried again, up to three times", " ".join(DOCUMENTATION.split())
    )
    assert {int(number) for number in re.findall(r"\d+", statuses)} == failures.RETRYABLE_STATUSES
    assert question.MAX_ATTEMPTS - 1 == 3
