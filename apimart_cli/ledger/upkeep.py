"""Upkeep of the whole ledger: import, export as JSON Lines or CSV, clearing, renaming.

It waits for other processes patiently, and works in small steps, so that they do not wait for long.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.place import LedgerError, NoLedgerError
from apimart_cli.ledger.queries import KEY_ID, profiles
from apimart_cli.ledger.retention import prune
from apimart_cli.ledger.runs import clear_runs, rename_runs, runs
from apimart_cli.ledger.schema import MAX_DIGITS, MAX_PLACES, Entry, Series
from apimart_cli.ledger.store import clear, rename
from apimart_cli.records import Run
from apimart_cli.text import iso_time, visible, without_keys
from apimart_cli.words import ScopeChoice

FIELDS = (
    "schema",
    "at",
    "key_id",
    "host",
    "scope",
    "profile",
    "remain_balance",
    "used_balance",
    "unlimited_quota",
    "unit",
    "source",
)

MAX_LINE = 10_000
"""Most characters of a line of an import; a real one has about 300."""

MAX_TEXT = 300
"""Most characters of a name in an imported line."""

FUTURE = timedelta(days=1)
"""How far the clock of another system may be ahead."""

OLDEST = datetime(2020, 1, 1, tzinfo=UTC)
"""A time before this is a mistake: no gateway of this family is older."""

_NAMES = frozenset(FIELDS)

_SCOPES = {scope.value: scope for scope in ScopeChoice.BOTH.asked}

_PLAIN = re.compile(r"[A-Za-z0-9 ._/@+-]+(:[0-9]+)?")
"""Nearly every name matches this, which is quicker than `visible`."""


_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z")


class Imported(NamedTuple):
    """How many samples were new, and how many were in the ledger already, or in the import twice."""

    added: int
    known: int


class Cleared(NamedTuple):
    """How many samples were deleted, and the names of all profiles that had any."""

    deleted: int
    profiles: list[str]


def import_samples(path: Path, file: BinaryIO, now: datetime) -> Imported:
    """Add the samples of a file of JSON Lines, all or none, and prune the ledger.

    Raises UsageError for a wrong line, OSError if the file cannot be read, and LedgerError.
    """
    # Imported late, as it loads the library of locks, which the other commands do not need.
    from apimart_cli.ledger.merge import Staged, merge

    with Staged(lines_of(file), now) as staged, opened(path, seconds=None) as connection:
        added = merge(connection, staged, now)
        known = staged.lines - added
        # After the samples are safe, as this may fail.
        prune(connection, now)
    return Imported(added, known)


def clear_samples(path: Path, *, profile: str | None = None, before: datetime | None = None) -> Cleared:
    """Delete all samples and runs, or those of a profile, or those before a time.

    If it deletes all, it also forgets which alerts were sent: each is sent again. Raises LedgerError.
    """
    try:
        with opened(path, seconds=None, create=False) as connection:
            names = profiles(connection)
            clear_runs(connection, profile=profile, before=before)
            if profile is None and before is None:
                # Imported late, as above.
                from apimart_cli.ledger.alarms import clear_alarms
                from apimart_cli.ledger.books import clear_books

                clear_alarms(connection)
                clear_books(connection)
            return Cleared(clear(connection, profile=profile, before=before), names)
    except NoLedgerError:
        return Cleared(0, [])


def kept_runs(path: Path, *, since: datetime, profile: str | None = None) -> Sequence[Run]:
    """Return the guarded runs that began after `since`, of `profile` if that is given. Raises LedgerError."""
    try:
        with opened(path, seconds=None, create=False) as connection:
            return runs(connection, since=since, profile=profile)
    except NoLedgerError:
        return []


def rename_profile(path: Path, old: str, new: str) -> None:
    """Give the readings and runs of a profile its new name. Raises LedgerError; without a ledger it does nothing."""
    with suppress(NoLedgerError), opened(path, seconds=None, create=False) as connection:
        rename(connection, old, new)
        rename_runs(connection, old, new)


def prune_when_due(path: Path, now: datetime) -> None:
    """Prune the ledger if that is due. If it fails, a later command does it."""
    with suppress(LedgerError), opened(path, seconds=None, create=False) as connection:
        prune(connection, now)


def document_of(entry: Entry) -> dict[str, Any]:
    """Return an entry as the fields of its JSON; amounts are Decimal. No text in it looks like a key."""
    return {
        "schema": 1,
        "at": iso_time(entry.at),
        "key_id": entry.series.key_id,
        "host": without_keys(entry.series.host),
        "scope": entry.series.scope.value,
        "profile": without_keys(entry.profile),
        "remain_balance": entry.remain,
        "used_balance": entry.used,
        "unlimited_quota": entry.remain is None,
        "unit": None if entry.unit is None else without_keys(entry.unit),
        "source": without_keys(entry.source),
    }


def as_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield a header, and a line for each entry. A cell that would be a formula in a spreadsheet begins with `'`."""
    yield _csv_line(FIELDS)
    for entry in entries:
        yield _csv_line([_cell(value) for value in document_of(entry).values()])


def lines_of(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file, read as UTF-8.

    `read_line` refuses the pieces in which a line comes that is too long, and bytes that are not text.
    """
    for line in iter(lambda: file.readline(4 * MAX_LINE + 1), b""):
        yield line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def read_line(line: str, number: int, now: datetime) -> Entry:
    """Return the entry in one line of JSON. Raises UsageError with the number of the line and nothing of its text."""
    if len(line) > MAX_LINE:
        raise _refused(number, f"it is longer than {MAX_LINE} characters")
    if "sk-" in line and without_keys(line) != line:
        raise _holds_key(number)
    try:
        document = json.loads(line, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError, ArithmeticError):
        raise _refused(number, "it is not JSON") from None
    if not isinstance(document, dict) or document.keys() != _NAMES:
        raise _refused(number, f"it is not an object with exactly the names {', '.join(FIELDS)}")
    if "\\" in line and any(isinstance(value, str) and without_keys(value) != value for value in document.values()):
        raise _holds_key(number)
    return _entry_of(document, number, now)


def _entry_of(document: Mapping[str, Any], number: int, now: datetime) -> Entry:
    if not isinstance(document["schema"], Decimal) or document["schema"] != 1:
        raise _refused(number, "its schema is not 1")
    for name in ("key_id", "host", "scope", "profile", "source"):
        if not _is_name(document[name]):
            raise _refused(number, f"{name} is not a short text")
    if not re.fullmatch(KEY_ID, document["key_id"]):
        raise _refused(number, "key_id is not 12 hexadecimal digits")
    if document["scope"] not in _SCOPES:
        raise _refused(number, f"scope is none of {', '.join(_SCOPES)}")
    unit = document["unit"]
    if unit is not None and not _is_name(unit):
        raise _refused(number, "unit is neither a short text nor null")
    unlimited = document["unlimited_quota"]
    if not isinstance(unlimited, bool) or unlimited != (document["remain_balance"] is None):
        raise _refused(number, "unlimited_quota does not fit remain_balance")
    return Entry(
        Series(document["key_id"], document["host"], _SCOPES[document["scope"]]),
        _time(document["at"], number, now),
        document["profile"],
        None if unlimited else _amount(document, "remain_balance", number),
        _amount(document, "used_balance", number),
        unit,
        document["source"],
    )


def _is_name(value: Any) -> bool:
    # A name with hidden characters could move the cursor of a terminal later, or not be text at all.
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TEXT
        and (bool(_PLAIN.fullmatch(value)) or visible(value) == value)
    )


def _time(value: Any, number: int, now: datetime) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise _refused(number, "at is not a time like 2026-11-20T10:00:00Z")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _refused(number, "at is a time that does not exist") from None
    if moment < OLDEST:
        raise _refused(number, f"at is before {OLDEST.year}")
    if moment > now + FUTURE:
        raise _refused(number, "at is in the future")
    return moment


def _amount(document: Mapping[str, Any], name: str, number: int) -> Decimal:
    amount = document[name]
    # The exponent first: written out, a number with a huge one would fill the memory.
    is_sensible = isinstance(amount, Decimal) and amount.is_finite() and amount.adjusted() < MAX_DIGITS
    if not is_sensible or int(amount.as_tuple().exponent) < -MAX_PLACES:
        raise _refused(number, f"{name} is not an amount")
    if name == "used_balance" and amount < 0:
        raise _refused(number, f"{name} is negative")
    return Decimal(amount)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


def _holds_key(number: int) -> UsageError:
    return _refused(number, "there is something in it that looks like an API key, which no export has")


def _refused(number: int, what: str) -> UsageError:
    return UsageError(f"line {number}: {what}", "nothing was imported; correct the line, or leave it out")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = visible(str(value))
    return f"'{text}" if text[:1] in "=+-@" else text


def _csv_line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
