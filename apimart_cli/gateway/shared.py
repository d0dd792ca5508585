"""What is got once, however many questions need it. Pure but for its lock."""

import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from apimart_cli.balance import Balance
from apimart_cli.errors import ApimartError
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.source import KeySource

T = TypeVar("T")


class Asked(NamedTuple):
    """What makes two questions the same one."""

    key_id: str
    endpoint: str
    timeout: float
    may_be_missing: bool = False
    """Whether the endpoint was asked by default, and may be missing: to others a missing one is an error."""


class Shared(Generic[T]):
    """What is got once, however many questions of a `Sharing` need it; its failure, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcome: T | ApimartError | None = None
        self.foretold: ApimartError | None = None
        """A failure that is already certain, for the case that the rest of the answer outlives the clock."""

    def get(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; the first caller does it, the others wait for that. Raises its ApimartError."""
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = work()
                except ApimartError as error:
                    self._outcome = error
        if isinstance(self._outcome, ApimartError):
            raise self._outcome
        return self._outcome


class Sharing:
    """What some questions have in common: each key is read once, and the same question is asked once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._keys: dict[int, Shared[ApiKey]] = {}
        self._answers: dict[Asked, Shared[Balance]] = {}

    def key(self, source: KeySource) -> Shared[ApiKey]:
        """Return what the questions that need the key of `source` share."""
        with self._guard:
            return self._keys.setdefault(id(source), Shared())

    def answer(self, asked: Asked) -> Shared[Balance]:
        """Return what the questions that are the same share."""
        with self._guard:
            return self._answers.setdefault(asked, Shared())
