"""Links lead somewhere, the contents are complete, and the changelog is in its form."""

import re

import pytest

import apimart_cli
from support.pages import CHANGELOG, README, without_blocks
from support.places import ROOT


def _anchor(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _anchors(name: str) -> set[str]:
    page = without_blocks((ROOT / name).read_text(encoding="utf-8"))
    return {_anchor(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
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
        assert (ROOT / (file or name)).is_file(), link
        assert not anchor or anchor in _anchors(file or name), link


def test_the_contents_list_every_chapter() -> None:
    """The list at the top of the README has its chapters, in their order; the last one needs no entry."""
    chapters = re.findall(r"^## (.*)$", without_blocks(README), re.MULTILINE)
    assert re.findall(r"^- \[(.*)\]\(#", README, re.MULTILINE) == chapters[:-1]


def test_the_changelog_knows_the_version() -> None:
    """The newest entry of the changelog is the version of the package, in the form of Keep a Changelog."""
    versions = re.findall(r"^## \[(.*?)\] - (Unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    assert versions[0][0] == apimart_cli.__version__
    kinds = set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
