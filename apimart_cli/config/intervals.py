"""How often something is done, as a command line says it: seconds, or a duration. Pure: no I/O."""

from collections.abc import Iterable, Mapping

from apimart_cli.config.durations import LONGEST, read_seconds, too_long
from apimart_cli.errors import UsageError
from apimart_cli.pace import LEAST_INTERVAL
from apimart_cli.target import is_plain_http

LEAST_IN_SANDBOX = 0.1
"""Seconds between two questions, at the least, where it is the sandbox that is asked."""


def least_interval(base_urls: Iterable[str], environ: Mapping[str, str]) -> float:
    """Return the shortest interval: the sandbox of this machine may be asked as often as somebody likes."""
    is_sandbox = "APIMART_SANDBOX" in environ and all(map(is_plain_http, base_urls))
    return LEAST_IN_SANDBOX if is_sandbox else LEAST_INTERVAL


def parse_seconds(text: str, source: str) -> float:
    """Return the seconds of a duration of at most ten years; a number alone is in seconds. Raises UsageError."""
    seconds = read_seconds(text, source)
    if seconds > LONGEST.total_seconds():
        raise too_long(text, source)
    return float(seconds)


def parse_interval(text: str, *, least: float, example: str, source: str = "--interval") -> float:
    """Return the seconds between two questions. Raises UsageError for less than `least`, with an example of ours."""
    seconds = parse_seconds(text, source)
    if seconds < least:
        raise UsageError(f"{source}: must be at least {least:g} seconds", f"give {example}")
    return seconds
