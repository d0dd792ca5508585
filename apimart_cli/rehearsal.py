"""The history that goes with a sandbox: a ledger of its own, empty or with a made-up past."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from apimart_cli.errors import UsageError

if TYPE_CHECKING:
    from apimart_cli.sandbox.server import Sandbox

AGO = 60
"""Seconds from the last made-up reading to now, so that a reading that is taken now comes after it."""


@contextmanager
def temporary_history() -> Iterator[Path]:
    """Give the path of a ledger in a folder of its own, private to its owner, which goes with the block.

    Where no folder can be made, it is a path at which nothing is ever recorded: a rehearsal must not get into the real
    history.
    """
    import shutil
    import tempfile

    from apimart_cli.processes.signals import at_ending

    # Named before it is made: a signal may come in between.
    name = f"apimart-sandbox-{os.urandom(8).hex()}"
    folders: list[Path] = []

    def remove() -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    with at_ending(remove):
        try:
            folder = Path(tempfile.gettempdir()) / name
            folders.append(folder)
            folder.mkdir(mode=0o700)
        except OSError:
            yield Path(os.devnull)
            return
        try:
            yield folder / "history.db"
        finally:
            remove()


def fill(path: Path, gateway: "Sandbox", days: int) -> None:
    """Record a made-up past of the sandbox's key and account, which ends with what they have.

    Raises UsageError when it cannot be written.
    """
    from datetime import UTC, datetime, timedelta
    from urllib.parse import urlsplit

    from apimart_cli.keys.key import ApiKey
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.ledger.records import Entry, Series
    from apimart_cli.ledger.store import record
    from apimart_cli.sandbox.history import past
    from apimart_cli.sandbox.server import API_KEY
    from apimart_cli.words import Scope

    end = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=AGO)
    host, key_id = urlsplit(gateway.url).netloc, ApiKey(API_KEY, source="the sandbox").key_id
    funds = {Scope.KEY: gateway.scenario.key, Scope.ACCOUNT: gateway.scenario.account}
    entries = [
        Entry(Series(key_id, host, scope), each.at, "default", each.remain, each.used, None, "sandbox")
        for seed, scope in enumerate(funds, 1)
        for each in past(end, funds[scope], days, seed=seed)
    ]
    try:
        with opened(path, seconds=None) as connection:
            record(connection, entries)
    except LedgerError as error:
        message = f"--days: no history can be made: {error}"
        raise UsageError(message, "see whether the folder for temporary files (TMPDIR) can be written") from None
