"""What a forecast from the gateway's books needs beside them: the question, days, and what the ledger keeps of them.

A by-product: no function here raises, and none takes long.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.files import is_absent
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from datetime import date

    from apimart_cli.gateway.books import Query
    from apimart_cli.ledger.books import KeptBooks
    from apimart_cli.ledger.file import Connection
    from apimart_cli.ledger.schema import Series
    from apimart_cli.rules.books import BooksReading, Usage
    from apimart_cli.rules.spending import Sample

DAYS = 28
"""Whole days that are asked about, beside today."""

LEDGER_SECONDS = 0.25
"""Most seconds for the ledger, each time it is read or written."""

Samples = Callable[["Series", float], "list[Sample]"]
"""Returns the samples of a series from the ledger, within so many seconds."""


def zone_of_machine() -> "tuple[str, tzinfo]":
    """Return the machine's time zone, or UTC if that has no name: whole days can be counted in any zone."""
    from apimart_cli.errors import UsageError
    from apimart_cli.zones import local_zone, zone_of

    try:
        name = local_zone()
    except UsageError:
        name = "UTC"
    return name, zone_of(name, "the time zone")


def question(scope: Scope, tz: str, zone: tzinfo) -> "Query":
    """Return the question for the spend of DAYS whole days and today, as far as there are books."""
    from apimart_cli.choices import UsageBy
    from apimart_cli.gateway.books import Query
    from apimart_cli.rules.books import last_days

    return Query(last_days(DAYS + 1, datetime.now(UTC), zone), tz, zone, UsageBy.DAY, scope)


def kept_of(usage: "Usage", zone: tzinfo) -> "KeptBooks":
    """Return the spend of each day as the ledger keeps it."""
    from apimart_cli.ledger.books import KeptBooks
    from apimart_cli.rules.books import every_day, local_day

    spends = [row.spent for row in every_day(usage, zone)]
    return KeptBooks(usage.fetched_at.timestamp(), local_day(usage.until - timedelta(seconds=1), zone), spends)


def has_days(samples: "Sequence[Sample]") -> bool:
    """Tell whether the ledger has enough days of its own for a forecast."""
    from apimart_cli.rules.forecast import LEAST_BLOCKS
    from apimart_cli.rules.spending import DAY, segments

    if not samples:
        return False
    last = segments(samples)[-1]
    return last[-1].at - last[0].at >= LEAST_BLOCKS * DAY


class Looked(NamedTuple):
    """What the ledger knows of the books."""

    kept: "KeptBooks | None" = None
    failure: str | None = None


def look_at_books(settings: Settings, series: "Series", tz: str) -> Looked:
    """Return what the ledger keeps of the books of a key or an account. Nothing is raised."""
    path = settings.history.value
    if path is None or is_absent(path):
        return Looked()
    from apimart_cli.ledger.books import failed_with, kept
    from apimart_cli.ledger.file import opened

    now = time.time()
    try:
        with opened(path, seconds=LEDGER_SECONDS, create=False) as connection:
            return Looked(kept(connection, series, tz, now), failed_with(connection, series, tz, now))
    except Exception:  # noqa: BLE001  # then the books are asked
        return Looked()


def keep_answer(settings: Settings, series: "Series", tz: str, kept: "KeptBooks") -> None:
    """Keep what the books said."""
    from apimart_cli.ledger.books import keep

    _write(settings, lambda connection: keep(connection, series, tz, kept))


def keep_failure(settings: Settings, reading: "BooksReading", tz: str) -> None:
    """Keep that a question failed, and for how long it should not be asked again."""
    from apimart_cli.errors import UnavailableError
    from apimart_cli.ledger.books import note_failure
    from apimart_cli.ledger.schema import Series

    error, key_id = reading.error, reading.key_id
    if error is None or key_id is None:
        return
    series = Series(key_id, reading.host, reading.scope)
    wait = error.retry_after if isinstance(error, UnavailableError) else None
    _write(
        settings,
        lambda connection: note_failure(connection, series, tz, time.time(), error.code, retry_after=wait),
    )


def _write(settings: Settings, work: "Callable[[Connection], None]") -> None:
    """Write to the ledger, if readings are recorded. Nothing is raised."""
    path: Path | None = settings.history.value
    if path is None or not settings.record.value:
        return
    from apimart_cli.ledger.file import opened

    with suppress(Exception), opened(path, seconds=LEDGER_SECONDS) as connection:
        work(connection)


def samples_of(series: "Series", samples: Samples) -> "list[Sample]":
    """Return the samples of a series from the ledger; none if it cannot be read."""
    try:
        return samples(series, LEDGER_SECONDS)
    except Exception:  # noqa: BLE001  # an answer that depends on the ledger tells why it cannot be read
        return []


def today(zone: tzinfo) -> "date":
    """Return the day that a clock in `zone` shows now."""
    from apimart_cli.rules.books import local_day

    return local_day(datetime.now(UTC), zone)
