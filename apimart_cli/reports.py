"""Reports: what `config show` and `config check` show, as records. Pure: made by `config`, shown by `output`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ConfigError


class SettingRow(NamedTuple):
    """A setting as `config show` shows it."""

    name: str
    value: str | None
    source: str


class Problem(NamedTuple):
    """One mistake in the config file: where it is, what it is, and how to mend it."""

    line: int | None
    message: str
    hint: str
    profile: str | None = None
    """The profile that it breaks; None where it stands outside of the profiles."""

    def as_error(self, path: Path | None) -> ConfigError:
        """Return it as an error of the file at `path`."""
        place = f"{path}:{self.line}" if self.line else f"{path}"
        return ConfigError(f"{place}: {self.message}", self.hint)


class ProfileReport(NamedTuple):
    """Whether a profile is usable, as far as this machine can tell."""

    profile: str
    works: bool
    reason: str


class ProfileRow(NamedTuple):
    """A profile as `profiles` lists it."""

    profile: str
    key_source: str
    """Where its key comes from, in the words of the config file."""
    key_id: str | None
    """None where it is not known without asking for the key."""
    host: str | None
    """The host that its key is sent to; None where the profile has mistakes."""
    active: bool
    """Whether it is used when none is named."""


class ConfigReport(NamedTuple):
    """What `config check` shows."""

    path: Path | None
    """None when there is no place for a config file."""
    problems: Sequence[Problem]
    profiles: Sequence[ProfileReport]
    warnings: Sequence[Problem] = ()
    """What is taken as it is, and is probably not what was meant."""
