"""Exit codes and the tree of errors: the two lists that scripts and callers rely on."""

import re

import pytest

from apimart_cli import errors
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    CommandStatus,
    ConfigError,
    ExitCode,
    NoAccountError,
    NoBooksError,
    OutputError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
    bug,
)


def test_the_exit_codes_are_these() -> None:
    """The codes are public: none changes its meaning, none goes, and a new one is added here on purpose."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0, "INTERNAL": 1, "USAGE": 2, "BELOW": 3, "AUTH": 4, "UNAVAILABLE": 5, "BAD_RESPONSE": 6, "UNLIMITED": 7,
        "NO_FORECAST": 8, "INTERRUPTED": 130,
    }  # fmt: skip


_TREE = [
    (ApimartError, Exception, "internal", ExitCode.INTERNAL),
    (UsageError, ApimartError, "usage", ExitCode.USAGE),
    (ConfigError, UsageError, "config", ExitCode.USAGE),
    (PaymentRequiredError, ApimartError, "payment_required", ExitCode.BELOW),
    (AuthError, ApimartError, "auth", ExitCode.AUTH),
    (UnavailableError, ApimartError, "unavailable", ExitCode.UNAVAILABLE),
    (BadResponseError, ApimartError, "bad_response", ExitCode.BAD_RESPONSE),
    (NoAccountError, BadResponseError, "bad_response", ExitCode.BAD_RESPONSE),
    (NoBooksError, BadResponseError, "bad_response", ExitCode.BAD_RESPONSE),
    (OutputError, ApimartError, "output", ExitCode.INTERNAL),
]


def test_every_error_has_its_place_and_codes() -> None:
    """Callers catch by class, programs read `code`, scripts read `exit_code`; the drawing in the module names all."""
    defined = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ApimartError)]
    found = [(kind, *kind.__bases__, kind.code, kind.exit_code) for kind in defined]
    assert sorted(found, key=str) == sorted(_TREE, key=str)
    drawn = re.findall(r"(\w+Error) +(\d) +(\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted((kind.__name__, str(int(exit_code)), code) for kind, _, code, exit_code in _TREE)


def test_message_and_hint_are_one_visible_line() -> None:
    """No error can be built from text that moves a cursor, ends the line or shows a key; a hint may be missing."""
    for kind, *_ in _TREE:
        error = kind("bad\nthing\x1b[2J sk-abcdefgh", "do\tthis: ::error::sk-abcdefgh")
        assert error.message == str(error) == "bad\\x0athing\\x1b[2J sk-..."
        assert error.hint == "do\\x09this: :\\:error::sk-..."
        assert kind("a message").hint is None


def test_an_unavailable_gateway_is_not_asked_again_unless_it_is_said() -> None:
    """Retrying is opt-in: TLS failures and refusals must not be repeated by accident."""
    assert UnavailableError("a message").retryable is False
    assert UnavailableError("a message", "a hint", retryable=True).retryable is True


def test_the_status_of_a_wrapped_command_is_no_exit_code_of_ours() -> None:
    """What a command of the user returned is told apart from what apimart says."""
    assert CommandStatus(3) == 3
    assert not isinstance(CommandStatus(3), ExitCode)


def test_a_bug_is_told_by_type_and_place_only() -> None:
    """Its message may hold a key. The place is the frame that raised; an exception without a traceback has none."""
    with pytest.raises(ValueError, match="secret") as caught:
        _deeper()
    told = bug(caught.value)
    assert told.message == f"a bug in apimart: ValueError in {__name__}, line {_deeper.__code__.co_firstlineno + 1}"
    assert told.hint == "please report it, with the command you ran"
    assert told.exit_code is ExitCode.INTERNAL
    assert bug(KeyError("x")).message == "a bug in apimart: KeyError"


def _deeper() -> None:
    raise ValueError("secret sk-abcdefgh words")
