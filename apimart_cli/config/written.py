"""What `config get` and `config set` look up in the config file: a value as it is written, and a profile."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from apimart_cli.config.file import ConfigFile, Value, read_config
from apimart_cli.config.names import require_name, suggestion
from apimart_cli.config.precedence import profile_of_file
from apimart_cli.config.values import nonempty
from apimart_cli.errors import UsageError


def written_value(name: str, profile: str | None, environ: Mapping[str, str]) -> str:
    """Return the value of `name` as text: that of `profile`, or of the profile in use, else that of the top level.

    Raises UsageError when it is in neither, when there is no such name or profile, and for a key: keys are not shown.
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


def _find(name: str, profile: str, config: ConfigFile) -> Value | None:
    if name == "default_profile":
        return config.default_profile
    return config.profiles.get(profile, {}).get(name, config.top_level.get(name))


def require_profile(path: Path, profile: str) -> None:
    """Raise UsageError when the file has no such profile: a misspelled name is no wish for a new one."""
    from apimart_cli.config.stored import profile_names

    names = profile_names(path)
    if profile not in names:
        raise UsageError(
            f"there is no profile {profile!r} in {path}", suggestion(profile, names, "make it with --create")
        )
