"""`apimart history`: what was read before, and the file that it is kept in."""

import os
from typing import Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, new_app, upkeep
from apimart_cli.commands.options import SettingsOutput, with_records
from apimart_cli.errors import ExitCode, UsageError
from apimart_cli.words import ScopeChoice

MOST_DAYS = 730
"""Nothing older is kept."""

app = new_app()


class Shown(NamedTuple):
    """What of the history is shown."""

    profiles: Annotated[list[str] | None, upkeep.profile_option("What this profile has read; may be repeated.")] = None
    scope: Annotated[
        ScopeChoice | None,
        typer.Option("--scope", help="Only key or only account. Default: both.", show_default=False),
    ] = None
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=MOST_DAYS, help="How many days, up to today.")
    ] = 14


@app.callback(invoke_without_command=True)
@with_records
def history(context: typer.Context, shown: Shown, output: SettingsOutput) -> ExitCode:
    """Show what was spent each day, top-ups, and how long the rest lasts.

        apimart history
        apimart history -p work --days 30
        apimart sandbox --days 14 -- apimart history

    It is told from what balance and check have read on this machine. No gateway is asked, and no key is read. Days are
    those of UTC.
    """
    if context.invoked_subcommand is None:
        return _show(shown, output)
    if shown.profiles or shown._replace(profiles=None) != Shown() or output != SettingsOutput():
        # They would be left out without a word, and `clear` would delete more than was meant.
        name = f"apimart history {context.invoked_subcommand}"
        raise UsageError(f"options of {name} go after it", f"see: {name} --help")
    return ExitCode.OK


@app.command(cls=Command)
@with_records
def show(shown: Shown, output: SettingsOutput) -> ExitCode:
    """Show the same as apimart history.

        apimart history show
        apimart history show --json

    Days are those of UTC.
    """
    return _show(shown, output)


app.command("export", cls=Command)(upkeep.export)
app.command("import", cls=Command)(upkeep.import_)
app.command("path", cls=Command)(upkeep.path)
app.command("clear", cls=Command)(upkeep.clear)


def _show(shown: Shown, output: SettingsOutput) -> ExitCode:
    from datetime import UTC, datetime

    from apimart_cli.config.recording import require_history_path
    from apimart_cli.ledger.overviews import overviews
    from apimart_cli.ledger.upkeep import prune_when_due
    from apimart_cli.output.history import render_history, render_history_as_json
    from apimart_cli.overview import days_until
    from apimart_cli.screen.output import standard_output
    from apimart_cli.screen.writing import write_answer, write_note

    is_json = output.is_json
    found = require_history_path(os.environ)
    now = datetime.now(UTC)
    scopes = ScopeChoice.BOTH if shown.scope is None else shown.scope
    with upkeep.ledger_errors():
        every, profiles = overviews(
            found, days_until(now.date(), shown.days), profiles=shown.profiles or (), scopes=scopes.asked
        )
    if is_json:
        write_answer("".join(map(render_history_as_json, every)))
    else:
        write_answer(render_history(every, standard_output(os.environ)))
    for name in dict.fromkeys(shown.profiles or ()):
        if profiles and name not in profiles:
            write_note(f"profile {name} has read nothing yet", upkeep.known(profiles))
    if not profiles:
        upkeep.tell_that_there_is_none(found)
    elif not every and not set(shown.profiles or profiles).isdisjoint(profiles):
        write_note(f"nothing was read yet of the {scopes.value}", "ask for it: apimart balance --scope both")
    prune_when_due(found, now)
    return ExitCode.OK
