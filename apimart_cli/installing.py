"""How to add an optional library to this installation: with pipx, uv or pip, whichever made it."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
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


INSTALLED = {
    "bash": (".bashrc", ".bash_completions/apimart.sh"),
    "zsh": (".zshrc", ".zfunc/_apimart"),
    "fish": (".config/fish/completions/apimart.fish",),
}
"""The files below the home folder that Typer writes for each shell."""

_OF_SYSTEM = (Path("/usr/local/share"), Path("/usr/share"))

_BELOW_SHARE = {
    "bash": "bash-completion/completions/apimart",
    "zsh": "zsh/site-functions/_apimart",
    "fish": "fish/vendor_completions.d/apimart.fish",
}
"""Where the shells look below a folder `share`."""


def manual_page(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the manual page that `man apimart` finds; None if there is none."""
    return _first_of(share / "man/man1/apimart.1" for share in _shares(environ))


def completion_script(shell: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the completion script that a shell finds; None if there is none. Raises KeyError for an unknown shell."""
    own = Path(environ.get("HOME", "/nonexistent")) / INSTALLED[shell][-1]
    return _first_of([own, *(share / _BELOW_SHARE[shell] for share in _shares(environ))])


def _first_of(paths: Iterable[Path]) -> Path | None:
    # Not the method of Path, which fails in a folder of another user.
    return next((path for path in paths if os.path.exists(path)), None)


def _shares(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders `share` of the system, of the user, and beside each folder with programs, as man has it."""
    home = environ.get("HOME")
    if environ.get("XDG_DATA_HOME") or home:
        yield Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share")
    for folder in os.get_exec_path(dict(environ)):
        yield Path(folder).parent / "share"
    yield from _OF_SYSTEM
