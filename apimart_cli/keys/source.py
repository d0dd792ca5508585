"""What gives a key, and the sources that need no time: known already, or missing. Pure: no I/O."""

from collections.abc import Callable
from typing import Protocol

from apimart_cli.errors import AuthError
from apimart_cli.keys.key import ApiKey

SecondsLeft = Callable[[], float]
"""Tells how many seconds are left until a deadline; 0 when it is over."""


class KeySource(Protocol):
    """Anything that can give a key."""

    @property
    def state(self) -> str:
        """What `config show` tells of it: never a character of the key."""

    @property
    def fault(self) -> str | None:
        """What is certainly wrong with it, found without reading it; None when it may work."""

    @property
    def key_id(self) -> str | None:
        """Tells the key apart from others; None where it is not known without reading it."""

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key before `seconds_left` is 0.

        Raises AuthError, also when the time is over, or UsageError where something is missing to read it with. An
        error is not kept: the next reading asks again.
        """


class GivenKey:
    """A key that is known already: from an option, a variable, a file or the profile itself."""

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
        """Why there is none."""
        return self.error.message

    @property
    def state(self) -> str:
        """Why there is none."""
        return f"not usable: {self.error.message}"

    def read(self, seconds_left: SecondsLeft) -> ApiKey:  # noqa: ARG002  # needs no time
        """Raise the error."""
        raise self.error


def drop_newline(text: str) -> str:
    """Return `text` without the one line end that files and commands write after a key."""
    return text.removesuffix("\n").removesuffix("\r")
