"""Settings: options, environment and config file in, one `Settings` per profile out, each value with its source.

The order of precedence is written once, in `_find`: option, environment, profile, top level of the file, default.
The key alone has one finer step, written in `_find_key`.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from apimart_cli.apikey import MAX_LENGTH as MAX_KEY_LENGTH
from apimart_cli.apikey import ApiKey
from apimart_cli.balance import Scope
from apimart_cli.configfile import ConfigFile, read_config
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.files import read_private_file
from apimart_cli.gate import Thresholds
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Target, check_timeout, parse_base_url
from apimart_cli.text import quote, visible

DEFAULT_PROFILE = "default"
"""The profile that is used when none is named; it need not exist."""

MAX_UNIT_LENGTH = 16

_PLAIN_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")

_NO_KEY_HINT = "set APIMART_API_KEY, give --api-key-file, or name a key in the config file (`apimart config path`)"


class Options(NamedTuple):
    """What the command line says, as it was typed; None where an option was not given."""

    api_key: str | None = None
    api_key_file: Path | None = None
    profile: str | None = None
    scope: str | None = None
    base_url: str | None = None
    timeout: str | None = None
    min: str | None = None
    max_used: str | None = None


class Setting(NamedTuple):
    """An effective value and where it came from, in words: an option, a variable, a place in the file, `default`."""

    value: Any
    source: str


class SettingRow(NamedTuple):
    """A setting as `config show` tells it."""

    name: str
    value: str | None
    source: str


class Settings(NamedTuple):
    """Everything that is in force for one profile."""

    profile: Setting
    api_key: Setting
    """An ApiKey, or the AuthError that tells why there is none."""
    base_url: Setting
    timeout: Setting
    scope: Setting
    """A tuple of the scopes to ask, in order."""
    unit: Setting
    min: Setting
    max_used: Setting
    exposures: tuple[ConfigError, ...]
    """One error for each file in use that holds a key and that other users can read."""

    def thresholds(self) -> Thresholds:
        """Return what `check` holds every reading of this profile to.

        Raises UsageError where there is nothing to hold them to: a gate without a threshold is never a pass.
        """
        thresholds = Thresholds(min=self.min.value, max_used=self.max_used.value)
        if not thresholds.are_set:
            raise UsageError(
                "there is no threshold to check", "give --min or --max-used, or set min in the profile; like: --min 5"
            )
        return thresholds

    def rows(self) -> list[SettingRow]:
        """Return every setting as text that may be shown, the key as its length only."""
        key = self.api_key.value
        shown_key = f"set, {len(key)} characters" if isinstance(key, ApiKey) else f"not usable: {key.message}"
        shown = {
            "profile": self.profile.value,
            "api_key": shown_key,
            "base_url": self.base_url.value,
            "timeout": f"{self.timeout.value:.6f}".rstrip("0").removesuffix("."),
            "scope": _scope_word(self.scope.value),
            "unit": self.unit.value,
            "min": _amount_word(self.min.value),
            "max_used": _amount_word(self.max_used.value),
        }
        return [SettingRow(name, value, getattr(self, name).source) for name, value in shown.items()]

    def targets(self) -> list[Target]:
        """Return what to ask, in order. Raises AuthError when there is no usable key."""
        if isinstance(self.api_key.value, AuthError):
            raise self.api_key.value
        return [
            Target(
                profile=self.profile.value,
                scope=scope,
                api_key=self.api_key.value,
                base_url=self.base_url.value,
                timeout=self.timeout.value,
                unit=self.unit.value,
            )
            for scope in self.scope.value
        ]


# --- the meaning of each value: text and the words for its source in, value out or UsageError --------------------


def parse_amount(text: str, source: str) -> Decimal:
    """Return an amount written as a plain decimal, exactly."""
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise UsageError(
            f"{source}: {_shown(text)} is not an amount",
            "give a plain decimal number that is not negative, like 5 or 0.25",
        )
    return Decimal(text)


def parse_timeout(text: str, source: str) -> float:
    """Return a time limit in seconds."""
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise UsageError(f"{source}: {_shown(text)} is not a number of seconds", "give a plain number like 10 or 2.5")
    return check_timeout(float(text), source)


def parse_scope(text: str, source: str) -> tuple[Scope, ...]:
    """Return the scopes to ask, in order."""
    if text == "both":
        return (Scope.KEY, Scope.ACCOUNT)
    if text in set(Scope):
        return (Scope(text),)
    raise UsageError(f"{source}: {_shown(text)} is not a scope", "give key, account or both")


def parse_unit(text: str, source: str) -> str:
    """Return the words to show beside amounts."""
    if not text or len(text) > MAX_UNIT_LENGTH or visible(text) != text:
        raise UsageError(
            f"{source}: {_shown(text)} is not a unit",
            f"give a short word like USD, at most {MAX_UNIT_LENGTH} characters",
        )
    return text


class _Rule(NamedTuple):
    """How one setting is found and read."""

    parse: Callable[[str, str], Any]
    default: Any = None
    variable: str | None = None


_RULES: Mapping[str, _Rule] = {
    "base_url": _Rule(parse_base_url, DEFAULT_BASE_URL, "APIMART_BASE_URL"),
    "timeout": _Rule(parse_timeout, DEFAULT_TIMEOUT, "APIMART_TIMEOUT"),
    "scope": _Rule(parse_scope, (Scope.KEY,)),
    "unit": _Rule(parse_unit),
    "min": _Rule(parse_amount),
    "max_used": _Rule(parse_amount),
}
"""Every setting but the profile and the key. A new setting is one line here and one in `configfile.SHARED_NAMES`."""


# --- precedence -------------------------------------------------------------------------------------------------


def resolve(options: Options, environ: Mapping[str, str] | None = None) -> Settings:
    """Return what is in force. Reads the environment, the config file, a key file, and standard input where asked to.

    Raises UsageError or ConfigError for anything malformed. A missing or malformed key is kept as an AuthError in
    `api_key`, so that `config show` can still tell everything else.
    """
    environ = os.environ if environ is None else environ
    config = read_config(environ)
    profile = _find_profile(options, environ, config)
    exposures = [config.exposure] if config.exposure else []
    return Settings(
        profile=profile,
        api_key=_find_key(options, environ, config, profile, exposures),
        **{name: _find(name, options, environ, config, profile.value) for name in _RULES},
        exposures=tuple(exposures),
    )


def _find_profile(options: Options, environ: Mapping[str, str], config: ConfigFile) -> Setting:
    """Find the profile's name, and make sure that it exists where somebody asked for it."""
    if options.profile is not None:
        found = Setting(options.profile, "--profile")
    elif "APIMART_PROFILE" in environ:
        found = Setting(_nonempty(environ, "APIMART_PROFILE"), "APIMART_PROFILE")
    elif config.default_profile is not None:
        return Setting(config.default_profile, f"default_profile in {config.path}")
    else:
        return Setting(DEFAULT_PROFILE, "default")
    config.profile(found.value, asked_by=found.source)
    return found


def _find(name: str, options: Options, environ: Mapping[str, str], config: ConfigFile, profile: str) -> Setting:
    """Find one setting: option, then environment, then profile, then top level of the file, then default."""
    rule = _RULES[name]
    option: str | None = getattr(options, name, None)
    if option is not None:
        return _read(rule, option, f"--{name.replace('_', '-')}")
    if rule.variable and rule.variable in environ:
        return _read(rule, _nonempty(environ, rule.variable), rule.variable)
    if name in config.profiles.get(profile, {}):
        return _read(rule, config.profiles[profile][name], f"profile {profile} in {config.path}", name)
    if name in config.top_level:
        return _read(rule, config.top_level[name], f"{config.path}", name)
    return Setting(rule.default, "default")


def _read(rule: _Rule, text: str, source: str, name: str | None = None) -> Setting:
    return Setting(rule.parse(text, f"{name} of {source}" if name else source), source)


def _find_key(
    options: Options,
    environ: Mapping[str, str],
    config: ConfigFile,
    profile: Setting,
    exposures: list[ConfigError],
) -> Setting:
    """Find the key: option, then a profile named by option, then APIMART_API_KEY, then a profile named otherwise.

    A key file that other users can read is added to `exposures`.
    """

    def by_option() -> Setting | None:
        return _key_of_option(options, exposures)

    def by_environment() -> Setting | None:
        return _key_of_environment(environ, "APIMART_API_KEY")

    def by_profile() -> Setting | None:
        return _key_of_profile(environ, config, profile.value)

    implicit = (by_option, by_environment, by_profile)
    explicit = (by_option, by_profile, by_environment)
    finders = explicit if profile.source == "--profile" else implicit
    found = next((setting for finder in finders if (setting := finder())), None)
    return found or Setting(AuthError("there is no API key", _NO_KEY_HINT), "none")


def _key_of_option(options: Options, exposures: list[ConfigError]) -> Setting | None:
    if options.api_key is not None and options.api_key_file is not None:
        raise UsageError("--api-key and --api-key-file exclude each other", "give one of them")
    if options.api_key == "-":
        return _key(_read_standard_input(), "standard input")
    if options.api_key is not None:
        return _key(options.api_key, "--api-key")
    if options.api_key_file is not None:
        file = read_private_file(options.api_key_file)
        if file.is_exposed:
            exposures.append(file.exposure)
        return _key(_without_newline(file.text), f"--api-key-file {file.path}")
    return None


def _key_of_environment(environ: Mapping[str, str], variable: str) -> Setting | None:
    return _key(environ[variable], variable) if variable in environ else None


def _key_of_profile(environ: Mapping[str, str], config: ConfigFile, name: str) -> Setting | None:
    profile = config.profiles.get(name, {})
    source = f"profile {name} in {config.path}"
    if "api_key" in profile:
        return _key(profile["api_key"], source)
    if "api_key_env" in profile:
        variable = profile["api_key_env"]
        missing = AuthError(
            f"{variable}, named by api_key_env of {source}, is not set", f"set {variable} to the API key"
        )
        return _key_of_environment(environ, variable) or Setting(missing, variable)
    return None


def _key(characters: str, source: str) -> Setting:
    try:
        return Setting(ApiKey(characters, source=source), source)
    except AuthError as error:
        return Setting(error, source)


def _read_standard_input() -> str:
    """Read the key from standard input; a terminal is asked for it without echo."""
    if sys.stdin is None:
        raise UsageError("--api-key -: standard input is closed", "pipe the key in, or use --api-key-file")
    if sys.stdin.isatty():
        from apimart_cli.streams import ask_secret

        return ask_secret("API key: ")
    try:
        # More than a key may have, so that a longer input is refused and not cut into a shorter key.
        data = sys.stdin.buffer.read(2 * MAX_KEY_LENGTH)
    except OSError as error:
        raise UsageError(f"--api-key -: cannot read standard input: {error.strerror}", "pipe the key in") from None
    return _without_newline(data.decode("utf-8", "replace"))


def _without_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _nonempty(environ: Mapping[str, str], variable: str) -> str:
    """Return a variable that is set. An empty one is an error: CI systems make a missing secret an empty string."""
    if environ[variable]:
        return environ[variable]
    raise UsageError(f"{variable} is set but empty", "unset it, or give it a value")


def _scope_word(scopes: tuple[Scope, ...]) -> str:
    return "both" if len(scopes) > 1 else scopes[0].value


def _amount_word(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _shown(text: str) -> str:
    return f"'{quote(text, 40)}'"
