"""What `logout` and `config unset` look at: what stands in the file, however wrong the rest of it may be."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from apimart_cli.config.file import config_path_to_write, is_absent, parse_toml
from apimart_cli.config.names import DEFAULT_PROFILE, KEY_NAMES, STORED_NAMES, suggestion
from apimart_cli.config.private_file import read_private_file
from apimart_cli.config.renaming import check_names
from apimart_cli.config.values import nonempty, parse_new_profile
from apimart_cli.errors import ConfigError, UsageError


class StoredKey(NamedTuple):
    """Where a key is that `login` stored."""

    config_path: Path
    profile: str
    name: str
    """The name in the profile that holds it, or says that the keyring does."""


def find_stored_key(profile: str | None, environ: Mapping[str, str]) -> StoredKey:
    """Find the stored key of `profile`, or of the profile in use.

    Raises UsageError when it has none, and ConfigError when the file cannot be read or is not TOML.
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
    """Tell whether `name` stands in `profile` of the file, or at its top level; any name, known or not."""
    return name in _table(_read(path), profile)


def profile_names(path: Path) -> list[str]:
    """Return the names of the profiles of the file."""
    return _names(_read(path))


def require_renameable(path: Path, old: str, new: str) -> bool:
    """Return whether the keyring keeps the key of profile `old`.

    Raises UsageError unless the file has a profile `old`, and none that is called `new`.
    """
    document = _read(path)
    check_names(document, old, new, path)
    return _table(document, old).get("api_key_keyring") is True


def takes_key_elsewhere(profile: str, name: str) -> UsageError:
    """Return the error for a profile whose key is not one that `login` keeps."""
    return UsageError(
        f"profile {profile} takes its key from {name}",
        f"choose another profile, or first run: apimart config unset {name} --profile {shlex.quote(profile)}",
    )


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
