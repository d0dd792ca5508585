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
    def has_reports(self) -> bool:
        """Whether it also writes files that a CI runner names; they are asked for where nothing else is, too."""
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


class StoppedBy(StrEnum):
    """Why a guarded command was stopped, or not even started."""

    MIN = "min"
    """Less was left than `--min` asks for."""
    MAX_SPEND = "max_spend"
    """So much was spent as `--max-spend` allows."""
    MIN_RUNWAY = "min_runway"
    """What was left does not last as long as `--min-runway` asks for."""
    PAYMENT_REQUIRED = "payment_required"
    """The gateway said that there is no money: HTTP 402, or that the key's quota or the balance is used up."""
    BLIND = "blind"
    """The balance was not known for too long, or long enough for a limit to be reached meanwhile."""


class OnBlind(StrEnum):
    """What `--on-blind` takes."""

    STOP = "stop"
    CONTINUE = "continue"


class Change(StrEnum):
    """What a reading shows that the one before it did not, while a balance is watched."""

    START = "start"
    """It is the first one."""
    CHANGED = "changed"
    """What is left or what is used is another amount."""
    TOP_UP = "top_up"
    """There is more in all, as two readings agree."""
    CUT = "cut"
    """There is less in all."""
    FAILED = "failed"
    RECOVERED = "recovered"
    """It succeeded, and the one before it failed."""
    BELOW = "below"
    """Less is left than `min`."""
    ENOUGH = "enough"
    """Not any more."""


class AlertEvent(StrEnum):
    """What an alert tells."""

    LOW = "low"
    """Less is left than `min`, or it lasts shorter than `min_runway`."""
    RECOVERED = "recovered"
    """Enough is left again."""
    STOPPED = "stopped"
    """A limit was reached, and the guarded command is being stopped."""
