"""The API key: checked before any library sees it, masked wherever it might be printed. Pure: no I/O.

Beside it the interface of what gives a key, the sources that need no time (a key that is known, or missing), and the
redactor, which withholds texts that repeat a key. A run has one redactor for all its keys: a gateway that answers one
key may repeat another.
"""

import re
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from apimart_cli.errors import AuthError
from apimart_cli.text import QUOTE_LIMIT, quote, without_token_ids

if TYPE_CHECKING:
    from apimart_cli.keys.echo import Pieces

WITHHELD = "(withheld: it repeats the API key)"

NOT_REPEATED = "(its words are not repeated here)"

LOOKED_AT = 5 * QUOTE_LIMIT
"""Characters of a text that are looked at: more than a message shows."""

MOST_REMEMBERED = 16
"""Most quoted texts that are remembered, to tell them apart from words of ours."""

SHORTEST_CUT = 40
"""Fewest characters that a message leaves of a text that it cuts."""

MAX_LENGTH = 4096
"""Most characters a key may have; the gateway's keys have about 50, and a header line has at most about 8 KiB."""

_KEY_PAGE_HINT = "copy the key again from the gateway's key page; it is one word that starts with sk-"

_SLIPS = {
    r"""(?s)(['"`]).*\1|[\u2018\u201c].*[\u2019\u201d]""": ("is in quotes", "give the key without them"),
    r"(?is)(authorization:\s*)?bearer\s.*": ("has Bearer before it", "give the key alone: apimart adds that word"),
}
"""What people copy along with a key: its pattern, what is wrong, and what to do."""

_IN_KEYS = str.maketrans("", "", "-_")
"""Takes away what keys have beside letters and digits."""


class ApiKey:
    """One key. Only `reveal()` gives its characters; `str`, `repr` and tracebacks show a mask."""

    __slots__ = ("__weakref__", "_characters", "source")

    def __init__(self, characters: str, *, source: str) -> None:
        """Check `characters`. `source` names in errors where they came from.

        Raises AuthError unless it is one non-empty word of printable ASCII: the HTTP library would refuse anything
        else with a message that prints the key.
        """
        fault = _fault(characters)
        hint = fault and _hint(characters)
        self._characters = "" if fault else characters
        self.source = source
        # Reporters of exceptions show the local variables of every frame.
        del characters
        if fault:
            raise AuthError(f"the API key from {source} {fault}", hint)
        with _LOCK:
            _ALL.add(self)

    def reveal(self) -> str:
        """Return the key itself, to be sent to the gateway and nowhere else."""
        return self._characters

    def __len__(self) -> int:
        return len(self._characters)

    def __repr__(self) -> str:
        return f"ApiKey(<{len(self)} characters>)"

    @property
    def key_id(self) -> str:
        """A name for this key that does not give it away: the first 12 hex digits of its SHA-256."""
        return _sha256(self._characters.encode())[:12]


def _sha256(text: bytes) -> str:
    """Return the SHA-256 as hex digits, by Python's own module where it has that: OpenSSL takes 2 ms to load."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]  # not among the type stubs; since Python 3.12
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found]  # as that one
        except ImportError:
            from hashlib import sha256
    return str(sha256(text).hexdigest())


_ALL: WeakSet[ApiKey] = WeakSet()
_LOCK = threading.Lock()


def known_keys(*, except_from: str | None = None) -> set[str]:
    """Return the characters of every key in this process, except those from one source.

    Programs that we start must not get them.
    """
    with _LOCK:
        return {key.reveal() for key in _ALL if except_from is None or key.source != except_from}


def looks_like_variable(text: str) -> bool:
    """Tell whether a key is perhaps a variable that no shell has replaced by its value, like `$NAME`."""
    return text.startswith("$") and re.fullmatch(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?", text) is not None


SecondsLeft = Callable[[], float]
"""Tells how many seconds are left; 0 when the time is over."""


class KeySource(Protocol):
    """Anything that can give a key."""

    @property
    def state(self) -> str:
        """What `config show` tells about it: never a character of the key."""

    @property
    def fault(self) -> str | None:
        """What is certainly wrong with it, found without reading the key; None when it may work."""

    @property
    def key_id(self) -> str | None:
        """The id of the key; None where it is not known without reading the key."""

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key before `seconds_left` is 0; what took time is kept for the next call.

        Raises AuthError, also when the time is over, or UsageError where something is missing to read it with. An
        error is not kept: the next call tries again.
        """


class GivenKey:
    """A key that is already known: from an option, a variable, a file or the profile itself."""

    fault = None

    def __init__(self, key: ApiKey) -> None:
        self.key = key

    @property
    def state(self) -> str:
        """How long the key is."""
        return f"set, {len(self.key)} character{'s' if len(self.key) > 1 else ''}"

    @property
    def key_id(self) -> str:
        """The id of the key."""
        return self.key.key_id

    def read(self, seconds_left: SecondsLeft) -> ApiKey:  # noqa: ARG002  # needs no time
        """Return the key."""
        return self.key


class NoKey:
    """No usable key, and why. The error is raised when the key is read: other profiles may be fine."""

    key_id = None

    def __init__(self, error: AuthError) -> None:
        self.error = error

    @property
    def fault(self) -> str:
        """Why there is no key."""
        return self.error.message

    @property
    def state(self) -> str:
        """Why there is no key."""
        return f"not usable: {self.error.message}"

    def read(self, seconds_left: SecondsLeft) -> ApiKey:  # noqa: ARG002  # needs no time
        """Raise the error."""
        raise self.error


def drop_newline(text: str) -> str:
    """Return `text` without the line end that files and commands write after a key."""
    return text.removesuffix("\n").removesuffix("\r")


def _fault(characters: str) -> str | None:
    """Say what is wrong with a key, in words that fit after `the API key from …`, or None."""
    if not characters:
        return "is empty"
    if slip := _slip(characters):
        return slip[0]
    if len(characters) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if "\n" in characters or "\r" in characters:
        return "has a line break in it"
    if any(character.isspace() for character in characters):
        return "has white space in it"
    if not all("!" <= character <= "~" for character in characters):
        return "has a character in it that is not printable ASCII"
    return None


def _hint(characters: str) -> str:
    slip = _slip(characters)
    return slip[1] if slip else _KEY_PAGE_HINT


def _slip(characters: str) -> tuple[str, str] | None:
    if characters.isascii() and characters.translate(_IN_KEYS).isalnum():
        # Nothing that a slip leaves behind: most keys are like that, and the patterns take a while to compile.
        return None
    return next((words for form, words in _SLIPS.items() if re.fullmatch(form, characters.strip())), None)


class Redactor:
    """Quotes foreign text, and withholds what repeats a piece of any key it knows. Threads may share it.

    It finds keys, and pieces of eight characters or more: in any letter case; broken up by spaces, punctuation or
    characters that do not show; in full-width or other compatible letters; as base64, base32 or hex, of UTF-8 or
    UTF-16; as a list of numbers, in any of the bases in which Go, C, Python and od print bytes, each for one byte or
    for a word of up to eight, in either order; with the place before each character or number, as PHP and JavaScript
    write a list of them; and all of that percent-, entity-, backslash- or quoted-printable-encoded, up to four times
    over and in any mixture.

    It does not find keys that are hidden on purpose: spelled backwards, with letters between the letters, in look-alike
    letters of another alphabet, by the names of the characters, as numbers without anything between them, in base32
    with an alphabet that no standard has, in base58, base85 or uuencode, in base64 three times over, compressed, or
    encrypted.
    """

    def __init__(self, *keys: ApiKey) -> None:
        self._guard = threading.Lock()
        self._waiting = {key.reveal() for key in keys}
        self._known: set[str] = set()
        self._pieces: Pieces | None = None
        self._quoted: deque[str] = deque(maxlen=MOST_REMEMBERED)

    def add(self, key: ApiKey) -> None:
        """Look for this key, too, from now on."""
        with self._guard:
            self._waiting |= {key.reveal()} - self._known

    def quote(self, text: str) -> str:
        """Return foreign `text` fit for a message, or WITHHELD where it repeats a piece of a key."""
        looked_at = text.strip()[:LOOKED_AT]
        # The text that is left out may stand between two halves of a key.
        shown, pieces = without_token_ids(looked_at), self._all_pieces()
        if any(pieces.are_in(each) for each in {looked_at, shown}):
            return WITHHELD
        quoted = quote(shown)
        self._quoted.append(quoted)
        return quoted

    def quoted_in(self, message: str) -> tuple[str, ...]:
        """Return what stands in `message` of the foreign texts that were quoted last, in full or cut."""
        found = (_longest_beginning(quoted, message) for quoted in list(self._quoted) if quoted)
        return tuple(dict.fromkeys(filter(None, found)))

    def _all_pieces(self) -> "Pieces":
        """Return the pieces of all keys. They are made when a text is quoted, which most runs never do."""
        from apimart_cli.keys.echo import Pieces

        with self._guard:
            if self._pieces is None:
                self._pieces = Pieces()
            if self._waiting:
                self._pieces = self._pieces.plus(self._waiting)
                self._known |= self._waiting
                self._waiting = set()
            return self._pieces


class Mute(Redactor):
    """A redactor that repeats no foreign text: the pieces of thousands of keys would fill the memory."""

    def add(self, key: ApiKey) -> None:
        """Do nothing: no key is needed."""

    def quote(self, text: str) -> str:  # noqa: ARG002  # the signature of what it stands for
        """Return the words for a text that is not repeated."""
        return NOT_REPEATED


MUTE = Mute()
"""The only one that is needed."""


def _longest_beginning(text: str, message: str) -> str:
    """Return `text`, or its first SHORTEST_CUT characters, if they stand in `message`; else nothing."""
    return next((each for each in (text, text[:SHORTEST_CUT]) if each in message), "")
