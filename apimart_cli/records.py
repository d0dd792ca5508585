"""Records that rooms share: what `config` and `doctor` report to `output`, and a guarded run. Pure: no I/O."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ApimartError, ConfigError
from apimart_cli.words import StoppedBy


class Condition(StrEnum):
    """What `doctor` says of each thing that it has looked at."""

    OK = "ok"
    NOTE = "note"
    """It works, and there is something to know."""
    WRONG = "wrong"


STOPPED = 124
"""The status of `run` when a limit was reached, as of GNU timeout."""


class SettingRow(NamedTuple):
    """A setting as `config show` shows it."""

    name: str
    value: str | None
    source: str


class Problem(NamedTuple):
    """A mistake in the config file: where it is, what it is, and how to mend it."""

    line: int | None
    message: str
    hint: str
    profile: str | None = None
    """The profile that it breaks; None where it stands outside the profiles."""

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
    """Whether it is used by default."""


class ConfigReport(NamedTuple):
    """What `config check` shows."""

    path: Path | None
    """None when there is no place for a config file."""
    problems: Sequence[Problem]
    profiles: Sequence[ProfileReport]
    warnings: Sequence[Problem] = ()
    """Settings that are valid, but probably not what was meant."""


class DoctorFinding(NamedTuple):
    """One line of `doctor`."""

    subject: str
    """What was looked at, in one word."""
    condition: Condition
    message: str
    hint: str | None = None
    """What to do next."""

    @classmethod
    def ok(cls, subject: str, message: str) -> "DoctorFinding":
        """Return the finding for something that is as it should be."""
        return cls(subject, Condition.OK, message)

    @classmethod
    def note(cls, subject: str, message: str, hint: str | None = None) -> "DoctorFinding":
        """Return the finding for something that works, and is worth knowing."""
        return cls(subject, Condition.NOTE, message, hint)

    @classmethod
    def wrong(cls, subject: str, error: ApimartError) -> "DoctorFinding":
        """Return the finding for an error."""
        return cls(subject, Condition.WRONG, error.message, error.hint)


class Run(NamedTuple):
    """One run of a command under a guard, as the ledger keeps it. Amounts are in the gateway's unit."""

    key_id: str
    host: str
    profile: str
    label: str | None
    unit: str | None
    began: datetime
    """In UTC."""
    ended: datetime | None = None
    """None while it runs, or when its end was not seen."""
    spent: Decimal | None = None
    """The amount that the key was charged from the first reading to the last; None where there was none."""
    is_settled: bool = False
    """Whether the gateway had booked everything by the last reading."""
    stopped_by: StoppedBy | None = None
    exit_code: int | None = None
    could_not_stop: int = 0
    """How many processes of the command went on when a limit was reached: then it ended by itself."""

    @property
    def was_stopped(self) -> bool | None:
        """Whether a limit ended the command; False also where it was not started. None while it runs."""
        if self.exit_code is None:
            return None
        return self.stopped_by is not None and self.exit_code == STOPPED and not self.could_not_stop
