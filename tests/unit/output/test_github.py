"""What a run of GitHub Actions shows of a verdict, and that it obeys no text that is in it."""

import json
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from apimart_cli.errors import ApimartError, AuthError, PaymentRequiredError, UnavailableError, UsageError
from apimart_cli.output import format_of
from apimart_cli.output.github import (
    MOST_BYTES,
    MOST_CHARACTERS,
    annotation,
    assignments,
    code,
    markdown,
    plain_line,
    table,
)
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.gate import Verdict, judge
from apimart_cli.text import quote, visible, without_keys
from apimart_cli.words import OutputFormat, Scope
from support.hostile_names import NAMES
from support.readings import AUTH, LONGEST, PIPE, failed, limits, reading
from support.runner import Command, command_in, commands_in, outputs_in

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
FORMAT = format_of(OutputFormat.GITHUB)
SILENCE = UnavailableError("no answer", "try again later")

PIECES = st.sampled_from(["::", "##[", "error", "]", "%", "%0A", "%25", "\n", "\r", " ", "=", "<<", ",", ":", "|", "a"])
TEXTS = st.sampled_from(NAMES) | st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join)
"""Hostile texts: written by hand, any, and made of what the runner looks for."""


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
    ("subject", "rules", "level", "title", "text"),
    [
        (failed(AUTH), {}, "error", "is not known", "the key was rejected\ncheck the key"),
        (
            reading(None),
            {"unlimited_passes": False},
            "error",
            "is unlimited",
            "unlimited quota, a limited one of 5 or more required",
        ),
        (
            failed(PaymentRequiredError("no money")),
            {},
            "error",
            "does not meet a threshold",
            "the account cannot pay (HTTP 402); at least 5 required",
        ),
        (failed(SILENCE), {"fail_open": True}, "warning", "is not known", "no answer\ntry again later"),
    ],
)
def test_every_outcome_has_its_words(
    subject: Reading, rules: Mapping[str, bool], level: str, title: str, text: str
) -> None:
    """Each says what to do where there is something to do; what was forgiven is a warning."""
    command = Command(level, {"title": f"apimart: default/key {title}"}, text)
    assert commands_in(log_of(verdict_of([subject], **rules))) == [command]


@pytest.mark.parametrize(("count", "annotated"), [(10, 10), (11, 9), (200, 9)])
def test_the_tenth_annotation_says_how_many_more_there_are(count: int, annotated: int) -> None:
    """The runner keeps ten; the others are lines of the log."""
    log = log_of(verdict_of([reading("3", profile=f"p{number}") for number in range(count)]))
    titles = [command.properties["title"] for command in commands_in(log)]
    assert titles == [
        *(f"apimart: p{number}/key does not meet a threshold" for number in range(annotated)),
        *([f"apimart: {count - 9} more balances"] if count > 10 else []),
    ]
    assert log.count("\nBELOW p") == count - annotated


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
    """The amounts are those of the balance with the least left; the readings are those of JSON, to the letter."""
    names = ("verdict", "exit-code", "remaining", "used", "stopped-by")
    verdict = verdict_of(readings, **rules)
    outputs = outputs_of(verdict)
    assert {name: outputs[name] for name in names} == dict(zip(names, expected, strict=True))
    assert set(outputs) == {*names, "readings"}
    of_json = format_of(OutputFormat.JSON).checked
    assert of_json is not None
    assert f'"readings":{outputs["readings"]},' in of_json(verdict, PIPE)


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
    readings = [reading("10.5", profile=f"{number}{'<' * 100}") for number in range(3_000)]
    summary = summary_of(verdict_of([*readings, reading("3", profile="low")]))
    rows = summary.count("\n| <code>")
    assert 0 < rows < 3_001
    assert len(summary.encode()) < MOST_BYTES + 200
    assert summary.endswith(f"\n… and {3_001 - rows} more balances\n")
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
    assert json.loads(outputs["readings"])[0]["profile"] == without_keys(name)
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


def shown(text: str) -> str:
    """What is to arrive: every line with its signs in sight, and no line lost."""
    return "\n".join(map(visible, text.split("\n")))


@given(st.sampled_from(["error", "warning"]), TEXTS, TEXTS)
def test_an_annotation_arrives_as_it_was_meant(level: str, title: str, text: str) -> None:
    """The runner finds one command in the line, with this title and this text, and none besides."""
    line = annotation(level, f"apimart: {title}", text)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    [command] = commands_in(line)
    wanted = Command(level, {"title": shown(f"apimart: {title}").rstrip()}, shown(text))
    found = command._replace(properties={"title": command.properties["title"].rstrip()})
    if len(line) < MOST_CHARACTERS:
        assert found == wanted
    else:
        assert (found.name, set(found.properties)) == (level, {"title"})
        assert wanted.data.startswith(found.data.removesuffix("..."))
        assert wanted.properties["title"].startswith(found.properties["title"].removesuffix("..."))


@pytest.mark.parametrize("sign", ["x", "%", ":", ",", "\n", "😀"])
def test_a_long_annotation_is_cut_where_everybody_sees_it(sign: str) -> None:
    """Title and text have as many characters as the runner keeps, and end in three dots, after whole escapes."""
    line = annotation("error", sign * 10_000, sign * 10_000)
    title, _, text = line.removeprefix("::error title=").rstrip("\n").partition("::")
    for part in (title, text):
        assert MOST_CHARACTERS - 3 < len(part) <= MOST_CHARACTERS
        assert part.endswith("...")
        assert not re.search(r"%(?!25|0A|3A|2C)", part)


@given(TEXTS, TEXTS)
def test_plain_lines_and_outputs_are_no_commands(one: str, other: str) -> None:
    """Every value is read back whole, and none makes an output of its own or takes another's place."""
    for text in (one, other):
        assert commands_in(plain_line(text)) == []
        assert plain_line(text).count("\n") == 1
    ours = {"verdict": "below", "remaining": ""}
    text = assignments(ours, {"stopped-by": one, "readings": other})
    assert outputs_in(text) == {**ours, "stopped-by": one, "readings": other}


def test_outputs_begin_on_a_line_of_their_own_and_their_ends_cannot_be_known() -> None:
    """What an earlier command left without a line break takes nothing away. The end is another each time."""
    assert outputs_in("before=1" + assignments({"verdict": "pass"}, {})) == {"before": "1", "verdict": "pass"}
    ends = {re.search(r"<<(.+)", assignments({}, {"a": "b"}))[1] for _ in range(50)}  # type: ignore[index]
    assert len(ends) == 50
    assert all(len(end) > 30 for end in ends)


@settings(max_examples=40)
@given(TEXTS, TEXTS)
def test_a_cell_shows_what_is_in_it_and_nothing_else(name: str, text: str) -> None:
    """A reader of Markdown finds one row with the texts in its cells, and no link, no HTML, no other row."""
    written, rows = table(["Name", "Text"], [[code(name), markdown(text)]], most_bytes=1_000_000)
    assert rows == 1
    tokens = MARKDOWN.parse(written)
    assert [token.type for token in tokens if token.type in {"tr_open", "td_open"}] == [
        "tr_open", "tr_open", "td_open", "td_open",
    ]  # fmt: skip
    in_code, plain = [token.children or [] for token in tokens if token.type == "inline"][2:]
    assert [in_code[0].content, in_code[-1].content] == ["<code>", "</code>"]
    for children, meant in ((in_code[1:-1], name), (plain, text)):
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children).strip() == visible(meant).strip()


def test_a_table_that_is_too_long_is_cut_between_rows() -> None:
    """It says how many rows there are; none is half there, and a byte is what counts."""
    written, rows = table(["A"], [["é" * 100]] * 100, most_bytes=5_000)
    assert 10 < rows < 100
    assert len(written.encode()) <= 5_000
    assert written.count("\n") == rows + 2


def test_the_parser_of_these_tests_knows_both_forms() -> None:
    """It finds the form at the start of a line, after blanks, and that of before anywhere in it."""
    assert command_in("  ::error title=a%2Cb,file=c::d%0Ae%25") == Command(
        "error", {"title": "a,b", "file": "c"}, "d\ne%"
    )
    assert command_in("see: ##[error]gone") == Command("error", {}, "gone")
    assert command_in("a ::error::b") is None
    assert command_in("::unknown::b") is None
    with pytest.raises(ValueError, match="Invalid format"):
        outputs_in("no assignment")
