"""Shards: which of several processes asks for a profile. Pure: no I/O."""

import re
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.text import quote

MOST = 1000
"""Most shards: more is a slip of the hand."""


class Shard(NamedTuple):
    """One part of all profiles. Which one a profile is in depends on its name and the number of shards alone."""

    number: int
    """From 1 to `total`."""
    total: int

    def has(self, profile: str) -> bool:
        """Tell whether the profile is in this shard: it is in exactly one of them, on every machine the same."""
        # Not `hash`, which is another one in every process.
        from hashlib import sha256

        digest = sha256(profile.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.total == self.number - 1


def parse_shard(text: str, source: str = "--shard") -> Shard:
    """Return the shard that a text like `2/4` names. Raises UsageError, naming `source`, for any other text."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None:
        raise UsageError(f"{source}: '{quote(text, 40)}' names no shard", "give its number and how many there are: 2/4")
    number, count = map(int, match.groups())
    if not 1 <= count <= MOST:
        raise UsageError(f"{source}: there cannot be {count} shards", f"give a number from 1 to {MOST}, like 2/4")
    if not 1 <= number <= count:
        raise UsageError(
            f"{source}: there is no shard {number} of {count}", f"they are numbered from 1/{count} to {count}/{count}"
        )
    return Shard(number, count)
