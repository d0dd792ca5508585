"""`apimart history runs`, which `commands.history` adds to its own commands."""

import os
from typing import Annotated

import typer

from apimart_cli.commands.completion import complete_profile
from apimart_cli.commands.formats import SettingsOutput
from apimart_cli.errors import ExitCode

MOST_DAYS = 730
"""Nothing older is kept."""


def runs(
    output: SettingsOutput,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME",
            help="Only those with this profile.",
            show_default=False,
            autocompletion=complete_profile,
        ),
    ] = None,
    days: Annotated[
        str, typer.Option("--days", metavar="N", help=f"How many days, up to now; {MOST_DAYS} at most.")
    ] = "14",
) -> ExitCode:
    """Show what guarded commands have cost, and how they ended.

        apimart history runs
        apimart history runs -p work --days 30
        apimart history runs --json

    Those of apimart run, on this machine, the latest last. A command line is not kept: name runs with --label.
    """
    from datetime import UTC, datetime, timedelta

    from apimart_cli.config.durations import parse_whole_days
    from apimart_cli.config.recording import require_history_path
    from apimart_cli.ledger.upkeep import kept_runs
    from apimart_cli.output.runs import runs_as_json, runs_as_lines
    from apimart_cli.recorded import ledger_errors
    from apimart_cli.screen.writing import write_answer, write_note

    count = parse_whole_days(days, "--days", most=MOST_DAYS)
    with ledger_errors():
        since = datetime.now(UTC) - timedelta(days=count)
        found = kept_runs(require_history_path(os.environ), since=since, profile=profile)
    if not found and not output.is_json:
        write_note(f"no command was run in the last {count} days", "guard one with: apimart run --max-spend 3 -- make")
    write_answer(runs_as_json(found) if output.is_json else runs_as_lines(found))
    return ExitCode.OK
