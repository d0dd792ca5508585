"""The API key: checked before any library sees it, masked wherever it might be printed.

Pure: no I/O, nothing heavy imported. What gives one is the business of `keysource`.
"""

import re
from typing import Protocol

from apimart_cli.errors import AuthError
from apimart_cli.text import quote

MAX_LENGTH = 4096
"""Most characters a key may have; keys of the gateway have about 50, and header lines end near 8 KiB."""

_PIECE = 8
"""A run of this many characters of the key counts as a leak."""

_BACKSLASHED = re.compile(r"(?i)\\(?:(?:x|u00)(?P<hex>[0-9a-f]{2})|(?P<octal>[01][0-7]{2}))")
"""The escapes of printable ASCII in JSON, Python, C and the shell: all that a key is made of."""

_KEY_PAGE_HINT = "copy the key again from the gateway's key page; it is one word that starts with sk-"


class ApiKey:
    """One key. `reveal()` is the only way to its characters; `str`, `repr` and tracebacks show a mask."""

    __slots__ = ("_characters",)

    def __init__(self, characters: str, *, source: str) -> None:
        """Check `characters`, which came from `source` (named in errors).

        Raises AuthError unless it is one non-empty word of printable ASCII: anything else would be refused by the
        HTTP library with a message that prints the key.
        """
        fault = _fault(characters)
        self._characters = "" if fault else characters
        # Reporters of exceptions show the local variables of every frame.
        del characters
        if fault:
            raise AuthError(f"the API key from {source} {fault}", _KEY_PAGE_HINT)

    def reveal(self) -> str:
        """Return the key itself, to be sent to the gateway and nowhere else."""
        return self._characters

    def __len__(self) -> int:
        return len(self._characters)

    def __repr__(self) -> str:
        return f"ApiKey(<{len(self)} characters>)"

    def quote(self, text: str) -> str:
        """Return foreign `text` fit for a message; withheld whole when it repeats a piece of the key."""
        return "(withheld: it repeats the API key)" if self.is_echoed_in(text) else quote(text)

    def is_echoed_in(self, text: str) -> bool:
        """Tell whether `text` holds a piece of the key, plain or percent-, entity-, backslash-, base64- or hex-encoded.

        Letter case and everything but letters and digits are ignored, so that a key broken up by spaces or
        zero-width characters is still found. A key may be mostly punctuation, so it is looked for with its own, too.
        """
        from html import unescape
        from urllib.parse import unquote

        try:
            unescaped = unescape(text)
        except ValueError:  # a number of thousands of digits as an entity: nobody's honest words
            return True
        views = _reduced(text, unquote(text), unescaped, _BACKSLASHED.sub(_character_of, text))
        return any(piece in view for piece in self._pieces() for view in views)

    def _pieces(self) -> set[str]:
        from base64 import b64encode

        raw = self._characters.encode()
        # The same bytes give three base64 texts, by where in a group of three they start.
        encodings = [b64encode(before + raw).decode() for before in (b"", b".", b"..")]
        return {piece for form in _reduced(self._characters, raw.hex(), *encodings) for piece in _windows(form)}


class KeySource(Protocol):
    """Anything that can give a key."""

    @property
    def state(self) -> str:
        """What `config show` tells of it: never a character of the key."""

    @property
    def fault(self) -> str | None:
        """What is certainly wrong with it, found without reading it; None when it may work."""

    @property
    def overdue(self) -> AuthError | None:
        """The error for a source that outlives the time limit; None where reading cannot take time."""

    def read(self) -> ApiKey:
        """Return the key, however long that takes. Raises AuthError."""

    def give_up(self) -> None:
        """Stop whatever still works on the key: nobody waits for it any more."""


def _fault(characters: str) -> str | None:
    """Say what is wrong with a key, in words that fit behind `the API key from …`, or None."""
    if not characters:
        return "is empty"
    if len(characters) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    if "\n" in characters or "\r" in characters:
        return "has a line break in it"
    if any(character.isspace() for character in characters):
        return "has white space in it"
    if not all("!" <= character <= "~" for character in characters):
        return "has a character in it that is not printable ASCII"
    return None


def _character_of(escape: re.Match[str]) -> str:
    """Return the character that a backslash escape stands for."""
    return chr(int(escape["hex"], 16) if escape["hex"] else int(escape["octal"], 8))


def _reduced(*texts: str) -> set[str]:
    """Return each text twice, in one letter case: its letters and digits alone, and its printable ASCII alone."""
    folded = [text.casefold() for text in texts]
    essences = {"".join(filter(str.isalnum, text)) for text in folded}
    return essences | {"".join(character for character in text if "!" <= character <= "~") for text in folded}


def _windows(text: str) -> set[str]:
    """Return every run of `_PIECE` characters in `text`; a shorter text is one piece by itself, if it is not empty."""
    return {text[start : start + _PIECE] for start in range(max(1, len(text) - _PIECE + 1))} - {""}
