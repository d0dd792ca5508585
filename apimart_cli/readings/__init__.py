"""Readings: taken from settings, once and again and again, with what the ledger and the books add; and alerts."""

from enum import Enum


class Tells(Enum):
    """How much a command says on standard error while it asks."""

    NOTHING = 0
    """Only that others can read a key file: the answer shows the failures itself."""
    FAILURES = 1
    """Failures and warnings, but no progress and no notes."""
    EVERYTHING = 2
