"""Recipes for monitoring, cron and CI: each looks at the account, so that an alert on an empty one can fire."""

import re
from collections.abc import Iterator

import yaml

from support.pages import PAGES, blocks
from support.places import ROOT

FILES = (
    ".pre-commit-hooks.yaml",
    "action.yml",
    "ci/gitlab.yml",
    *(f"{path.relative_to(ROOT)}" for path in sorted(ROOT.glob("examples/**/*"))),
)

RECIPE_LANGUAGES = {"crontab", "ini", "sh", "text", "yaml"}
"""Blocks that are copied and left to run; those of `console` show what commands print."""

SHOWS = re.compile(r"apimart (?:balance\b.*--textfile|exporter\b|watch\b.*--all-profiles)|--preset waybar")
"""Commands that show the key by default, and that alerts hang on."""
DECIDES = re.compile(r"apimart(?:_cli)? (?:check|nagios|run)\b")
"""Commands that look at what can be spent by default."""


def recipes() -> Iterator[tuple[str, str]]:
    """Yield each line of a recipe that runs apimart, after its place."""
    for name, page in PAGES.items():
        for block in blocks(page, name):
            if block.language in RECIPE_LANGUAGES:
                yield from ((f"{name}: {line.strip()}", line) for line in block.text.splitlines())
    for name in FILES:
        if (ROOT / name).is_file():
            yield from ((f"{name}: {line.strip()}", line) for line in (ROOT / name).read_text("utf-8").splitlines())


LINES = {place: line for place, line in recipes() if not line.lstrip().startswith(("#", "//", "description:"))}
SHOWING = {place: line for place, line in LINES.items() if SHOWS.search(line)}
DECIDING = {place: line for place, line in LINES.items() if DECIDES.search(line)}


def test_what_shows_balances_for_alerts_shows_the_account() -> None:
    """By the scope in the line itself, or in the config file of a container."""
    assert [place for place, line in SHOWING.items() if not re.search(r"--scope (both|spendable)\b", line)] == []
    assert {place.partition(": ")[0] for place in SHOWING} >= {
        "docs/monitoring.md", "docs/statusline.md", "docs/watch.md", "examples/systemd/apimart-exporter.service",
        "examples/systemd/apimart-textfile.service",
    }  # fmt: skip
    for name in ("examples/compose/config.toml", "examples/kubernetes/exporter.yaml"):
        assert re.search(r'^ *scope = "both"$', (ROOT / name).read_text("utf-8"), re.MULTILINE)


def test_what_decides_is_not_told_to_look_at_the_key_alone() -> None:
    """What can be spent is the default, in jobs of CI, too; a scope that is named is that, or both."""
    assert len(DECIDING) > 10
    assert [place for place, line in DECIDING.items() if re.search(r"--scope (?!both|spendable|\$)", line)] == []
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    job = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text("utf-8"))[".apimart-check"]
    assert action["inputs"]["scope"]["default"] == job["variables"]["CHECK_SCOPE"] == "spendable"
    assert "${INPUT_SCOPE:-spendable}" in action["runs"]["steps"][-1]["run"]
