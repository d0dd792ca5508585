"""Which profiles the config file has, and which of them is in use."""

from collections.abc import Mapping
from typing import Any

from apimart_cli.config.file import ConfigFile, inspect_config
from apimart_cli.config.names import KEY_NAMES
from apimart_cli.config.precedence import Sources, profile_of_file, resolve_profile
from apimart_cli.config.settings import Options, Setting
from apimart_cli.errors import UsageError
from apimart_cli.reports import ProfileRow


def list_profiles(environ: Mapping[str, str]) -> tuple[ConfigFile, list[ProfileRow]]:
    """Return the config file, and its profiles in their order. No command is run, and no keyring is asked.

    Raises ConfigError when the file cannot be read or is not TOML.
    """
    config, _ = inspect_config(environ)
    active = environ.get("APIMART_PROFILE", profile_of_file(config).value)
    return config, [_row(name, Sources(Options(), environ, config), active=name == active) for name in config.profiles]


def _row(name: str, sources: Sources, *, active: bool) -> ProfileRow:
    try:
        settings = resolve_profile(Setting(name, "--profile"), sources)
    except UsageError:
        # `config check` tells what is wrong with it.
        return ProfileRow(name, "broken", None, None, active)
    source = _key_source(sources.config.profiles[name]) or settings.api_key.source
    return ProfileRow(name, source, settings.api_key.value.key_id, settings.targets()[0].host, active)


def _key_source(profile: Mapping[str, Any]) -> str | None:
    """Return where the key of a profile comes from, in the words of the file: never the key, nor a whole command."""
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
