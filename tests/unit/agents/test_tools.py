"""What agents are offered: schemas that hold, arguments that are read strictly, and nothing that takes a key."""

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.agents.tools import INSTRUCTIONS, TOOLS, read_arguments, tool_of
from apimart_cli.config.values import parse_amount, parse_duration
from apimart_cli.errors import UsageError

CHECK = tool_of("check_budget")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_all_that_the_protocol_has_a_place_for(tool: Any) -> None:
    """A title, a description that says when to use it, two valid schemas, and that it changes nothing."""
    document = tool.document()
    assert {"name", "title", "description", "inputSchema", "outputSchema", "annotations"} == set(document)
    assert "Use it" in document["description"]
    for schema in (document["inputSchema"], document["outputSchema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert document["annotations"]["readOnlyHint"] is True
    assert document["annotations"]["destructiveHint"] is False


def test_no_tool_takes_a_key_an_address_or_a_path() -> None:
    """The arguments of all tools are these."""
    assert {name for tool in TOOLS for name in tool.arguments} == {
        "profile", "scope", "min", "min_runway", "max_spent", "within", "days", "by",
    }  # fmt: skip
    numbers = {name for tool in TOOLS for name, each in tool.arguments.items() if each["type"] != "string"}
    assert numbers == {"days"}


def test_an_argument_that_it_does_not_take_is_refused() -> None:
    """Without repeating its value: it may be a key."""
    for given_, message in (
        ({"api_key": "sk-1"}, "check_budget has no argument 'api_key'"),
        ({"base_url": "https://evil.example"}, "check_budget has no argument 'base_url'"),
        ({"min": 5}, "min is a number, not text"),
        ({"min": 0.1}, "min is a number, not text"),
        ({"min": True}, "min is true or false, not text"),
        ({"profile": ["work"]}, "profile is a list, not text"),
        ({"scope": {}}, "scope is an object, not text"),
        ({"sk-test-Zq7Wm3Xc9Vb1Nk5Lp8": "x"}, "check_budget has no argument 'sk-...'"),
    ):
        with pytest.raises(UsageError) as raised:
            read_arguments(CHECK, given_)
        assert raised.value.message == message


def test_days_are_a_number_or_its_text() -> None:
    """They are counted, and lose no digits. Some clients send every argument, and null for what was left out."""
    assert read_arguments(tool_of("usage"), {"days": 7}) == read_arguments(tool_of("usage"), {"days": "7"})
    with pytest.raises(UsageError, match="days is a number, not text"):
        read_arguments(tool_of("usage"), {"days": 7.5})
    with pytest.raises(UsageError, match="days is true or false"):
        read_arguments(tool_of("usage"), {"days": True})
    assert read_arguments(CHECK, {"min": "5", "scope": None}) == {"min": "5"}
    assert read_arguments(CHECK, None) == {}


def test_there_is_no_tool_of_another_name() -> None:
    """The error has the names that there are, and the instructions that a client shows to its model have them, too."""
    with pytest.raises(UsageError) as raised:
        tool_of("top_up")
    assert all(tool.name in (raised.value.hint or "") for tool in TOOLS)
    assert "check_budget" in INSTRUCTIONS
    assert "gateway_said" in INSTRUCTIONS


DIGITS = st.builds(
    lambda begin, count: (begin + "7012345689" * 4)[:count], st.sampled_from(["", "0"]), st.integers(0, 33)
)
AMOUNTS = st.builds("{}{}{}".format, DIGITS, st.sampled_from(["", "."]), DIGITS)


@given(AMOUNTS | st.text("0123456789.-+e ", max_size=12))
def test_the_schema_takes_the_amounts_that_options_take(text: str) -> None:
    """Every amount that `--min` takes, and no other: a client that validates refuses what we would refuse."""
    is_taken = re.search(CHECK.arguments["min"]["pattern"], text) is not None
    try:
        parse_amount(text, "min")
    except UsageError:
        assert not is_taken
    else:
        assert is_taken


@given(st.from_regex(r"[0-9]{0,4}(\.[0-9]{0,3})?[smhdw]?", fullmatch=True))
def test_the_schema_refuses_no_duration_that_options_take(text: str) -> None:
    """Zero and more than ten years are left to us."""
    try:
        parse_duration(text, "min_runway")
    except UsageError:
        return
    assert re.search(CHECK.arguments["min_runway"]["pattern"], text)
