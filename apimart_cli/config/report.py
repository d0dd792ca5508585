"""What is wrong with the config file, and which of its profiles are usable."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from apimart_cli.config.doubts import doubts_of_table
from apimart_cli.config.file import ConfigFile, Value, inspect_config
from apimart_cli.config.precedence import Sources, resolve_profile
from apimart_cli.config.private_file import UnsafeFileError
from apimart_cli.config.settings import Options, Setting
from apimart_cli.config.values import RULES
from apimart_cli.errors import UsageError
from apimart_cli.reports import ConfigReport, Problem, ProfileReport


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


def _warnings(config: ConfigFile, profile: str | None, values: Mapping[str, Value]) -> Iterator[Problem]:
    """Yield what is probably not meant in a table of the file, as far as its values can be read."""
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
    """Return whether a profile is usable, and its key file as a problem where others can read or change that."""
    try:
        settings = resolve_profile(Setting(name, "--profile"), Sources(Options(), environ, config))
    except UnsafeFileError as error:
        line = config.line_of(("profiles", name), "api_key_file")
        problem = Problem(line, f"[profiles.{name}]: {error.message}", error.hint or "", name)
        return ProfileReport(name, works=False, reason="it has mistakes"), [problem]
    except UsageError as error:
        # Mistakes in the file have been found already, and are listed by themselves.
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
