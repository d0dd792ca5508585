"""One question: its key, its answer, and the clock that both are held to."""

import time
from collections.abc import Callable
from typing import NamedTuple

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import ApimartError, AuthError, bug
from apimart_cli.gateway.failures import key_overdue, key_rejected, timed_out
from apimart_cli.gateway.retry import fetch
from apimart_cli.gateway.shared import Asked, Shared, Sharing
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.redactor import Redactor
from apimart_cli.target import Target
from apimart_cli.trace import Trace

KEY_GRACE = 0.15
"""Seconds after its time limit that a source of a key has to say why it gave none."""


class Means(NamedTuple):
    """What questions are asked with."""

    transport: Transport
    redactor: Redactor
    """Quotes what the server says, and is told every key."""
    sharing: Sharing
    is_closed: Callable[[], bool]
    """Whether nobody waits for an answer any more: then there is no time left."""
    trace: Trace | None = None


class Question:
    """One target, asked once, by one thread; another may watch the clock and go on without it."""

    def __init__(self, target: Target, means: Means) -> None:
        self._target = target
        self._means = means
        self._deadline = 0.0
        self._key: ApiKey | None = None
        self._is_past_key = False
        self._shared: Shared[Balance] | None = None
        """What it shares with others once its key is known."""

    def begin(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self._target.timeout

    @property
    def ends_at(self) -> float:
        """When it is over, whatever it is doing, by `time.monotonic()`."""
        return self._deadline if self._is_past_key else self._deadline + KEY_GRACE

    @property
    def is_at_key(self) -> bool:
        """Whether the source of its key may be at work, once it has begun."""
        return not self._is_past_key

    def ask(self) -> Reading:
        """Return the reading: a balance, or why there is none. Nothing is raised."""
        try:
            return self.reading(self._ask())
        except ApimartError as error:
            # Its frames hold connections, and whatever the server echoed.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return self.reading(error)
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not vanish with its thread
            self._trace_bug(error)
            return self.reading(bug(error))

    def overdue(self) -> Reading:
        """Return the reading where there is no time left, in any thread."""
        target = self._target
        if self._shared is None:
            return self.reading(key_overdue(target.profile))
        return self.reading(self._shared.foretold or timed_out(target.host, target.timeout))

    def reading(self, result: Balance | ApimartError) -> Reading:
        """Return what came of it as a reading."""
        target, key = self._target, self._key
        if isinstance(result, AuthError) and result.rejection is not None and key is not None:
            # The answer may be shared by keys of several sources.
            result = key_rejected(result.rejection, source=key.source)
        return Reading(target.profile, target.scope, target.unit, result, key.key_id if key else None, target.host)

    def _ask(self) -> Balance:
        target, means = self._target, self._means
        try:
            self._key = key = self._read_key()
        finally:
            self._is_past_key = True
        self._shared = shared = means.sharing.answer(
            Asked(key.key_id, target.endpoint, target.timeout, target.may_be_missing is not None)
        )

        def foretell(failure: ApimartError) -> None:
            shared.foretold = failure

        means.redactor.add(key)
        return shared.get(
            lambda: fetch(
                target,
                key,
                means.transport,
                redactor=means.redactor,
                seconds_left=self._seconds_left,
                foretell=foretell,
                trace=means.trace,
            )
        )

    def _read_key(self) -> ApiKey:
        source = self._target.api_key
        return self._means.sharing.key(source).get(lambda: source.read(self._seconds_left))

    def _seconds_left(self) -> float:
        return 0.0 if self._means.is_closed() else max(0.0, self._deadline - time.monotonic())

    def _trace_bug(self, error: Exception) -> None:
        if self._means.trace is not None:
            from apimart_cli.trace import traced_error

            for line in traced_error(error):
                self._means.trace(line)
