"""A key that is read once and used again and again: its source may ask a person each time. Pure: no I/O."""

from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.source import KeySource, SecondsLeft


class KeptKey:
    """What another source gives, asked until it has given it once."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self._key: ApiKey | None = None

    @property
    def state(self) -> str:
        """What the source tells."""
        return self._source.state

    @property
    def fault(self) -> str | None:
        """What the source tells."""
        return self._source.fault

    @property
    def key_id(self) -> str | None:
        """The id of the key, once it is known."""
        return self._source.key_id if self._key is None else self._key.key_id

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Return the key, the same each time. Raises what the source raises."""
        if self._key is None:
            self._key = self._source.read(seconds_left)
        return self._key
