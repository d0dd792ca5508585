"""Records: a guarded run. Pure: no I/O."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.words import StoppedBy


class Run(NamedTuple):
    """One run of a command under a guard, as the ledger keeps it. Amounts are in the gateway's unit."""

    key_id: str
    host: str
    profile: str
    label: str | None
    unit: str | None
    began: datetime
    """In UTC."""
    ended: datetime | None = None
    """None while it runs, or when nobody saw the end."""
    spent: Decimal | None = None
    """What the key was charged from the first reading to the last; None where there was none."""
    is_settled: bool = False
    """Whether the gateway had booked everything by the last reading."""
    stopped_by: StoppedBy | None = None
    exit_code: int | None = None
