"""The pictures show what the program prints today: each is drawn again and compared."""

import re
import runpy
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support.pages import CONTRIBUTING, DOCUMENTATION
from support.places import ROOT
from support.programs import need

PICTURES = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))


def test_every_picture_is_made_by_the_command() -> None:
    """The pictures in docs/ are drawn by `docs/make_pictures.py` or by the measurement, and a document shows each.

    That of an agent is drawn by `tests/support/agent_picture.py`.
    """
    names = {path.name for path in (ROOT / "docs").glob("*.svg")}
    others = {*PICTURES["LIVE"], "keys.svg", "agents.svg"}
    assert names == {*PICTURES["PICTURES"], *others}
    assert all(re.search(rf"\]\((docs/)?{re.escape(name)}\)", DOCUMENTATION) for name in names)
    assert "python3 docs/make_pictures.py" in CONTRIBUTING


@pytest.mark.parametrize("name", PICTURES["PICTURES"])
def test_pictures_show_what_the_program_prints_today(name: str, environment: Mapping[str, str]) -> None:
    """The text in a picture is, character by character, what a terminal shows; its colours are drawn from it too."""
    session = PICTURES["PICTURES"][name]
    printed = PICTURES["record"](session, environment)
    stored = _text_of((ROOT / "docs" / name).read_text(encoding="utf-8"))
    drawn = _text_of(PICTURES["draw"](printed))
    seen = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert drawn == [line.rstrip() for line in seen.splitlines() if line.strip()]
    lasting = _first_words if session.is_of_the_day else _timeless
    assert lasting(stored) == lasting(drawn)
    assert "\x1b[" in printed


@pytest.mark.parametrize("name", [*PICTURES["PICTURES"], *PICTURES["LIVE"]])
def test_a_picture_is_complete_and_keeps_its_spaces(name: str) -> None:
    """No font, style or image is fetched to show it; librsvg would drop spaces at the beginning of a text."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    (matrix,) = ElementTree.fromstring(text).iterfind(".//{*}g[@class='apimart-matrix']")
    assert matrix.attrib["{http://www.w3.org/XML/1998/namespace}space"] == "preserve"


def test_librsvg_draws_a_space_at_the_beginning(tmp_path: Path) -> None:
    """The picture of a word after spaces is not that of the word alone."""
    program = need("rsvg-convert")
    drawn = []
    for name, printed in {"far": "x\x1b[1m     y", "near": "x\x1b[1my"}.items():
        (tmp_path / f"{name}.svg").write_text(PICTURES["draw"](printed), encoding="utf-8")
        drawn.append(
            subprocess.run([program, f"{tmp_path}/{name}.svg"], capture_output=True, timeout=60, check=True).stdout
        )
    assert drawn[0] != drawn[1]


def _timeless(lines: Sequence[str]) -> list[str]:
    """Return the lines without how many seconds a command took: all else is the same on a busy machine."""
    return [re.sub(r"\bin \d+ s\b", "in ? s", line) for line in lines]


def _first_words(lines: Sequence[str]) -> list[str]:
    """Return the first word of each line that begins with one: in a chart, all that is the same on every day."""
    return [line.split()[0] for line in lines if line[:1].isalpha() or line.startswith("$")]


def _text_of(picture: str) -> list[str]:
    """Return the lines that an SVG of Rich shows: pieces of text by their place, in cells of 12.2 units."""
    lines: dict[float, str] = {}
    for piece in ElementTree.fromstring(picture).iterfind(".//{*}g[@class='apimart-matrix']/{*}text"):
        row, column = float(piece.attrib["y"]), round(float(piece.attrib["x"]) / 12.2)
        lines[row] = lines.get(row, "").ljust(column) + (piece.text or "").replace("\xa0", " ")
    return [lines[row].rstrip() for row in sorted(lines)]
