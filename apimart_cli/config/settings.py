"""Records of settings: what the command line says, and what is in force for one profile, each value with its source.

Also finds the path of the ledger, and whether readings are recorded. Opens no file.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from apimart_cli.config.values import nonempty, shortest, shown
from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.keys.key import GivenKey, KeySource, looks_like_variable
from apimart_cli.target import Target
from apimart_cli.words import ScopeChoice, Since

if TYPE_CHECKING:
    from apimart_cli.config.doubts import Doubt
    from apimart_cli.records import SettingRow
    from apimart_cli.rules.balance import Reading
    from apimart_cli.rules.budget import Budget
    from apimart_cli.rules.gate import Thresholds

T = TypeVar("T")

BY_ITSELF = ("default", "CI")
"""Sources of `record` if it was not set."""


class Options(NamedTuple):
    """What the command line says, as it was typed; None for an option that was not given."""

    api_key: str | None = None
    api_key_file: Path | None = None
    profiles: tuple[str, ...] = ()
    all_profiles: bool = False
    scope: str | None = None
    base_url: str | None = None
    timeout: str | None = None
    min: str | None = None
    max_used: str | None = None
    min_runway: str | None = None
    max_spent: str | None = None
    within: str | None = None
    unit: str | None = None
    on_low: str | None = None
    on_recover: str | None = None
    on_stop: str | None = None
    read_standard_input: Callable[[float], str] | None = None
    """Reads the key within so many seconds if `api_key` is `-`; called when all other settings are right."""


class Setting(NamedTuple, Generic[T]):
    """A value that is in force and its source in words: an option, a variable, a place in the file, `default`."""

    value: T
    source: str


class Settings(NamedTuple):
    """Everything that is in force for one profile."""

    profile: Setting[str]
    api_key: Setting[KeySource]
    base_url: Setting[str]
    timeout: Setting[float]
    """Seconds for the whole answer."""
    scope: Setting[ScopeChoice]
    unit: Setting[str | None]
    min: Setting[Decimal | None]
    max_used: Setting[Decimal | None]
    min_runway: Setting[timedelta | None]
    """How long the balance must last."""
    record: Setting[bool]
    """Whether readings are recorded, if there is a place for them."""
    history: Setting[Path | None]
    """The path of the ledger; None if there is no place for one."""
    on_low: Setting[Sequence[str] | None] = Setting(None, "default")
    """The command to run when a balance falls below `min`, or its runway below `min_runway`."""
    on_recover: Setting[Sequence[str] | None] = Setting(None, "default")
    """The command to run when enough is left again."""
    on_stop: Setting[Sequence[str] | None] = Setting(None, "default")
    """The command to run when a limit of a guarded command is reached."""
    rearm: Setting[Decimal] = Setting(Decimal("1.2"), "default")
    """The factor from a threshold to the amount or time that is enough again."""
    remind: Setting[timedelta | None] = Setting(None, "default")
    """After this time `on_low` is run again if the balance is still low."""
    max_spent: Setting[Decimal | None] = Setting(None, "default")
    """Most US dollars that may have been spent, by the gateway's own books, in the time `within`."""
    within: Setting[timedelta | Since | None] = Setting(None, "default")
    books: Setting[bool] = Setting(value=True, source="default")
    """Whether the gateway's own books may be asked for forecasts, where the ledger has too little."""
    background_keys: Setting[bool] = Setting(value=False, source="default")
    """Whether a refresh in the background may run the command that prints the key, or read it from the keyring."""
    exposures: tuple[ConfigError, ...] = ()
    """One error for each file in use in which other users can read a key, or which they can change."""
    is_key_instead_of_profile: bool = False
    """Whether a variable gives the key although the profile has one of its own."""

    @property
    def is_scope_chosen(self) -> bool:
        """Whether an option or the config file says which balance to look at."""
        return self.scope.source != "default"

    @property
    def record_asked_by(self) -> str | None:
        """Which source turned recording on; None if none did."""
        is_asked_for = self.record.value and self.record.source not in BY_ITSELF
        return self.record.source if is_asked_for else None

    @property
    def subject(self) -> str:
        """The beginning of a sentence about what is missing: `profile work has`, or `there is` if none was named."""
        return f"profile {self.profile.value} has" if self.profile.source != "default" else "there is"

    def thresholds(self) -> "Thresholds":
        """Return the thresholds to which `check` holds every reading of this profile; none if only a budget is checked.

        Raises UsageError if there is neither: a check without a threshold must not pass.
        """
        from apimart_cli.rules.gate import Thresholds

        thresholds = Thresholds(self.min.value, self.max_used.value, self.min_runway.value)
        if not thresholds.are_set and self.budget() is None:
            raise UsageError(
                f"{self.subject} no threshold to check",
                "give --min, --max-used, --min-runway or --max-spent, or set min in the profile; like: --min 5",
            )
        return thresholds

    def budget(self) -> "Budget | None":
        """Return the budget that what was spent is held to; None if there is none.

        Raises UsageError if an amount has no time, or a time no amount.
        """
        if self.max_spent.value is None and self.within.value is None:
            return None
        if self.within.value is None:
            raise UsageError(
                f"max_spent ({self.max_spent.source}) has no time beside it", "say in which, like: --within 24h"
            )
        if self.max_spent.value is None:
            raise UsageError(f"within ({self.within.source}) has no amount beside it", "give one, like: --max-spent 5")
        from apimart_cli.rules.budget import Budget

        return Budget(self.max_spent.value, self.within.value)

    @property
    def has_alerts(self) -> bool:
        """Whether a command is to be run when a balance becomes low, or recovers."""
        return self.names_alert_command and self._can_be_low

    def require_alert_threshold(self) -> None:
        """Raise UsageError if an option names an alert command and there is no threshold that a balance can fall below.

        A command in the config file is no error then: the file may name one for all profiles.
        """
        for setting in self.commands().values():
            if setting.value is not None and setting.source.startswith("--") and not self._can_be_low:
                raise UsageError(
                    f"{setting.source}: {self.subject} no threshold to fall below",
                    "give --min, or set min, min_runway or max_spent",
                )

    @property
    def names_alert_command(self) -> bool:
        """Whether `on_low` or `on_recover` is set."""
        return any(setting.value is not None for setting in self.commands().values())

    @property
    def _can_be_low(self) -> bool:
        return any(each.value is not None for each in (self.min, self.min_runway, self.max_spent))

    def commands(self) -> Mapping[str, Setting[Sequence[str] | None]]:
        """Return the commands for low and for recovered balances by their names."""
        return {"on_low": self.on_low, "on_recover": self.on_recover}

    def doubts(self) -> "Sequence[Doubt]":
        """Return the doubts about settings that are probably not what was meant. `key_doubt` is about the key."""
        if self.min_runway.value is None and not self.names_alert_command:
            return ()
        from apimart_cli.config.doubts import doubts_of

        return list(doubts_of(self))

    def key_doubt(self) -> "Doubt | None":
        """Return why the key is probably no key; None if there is no sign of that."""
        source = self.api_key.value
        if not isinstance(source, GivenKey) or not looks_like_variable(source.key.reveal()):
            return None
        from apimart_cli.config.doubts import doubt_of

        doubt = doubt_of("api_key", source.key.reveal())
        return doubt and doubt._replace(message=f"the API key from {self.api_key.source}: {doubt.message}")

    def rows(self) -> "list[SettingRow]":
        """Return every setting as text that may be shown; of the key, only its length and its id."""
        from apimart_cli.records import SettingRow

        key = SettingRow("key_id", self.api_key.value.key_id, self.api_key.source)
        shown: dict[str, str | None] = {
            "profile": self.profile.value,
            "api_key": self.api_key.value.state,
            "base_url": self.base_url.value,
            "timeout": f"{self.timeout.value:.6f}".rstrip("0").removesuffix("."),
            "scope": self.scope.value.value,
            "unit": self.unit.value,
            "min": _amount_word(self.min.value),
            "max_used": _amount_word(self.max_used.value),
            "min_runway": None if self.min_runway.value is None else shortest(self.min_runway.value),
            "max_spent": _amount_word(self.max_spent.value),
            "within": _within_word(self.within.value),
            "on_low": _program(self.on_low.value),
            "on_recover": _program(self.on_recover.value),
            "on_stop": _program(self.on_stop.value),
            "rearm": _amount_word(self.rearm.value),
            "remind": None if self.remind.value is None else shortest(self.remind.value),
            "record": str(self.record.value).lower(),
            "history": None if self.history.value is None else f"{self.history.value}",
            "books": str(self.books.value).lower(),
            "background_keys": str(self.background_keys.value).lower(),
        }
        rows = [SettingRow(name, value, getattr(self, name).source) for name, value in shown.items()]
        return [*rows[:2], key, *rows[2:]]

    def targets(self) -> list[Target]:
        """Return what to ask, in order."""
        return [
            Target(
                profile=self.profile.value,
                scope=scope,
                api_key=self.api_key.value,
                base_url=self.base_url.value,
                timeout=self.timeout.value,
                unit=self.unit.value,
            )
            for scope in self.scope.value.asked
        ]

    def grouped(self, readings: "Sequence[Reading]") -> "Sequence[Reading]":
        """Return the readings of `targets` as the scope shows them: for `spendable`, key and account as one."""
        is_one = self.scope.value is ScopeChoice.SPENDABLE and len(readings) > 1
        if not is_one:
            return readings
        from apimart_cli.rules.balance import spendable

        return [spendable(*readings)]


def _amount_word(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _within_word(within: timedelta | Since | None) -> str | None:
    return shortest(within) if isinstance(within, timedelta) else within


def _program(command: Sequence[str] | None) -> str | None:
    """Return which program a command runs, without its arguments, as one might be a secret."""
    if command is None:
        return None
    return command[0] if len(command) == 1 else f"{command[0]} ..."


_IN_WORDS = {"1": True, "0": False}


def find_record(environ: Mapping[str, str], in_file: Setting[bool | None]) -> Setting[bool]:
    """Find whether readings are recorded: by APIMART_RECORD, else by the config file, else yes unless CI is set.

    Raises UsageError if APIMART_RECORD is neither 1 nor 0. APIMART_HISTORY does not turn recording on.
    """
    if "APIMART_RECORD" in environ:
        text = nonempty(environ, "APIMART_RECORD")
        if text not in _IN_WORDS:
            raise UsageError(f"APIMART_RECORD: {shown(text)} is neither 1 nor 0", "set it to 1 or 0, or unset it")
        return Setting(_IN_WORDS[text], "APIMART_RECORD")
    if in_file.value is not None:
        return Setting(in_file.value, in_file.source)
    is_ci = bool(environ.get("CI"))
    return Setting(not is_ci, "CI" if is_ci else "default")


def find_history(environ: Mapping[str, str]) -> Setting[Path | None]:
    """Find the path of the ledger. Raises as `history_path`."""
    return Setting(history_path(environ), "APIMART_HISTORY" if "APIMART_HISTORY" in environ else "default")


def history_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the ledger, which need not exist; None if there is no folder for one.

    Raises UsageError if APIMART_HISTORY is empty, or if it begins with `~` and there is no home folder.
    """
    if "APIMART_HISTORY" in environ:
        named = nonempty(environ, "APIMART_HISTORY")
        try:
            return Path(named).expanduser()
        except RuntimeError:
            message = f"APIMART_HISTORY: there is no home folder for {shown(named)}"
            raise UsageError(message, "write the path out") from None
    from platformdirs import user_state_path

    try:
        path = user_state_path("apimart") / "history.db"
    except RuntimeError:
        # No home folder: an arbitrary user id in a container.
        return None
    # Without a home folder, platformdirs before 4.12 returned a path with a literal `~` in the current folder.
    return path if path.is_absolute() else None


def require_history_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the ledger. Raises UsageError if there is no place for one."""
    path = history_path(environ)
    if path is None:
        raise UsageError(
            "there is no folder for the history: no home folder", "set APIMART_HISTORY to the path of a file"
        )
    return path
