"""The config file: TOML in, a checked `ConfigFile` out. Every mistake names the file, the line or name, and the fix."""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.config.names import KEY_NAMES, PROFILE_NAMES, TOP_LEVEL_NAMES, Kind, suggestion
from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.files import is_absent
from apimart_cli.text import shell_word

if TYPE_CHECKING:
    from apimart_cli.records import Problem
    from apimart_cli.replacing import PrivateFile

_NO_PLACE_HINT = "set HOME or XDG_CONFIG_HOME to an absolute path, or name the file in APIMART_CONFIG"

MAX_DIGITS = 100
"""Numbers with an exponent are written out up to this length: 1e999999999 would fill the memory."""

_MOST_BITS = 10_000
"""Most bits of an integer: about 3,000 digits."""

Value = str | bool | list[str]
"""What a name of a profile may be set to."""


class ConfigFile(NamedTuple):
    """What the config file says. Numbers and switches are kept as the text that was written."""

    path: Path | None
    """None when there is no file, and no default place for one."""
    default_profile: str | None = None
    top_level: Mapping[str, str] = MappingProxyType({})
    profiles: Mapping[str, Mapping[str, Value]] = MappingProxyType({})
    exposure: ConfigError | None = None
    """Set if other users can read a key in the file."""
    text: str = ""

    def profile(self, name: str, *, asked_by: str) -> Mapping[str, Any]:
        """Return the settings of profile `name`. Raises ConfigError, which names `asked_by`, if there is none."""
        if name in self.profiles:
            return self.profiles[name]
        if self.path is None:
            raise ConfigError(f"{asked_by}: there is no profile {name!r}: there is no config file", _NO_PLACE_HINT)
        known = suggestion(name, self.profiles, f"profiles in the file: {', '.join(self.profiles)}")
        raise ConfigError(
            f"{asked_by}: there is no profile {name!r} in {self.path}",
            known if self.profiles else f"store a key in it with: apimart login --profile {shell_word(name)}",
        )

    def text_of(self, profile: str | None, name: str) -> str | None:
        """Return `name` in `profile`, or at the top level, as an option would have it; None if it is not set."""
        table: Mapping[str, Value] = self.top_level if profile is None else self.profiles.get(profile, {})
        match table.get(name):
            case str(text):
                return text
            case list(words):
                from shlex import join

                return join(words)
            case _:
                return None

    def line_of(self, table: tuple[str, ...], name: str) -> int | None:
        """Return the line of `name` in `table`, or the line on which the table begins."""
        from apimart_cli.config.rewriting import line_of

        return line_of(self.text, table, name)


def config_path(environ: Mapping[str, str]) -> Path | None:
    """Return the path of the config file, whether it exists or not: the one that APIMART_CONFIG names, or the default.

    It is None if none is named and there is no default: a process may have no home folder, as in containers that run
    with any user id. platformdirs then raises RuntimeError (seen with 4.14), or returns a path that starts in the
    current folder (4.2 to 4.11), where the repository of another person may have put a file.
    """
    if "APIMART_CONFIG" in environ:
        named = environ["APIMART_CONFIG"]
        if not named:
            raise ConfigError("APIMART_CONFIG is set but empty", "unset it, or set it to the path of the config file")
        try:
            return Path(named).expanduser()
        except RuntimeError:
            raise ConfigError(f"APIMART_CONFIG: there is no home folder for {named!r}", "write the path out") from None
    from platformdirs import user_config_path

    try:
        folder = user_config_path("apimart")
    except RuntimeError:
        return None
    return folder / "config.toml" if folder.is_absolute() else None


def require_config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the config file. Raises ConfigError if there is no place for one."""
    path = config_path(environ)
    if path is None:
        raise ConfigError("there is no default place for a config file", _NO_PLACE_HINT)
    return path


def config_path_to_write(environ: Mapping[str, str]) -> Path:
    """Return the path of the config file for a command that changes it.

    Raises UsageError inside the sandbox unless the file is named, as the key of the sandbox would replace a real one;
    ConfigError if there is no place for a file.
    """
    if environ.get("APIMART_SANDBOX") and "APIMART_CONFIG" not in environ:
        raise UsageError(
            "your own config file is not changed inside the sandbox", "name another file: APIMART_CONFIG=try.toml"
        )
    return require_config_path(environ)


def read_config(environ: Mapping[str, str], *, may_be_absent: bool = False) -> ConfigFile:
    """Read and check the config file; if there is none at the default place, return an empty one.

    `may_be_absent` allows that for a file that APIMART_CONFIG names, too: for commands that are about to write it.

    Raises ConfigError if the file is unreadable, or if anything in it is unknown, of a wrong type or contradictory.
    """
    config, problems = inspect_config(environ, may_be_absent=may_be_absent)
    if problems:
        raise problems[0].as_error(config.path)
    return config


def inspect_config(environ: Mapping[str, str], *, may_be_absent: bool = False) -> "tuple[ConfigFile, list[Problem]]":
    """Read the config file and return its usable part, and every mistake in it, in the order of the lines.

    Raises ConfigError if the file cannot be read or is not TOML: then nothing in it can be judged.
    """
    path = config_path(environ)
    may_be_absent = may_be_absent or "APIMART_CONFIG" not in environ
    # One that cannot be looked at may name another gateway, or a minimum.
    if path is None or (may_be_absent and is_absent(path)):
        return ConfigFile(path), []
    if is_absent(path):
        hint = "correct APIMART_CONFIG, or make the file with: apimart login"
        raise ConfigError(f"cannot read {path}: No such file or directory", hint)
    from apimart_cli.replacing import read_private_file

    file = read_private_file(path, environ)
    return check_document(file, parse_toml(file.text, path))


def parse_toml(text: str, path: Path) -> Mapping[str, Any]:
    """Return the TOML document in `text`, fractions as Decimal. Raises ConfigError naming `path`."""
    import tomllib

    if re.search(_DEEP_NAME, text):
        raise _nested(path)
    try:
        document = tomllib.loads(text, parse_float=Decimal)
        if _has_huge_number(document):
            # The library itself refuses a decimal one.
            raise ValueError
        return document
    except RecursionError:
        raise _nested(path) from None
    except (tomllib.TOMLDecodeError, ArithmeticError, ValueError) as error:
        from apimart_cli.config.doubts import not_toml

        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is out of range"
        correction = not_toml(text, reason)
        raise ConfigError(f"{path} is not valid TOML: {correction.message}", correction.hint) from None


_NAME_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*"

_DEEP_NAME = rf"(?m)(?:^|[\[{{,])[ \t]*(?:{_NAME_PART}\.[ \t]*){{100}}"
"""A name of a hundred parts, where a name can begin. The library needs memory for the square of that number."""


def _has_huge_number(value: object) -> bool:
    """Tell whether there is an integer that is too long for Python to write out (sys.set_int_max_str_digits).

    It was written as a hexadecimal, octal or binary number.
    """
    if isinstance(value, Mapping):
        return any(map(_has_huge_number, value.values()))
    if isinstance(value, list):
        return any(map(_has_huge_number, value))
    return isinstance(value, int) and value.bit_length() > _MOST_BITS


def _nested(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is nested too deeply", "a config file has settings and tables like [profiles.work], nothing deeper"
    )


def check_document(file: "PrivateFile", document: Mapping[str, Any]) -> "tuple[ConfigFile, list[Problem]]":
    """Return the usable part of `document`, and every mistake in its names and types."""
    checker = _Checker(file.text)
    top_level = checker.check_table(document, TOP_LEVEL_NAMES, ())
    tables = top_level.pop("profiles", {})
    profiles = {name: checker.check_profile(name, table) for name, table in tables.items()}
    default_profile = top_level.pop("default_profile", None)
    if default_profile is not None and default_profile not in profiles:
        known = suggestion(default_profile, profiles, f"profiles in the file: {', '.join(profiles) or 'none'}")
        checker.add((), "default_profile", f"default_profile: there is no profile {default_profile!r}", known)
    holds_key = any("api_key" in table for table in profiles.values())
    config = ConfigFile(
        path=file.path,
        default_profile=default_profile,
        top_level=top_level,
        profiles=profiles,
        exposure=file.exposure() if holds_key else None,
        text=file.text,
    )
    return config, sorted(checker.problems, key=lambda problem: problem.line or 0)


class _Checker:
    """Collects the mistakes in one file."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.problems: list[Problem] = []

    def add(self, table: tuple[str, ...], name: str, message: str, hint: str) -> None:
        from apimart_cli.config.rewriting import line_of

        profile = (*table, name)[1] if table else None
        from apimart_cli.records import Problem

        self.problems.append(Problem(line_of(self._text, table, name), message, hint, profile))

    def check_profile(self, name: str, table: Any) -> dict[str, Any]:
        place = ("profiles", name)
        if not isinstance(table, dict):
            self.add(("profiles",), name, f"profile {name} must be a table", f"write it as [profiles.{name}]")
            return {}
        checked = self.check_table(table, PROFILE_NAMES, place)
        sources = [source for source in KEY_NAMES if source in checked]
        if len(sources) > 1:
            self.add(place, sources[1], f"[profiles.{name}] has both {' and '.join(sources)}", "keep one of them")
        return checked

    def check_table(
        self, table: Mapping[str, Any], names: Mapping[str, Kind], place: tuple[str, ...]
    ) -> dict[str, Any]:
        """Return the values of `table` that are right; add a problem for each unknown name and each wrong type."""
        shown = f"[{'.'.join(place)}]: " if place else ""
        checked = {}
        for name, value in table.items():
            if name not in names:
                from apimart_cli.config.doubts import unknown_name

                self.add(place, name, *unknown_name(name, table, names, place))
            elif not names[name].fits(value):
                message = f"{shown}{name} must be {names[name].words}"
                self.add(place, name, message, names[name].hint(name, value))
            elif name == "api_key_env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
                self.add(place, name, f"{shown}{name} names no variable", "name the variable, not the key itself")
            elif value == "" and name == "api_key_file":
                self.add(place, name, f"{shown}{name} is empty", "name the file that holds the key, or leave it out")
            else:
                checked[name] = _as_text(value, names[name])
        return checked


def _as_text(value: Any, kind: Kind) -> Any:
    """Return numbers and switches as text, and everything else as it is."""
    if kind is Kind.SWITCH:
        return str(value).lower()
    if isinstance(value, Decimal):
        # A larger number keeps its exponent, and is refused later, when it is read as an amount.
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < MAX_DIGITS else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
