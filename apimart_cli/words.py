"""Words: the choices that a command line, a config file or a document spells out, each declared here. Pure."""

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


class BooksScope(StrEnum):
    """Whose books are asked: what `usage --scope` takes."""

    KEY = Scope.KEY.value
    ACCOUNT = Scope.ACCOUNT.value


class UsageBy(StrEnum):
    """What `usage --by` takes: what spend is told by."""

    MODEL = "model"
    DAY = "day"
    DAY_MODEL = "day,model"

    @property
    def has_day(self) -> bool:
        """Whether each part is of one day."""
        return self is not UsageBy.MODEL

    @property
    def has_model(self) -> bool:
        """Whether each part is of one model."""
        return self is not UsageBy.DAY


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


class ReadingsFormat(StrEnum):
    """What `--output` of a command that shows balances takes: the formats that have `readings`."""

    TABLE = OutputFormat.TABLE.value
    JSON = OutputFormat.JSON.value
    VALUE = OutputFormat.VALUE.value
    PROMETHEUS = OutputFormat.PROMETHEUS.value


class VerdictFormat(StrEnum):
    """What `--output` of a command that judges balances takes: the formats that have `checked`."""

    TABLE = OutputFormat.TABLE.value
    JSON = OutputFormat.JSON.value
    VALUE = OutputFormat.VALUE.value
    GITHUB = OutputFormat.GITHUB.value
    DOTENV = OutputFormat.DOTENV.value


class Since(StrEnum):
    """What `--within` takes beside a duration: from when on spend counts."""

    TODAY = "today"
    MONTH = "month"


class UsageFormat(StrEnum):
    """What `usage --output` takes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    """A page for people who do not use terminals."""


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


class WhenUnavailable(StrEnum):
    """What `nagios --unavailable` takes."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"


class WhenNoForecast(StrEnum):
    """What `nagios --no-forecast` takes."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


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


class OnBlind(StrEnum):
    """What `--on-blind` takes."""

    STOP = "stop"
    CONTINUE = "continue"


class Change(StrEnum):
    """What is new in a reading while a balance is watched."""

    START = "start"
    """It is the first one."""
    CHANGED = "changed"
    """The amount that is left or used is another one."""
    TOP_UP = "top_up"
    """There is more in all, by two readings that agree."""
    CUT = "cut"
    """There is less in all."""
    FAILED = "failed"
    RECOVERED = "recovered"
    """It succeeded, and the one before it failed."""
    BELOW = "below"
    """Less is left than `min`."""
    ENOUGH = "enough"
    """No longer less than `min`."""


class AlertEvent(StrEnum):
    """What an alert tells."""

    LOW = "low"
    """Less is left than `min`, or lasts shorter than `min_runway`."""
    RECOVERED = "recovered"
    """Enough is left again."""
    STOPPED = "stopped"
    """A limit was reached, and the guarded command is being stopped."""


class Condition(StrEnum):
    """What `doctor` says of each thing that it has looked at."""

    OK = "ok"
    NOTE = "note"
    """It works, and there is something to know."""
    WRONG = "wrong"
