"""Text from servers, files and arguments is shown as one visible line, and nothing in it acts or looks like a key."""

import json
import re

import pytest

from apimart_cli.text import QUOTE_LIMIT, listed, quote, shell_word, visible, without_commands


@pytest.mark.parametrize("text", [
    "", "plain words, 10.5 left", "ÄÖÜ ß é ñ 你好 日本 🙂", "[red]markup[/red]", "a # b ## c #1",
    "a:b and [fe80::1]:443", "desk-top and sk-abc", "/home/me/task-runner/disk-usage/key.txt",
    "a desk-top-publishing-program", "\u4eba\u3005", "\u0915\u093e", "\u02b0",
])  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Letters of any script, with marks that have a place of their own, markup and punctuation."""
    assert visible(text) == text


@pytest.mark.parametrize(("text", "shown"), [
    # Characters that do not show become escapes of two, four or eight digits, the fewest that do; wide spaces plain.
    ("a\nb", "a\\x0ab"), ("a\r\nb", "a\\x0d\\x0ab"), ("a\tb", "a\\x09b"), ("\x00", "\\x00"),
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"), ("\x1b]0;title\x07", "\\x1b]0;title\\x07"), ("\x7f", "\\x7f"),
    ("\x85", "\\x85"), ("\x9b31m", "\\x9b31m"), ("\xad", "\\xad"), ("\u200b", "\\u200b"), ("\u200d", "\\u200d"),
    ("\u2028", "\\u2028"), ("\u2029", "\\u2029"), ("\u202e", "\\u202e"), ("\u2066", "\\u2066"), ("\ufeff", "\\ufeff"),
    ("\ud800", "\\ud800"), ("\ue000", "\\ue000"), ("\u0378", "\\u0378"), ("e\u0301", "e\\u0301"), ("\u20dd", "\\u20dd"),
    ("\u115f\u1160\u2800\u3164\uffa0", "\\u115f\\u1160\\u2800\\u3164\\uffa0"),
    ("\x9f\u0378\uffff\U000e0001", "\\x9f\\u0378\\uffff\\U000e0001"),
    ("a\xa0b\u2003c\u3000d\u1680e", "a b c d e"),
    # A runner that reads the log finds no workflow command in it.
    ("::error::boom", ":\\:error::boom"),
    ("  ::set-output name=x::y", "  :\\:set-output name=x::y"),
    ("word ::warning::", "word :\\:warning::"), ("##[group]x", "#\\#[group]x"),
    ("a##vso[task.complete]", "a#\\#vso[task.complete]"), ("###[x]", "##\\#[x]"),
    ("##teamcity[buildStop]", "#\\#teamcity[buildStop]"),
    # A key that was typed where it does not belong is not repeated by the error about it.
    ("sk-abcd", "sk-..."), ("key=sk-Ab_9-xyz, next", "key=sk-..., next"),
    ("sk-one1234 and sk-two1234", "sk-... and sk-..."), ("\x1bsk-abcd", "\\x1bsk-..."),
    ("%3Dsk-abcd1234efgh5678", "%3Dsk-..."), ("Bearersk-proj-abcd1234efgh5678-x", "Bearersk-..."),
    ("--api-keysk-12345678-1234-1234-1234-123456789abc", "--api-keysk-..."),
    ("sk-abcdefgh ::sk-abcdefgh::", "sk-... :\\:sk-..."),
    ("'sk-ab.cdefghijklmnopqrst'", "'sk-...'"), ("sk-abcd.efgh/ijkl", "sk-.../ijkl"),
])  # fmt: skip
def test_nothing_in_a_text_acts_hides_or_looks_like_a_key(text: str, shown: str) -> None:
    """And showing it twice changes nothing."""
    assert visible(text) == visible(shown) == shown


@pytest.mark.parametrize("text", ["x ##[error]y", "##vso[task.complete]", "a ::error::b", ":: ##teamcity[x", "\\##[a]"])
def test_json_holds_no_command_and_says_the_same(text: str) -> None:
    """Runners obey some anywhere in a line; JSON has escapes that they do not know."""
    encoded = json.dumps({"a": text})
    written = without_commands(encoded)
    assert json.loads(written) == {"a": text}
    assert not re.search(r"##\w*\[|(?<!\S)::", written)
    for harmless in ("plain", "2001:db8::1", "C++ ## heading", "a::b"):
        assert without_commands(json.dumps([harmless])) == json.dumps([harmless])


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("x" * 200, QUOTE_LIMIT, "x" * 200),
        ("x" * 201, QUOTE_LIMIT, "x" * 197 + "..."),
        ("x" * 10_000_000, QUOTE_LIMIT, "x" * 197 + "..."),
        ("x" * 41, 40, "x" * 37 + "..."),
        ("x" * 40, 40, "x" * 40),
        # Escapes lengthen a text; what is shown is never longer than the limit.
        ("\u202e" * 40, QUOTE_LIMIT, ("\\u202e" * 40)[:197] + "..."),
        ("\u202e" * 2, 12, "\\u202e\\u202e"),
        # White space around a message is not part of it.
        (" \r\n  not found \n\n", QUOTE_LIMIT, "not found"),
        (" " * 500 + "far behind", QUOTE_LIMIT, "far behind"),
    ],
)
def test_a_quote_keeps_its_limit_exactly(text: str, limit: int, shown: str) -> None:
    """Foreign text of just the limit is whole; one character more is cut, and the cut is marked."""
    assert QUOTE_LIMIT == 200
    assert quote(text, limit=limit) == shown
    assert limit < QUOTE_LIMIT or quote(text) == shown


def test_of_many_names_two_are_listed() -> None:
    """And the number of the others, unless there is only one of these."""
    for names, shown in (("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b and 2 more"), ("abcde", "a, b and 3 more")):
        assert listed(list(names)) == shown


def test_a_word_of_a_hint_can_be_typed_as_it_stands() -> None:
    """A shell takes it as one word."""
    assert [shell_word(text) for text in ("work", "my work", "it's")] == ["work", "'my work'", "'it'\"'\"'s'"]
