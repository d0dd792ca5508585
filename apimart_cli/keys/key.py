"""The API key: checked before any library sees it, masked wherever it might be printed. Pure: no I/O.

Beside it the interface of what gives a key, and the sources that need no time: a key that is known, or missing.
"""

import re
import threading
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from apimart_cli.errors import AuthError

MAX_LENGTH = 4096
"""Most characters a key may have; the gateway's keys have about 50, and a header line has at most about 8 KiB."""

_KEY_PAGE_HINT = "copy the key again from the gateway's key page; it is one word that starts with sk-"

_SLIPS = {
    r"""(?s)(['"`]).*\1|[\u2018\u201c].*[\u2019\u201d]""": ("is in quotes", "give the key without them"),
    r"(?is)(authorization:\s*)?bearer\s.*": ("has Bearer before it", "give the key alone: apimart adds that word"),
}
"""What people copy along with a key: its pattern, what is wrong, and what to do."""


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
        from hashlib import sha256

        return sha256(self._characters.encode()).hexdigest()[:12]


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
    return next((words for form, words in _SLIPS.items() if re.fullmatch(form, characters.strip())), None)
