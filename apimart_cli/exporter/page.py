"""One page for many readers: those that ask within half a second share the same bytes, in memory and on the wire.

The page: readings as what Prometheus reads. The only importer of prometheus_client.

The library writes the lines of one profile at a time, when that was read. To write those of thousands anew for each
scrape takes a second; to join them takes a few milliseconds.

The board: what is known of each balance, as lines of a page. Pure but for its lock: no I/O, no clock.
"""

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from apimart_cli.config.settings import Settings
from apimart_cli.output.prometheus import HELP, Family, Told, families
from apimart_cli.rules.balance import Reading
from apimart_cli.words import Scope, ScopeChoice

FRESH = 0.5
"""Seconds for which a page is handed out again."""

GZIP_LEVEL = 1
"""The quickest: the page repeats itself so much that it becomes a tenth."""


class Pages:
    """The page, plain and compressed, made anew when it is asked for and the last one is not fresh."""

    def __init__(self, render: Callable[[], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._render = render
        self._clock = clock
        self._guard = threading.Lock()
        self._made_at: float | None = None
        self._plain = b""
        self._compressed: bytes | None = None

    def get(self, *, compressed: bool) -> bytes:
        """Return the page. Raises what went wrong with it; then it is made anew the next time."""
        with self._guard:
            if self._made_at is None or not 0 <= self._clock() - self._made_at < FRESH:
                self._made_at = None
                self._plain, self._compressed = self._render(), None
                self._made_at = self._clock()
            if not compressed:
                return self._plain
            if self._compressed is None:
                self._compressed = gzip.compress(self._plain, GZIP_LEVEL, mtime=0)
            return self._compressed

    def forget(self) -> None:
        """Make it anew the next time, fresh or not."""
        with self._guard:
            self._made_at = None


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Lines = Mapping[str, bytes]
"""The lines of samples, by the name of their family."""


class _Collector(Collector):
    """What the library collects: the families that it is given."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        """Return nothing: which metrics there are depends on what was read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        for family in self._families:
            metric = Metric(family.name, family.help, "gauge")
            for sample in family.samples:
                metric.add_sample(family.name, dict(sample.labels), float(sample.value))
            yield metric


def lines_of(told: Sequence[Told]) -> Lines:
    """Return the lines of some readings, all of one profile; of none, what every page tells."""
    found = families(told, with_version=not told)
    return {family.name: _written(family) for family in found}


def join_lines(parts: Sequence[Lines]) -> bytes:
    """Return the page of several profiles: each family once, with all of its samples."""
    page = []
    for name in HELP:
        samples = [part[name] for part in parts if name in part]
        if samples:
            page += [_HEADS[name], *samples]
    return b"".join(page)


def _written(family: Family) -> bytes:
    """Return the samples of a family as the library writes them, without what stands above them."""
    return _exposition(family).removeprefix(_HEADS[family.name])


def _exposition(family: Family) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector([family]))
    return generate_latest(registry)


_HEADS = {name: _exposition(Family(name, text, ())) for name, text in HELP.items()}
"""What stands above the samples of each family."""


class Board:
    """The readings of all profiles. Each is rendered when it comes, so that a page costs no more than to join it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: Mapping[str, str] = {}
        self._settings: dict[str, Settings] = {}
        self._told: dict[str, list[Told]] = {}
        self._lines: dict[str, Lines | Exception] = {}
        self._spent: dict[str, dict[Scope, Decimal]] = {}
        self._common = lines_of([])
        self.is_shown = False
        """Whether the page tells of keys: not before each was asked, or an alert would fire at every start."""

    def show(self, profiles: Sequence[Settings], names: Mapping[str, str]) -> None:
        """Tell of these profiles from now on, under these names, where they have been read."""
        with self._guard:
            settings = {each.profile.value: each for each in profiles}
            kept = [name for name in self._told if name in settings]
            changed = [
                name
                for name in kept
                if _thresholds(settings[name]) != _thresholds(self._settings[name])
                or names.get(name) != self._names.get(name)
            ]
            self._names, self._settings = names, settings
            self._told = {name: self._told[name] for name in kept}
            self._lines = {name: self._lines[name] for name in kept}
            self._spent = {name: self._spent[name] for name in kept if name in self._spent}
            for name in changed:
                self._put(name, [each.reading for each in self._told[name]])

    def forget(self, profile: str) -> None:
        """Tell nothing of a profile until it is read again."""
        with self._guard:
            self._told.pop(profile, None)
            self._lines.pop(profile, None)
            self._spent.pop(profile, None)

    def take(self, settings: Settings, readings: Sequence[Reading]) -> None:
        """Take note of the readings of a profile: one for each scope that was asked."""
        with self._guard:
            if settings.profile.value in self._settings:
                self._put(settings.profile.value, readings)

    def take_spent(self, profile: str, scope: Scope, spent: Decimal | None) -> None:
        """Take note of what a profile has spent of late; None is not known, and then nothing is told of it."""
        with self._guard:
            if profile in self._told:
                self._spent[profile] = {} if spent is None else {scope: spent}
                self._put(profile, [each.reading for each in self._told[profile]])

    def page(self) -> bytes:
        """Return everything. Raises what went wrong with any of it: a page with a hole would be taken for the truth."""
        with self._guard:
            parts = list(self._lines.values()) if self.is_shown else []
        for part in parts:
            if isinstance(part, Exception):
                raise part
        return join_lines([self._common, *(part for part in parts if not isinstance(part, Exception))])

    def _put(self, name: str, readings: Sequence[Reading]) -> None:
        settings = self._settings[name]
        before = {each.reading.scope: each.read_at for each in self._told.get(name, ())}
        spent = self._spent.get(name, {})
        told = [_told(reading, settings, before.get(reading.scope))._replace(spent=spent) for reading in readings]
        self._told[name] = told
        shown = self._names.get(name, name)
        try:
            self._lines[name] = lines_of([each._replace(reading=each.reading._replace(profile=shown)) for each in told])
        except Exception as error:  # noqa: BLE001  # raised again by `page`
            self._lines[name] = error


def _thresholds(settings: Settings) -> tuple[object, ...]:
    return settings.min.value, settings.max_used.value


def _told(reading: Reading, settings: Settings, read_before: datetime | None) -> Told:
    read_at = read_before if reading.balance is None else reading.balance.fetched_at
    # Of what can be spent, what was used is the key's: the account's is held to nothing.
    is_held = settings.scope.value is not ScopeChoice.SPENDABLE or reading.scope is Scope.KEY
    return Told(reading, settings.min.value, settings.max_used.value if is_held else None, read_at)
