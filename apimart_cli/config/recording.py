"""Where the ledger is, and whether readings are recorded. Opens nothing: every command that asks reads this."""

from collections.abc import Mapping
from pathlib import Path

from apimart_cli.config.settings import Setting
from apimart_cli.config.values import nonempty, shown
from apimart_cli.errors import UsageError

_IN_WORDS = {"1": True, "0": False}


def find_record(environ: Mapping[str, str], in_file: Setting[bool | None]) -> Setting[bool]:
    """Find whether readings are recorded: APIMART_RECORD, then the config file, then on, but off where CI is set.

    Raises UsageError for a variable that says something else. Naming a path asks for nothing.
    """
    if "APIMART_RECORD" in environ:
        text = nonempty(environ, "APIMART_RECORD")
        if text not in _IN_WORDS:
            raise UsageError(f"APIMART_RECORD: {shown(text)} is neither 1 nor 0", "set it to 1 or 0, or unset it")
        return Setting(_IN_WORDS[text], "APIMART_RECORD")
    if in_file.value is not None:
        return Setting(in_file.value, in_file.source)
    is_ci = bool(environ.get("CI"))
    return Setting(not is_ci, "CI" if is_ci else "default")


def find_history(environ: Mapping[str, str]) -> Setting[Path | None]:
    """Find the path of the ledger, as `history_path`."""
    return Setting(history_path(environ), "APIMART_HISTORY" if "APIMART_HISTORY" in environ else "default")


def history_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the ledger, whether it exists or not; None where there is no folder for one.

    Raises UsageError when APIMART_HISTORY is empty, or begins with `~` and there is no home folder.
    """
    if "APIMART_HISTORY" in environ:
        named = nonempty(environ, "APIMART_HISTORY")
        try:
            return Path(named).expanduser()
        except RuntimeError:
            message = f"APIMART_HISTORY: there is no home folder for {shown(named)}"
            raise UsageError(message, "write the path out") from None
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
