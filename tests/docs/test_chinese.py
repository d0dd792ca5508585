"""README.zh-CN.md says what README.md says: the same sections, blocks, links and names, in the same places."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from support.pages import README, blocks, tables
from support.places import ROOT

CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

LANGUAGES = {"README.md", "README.zh-CN.md"}
"""Links from one to the other."""


class Section(NamedTuple):
    """What stands below a heading."""

    level: int
    pieces: Sequence[str]
    """The kind of each piece: a paragraph, a picture, a block, or how long a list or a table is."""
    links: Sequence[str]
    code: frozenset[str]
    """What stands in backticks."""


def sections(page: str) -> Iterator[Section]:
    """Take a page apart; the note on the language of other pages is not a piece."""
    blockless = re.sub(r"^```.*\n(?:.*\n)*?```$", "<block>", page, flags=re.MULTILINE)
    for heading, text in re.findall(r"^(#+) .*\n((?:(?!#+ ).*\n?)*)", blockless, flags=re.MULTILINE):
        pieces = [piece for piece in re.split(r"\n{2,}", text.strip("\n")) if piece != "以下文档为英文。"]
        links = sorted(link for link in re.findall(r"\]\(([^)]+)\)", text) if link not in LANGUAGES)
        yield Section(len(heading), [*map(_kind, pieces)], links, frozenset(re.findall(r"`([^`]+)`", text)))


def _kind(piece: str) -> str:
    if piece.startswith("- "):
        return f"a list of {len(re.findall('^- ', piece, re.MULTILINE))}"
    if piece.startswith("|"):
        return f"a table of {piece.count(chr(10))}"
    return {"!": "a picture", "<": "a block"}.get(piece[0], "a paragraph")


def test_both_have_the_same_sections_with_the_same_pieces() -> None:
    """What one says in a paragraph, a list or a table, the other says there, too."""
    english, chinese = list(sections(README)), list(sections(CHINESE))
    assert [(each.level, each.pieces) for each in chinese] == [(each.level, each.pieces) for each in english]
    assert len(english) > 5


def test_both_have_the_same_blocks_links_and_names() -> None:
    """Commands and what they print, to the letter; every link, option, file and value; the exit codes."""
    assert [block[:2] + block[3:] for block in blocks(CHINESE)] == [block[:2] + block[3:] for block in blocks(README)]
    english, chinese = ([(each.links, each.code) for each in sections(page)] for page in (README, CHINESE))
    assert chinese == english
    [english_codes], [chinese_codes] = (
        [[row[:2] for row in each.rows] for each in tables(page)] for page in (README, CHINESE)
    )
    assert chinese_codes == english_codes


def test_each_links_to_the_other_at_its_top_and_uses_the_terms_of_the_field() -> None:
    """The terms are as gateways of this family and their users write them."""
    assert README.splitlines()[2] == "English · [简体中文](README.zh-CN.md)"
    assert CHINESE.splitlines()[2] == "[English](README.md) · 简体中文"
    assert [term for term in ("余额", "额度", "密钥", "令牌", "阈值", "退出码") if term not in CHINESE] == []
