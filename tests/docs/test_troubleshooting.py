"""The messages that docs/troubleshooting.md explains are those of the program."""

import re

import pytest

from support.pages import PAGES, tables
from support.source import strings

KNOWN = list(strings())

MESSAGES = [row[0] for table in tables(PAGES["docs/troubleshooting.md"]) for row in table.rows]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_stands_in_the_code(message: str) -> None:
    """Each part of a message, between names and amounts, is written in the code like that."""
    parts = [part.strip() for part in re.split("…| and ", message) if part.strip()]
    assert parts
    assert [part for part in parts if not any(part in string for string in KNOWN)] == []


def test_the_page_has_the_messages_that_people_meet() -> None:
    """The list is not empty, and explains no message twice."""
    assert len(MESSAGES) == len(set(MESSAGES)) > 15
