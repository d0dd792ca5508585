"""The page of metrics: readings as Prometheus reads them. The only importer of prometheus_client.

The library writes the lines of a profile when that is read. To write those of thousands for each scrape would take a
second, to join them takes milliseconds. Scrapes within half a second get the same bytes.
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
from apimart_cli.output.prometheus import HELP, Family, MetricReading, families
from apimart_cli.rules.balance import Reading
from apimart_cli.words import Scope, ScopeChoice

FRESH = 0.5
"""Seconds for which a page is sent again."""

GZIP_LEVEL = 1
"""The quickest level. The page repeats itself so much that a tenth of it is left."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Lines = Mapping[str, bytes]
"""The lines of samples, by the name of their family."""


class MetricsBoard:
    """The latest readings of all profiles, as lines of the page. Pure but for its lock: no I/O, no clock."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: Mapping[str, str] = {}
        self._settings: dict[str, Settings] = {}
        self._known: dict[str, list[MetricReading]] = {}
        self._lines: dict[str, Lines | Exception] = {}
        self._spent: dict[str, dict[Scope, Decimal]] = {}
        self._common = lines_of([])
        self.is_shown = False
        """Whether the page has any profile: not before each was asked, or an alert would fire at every start."""

    def show(self, profiles: Sequence[Settings], names: Mapping[str, str]) -> None:
        """Show these profiles from now on, under these names, as soon as each was read."""
        with self._guard:
            settings = {each.profile.value: each for each in profiles}
            kept = [name for name in self._known if name in settings]
            changed = [
                name
                for name in kept
                if _thresholds(settings[name]) != _thresholds(self._settings[name])
                or names.get(name) != self._names.get(name)
            ]
            self._names, self._settings = names, settings
            self._known = {name: self._known[name] for name in kept}
            self._lines = {name: self._lines[name] for name in kept}
            self._spent = {name: self._spent[name] for name in kept if name in self._spent}
            for name in changed:
                self._put(name, [each.reading for each in self._known[name]])

    def forget(self, profile: str) -> None:
        """Show nothing of a profile until it is read again."""
        with self._guard:
            self._known.pop(profile, None)
            self._lines.pop(profile, None)
            self._spent.pop(profile, None)

    def take(self, settings: Settings, readings: Sequence[Reading]) -> None:
        """Take the readings of a profile: one for each scope that was asked."""
        with self._guard:
            if settings.profile.value in self._settings:
                self._put(settings.profile.value, readings)

    def take_spent(self, profile: str, scope: Scope, spent: Decimal | None) -> None:
        """Take what a profile has spent lately. If that is not known (None), the page has nothing about it."""
        with self._guard:
            if profile in self._known:
                self._spent[profile] = {} if spent is None else {scope: spent}
                self._put(profile, [each.reading for each in self._known[profile]])

    def page(self) -> bytes:
        """Return the page. Raises what went wrong with any profile: a page without it would look complete."""
        with self._guard:
            parts = list(self._lines.values()) if self.is_shown else []
        for part in parts:
            if isinstance(part, Exception):
                raise part
        return join_lines([self._common, *(part for part in parts if not isinstance(part, Exception))])

    def _put(self, name: str, readings: Sequence[Reading]) -> None:
        settings = self._settings[name]
        before = {each.reading.scope: each.read_at for each in self._known.get(name, ())}
        spent = self._spent.get(name, {})
        known = [_known(reading, settings, before.get(reading.scope))._replace(spent=spent) for reading in readings]
        self._known[name] = known
        shown = self._names.get(name, name)
        try:
            self._lines[name] = lines_of(
                [each._replace(reading=each.reading._replace(profile=shown)) for each in known]
            )
        except Exception as error:  # noqa: BLE001  # raised again by `page`
            self._lines[name] = error


class Pages:
    """The page, plain and compressed. It is made anew when it is asked for and the last one is not fresh."""

    def __init__(self, render: Callable[[], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._render = render
        self._clock = clock
        self._guard = threading.Lock()
        self._made_at: float | None = None
        self._plain = b""
        self._compressed: bytes | None = None

    def get(self, *, compressed: bool) -> bytes:
        """Return the page. Raises whatever `render` raises; then it is made anew the next time."""
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


def lines_of(known: Sequence[MetricReading]) -> Lines:
    """Return the lines for the readings of one profile; for no readings, the lines that every page has."""
    found = families(known, with_version=not known)
    return {family.name: _written(family) for family in found}


def join_lines(parts: Sequence[Lines]) -> bytes:
    """Return the page of several profiles: each family once, with all of its samples."""
    page = []
    for name in HELP:
        samples = [part[name] for part in parts if name in part]
        if samples:
            page += [_HEADS[name], *samples]
    return b"".join(page)


class _Collector(Collector):
    """Hands our families to the library."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        """Return nothing, as the metrics depend on the readings."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        for family in self._families:
            metric = Metric(family.name, family.help, "gauge")
            for sample in family.samples:
                metric.add_sample(family.name, dict(sample.labels), float(sample.value))
            yield metric


def _written(family: Family) -> bytes:
    """Return the samples of a family as the library writes them, without their head."""
    return _exposition(family).removeprefix(_HEADS[family.name])


def _exposition(family: Family) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector([family]))
    return generate_latest(registry)


_HEADS = {name: _exposition(Family(name, text, ())) for name, text in HELP.items()}
"""The lines above the samples of each family."""


def _thresholds(settings: Settings) -> tuple[object, ...]:
    return settings.min.value, settings.max_used.value


def _known(reading: Reading, settings: Settings, read_before: datetime | None) -> MetricReading:
    read_at = read_before if reading.balance is None else reading.balance.fetched_at
    # With `spendable`, `max_used` is about the key: what the account has used does not count.
    is_held = settings.scope.value is not ScopeChoice.SPENDABLE or reading.scope is Scope.KEY
    return MetricReading(reading, settings.min.value, settings.max_used.value if is_held else None, read_at)
