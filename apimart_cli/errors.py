"""What `--debug` tells: a recorder that is handed down, one line a call. Pure: no I/O, nothing heavy imported.

The exit codes and the tree of errors: the two lists that scripts and callers can rely on.

    ApimartError                 1  internal          never raised itself; the root to catch
    +-- UsageError               2  usage             options, environment or configuration are wrong
    |   +-- ConfigError          2  config            the config file or a key file is wrong
    +-- PaymentRequiredError     3  payment_required  the gateway says that there is no money: HTTP 402, or in words
    +-- AuthError                4  auth              the key is missing, malformed or rejected
    +-- UnavailableError         5  unavailable       no answer within the time allowed
    +-- BadResponseError         6  bad_response      an answer that cannot be trusted
    |   +-- NoAccountError       6  bad_response      the gateway has no account endpoint
    |   +-- NoBooksError         6  bad_response      the gateway keeps no books that can be asked
    +-- OutputError              1  output            the answer could not be written

Pure: no I/O, nothing heavy imported. Every other module may import this one.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import IntEnum
from typing import ClassVar

from apimart_cli.text import visible

Trace = Callable[[str], None]
"""Takes one line. It may hold foreign text: whoever writes it makes it visible."""


def traced_error(error: BaseException) -> Iterator[str]:
    """Yield where `error` comes from, line by line, and of each error that led to it.

    Of the errors only the types are told: their words might hold a key.
    """
    from traceback import extract_tb

    current: BaseException | None = error
    seen: list[BaseException] = []
    while current is not None and current not in seen:
        seen.append(current)
        yield f"{type(current).__name__}, its words withheld"
        for frame in extract_tb(current.__traceback__):
            yield f"  {frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}"
        current = current.__cause__ or current.__context__


class ExitCode(IntEnum):
    """What the process tells its caller. Public API: a value never changes its meaning."""

    OK = 0
    """The balance was shown; every threshold is met; or the quota is unlimited."""
    INTERNAL = 1
    """A bug in apimart, or output that could not be written. Never a verdict."""
    USAGE = 2
    """Bad options, bad or unreadable configuration, bad URL, or a check without a threshold."""
    BELOW = 3
    """The verdict: a threshold is not met, or the gateway says that the key's quota or the balance is used up."""
    AUTH = 4
    """The key is missing, empty, malformed or rejected."""
    UNAVAILABLE = 5
    """No answer: DNS, connection, TLS, timeout, rate limit or a failing server."""
    BAD_RESPONSE = 6
    """An answer that cannot be trusted."""
    UNLIMITED = 7
    """The quota is unlimited and `--on-unlimited fail` was asked for."""
    NO_FORECAST = 8
    """`--min-runway` was asked for, and neither history nor books are enough to tell how long the balance lasts."""
    INTERRUPTED = 130
    """Ctrl-C."""


NO_THREAD_HINT = "look at the limit of processes (ulimit -u) and at what the container allows (clone3)"
"""What to do where the system starts no thread."""


NOT_STARTED = 125
"""What `run` ends with when its command was not started, or when apimart itself failed, as GNU timeout does."""


PLUGIN_UNKNOWN = 3
"""What `nagios` ends with, as every plugin does, when it looked at nothing: help, wrong options, a bug, a signal."""


class CommandStatus(int):
    """An exit status by the convention of somebody else, handed on as it is.

    Of a command that apimart ran for the user, 128 + n for signal n; or that of a plugin.
    """


class ApimartError(Exception):
    """What went wrong, for a person (`message`, `hint`) and for a program (`code`, `exit_code`).

    `message` says what happened and where, `hint` what to do next. Both are made one visible line here, at the
    root, so that no error can be built from foreign text that moves a cursor or obeys a CI runner.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = visible(message)
        self.hint = None if hint is None else visible(hint)
        super().__init__(self.message)


class UsageError(ApimartError):
    """The command line, the environment or the configuration is wrong; nothing was asked of the gateway."""

    code = "usage"
    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """The config file or a key file cannot be read, is malformed, or is open to other users."""

    code = "config"


class PaymentRequiredError(ApimartError):
    """The gateway says that there is no money: HTTP 402, or that the quota of the key or the balance is used up.

    For `check` this is a verdict, not a failure. `in_short` says it in a line of a verdict. `floor` is what the gateway
    wants for any call, in US dollars; None where it did not say.
    """

    code = "payment_required"
    exit_code = ExitCode.BELOW

    def __init__(self, message: str, hint: str | None = None, *, in_short: str | None = None) -> None:
        super().__init__(message, hint)
        self.in_short = visible(in_short or "the account cannot pay (HTTP 402)")
        self.floor: Decimal | None = None


class AuthError(ApimartError):
    """The key is missing, empty, malformed, or the gateway rejected it.

    `rejection` is what the gateway said when it rejected the key, ready to follow a name of the key; else None.
    """

    code = "auth"
    exit_code = ExitCode.AUTH

    def __init__(self, message: str, hint: str | None = None, *, rejection: str | None = None) -> None:
        super().__init__(message, hint)
        self.rejection = rejection


LONGEST_RETRY_AFTER = 86_400.0
"""Most seconds that a gateway can ask to be left alone: a number or date without sense must not be the end."""


class UnavailableError(ApimartError):
    """No answer could be had within the time allowed.

    `retryable` tells whether asking again soon can help. `was_told` tells that the gateway was reached and said itself
    that it does not know the balance: `--fail-open` forgives silence, and no such word. `retry_after` is for how many
    seconds the gateway asked not to be asked again, at most LONGEST_RETRY_AFTER; None where it did not.
    """

    code = "unavailable"
    exit_code = ExitCode.UNAVAILABLE

    def __init__(
        self, message: str, hint: str | None = None, *, retryable: bool = False, was_told: bool = False
    ) -> None:
        super().__init__(message, hint)
        self.retryable = retryable
        self.was_told = was_told
        self.retry_after: float | None = None


class BadResponseError(ApimartError):
    """An answer arrived, but proves nothing: wrong status, wrong shape, too large, a redirect.

    `is_no_endpoint` tells that it says just that: there is nothing at this address (HTTP 404 or 405).
    """

    code = "bad_response"
    exit_code = ExitCode.BAD_RESPONSE
    is_no_endpoint = False


class NoAccountError(BadResponseError):
    """The gateway has no account endpoint, and may lack it: where no scope was chosen, the key alone is looked at."""


class NoBooksError(BadResponseError):
    """The gateway keeps no books that can be asked (HTTP 404 or 405)."""


class OutputError(ApimartError):
    """The answer is known but could not be written where it was asked for."""

    code = "output"


def bug(error: BaseException) -> ApimartError:
    """Return the error for an unexpected exception: its type and place.

    Its message and traceback are left out: either may hold a key.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = ""
    if frame is not None:
        place = f" in {frame.tb_frame.f_globals.get('__name__')}, line {frame.tb_lineno}"
    return ApimartError(
        f"a bug in apimart: {type(error).__name__}{place}", "please report it, with the command you ran"
    )
