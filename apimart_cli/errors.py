"""The exit codes and the tree of errors: the two lists that scripts and callers can rely on.

    ApimartError                 1  internal          the root to catch
    +-- UsageError               2  usage             options, environment or configuration are wrong
    |   +-- ConfigError          2  config            the config file or a key file is wrong
    +-- PaymentRequiredError     3  payment_required  the gateway says that there is no money: HTTP 402, or in words
    +-- AuthError                4  auth              the key is missing, malformed or rejected
    +-- UnavailableError         5  unavailable       no answer within the time allowed
    +-- BadResponseError         6  bad_response      an answer that cannot be trusted
    |   +-- NoAccountError       6  bad_response      the gateway has no account endpoint
    |   +-- NoBooksError         6  bad_response      the gateway keeps no books that can be asked
    +-- OutputError              1  output            the answer could not be written

Every other module may import this one. Pure: no I/O, nothing heavy imported.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from apimart_cli.text import visible

if TYPE_CHECKING:
    from decimal import Decimal

ANSWER_HINT = "try again later: something between here and the gateway, or the gateway itself, answered wrongly"


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


NOT_STARTED = 125
"""The status of `run` when its command was not started, or when apimart itself failed, as of GNU timeout."""

PLUGIN_UNKNOWN = 3
"""The status of `nagios`, as of every plugin, when it judged nothing: help, wrong options, a bug, a signal."""

LONGEST_RETRY_AFTER = 86_400.0
"""Most seconds for which a gateway can ask us to wait: a number or date without sense must not stop us for ever."""

NO_THREAD_HINT = "look at the limit of processes (ulimit -u) and at what the container allows (clone3)"
"""What to do where the system starts no thread."""

Trace = Callable[[str], None]
"""Takes one line of what `--debug` shows. It may hold foreign text, which is made visible when it is written."""


class CommandStatus(int):
    """An exit status that is none of ours, handed on as it is.

    It is the status of a command that apimart ran for the user (128 + n after signal n), or that of a plugin.
    """


class ApimartError(Exception):
    """What went wrong, for a person (`message`, `hint`) and for a program (`code`, `exit_code`).

    `message` says what happened and where, `hint` what to do next. Both are made one visible line here, at the root, so
    that foreign text in an error can neither move a cursor nor give a command to a CI runner.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    is_silence: bool = False
    """Whether the gateway said nothing at all: `--fail-open` forgives that, and no word of the gateway's."""
    retry_after: float | None = None
    """For how many seconds the gateway asked not to be asked again, at most LONGEST_RETRY_AFTER; else None."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = visible(message)
        self.hint = None if hint is None else visible(hint)
        super().__init__(self.message)


def longest_retry_after(errors: Iterable[ApimartError | None]) -> float | None:
    """Return the longest `retry_after` of these errors; None where none of them has one."""
    return max((error.retry_after for error in errors if error and error.retry_after is not None), default=None)


class UsageError(ApimartError):
    """The command line, the environment or the configuration is wrong; the gateway was not asked."""

    code = "usage"
    exit_code = ExitCode.USAGE


def no_thread(what: str) -> UsageError:
    """Return the error for a system that starts no thread, after `what` cannot be done without one."""
    return UsageError(f"{what}: the system starts no thread", NO_THREAD_HINT)


class ConfigError(UsageError):
    """The config file or a key file cannot be read, is malformed, or is open to other users."""

    code = "config"


class PaymentRequiredError(ApimartError):
    """The gateway says that there is no money: HTTP 402, or that the quota of the key or the balance is used up.

    For `check` this is a verdict, not a failure. `in_short` is for one line of a verdict. `floor` is the least that the
    gateway wants for any call, in US dollars; None if it did not say.
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


class UnavailableError(ApimartError):
    """No answer came within the time allowed.

    `retryable` tells whether asking again soon can help. `was_told` tells that the gateway was reached and said itself
    that it does not know the balance.
    """

    code = "unavailable"
    exit_code = ExitCode.UNAVAILABLE

    def __init__(
        self, message: str, hint: str | None = None, *, retryable: bool = False, was_told: bool = False
    ) -> None:
        super().__init__(message, hint)
        self.retryable = retryable
        self.is_silence = not was_told


class BadResponseError(ApimartError):
    """An answer arrived, but proves nothing: wrong status, wrong shape, too large, a redirect.

    `is_no_endpoint` tells that it only says that there is nothing at this address (HTTP 404 or 405).
    """

    code = "bad_response"
    exit_code = ExitCode.BAD_RESPONSE
    is_no_endpoint = False


class NoAccountError(BadResponseError):
    """The gateway has no account endpoint, and need not have one: if no scope was chosen, the key alone counts."""


class NoBooksError(BadResponseError):
    """The gateway keeps no books that can be asked (HTTP 404 or 405)."""


class OutputError(ApimartError):
    """The answer is known but could not be written."""

    code = "output"


def untrustworthy(what: str) -> BadResponseError:
    """Return the error for an answer that proves nothing, with what is wrong about it."""
    return BadResponseError(f"the gateway's answer cannot be trusted: {what}", ANSWER_HINT)


def bug(error: BaseException) -> ApimartError:
    """Return the error for an unexpected exception, with its type and place.

    Its message and traceback are left out, as either may hold a key.
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


def traced_error(error: BaseException) -> Iterator[str]:
    """Yield the traceback of `error`, and of each error that led to it, line by line.

    Of the errors it has only the types: their words might hold a key.
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
