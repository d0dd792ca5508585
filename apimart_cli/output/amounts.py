"""Amounts as text, and times: every digit that the gateway sent, trailing zeros included, an exponent written out."""

from decimal import Decimal, localcontext


def plain(amount: Decimal) -> str:
    """Return every digit of an amount, without an exponent."""
    return f"{amount:f}"


def with_unit(amount: Decimal, unit: str | None) -> str:
    """Return every digit of an amount, and its unit where it is known."""
    return f"{plain(amount)} {unit}" if unit else plain(amount)


def whole_seconds(days: Decimal, rounding: str) -> Decimal:
    """Return days of 24 hours as whole seconds, rounded as `decimal` calls it."""
    with localcontext(prec=120):
        return (days * 24 * 60 * 60).to_integral_value(rounding)
