"""What is told of a guarded run after its end: on standard error, and in a report for programs."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from apimart_cli.errors import ExitCode
from apimart_cli.files import found_for_output
from apimart_cli.output.columns import others_in_words, spent_in_words
from apimart_cli.owners import UnsafeError, trusted_owners
from apimart_cli.records import Run
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.guard import Limits
from apimart_cli.screen.writing import write_note, write_warning
from apimart_cli.text import iso_time
from apimart_cli.words import Scope


class Account(NamedTuple):
    """A run that is over."""

    run: Run
    seconds: float
    """How long the command ran."""
    code: ExitCode
    """What apimart says of it, whatever the command ended with."""
    limits: Limits
    before: Sequence[Reading]
    after: Sequence[Reading]
    """The last readings; none where the command was not started."""
    others: int | None
    """How many other runs of the key were under way meanwhile; None where nobody knows."""
    counted: Scope = Scope.KEY
    """Whether what was spent is what the key has used, or what its account has."""


def close(account: Account, report: Path | None, *, left: Decimal | None = None) -> None:
    """Tell what the run has cost, if it was started, and write the report, if one is wanted.

    A report that cannot be written is a warning: the exit code is the command's.
    """
    run = account.run
    if account.after and account.code is not ExitCode.USAGE:
        seconds = account.seconds
        cost = spent_in_words(run.spent, seconds=seconds, is_settled=run.is_settled, left=left, unit=run.unit)
        write_note(cost)
        if account.others:
            write_note(others_in_words(account.others))
    if report is not None:
        try:
            _write(report, _document(account))
        except UnsafeError as error:
            write_warning(f"the report {report} could not be written: {error.reason(report)}", error.hint(is_read=True))
        except OSError as error:
            write_warning(f"the report {report} could not be written: {error.strerror}", "name another place for it")


def _document(account: Account) -> str:
    from apimart_cli.output.json import days_of, reading_document, render_document

    run, limits = account.run, account.limits
    assert run.ended is not None, "it is over"
    return render_document(
        {
            "label": run.label,
            "profile": run.profile,
            "key_id": run.key_id or None,
            "host": run.host,
            "began_at": iso_time(run.began),
            "ended_at": iso_time(run.ended),
            "seconds": Decimal(f"{account.seconds:.3f}"),
            "exit_code": run.exit_code,
            "apimart_exit_code": int(account.code),
            "stopped_by": run.stopped_by,
            "stopped": run.was_stopped,
            "could_not_stop": run.could_not_stop,
            "min": limits.min,
            "max_spend": limits.max_spend,
            "min_runway_days": days_of(limits.min_runway),
            "spent": run.spent,
            "counted": account.counted,
            "settled": run.is_settled,
            "unit": run.unit,
            "other_runs": account.others,
            "before": list(map(reading_document, account.before)),
            "after": list(map(reading_document, account.after)),
        }
    )


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all. A link in its place is replaced."""
    with (
        found_for_output(path, trusted_owners()) as place,
        place.replaced(mode=0o666) as file,
    ):
        file.write(text.encode("ascii"))
