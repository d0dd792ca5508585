"""Words: every choice that a command line, a config file or a document spells out, declared once. Pure."""

from enum import StrEnum


class Scope(StrEnum):
    """Whose balance a reading shows."""

    KEY = "key"
    """The quota of the key that asks."""
    ACCOUNT = "account"
    """The account of the key, which pays for all of its keys."""
    SPENDABLE = "spendable"
    """What can be spent: the smaller of the two. Never asked by itself; `balance.spendable` makes it of both."""


class ScopeChoice(StrEnum):
    """What `--scope` and `scope` in the config file take."""

    KEY = "key"
    ACCOUNT = "account"
    BOTH = "both"
    SPENDABLE = "spendable"

    @property
    def asked(self) -> tuple[Scope, ...]:
        """The scopes to ask, in order."""
        is_of_both = self in {ScopeChoice.BOTH, ScopeChoice.SPENDABLE}
        return (Scope.KEY, Scope.ACCOUNT) if is_of_both else (Scope(self.value),)


class OutputFormat(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    VALUE = "value"


class Preset(StrEnum):
    """What `statusline` writes its line for."""

    PLAIN = "plain"
    TMUX = "tmux"
    WAYBAR = "waybar"
    STARSHIP = "starship"
    CLAUDE = "claude"
    JSON = "json"


class SettingsFormat(StrEnum):
    """How settings and profiles are written."""

    TABLE = "table"
    JSON = "json"


class Outcome(StrEnum):
    """What the gate says of one reading, and of all of them together."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    BELOW = "below"
    UNLIMITED = "unlimited"
    ERROR = "error"
    NO_FORECAST = "no_forecast"
    """Nobody can tell how long the balance lasts, and that was asked for."""


class OnUnlimited(StrEnum):
    """What `--on-unlimited` takes."""

    PASS = "pass"  # noqa: S105  # a choice, not a password
    FAIL = "fail"


class OnNoForecast(StrEnum):
    """What `--on-no-forecast` takes."""

    PASS = "pass"  # noqa: S105  # a choice, not a password
    FAIL = "fail"


class ForecastState(StrEnum):
    """What can be told about how long the rest lasts."""

    OK = "ok"
    ROUGH = "rough"
    """Fewer than seven days to tell it from."""
    TOO_LITTLE = "too_little"
    """Fewer than three days: no forecast."""
    UNREADABLE = "unreadable"
    """There is a history, and it cannot be read: nobody knows what it would say."""
    IDLE = "idle"
    """Nothing was spent in the days that were looked at."""
    UNLIMITED = "unlimited"
    EMPTY = "empty"
