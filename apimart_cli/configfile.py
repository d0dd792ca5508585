"""The config file: TOML in, a checked `ConfigFile` out. Every mistake names the file, the line or name, and the fix.

The names, their types and where they may stand are listed here once; what a value means is the business of `settings`.
Writing the file is the business of `configwriter`.
"""

import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.files import PrivateFile, read_private_file

Types = tuple[type, ...]

TEXT: Types = (str,)
NUMBER: Types = (int, Decimal)
WORDS: Types = (list,)
FLAG: Types = (bool,)
TABLE: Types = (dict,)

SHARED_NAMES: Mapping[str, Types] = {
    "base_url": TEXT,
    "timeout": NUMBER,
    "scope": TEXT,
    "unit": TEXT,
    "min": NUMBER,
    "max_used": NUMBER,
}
"""Settings that may stand in a profile or at the top level of the file, with their types."""

KEY_NAMES: Mapping[str, Types] = {
    "api_key": TEXT,
    "api_key_env": TEXT,
    "api_key_file": TEXT,
    "api_key_command": WORDS,
    "api_key_keyring": FLAG,
}
"""Where a profile's key comes from; a profile has at most one of them. Never at the top level: a key that every
profile falls back to would be asked about by mistake."""

MAX_STATEMENT_LINES = 200
"""Longest list or text, in lines, behind which places in the file are still told."""

MAX_DIGITS = 100
"""Numbers with an exponent are written out up to this length: 1e999999999 would fill the memory."""

TOP_LEVEL_NAMES: Mapping[str, Types] = {"default_profile": TEXT, "profiles": TABLE, **SHARED_NAMES}
PROFILE_NAMES: Mapping[str, Types] = {**KEY_NAMES, **SHARED_NAMES}

_TYPE_WORDS: Mapping[Types, str] = {
    TEXT: "a string",
    NUMBER: "a number",
    WORDS: "a list of strings",
    FLAG: "true",
    TABLE: "a table",
}
_TYPE_EXAMPLES: Mapping[Types, str] = {
    TEXT: 'write it in quotes: {name} = "..."',
    NUMBER: "write a number without quotes, like {name} = 5",
    WORDS: 'write each word in quotes: {name} = ["pass", "show", "apimart"]',
    FLAG: "write {name} = true, or leave it out",
    TABLE: "write a profile as [profiles.work]",
}


class Problem(NamedTuple):
    """One mistake in the file: where it is, what it is, and how to mend it."""

    line: int | None
    message: str
    hint: str
    profile: str | None = None
    """The profile that it breaks; None where it stands outside of the profiles."""

    def as_error(self, path: Path) -> ConfigError:
        """Return the error that tells it."""
        place = f"{path}:{self.line}" if self.line else f"{path}"
        return ConfigError(f"{place}: {self.message}", self.hint)


class ConfigFile(NamedTuple):
    """What the config file says. Values are kept as the text that was written, numbers included."""

    path: Path
    default_profile: str | None = None
    top_level: Mapping[str, str] = MappingProxyType({})
    profiles: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """For each profile its values: text, but for the list of `api_key_command`."""
    exposure: ConfigError | None = None
    """Set when other users can read the key in the file, or change what it says."""
    text: str = ""

    def profile(self, name: str, *, asked_by: str) -> Mapping[str, Any]:
        """Return the settings of profile `name`; raise ConfigError, naming who asked for it, when there is none."""
        if name in self.profiles:
            return self.profiles[name]
        known = f"profiles in the file: {', '.join(self.profiles)}{_suggestion(name, self.profiles)}"
        raise ConfigError(
            f"{asked_by}: there is no profile {name!r} in {self.path}",
            known if self.profiles else f"store a key in it with: apimart login --profile {shlex.quote(name)}",
        )

    def line_of(self, table: tuple[str, ...], name: str) -> int | None:
        """Return the line on which `name` of `table` stands, or where the table begins."""
        return line_of(self.text, table, name)


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


def read_config(environ: Mapping[str, str], *, may_be_absent: bool = False) -> ConfigFile:
    """Read and check the config file; an absent one at the default place is an empty one.

    `may_be_absent` allows that for a file that APIMART_CONFIG names, too: for those who are about to write it.

    Raises ConfigError when the file is unreadable or anything in it is unknown, of a wrong type or contradictory.
    """
    config, problems = inspect_config(environ, may_be_absent=may_be_absent)
    if problems:
        raise problems[0].as_error(config.path)
    return config


def inspect_config(environ: Mapping[str, str], *, may_be_absent: bool = False) -> tuple[ConfigFile, list[Problem]]:
    """Read the config file and return what of it is right, and every mistake in it, in the order of the lines.

    Raises ConfigError when the file cannot be read or is not TOML: then nothing in it can be judged.
    """
    path, source = config_path(environ)
    if (source == "default" or may_be_absent) and _is_absent(path):
        return ConfigFile(path), []
    file = read_private_file(path)
    return check_document(file, parse_toml(file.text, path))


def _is_absent(path: Path) -> bool:
    """Tell whether there is certainly no file; one that cannot be looked at may name another gateway, or a minimum."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def parse_toml(text: str, path: Path) -> Mapping[str, Any]:
    """Return the TOML document in `text`, fractions as Decimal. Raises ConfigError naming `path`."""
    import tomllib

    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError, RecursionError, ValueError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is beyond sense"
        raise ConfigError(f"{path} is not valid TOML: {reason}", "correct the file; strings need quotes") from None


def check_document(file: PrivateFile, document: Mapping[str, Any]) -> tuple[ConfigFile, list[Problem]]:
    """Return what of `document` is right, and every mistake in its names and types."""
    checker = _Checker(file.text)
    top_level = checker.check_table(document, TOP_LEVEL_NAMES, ())
    tables = top_level.pop("profiles", {})
    profiles = {name: checker.check_profile(name, table) for name, table in tables.items()}
    default_profile = top_level.pop("default_profile", None)
    if default_profile is not None and default_profile not in profiles:
        known = f"profiles in the file: {', '.join(profiles) or 'none'}{_suggestion(default_profile, profiles)}"
        checker.add((), "default_profile", f"default_profile: there is no profile {default_profile!r}", known)
    holds_key = any("api_key" in table for table in profiles.values())
    config = ConfigFile(
        path=file.path,
        default_profile=default_profile,
        top_level=top_level,
        profiles=profiles,
        exposure=file.exposure(holds_key=holds_key),
        text=file.text,
    )
    return config, sorted(checker.problems, key=lambda problem: problem.line or 0)


def require_name(name: str, *, in_profile: bool) -> Types:
    """Return the types of `name`; raise UsageError when it may not stand there."""
    names = PROFILE_NAMES if in_profile else {**SHARED_NAMES, "default_profile": TEXT}
    if name in names:
        return names[name]
    if name in PROFILE_NAMES:
        raise UsageError(f"{name} belongs to a profile", "name one with --profile")
    raise UsageError(f"there is no setting {name!r}", f"known names: {', '.join(names)}{_suggestion(name, names)}")


class _Checker:
    """Collects the mistakes of one file."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.problems: list[Problem] = []

    def add(self, table: tuple[str, ...], name: str, message: str, hint: str) -> None:
        profile = (*table, name)[1] if table else None
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
        self, table: Mapping[str, Any], names: Mapping[str, Types], place: tuple[str, ...]
    ) -> dict[str, Any]:
        """Return the values of `table` that are right; keep a problem for each unknown name and wrong type."""
        shown = f"[{'.'.join(place)}]: " if place else ""
        checked = {}
        for name, value in table.items():
            if name not in names:
                known = f"known names: {', '.join(names)}{_suggestion(name, names)}"
                self.add(place, name, f"{shown}unknown name {name!r}", known)
            elif not _has_type(value, names[name]):
                message = f"{shown}{name} must be {_TYPE_WORDS[names[name]]}"
                self.add(place, name, message, _TYPE_EXAMPLES[names[name]].format(name=name))
            elif name == "api_key_env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
                self.add(place, name, f"{shown}{name} names no variable", "name the variable, not the key itself")
            elif value == "" and name == "api_key_file":
                self.add(place, name, f"{shown}{name} is empty", "name the file that holds the key, or leave it out")
            else:
                checked[name] = _as_text(value)
        return checked


def _has_type(value: Any, types: Types) -> bool:
    if types is FLAG:
        return value is True
    if types is WORDS:
        return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word for word in value)
    return isinstance(value, types) and not isinstance(value, bool)


def _as_text(value: Any) -> Any:
    """Return numbers as the text that writes them; whatever else as it is."""
    if isinstance(value, Decimal):
        # One beyond sense keeps its exponent, and is refused by whoever reads it as an amount.
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < MAX_DIGITS else str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# --- places in the file -----------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """One statement of the file, a table's header or an assignment, and the lines it takes."""

    first: int
    last: int
    table: tuple[str, ...]
    """The table that it opens, or stands in."""
    names: tuple[tuple[str, ...], ...]
    """Everything that it sets, as paths from the top; nothing for a header."""


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a valid TOML document in their order, as far as their places can be told."""
    lines = split_lines(text)
    table: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        first, number = number, number + 1
        start = lines[first].lstrip()[:1]
        if start in {"", "#"}:
            continue
        content = _read_statement(lines[first:number])
        while content is None and number < len(lines) and number - first < MAX_STATEMENT_LINES:
            number += 1
            content = _read_statement(lines[first:number])
        if content is None:
            return
        if start == "[":
            table = max(_paths(content), key=len)
        names = () if start == "[" else tuple((*table, *path) for path in _paths(content))
        yield Statement(first + 1, number, table, names)


def split_lines(text: str) -> list[str]:
    """Return the lines of TOML, ends included. `str.splitlines` knows more line ends than TOML does."""
    return list(io.StringIO(text))


def line_of(text: str, table: tuple[str, ...], name: str) -> int | None:
    """Return the line on which `name` of `table` begins, or the table, where the name has none of its own."""
    lines = _lines(text)
    return lines.get((*table, name), lines.get(table))


@lru_cache(maxsize=1)
def _lines(text: str) -> Mapping[tuple[str, ...], int]:
    """Return the line on which everything that has a name begins, by its path. TOML readers keep no positions."""
    lines: dict[tuple[str, ...], int] = {}
    for statement in statements(text):
        tables = (statement.table[:depth] for depth in range(1, len(statement.table) + 1))
        for path in (*tables, *statement.names):
            lines.setdefault(path, statement.first)
    return lines


def _read_statement(lines: Iterable[str]) -> Mapping[str, Any] | None:
    """Read a statement by itself; None where it goes on."""
    import tomllib

    try:
        return tomllib.loads("".join(lines))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return None


def _paths(content: Any) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything in `content` that has a name."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield (name,)
            yield from ((name, *path) for path in _paths(value))


def _suggestion(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
