"""Text from servers, files and arguments is shown as one visible line, and nothing in it acts or looks like a key."""

import json
import re

import pytest

from apimart_cli.text import QUOTE_LIMIT, quote, visible, without_commands


@pytest.mark.parametrize("text", [
    "", "plain words, 10.5 left", "ÄÖÜ ß é ñ 你好 日本 🙂", "[red]markup[/red]", "a # b ## c #1",
    "a:b and [fe80::1]:443", "desk-top and sk-abc", "/home/me/task-runner/disk-usage/key.txt",
    "a desk-top-publishing-program",
])  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Letters of any script, markup and punctuation are shown as they are."""
    assert visible(text) == text


@pytest.mark.parametrize(("text", "shown"), [
    ("a\nb", "a\\x0ab"), ("a\r\nb", "a\\x0d\\x0ab"), ("a\tb", "a\\x09b"), ("\x00", "\\x00"),
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"), ("\x1b]0;title\x07", "\\x1b]0;title\\x07"), ("\x7f", "\\x7f"),
    ("\x85", "\\x85"), ("\x9b31m", "\\x9b31m"), ("\xad", "\\xad"), ("\u200b", "\\u200b"), ("\u200d", "\\u200d"),
    ("\u2028", "\\u2028"), ("\u2029", "\\u2029"), ("\u202e", "\\u202e"), ("\u2066", "\\u2066"), ("\ufeff", "\\ufeff"),
    ("\ud800", "\\ud800"), ("\ue000", "\\ue000"), ("\u0378", "\\u0378"), ("e\u0301", "e\\u0301"), ("\u20dd", "\\u20dd"),
    ("\u115f\u1160\u2800\u3164\uffa0", "\\u115f\\u1160\\u2800\\u3164\\uffa0"),
    ("\U000e0041", "\\U000e0041"),
])  # fmt: skip
def test_characters_that_do_not_show_are_written_as_escapes(text: str, shown: str) -> None:
    """Controls, bidi and zero-width characters, surrogates, combining marks and blank letters become escapes."""
    assert visible(text) == shown


@pytest.mark.parametrize("space", ["\xa0", "\u2003", "\u3000", "\u1680"])
def test_every_wide_space_is_a_plain_one(space: str) -> None:
    """Spaces that differ from the usual one only in width are written as the usual one."""
    assert visible(f"a{space}b") == "a b"


@pytest.mark.parametrize(("text", "shown"), [
    ("::error::boom", ":\\:error::boom"),
    ("  ::set-output name=x::y", "  :\\:set-output name=x::y"),
    ("word ::warning::", "word :\\:warning::"), ("##[group]x", "#\\#[group]x"),
    ("a##vso[task.complete]", "a#\\#vso[task.complete]"), ("###[x]", "##\\#[x]"),
    ("##teamcity[buildStop]", "#\\#teamcity[buildStop]"),
])  # fmt: skip
def test_commands_for_ci_runners_are_broken_up(text: str, shown: str) -> None:
    """A runner that reads the log finds no workflow command in it."""
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["x ##[error]y", "##vso[task.complete]", "a ::error::b", ":: ##teamcity[x", "\\##[a]"])
def test_json_holds_no_command_and_says_the_same(text: str) -> None:
    """Runners obey some anywhere in a line; JSON has escapes that they do not know."""
    encoded = json.dumps({"a": text})
    written = without_commands(encoded)
    assert json.loads(written) == {"a": text}
    assert not re.search(r"##\w*\[|(?<!\S)::", written)


@pytest.mark.parametrize("text", ["plain", "2001:db8::1", "C++ ## heading", "a::b"])
def test_json_without_a_command_is_as_it_was(text: str) -> None:
    """Hosts above all."""
    assert without_commands(json.dumps([text])) == json.dumps([text])


@pytest.mark.parametrize(("text", "shown"), [
    ("sk-abcd", "sk-..."), ("key=sk-Ab_9-xyz, next", "key=sk-..., next"),
    ("sk-one1234 and sk-two1234", "sk-... and sk-..."), ("\x1bsk-abcd", "\\x1bsk-..."),
    ("%3Dsk-abcd1234efgh5678", "%3Dsk-..."), ("Bearersk-proj-abcd1234efgh5678-x", "Bearersk-..."),
    ("--api-keysk-12345678-1234-1234-1234-123456789abc", "--api-keysk-..."),
    ("'sk-ab.cdefghijklmnopqrst'", "'sk-...'"), ("sk-abcd.efgh/ijkl", "sk-.../ijkl"),
])  # fmt: skip
def test_whatever_looks_like_a_key_is_masked(text: str, shown: str) -> None:
    """A key that was typed where it does not belong is not repeated by the error about it."""
    assert visible(text) == shown


def test_a_quote_keeps_its_limit_exactly() -> None:
    """Foreign text of just the limit is whole; one character more is cut, and the cut is marked."""
    assert QUOTE_LIMIT == 200
    assert quote("x" * 200) == "x" * 200
    assert quote("x" * 201) == "x" * 197 + "..."
    assert quote("x" * 10_000_000) == "x" * 197 + "..."


def test_a_quote_counts_escapes_as_they_are_shown() -> None:
    """Escapes lengthen a text; what is shown is never longer than the limit."""
    assert quote("\u202e" * 40) == ("\\u202e" * 40)[:197] + "..."
    assert quote("\u202e" * 2, limit=12) == "\\u202e\\u202e"


def test_a_quote_has_a_limit_of_its_own_where_asked() -> None:
    """A caller may give less room."""
    assert quote("x" * 41, limit=40) == "x" * 37 + "..."
    assert quote("x" * 40, limit=40) == "x" * 40


def test_a_quote_has_no_white_space_around_it() -> None:
    """Blank lines and indentation around a server's message are not part of it."""
    assert quote(" \r\n  not found \n\n") == "not found"
    assert quote(" " * 500 + "far behind") == "far behind"


@pytest.mark.parametrize("text", ["a\x1b\n\u202e::x::##[y]", "sk-abcdefgh ::sk-abcdefgh::", "plain"])
def test_showing_twice_changes_nothing(text: str) -> None:
    """A quoted message inside another message is not escaped a second time."""
    assert visible(visible(text)) == visible(text)


def test_the_last_character_of_the_basic_plane_has_a_short_escape() -> None:
    """Escapes have two, four or eight digits, whichever is the fewest that do."""
    assert visible("\x9f\u0378\uffff\U000e0001") == "\\x9f\\u0378\\uffff\\U000e0001"


@pytest.mark.parametrize("text", ["\u4eba\u3005", "\u0915\u093e", "\u02b0"])
def test_marks_with_a_place_of_their_own_are_shown(text: str) -> None:
    """A letter that repeats or follows another, and does not lie over it, is shown like any other."""
    assert visible(text) == text
