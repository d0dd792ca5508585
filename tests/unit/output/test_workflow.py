"""What the runner of GitHub Actions reads out of what we write, whatever is in it: round trips through its rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from apimart_cli.output.github import MOST_CHARACTERS, annotation, assignments, code, markdown, plain_line, table
from apimart_cli.text import visible
from support.hostile_names import NAMES
from support.runner import Command, command_in, commands_in, outputs_in

PIECES = st.sampled_from(["::", "##[", "error", "]", "%", "%0A", "%25", "\n", "\r", " ", "=", "<<", ",", ":", "|", "a"])
TEXTS = st.sampled_from(NAMES) | st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join)
"""Hostile texts: written by hand, any, and made of what the runner looks for."""


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


@given(TEXTS)
def test_a_plain_line_is_no_command(text: str) -> None:
    """Neither form of a command is found in it, not even where a carriage return ends a line."""
    assert commands_in(plain_line(text)) == []
    assert plain_line(text).count("\n") == 1


@given(TEXTS, TEXTS)
def test_outputs_arrive_as_they_were_meant(one: str, other: str) -> None:
    """Every value is read back whole, and no value makes an output of its own or takes another's place."""
    ours = {"verdict": "below", "remaining": ""}
    text = assignments(ours, {"stopped-by": one, "readings": other})
    assert outputs_in(text) == {**ours, "stopped-by": one, "readings": other}


def test_outputs_begin_on_a_line_of_their_own() -> None:
    """What an earlier command of the step left without a line break takes nothing away."""
    assert outputs_in("before=1" + assignments({"verdict": "pass"}, {})) == {"before": "1", "verdict": "pass"}


def test_nobody_can_know_the_end_of_a_value() -> None:
    """It is another each time."""
    ends = {re.search(r"<<(.+)", assignments({}, {"a": "b"}))[1] for _ in range(50)}  # type: ignore[index]
    assert len(ends) == 50
    assert all(len(end) > 30 for end in ends)


@given(TEXTS, TEXTS)
def test_a_cell_shows_what_is_in_it_and_nothing_else(name: str, text: str) -> None:
    """A reader of Markdown finds one row with the texts in its cells, and no link, no HTML, no other row."""
    written, rows = table(["Name", "Text"], [[code(name), markdown(text)]], most_bytes=1_000_000)
    assert rows == 1
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(written)
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
