"""What the ledger adds to readings, which is how long each balance lasts, and what readings leave in it.

A by-product: if the ledger fails, the readings stay the same, and so does every exit code but that of `--min-runway`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from apimart_cli.config.settings import Settings
from apimart_cli.errors import PaymentRequiredError
from apimart_cli.files import is_absent
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.target import has_documented_account
from apimart_cli.text import without_keys
from apimart_cli.words import Scope

if TYPE_CHECKING:
    from apimart_cli.ledger.recall import Recall
    from apimart_cli.ledger.schema import Entry, Series
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.rules.forecast import Forecast
    from apimart_cli.rules.spending import Sample

HELD_UP_SECONDS = 0.25
"""Most seconds, in all, for which forecasts hold up answers that have arrived and do not depend on them."""

WAITED_SECONDS = 3.0
"""Most seconds after the start for which an answer that depends on forecasts waits for them."""


def patience_for(profiles: Sequence[Settings]) -> float:
    """Return how many seconds an answer that depends on forecasts waits for them: at most the shortest timeout."""
    return min(WAITED_SECONDS, *(profile.timeout.value for profile in profiles))


class Forecasts:
    """How long balances last, told from the ledger, or else from the books, which are read while the answers travel."""

    def __init__(
        self, profiles: Sequence[Settings], *, patience: float = 0.0, books: "BookForecasts | None" = None
    ) -> None:
        """Take the profiles whose readings are to have forecasts.

        Answers may wait for forecasts until `patience` seconds after the start; above 0 they depend on them. `books`
        tell forecasts where the ledger has too little.
        """
        self._books = books
        self._profiles = profiles
        self._patience = patience
        self._patient_until = 0.0
        self._held_up_left = HELD_UP_SECONDS
        self._recall: Recall | None = None
        self.error: Exception | None = None
        """Why there are none, if the ledger cannot be read."""

    @contextmanager
    def reading_ledger(self) -> Iterator[None]:
        """In the background, read the ledger, if there is one, and ask the books, until the block ends."""
        self._start()
        try:
            yield
        finally:
            if self._recall is not None:
                self._recall.stop()
            if self._books is not None:
                self._books.stop()

    def added_to(self, reading: Reading) -> Reading:
        """Return the reading with its forecast, if there is one, from the ledger, or else from the gateway's books."""
        told = self._added_by_ledger(reading)
        # If the history cannot be read, the books must not decide: it may say something else.
        if self._books is None or self.error is not None:
            return told
        return self._books.added_to(told, self._samples)

    def _samples(self, series: "Series", seconds: float) -> "list[Sample]":
        return [] if self._recall is None else self._recall.samples(series, seconds)

    def _added_by_ledger(self, reading: Reading) -> Reading:
        """Return the reading with the forecast of the ledger; wait for it as long as `_waiting` allows."""
        if reading.balance is None or reading.key_id is None:
            return reading
        if self._recall is None:
            return reading
        with self._waiting() as seconds:
            try:
                floor = floor_at(self._profiles[0].history.value, reading)
                return reading._replace(forecast=_forecast(self._recall, reading, reading.balance, seconds, floor))
            except Exception as error:  # noqa: BLE001  # `error` keeps it for answers that depend on it
                return self._without(reading, error)

    def _start(self) -> None:
        """Begin to read the ledger, if there is one, and to ask the books. Nothing is raised."""
        self._patient_until = time.monotonic() + self._patience
        self._recall = _recall(self._profiles)
        if self._books is not None:
            self._books.start(self._samples)

    @contextmanager
    def _waiting(self) -> Iterator[float]:
        """Give the seconds for which one reading may wait.

        Until the patience ends, waiting costs nothing. After that all readings share HELD_UP_SECONDS:

            start        first answer   patience ends      last answer
              |---------------|##############|++++++++++++++++++|
                                  # is free     + is counted: at most HELD_UP_SECONDS
        """
        began = time.monotonic()
        try:
            yield max(self._patient_until - began, self._held_up_left)
        finally:
            self._held_up_left -= max(0.0, time.monotonic() - max(began, self._patient_until))

    def _without(self, reading: Reading, error: Exception) -> Reading:
        """Return the reading without a forecast.

        If the answer depends on forecasts, a history that cannot be read differs from no history.
        """
        from apimart_cli.ledger.place import NoLedgerError
        from apimart_cli.rules.forecast import UNREADABLE

        if isinstance(error, NoLedgerError):
            return reading
        self.error = error
        return reading._replace(forecast=UNREADABLE) if self._patience else reading


def record(path: Path | None, readings: Iterable[Reading], source: str, *, seconds: float = HELD_UP_SECONDS) -> None:
    """Write the balances among `readings` to the ledger, within so many seconds.

    Raises LedgerError, or any other error of the ledger.
    """
    every = list(readings)
    entries = [entry for reading in every for entry in _entries(reading, source)]
    _record_floors(path, every, seconds=seconds)
    if not entries:
        return
    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.ledger.store import remember

    if path is None:
        raise LedgerError("there is no home folder for the ledger")
    remember(path, entries, datetime.now(UTC), seconds=seconds)


def _record_floors(path: Path | None, readings: Iterable[Reading], *, seconds: float) -> None:
    """Write what any call needs at gateways that have just said so: a smaller balance cannot be spent."""
    parts = [part for reading in readings for part in reading.parts or (reading,)]
    floors = {
        part.host: part.error.floor
        for part in parts
        if isinstance(part.error, PaymentRequiredError) and part.error.floor is not None
    }
    if not floors or path is None:
        return
    from apimart_cli.ledger.books import keep_floor
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.store import within

    def write() -> None:
        with opened(path, seconds=seconds) as connection:
            for host, floor in floors.items():
                keep_floor(connection, host, floor)

    within(seconds, path, write)


def may_lack_account(path: Path | None, host: str, seconds: float) -> bool:
    """Tell whether the gateway at `host` may have no account endpoint: by the ledger, the endpoint has never answered.

    False if the endpoint is documented, and if the ledger cannot be read within so many seconds: one fault on the way
    must not hide an empty account.
    """
    if has_documented_account(host):
        return False
    if path is None or is_absent(path):
        return True
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.place import NoLedgerError
    from apimart_cli.ledger.queries import has_answered

    try:
        with opened(path, seconds=min(seconds, WAITED_SECONDS), create=False) as connection:
            return not has_answered(connection, host, Scope.ACCOUNT)
    except NoLedgerError:
        return True
    except Exception:  # noqa: BLE001  # a ledger that fails may hold an answer of the endpoint
        return False


def unrecorded(asked_by: str, error: Exception) -> tuple[str, str]:
    """Return the warning, and its hint, that nothing was recorded although `asked_by` asks for it."""
    return (
        f"nothing was recorded, which {asked_by} asks for: {error}",
        "name another place in APIMART_HISTORY, or turn it off with: apimart config set record false",
    )


def floor_at(path: Path | None, reading: Reading) -> Decimal:
    """Return what any call needs at the gateway, if the balance is in dollars and the gateway has said so; else 0."""
    if reading.unit != "USD" or path is None or is_absent(path):
        return Decimal(0)
    from apimart_cli.ledger.books import floor_of
    from apimart_cli.ledger.file import opened

    try:
        with opened(path, seconds=HELD_UP_SECONDS, create=False) as connection:
            return floor_of(connection, reading.host) or Decimal(0)
    except Exception:  # noqa: BLE001  # forecasts are a by-product
        return Decimal(0)


def _forecast(
    recall: "Recall", reading: Reading, balance: Balance, seconds: float, floor: Decimal
) -> "Forecast | None":
    from apimart_cli.ledger.schema import Series
    from apimart_cli.rules.forecast import forecast
    from apimart_cli.rules.spending import Sample

    samples = recall.samples(Series(reading.key_id or "", reading.host, reading.scope), seconds)
    if not samples:
        return None
    return forecast([*samples, Sample(balance.fetched_at, balance.remain_balance, balance.used_balance)], floor=floor)


def _recall(profiles: Sequence[Settings]) -> "Recall | None":
    path = profiles[0].history.value
    if path is None or is_absent(path):
        return None
    from apimart_cli.ledger.recall import Recall, Sought
    from apimart_cli.rules.forecast import REACH

    known = {settings.profile.value: settings.api_key.value.key_id for settings in profiles}
    now = datetime.now(UTC)
    sought = Sought(
        hosts={target.host for settings in profiles for target in settings.targets()},
        key_ids={key_id for key_id in known.values() if key_id is not None},
        profiles={without_keys(name) for name, key_id in known.items() if key_id is None},
        since=now - REACH,
        until=now,
    )
    return Recall(path, sought)


def _entries(reading: Reading, source: str) -> "Iterator[Entry]":
    from apimart_cli.ledger.schema import Entry, Series

    for each in reading.parts or (reading,):
        if each.balance is not None and each.key_id is not None:
            yield Entry(
                series=Series(each.key_id, each.host, each.scope),
                at=each.balance.fetched_at,
                # A key in the wrong place may have become the name of a profile.
                profile=without_keys(each.profile),
                remain=each.balance.remain_balance,
                used=each.balance.used_balance,
                unit=each.unit,
                source=source,
            )
