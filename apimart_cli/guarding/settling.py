"""After a command: the gateway may book the last charges some seconds late."""

import threading
import time
from collections.abc import Callable
from decimal import Decimal

from apimart_cli.guard import Guard
from apimart_cli.guarding.looking import Looking, Sight
from apimart_cli.processes.signals import asked_to_end, held_back

SETTLE_PAUSE, SETTLE_LIMIT = 5.0, 15.0
"""Seconds between two looks that have to agree, and for which that is waited for."""


def settle(looking: Looking, guard: Guard, latest: Sight, *, waits: bool) -> tuple[Sight, bool]:
    """Look until two looks agree, or just once; return the last look that told something, and whether two agreed.

    A signal that ends processes cuts it short.
    """
    give_up_at = time.monotonic() + SETTLE_LIMIT
    before: Decimal | None = None
    with asked_to_end() as wait:
        while True:
            sight = _look_unless(wait, looking, needs_account=guard.counts_account)
            if sight is None:
                return latest, False
            guard.take(sight.look)
            used = sight.look.used_of_account if guard.counts_account else sight.look.used
            if used is not None:
                latest = sight
                if used == before:
                    return latest, True
            before = used
            if not waits or time.monotonic() + SETTLE_PAUSE > give_up_at or wait(SETTLE_PAUSE):
                return latest, False


def _look_unless(is_ended: Callable[[float], bool], looking: Looking, *, needs_account: bool) -> Sight | None:
    """Look in another thread; leave it alone when we are asked to end, which tells whether that was within seconds.

    Raises what the look raises.
    """
    sights: list[Sight] = []
    failures: list[Exception] = []

    def look() -> None:
        try:
            sights.append(looking.again(is_last=True, needs_account=needs_account))
        except Exception as error:  # noqa: BLE001  # raised again where it is known how to tell it
            failures.append(error)

    thread = threading.Thread(target=look, daemon=True)
    with held_back():
        try:
            thread.start()
        except RuntimeError:  # the system starts no thread
            return None
    while thread.is_alive() and not is_ended(0.005):
        pass
    if failures:
        raise failures[0]
    return sights[0] if sights else None
