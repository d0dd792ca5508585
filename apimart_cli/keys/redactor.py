"""One redactor for every key of a run: a gateway that answers one key may repeat another. Pure: no I/O."""

import threading

from apimart_cli.keys.echo import Pieces
from apimart_cli.keys.key import ApiKey
from apimart_cli.text import QUOTE_LIMIT, quote, without_token_ids

WITHHELD = "(withheld: it repeats the API key)"

NOT_REPEATED = "(its words are not repeated here)"

LOOKED_AT = 5 * QUOTE_LIMIT
"""Characters of a text that are looked at: more than a message shows of it."""


class Redactor:
    """Quotes foreign text, and withholds what repeats a piece of any key it knows. Safe to share between threads."""

    def __init__(self, *keys: ApiKey) -> None:
        self._guard = threading.Lock()
        self._waiting = {key.reveal() for key in keys}
        self._known: set[str] = set()
        self._pieces = Pieces()

    def add(self, key: ApiKey) -> None:
        """Look for `key`, too, from now on."""
        with self._guard:
            self._waiting |= {key.reveal()} - self._known

    def quote(self, text: str) -> str:
        """Return foreign `text` fit for a message; withheld whole when it repeats a piece of a key."""
        looked_at = text.strip()[:LOOKED_AT]
        # What is left out may have stood between two halves of a key.
        shown, pieces = without_token_ids(looked_at), self._all_pieces()
        is_echo = any(pieces.are_in(each) for each in {looked_at, shown})
        return WITHHELD if is_echo else quote(shown)

    def _all_pieces(self) -> Pieces:
        """Return the pieces of all keys. They are made when something is quoted; most runs never need them."""
        with self._guard:
            if self._waiting:
                self._pieces = self._pieces.plus(self._waiting)
                self._known |= self._waiting
                self._waiting = set()
            return self._pieces


class Mute(Redactor):
    """Repeats no foreign text at all: for those who know thousands of keys, whose pieces would fill the memory."""

    def add(self, key: ApiKey) -> None:
        """Keep no key: none is needed."""

    def quote(self, text: str) -> str:  # noqa: ARG002  # the signature of what it stands for
        """Return that something was said."""
        return NOT_REPEATED


MUTE = Mute()
"""One is enough."""
