"""What `login` and `config set` need to know before they write."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from apimart_cli.config.file import Value, config_path_to_write, read_config
from apimart_cli.config.names import KEY_NAMES, STORED_NAMES, Kind, require_name
from apimart_cli.config.precedence import Sources, find, profile_of_file
from apimart_cli.config.recording import find_history, find_record
from apimart_cli.config.settings import Options, Setting, Settings
from apimart_cli.config.stored import takes_key_elsewhere
from apimart_cli.config.values import (
    BASE_URL,
    RECORD,
    RULES,
    TIMEOUT,
    UNIT,
    Number,
    empty,
    nonempty,
    parse_command,
    parse_new_profile,
    shown,
)
from apimart_cli.errors import AuthError, UsageError
from apimart_cli.keys.key import ApiKey
from apimart_cli.keys.source import GivenKey, NoKey
from apimart_cli.words import ScopeChoice


class LoginSettings(NamedTuple):
    """What `login` needs of a profile that may not exist yet."""

    settings: Settings
    """What is in force for the profile, but for the key."""
    config_path: Path
    stored_in: str | None
    """The name in the profile that `login` wrote the key to, or None."""
    old_key_id: str | None
    """What the new key replaces, where it is in the file and can be one."""

    @property
    def host(self) -> str:
        """The host that is to say whether the key works."""
        return self.settings.targets()[0].host

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self.settings.profile.value

    def with_key(self, key: ApiKey) -> Settings:
        """Return the settings that ask with `key`."""
        return self.settings._replace(api_key=Setting(GivenKey(key), "standard input"))


def resolve_for_login(options: Options, profile: str | None, environ: Mapping[str, str] | None = None) -> LoginSettings:
    """Return what is in force for a profile that is to get a key.

    Raises UsageError when the profile takes its key from elsewhere, for a stored key would never be used, and
    ConfigError when there is no place for a config file, or a mistake in it.
    """
    environ = os.environ if environ is None else environ
    path = config_path_to_write(environ)
    sources = Sources(options, environ, read_config(environ, may_be_absent=True))
    name = _find_profile(profile, sources)
    stored_in = next((source for source in KEY_NAMES if source in sources.config.profiles.get(name.value, {})), None)
    if stored_in is not None and stored_in not in STORED_NAMES:
        raise takes_key_elsewhere(name.value, stored_in)
    settings = Settings(
        profile=name,
        api_key=Setting(NoKey(AuthError("there is no API key yet")), "none"),
        base_url=find(BASE_URL, name.value, sources),
        timeout=find(TIMEOUT, name.value, sources),
        scope=Setting(ScopeChoice.KEY, "default"),
        unit=find(UNIT, name.value, sources),
        min=Setting(None, "default"),
        max_used=Setting(None, "default"),
        min_runway=Setting(None, "default"),
        record=find_record(environ, find(RECORD, name.value, sources)),
        history=find_history(environ),
    )
    return LoginSettings(settings, path, stored_in, _key_id(sources.config.profiles.get(name.value, {})))


def _key_id(profile: Mapping[str, Value]) -> str | None:
    characters = profile.get("api_key")
    try:
        return ApiKey(characters, source="the config file").key_id if isinstance(characters, str) else None
    except AuthError:
        return None


def _find_profile(profile: str | None, sources: Sources) -> Setting[str]:
    _, environ, config, _ = sources
    if profile is not None:
        return Setting(parse_new_profile(profile, "--profile"), "--profile")
    if "APIMART_PROFILE" in environ:
        source = "APIMART_PROFILE"
        return Setting(parse_new_profile(nonempty(environ, source), source), source)
    return profile_of_file(config)


def read_value(name: str, text: str, *, in_profile: bool) -> str | list[str] | bool | Number:
    """Return a value for the config file from the words of a command line, checked as the file's own would be.

    Raises UsageError for an unknown name, a malformed value, and for a key: arguments are visible to other users.
    """
    kind = require_name(name, in_profile=in_profile)
    if name == "api_key":
        raise UsageError("a key on the command line is visible to others", "store it with: apimart login")
    if not text:
        raise empty(name, f"remove it with: apimart config unset {name}")
    if name in RULES:
        RULES[name].parse(text, name)
    if kind is Kind.NUMBER or (kind is Kind.SECONDS and not text[-1:].isalpha()):
        # TOML has no leading zeros; every other digit stays.
        return Number(f"{Decimal(text):f}")
    if kind is Kind.SWITCH:
        return text == "true"
    if kind is Kind.FLAG:
        if text != "true":
            raise UsageError(f"{name}: {shown(text)} is not true", f"remove it with: apimart config unset {name}")
        return True
    if kind is Kind.WORDS:
        return list(parse_command(text, name))
    return text
