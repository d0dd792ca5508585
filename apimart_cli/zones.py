"""Time zones: that of this machine, by its name, and what a name means. What it loads costs some milliseconds: late."""

from datetime import UTC, tzinfo

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

_UTC = frozenset({"UTC", "Etc/UTC"})

_EXAMPLE = "give a name like Europe/Berlin, or UTC"


def local_zone() -> str:
    """Return the name of this machine's time zone, by the IANA data base. Raises UsageError where it has none."""
    import warnings

    import tzlocal

    try:
        with warnings.catch_warnings():
            # Where /etc/timezone and /etc/localtime differ it warns; TZ decides then, or the first of them.
            warnings.simplefilter("ignore")
            name = tzlocal.get_localzone_name()
        zone_of(name or "", "the time zone")
    except Exception:  # noqa: BLE001  # it reads whatever the machine has, and raises whatever comes of it
        raise UsageError(
            "the time zone of this machine has no name that the gateway would know", f"{_EXAMPLE}, with --tz or TZ"
        ) from None
    return str(name)


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
