"""Draw the pictures of the documentation from what the program really prints.

    python3 docs/make_pictures.py

A session is run against the sandbox, in a terminal of its own, and drawn as an SVG by Rich. Nothing in a picture is
typed by hand, nothing is read from the network or from your own settings, and the SVG names no font or file elsewhere.
"""

import io
import os
import pty
import re
import select
import shlex
import subprocess
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

if TYPE_CHECKING:
    from pyte.screens import Char

DOCS = Path(__file__).parent
COLUMNS = 80


class Session(NamedTuple):
    """What is typed, and the sandbox that it is typed in."""

    commands: Sequence[str]
    sandbox: Sequence[str]
    is_of_the_day: bool = False
    """Whether it shows days up to the day on which it is drawn."""


PICTURES: Mapping[str, Session] = {
    "balance.svg": Session(
        (
            "apimart balance --scope both",
            "apimart check --min 5 --scope key; echo $?",
            "apimart check --min 5; echo $?",
        ),
        ("--remain", "10.5", "--used", "2.3", "--account-remain", "4.2", "--account-used", "195.8"),
    ),
    "history.svg": Session(
        ("apimart balance", "apimart history --scope key", "apimart check --min-runway 1d; echo $?"),
        ("--days", "14", "--used", "24"),
        is_of_the_day=True,
    ),
    "usage.svg": Session(
        ("apimart usage", "apimart usage --by day --days 21"),
        ("--days", "21", "--used", "24"),
        is_of_the_day=True,
    ),
    # What is spent is booked every 5 seconds: the amounts are the same, however quick the machine is.
    "run.svg": Session(("apimart run --max-spend 3 -- ./agent; echo $?",), ("--burn", "0.8", "--lag", "5")),
}
"""What is shown in each picture."""

AGENT = """\
#!/bin/sh
for file in parser printer scanner; do
    printf '\\033[36mworking on\\033[0m %s\\n' "$file"
    sleep 0.5
done
exec sleep 60
"""
"""A program that lies beside the one who types. It has printed all long before it is stopped, and goes on."""

LIVE_SANDBOX = ("--remain", "10.5", "--used", "2.3", "--burn", "0.004", "--top-up", "5@7")
LIVE: Mapping[str, Sequence[str]] = {"watch.svg": ("watch", "--scope", "both", "--min", "12", "--interval", "1")}
"""What is run in each picture of a screen that changes, against LIVE_SANDBOX. No two of these are the same."""
LIVE_SECONDS = 12.5
LIVE_COLUMNS, LIVE_ROWS = 108, 7

# Rich's own template without the fonts that it loads from elsewhere, without the clip paths that it makes for all lines
# but the last, with a name for readers who cannot see the picture, and with spaces that librsvg keeps, too.
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">
<title>apimart in a terminal</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""
_LINE_END = re.compile(r"<text [^>]*>\n</text>")
_CLIP_PATH = re.compile(r' clip-path="[^"]*"')


def record(session: Session, environ: Mapping[str, str]) -> str:
    """Return what a terminal of COLUMNS columns receives in a session, escape sequences included."""
    script = "\n".join(f"printf '%s\\n' {shlex.quote(f'$ {command}')}\n{command}" for command in session.commands)
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, COLUMNS))
    with tempfile.TemporaryDirectory() as home, open(reader, "rb", buffering=0) as received:
        agent = Path(home, "agent")
        agent.write_text(AGENT, encoding="ascii")
        agent.chmod(0o755)
        process = subprocess.Popen(  # noqa: S603  # our own command lines, from PICTURES
            ["apimart", "sandbox", *session.sandbox, "--", "bash", "-c", script],  # noqa: S607  # the installed one
            env=_environment(environ, home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        printed = _read_all(received)
        process.wait()
    return printed.decode("utf-8").replace("\r\n", "\n")


def record_live(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return what a terminal shows after LIVE_SECONDS of a command, its colours as escape sequences."""
    import pyte

    screen = pyte.Screen(LIVE_COLUMNS, LIVE_ROWS)
    stream = pyte.ByteStream(screen)
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (LIVE_ROWS, LIVE_COLUMNS))
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(  # noqa: S603  # our own command lines, from LIVE
            ["apimart", "sandbox", *LIVE_SANDBOX, "--", "apimart", *arguments],  # noqa: S607  # the installed one
            env=_environment(environ, home),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
        )
        os.close(terminal)
        give_up_at = time.monotonic() + LIVE_SECONDS
        while (left := give_up_at - time.monotonic()) > 0:
            if select.select([reader], [], [], left)[0]:
                stream.feed(os.read(reader, 65536))
        process.terminate()
        process.wait()
        os.close(reader)
    rows = (_escaped([screen.buffer[row][column] for column in range(LIVE_COLUMNS)]) for row in range(LIVE_ROWS))
    return "".join(f"{row}\n" for row in rows)


def _escaped(cells: Sequence["Char"]) -> str:
    colours = {"red": 31, "green": 32, "brown": 33, "cyan": 36}
    line = ""
    for (bold, colour), same in groupby(cells, lambda cell: (cell.bold, cell.fg)):
        line += f"\x1b[{int(bold)};{colours.get(colour, 39)}m{''.join(cell.data for cell in same)}"
    return f"{line.rstrip()}\x1b[0m"


def _environment(environ: Mapping[str, str], home: str) -> dict[str, str]:
    ours = ("APIMART_", "NO_COLOR", "COLUMNS", "LINES")
    kept = {name: value for name, value in environ.items() if not name.startswith(ours)}
    return {**kept, "HOME": home, "APIMART_CONFIG": os.devnull, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}


def _read_all(received: io.RawIOBase) -> bytes:
    """Read until the last program has closed the terminal, which Linux tells as an error and others as an end."""
    content = b""
    try:
        while chunk := received.read(4096):
            content += chunk
    except OSError:
        pass
    return content


def draw(printed: str, columns: int = COLUMNS) -> str:
    """Return the SVG of a terminal of so many columns that shows `printed`."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, _environ={})
    console.print(Text.from_ansi(printed.rstrip("\n")))
    picture = console.export_svg(title="apimart", theme=MONOKAI, code_format=SVG, unique_id="apimart")
    return _CLIP_PATH.sub("", _LINE_END.sub("\n", picture))


def main() -> None:
    """Draw every picture into the folder of this file."""
    for name, session in PICTURES.items():
        (DOCS / name).write_text(draw(record(session, os.environ)), encoding="utf-8")
    for name, arguments in LIVE.items():
        (DOCS / name).write_text(draw(record_live(arguments, os.environ), LIVE_COLUMNS), encoding="utf-8")


if __name__ == "__main__":
    main()
