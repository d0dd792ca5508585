"""`apimart history`: what was read before, the runs of guarded commands, and the file that both are kept in."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, new_app, write_path
from apimart_cli.commands.option_records import SettingsOutput, with_records
from apimart_cli.commands.options import OnlyJson, profile_option
from apimart_cli.errors import ExitCode, UsageError
from apimart_cli.words import ScopeChoice

if TYPE_CHECKING:
    from apimart_cli.ledger.schema import Entry

MOST_NAMES = 10
"""Most names of profiles that one hint lists."""

MOST_DAYS = 730
"""Readings that are older are not kept."""

app = new_app()


class HistoryOptions(NamedTuple):
    """Which part of the history is shown."""

    profiles: Annotated[list[str] | None, profile_option("What this profile has read; may be repeated.")] = None
    scope: Annotated[
        ScopeChoice | None,
        typer.Option("--scope", help="Only key or only account. Default: both.", show_default=False),
    ] = None
    days: Annotated[
        str, typer.Option("--days", metavar="N", help=f"How many days, up to today; {MOST_DAYS} at most.")
    ] = "14"


@app.callback(invoke_without_command=True)
@with_records
def history(context: typer.Context, shown: HistoryOptions, output: SettingsOutput) -> ExitCode:
    """Show what was spent each day and how long the rest lasts.

        apimart history
        apimart history -p work --days 30
        apimart history --json

    It comes from what balance and check have read on this machine. No gateway is asked, and no key is read. Days are
    those of UTC. For an example, run: apimart sandbox --days 14 -- apimart history
    """
    if context.invoked_subcommand is None:
        return _show(shown, output)
    if shown.profiles or shown._replace(profiles=None) != HistoryOptions() or output != SettingsOutput():
        # They would be ignored silently, and `clear` would delete more than was meant.
        name = f"apimart history {context.invoked_subcommand}"
        raise UsageError(f"options of {name} go after it", f"see: {name} --help")
    return ExitCode.OK


@app.command(cls=Command)
@with_records
def show(shown: HistoryOptions, output: SettingsOutput) -> ExitCode:
    """Show the same as apimart history.

        apimart history show
        apimart history show --json

    Days are those of UTC.
    """
    return _show(shown, output)


@app.command(cls=Command)
@with_records
def runs(
    output: SettingsOutput,
    profile: Annotated[str | None, profile_option("Only those with this profile.")] = None,
    days: Annotated[
        str, typer.Option("--days", metavar="N", help=f"How many days, up to now; {MOST_DAYS} at most.")
    ] = "14",
) -> ExitCode:
    """Show what guarded commands have cost, and how they ended.

        apimart history runs
        apimart history runs -p work --days 30
        apimart history runs --json

    These are the commands of apimart run on this machine, the latest last. A command line is not kept: name runs with
    --label.
    """
    from datetime import UTC, datetime, timedelta

    from apimart_cli.config.settings import require_history_path
    from apimart_cli.config.values import parse_whole_days
    from apimart_cli.ledger.upkeep import kept_runs
    from apimart_cli.output.columns import runs_as_json, runs_as_lines
    from apimart_cli.screen.writing import write_answer, write_note

    count = parse_whole_days(days, "--days", most=MOST_DAYS)
    with _ledger_errors():
        since = datetime.now(UTC) - timedelta(days=count)
        found = kept_runs(require_history_path(os.environ), since=since, profile=profile)
    if not found and not output.is_json:
        write_note(f"no command was run in the last {count} days", "guard one with: apimart run --max-spend 3 -- make")
    write_answer(runs_as_json(found) if output.is_json else runs_as_lines(found))
    return ExitCode.OK


@app.command(cls=Command)
def export(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Where to write it. Default: standard output.", show_default=False),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV instead of JSON Lines.")] = False,
) -> ExitCode:
    """Write every reading that is kept.

        apimart history export > history.jsonl
        apimart history export --csv history.csv

    One object a line, which history import reads.
    """
    from apimart_cli.config.settings import require_history_path
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.place import NoLedgerError
    from apimart_cli.ledger.queries import entries
    from apimart_cli.ledger.upkeep import as_csv
    from apimart_cli.screen.pieces import write_pieces

    path = require_history_path(os.environ)
    if file is not None and os.path.realpath(file) == os.path.realpath(path):
        raise UsageError(f"{file} is the history itself", "name another file")
    with _ledger_errors():
        try:
            with opened(path, seconds=None, create=False) as connection:
                found = entries(connection)
                lines = as_csv(found) if csv else _as_json(found)
                write_pieces(lines, None if file is None or str(file) == "-" else file)
        except NoLedgerError:
            _note_no_history(path)
    return ExitCode.OK


@app.command("import", cls=Command)
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to read; - is standard input.")],
) -> ExitCode:
    """Add readings that another machine has exported.

        apimart history import history.jsonl
        apimart history import - < history.jsonl

    It adds all readings, or none if a line is wrong. Readings that are there already are left out.
    """
    from datetime import UTC, datetime

    from apimart_cli.config.settings import require_history_path
    from apimart_cli.ledger.upkeep import import_samples
    from apimart_cli.screen.pieces import opened_input
    from apimart_cli.screen.writing import write_note

    path = require_history_path(os.environ)
    with _ledger_errors(), opened_input(file) as source:
        added, known = import_samples(path, source, datetime.now(UTC))
    write_note(f"{_count_of(added)} added to {path}" + (f", {known} left out: there already" if known else ""))
    return ExitCode.OK


@app.command(cls=Command)
def path(json: OnlyJson = False) -> ExitCode:
    """Print the path of the file that readings are kept in.

        apimart history path
        apimart history path --json

    It need not exist.
    """
    from apimart_cli.config.settings import require_history_path

    found = require_history_path(os.environ)
    return write_path(found, "APIMART_HISTORY", json=json, exists=os.path.lexists(found))


@app.command(cls=Command)
def clear(
    profile: Annotated[str | None, profile_option("Only what this profile has read.")] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="Only what is older, like 2026-11-20.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> ExitCode:
    """Delete readings, and what is kept of guarded runs.

        apimart history clear -p work
        apimart history clear --before 2026-11-20 --yes

    Without options: all of them. The day begins at 00:00 UTC.
    """
    from datetime import UTC, datetime

    from apimart_cli.config.settings import require_history_path
    from apimart_cli.config.values import parse_past_day
    from apimart_cli.ledger.upkeep import clear_samples
    from apimart_cli.screen.prompt import confirm
    from apimart_cli.screen.writing import write_note

    found = require_history_path(os.environ)
    moment = None if before is None else parse_past_day(before, "--before", datetime.now(UTC))
    what = ("" if profile is None else f" of profile {profile}") + ("" if before is None else f" before {before}")
    if not yes and not confirm(f"delete all readings{what} in {found}?", "--yes"):
        write_note("nothing was deleted")
        return ExitCode.OK
    with _ledger_errors():
        deleted, profiles = clear_samples(found, profile=profile, before=moment)
    hint = None if profile is None or profile in profiles or not profiles else _known_profiles(profiles)
    write_note(f"{_count_of(deleted)}{what} deleted from {found}", hint)
    return ExitCode.OK


def _show(shown: HistoryOptions, output: SettingsOutput) -> ExitCode:
    from datetime import UTC, datetime

    from apimart_cli.config.settings import require_history_path
    from apimart_cli.config.values import parse_whole_days
    from apimart_cli.ledger.upkeep import prune_when_due
    from apimart_cli.ledger.views import overviews
    from apimart_cli.output.history import render_history, render_history_as_json
    from apimart_cli.rules.forecast import days_until
    from apimart_cli.screen.writing import standard_output, write_answer, write_note

    is_json = output.is_json
    days = parse_whole_days(shown.days, "--days", most=MOST_DAYS)
    found = require_history_path(os.environ)
    now = datetime.now(UTC)
    scopes = ScopeChoice.BOTH if shown.scope is None else shown.scope
    with _ledger_errors():
        every, profiles = overviews(
            found, days_until(now.date(), days), now, profiles=shown.profiles or (), scopes=scopes.asked
        )
    if is_json:
        write_answer("".join(map(render_history_as_json, every)))
    else:
        write_answer(render_history(every, standard_output(os.environ)))
    for name in dict.fromkeys(shown.profiles or ()):
        if profiles and name not in profiles:
            write_note(f"profile {name} has read nothing yet", _known_profiles(profiles))
    if not profiles:
        _note_no_history(found)
    elif not every and not set(shown.profiles or profiles).isdisjoint(profiles):
        write_note(f"nothing was read yet of the {scopes.value}", "ask for it: apimart balance --scope both")
    prune_when_due(found, now)
    return ExitCode.OK


def _known_profiles(profiles: list[str]) -> str:
    """Return the hint that names the profiles of which there are readings."""
    more = len(profiles) - MOST_NAMES
    names = ", ".join(profiles[:MOST_NAMES])
    return f"there are readings of: {names}" + (f" and {more} more" if more > 0 else "")


def _note_no_history(path: Path) -> None:
    """Say that nothing was read yet, and what to do about it."""
    from apimart_cli.screen.writing import write_note

    write_note(
        f"nothing was read yet: there is no history in {path}",
        "balance and check keep what they read, but where CI is set only with APIMART_RECORD=1; "
        "for an example, run: apimart sandbox --days 14 -- apimart history",
    )


@contextmanager
def _ledger_errors() -> Iterator[None]:
    """Turn errors of the ledger into UsageError."""
    from apimart_cli.ledger.place import LedgerError

    try:
        yield
    except LedgerError as error:
        raise UsageError(
            f"the history cannot be used: {error}", "correct that, or name another file with APIMART_HISTORY"
        ) from None


def _as_json(found: "Iterable[Entry]") -> Iterator[str]:
    """Return entries as lines of JSON, which `history import` reads."""
    from apimart_cli.ledger.upkeep import document_of
    from apimart_cli.output.json import render_document

    return (render_document(document_of(entry)) for entry in found)


def _count_of(count: int) -> str:
    """Return the number of readings in words."""
    return f"{count} reading{'' if count == 1 else 's'}"
