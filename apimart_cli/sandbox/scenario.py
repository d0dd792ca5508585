"""How the sandbox behaves: its amounts, and the failures that can be rehearsed. Pure: no I/O."""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Fault(StrEnum):
    """Every failure that can be rehearsed."""

    UNAUTHORIZED = "unauthorized"
    UNKNOWN_KEY = "unknown-key"
    PAYMENT_REQUIRED = "payment-required"
    RATE_LIMIT = "rate-limit"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    HTML = "html"


class Funds(NamedTuple):
    """What a key or an account has at the start. Amounts are in the gateway's unit; `remain` None means unlimited."""

    remain: Decimal | None
    used: Decimal

    def after(self, spent: Decimal) -> "Funds":
        """Return what is there after `spent`: a limited balance ends at zero, and no more than it had is used."""
        if self.remain is None:
            return Funds(None, self.used + spent)
        spent = min(spent, self.remain)
        return Funds(self.remain - spent, self.used + spent)


class Scenario(NamedTuple):
    """How the sandbox behaves. The defaults are the amounts of the gateway's own documentation."""

    key: Funds = Funds(Decimal("10.5"), Decimal("2.3"))
    account: Funds = Funds(Decimal("100.0"), Decimal("25.5"))
    burn: Decimal = Decimal(0)
    """How much is spent in a second."""
    latency: float = 0.0
    """Seconds before each answer."""
    fault: Fault | None = None
