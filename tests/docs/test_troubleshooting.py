"""The messages that docs/troubleshooting.md explains are those of the program."""

import re

from support.pages import PAGES, tables
from support.source import strings


def test_every_message_stands_in_the_code() -> None:
    """Each part of a message, between names and amounts, is written in the code like that; no message stands twice."""
    known = list(strings())
    messages = [row[0] for table in tables(PAGES["docs/troubleshooting.md"]) for row in table.rows]
    assert len(messages) == len(set(messages)) > 15
    for message in messages:
        parts = [part.strip() for part in re.split("…| and ", message) if part.strip()]
        assert parts
        assert [part for part in parts if not any(part in string for string in known)] == [], message
