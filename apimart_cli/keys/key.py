"""The API key: checked before any library sees it, masked wherever it might be printed. Pure: no I/O."""

from apimart_cli.errors import AuthError

MAX_LENGTH = 4096
"""Most characters a key may have; keys of the gateway have about 50, and header lines end near 8 KiB."""

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

    @property
    def key_id(self) -> str:
        """What tells this key apart from others without telling the key: the first 12 hex digits of its SHA-256."""
        from hashlib import sha256

        return sha256(self._characters.encode()).hexdigest()[:12]


def _fault(characters: str) -> str | None:
    """Say what is wrong with a key, in words that fit after `the API key from …`, or None."""
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
