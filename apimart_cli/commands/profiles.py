"""`apimart profiles`: lists the profiles of the config file, and renames them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.option_records import SettingsOutput, with_records
from apimart_cli.commands.options import complete_profile
from apimart_cli.errors import ExitCode
from apimart_cli.text import shell_word

app = new_app()


@app.callback(invoke_without_command=True)
@with_records
def profiles(context: typer.Context, output: SettingsOutput) -> ExitCode:
    """List the profiles of the config file, and rename them.

        apimart profiles
        apimart profiles --json
        apimart profiles rename work client

    For each: where its key comes from, the key id, and the host. The one in use has a star. No command is run and no
    keyring is asked: their keys have no id here.
    """
    is_json = output.is_json
    if context.invoked_subcommand is not None:
        return ExitCode.OK
    from apimart_cli.config.lookup import list_profiles
    from apimart_cli.output.columns import render_profiles, render_profiles_as_json
    from apimart_cli.screen.writing import standard_output, write_answer, write_note

    config, rows = list_profiles(os.environ)
    write_answer(render_profiles_as_json(rows) if is_json else render_profiles(rows, standard_output()))
    if not rows:
        place = "no config file" if config.path is None else f"no profile in {config.path}"
        write_note(f"there is {place}", "store a key with: apimart login --profile NAME")
    elif not any(row.active for row in rows):
        write_note("none of them is the default profile", "make one: apimart config set default_profile NAME")
    return ExitCode.OK


@app.command(cls=Command)
def rename(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A profile of the config file.", autocompletion=complete_profile)
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name, which no profile has yet.")],
) -> ExitCode:
    """Give a profile another name.

        apimart profiles rename work client
        apimart profiles rename default work

    default_profile changes with it, and a key in the keyring moves along. Everything else in the file stays.
    """
    from apimart_cli.config.file import config_path_to_write
    from apimart_cli.config.lookup import require_renameable
    from apimart_cli.config.values import parse_new_profile
    from apimart_cli.config.writer import rename_profile
    from apimart_cli.screen.writing import write_note, write_warning

    parse_new_profile(new, "NEW")
    found = config_path_to_write(os.environ)
    if require_renameable(found, old, new):
        _rename_with_keyring(found, old, new)
    else:
        rename_profile(found, old, new, warn=write_warning)
    _rename_in_history(old, new)
    write_note(f"profile {old} is called {new} now, in {found}")
    return ExitCode.OK


def _rename_in_history(old: str, new: str) -> None:
    """Rename the profile in the history, too. A failure is only a warning, as the profile is renamed already."""
    from apimart_cli.config.settings import history_path
    from apimart_cli.errors import UsageError
    from apimart_cli.screen.writing import write_warning

    try:
        path = history_path(os.environ)
    except UsageError as error:
        write_warning(f"the history keeps the old name: {error.message}", error.hint)
        return
    if path is None or not os.path.lexists(path):
        return
    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.ledger.upkeep import rename_profile

    try:
        rename_profile(path, old, new)
    except LedgerError as error:
        write_warning(f"the history keeps the old name: {error}", f"show it with: apimart history -p {shell_word(old)}")


def _rename_with_keyring(found: Path, old: str, new: str) -> None:
    """Rename the profile and its key in the keyring. The copy is made first, so that no failure loses the key."""
    from apimart_cli.config.writer import rename_profile
    from apimart_cli.errors import ApimartError
    from apimart_cli.keys.sources import KeyringKey
    from apimart_cli.screen.writing import write_warning

    key = KeyringKey(old)
    key.copy_to(new)
    try:
        rename_profile(found, old, new, warn=write_warning)
    except ApimartError:
        KeyringKey(new).delete()
        raise
    try:
        key.delete()
    except ApimartError as error:
        write_warning(f"the keyring still keeps the key under the old name: {error.message}", error.hint)
