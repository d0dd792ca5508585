"""Precedence: options, environment and config file in, one `Settings` per profile out, each value with its source.

The order is written once, in `find`: option, environment, profile, top level of the file, default. The key alone has
one finer step, written in `key.find_key`.
"""

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from apimart_cli.config.file import ConfigFile, read_config
from apimart_cli.config.key import find_key
from apimart_cli.config.names import DEFAULT_PROFILE
from apimart_cli.config.settings import Options, Setting, Settings, find_history, find_record
from apimart_cli.config.values import (
    BACKGROUND_KEYS,
    BASE_URL,
    BOOKS,
    MAX_SPENT,
    MAX_USED,
    MIN,
    MIN_RUNWAY,
    ON_LOW,
    ON_RECOVER,
    ON_STOP,
    REARM,
    RECORD,
    REMIND,
    SCOPE,
    TIMEOUT,
    UNIT,
    WITHIN,
    Rule,
    empty,
    nonempty,
)
from apimart_cli.errors import ConfigError, UsageError
from apimart_cli.words import ScopeChoice

T = TypeVar("T")


class Sources(NamedTuple):
    """Where to look for settings."""

    options: Options
    environ: Mapping[str, str]
    config: ConfigFile
    default_scope: ScopeChoice = ScopeChoice.KEY
    """Which balance is looked at if no scope is chosen."""


def resolve(
    options: Options, environ: Mapping[str, str] | None = None, *, default_scope: ScopeChoice = ScopeChoice.KEY
) -> list[Settings]:
    """Return what is in force for each profile that is asked for, in the order asked; for one, if none is named.

    `default_scope` is what the command looks at if no scope is chosen: commands that decide look at what can be spent.
    Reads the environment, the config file, key files, and standard input if an option says so.

    Raises UsageError or ConfigError for anything malformed. A missing or malformed key is no error yet: its KeySource
    raises it when the key is read. So one profile stops neither the others nor `config show`.
    """
    environ = os.environ if environ is None else environ
    sources = Sources(options, environ, read_config(environ), default_scope)
    profiles = _find_profiles(sources)
    if len(profiles) > 1 and (options.api_key is not None or options.api_key_file is not None):
        raise UsageError("one key cannot stand for several profiles", "leave out the key, or name a single profile")
    return [resolve_profile(profile, sources) for profile in profiles]


def resolve_profile(profile: Setting[str], sources: Sources) -> Settings:
    """Return what is in force for one profile. Raises as `resolve`."""
    name = profile.value
    base_url, timeout = find(BASE_URL, name, sources), find(TIMEOUT, name, sources)
    scope = find(SCOPE._replace(default=sources.default_scope), name, sources)
    unit = find(UNIT, name, sources)
    least, most_used = find(MIN, name, sources), find(MAX_USED, name, sources)
    shortest = find(MIN_RUNWAY, name, sources)
    record, history = find_record(sources.environ, find(RECORD, name, sources)), find_history(sources.environ)
    # The key comes last, as a person may have to type it: mistakes in other settings are reported before that.
    found = find_key(profile, sources.options, sources.environ, sources.config, timeout=timeout.value)
    exposures = tuple(exposure for exposure in (sources.config.exposure, found.exposure) if exposure)
    return Settings(
        profile=profile,
        api_key=found.setting,
        base_url=base_url,
        timeout=timeout,
        scope=scope,
        unit=unit,
        min=least,
        max_used=most_used,
        min_runway=shortest,
        record=record,
        history=history,
        on_low=find(ON_LOW, name, sources),
        on_recover=find(ON_RECOVER, name, sources),
        on_stop=find(ON_STOP, name, sources),
        rearm=find(REARM, name, sources),
        remind=find(REMIND, name, sources),
        max_spent=find(MAX_SPENT, name, sources),
        within=find(WITHIN, name, sources),
        books=find(BOOKS, name, sources),
        background_keys=find(BACKGROUND_KEYS, name, sources),
        exposures=exposures,
        is_key_instead_of_profile=found.is_instead_of_profile,
    )


def find(rule: Rule[T], profile: str, sources: Sources) -> Setting[T]:
    """Find one setting: option, then environment, then profile, then top level of the file, then default."""
    options, environ, config, _ = sources
    option: str | None = getattr(options, rule.name, None)
    if option is not None:
        return _read(rule, option, f"--{rule.name.replace('_', '-')}")
    if rule.variable and rule.variable in environ:
        return _read(rule, nonempty(environ, rule.variable), rule.variable)
    for table, place in ((profile, f"profile {profile} in {config.path}"), (None, f"{config.path}")):
        text = config.text_of(table, rule.name)
        if text is not None:
            return _read(rule, text, place, rule.name)
    return Setting(rule.default, "default")


def _read(rule: Rule[T], text: str, source: str, name: str | None = None) -> Setting[T]:
    if not text:
        raise empty(f"{name} of {source}" if name else source, "give it a value, or leave it out")
    return Setting(rule.parse(text, f"{name} of {source}" if name else source), source)


def _find_profiles(sources: Sources) -> list[Setting[str]]:
    """Find the names of the profiles. A profile that an option or a variable names must exist."""
    options, environ, config, _ = sources
    if options.all_profiles and options.profiles:
        raise UsageError("--profile and --all-profiles exclude each other", "give one of them")
    if options.all_profiles:
        if not config.profiles:
            raise ConfigError(f"--all-profiles: there is no profile in {config.path}", "store one with: apimart login")
        return [Setting(name, "--all-profiles") for name in config.profiles]
    if options.profiles:
        if not all(options.profiles):
            raise empty("--profile", "name a profile, or leave it out")
        found = [Setting(name, "--profile") for name in options.profiles]
    elif "APIMART_PROFILE" in environ:
        found = [Setting(nonempty(environ, "APIMART_PROFILE"), "APIMART_PROFILE")]
    else:
        return [profile_of_file(config)]
    for profile in found:
        config.profile(profile.value, asked_by=profile.source)
    return found


def profile_of_file(config: ConfigFile) -> Setting[str]:
    """Return the profile that is used if neither an option nor a variable names one."""
    if config.default_profile is not None:
        return Setting(config.default_profile, f"default_profile in {config.path}")
    if len(config.profiles) == 1:
        return Setting(next(iter(config.profiles)), f"the only profile in {config.path}")
    return Setting(DEFAULT_PROFILE, "default")


def exposures(settings: Iterable[Settings]) -> list[ConfigError]:
    """Return one error for each file in use that other users can read a key in, or change."""
    return list({error.message: error for each in settings for error in each.exposures}.values())
