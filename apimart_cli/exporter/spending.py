"""What the profiles of an exporter have spent in the last day. It asks the gateway's own books now and then.

It is a by-product, in a thread: whatever happens to that, the page shows the same balances.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apimart_cli.config.settings import Settings
from apimart_cli.errors import NoBooksError
from apimart_cli.processes.signals import start_thread
from apimart_cli.words import Scope

WINDOW = timedelta(hours=24)
"""The time for which the spend is shown."""

ASK_EVERY = 300.0
"""Least seconds between two questions about one profile."""

WITHOUT_BOOKS = 3600.0
"""Seconds for which a gateway that keeps no books is not asked again."""

AT_ONCE = 20
"""Most profiles that are asked about at the same time, as balances come first."""

_PAUSE = 1.0
"""Seconds between two looks at what is due."""

TakeSpent = Callable[[str, Scope, Decimal | None], None]
"""Takes the name of a profile, the scope of the books, and what was spent; None if that is not known."""


class Spending:
    """Asks the books for an exporter, from `start` to `finish`."""

    def __init__(self, take: TakeSpent, *, every: float = ASK_EVERY) -> None:
        self._take = take
        self._every = every
        self._guard = threading.Lock()
        self._profiles: dict[str, Settings] = {}
        self._due_at: dict[str, float] = {}
        self._without_books: dict[str, float] = {}
        self._is_over = threading.Event()

    def use(self, profiles: Sequence[Settings]) -> None:
        """Ask for these profiles from now on, if they allow it, as soon as each was read."""
        with self._guard:
            self._profiles = {each.profile.value: each for each in profiles if each.books.value}
            self._due_at = {name: at for name, at in self._due_at.items() if name in self._profiles}

    def seen(self, settings: Settings) -> None:
        """Note that a profile was read: its key is known, so the user is not asked for it."""
        with self._guard:
            if settings.profile.value in self._profiles:
                self._due_at.setdefault(settings.profile.value, 0.0)

    def start(self) -> None:
        """Begin. Where the system starts no thread, the page does not show what was spent."""
        start_thread(self._run, "spending")

    def finish(self) -> None:
        """Ask no more."""
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.wait(_PAUSE):
            due = self._due()
            if due:
                # Nothing depends on it, and it is tried again.
                with suppress(Exception):
                    self._ask(due)

    def _due(self) -> list[Settings]:
        now = time.monotonic()
        with self._guard:
            names = [name for name, at in self._due_at.items() if at <= now][:AT_ONCE]
            self._due_at |= dict.fromkeys(names, now + self._every)
            return [self._profiles[name] for name in names]

    def _ask(self, due: Sequence[Settings]) -> None:
        from apimart_cli.choices import UsageBy
        from apimart_cli.gateway.books import Query, ask_books
        from apimart_cli.readings.books import scope_of
        from apimart_cli.rules.books import Period
        from apimart_cli.rules.budget import spent_of

        now = datetime.now(UTC).replace(microsecond=0)
        asked = []
        for settings in due:
            target = settings.targets()[0]
            query = Query(Period(now - WINDOW, now), "UTC", UTC, UsageBy.MODEL, scope_of(settings))
            if self._without_books.get(target.host, 0.0) <= time.monotonic():
                asked.append((target, query))
        with ask_books(asked) as readings:
            for reading in readings:
                if isinstance(reading.error, NoBooksError):
                    self._without_books[reading.host] = time.monotonic() + WITHOUT_BOOKS
                spent = None if reading.usage is None else spent_of(reading.usage)
                self._take(reading.profile, reading.scope, spent)
