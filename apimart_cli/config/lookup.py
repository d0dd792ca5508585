"""What commands look up in the config file: a value, a stored key, the profiles, and everything that is wrong with it.

`logout`, `config unset` and `profiles rename` look only at what they need: the rest of the file may have mistakes.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from apimart_cli.config.doubts import doubts_of_table
from apimart_cli.config.file import (
    ConfigFile,
    Value,
    config_path_to_write,
    inspect_config,
    parse_toml,
    read_config,
)
from apimart_cli.config.names import DEFAULT_PROFILE, KEY_NAMES, STORED_NAMES, require_name, suggestion
from apimart_cli.config.precedence import Sources, profile_of_file, resolve_profile
from apimart_cli.config.rewriting import check_names
from apimart_cli.config.settings import Options, Setting
from apimart_cli.config.values import RULES, nonempty, parse_new_profile
from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.files import is_absent
from apimart_cli.records import ConfigReport, Problem, ProfileReport, ProfileRow
from apimart_cli.replacing import UnsafeFileError, read_private_file
from apimart_cli.text import shell_word


class StoredKey(NamedTuple):
    """The place of a key that `login` stored."""

    config_path: Path
    profile: str
    name: str
    """The name in the profile that holds the key, or says that it is in the keyring."""


def written_value(name: str, profile: str | None, environ: Mapping[str, str]) -> str:
    """Return the value of `name` as text: that of `profile`, or of the profile in use, else that of the top level.

    Raises UsageError if it is in neither, if there is no such name or profile, and for a key, as keys are not shown.
    """
    require_name(name, in_profile=name != "default_profile")
    if name == "api_key":
        raise UsageError("a key is not shown", "see its length and its id with: apimart config show")
    config = read_config(environ)
    if profile is not None:
        config.profile(profile, asked_by="--profile")
    elif "APIMART_PROFILE" in environ:
        profile = nonempty(environ, "APIMART_PROFILE")
        config.profile(profile, asked_by="APIMART_PROFILE")
    else:
        profile = profile_of_file(config).value
    value = _find(name, profile, config)
    if value is None:
        raise UsageError(f"{name} is not set in {config.path}", "see what is used instead with: apimart config show")
    match value:
        case bool():
            return str(value).lower()
        case list():
            return shlex.join(value)
        case _:
            return value


def list_profiles(environ: Mapping[str, str]) -> tuple[ConfigFile, list[ProfileRow]]:
    """Return the config file, and its profiles in their order. No command is run, and no keyring is asked.

    Raises ConfigError when the file cannot be read or is not TOML.
    """
    config, _ = inspect_config(environ)
    active = environ.get("APIMART_PROFILE", profile_of_file(config).value)
    return config, [_row(name, Sources(Options(), environ, config), active=name == active) for name in config.profiles]


def inspect_settings(environ: Mapping[str, str]) -> ConfigReport:
    """Read the config file and return every mistake in it, in the order of the lines, and which profiles are usable.

    Raises ConfigError when the file cannot be read or is not TOML.
    """
    config, problems = inspect_config(environ)
    problems = [*problems, *_check_values(config, None, config.top_level)]
    for name, profile in config.profiles.items():
        problems += _check_values(config, name, profile)
    if config.exposure:
        message = config.exposure.message.replace(str(config.path), "it", 1)
        problems.append(Problem(None, message, config.exposure.hint or ""))
    broken = {problem.profile for problem in problems}
    reports = []
    for name in config.profiles:
        report, exposed = _report(name, config, environ, is_broken=name in broken)
        reports.append(report)
        problems += exposed
    places = {(problem.profile, problem.line) for problem in problems}
    tables = ((None, config.top_level), *config.profiles.items())
    warnings = [
        warning
        for name, table in tables
        for warning in _warnings(config, name, table)
        if (name, warning.line) not in places
    ]
    problems.sort(key=lambda problem: problem.line or 0)
    warnings.sort(key=lambda problem: problem.line or 0)
    return ConfigReport(config.path, problems, reports, warnings)


def find_stored_key(profile: str | None, environ: Mapping[str, str]) -> StoredKey:
    """Find the stored key of `profile`, or of the profile in use.

    Raises UsageError if it has none, and ConfigError if the file cannot be read or is not TOML.
    """
    path = config_path_to_write(environ)
    document = _read(path)
    found = _name_of(profile, document, environ, path)
    table = _table(document, found)
    for name in STORED_NAMES:
        if name in table:
            return StoredKey(path, found, name)
    for name in KEY_NAMES:
        if name in table:
            raise takes_key_elsewhere(found, name)
    names = _names(document)
    if names and found not in names:
        known = suggestion(found, names, f"profiles in the file: {', '.join(names)}")
        raise UsageError(f"there is no profile {found!r} in {path}", known)
    raise UsageError(f"profile {found} keeps no key in {path}", "there is nothing to forget")


def is_set(path: Path, profile: str | None, name: str) -> bool:
    """Tell whether `profile` of the file, or its top level, has `name`; the name may be unknown."""
    return name in _table(_read(path), profile)


def profile_names(path: Path) -> list[str]:
    """Return the names of the profiles of the file."""
    return _names(_read(path))


def require_profile(path: Path, profile: str) -> None:
    """Raise UsageError if the file has no such profile: the name may be misspelled."""
    names = profile_names(path)
    if profile not in names:
        raise UsageError(
            f"there is no profile {profile!r} in {path}", suggestion(profile, names, "make it with --create")
        )


def require_renameable(path: Path, old: str, new: str) -> bool:
    """Return whether the keyring keeps the key of profile `old`.

    Raises UsageError unless the file has a profile `old`, and none that is called `new`.
    """
    document = _read(path)
    check_names(document, old, new, path)
    return _table(document, old).get("api_key_keyring") is True


def takes_key_elsewhere(profile: str, name: str) -> UsageError:
    """Return the error for a profile that takes its key from a place in which `login` stores none."""
    return UsageError(
        f"profile {profile} takes its key from {name}",
        f"choose another profile, or first run: apimart config unset {name} --profile {shell_word(profile)}",
    )


def _find(name: str, profile: str, config: ConfigFile) -> Value | None:
    if name == "default_profile":
        return config.default_profile
    return config.profiles.get(profile, {}).get(name, config.top_level.get(name))


def _row(name: str, sources: Sources, *, active: bool) -> ProfileRow:
    try:
        settings = resolve_profile(Setting(name, "--profile"), sources)
    except UsageError:
        # `config check` says what is wrong with it.
        return ProfileRow(name, "broken", None, None, active)
    source = _key_source(sources.config.profiles[name]) or settings.api_key.source
    return ProfileRow(name, source, settings.api_key.value.key_id, settings.targets()[0].host, active)


def _key_source(profile: Mapping[str, Any]) -> str | None:
    """Return where the key of a profile comes from, as the file says it, but never the key or a whole command."""
    for name in KEY_NAMES:
        match name, profile.get(name):
            case _, None:
                continue
            case "api_key_env" | "api_key_file", str(value):
                return f"{name} {value}"
            case "api_key_command", [str(program), *_]:
                return f"{name} {program}"
            case _:
                return name
    return None


def _warnings(config: ConfigFile, profile: str | None, values: Mapping[str, Value]) -> Iterator[Problem]:
    """Yield the doubts about a table of the file, as far as its values can be read."""
    table = () if profile is None else ("profiles", profile)
    place = f"[{'.'.join(table)}]: " if table else ""
    for name, value in values.items():
        with suppress(UsageError):
            for _, doubt in doubts_of_table({name: value}):
                yield Problem(config.line_of(table, name), f"{place}{doubt.message}", doubt.hint, profile)


def _check_values(config: ConfigFile, profile: str | None, values: Mapping[str, Value]) -> Iterator[Problem]:
    table = () if profile is None else ("profiles", profile)
    for name, value in values.items():
        if name in RULES and isinstance(value, str):
            try:
                RULES[name].parse(value, name)
            except UsageError as error:
                place = f"[{'.'.join(table)}]: " if table else ""
                yield Problem(config.line_of(table, name), f"{place}{error.message}", error.hint or "", profile)


def _report(
    name: str, config: ConfigFile, environ: Mapping[str, str], *, is_broken: bool
) -> tuple[ProfileReport, list[Problem]]:
    """Return whether a profile is usable, and a problem if others can read or change its key file."""
    try:
        settings = resolve_profile(Setting(name, "--profile"), Sources(Options(), environ, config))
    except UnsafeFileError as error:
        line = config.line_of(("profiles", name), "api_key_file")
        problem = Problem(line, f"[profiles.{name}]: {error.message}", error.hint or "", name)
        return ProfileReport(name, works=False, reason="it has mistakes"), [problem]
    except UsageError as error:
        # Mistakes in the file were found before, and are listed on their own.
        return ProfileReport(name, works=False, reason="it has mistakes" if is_broken else error.message), []
    line = config.line_of(("profiles", name), "api_key_file")
    exposed = [
        Problem(line, f"[profiles.{name}]: {exposure.message}", exposure.hint or "", name)
        for exposure in settings.exposures
        if exposure is not config.exposure
    ]
    key = settings.api_key.value
    if is_broken or exposed:
        return ProfileReport(name, works=False, reason="it has mistakes"), exposed
    return ProfileReport(name, works=key.fault is None, reason=key.fault or f"key {key.state}"), []


def _name_of(profile: str | None, document: Mapping[str, Any], environ: Mapping[str, str], path: Path) -> str:
    if profile is not None:
        return parse_new_profile(profile, "--profile")
    if "APIMART_PROFILE" in environ:
        return parse_new_profile(nonempty(environ, "APIMART_PROFILE"), "APIMART_PROFILE")
    names = _names(document)
    name = document.get("default_profile", names[0] if len(names) == 1 else DEFAULT_PROFILE)
    if isinstance(name, str):
        return name
    raise ConfigError(f"{path}: default_profile must be a string", "name the profile with --profile")


def _names(document: Mapping[str, Any]) -> list[str]:
    profiles = document.get("profiles")
    return list(profiles) if isinstance(profiles, dict) else []


def _table(document: Mapping[str, Any], profile: str | None) -> Mapping[str, Any]:
    if profile is None:
        return document
    profiles = document.get("profiles")
    table = profiles.get(profile) if isinstance(profiles, dict) else None
    return table if isinstance(table, dict) else {}


def _read(path: Path) -> Mapping[str, Any]:
    return {} if is_absent(path) else parse_toml(read_private_file(path).text, path)
