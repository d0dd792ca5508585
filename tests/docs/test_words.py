"""Words of the pages and the help that readers stumbled over stay away, and what replaced them is there."""

from support.pages import DOCUMENTATION
from support.places import ROOT
from support.running import Help

RIDDLES = (
    "A pass takes one complete", "none that is a pass", "every 5 seconds at most", "How long that may last",
    "the evaluation has failed", "nobody is there", "nobody can tell", "asks nobody", "Look this often",
    "Ask this often", "ask this often",
)  # fmt: skip
PLAIN = {
    "exporter": "How often to ask; 5s is the shortest.",
    "run": "How long the balance may stay unknown before the command is stopped.",
    "check": "Print only when something is wrong; for cron.",
}


def test_riddles_are_gone_and_help_says_it_plainly(help_of: Help) -> None:
    """Sentences have a subject and say what is done, in the words of a person."""
    everything = " ".join((DOCUMENTATION + (ROOT / "man" / "apimart.1").read_text(encoding="utf-8")).split())
    assert [words for words in RIDDLES if words in everything] == []
    assert "`check` passes only on one complete answer, less than a minute old." in everything
    for command, words in PLAIN.items():
        assert words in " ".join(help_of(command).split())
