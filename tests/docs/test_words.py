"""Words of the pages and the help that readers stumbled over stay away, and what replaced them is there."""

import pytest

from support.pages import DOCUMENTATION
from support.places import ROOT
from support.running import Help

EVERYWHERE = DOCUMENTATION + (ROOT / "man" / "apimart.1").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        "A pass takes one complete", "none that is a pass", "every 5 seconds at most", "How long that may last",
        "the evaluation has failed", "nobody is there", "nobody can tell", "asks nobody", "Look this often",
        "Ask this often", "ask this often",
    ],
)  # fmt: skip
def test_riddles_are_gone(words: str) -> None:
    """Sentences have a subject and say what is done."""
    assert words not in " ".join(EVERYWHERE.split())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exporter", "How often to ask; 5s is the shortest."),
        ("watch", "How often to ask; 5s is the shortest."),
        ("run", "How long the balance may stay unknown before the command is stopped."),
        ("check", "Print only when something is wrong; for cron."),
    ],
)
def test_help_says_it_plainly(help_of: Help, command: str, words: str) -> None:
    """In the words of a person."""
    assert words in " ".join(help_of(command).split())


@pytest.mark.parametrize(
    "words",
    [
        "`check` passes only on one complete answer, less than a minute old.",
        "`--quiet-pass` prints only when something is wrong.",
        'echo "the command has failed"',
    ],
)
def test_the_pages_say_it_plainly(words: str) -> None:
    """As the help does."""
    assert words in " ".join(DOCUMENTATION.split())
