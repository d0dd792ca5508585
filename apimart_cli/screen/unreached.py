"""Telling what a stop does not reach: at once, and again each minute while it goes on."""

import time
from collections.abc import Callable, Sequence

from apimart_cli.processes.descendants import Missed
from apimart_cli.screen.writing import write_warning

AGAIN_EVERY = 60.0
"""Seconds after which it is told again."""

MOST_NAMED = 8
"""Most processes that are named."""


class Unreached:
    """Tells of one command. Call it with what was missed, as often as you like."""

    def __init__(self, why: Callable[[], str | None] = lambda: None) -> None:
        """`why` says why the command has to end, where that is for us to say; it is called each time."""
        self._why = why
        self._since: float | None = None
        self._told_at = 0.0
        self._was_blind = False

    def __call__(self, missed: Missed) -> None:
        """Tell, unless it was told within the last minute."""
        if missed.is_blind and not self._was_blind:
            self._was_blind = True
            write_warning(
                "the system does not tell what the command has started (there is no /proc that shows it): "
                "processes that have left its process group may go on",
                "look for them yourself; in a container, mount /proc",
            )
        now = time.monotonic()
        if not missed.pids or (self._since is not None and now - self._told_at < AGAIN_EVERY):
            return
        self._told_at = now
        if self._since is None:
            self._since = now
            told = _in_words(missed)
        else:
            minutes = round((now - self._since) / 60)
            told = f"{_in_words(missed)}, and still {'run' if len(missed.pids) > 1 else 'runs'} after {minutes} min"
        why = self._why()
        pids = " ".join(map(str, missed.pids[:MOST_NAMED]))
        write_warning(
            f"{why}; {told}" if why else told,
            f"end {'them' if len(missed.pids) > 1 else 'it'} as a user who may, like: sudo kill {pids}; "
            "until then it may go on spending",
        )


def _in_words(missed: Missed) -> str:
    parts = []
    if missed.refused:
        parts.append(f"{_named(missed.refused)} cannot be stopped: not permitted")
    if missed.deaf:
        parts.append(f"{_named(missed.deaf)} could not be stopped: killed, but not gone")
    return "; ".join(parts)


def _named(pids: Sequence[int]) -> str:
    if len(pids) == 1:
        return f"process {pids[0]} of the command"
    more = "" if len(pids) <= MOST_NAMED else " ..."
    return f"{len(pids)} processes of the command ({', '.join(map(str, pids[:MOST_NAMED]))}{more})"
