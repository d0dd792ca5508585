"""Links lead somewhere, every page can be reached, and the changelog is in its form."""

import re
from pathlib import Path

import pytest

import apimart_cli
from support.pages import CHANGELOG, PAGES, README, without_blocks
from support.places import ROOT


def _anchor(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _anchors(file: Path) -> set[str]:
    page = without_blocks(file.read_text(encoding="utf-8"))
    return {_anchor(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "README.zh-CN.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every link to a file of the project or to a heading has its target; links elsewhere are encrypted."""
    page = without_blocks((ROOT / name).read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)]+)\)", page)
    # Also where a line is broken inside the words of a link.
    assert len(links) == page.count("](")
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.is_file(), link
        assert not anchor or anchor in _anchors(target), link


def test_the_readme_is_short_and_links_to_every_page() -> None:
    """What a newcomer reads fits on a few screens, the first of which ends in a picture; the rest is in docs/."""
    assert README.count("\n") <= 200
    assert README.partition("![")[0].count("\n") < 24
    assert [name for name in PAGES if name != "README.md" and f"]({name})" not in README] == []


def test_the_changelog_knows_the_version() -> None:
    """The newest entry of the changelog is the version of the package, in the form of Keep a Changelog."""
    versions = re.findall(r"^## \[(.*?)\] - (Unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    assert versions[0][0] == apimart_cli.__version__
    kinds = set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
