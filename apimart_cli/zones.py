"""Time zones: that of this machine, by its name, and what a name means. What it loads costs some milliseconds: late."""

import os
from collections.abc import Mapping
from datetime import UTC, tzinfo

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

_UTC = frozenset({"UTC", "Etc/UTC"})

_EXAMPLE = "give a name like Europe/Berlin, or UTC"


def local_zone(environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of this machine's time zone, by the IANA data base. Raises UsageError where it has none."""
    try:
        name = _named_by(environ["TZ"]) if "TZ" in environ else _of_machine()
        zone_of(name, "the time zone")
    except Exception:  # noqa: BLE001  # it reads whatever the machine has, and raises whatever comes of it
        raise UsageError(
            "the time zone of this machine has no name that the gateway would know", f"{_EXAMPLE}, with --tz or TZ"
        ) from None
    return name


def _named_by(variable: str) -> str:
    """Return the zone that TZ names. tzlocal would leave out a rule like EST5EDT,M3.2.0, which the clocks obey."""
    name = variable.removeprefix(":")
    return _of_machine() if os.path.isabs(name) else name or "UTC"


def _of_machine() -> str:
    import logging
    import warnings

    import tzlocal

    # Where /etc/timezone and /etc/localtime differ it says so, and takes one of them.
    logging.getLogger("tzlocal").addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(tzlocal.get_localzone_name())


def zone_of(name: str, source: str) -> tzinfo:
    """Return the zone of that name. Raises UsageError, which names `source`, where there is none."""
    if name in _UTC:
        # It is known where there is no data base of zones, too, as in small containers.
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise UsageError(f"{source}: there is no time zone '{quote(name, 40)}'", _EXAMPLE) from None
