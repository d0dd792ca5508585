"""The use case of `exporter`: settings in, a page of metrics out, until a signal ends it.

Its log has a line when a profile begins to fail and one when it recovers, not one for each round.
"""

import gc
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from apimart_cli.config.precedence import exposures
from apimart_cli.config.settings import Settings
from apimart_cli.errors import ApimartError, ExitCode, Trace, bug
from apimart_cli.exporter.access import AccessFiles, Address, check_exposure, read_access, read_hosts
from apimart_cli.exporter.asking import Asking
from apimart_cli.exporter.handler import Served
from apimart_cli.exporter.page import MetricsBoard, Pages
from apimart_cli.exporter.plan import asks_the_same
from apimart_cli.exporter.remembering import Remembering
from apimart_cli.exporter.server import Servers
from apimart_cli.exporter.spending import Spending
from apimart_cli.exporter.workers import keep_one_arena
from apimart_cli.keys.key import NoKey
from apimart_cli.output.prometheus import shown_names
from apimart_cli.processes.signals import SLICE, at_ending, handling
from apimart_cli.rules.balance import Reading
from apimart_cli.screen.writing import log_note, log_warning
from apimart_cli.text import listed

TELL_EVERY = 1.0
"""Seconds between two looks for notes, so that profiles that fail together share a line."""

_RELOAD = getattr(signal, "SIGHUP", None)


class Chosen(NamedTuple):
    """What to ask for, and how often. Times are in seconds."""

    profiles: Sequence[Settings]
    names: Sequence[str]
    """The names of all profiles, also of other shards: how one is shown depends on the others."""
    interval: float
    least: float
    """The shortest time between two questions for a profile that was answered."""


class ExporterOptions(NamedTuple):
    """The options of an exporter."""

    choose: Callable[[], Chosen]
    """Reads the settings, at the start and on SIGHUP. Raises UsageError."""
    places: Sequence[Sequence[Address]]
    """Where to listen: each place is one address, or one of each family."""
    files: AccessFiles
    is_insecure: bool
    """Whether other machines may reach it without TLS and a token."""
    allowed_hosts: Sequence[str]
    """Further host names that it answers to."""
    concurrency: int
    trace: Trace | None = None


def export(options: ExporterOptions) -> ExitCode:
    """Serve until a signal ends it, and return the exit code. On SIGHUP everything is read again.

    Raises AuthError if a single profile has no usable key, and UsageError if it cannot listen.
    """
    files = options.files
    files.check()
    for address in _addresses(options):
        check_exposure(
            address, has_tls=files.key is not None, has_token=files.token is not None, is_insecure=options.is_insecure
        )
    with _signals() as came:
        exporter = _Exporter(options)
        with at_ending(exporter.close):
            exporter.start()
            number = exporter.run(came)
    # A second signal ends it at once.
    exporter.finish()
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.OK


class Note(NamedTuple):
    """One message, and what to do next."""

    message: str
    hint: str | None = None


class Notes:
    """Which readings fail, and the notes on changes since the last call of `new`. Pure but for its lock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failing: set[tuple[str, str]] = set()
        self._failed: dict[Note, list[str]] = {}
        self._recovered: list[str] = []

    def take(self, readings: Sequence[Reading]) -> None:
        """Take readings."""
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
        """Forget profiles that are no longer asked for."""
        gone = set(profiles)
        with self._guard:
            self._failing = {place for place in self._failing if place[0] not in gone}

    def new(self) -> Iterator[Note]:
        """Yield the notes since the last call. Profiles that fail in the same way share one."""
        with self._guard:
            failed, self._failed = self._failed, {}
            recovered, self._recovered = self._recovered, []
        for note, names in failed.items():
            yield Note(f"{listed(names)} cannot be read: {note.message}", note.hint)
        if recovered:
            yield Note(f"{listed(recovered)} can be read again")


class _Exporter:
    """Puts the parts together: what asks, the page, the servers, the log and the ledger."""

    def __init__(self, options: ExporterOptions) -> None:
        self._options = options
        # Only if others can reach it: in a strange network, the network may have given a laptop its name.
        own_name = None if all(each.is_loopback for each in _addresses(options)) else socket.gethostname()
        self._hosts = read_hosts(options.allowed_hosts, own_name=own_name)
        self._host_refused = threading.Event()
        self._access = read_access(options.files)
        self._chosen = options.choose()
        self._is_refusal_told = False
        self._board = MetricsBoard()
        self._pages = Pages(self._board.page)
        self._notes = Notes()
        self._remembering = Remembering()
        self._spending = Spending(self._board.take_spent)
        self._servers: Servers | None = None
        self._asking = Asking(
            interval=self._chosen.interval,
            least=self._chosen.least,
            concurrency=options.concurrency,
            on_readings=self._take,
            on_first_round=self._show,
            trace=options.trace,
        )

    def start(self) -> None:
        """Begin to ask and to answer."""
        profiles = self._chosen.profiles
        _warn_of_exposures(profiles)
        _require_key(profiles)
        keep_one_arena()
        # Before the first question, as the port may be in use.
        shown = Served(
            self._pages, lambda: self._board.is_shown, lambda: self._access, self._hosts, self._host_refused.set
        )
        self._servers = servers = Servers(self._options.places, shown)
        self._use(self._chosen)
        self._remembering.start()
        self._spending.start()
        self._asking.start(profiles)
        servers.start()
        scheme = "http" if self._options.files.key is None else "https"
        where = " and ".join(f"{scheme}://{address}/metrics" for address in servers.addresses)
        log_note(f"listening on {where}, asking for {_counted(profiles)} every {self._chosen.interval:g} seconds")
        # These objects stay: leave them out of all looks for garbage.
        gc.freeze()

    def run(self, came: Callable[[], int | None]) -> int:
        """Go on until a signal ends it; return its number. `came` returns the next signal."""
        told_at = time.monotonic()
        while (number := came()) in {None, _RELOAD}:
            if number is not None:
                self._reload()
            if self._asking.error is not None:
                raise self._asking.error
            if time.monotonic() - told_at >= TELL_EVERY:
                told_at = time.monotonic()
                self._tell()
            time.sleep(SLICE)
        assert number is not None, "the loop ends with a signal"
        return number

    def close(self) -> None:
        """Ask no more. It takes no lock, as a signal may call it."""
        self._asking.close()

    def finish(self) -> None:
        """Answer no more, and write the readings that are waiting to the ledger."""
        if self._servers is not None:
            self._servers.finish()
        # Before questions under way are broken off: that is no failure to report.
        self._tell()
        self.close()
        self._spending.finish()
        self._remembering.finish()

    def _reload(self) -> None:
        """Read everything again. If any of it cannot be used, change nothing, and say so."""
        try:
            access = read_access(self._options.files)
            chosen = self._options.choose()
            _require_key(chosen.profiles)
        except Exception as error:  # noqa: BLE001  # a bug in reading must not end the service
            failure = error if isinstance(error, ApimartError) else bug(error)
            log_warning(f"nothing was changed: {failure.message}", failure.hint)
            return
        self._access = access
        _warn_of_exposures(chosen.profiles)
        self._asking.replace(chosen.profiles, before=lambda: self._use(chosen))
        log_note(f"read again, asking for {_counted(chosen.profiles)}")

    def _use(self, chosen: Chosen) -> None:
        """Show the chosen profiles, and no others."""
        before = {each.profile.value: each for each in self._chosen.profiles}
        for settings in chosen.profiles:
            known = before.pop(settings.profile.value, None)
            if known is not None and not asks_the_same(known, settings):
                self._board.forget(settings.profile.value)
        self._notes.forget(before)
        self._board.show(chosen.profiles, shown_names(chosen.names))
        self._remembering.use(chosen.profiles)
        self._spending.use(chosen.profiles)
        self._chosen = chosen
        self._pages.forget()

    def _take(self, settings: Settings, readings: Sequence[Reading]) -> None:
        self._notes.take(readings)
        self._board.take(settings, self._remembering.take(settings, readings))
        if any(reading.balance is not None for reading in readings):
            self._spending.seen(settings)

    def _show(self) -> None:
        self._board.is_shown = True
        self._pages.forget()

    def _tell(self) -> None:
        for note in self._notes.new():
            log_note(note.message, note.hint)
        if self._host_refused.is_set() and not self._is_refusal_told:
            # Only once, as others could fill the log.
            self._is_refusal_told = True
            log_note(
                "a question for a host name that is not answered to was refused (HTTP 421)",
                "where it was Prometheus, add the name in its target with --allowed-host NAME",
            )


@contextmanager
def _signals() -> Iterator[Callable[[], int | None]]:
    """Only note signals, and yield a function that returns the next: first one that ends, one reload for several."""
    came: list[int] = []

    def next_one() -> int | None:
        noted = [came.pop(0) for _ in range(len(came))]
        return next((number for number in noted if number != _RELOAD), noted[0] if noted else None)

    numbers = [number for number in (signal.SIGTERM, signal.SIGINT, _RELOAD) if number is not None]
    with handling(numbers, lambda number, _frame: came.append(number)):
        yield next_one


def _addresses(options: ExporterOptions) -> list[Address]:
    return [address for place in options.places for address in place]


def _require_key(profiles: Sequence[Settings]) -> None:
    """Raise AuthError if there is a single profile, and it has no usable key."""
    if len(profiles) == 1 and isinstance(profiles[0].api_key.value, NoKey):
        raise profiles[0].api_key.value.error


def _warn_of_exposures(profiles: Sequence[Settings]) -> None:
    for exposure in exposures(profiles):
        log_warning(exposure.message, exposure.hint)


def _counted(profiles: Sequence[Settings]) -> str:
    return f"{len(profiles)} profile{'' if len(profiles) == 1 else 's'}"
