"""What a guarded run has cost: notes on standard error, and a report for programs."""

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


class FinishedRun(NamedTuple):
    """A run that is over."""

    run: Run
    seconds: float
    """How long the command ran."""
    code: ExitCode
    """What apimart itself says of the run; the command may have ended with another code."""
    limits: Limits
    before: Sequence[Reading]
    after: Sequence[Reading]
    """The last readings; none if the command was not started."""
    others: int | None
    """How many other runs of the key were under way meanwhile; None if that is not known."""
    counted: Scope = Scope.KEY
    """Which `used` was counted as spent: that of the key, or that of its account."""


def close(finished: FinishedRun, report: Path | None, *, left: Decimal | None = None) -> None:
    """Say what the run has cost, if it was started, and write the report, if one is asked for.

    A report that cannot be written is only a warning, as the exit code is the command's.
    """
    run = finished.run
    if finished.after and finished.code is not ExitCode.USAGE:
        seconds = finished.seconds
        cost = spent_in_words(run.spent, seconds=seconds, is_settled=run.is_settled, left=left, unit=run.unit)
        write_note(cost)
        if finished.others:
            write_note(others_in_words(finished.others))
    if report is not None:
        try:
            _write(report, _document(finished))
        except UnsafeError as error:
            write_warning(f"the report {report} could not be written: {error.reason(report)}", error.hint(is_read=True))
        except OSError as error:
            write_warning(f"the report {report} could not be written: {error.strerror}", "name another place for it")


def _document(finished: FinishedRun) -> str:
    from apimart_cli.output.json import days_of, reading_document, render_document

    run, limits = finished.run, finished.limits
    assert run.ended is not None, "it is over"
    return render_document(
        {
            "label": run.label,
            "profile": run.profile,
            "key_id": run.key_id or None,
            "host": run.host,
            "began_at": iso_time(run.began),
            "ended_at": iso_time(run.ended),
            "seconds": Decimal(f"{finished.seconds:.3f}"),
            "exit_code": run.exit_code,
            "apimart_exit_code": int(finished.code),
            "stopped_by": run.stopped_by,
            "stopped": run.was_stopped,
            "could_not_stop": run.could_not_stop,
            "min": limits.min,
            "max_spend": limits.max_spend,
            "min_runway_days": days_of(limits.min_runway),
            "spent": run.spent,
            "counted": finished.counted,
            "settled": run.is_settled,
            "unit": run.unit,
            "other_runs": finished.others,
            "before": list(map(reading_document, finished.before)),
            "after": list(map(reading_document, finished.after)),
        }
    )


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all. A link in its place is replaced."""
    with (
        found_for_output(path, trusted_owners()) as place,
        place.replaced(mode=0o666) as file,
    ):
        file.write(text.encode("ascii"))
