"""Where the ledger is, and whether readings are recorded. Opens nothing: every command that asks reads this."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import UsageError
from apimart_cli.text import quote


class Recording(NamedTuple):
    """Whether and where readings are recorded."""

    path: Path | None
    """None where there is no place for a ledger: no home folder, and no path named."""
    is_on: bool
    is_asked_for: bool
    """A failure to write is told, as somebody said that readings are to be recorded."""

    @property
    def is_new(self) -> bool:
        """Whether the first reading will be recorded now: time to say where, and how to turn it off."""
        import os

        return self.is_on and self.path is not None and not os.path.lexists(self.path)


def recording(environ: Mapping[str, str], *, record: bool | None) -> Recording:
    """Find whether readings are recorded: APIMART_RECORD, then `record` of the config file, then on, but off in CI.

    Raises UsageError for a variable that says something else. Naming a path asks for nothing.
    """
    path = history_path(environ)
    asked = _switch(environ)
    if asked is None:
        asked = record
    is_on = not environ.get("CI") if asked is None else asked
    return Recording(path, is_on and path is not None, bool(asked))


def history_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the ledger, whether it exists or not; None where there is no folder for one.

    Raises UsageError when APIMART_HISTORY is empty, or begins with `~` and there is no home folder.
    """
    if "APIMART_HISTORY" in environ:
        return _named(environ["APIMART_HISTORY"])
    from platformdirs import user_state_path

    try:
        path = user_state_path("apimart") / "history.db"
    except RuntimeError:
        # No home folder: an arbitrary user id in a container.
        return None
    # Before platformdirs 4.12 it was a literal `~` in the current folder.
    return path if path.is_absolute() else None


def require_history_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the ledger. Raises UsageError when there is no place for one."""
    path = history_path(environ)
    if path is None:
        raise UsageError(
            "there is no folder for the history: no home folder", "set APIMART_HISTORY to the path of a file"
        )
    return path


def _named(text: str) -> Path:
    if not text:
        raise UsageError("APIMART_HISTORY is set but empty", "unset it, or set it to the path of the ledger")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        message = f"APIMART_HISTORY: there is no home folder for '{quote(text, 40)}'"
        raise UsageError(message, "write the path out") from None


def _switch(environ: Mapping[str, str]) -> bool | None:
    text = environ.get("APIMART_RECORD")
    if text is None or text in {"0", "1"}:
        return None if text is None else text == "1"
    if not text:
        raise UsageError("APIMART_RECORD is set but empty", "unset it, or set it to 1 or 0")
    raise UsageError(f"APIMART_RECORD: '{quote(text, 40)}' is neither 1 nor 0", "set it to 1 or 0, or unset it")
