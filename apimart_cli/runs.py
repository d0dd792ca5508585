"""Records: a guarded run. Pure: no I/O."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from apimart_cli.words import StoppedBy

STOPPED = 124
"""What `run` ends with when a limit was reached, as GNU timeout does."""


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
    could_not_stop: int = 0
    """How many processes of the command went on when a limit was reached: it ended by itself then."""

    @property
    def was_stopped(self) -> bool | None:
        """Whether a limit ended the command; False, too, where it was not started. None while it runs."""
        if self.exit_code is None:
            return None
        return self.stopped_by is not None and self.exit_code == STOPPED and not self.could_not_stop
