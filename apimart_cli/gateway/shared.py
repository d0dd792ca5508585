"""What is got once, however many questions need it. Pure but for its lock."""

import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from apimart_cli.errors import ApimartError

T = TypeVar("T")


class Asked(NamedTuple):
    """What makes two questions the same one."""

    key_id: str
    endpoint: str
    timeout: float


class Shared(Generic[T]):
    """What is got once, however many questions of one `ask` need it; its failure, too."""

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
