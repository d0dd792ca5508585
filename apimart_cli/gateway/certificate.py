"""What a certificate says of itself: who issued it, and until when it is valid.

The standard library tells that only of a certificate that it trusts. To say what stands between here and a gateway, the
issuer has to be told of one that is not trusted, too. Nothing is decided by it. Pure: no I/O, no library.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_SEQUENCE, _SET, _OID, _VERSION = 0x30, 0x31, 0x06, 0xA0

_COMMON_NAME, _ORGANISATION = bytes((0x55, 4, 3)), bytes((0x55, 4, 10))
"""The object identifiers 2.5.4.3 and 2.5.4.10, as they are encoded (RFC 5280, appendix A)."""

_WIDE = 0x1E
"""The tag of a BMPString, which has two bytes for each character."""

_SHORT_YEAR = 0x17
"""The tag of a UTCTime, in which the year has two digits (RFC 5280, 4.1.2.5.1)."""


class Certificate(NamedTuple):
    """What a certificate says of itself. The texts are those of whoever made it."""

    issuer: str
    """The organisation and the common name of the issuer, as far as they are there."""
    expires: datetime
    """In UTC."""


def read_certificate(der: bytes) -> Certificate | None:
    """Return what a certificate in DER says of itself; None where it is damaged."""
    try:
        [(_, outer)] = _parts(der)
        (_, inner), *_ = _parts(outer)
        fields = [field for field in _parts(inner) if field[0] != _VERSION]
        _serial, _algorithm, (_, issuer), (_, validity), *_ = fields
        _, (kind, until) = _parts(validity)
        return Certificate(_name(issuer), _moment(kind, until.decode("ascii")))
    except (ValueError, IndexError):
        return None


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each value in `data`. Raises ValueError where that is cut off."""
    place = 0
    while place < len(data):
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[place : place + size], "big")
            place += size
        if place + length > len(data):
            raise ValueError("cut off")
        yield tag, data[place : place + length]
        place += length


def _name(issuer: bytes) -> str:
    found: dict[bytes, str] = {}
    for _, group in _parts(issuer):
        for _, pair in _parts(group):
            (_, kind), (tag, value) = _parts(pair)
            found.setdefault(kind, value.decode("utf-16-be" if tag == _WIDE else "utf-8", "replace"))
    named = [found[kind] for kind in (_ORGANISATION, _COMMON_NAME) if found.get(kind)]
    return ", ".join(dict.fromkeys(named)) or "a nameless authority"


def _moment(kind: int, text: str) -> datetime:
    if kind == _SHORT_YEAR:
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
