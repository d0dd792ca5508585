"""The first round: whether each profile was asked once. Pure: no I/O, and no clock of its own."""

from apimart_cli.errors import UnavailableError
from apimart_cli.exporter.asked import Asked


class FirstRound:
    """Who was not yet answered and has not yet failed."""

    def __init__(self, *, ends_at: float) -> None:
        """At `ends_at` it is over, whoever is missing: a slow gateway keeps nobody waiting for the others."""
        self._missing = set[Asked]()
        self._ends_at = ends_at
        self.is_over = False

    def add(self, asked: Asked) -> None:
        """Wait for one more, unless it is over."""
        if not self.is_over:
            self._missing.add(asked)

    def saw(self, asked: Asked) -> None:
        """Take note of one that was answered, failed, or went."""
        self._missing.discard(asked)

    def end(self, now: float) -> list[Asked] | None:
        """Return who is missing when it is over, once; None before and afterwards."""
        if self.is_over or (self._missing and now < self._ends_at):
            return None
        self.is_over = True
        return list(self._missing)


def not_asked_yet(asked: Asked) -> UnavailableError:
    """Return why there is no reading of one that is missing."""
    return UnavailableError(
        f"not asked yet: {asked.host} is too slow for so many keys", "raise --concurrency or --interval"
    )
