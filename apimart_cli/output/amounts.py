"""Amounts as text: every digit that the gateway sent, trailing zeros included, an exponent written out."""

from decimal import Decimal


def plain(amount: Decimal) -> str:
    """Return every digit of an amount, without an exponent."""
    return f"{amount:f}"


def with_unit(amount: Decimal, unit: str | None) -> str:
    """Return every digit of an amount, and its unit where it is known."""
    return f"{plain(amount)} {unit}" if unit else plain(amount)
