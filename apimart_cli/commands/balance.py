"""`apimart balance`: show what is left and what is used."""

from apimart_cli.commands.options import (
    ApiKeyFileOption,
    ApiKeyOption,
    BaseUrlOption,
    JsonOption,
    OutputOption,
    ProfileOption,
    ScopeOption,
    TimeoutOption,
    choose_output,
)
from apimart_cli.errors import ExitCode


def balance(
    api_key: ApiKeyOption = None,
    api_key_file: ApiKeyFileOption = None,
    profile: ProfileOption = None,
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
    from apimart_cli.gate import code_of_readings
    from apimart_cli.output import OutputFormat, prepare, render_readings
    from apimart_cli.settings import Options, resolve
    from apimart_cli.streams import standard_output, write_answer, write_failures, write_warning

    chosen = OutputFormat(choose_output(output, json))
    settings = resolve(
        Options(
            api_key=api_key,
            api_key_file=api_key_file,
            profile=profile,
            scope=scope,
            base_url=base_url,
            timeout=timeout,
        )
    )
    for exposure in settings.exposures:
        write_warning(exposure.message, exposure.hint)
    targets = settings.targets()

    from apimart_cli.client import ask

    asked = ask(targets)
    prepare(chosen)
    readings = list(asked)
    write_answer(render_readings(readings, chosen, standard_output()))
    write_failures(readings)
    return code_of_readings(readings)
