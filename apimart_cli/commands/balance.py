"""`apimart balance`: show what is left and what is used."""

from typing import TYPE_CHECKING

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import (
    AllProfilesOption,
    ApiKeyFileOption,
    ApiKeyOption,
    BaseUrlOption,
    JsonOption,
    OutputOption,
    ProfilesOption,
    ScopeOption,
    TimeoutOption,
    choose_output,
)
from apimart_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apimart_cli.balance import Reading
    from apimart_cli.output import OutputFormat


app = new_app()


@app.command(cls=Command)
def balance(
    api_key: ApiKeyOption = None,
    api_key_file: ApiKeyFileOption = None,
    profile: ProfilesOption = None,
    all_profiles: AllProfilesOption = False,
    scope: ScopeOption = None,
    base_url: BaseUrlOption = None,
    timeout: TimeoutOption = None,
    output: OutputOption = None,
    json: JsonOption = False,
) -> ExitCode:
    """Show what is left and what is used.

    Exit codes: 0 shown, 1 internal error, 2 usage, 3 payment required, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted, 130 interrupted.
    """
    from apimart_cli.settings import Options, exposures, resolve, targets_of
    from apimart_cli.streams import write_failures, write_warning

    chosen = choose_output(output, json)
    settings = resolve(
        Options(
            api_key=api_key,
            api_key_file=api_key_file,
            profiles=tuple(profile or ()),
            all_profiles=all_profiles,
            scope=scope,
            base_url=base_url,
            timeout=timeout,
        )
    )
    for exposure in exposures(settings):
        write_warning(exposure.message, exposure.hint)
    groups = targets_of(settings)

    from apimart_cli.client import ask

    with ask([target for group in groups for target in group]) as asked:
        # Loaded while the answers travel, and Rich with it where a table is to be drawn.
        from apimart_cli.gate import code_of_readings
        from apimart_cli.output import OutputFormat, prepare

        chosen_format = OutputFormat(chosen)
        prepare(chosen_format)
        readings = _write(asked, chosen_format, asked_of=[len(group) for group in groups])
    write_failures(readings)
    return code_of_readings(readings)


def _write(asked: "Iterator[Reading]", output: "OutputFormat", *, asked_of: list[int]) -> "list[Reading]":
    """Write the readings, each profile's as soon as they are there where the format allows it; return them all.

    `asked_of` is how many readings each profile has, in order.
    """
    from itertools import islice

    from apimart_cli.output import can_stream, render_readings
    from apimart_cli.streams import progress, standard_output, write_answer

    screen = standard_output()
    if not can_stream(output):
        with progress(sum(asked_of)) as step:
            readings = [step(reading) for reading in asked]
        write_answer(render_readings(readings, output, screen))
        return readings
    readings = []
    for count in asked_of:
        group = list(islice(asked, count))
        write_answer(render_readings(group, output, screen, asked=sum(asked_of)))
        readings += group
    return readings
