"""Draw docs/agents.svg: what Claude Code shows while a made-up model asks for its budget and is stopped.

    PYTHONPATH=tests python3 -m support.agent_picture

It needs the real program, `claude`; test_coding_agent.py compares the picture with what that shows today.
"""

import json
import os
import re
import runpy
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pyte

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import Sandbox
from support.coding_agents import claude_variables, place, run, screen_of_claude
from support.made_up_model import Wish, made_up_model
from support.places import ROOT

PICTURE = ROOT / "docs" / "agents.svg"
COLUMNS, ROWS = 96, 34
QUESTION = "draw a hundred pictures"
WISHES = (
    # At a terminal it does not wait for its servers by itself.
    Wish("WaitForMcpServers", {}, is_optional=True),
    Wish("check_budget", {"min": "5"}),
    Wish("Bash", {"command": "./draw --all", "description": "Draw all the pictures"}),
)
PICTURES = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))


def lines_shown(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the lines of the screen from the question on, colours as escape sequences."""
    with (
        Sandbox(Scenario(key=Funds(Decimal("3.2"), Decimal("6.8")))).serving() as sandbox,
        made_up_model(
            *WISHES, last="Too little is left: 3.2, and I would need 5. Shall I go on after a top-up?"
        ) as model,
    ):
        variables = {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY": "sk-made-up-0123456789"}
        at = place(folder, {**environment, **variables})
        page = (ROOT / "docs" / "agents.md").read_text("utf-8")
        [hooks] = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        settings = json.loads(hooks)
        settings["permissions"] = {"allow": ["mcp__apimart-balance__check_budget", "Bash(./draw:*)"]}
        settings["statusLine"] = {"type": "command", "command": "apimart statusline --preset claude"}
        (at.project / ".claude").mkdir()
        (at.project / ".claude" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        run(at, "apimart", "balance")
        run(at, "claude", "mcp", "add", "apimart-balance", "--", "apimart", "mcp")
        screen = screen_of_claude(
            at, claude_variables(model), columns=COLUMNS, rows=ROWS, typed=QUESTION, until="Too little is left"
        )
    return _without_edges([_escaped(screen, row) for row in range(ROWS)])


def _escaped(screen: pyte.Screen, row: int) -> str:
    line: str = PICTURES["_escaped"]([screen.buffer[row][column] for column in range(COLUMNS)])
    return line


def _without_edges(lines: list[str]) -> list[str]:
    """Leave out what stands above the question, the logo and the name of a folder, and a line with a word by chance."""
    [start] = [number for number, line in enumerate(lines) if QUESTION in line][:1]
    # Few fonts have that bracket.
    drawn = [
        line.replace("\N{DENTISTRY SYMBOL LIGHT VERTICAL AND BOTTOM RIGHT}", "\N{BOX DRAWINGS LIGHT UP AND RIGHT}")
        for line in lines
    ]
    kept = [line for line in drawn[start:] if "\N{TEARDROP-SPOKED ASTERISK}" not in line]
    while not plain(kept[-1]).strip():
        kept.pop()
    return kept


def plain(line: str) -> str:
    """Return a line without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", line)


def main() -> None:
    """Draw it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        kept = {name: os.environ[name] for name in ("PATH",)}
        lines = lines_shown(folder, {**kept, "HOME": str(folder / "home"), "LANG": "C.UTF-8", "APIMART_RECORD": "1"})
    PICTURE.write_text(PICTURES["draw"]("\n".join(lines), COLUMNS), encoding="utf-8")


if __name__ == "__main__":
    main()
