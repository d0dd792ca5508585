"""Which key is in force for a profile."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from apimart_cli.config.file import ConfigFile
from apimart_cli.config.names import KEY_FILE_VARIABLE, KEY_NAMES, KEY_VARIABLE
from apimart_cli.config.settings import Options, Setting
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.keys.key import ApiKey, GivenKey, KeySource, NoKey, drop_newline
from apimart_cli.text import shell_word

_NO_KEY_HINT = "set APIMART_API_KEY, or store a key with: apimart login"

_LIKE_OURS = r"(?i)(OPENAI_)?API_KEY|OPENAI_KEY|API_?MART_?([A-Z0-9_]*_)?(KEY|APIKEY|TOKEN|SECRET)(_FILE)?"
"""Variables in which people put the key who come from another program, or who guess."""

_OF_OURS = {KEY_VARIABLE, KEY_FILE_VARIABLE}


class FoundKey(NamedTuple):
    """The source of a profile's key, and the error for its file if other users can read that."""

    setting: Setting[KeySource]
    exposure: ConfigError | None = None
    is_instead_of_profile: bool = False
    """Whether a variable gives the key although the profile in use has a key of its own."""


def find_key(
    profile: Setting[str], options: Options, environ: Mapping[str, str], config: ConfigFile, *, timeout: float
) -> FoundKey:
    """Find the key: option, profile named by option, APIMART_API_KEY, APIMART_API_KEY_FILE, profile named otherwise.

    Reads standard input for at most `timeout` seconds. Raises AuthError if that is not enough.
    """
    is_explicit = profile.source in {"--profile", "--all-profiles"}
    found = _of_option(options, environ, timeout)
    if found is None and is_explicit:
        found = _of_profile(environ, config, profile.value) or _of_variables(environ)
    if found is None and not is_explicit:
        found = _of_variables(environ)
        if found is not None:
            has_key = not KEY_NAMES.keys().isdisjoint(config.profiles.get(profile.value, {}))
            return found._replace(is_instead_of_profile=has_key)
        found = _of_profile(environ, config, profile.value)
    if found is not None:
        return found
    hint = _no_key_hint(profile.value, config, is_explicit=is_explicit) + _unread(environ)
    return _missing(AuthError("there is no API key", hint), "none")


def _no_key_hint(profile: str, config: ConfigFile, *, is_explicit: bool) -> str:
    if is_explicit:
        return f"store one with: apimart login --profile {shell_word(profile)}"
    if profile in config.profiles or not config.profiles:
        return _NO_KEY_HINT
    return (
        f"name a profile with --profile ({', '.join(config.profiles)}), "
        "or make it the default: apimart config set default_profile NAME"
    )


def unread_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look as if they held the key, but are not read."""
    return sorted(
        name for name, value in environ.items() if value and re.fullmatch(_LIKE_OURS, name) and name not in _OF_OURS
    )


def _unread(environ: Mapping[str, str]) -> str:
    """Return the end of a hint that names these variables."""
    names = unread_variables(environ)
    return f"; {', '.join(names)} {'is' if len(names) == 1 else 'are'} set, and not read" if names else ""


def _of_option(options: Options, environ: Mapping[str, str], timeout: float) -> FoundKey | None:
    if options.api_key is not None and options.api_key_file is not None:
        raise UsageError("--api-key and --api-key-file exclude each other", "give one of them")
    if options.api_key == "-":
        assert options.read_standard_input is not None, "commands that take --api-key pass a reader of standard input"
        return _given(options.read_standard_input(timeout), "standard input")
    if options.api_key is not None:
        return _given(options.api_key, "--api-key")
    if options.api_key_file is not None:
        return _of_file(options.api_key_file, environ, f"--api-key-file {options.api_key_file}")
    return None


def _of_variables(environ: Mapping[str, str]) -> FoundKey | None:
    found = _of_environment(environ, KEY_VARIABLE)
    if found is not None or KEY_FILE_VARIABLE not in environ:
        return found
    path = environ[KEY_FILE_VARIABLE]
    if not path:
        error = AuthError(
            f"{KEY_FILE_VARIABLE} is set but empty", "unset it, or set it to the path of a file with the key"
        )
        return _missing(error, KEY_FILE_VARIABLE)
    # Relative to the current folder, as all paths are that people type.
    return _of_named_file(Path(os.path.expanduser(path)), environ, KEY_FILE_VARIABLE)


def _of_environment(environ: Mapping[str, str], variable: str) -> FoundKey | None:
    return _given(environ[variable], variable) if variable in environ else None


def _of_profile(environ: Mapping[str, str], config: ConfigFile, name: str) -> FoundKey | None:
    source = f"profile {name} in {config.path}"
    match config.profiles.get(name, {}):
        case {"api_key": str(characters)}:
            return _given(characters, source)
        case {"api_key_env": str(variable)}:
            missing = AuthError(
                f"{variable}, named by api_key_env of {source}, is not set", f"set {variable} to the API key"
            )
            return _of_environment(environ, variable) or _missing(missing, variable)
        case {"api_key_file": str(path)}:
            return _of_profile_file(environ, config, path, source)
        case {"api_key_command": list(words)}:
            from apimart_cli.config.held_keys import environment_without_keys
            from apimart_cli.keys.sources import KeyCommand

            def environment(key: str) -> Mapping[str, str]:
                # The command may have read its key from a variable, and needs that variable again.
                return environment_without_keys(environ, config, except_from=key)

            command = KeyCommand(words, profile=name, environment=environment)
            return FoundKey(Setting(command, f"api_key_command of {source}"))
        case {"api_key_keyring": True}:
            from apimart_cli.keys.sources import KeyringKey

            return FoundKey(Setting(KeyringKey(name), f"api_key_keyring of {source}"))
        case _:
            return None


def _of_profile_file(environ: Mapping[str, str], config: ConfigFile, path: str, source: str) -> FoundKey:
    assert config.path is not None, "a file that has profiles has a path"
    # Relative to the config file: the current folder must not decide which key is used.
    place = config.path.parent / os.path.expanduser(path)
    return _of_named_file(place, environ, f"api_key_file of {source}", source)


def _of_named_file(path: Path, environ: Mapping[str, str], named_by: str, source: str | None = None) -> FoundKey:
    """Return the key in a file that no option names: if it cannot be read, that is an error when the key is needed."""
    from apimart_cli.replacing import UnsafeFileError

    try:
        return _of_file(path, environ, named_by)
    except UnsafeFileError as error:
        # An error at once, also for other profiles: another user could have decided which key is used.
        raise UnsafeFileError(f"{named_by}: {error.message}", error.hint) from None
    except ConfigError as error:
        return _missing(AuthError(f"{named_by}: {error.message}", error.hint), source or named_by)


def _of_file(path: Path, environ: Mapping[str, str], source: str) -> FoundKey:
    from apimart_cli.replacing import read_private_file

    file = read_private_file(path, environ)
    return _given(drop_newline(file.text), source)._replace(exposure=file.exposure())


def _given(characters: str, source: str) -> FoundKey:
    try:
        return FoundKey(Setting(GivenKey(ApiKey(characters, source=source)), source))
    except AuthError as error:
        return _missing(error, source)


def _missing(error: AuthError, source: str) -> FoundKey:
    return FoundKey(Setting(NoKey(error), source))
