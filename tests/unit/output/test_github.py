"""What a run of GitHub Actions shows of a verdict."""

import json
import re
from collections.abc import Mapping, Sequence

import pytest
from markdown_it import MarkdownIt

from apimart_cli.errors import ApimartError, AuthError, PaymentRequiredError, UnavailableError, UsageError
from apimart_cli.output import format_of
from apimart_cli.output.github import MOST_BYTES
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Verdict, judge
from apimart_cli.text import quote, visible
from apimart_cli.words import OutputFormat, Scope
from support.hostile_names import NAMES
from support.readings import AUTH, LONGEST, PIPE, failed, limits, reading
from support.runner import Command, commands_in, outputs_in

MARKDOWN = MarkdownIt("commonmark").enable("table")
FORMAT = format_of(OutputFormat.GITHUB)
SILENCE = UnavailableError("no answer", "try again later")


def verdict_of(readings: Sequence[Reading], min: str = "5", **rules: bool) -> Verdict:
    return judge([(each, limits(min)) for each in readings], **rules)


def log_of(verdict: Verdict) -> str:
    assert FORMAT.checked is not None
    return FORMAT.checked(verdict, PIPE)


def outputs_of(result: Verdict | ApimartError) -> Mapping[str, str]:
    assert FORMAT.runner_files is not None
    return outputs_in(FORMAT.runner_files(result)["GITHUB_OUTPUT"])


def summary_of(result: Verdict | ApimartError) -> str:
    assert FORMAT.runner_files is not None
    return FORMAT.runner_files(result)["GITHUB_STEP_SUMMARY"]


def test_a_balance_that_stops_is_an_annotation_and_one_that_passes_a_line() -> None:
    """The title says what is wrong with which balance, the text how much is left and how much was required."""
    log = log_of(verdict_of([reading("3", unit="USD", profile="work"), reading("10.5")]))
    assert log == (
        "::error title=apimart%3A work/key does not meet a threshold::3 USD left, at least 5 USD required\n"
        "PASS default/key: 10.5 left, at least 5 required\n"
    )


@pytest.mark.parametrize(
    ("subject", "rules", "command"),
    [
        (
            failed(AUTH),
            {},
            Command("error", {"title": "apimart: default/key is not known"}, "the key was rejected\ncheck the key"),
        ),
        (
            reading(None),
            {"unlimited_passes": False},
            Command(
                "error",
                {"title": "apimart: default/key is unlimited"},
                "unlimited quota, a limited one of 5 or more required",
            ),
        ),
        (
            failed(PaymentRequiredError("no money")),
            {},
            Command(
                "error",
                {"title": "apimart: default/key does not meet a threshold"},
                "the account cannot pay (HTTP 402); at least 5 required",
            ),
        ),
        (
            failed(SILENCE),
            {"fail_open": True},
            Command("warning", {"title": "apimart: default/key is not known"}, "no answer\ntry again later"),
        ),
    ],
)
def test_every_outcome_has_its_words(subject: Reading, rules: Mapping[str, bool], command: Command) -> None:
    """Each says what to do where there is something to do; what was forgiven is a warning."""
    assert commands_in(log_of(verdict_of([subject], **rules))) == [command]


@pytest.mark.parametrize(("count", "annotated"), [(9, 9), (10, 10), (11, 9), (200, 9)])
def test_the_tenth_annotation_says_how_many_more_there_are(count: int, annotated: int) -> None:
    """The runner keeps ten; the others are lines of the log."""
    log = log_of(verdict_of([reading("3", profile=f"p{number}") for number in range(count)]))
    commands = commands_in(log)
    assert [command.properties["title"] for command in commands[:annotated]] == [
        f"apimart: p{number}/key does not meet a threshold" for number in range(annotated)
    ]
    assert len(commands) <= 10
    if count > 10:
        assert commands[9].properties["title"] == f"apimart: {count - 9} more balances"
        assert log.count("\nBELOW p") == count - 9


@pytest.mark.parametrize(("readings", "rules", "expected"), [
    ([reading("10.50"), reading("3", "7.10", profile="b")], {}, ("below", "3", "3", "7.10", "b/key")),
    ([reading("10.50"), reading("6", "7.10", profile="b")], {}, ("pass", "0", "6", "7.10", "")),
    ([reading(LONGEST)], {}, ("pass", "0", LONGEST, "2.3", "")),
    ([reading("1E+2", "1E-7")], {}, ("pass", "0", "100", "0.0000001", "")),
    ([reading(None), reading("6", "1", profile="b")], {}, ("pass", "0", "6", "1", "")),
    ([reading(None)], {}, ("pass", "0", "unlimited", "2.3", "")),
    ([reading(None)], {"unlimited_passes": False}, ("unlimited", "7", "unlimited", "2.3", "default/key")),
    ([reading("10.50"), failed(AUTH, "b")], {}, ("error", "4", "", "", "b/key")),
    ([reading("1"), failed(AUTH, "b")], {}, ("below", "3", "", "", "default/key\nb/key")),
    ([failed(SILENCE)], {"fail_open": True}, ("error", "0", "", "", "default/key")),
])  # fmt: skip
def test_outputs_are_exact(readings: Sequence[Reading], rules: Mapping[str, bool], expected: Sequence[str]) -> None:
    """The amounts are those of the balance with the least left, every digit of them; empty where that is not known."""
    names = ("verdict", "exit-code", "remaining", "used", "stopped-by")
    verdict = verdict_of(readings, **rules)
    outputs = outputs_of(verdict)
    assert {name: outputs[name] for name in names} == dict(zip(names, expected, strict=True))
    assert set(outputs) == {*names, "readings"}
    of_json = format_of(OutputFormat.JSON).checked
    assert of_json is not None
    assert json.loads(outputs["readings"]) == json.loads(of_json(verdict, PIPE))["readings"]


def test_the_readings_have_every_digit() -> None:
    """They are those of `check --json`, to the letter."""
    assert f'"remain_balance":{LONGEST},' in outputs_of(verdict_of([reading(LONGEST)]))["readings"]


def test_the_summary_is_a_table_with_what_stops_first() -> None:
    """One row a balance, with units where they are known."""
    verdict = verdict_of([reading("10.5"), reading("3", unit="$|"), failed(AuthError("no | key"), "b", Scope.ACCOUNT)])
    html = MARKDOWN.render(summary_of(verdict))
    rows = [row.replace("</td>", "").split("<td>")[1:] for row in html.replace("\n", "").split("<tr>")[2:]]
    assert [[cell.split("</tr>")[0] for cell in row] for row in rows] == [
        ["<code>default/key</code>", "3 $|", "2.3 $|", "at least 5 $| required", "<strong>below</strong>"],
        ["<code>b/account</code>", "-", "-", "at least 5 required", "<strong>error: no | key</strong>"],
        ["<code>default/key</code>", "10.5", "2.3", "at least 5 required", "pass"],
    ]
    assert summary_of(verdict).startswith("\n### Balance: below\n\n")


def test_a_long_summary_says_what_is_missing() -> None:
    """It stays below what the runner takes, whole rows of it, and what stops is not what is left out."""
    readings = [reading("10.5", profile=f"{number}{'<' * 100}") for number in range(5_000)]
    summary = summary_of(verdict_of([*readings, reading("3", profile="low")]))
    rows = summary.count("\n| <code>")
    assert len(summary.encode()) < MOST_BYTES + 200
    assert summary.endswith(f"\n… and {5_001 - rows} more balances\n")
    assert "low" in summary.splitlines()[5]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_no_name_is_obeyed(name: str) -> None:
    """Whatever a balance is called, the log has our annotations and no other command, and the outputs are ours."""
    verdict = verdict_of([reading("3", profile=name, unit=name), reading("9", profile=name, unit=name)])
    log = log_of(verdict)
    [command] = commands_in(log)
    assert (command.name, set(command.properties)) == ("error", {"title"})
    assert command.properties["title"] == f"apimart: {quote(f'{name}/key')} does not meet a threshold"
    assert len(log.splitlines()) == 2
    outputs = outputs_of(verdict)
    assert (outputs["verdict"], outputs["exit-code"], len(outputs)) == ("below", "3", 6)
    assert outputs["stopped-by"] == visible(f"{name}/key")
    assert json.loads(outputs["readings"])[0]["profile"] == name
    html = MARKDOWN.render(summary_of(verdict))
    assert (html.count("<tr>"), html.count("<td>"), html.count("<h3>")) == (3, 10, 1)
    assert not re.search(r"<(?:script|a|img|!--)", html)


def test_an_error_that_left_nothing_to_judge_is_told_everywhere() -> None:
    """An annotation with what to do, a verdict for later steps, and words in the summary."""
    error = UsageError("there is no | key", "give one: a,b")
    assert FORMAT.failed is not None
    assert commands_in(FORMAT.failed(error)) == [
        Command("error", {"title": "apimart: nothing could be checked"}, "there is no | key\ngive one: a,b")
    ]
    assert outputs_of(error) == {
        "verdict": "error", "exit-code": "2", "remaining": "", "used": "", "stopped-by": "", "readings": "[]",
    }  # fmt: skip
    html = MARKDOWN.render(summary_of(error))
    assert html == "<h3>Balance: not known</h3>\n<p>there is no | key</p>\n<p>give one: a,b</p>\n"
