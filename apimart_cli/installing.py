"""How to add an optional library to this installation: with pipx, uv or pip, whichever made it."""

import shlex
import sys
from pathlib import Path
from typing import Any

_PACKAGE = "apimart-cli"


def command_to_add(requirement: str) -> str:
    """Return the command that adds a library to the environment in which apimart runs.

    Where pipx or uv made an environment for apimart alone, `pip install` would add it to another one.
    """
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        # The name of the environment, which `pipx install --suffix` changes.
        return shlex.join(["pipx", "inject", prefix.name, requirement])
    if (prefix / "uv-receipt.toml").is_file():
        source, others = _installed_by_uv(prefix / "uv-receipt.toml")
        # uv makes the environment anew: libraries that were added before have to be named again.
        added = [word for each in (*others, requirement) for word in ("--with", each)]
        return shlex.join(["uv", "tool", "install", *added, source])
    return shlex.join(["pip", "install", requirement])


def _installed_by_uv(receipt: Path) -> tuple[str, list[str]]:
    """Return where uv took the package from, and the names of the libraries that were added."""
    import tomllib

    try:
        found: list[dict[str, Any]] = tomllib.loads(receipt.read_text("utf-8"))["tool"]["requirements"]
        ours = next(each for each in found if each["name"] == _PACKAGE)
        others = [str(each["name"]) for each in found if each is not ours]
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return _PACKAGE, []
    source = next((str(ours[key]) for key in ("directory", "editable", "path", "url") if key in ours), None)
    if source is None and "git" in ours:
        source = f"git+{ours['git']}"
    return source or _PACKAGE, others
