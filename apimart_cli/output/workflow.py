"""What the runner of GitHub Actions reads: commands in the log, assignments in a file, tables in Markdown.

Pure but for random marks. After the runner's own parsers (actions/runner: ActionCommand.cs, FileCommandManager.cs,
August 2026). A line of the log is a command where it begins with `::`, and, in the form of before, where `##[` is
anywhere in it.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence

from apimart_cli.text import visible

MOST_CHARACTERS = 4096
"""Most characters of the text of an annotation, and of its title."""

MOST_BYTES = 1_000_000
"""Most bytes of a summary. The runner drops one of more than 1 MiB, and other commands of the step may add to it."""

_CUT = "..."


def annotation(level: str, title: str, text: str) -> str:
    """Return the line that puts `text`, of one line or several, beside the run, at the level `error` or `warning`."""
    return f"::{level} title={_within(title, _property)}::{_within(text, _data)}\n"


def plain_line(text: str) -> str:
    """Return a line that is no command, whatever is in it."""
    return f"{visible(text)}\n"


def assignments(outputs: Mapping[str, str], foreign: Mapping[str, str]) -> str:
    """Return the lines that set `outputs`, whose values are words and numbers of ours, and others with foreign text."""
    # First a line break: what was added before may have ended without one.
    lines = ["\n", *(f"{name}={value}\n" for name, value in outputs.items())]
    for name, value in foreign.items():
        # Nobody who writes a value can know where it ends.
        end = f"end-{os.urandom(16).hex()}"
        lines.append(f"{name}<<{end}\n{value}\n{end}\n")
    return "".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, most_bytes: int) -> tuple[str, int]:
    """Return a table of cells that are Markdown already, and how many of the rows had room in so many bytes."""
    lines = [_line_of(columns), _line_of(["---"] * len(columns))]
    room, shown = most_bytes - sum(map(len, lines)), 0
    for row in rows:
        line = _line_of(row)
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
        shown += 1
    return "".join(lines), shown


def markdown(text: str) -> str:
    """Return foreign text as Markdown that shows it and does nothing else."""
    # As entities, signs have no meaning: they end no cell, and begin no link, no HTML and no emphasis.
    return re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match.group())};", visible(text))


def code(text: str) -> str:
    """Return foreign text as Markdown for a word that is a name; nothing in it mentions a person or a ticket."""
    return f"<code>{markdown(text)}</code>"


def _line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _within(text: str, escape: Callable[[str], str]) -> str:
    """Return `text` escaped, and cut where that is too long, but never inside an escape."""
    # Line breaks are ours. In the lines between them every character shows, and none of them has a meaning.
    shown = "\n".join(map(visible, text.split("\n")))
    if len(escape(shown)) <= MOST_CHARACTERS:
        return escape(shown)
    room = MOST_CHARACTERS - len(_CUT)
    kept = bisect_right(range(len(shown)), room, key=lambda length: len(escape(shown[:length]))) - 1
    return escape(shown[:kept]) + _CUT
