"""`apimart config`: the settings in force and their sources, and reading, changing and checking the config file."""

from typing import Annotated

import typer

from apimart_cli.commands import Command, new_app, write_path
from apimart_cli.commands.completion import complete_name, complete_value
from apimart_cli.commands.option_records import AskingOptions, SettingsOutput, with_records
from apimart_cli.commands.options import OneProfile, OnlyJson, WrittenProfile
from apimart_cli.errors import ExitCode

HELP = """Show, check and change the settings.

    apimart config show
    apimart config set min 5
    apimart config check

No config command asks the gateway.
"""

app = new_app(help=HELP)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A name of the config file, like min or base_url.", autocompletion=complete_name
    ),
]


@app.command(cls=Command)
@with_records
def show(asking: AskingOptions, output: SettingsOutput) -> ExitCode:
    """Show every setting and where it comes from.

        apimart config show
        apimart config show -p work --json

    Of the key, only its length and its id are shown.
    """
    from apimart_cli.config.precedence import exposures, resolve
    from apimart_cli.output.columns import render_settings, render_settings_as_json
    from apimart_cli.screen.writing import write_answer, write_warning

    is_json = output.is_json
    profiles = resolve(asking.options())
    for exposure in exposures(profiles):
        write_warning(exposure.message, exposure.hint)
    tables = [settings.rows() for settings in profiles]
    write_answer(render_settings_as_json(tables) if is_json else render_settings(tables))
    return ExitCode.OK


@app.command(cls=Command)
def path(json: OnlyJson = False) -> ExitCode:
    """Print the path of the config file.

        apimart config path
        apimart config path --json

    It need not exist.
    """
    import os

    from apimart_cli.config.file import require_config_path

    found = require_config_path(os.environ)
    return write_path(found, "APIMART_CONFIG", json=json, exists=os.path.exists(found))


@app.command("set", cls=Command)
def set_(
    name: NameArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="Its new value; a command is split as a shell would.", autocompletion=complete_value
        ),
    ],
    profile: WrittenProfile = None,
    create: Annotated[bool, typer.Option("--create", help="Make the profile if there is none of that name.")] = False,
) -> ExitCode:
    """Set a name in the config file.

        apimart config set default_profile work
        apimart config set min 5 -p work

    It is set in the profile that --profile names, else at the top level. Everything else stays as it is.
    """
    import os

    from apimart_cli.config.doubts import doubts_of_table
    from apimart_cli.config.file import config_path_to_write
    from apimart_cli.config.lookup import require_profile
    from apimart_cli.config.values import parse_new_profile
    from apimart_cli.config.writer import read_value, set_values
    from apimart_cli.screen.writing import write_note, write_warning

    if profile is not None:
        parse_new_profile(profile, "--profile")
    found = config_path_to_write(os.environ)
    values = {name: read_value(name, value, in_profile=profile is not None)}
    if profile is not None and not create:
        require_profile(found, profile)
    set_values(found, profile, values, warn=write_warning)
    write_note(f"{_full_name(name, profile)} is set in {found}")
    for _, doubt in doubts_of_table(values):
        (write_warning if doubt.is_warning else write_note)(doubt.message, doubt.hint)
    return ExitCode.OK


@app.command(cls=Command)
def get(name: NameArgument, profile: OneProfile = None) -> ExitCode:
    """Print a value as the config file has it.

        apimart config get default_profile
        apimart config get min -p work

    It is the value of the profile, else that of the top level. If it is in neither, nothing is printed and the exit
    code is 2.
    """
    import os

    from apimart_cli.config.lookup import written_value
    from apimart_cli.screen.writing import write_answer
    from apimart_cli.text import visible

    write_answer(f"{visible(written_value(name, profile, os.environ))}\n")
    return ExitCode.OK


@app.command(cls=Command)
def unset(name: NameArgument, profile: OneProfile = None) -> ExitCode:
    """Remove a name from the config file.

        apimart config unset min
        apimart config unset base_url -p work

    It is removed from the profile that --profile names, else from the top level. A misspelled name can be removed too.
    """
    import os

    from apimart_cli.config.file import config_path_to_write
    from apimart_cli.config.lookup import is_set
    from apimart_cli.config.names import require_name
    from apimart_cli.config.writer import unset_names
    from apimart_cli.screen.writing import write_note, write_warning

    found = config_path_to_write(os.environ)
    if name == "profiles" or not is_set(found, profile, name):
        require_name(name, in_profile=profile is not None)
    removed = unset_names(found, profile, (name,), warn=write_warning)
    shown = _full_name(name, profile)
    write_note(f"{shown} is removed from {found}" if removed else f"{shown} was not set in {found}")
    return ExitCode.OK


def _full_name(name: str, profile: str | None) -> str:
    return name if profile is None else f"{name} of profile {profile}"


@app.command(cls=Command)
def check(
    strict: Annotated[
        bool, typer.Option("--strict", help="Also exit 2 if the key of a profile is certainly not usable.")
    ] = False,
    json: OnlyJson = False,
) -> ExitCode:
    """Find every mistake in the config file.

        apimart config check
        apimart config check --json

    Says which profiles are usable, too. No gateway is asked, and no command is run.

    Exit codes: 0 no mistake, 2 mistakes.
    """
    import os

    from apimart_cli.config.lookup import inspect_settings
    from apimart_cli.output.columns import render_config_report
    from apimart_cli.screen.writing import standard_output, write_answer, write_error, write_note, write_warning

    report = inspect_settings(os.environ)
    write_answer(render_config_report(report, standard_output(), json=json))
    for problem in report.problems:
        error = problem.as_error(report.path)
        write_error(error.message, error.hint)
    for doubtful in report.warnings:
        warning = doubtful.as_error(report.path)
        write_warning(warning.message, warning.hint)
    broken = sum(not profile.works for profile in report.profiles)
    unusable = f"{broken} of {len(report.profiles)} profiles are not usable"
    if report.path is None:
        write_note("there is no config file, and no default place for one")
    elif report.problems:
        if broken:
            write_note(unusable)
    elif not os.path.exists(report.path):
        write_note(f"there is no config file: {report.path}")
    else:
        write_note(f"no mistake in {report.path}" + (f", but {unusable}" if broken else ""))
    return ExitCode.USAGE if report.problems or (strict and broken) else ExitCode.OK
