"""Settings: options, environment and config file in, one `Settings` per profile out, each value with its source.

The order of precedence is written once, in `_find`: option, environment, profile, top level of the file, default.
The key alone has one finer step, written in `_find_key`.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from apimart_cli.apikey import MAX_LENGTH as MAX_KEY_LENGTH
from apimart_cli.apikey import ApiKey, KeySource
from apimart_cli.balance import Scope
from apimart_cli.configfile import (
    FLAG,
    KEY_NAMES,
    NUMBER,
    WORDS,
    ConfigFile,
    Problem,
    inspect_config,
    read_config,
    require_name,
)
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.files import read_private_file
from apimart_cli.gate import Thresholds
from apimart_cli.keysource import GivenKey, KeyCommand, KeyringKey, NoKey, drop_newline
from apimart_cli.target import DEFAULT_BASE_URL, DEFAULT_TIMEOUT, Target, check_timeout, parse_base_url
from apimart_cli.text import quote, visible

DEFAULT_PROFILE = "default"
"""The profile that is used when none is named; it need not exist."""

MAX_UNIT_LENGTH = 16

MAX_PROFILE_LENGTH = 100

STORED_NAMES = ("api_key", "api_key_keyring")
"""Where `login` keeps a key."""

_PLAIN_DECIMAL = r"[0-9]{1,12}(\.[0-9]{1,6})?"

_NO_KEY_HINT = "set APIMART_API_KEY, or store a key with: apimart login"


class Options(NamedTuple):
    """What the command line says, as it was typed; None where an option was not given."""

    api_key: str | None = None
    api_key_file: Path | None = None
    profiles: tuple[str, ...] = ()
    all_profiles: bool = False
    scope: str | None = None
    base_url: str | None = None
    timeout: str | None = None
    min: str | None = None
    max_used: str | None = None


class Number(str):
    """A plain decimal that is to be written without quotes."""

    __slots__ = ()


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
    """A KeySource."""
    base_url: Setting
    timeout: Setting
    scope: Setting
    """A tuple of the scopes to ask, in order."""
    unit: Setting
    min: Setting
    max_used: Setting
    exposures: tuple[ConfigError, ...] = ()
    """One error for each file in use that other users can read a key in, or change."""

    def thresholds(self) -> Thresholds:
        """Return what `check` holds every reading of this profile to.

        Raises UsageError where there is nothing to hold them to: a gate without a threshold is never a pass.
        """
        thresholds = Thresholds(min=self.min.value, max_used=self.max_used.value)
        if not thresholds.are_set:
            is_named = self.profile.source != "default"
            subject = f"profile {self.profile.value} has" if is_named else "there is"
            raise UsageError(
                f"{subject} no threshold to check", "give --min or --max-used, or set min in the profile; like: --min 5"
            )
        return thresholds

    def rows(self) -> list[SettingRow]:
        """Return every setting as text that may be shown, the key as its length only."""
        shown = {
            "profile": self.profile.value,
            "api_key": self.api_key.value.state,
            "base_url": self.base_url.value,
            "timeout": f"{self.timeout.value:.6f}".rstrip("0").removesuffix("."),
            "scope": _scope_word(self.scope.value),
            "unit": self.unit.value,
            "min": _amount_word(self.min.value),
            "max_used": _amount_word(self.max_used.value),
        }
        return [SettingRow(name, value, getattr(self, name).source) for name, value in shown.items()]

    def targets(self) -> list[Target]:
        """Return what to ask, in order."""
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
    if not re.fullmatch(_PLAIN_DECIMAL, text):
        raise UsageError(
            f"{source}: {_shown(text)} is not an amount",
            "give a plain decimal number that is not negative, like 5 or 0.25",
        )
    return Decimal(text)


def parse_timeout(text: str, source: str) -> float:
    """Return a time limit in seconds."""
    if not re.fullmatch(_PLAIN_DECIMAL, text):
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


def parse_new_profile(text: str, source: str) -> str:
    """Return the name of a profile that may be written to the file; one that looks like a key is a mistake."""
    if not text or len(text) > MAX_PROFILE_LENGTH or visible(text) != text:
        raise UsageError(
            f"{source}: {_shown(text)} cannot name a profile",
            f"give a word like work, at most {MAX_PROFILE_LENGTH} characters",
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


def resolve(options: Options, environ: Mapping[str, str] | None = None) -> list[Settings]:
    """Return what is in force for each profile that is asked for, in the order asked; for one, if none is named.

    Reads the environment, the config file, key files, and standard input where asked to.

    Raises UsageError or ConfigError for anything malformed. A missing or malformed key is no error yet: its KeySource
    tells when it is read, so that one profile does not stop the others, nor `config show`.
    """
    environ = os.environ if environ is None else environ
    config = read_config(environ)
    profiles = _find_profiles(options, environ, config)
    if len(profiles) > 1 and (options.api_key is not None or options.api_key_file is not None):
        raise UsageError("one key cannot stand for several profiles", "leave out the key, or name a single profile")
    return [_resolve_profile(profile, options, environ, config) for profile in profiles]


def _resolve_profile(profile: Setting, options: Options, environ: Mapping[str, str], config: ConfigFile) -> Settings:
    exposures = [config.exposure] if config.exposure else []
    return Settings(
        profile=profile,
        api_key=_find_key(options, environ, config, profile, exposures),
        **{name: _find(name, options, environ, config, profile.value) for name in _RULES},
        exposures=tuple(exposures),
    )


def _find_profiles(options: Options, environ: Mapping[str, str], config: ConfigFile) -> list[Setting]:
    """Find the names of the profiles, and make sure that they exist where somebody asked for them."""
    if options.all_profiles and options.profiles:
        raise UsageError("--profile and --all-profiles exclude each other", "give one of them")
    if options.all_profiles:
        if not config.profiles:
            raise ConfigError(f"--all-profiles: there is no profile in {config.path}", "store one with: apimart login")
        return [Setting(name, "--all-profiles") for name in config.profiles]
    if options.profiles:
        found = [Setting(name, "--profile") for name in options.profiles]
    elif "APIMART_PROFILE" in environ:
        found = [Setting(_nonempty(environ, "APIMART_PROFILE"), "APIMART_PROFILE")]
    elif config.default_profile is not None:
        return [Setting(config.default_profile, f"default_profile in {config.path}")]
    else:
        return [Setting(DEFAULT_PROFILE, "default")]
    for profile in found:
        config.profile(profile.value, asked_by=profile.source)
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

    A key file that other users can read or change is added to `exposures`.
    """

    def by_option() -> Setting | None:
        return _key_of_option(options, exposures)

    def by_environment() -> Setting | None:
        return _key_of_environment(environ, "APIMART_API_KEY")

    def by_profile() -> Setting | None:
        return _key_of_profile(environ, config, profile.value, exposures)

    implicit = (by_option, by_environment, by_profile)
    explicit = (by_option, by_profile, by_environment)
    is_explicit = profile.source in {"--profile", "--all-profiles"}
    found = next((setting for finder in (explicit if is_explicit else implicit) if (setting := finder())), None)
    hint = f"store one with: apimart login --profile {shlex.quote(profile.value)}" if is_explicit else _NO_KEY_HINT
    return found or Setting(NoKey(AuthError("there is no API key", hint)), "none")


def _key_of_option(options: Options, exposures: list[ConfigError]) -> Setting | None:
    if options.api_key is not None and options.api_key_file is not None:
        raise UsageError("--api-key and --api-key-file exclude each other", "give one of them")
    if options.api_key == "-":
        return _key(read_standard_input("--api-key -", hint="pipe the key in, or use --api-key-file"), "standard input")
    if options.api_key is not None:
        return _key(options.api_key, "--api-key")
    if options.api_key_file is not None:
        return _key_of_file(options.api_key_file, f"--api-key-file {options.api_key_file}", exposures)
    return None


def _key_of_file(path: Path, source: str, exposures: list[ConfigError]) -> Setting:
    file = read_private_file(path)
    if exposure := file.exposure(holds_key=True):
        exposures.append(exposure)
    return _key(drop_newline(file.text), source)


def _key_of_environment(environ: Mapping[str, str], variable: str) -> Setting | None:
    return _key(environ[variable], variable) if variable in environ else None


def _key_of_profile(
    environ: Mapping[str, str], config: ConfigFile, name: str, exposures: list[ConfigError]
) -> Setting | None:
    profile = config.profiles.get(name, {})
    source = f"profile {name} in {config.path}"
    if "api_key" in profile:
        return _key(profile["api_key"], source)
    if "api_key_env" in profile:
        variable = profile["api_key_env"]
        missing = AuthError(
            f"{variable}, named by api_key_env of {source}, is not set", f"set {variable} to the API key"
        )
        return _key_of_environment(environ, variable) or Setting(NoKey(missing), variable)
    if "api_key_file" in profile:
        # Beside the config file, so that the answer does not depend on the folder one stands in.
        path = config.path.parent / os.path.expanduser(profile["api_key_file"])
        try:
            return _key_of_file(path, f"api_key_file of {source}", exposures)
        except ConfigError as error:
            return Setting(NoKey(AuthError(f"api_key_file of {source}: {error.message}", error.hint)), source)
    if "api_key_command" in profile:
        return Setting(KeyCommand(profile["api_key_command"], profile=name), f"api_key_command of {source}")
    if "api_key_keyring" in profile:
        return Setting(KeyringKey(name), f"api_key_keyring of {source}")
    return None


def _key(characters: str, source: str) -> Setting:
    try:
        return Setting(GivenKey(ApiKey(characters, source=source)), source)
    except AuthError as error:
        return Setting(NoKey(error), source)


def read_standard_input(asked_by: str, *, hint: str) -> str:
    """Read the key from standard input; a terminal is asked for it without echo. Errors name `asked_by`, and a way."""
    if sys.stdin is None:
        raise UsageError(f"{asked_by}: standard input is closed", hint)
    if sys.stdin.isatty():
        from apimart_cli.streams import ask_secret

        return ask_secret("API key: ")
    try:
        # More than a key may have, so that a longer input is refused and not cut into a shorter key.
        data = sys.stdin.buffer.read(2 * MAX_KEY_LENGTH)
    except OSError as error:
        raise UsageError(f"{asked_by}: cannot read standard input: {error.strerror}", hint) from None
    return drop_newline(data.decode("utf-8", "replace"))


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


def targets_of(settings: Sequence[Settings]) -> list[list[Target]]:
    """Return what to ask for each profile, in order.

    Raises AuthError when there is a single profile and it has no usable key: then there is nothing to ask. Among
    several, such a profile has a failed reading of its own.
    """
    if len(settings) == 1 and isinstance(settings[0].api_key.value, NoKey):
        raise settings[0].api_key.value.error
    return [profile_settings.targets() for profile_settings in settings]


def exposures(settings: Iterable[Settings]) -> list[ConfigError]:
    """Return one error for each file in use that other users can read a key in, or change."""
    return list({error.message: error for each in settings for error in each.exposures}.values())


# --- writing settings -------------------------------------------------------------------------------------------


class LoginSettings(NamedTuple):
    """What `login` and `logout` need of a profile that may not exist yet."""

    profile: str
    config_path: Path
    base_url: str
    timeout: float
    unit: str | None
    stored_in: str | None
    """The name in the profile that `login` wrote the key to, or None."""


def resolve_for_login(options: Options, profile: str | None, environ: Mapping[str, str] | None = None) -> LoginSettings:
    """Return what is in force for a profile that is to get a key, or to lose it.

    Raises UsageError when the profile takes its key from elsewhere: then a stored key would never be used.
    """
    environ = os.environ if environ is None else environ
    config = read_config(environ, may_be_absent=True)
    if profile is not None:
        name = parse_new_profile(profile, "--profile")
    elif "APIMART_PROFILE" in environ:
        name = parse_new_profile(_nonempty(environ, "APIMART_PROFILE"), "APIMART_PROFILE")
    else:
        name = config.default_profile or DEFAULT_PROFILE
    source = next((source for source in KEY_NAMES if source in config.profiles.get(name, {})), None)
    if source not in {None, *STORED_NAMES}:
        raise UsageError(
            f"profile {name} takes its key from {source}",
            f"choose another profile, or first run: apimart config unset {source} --profile {shlex.quote(name)}",
        )
    found = {each: _find(each, options, environ, config, name).value for each in ("base_url", "timeout", "unit")}
    return LoginSettings(name, config.path, **found, stored_in=source)


def read_value(name: str, text: str, *, in_profile: bool) -> str | list[str] | bool | Number:
    """Return a value for the config file from the words of a command line, checked as the file's own would be.

    Raises UsageError for an unknown name, a malformed value, and for a key: those are for `login`, where nobody sees
    them.
    """
    types = require_name(name, in_profile=in_profile)
    if name == "api_key":
        raise UsageError("a key on the command line is visible to others", "store it with: apimart login")
    if name in _RULES:
        _RULES[name].parse(text, name)
    if types == NUMBER:
        # TOML has no leading zeros; every other digit stays.
        return Number(f"{Decimal(text):f}")
    if types == FLAG:
        if text != "true":
            raise UsageError(f"{name}: {_shown(text)} is not true", f"remove it with: apimart config unset {name}")
        return True
    if types == WORDS:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{name}: {error}", "quote the words as for a shell") from None
        if not words:
            raise UsageError(f"{name}: the command is empty", "give the command as one argument: 'pass show apimart'")
        return words
    if not text:
        raise UsageError(f"{name}: the value is empty", f"remove it with: apimart config unset {name}")
    return text


class ProfileReport(NamedTuple):
    """Whether a profile would work, as far as this machine can tell."""

    profile: str
    works: bool
    reason: str


class ConfigReport(NamedTuple):
    """What `config check` has to tell."""

    path: Path
    problems: Sequence[Problem]
    profiles: Sequence[ProfileReport]


def inspect_settings(environ: Mapping[str, str]) -> ConfigReport:
    """Read the config file and return every mistake in it, in the order of the lines, and which profiles would work.

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
    problems.sort(key=lambda problem: problem.line or 0)
    return ConfigReport(config.path, problems, reports)


def _check_values(config: ConfigFile, profile: str | None, values: Mapping[str, Any]) -> Iterator[Problem]:
    table = () if profile is None else ("profiles", profile)
    for name, value in values.items():
        if name in _RULES:
            try:
                _RULES[name].parse(value, name)
            except UsageError as error:
                place = f"[{'.'.join(table)}]: " if table else ""
                yield Problem(config.line_of(table, name), f"{place}{error.message}", error.hint or "", profile)


def _report(
    name: str, config: ConfigFile, environ: Mapping[str, str], *, is_broken: bool
) -> tuple[ProfileReport, list[Problem]]:
    """Return whether a profile would work, and its key file as a problem where others can read that."""
    try:
        settings = _resolve_profile(Setting(name, "--profile"), Options(), environ, config)
    except UsageError as error:
        # Told among the mistakes, like those that stand in the file alone; here it would be told twice.
        return ProfileReport(name, works=False, reason="it has mistakes" if is_broken else error.message), []
    line = config.line_of(("profiles", name), "api_key_file")
    exposed = [
        Problem(line, f"[profiles.{name}]: {exposure.message}", exposure.hint or "", name)
        for exposure in settings.exposures
        if exposure is not config.exposure
    ]
    key: KeySource = settings.api_key.value
    if is_broken or exposed:
        return ProfileReport(name, works=False, reason="it has mistakes"), exposed
    return ProfileReport(name, works=key.fault is None, reason=key.fault or f"key {key.state}"), []
