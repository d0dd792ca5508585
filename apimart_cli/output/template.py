"""Templates of a status line: the user's own words, with fields in braces. Pure: no I/O.

The words stay as they are: a bar may be told by them to colour the line.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.text import visible

FIELDS = ("remain", "unit", "lasts", "profile", "scope", "used", "age", "host")
"""The fields of a template."""


class Template(NamedTuple):
    """Words and fields in turn: each field comes after its words; the last one may be missing."""

    parts: Sequence[tuple[str, str | None]]

    @property
    def names(self) -> set[str | None]:
        """The fields that it has."""
        return {field for _, field in self.parts}


def read_template(text: str) -> Template:
    """Read a template. Raises UsageError for an unknown field, and for a second line."""
    if len(text.splitlines()) > 1 or re.search(r"[\r\n]", text):
        raise UsageError("--format: a status line is one line", "take the line breaks out of it")
    parts: list[tuple[str, str | None]] = []
    words = ""
    for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+", text):
        if piece in {"{{", "}}"}:
            words += piece[0]
        elif piece[0] not in "{}":
            words += piece
        elif piece[1:-1] in FIELDS:
            parts.append((words, piece[1:-1]))
            words = ""
        elif len(piece) > 1:
            raise UsageError(f"--format: there is no field {visible(piece)}", f"use some of: {_LISTED}")
        else:
            raise UsageError(f"--format: there is a {piece} alone", f"write it twice, or use some of: {_LISTED}")
    return Template([*parts, (words, None)])


def filled(template: Template, values: Mapping[str, str]) -> str:
    """Return the template with its fields filled in; one that is empty takes a space with it."""
    text, is_after_nothing = "", False
    for words, field in template.parts:
        text += words.lstrip(" ") if is_after_nothing and (not text or text.endswith(" ")) else words
        if field is not None:
            is_after_nothing = not values[field] or (is_after_nothing and not words)
            text += values[field]
    return text.rstrip(" ") if is_after_nothing else text


_LISTED = ", ".join(f"{{{name}}}" for name in FIELDS)
