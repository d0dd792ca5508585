"""The pages of the project, taken apart: blocks, tables and examples."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
"""The documentation for users: the text of each page by its name, like `docs/python.md`."""

DOCUMENTATION = "\n".join(PAGES.values())

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

MAIN_JOB = "python3 -m pip install . && apimart sandbox -- apimart balance"

TESTS = "python3 -m pip install '.[test]' && python3 -m pytest"

INSTALL_LINES = {
    MAIN_JOB, TESTS, "python3 -m venv .venv && . .venv/bin/activate", "pipx install .", "uv tool install .",
    "python3 -m pip install '.[keyring]'", "python3 -m pip install '.[prometheus]'",
    "python3 -m pip install '.[mcp]'", "python3 -I ci/install_pinned.py",
}  # fmt: skip
"""Lines that need the package index. They are compared to the letter; every other command is run."""

FETCHED_AT = "2026-01-31T12:00:00Z"
"""The moment at which every answer in the documentation arrived."""


class Block(NamedTuple):
    """A fenced block."""

    language: str
    note: str
    """What follows the language: how its commands are run."""
    line: int
    text: str
    page: str = ""
    """The name of the page that it is on, where that is one of PAGES."""

    def __str__(self) -> str:
        return f"{self.page}-{self.language}-at-line-{self.line}"


class Table(NamedTuple):
    """A table: the heading above it, its column names, and its rows as they are written."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Example(NamedTuple):
    """A command of a console block and what it prints."""

    command: str
    printed: str


def blocks(page: str, name: str = "") -> list[Block]:
    fences = re.finditer(r"^```(\w*) ?(.*)\n((?:.*\n)*?)```$", page, re.MULTILINE)
    return [Block(fence[1], fence[2], page.count("\n", 0, fence.start()) + 2, fence[3], name) for fence in fences]


def without_blocks(page: str) -> str:
    return re.sub(r"^```.*\n(?:.*\n)*?```$", "", page, flags=re.MULTILINE)


def tables(page: str) -> Iterator[Table]:
    heading = ""
    rows: list[list[str]] = []
    for line in [*without_blocks(page).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            yield Table(heading, rows[0], rows[2:])
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def table(first_column: str, heading: str | None = None) -> Table:
    """Return the table with this name of its first column, under this heading.

    On more than one page it has to be the same.
    """
    every = [table for page in PAGES.values() for table in tables(page)]
    found = [table for table in every if table.columns[0] == first_column and heading in {None, table.heading}]
    assert found, f"no page has a table of {first_column} under {heading or 'any heading'}"
    assert all(table == found[0] for table in found), f"the tables of {first_column} differ"
    return found[0]


def code_in(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def blocks_of(*languages: str) -> list[Block]:
    """Return the blocks of all pages in these languages."""
    return [block for name, page in PAGES.items() for block in blocks(page, name) if block.language in languages]


def examples_of(block: Block) -> list[Example]:
    """Return the examples of a console block; a line that starts with `> ` continues a command."""
    found: list[Example] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Example(line.removeprefix("$ "), ""))
        elif line.startswith("> ") and not found[-1].printed:
            found[-1] = Example(f"{found[-1].command}\n{line.removeprefix('> ')}", "")
        else:
            found[-1] = Example(found[-1].command, f"{found[-1].printed}{line}\n")
    return found


def is_installation(block: Block) -> bool:
    return set(block.text.splitlines()) <= INSTALL_LINES


def normalised(printed: str, home: Path) -> str:
    printed = printed.replace(str(home), "/home/you")
    return re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", FETCHED_AT, printed)


CONFIG, SOURCES = (block.text for block in blocks_of("toml"))
"""The config file of the examples, and the examples of commands that print a key."""
