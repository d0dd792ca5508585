"""Words: the choices that command lines, config files and documents of most commands spell out. Pure.

A choice of a single command stands with what it chooses: every command loads this file.
"""

from enum import StrEnum


class Scope(StrEnum):
    """The balance that a reading shows."""

    KEY = "key"
    """The quota of the key that asks."""
    ACCOUNT = "account"
    """The account of the key, which pays for all of its keys."""
    SPENDABLE = "spendable"
    """What can be spent: the smaller of the two. The gateway is asked for both; `balance.spendable` joins them."""


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
    PROMETHEUS = "prometheus"
    """Metrics in the text format of Prometheus."""
    GITHUB = "github"
    """What the runner of GitHub Actions reads."""
    DOTENV = "dotenv"
    """Lines of NAME=value, as GitLab takes them."""

    @property
    def has_runner_files(self) -> bool:
        """Whether it also writes files that a CI runner names; `--quiet` does not stop that."""
        return self is OutputFormat.GITHUB


class Since(StrEnum):
    """What `--within` takes beside a duration: from when on spend counts."""

    TODAY = "today"
    MONTH = "month"


class Outcome(StrEnum):
    """The verdict of the gate on one reading, and on all of them together."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    BELOW = "below"
    UNLIMITED = "unlimited"
    ERROR = "error"
    NO_FORECAST = "no_forecast"
    """A runway was asked for, and how long the balance lasts is not known."""


class OnUnlimited(StrEnum):
    """What `--on-unlimited` takes."""

    PASS = "pass"  # noqa: S105  # a choice, not a password
    FAIL = "fail"


class OnNoForecast(StrEnum):
    """What `--on-no-forecast` takes."""

    PASS = "pass"  # noqa: S105  # a choice, not a password
    FAIL = "fail"


class ForecastState(StrEnum):
    """How far it is known how long the balance lasts."""

    OK = "ok"
    ROUGH = "rough"
    """Known from fewer than seven days."""
    TOO_LITTLE = "too_little"
    """Fewer than three days: no forecast."""
    UNREADABLE = "unreadable"
    """There is a history, and it cannot be read."""
    IDLE = "idle"
    """Nothing was spent in the days that count."""
    UNLIMITED = "unlimited"
    EMPTY = "empty"


class StoppedBy(StrEnum):
    """Why a guarded command was stopped, or was not started."""

    MIN = "min"
    """Less was left than `--min`."""
    MAX_SPEND = "max_spend"
    """As much was spent as `--max-spend` allows."""
    MIN_RUNWAY = "min_runway"
    """What was left lasts shorter than `--min-runway`."""
    PAYMENT_REQUIRED = "payment_required"
    """The gateway said that there is no money: HTTP 402, or that the key's quota or the balance is used up."""
    BLIND = "blind"
    """The balance was not known for too long, or long enough for a limit to be reached meanwhile."""
