"""The board: what is known of each balance, as lines of a page. Pure but for its lock: no I/O, no clock."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

from apimart_cli.balance import Reading
from apimart_cli.config.settings import Settings
from apimart_cli.exporter.page import Lines, join_lines, lines_of
from apimart_cli.output.metrics import Told
from apimart_cli.words import Scope, ScopeChoice


class Board:
    """The readings of all profiles. Each is rendered when it comes, so that a page costs no more than to join it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._names: Mapping[str, str] = {}
        self._settings: dict[str, Settings] = {}
        self._told: dict[str, list[Told]] = {}
        self._lines: dict[str, Lines | Exception] = {}
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
            for name in changed:
                self._put(name, [each.reading for each in self._told[name]])

    def forget(self, profile: str) -> None:
        """Tell nothing of a profile until it is read again."""
        with self._guard:
            self._told.pop(profile, None)
            self._lines.pop(profile, None)

    def take(self, settings: Settings, readings: Sequence[Reading]) -> None:
        """Take note of the readings of a profile: one for each scope that was asked."""
        with self._guard:
            if settings.profile.value in self._settings:
                self._put(settings.profile.value, readings)

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
        told = [_told(reading, settings, before.get(reading.scope)) for reading in readings]
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
