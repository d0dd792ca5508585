"""What a shell completes besides commands and options: profiles, programs, names of the config file and values."""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_SAFE = r"[\w@.+/ -]+"
"""Names that are safe for a shell: zsh evaluates the names it is given, so all others are left out."""


def offered_profiles(incomplete: str) -> list[str]:
    """Return the profiles that a shell may complete; none if the config file cannot be read."""
    return _offered(_profiles(), incomplete)


def complete_name(incomplete: str) -> list[str]:
    """Return the names of the config file without `api_key`, which must not stand on a command line."""
    from apimart_cli.config.names import PROFILE_NAMES

    return _offered([name for name in (*PROFILE_NAMES, "default_profile") if name != "api_key"], incomplete)


def complete_value(ctx: Any, incomplete: str) -> list[str]:
    """Return the possible values of the name before it, if there are few of them."""
    match ctx.params.get("name"):
        case "scope":
            from apimart_cli.words import ScopeChoice

            return _offered([choice.value for choice in ScopeChoice], incomplete)
        case "default_profile":
            return _offered(_profiles(), incomplete)
        case "api_key_keyring":
            return _offered(["true"], incomplete)
        case _:
            return []


def complete_command(ctx: Any, incomplete: str) -> list[str]:
    """Return the programs for the first word after `--`; for the other words the shell offers files itself."""
    if ctx.params.get("command") or "/" in incomplete:
        return []
    names = set()
    for folder in os.get_exec_path():
        with suppress(OSError), os.scandir(folder) as entries:
            names |= {
                entry.name
                for entry in entries
                if entry.name.startswith(incomplete) and os.access(entry.path, os.X_OK) and not entry.is_dir()
            }
    return _offered([name for name in sorted(names) if re.fullmatch(_SAFE, name)], incomplete)


def enter_wrapped(environ: "os._Environ[str]") -> None:
    """Remove `apimart sandbox --` before another command line of ours, so that the inner one is completed."""
    if environ.get("_APIMART_COMPLETE") == "complete_bash":
        words, position = environ.get("COMP_WORDS", "").split("\n"), environ.get("COMP_CWORD", "")
        if position.isdigit() and (skipped := _skipped(words[: int(position)])):
            environ["COMP_WORDS"] = "\n".join(words[skipped:])
            environ["COMP_CWORD"] = str(int(position) - skipped)
    elif "_TYPER_COMPLETE_ARGS" in environ:
        words = environ["_TYPER_COMPLETE_ARGS"].split(" ")
        environ["_TYPER_COMPLETE_ARGS"] = " ".join(words[_skipped(words[:-1]) :])


def _skipped(words: Sequence[str]) -> int:
    """Return how many words stand before the innermost command of ours, which another one runs."""
    return max(
        (
            place + 1
            for place, word in enumerate(words[:-1])
            if word == "--"
            and words[place + 1].rpartition("/")[2] == "apimart"
            and {"run", "sandbox"} & {*words[1:place]}
        ),
        default=0,
    )


def join_words(environ: "os._Environ[str]") -> None:
    """Remove the `=` from `--profile = w` before the line is read: so bash passes `--profile=w` on."""
    words = environ.get("COMP_WORDS", "").split("\n")
    position = environ.get("COMP_CWORD", "")
    if not position.isdigit() or "=" not in words[: int(position)]:
        return
    before = words[: int(position)]
    environ["COMP_WORDS"] = "\n".join([word for word in before if word != "="] + words[int(position) :])
    environ["COMP_CWORD"] = str(int(position) - before.count("="))


def forget_keys(environ: "os._Environ[str]") -> None:
    """Remove keys from our environment: to install completion, Typer starts shells and `ps`, which inherit it."""
    from apimart_cli.config.held_keys import environment_without_keys

    kept = environment_without_keys(environ)
    for name in environ.keys() - kept.keys() - {"_APIMART_COMPLETE"}:
        del environ[name]


def require_installable() -> None:
    """Raise UsageError if another user could change or swap the files that Typer is about to write.

    If root has the home folder of a user, Typer would write to wherever links of that user lead.
    """
    from apimart_cli.errors import UsageError
    from apimart_cli.files import found
    from apimart_cli.installing import INSTALLED
    from apimart_cli.owners import UnsafeError, own_files

    shell = _shell()
    if shell and shell not in INSTALLED:
        # Such as PowerShell: only PowerShell itself knows which file Typer would write.
        raise UsageError(
            f"completion is not installed for {shell}: which file that changes is not known",
            "put the output of `apimart --show-completion` there yourself",
        )
    for name in INSTALLED.get(shell, ()):
        path = Path.home() / name
        try:
            # Typer would make the folders as well. Made here first, they are not another user's.
            with found(path, own_files(), make=True) as place:
                place.require_ours()
        except UnsafeError as error:
            raise UsageError(
                f"completion is not installed in {path}: {error.reason(path)}", error.hint(is_read=False)
            ) from None
        except OSError as error:
            raise UsageError(
                f"completion cannot be installed in {path}: {error.strerror}", "see: apimart --show-completion"
            ) from None


def _shell() -> str:
    """Return the shell that started us, as Typer finds it; an empty text if there is none."""
    import shellingham  # type: ignore[import-untyped]  # it has no types; Typer needs it, too

    try:
        name: str = shellingham.detect_shell()[0]
    except (shellingham.ShellDetectionFailure, OSError, RuntimeError):
        return ""
    return name


def _profiles() -> list[str]:
    from apimart_cli.config.file import inspect_config
    from apimart_cli.errors import ApimartError

    try:
        config, _ = inspect_config(os.environ)
    except ApimartError:
        return []
    return [name for name in config.profiles if re.fullmatch(_SAFE, name)]


class _Fitting(str):
    """A word that fits what is typed. Typer compares it again after it was quoted for the shell, which may not fit."""

    __slots__ = ()

    def startswith(self, *_arguments: Any) -> bool:
        """Return True."""
        return True


def _offered(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that begin with what is typed, in the form that the shell needs."""
    fitting = [word for word in words if word.startswith(incomplete)]
    if os.environ.get("_APIMART_COMPLETE") == "complete_bash":
        # bash inserts them as they are; zsh and fish quote them.
        return [_Fitting(word.replace(" ", "\\ ")) for word in fitting]
    # zsh and fish replace the whole word, bash only the part after the equals sign.
    typed = os.environ.get("_TYPER_COMPLETE_ARGS", "").split(" ")[-1]
    option = re.match(r"--[a-z-]+=", typed)
    return [_Fitting(f"{option.group() if option else ''}{word}") for word in fitting]
