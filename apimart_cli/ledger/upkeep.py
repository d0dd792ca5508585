"""Changes that a command makes to the whole ledger: it waits for others with patience, and nobody waits for it long."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError, NoLedgerError
from apimart_cli.ledger.queries import profiles
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.runs import clear_runs, rename_runs, runs
from apimart_cli.ledger.store import clear, rename
from apimart_cli.runs import Run


class Imported(NamedTuple):
    """How many samples were new, and how many were there already, or more than once in the import."""

    added: int
    known: int


class Cleared(NamedTuple):
    """How many samples were deleted, and the names of the profiles that there were."""

    deleted: int
    profiles: list[str]


def import_samples(path: Path, file: BinaryIO, now: datetime) -> Imported:
    """Add the samples of a file of JSON Lines, all or none, and delete what is older than is kept.

    Raises UsageError for a line that is wrong, OSError when the file cannot be read, LedgerError.
    """
    # Late: of these commands, only this one needs the library of locks.
    from apimart_cli.ledger.merge import Staged, merge
    from apimart_cli.ledger.transfer import lines_of

    with Staged(lines_of(file), now) as staged, opened(path, seconds=None) as connection:
        added = merge(connection, staged, now)
        known = staged.lines - added
        # What is added now is added, whatever becomes of the rest.
        prune(connection, now)
    return Imported(added, known)


def clear_samples(path: Path, *, profile: str | None = None, before: datetime | None = None) -> Cleared:
    """Delete samples, of one profile or before a time where that is named, and runs in the same way.

    With all of them goes what was told of low balances: each is told again. Raises LedgerError.
    """
    try:
        with opened(path, seconds=None, create=False) as connection:
            names = profiles(connection)
            clear_runs(connection, profile=profile, before=before)
            if profile is None and before is None:
                # Late, as above.
                from apimart_cli.ledger.alerts import clear_alarms

                clear_alarms(connection)
            return Cleared(clear(connection, profile=profile, before=before), names)
    except NoLedgerError:
        return Cleared(0, [])


def kept_runs(path: Path, *, since: datetime, profile: str | None = None) -> Sequence[Run]:
    """Return the guarded runs that began after a time, of one profile where that is named. Raises LedgerError."""
    try:
        with opened(path, seconds=None, create=False) as connection:
            return runs(connection, since=since, profile=profile)
    except NoLedgerError:
        return []


def rename_profile(path: Path, old: str, new: str) -> None:
    """Give what a profile has read the profile's new name. Raises LedgerError; without a ledger nothing is done."""
    with suppress(NoLedgerError), opened(path, seconds=None, create=False) as connection:
        rename(connection, old, new)
        rename_runs(connection, old, new)


def prune_when_due(path: Path, now: datetime) -> None:
    """Delete what is older than is kept, unless that was done within a day; where that fails, another time."""
    with suppress(LedgerError), opened(path, seconds=None, create=False) as connection:
        prune(connection, now)
