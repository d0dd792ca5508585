"""The config file: TOML in, a checked `ConfigFile` out. Every mistake is an error that names the file and the name.

The names, their types and where they may stand are listed here once; what a value means is the business of `settings`.
"""

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from apimart_cli.errors import ConfigError
from apimart_cli.files import PrivateFile, read_private_file

Types = tuple[type, ...]

TEXT: Types = (str,)
NUMBER: Types = (int, Decimal)

SHARED_NAMES: Mapping[str, Types] = {
    "base_url": TEXT,
    "timeout": NUMBER,
    "scope": TEXT,
    "unit": TEXT,
    "min": NUMBER,
    "max_used": NUMBER,
}
"""Settings that may stand in a profile or at the top level of the file, with their types."""

KEY_NAMES: Mapping[str, Types] = {"api_key": TEXT, "api_key_env": TEXT}
"""Where a profile's key comes from; a profile has at most one of them. Never at the top level: a key that every
profile falls back to would be asked about by mistake."""

MAX_DIGITS = 100
"""Numbers with an exponent are written out up to this length: 1e999999999 would fill the memory."""

_TYPE_WORDS: Mapping[Types, str] = {TEXT: "a string", NUMBER: "a number"}


class ConfigFile(NamedTuple):
    """What the config file says. Values are kept as the text that was written, numbers included."""

    path: Path
    default_profile: str | None = None
    top_level: Mapping[str, str] = MappingProxyType({})
    profiles: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    exposure: ConfigError | None = None
    """Set when the file holds a key and other users can read it."""

    def profile(self, name: str, *, asked_by: str) -> Mapping[str, str]:
        """Return the settings of profile `name`; raise ConfigError, naming who asked for it, when there is none."""
        if name in self.profiles:
            return self.profiles[name]
        known = ", ".join(self.profiles) or "none"
        raise ConfigError(
            f"{asked_by}: there is no profile {name!r} in {self.path}",
            f"profiles in the file: {known}{_suggestion(name, self.profiles)}",
        )


def config_path(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the path of the config file, whether it exists or not, and the source of that path."""
    if "APIMART_CONFIG" in environ:
        named = environ["APIMART_CONFIG"]
        if not named:
            raise ConfigError("APIMART_CONFIG is set but empty", "unset it, or set it to the path of the config file")
        try:
            return Path(named).expanduser(), "APIMART_CONFIG"
        except RuntimeError:
            raise ConfigError(f"APIMART_CONFIG: there is no home folder for {named!r}", "write the path out") from None
    from platformdirs import user_config_path

    return user_config_path("apimart") / "config.toml", "default"


def read_config(environ: Mapping[str, str]) -> ConfigFile:
    """Read and check the config file; an absent one at the default place is an empty one.

    Raises ConfigError when the file is unreadable or anything in it is unknown, of a wrong type or contradictory.
    """
    path, source = config_path(environ)
    if source == "default" and _is_absent(path):
        return ConfigFile(path)
    file = read_private_file(path)
    return _check(file, _parse(file))


def _is_absent(path: Path) -> bool:
    """Tell whether there is certainly no file; one that cannot be looked at may name another gateway, or a minimum."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def _parse(file: PrivateFile) -> Mapping[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError, ValueError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is beyond sense"
        raise ConfigError(
            f"{file.path} is not valid TOML: {reason}", "correct the file; strings stand in quotes"
        ) from None


def _check(file: PrivateFile, document: Mapping[str, Any]) -> ConfigFile:
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise ConfigError(f"{file.path}: profiles must be tables", "write a profile as [profiles.work]")
    default_profile = document.get("default_profile")
    top_level_names = {"default_profile": TEXT, "profiles": (dict,), **SHARED_NAMES}
    top_level = _check_table(document, top_level_names, f"{file.path}")
    checked = {name: _check_profile(name, table, file.path) for name, table in profiles.items()}
    holds_key = any("api_key" in table for table in checked.values())
    config = ConfigFile(
        path=file.path,
        default_profile=default_profile,
        top_level={name: text for name, text in top_level.items() if name in SHARED_NAMES},
        profiles=checked,
        exposure=file.exposure if holds_key and file.is_exposed else None,
    )
    if default_profile is not None:
        config.profile(default_profile, asked_by="default_profile")
    return config


def _check_profile(name: str, table: Any, path: Path) -> Mapping[str, str]:
    place = f"{path}: [profiles.{name}]"
    if not isinstance(table, dict):
        raise ConfigError(f"{place} must be a table", f"write it as [profiles.{name}]")
    checked = _check_table(table, {**KEY_NAMES, **SHARED_NAMES}, place)
    sources = [source for source in KEY_NAMES if source in checked]
    if len(sources) > 1:
        raise ConfigError(f"{place} has both {' and '.join(sources)}", "keep one of them")
    return checked


def _check_table(table: Mapping[str, Any], names: Mapping[str, Types], place: str) -> dict[str, str]:
    """Return the plain values of `table` as text; raise ConfigError for an unknown name or a wrong type."""
    checked = {}
    for name, value in table.items():
        if name not in names:
            raise ConfigError(
                f"{place}: unknown name {name!r}", f"known names: {', '.join(names)}{_suggestion(name, names)}"
            )
        types = names[name]
        if isinstance(value, bool) or not isinstance(value, types):
            raise ConfigError(f"{place}: {name} must be {_TYPE_WORDS.get(types, 'a table')}", _type_hint(name, types))
        if not isinstance(value, dict):
            checked[name] = _number_text(value) if isinstance(value, Decimal) else str(value)
    return checked


def _number_text(number: Decimal) -> str:
    """Return a number as it would be written without an exponent; one beyond sense keeps its own, and is refused."""
    return f"{number:f}" if number.is_finite() and abs(number.adjusted()) < MAX_DIGITS else str(number)


def _type_hint(name: str, types: Types) -> str:
    return (
        f"write a number without quotes, like {name} = 5" if types == NUMBER else f'write it in quotes: {name} = "..."'
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
