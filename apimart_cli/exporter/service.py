"""What an exporter says of the profiles that begin to fail and recover: a line for each change, none for each round.

Pure but for its lock: no I/O, no clock.

The use case of `exporter`: settings in, a page for whoever asks, until a signal ends it.
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
from apimart_cli.exporter.handler import Shown
from apimart_cli.exporter.page import Board, Pages
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


TELL_EVERY = 1.0
"""Seconds between two times at which failures are told: what fails together is told together."""


class Chosen(NamedTuple):
    """What is asked, and how often. Times are in seconds."""

    profiles: Sequence[Settings]
    names: Sequence[str]
    """Those of all profiles, of other shards, too: how one is shown depends on the others."""
    interval: float
    least: float
    """Never less than this between two questions to a profile that has answered."""


class Order(NamedTuple):
    """What an exporter is to do."""

    choose: Callable[[], Chosen]
    """Reads the settings, at the start and each time that they may have changed. Raises UsageError."""
    places: Sequence[Sequence[Address]]
    """Where to listen: each place is an address, or one of each family."""
    files: AccessFiles
    is_insecure: bool
    """Whether others may reach it without TLS and token."""
    allowed_hosts: Sequence[str]
    """Further names that it may be asked as."""
    concurrency: int
    trace: Trace | None = None


def export(order: Order) -> ExitCode:
    """Serve until a signal ends it, and return the code to end with. SIGHUP has everything read again.

    Raises AuthError where there is a single profile and it has no usable key, UsageError where it cannot listen.
    """
    files = order.files
    files.check()
    for address in _addresses(order):
        check_exposure(
            address, has_tls=files.key is not None, has_token=files.token is not None, is_insecure=order.is_insecure
        )
    with _signals() as came:
        exporter = _Exporter(order)
        with at_ending(exporter.close):
            exporter.start()
            number = exporter.run(came)
    # A second signal ends it at once.
    exporter.finish()
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.OK


class _Exporter:
    """What asks, what is known, who is told, and what is left in the ledger."""

    def __init__(self, order: Order) -> None:
        self._order = order
        # Only where others reach it: in a strange network, the name of a laptop may be one that the network gave it.
        own_name = None if all(each.is_loopback for each in _addresses(order)) else socket.gethostname()
        self._hosts = read_hosts(order.allowed_hosts, own_name=own_name)
        self._host_refused = threading.Event()
        self._access = read_access(order.files)
        self._chosen = order.choose()
        self._is_refusal_told = False
        self._board = Board()
        self._pages = Pages(self._board.page)
        self._notes = Notes()
        self._remembering = Remembering()
        self._spending = Spending(self._board.take_spent)
        self._servers: Servers | None = None
        self._asking = Asking(
            interval=self._chosen.interval,
            least=self._chosen.least,
            concurrency=order.concurrency,
            taken=self._take,
            completed=self._show,
            trace=order.trace,
        )

    def start(self) -> None:
        """Begin to ask and to answer."""
        profiles = self._chosen.profiles
        _warn_of_exposures(profiles)
        _require_key(profiles)
        keep_one_arena()
        # Before anybody is asked: the port may be in use.
        shown = Shown(
            self._pages, lambda: self._board.is_shown, lambda: self._access, self._hosts, self._host_refused.set
        )
        self._servers = servers = Servers(self._order.places, shown)
        self._use(self._chosen)
        self._remembering.start()
        self._spending.start()
        self._asking.start(profiles)
        servers.start()
        scheme = "http" if self._order.files.key is None else "https"
        where = " and ".join(f"{scheme}://{address}/metrics" for address in servers.addresses)
        log_note(f"listening on {where}, asking for {_counted(profiles)} every {self._chosen.interval:g} seconds")
        # What is there by now stays: nobody has to look at it again and again for garbage.
        gc.freeze()

    def run(self, came: Callable[[], int | None]) -> int:
        """Go on until a signal that ends it; return which."""
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
        """Ask no more. Takes no lock: a signal may call it."""
        self._asking.close()

    def finish(self) -> None:
        """Answer no more, and write what is owed."""
        if self._servers is not None:
            self._servers.finish()
        # Before what is under way is broken off: that is no failure of anybody.
        self._tell()
        self.close()
        self._spending.finish()
        self._remembering.finish()

    def _reload(self) -> None:
        """Read everything again; what cannot be used leaves everything as it was, and is told."""
        try:
            access = read_access(self._order.files)
            chosen = self._order.choose()
            _require_key(chosen.profiles)
        except Exception as error:  # noqa: BLE001  # a bug in what reads is no end of what runs
            failure = error if isinstance(error, ApimartError) else bug(error)
            log_warning(f"nothing was changed: {failure.message}", failure.hint)
            return
        self._access = access
        _warn_of_exposures(chosen.profiles)
        self._asking.replace(chosen.profiles, before=lambda: self._use(chosen))
        log_note(f"read again, asking for {_counted(chosen.profiles)}")

    def _use(self, chosen: Chosen) -> None:
        """Tell of what was chosen, and of nothing else."""
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
        for note in self._notes.told():
            log_note(note.message, note.hint)
        if self._host_refused.is_set() and not self._is_refusal_told:
            # Once: what others send must not fill a log.
            self._is_refusal_told = True
            log_note(
                "a question for a host name that is not answered to was refused (HTTP 421)",
                "where it was Prometheus, add the name in its target with --allowed-host NAME",
            )


_RELOAD = getattr(signal, "SIGHUP", None)


@contextmanager
def _signals() -> Iterator[Callable[[], int | None]]:
    """Let signals only be noted; give what tells the next one: what ends it first, and one reload for several."""
    came: list[int] = []

    def next_one() -> int | None:
        noted = [came.pop(0) for _ in range(len(came))]
        return next((number for number in noted if number != _RELOAD), noted[0] if noted else None)

    numbers = [number for number in (signal.SIGTERM, signal.SIGINT, _RELOAD) if number is not None]
    with handling(numbers, lambda number, _frame: came.append(number)):
        yield next_one


def _addresses(order: Order) -> list[Address]:
    return [address for place in order.places for address in place]


def _require_key(profiles: Sequence[Settings]) -> None:
    """Raise AuthError where there is a single profile, and it has no usable key."""
    if len(profiles) == 1 and isinstance(profiles[0].api_key.value, NoKey):
        raise profiles[0].api_key.value.error


def _warn_of_exposures(profiles: Sequence[Settings]) -> None:
    for exposure in exposures(profiles):
        log_warning(exposure.message, exposure.hint)


def _counted(profiles: Sequence[Settings]) -> str:
    return f"{len(profiles)} profile{'' if len(profiles) == 1 else 's'}"
