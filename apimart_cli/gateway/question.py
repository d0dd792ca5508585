"""One question, asked by the thread that calls, while another one watches the clock and may go on without it."""

import time
from collections.abc import Callable

from apimart_cli.balance import Balance, Reading
from apimart_cli.errors import ApimartError, AuthError, bug
from apimart_cli.gateway.client import KEY_GRACE
from apimart_cli.gateway.failures import key_overdue, key_rejected, timed_out
from apimart_cli.gateway.retry import fetch
from apimart_cli.gateway.transport import Transport
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.redactor import Redactor
from apimart_cli.target import Target
from apimart_cli.trace import Trace, traced_error


class Question:
    """One target, asked once. Its clock runs from `begin` on."""

    def __init__(
        self,
        target: Target,
        transport: Transport,
        redactor: Redactor,
        is_closed: Callable[[], bool],
        trace: Trace | None,
    ) -> None:
        """Leave it no more time once `is_closed` says so. `redactor` quotes what the server says."""
        self._target = target
        self._transport = transport
        self._redactor = redactor
        self._is_closed = is_closed
        self._trace = trace
        self._deadline = 0.0
        self._key: ApiKey | None = None
        self._is_past_key = False
        self._foretold: ApimartError | None = None

    def begin(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self._target.timeout

    @property
    def ends_at(self) -> float:
        """When it is over, whatever it is doing, by `time.monotonic()`."""
        return self._deadline if self._is_past_key else self._deadline + KEY_GRACE

    @property
    def is_at_key(self) -> bool:
        """Whether the source of its key may be at work."""
        return not self._is_past_key

    def ask(self) -> Reading:
        """Return the reading: a balance, or why there is none. Nothing is raised."""
        try:
            return self._reading(self._ask())
        except ApimartError as error:
            # Its frames hold connections, and whatever the server echoed.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return self._reading(error)
        except Exception as error:  # noqa: BLE001  # a bug must fail the reading, not end the thread
            for line in traced_error(error) if self._trace else ():
                if self._trace:
                    self._trace(line)
            return self._reading(bug(error))

    def overdue(self) -> Reading:
        """Return the reading of a question that is over, in any thread."""
        if self._is_past_key:
            return self._reading(self._foretold or timed_out(self._target.host, self._target.timeout))
        return self._reading(key_overdue(self._target.profile))

    def _ask(self) -> Balance:
        try:
            self._key = key = self._target.api_key.read(self._seconds_left)
        finally:
            self._is_past_key = True
        return fetch(
            self._target,
            key,
            self._transport,
            redactor=self._redactor,
            seconds_left=self._seconds_left,
            foretell=self._foretell,
            trace=self._trace,
        )

    def _foretell(self, failure: ApimartError) -> None:
        self._foretold = failure

    def _seconds_left(self) -> float:
        return 0.0 if self._is_closed() else max(0.0, self._deadline - time.monotonic())

    def _reading(self, result: Balance | ApimartError) -> Reading:
        target, key = self._target, self._key
        if isinstance(result, AuthError) and result.rejection is not None and key is not None:
            result = key_rejected(result.rejection, source=key.source)
        return Reading(target.profile, target.scope, target.unit, result, key.key_id if key else None, target.host)
