"""`apimart config`: what is in force and where it comes from, and where the config file is."""

from typing import Annotated

import typer

from apimart_cli.commands.options import (
    ApiKeyFileOption,
    ApiKeyOption,
    BaseUrlOption,
    ProfileOption,
    ScopeOption,
    TimeoutOption,
)
from apimart_cli.errors import ExitCode

app = typer.Typer(help="Show the effective settings, or where the config file is.", rich_markup_mode=None)

JsonDocumentOption = Annotated[bool, typer.Option("--json", help="Write one JSON object.")]


@app.command()
def show(
    api_key: ApiKeyOption = None,
    api_key_file: ApiKeyFileOption = None,
    profile: ProfileOption = None,
    scope: ScopeOption = None,
    base_url: BaseUrlOption = None,
    timeout: TimeoutOption = None,
    json: JsonDocumentOption = False,
) -> ExitCode:
    """Show every effective setting and its source.

    Of the key, only the length is shown.
    """
    from apimart_cli.output import render_settings, render_settings_as_json
    from apimart_cli.settings import Options, resolve
    from apimart_cli.streams import write_answer, write_warning

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
    rows = settings.rows()
    write_answer(render_settings_as_json(rows) if json else render_settings(rows))
    return ExitCode.OK


@app.command()
def path(json: JsonDocumentOption = False) -> ExitCode:
    """Print the path of the config file in use.

    It need not exist.
    """
    import os

    from apimart_cli.configfile import config_path
    from apimart_cli.output import render_document
    from apimart_cli.streams import write_answer

    found, source = config_path(os.environ)
    document = {"path": str(found), "source": source, "exists": os.path.exists(found)}
    write_answer(render_document(document) if json else f"{found}\n")
    return ExitCode.OK
