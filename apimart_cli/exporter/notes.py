"""What an exporter says of the profiles that begin to fail and recover: a line for each change, none for each round.

Pure but for its lock: no I/O, no clock.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from apimart_cli.balance import Reading


class Note(NamedTuple):
    """One message, and what to do next."""

    message: str
    hint: str | None = None


class Notes:
    """Which readings fail, and what is to be told of that since it was last asked for."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failing: set[tuple[str, str]] = set()
        self._failed: dict[Note, list[str]] = {}
        self._recovered: list[str] = []

    def take(self, readings: Sequence[Reading]) -> None:
        """Take note of readings that have come."""
        with self._guard:
            for reading in readings:
                self._take(reading)

    def _take(self, reading: Reading) -> None:
        place = reading.profile, reading.scope.value
        if reading.error is None:
            if place in self._failing:
                self._failing.discard(place)
                self._recovered.append(reading.name)
        elif place not in self._failing:
            self._failing.add(place)
            self._failed.setdefault(Note(reading.error.message, reading.error.hint), []).append(reading.name)

    def forget(self, profiles: Iterable[str]) -> None:
        """Expect nothing more of profiles that went."""
        gone = set(profiles)
        with self._guard:
            self._failing = {place for place in self._failing if place[0] not in gone}

    def told(self) -> Iterator[Note]:
        """Give what is to be told since: what is the same of several is one line."""
        with self._guard:
            failed, self._failed = self._failed, {}
            recovered, self._recovered = self._recovered, []
        for note, names in failed.items():
            yield Note(f"{_listed(names)} cannot be read: {note.message}", note.hint)
        if recovered:
            yield Note(f"{_listed(recovered)} can be read again")


def _listed(names: Sequence[str]) -> str:
    """Return all of up to three names, and of more the first two and how many more there are."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]}, {names[1]} and {len(names) - 2} more"
