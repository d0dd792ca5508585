"""Records of the ledger. Pure: no I/O."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.words import Scope

ALLOWED_SECONDS = 0.25
"""Most seconds that an answer, or the end of the process after it, is held up by the ledger."""

MAX_DIGITS, MAX_PLACES = 15, 30
"""Most digits of an amount before and after the point."""


class Series(NamedTuple):
    """Whose readings belong together: one key, one gateway, one scope."""

    key_id: str
    """Tells keys apart without telling them: see `ApiKey.key_id`."""
    host: str
    """The gateway's host, with the port where it is not the usual one."""
    scope: Scope


class Entry(NamedTuple):
    """One reading as the ledger keeps it. Amounts are in the gateway's unit."""

    series: Series
    at: datetime
    """In UTC, to the second."""
    profile: str
    """The name of the profile then: a label, which tells nothing about the key."""
    remain: Decimal | None
    """None is unlimited."""
    used: Decimal
    unit: str | None
    source: str
    """The command that asked."""
