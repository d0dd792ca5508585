"""One gateway as its answers show it: whether it is worth asking. Pure: no I/O, and no clock of its own.

A gateway that does not answer is asked again by one question at a time: thousands of others would each wait for their
whole time limit, and find the same.
"""

from math import inf

from apimart_cli.balance import Reading
from apimart_cli.errors import AuthError, BadResponseError, PaymentRequiredError, UnavailableError
from apimart_cli.pace import MOST_BACK_OFF

SILENT_AFTER = 5
"""After so many questions in a row without an answer, none of them answered meanwhile, a gateway counts as down."""

PROBE_EVERY = 5.0
"""Least seconds between two questions to a gateway that is down."""


class Host:
    """What is known of one gateway."""

    def __init__(self) -> None:
        self._silent = 0
        self._answered_at = -inf
        self._latest: UnavailableError | None = None
        self._quiet_until = 0.0
        self._is_probing = False

    @property
    def is_down(self) -> bool:
        """Whether it counts as down."""
        return self._silent >= SILENT_AFTER

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last question was not answered: those under way will tell, and more would wait as they do."""
        return 0 < self._silent < SILENT_AFTER

    def may_be_asked(self, now: float) -> bool:
        """Tell whether a question may be sent now; where it is down, that is the one to find out. Count it as sent."""
        if not self.is_down:
            return True
        if self._is_probing or now < self._quiet_until:
            return False
        self._is_probing = True
        return True

    def failure(self) -> UnavailableError:
        """Return why a question was not sent."""
        why = self._latest.message if self._latest is not None else "no answer"
        return UnavailableError(f"not asked, as it went with others: {why}", "look at the gateway first")

    def take(self, reading: Reading, now: float, began: float) -> bool:
        """Take note of what became of a question that began then; return whether the gateway is back after it was down.

        Where others were answered since it began, the gateway is there, and silent to that question alone.
        """
        was_down, self._is_probing = self.is_down, False
        match reading.error:
            case UnavailableError(was_told=False) as silence:
                self._silent += began >= self._answered_at
                self._latest = silence
                # A key waits for as long as it was told to; others may not be meant, and one of them has to find out.
                self._quiet_until = now + max(PROBE_EVERY, min(silence.retry_after or 0.0, MOST_BACK_OFF))
            case None | UnavailableError() | PaymentRequiredError() | BadResponseError():
                self._silent, self._answered_at = 0, now
            case AuthError(rejection=said) if said is not None:
                self._silent, self._answered_at = 0, now
        return was_down and not self.is_down
