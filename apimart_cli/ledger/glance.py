"""A glance at the ledger: the last reading of a key, or of a profile where its key is not known, and its forecast."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from apimart_cli.forecast import REACH
from apimart_cli.ledger.file import Connection, opened
from apimart_cli.ledger.place import NoLedgerError
from apimart_cli.ledger.queries import keys_of_profile, latest, latest_of_profile, samples
from apimart_cli.ledger.records import Entry, Series
from apimart_cli.ledger.state import Refreshing, look
from apimart_cli.spending import Sample
from apimart_cli.words import Scope

EVERY = timedelta(minutes=30)
"""Of samples that stand closer together the last one is read: a line has few digits, and no time."""


class Question(NamedTuple):
    """What is looked for."""

    profile: str
    """The label of the readings."""
    host: str
    scopes: Sequence[Scope]
    name: str
    """The name of its row in the table `state`."""
    key_id: str | None = None
    """The key that would be asked with, where it is known: another key's readings are then not looked at."""
    is_keyless: bool = False
    """No key would be asked with: what is known is shown where it can only be about one key."""

    def latest(self, connection: Connection, scope: Scope, now: datetime) -> Entry | None:
        """Return the last reading of one scope up to `now`."""
        if self.key_id is not None:
            return latest(connection, Series(self.key_id, self.host, scope), until=now)
        if self.is_keyless and len(keys_of_profile(connection, self.profile, self.host, scope)) > 1:
            return None
        return latest_of_profile(connection, self.profile, self.host, scope, until=now)


class Recalled(NamedTuple):
    """The last reading of one scope."""

    entry: Entry
    samples: Sequence[Sample]
    """What a forecast needs of those before it, and itself; empty where no forecast was asked for."""


class Glance(NamedTuple):
    """What is known."""

    seen: Sequence[Recalled] = ()
    """One for each scope, or none where one of them is missing."""
    refreshing: Refreshing = Refreshing()

    def confirmed_at(self, now: datetime) -> datetime:
        """Return when the gateway last said what was seen: of several, what it said first.

        What is confirmed in the future was confirmed by a clock that was ahead.
        """
        stamp = self.refreshing.confirmed_at
        confirmed = datetime.fromtimestamp(stamp if 0 <= stamp <= now.timestamp() else 0, UTC)
        return min(max(each.entry.at, confirmed) for each in self.seen)


def glance(path: Path, question: Question, now: datetime, *, has_forecast: bool) -> Glance:
    """Look at the ledger, for a moment. Raises LedgerError when it cannot be used, or not at once.

    What is dated after `now` was written by a clock that was ahead, and is left out.
    """
    try:
        with opened(path, create=False) as connection:
            refreshing = look(connection, question.name)
            seen = []
            for scope in question.scopes:
                entry = question.latest(connection, scope, now)
                if entry is None:
                    return Glance(refreshing=refreshing)
                since = entry.at - REACH
                before = (
                    samples(connection, entry.series, since=since, until=entry.at, every=EVERY) if has_forecast else []
                )
                seen.append(Recalled(entry, before))
            return Glance(seen, refreshing)
    except NoLedgerError:
        return Glance()
