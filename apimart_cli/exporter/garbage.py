"""Garbage of what goes on for weeks: exchanges leave cycles, and the process of a command looks for them too seldom.

A look at what is young makes what it finds alive older, also what is under way and garbage a moment later. So older
things are looked at as well, each time more seldom: a look at all of thousands of readings takes a tenth of a second.
"""

import gc

EVERY = 2.0
"""Seconds between two looks at the youngest."""

OLDER_EVERY = 15
"""Looks at the youngest from one look at older things to the next."""

ALL_EVERY = 300
"""The same for all things."""


class Garbage:
    """When to look, by a clock in seconds."""

    def __init__(self) -> None:
        self._looked_at = 0.0
        self._looks = 0

    def collect(self, now: float) -> None:
        """Look, where that is due."""
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        self._looks += 1
        gc.collect(2 if self._looks % ALL_EVERY == 0 else 1 if self._looks % OLDER_EVERY == 0 else 0)
