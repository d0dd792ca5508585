"""What `apimart history` does with the file that readings are kept in: `export`, `import`, `path`, `clear`."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apimart_cli.commands.completion import complete_profile
from apimart_cli.commands.options import OnlyJson
from apimart_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from apimart_cli.ledger.records import Entry

MOST_NAMES = 10
"""Most names of profiles that one hint lists."""


def profile_option(meaning: str) -> Any:
    """Return the option that names a profile of the history, which the config file need not have any more."""
    return typer.Option(
        "--profile", "-p", metavar="NAME", help=meaning, show_default=False, autocompletion=complete_profile
    )


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
    from apimart_cli.config.recording import require_history_path
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.place import NoLedgerError
    from apimart_cli.ledger.store import entries
    from apimart_cli.ledger.transfer import as_csv
    from apimart_cli.screen.pieces import write_pieces

    path = require_history_path(os.environ)
    with ledger_errors():
        try:
            with opened(path, seconds=None, create=False) as connection:
                found = entries(connection)
                lines = as_csv(found) if csv else _as_json(found)
                write_pieces(lines, None if file is None or str(file) == "-" else file)
        except NoLedgerError:
            tell_that_there_is_none(path)
    return ExitCode.OK


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to read; - is standard input.")],
) -> ExitCode:
    """Add readings that another machine has exported.

        apimart history import history.jsonl
        ssh build apimart history export | apimart history import -

    All of them are added, or none where a line is wrong. What is there already is left out.
    """
    from datetime import UTC, datetime

    from apimart_cli.config.recording import require_history_path
    from apimart_cli.ledger.upkeep import import_samples
    from apimart_cli.screen.pieces import opened_input
    from apimart_cli.screen.writing import write_note

    path = require_history_path(os.environ)
    with ledger_errors(), opened_input(file) as source:
        added, known = import_samples(path, source, datetime.now(UTC))
    write_note(f"{_readings(added)} added to {path}" + (f", {known} left out: there already" if known else ""))
    return ExitCode.OK


def path(json: OnlyJson = False) -> ExitCode:
    """Print the path of the file that readings are kept in.

        apimart history path
        apimart history path --json

    It need not exist.
    """
    from apimart_cli.config.recording import require_history_path
    from apimart_cli.screen.writing import write_answer

    found = require_history_path(os.environ)
    if not json:
        write_answer(f"{found}\n")
        return ExitCode.OK
    from apimart_cli.output.json import render_document

    source = "APIMART_HISTORY" if "APIMART_HISTORY" in os.environ else "default"
    write_answer(render_document({"path": str(found), "source": source, "exists": os.path.lexists(found)}))
    return ExitCode.OK


def clear(
    profile: Annotated[str | None, profile_option("Only what this profile has read.")] = None,
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="DATE", help="Only what is older, like 2026-11-20.", show_default=False),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> ExitCode:
    """Delete readings.

        apimart history clear -p work
        apimart history clear --before 2026-11-20 --yes

    Without options: all of them. The day begins at 00:00 UTC.
    """
    from datetime import UTC, datetime

    from apimart_cli.config.days import parse_past_day
    from apimart_cli.config.recording import require_history_path
    from apimart_cli.ledger.upkeep import clear_samples
    from apimart_cli.screen.prompt import confirm
    from apimart_cli.screen.writing import write_note

    found = require_history_path(os.environ)
    moment = None if before is None else parse_past_day(before, "--before", datetime.now(UTC))
    what = ("" if profile is None else f" of profile {profile}") + ("" if before is None else f" before {before}")
    if not yes and not confirm(f"delete all readings{what} in {found}?", "--yes"):
        write_note("nothing was deleted")
        return ExitCode.OK
    with ledger_errors():
        deleted, profiles = clear_samples(found, profile=profile, before=moment)
    hint = None if profile is None or profile in profiles or not profiles else known(profiles)
    write_note(f"{_readings(deleted)}{what} deleted from {found}", hint)
    return ExitCode.OK


def known(profiles: list[str]) -> str:
    """Return the hint that names the profiles that there are."""
    more = len(profiles) - MOST_NAMES
    names = ", ".join(profiles[:MOST_NAMES])
    return f"there are readings of: {names}" + (f" and {more} more" if more > 0 else "")


def tell_that_there_is_none(path: Path) -> None:
    """Say that nothing was read yet, and what to do."""
    from apimart_cli.screen.writing import write_note

    write_note(
        f"nothing was read yet: there is no history in {path}",
        "balance and check keep what they read, but where CI is set only with APIMART_RECORD=1; "
        "for an example, run: apimart sandbox --days 14 -- apimart history",
    )


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Raise what is wrong with the ledger as UsageError."""
    from apimart_cli.ledger.place import LedgerError

    try:
        yield
    except LedgerError as error:
        raise UsageError(
            f"the history cannot be used: {error}", "correct that, or name another file with APIMART_HISTORY"
        ) from None


def _as_json(found: "Iterable[Entry]") -> Iterator[str]:
    from apimart_cli.ledger.transfer import document_of
    from apimart_cli.output.json import render_document

    return (render_document(document_of(entry)) for entry in found)


def _readings(count: int) -> str:
    return f"{count} reading{'' if count == 1 else 's'}"
