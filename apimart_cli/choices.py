"""Choices that one or two commands take, and that rooms below them know as well. Pure.

Those of most commands stand in `words`, which every command loads.
"""

from enum import StrEnum


class BooksScope(StrEnum):
    """Which books are asked: what `usage --scope` takes."""

    KEY = "key"
    ACCOUNT = "account"


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


class Preset(StrEnum):
    """What `statusline` writes its line for."""

    PLAIN = "plain"
    TMUX = "tmux"
    WAYBAR = "waybar"
    STARSHIP = "starship"
    CLAUDE = "claude"
    JSON = "json"


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


class AlertEvent(StrEnum):
    """What an alert tells."""

    LOW = "low"
    """Less is left than `min`, or lasts shorter than `min_runway`."""
    RECOVERED = "recovered"
    """Enough is left again."""
    STOPPED = "stopped"
    """A limit was reached, and the guarded command is being stopped."""
