"""Guarded runs in words, as lines and as JSON. Pure: no I/O, no library."""

from collections.abc import Sequence
from decimal import Decimal

from apimart_cli.guard import Doubt, Limits
from apimart_cli.output.amounts import with_unit
from apimart_cli.output.cells import padded
from apimart_cli.runs import Run
from apimart_cli.screen.folding import width
from apimart_cli.text import visible, without_keys
from apimart_cli.words import StoppedBy


def duration(seconds: float) -> str:
    """Return a time in words, as two units at most: `4 s`, `12 min`, `1 h 5 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def spent_in_words(
    spent: Decimal | None, *, seconds: float, is_settled: bool, left: Decimal | None, unit: str | None
) -> str:
    """Return what a run has cost: `spent 1.83 USD in 12 min (settled); 8.67 USD left`."""
    if spent is None:
        return f"ran for {duration(seconds)}; what was spent is not known"
    amount = with_unit(spent, unit)
    certainty = ("", " (settled)") if is_settled else ("at least ", "")
    cost = f"spent {certainty[0]}{amount} in {duration(seconds)}{certainty[1]}"
    return cost if left is None else f"{cost}; {with_unit(left, unit)} left"


def breach_in_words(
    stopped_by: StoppedBy,
    limits: Limits,
    *,
    left: Decimal | None,
    spent: Decimal | None,
    unit: str | None,
    shortage: str | None = None,
) -> str:
    """Return which limit was passed: `4.02 USD spent, 3 USD allowed`; `shortage` is what the gateway said of money."""
    match stopped_by:
        case StoppedBy.MIN if left is not None and limits.min is not None:
            return f"{with_unit(left, unit)} left, at least {with_unit(limits.min, unit)} required"
        case StoppedBy.MAX_SPEND if spent is not None and limits.max_spend is not None:
            return f"{with_unit(spent, unit)} spent, {with_unit(limits.max_spend, unit)} allowed"
        case StoppedBy.MIN_RUNWAY if limits.min_runway is not None:
            return f"what is left may not last {duration(limits.min_runway.total_seconds())}"
        case StoppedBy.PAYMENT_REQUIRED:
            return shortage or "the gateway says that there is no money"
        case _:
            return "the balance is not known"


def doubt_in_words(doubt: Doubt) -> tuple[str, str]:
    """Return why what is counted may not be what was spent, and what to do about it."""
    hint = "give the key a quota of its own: then its own spend is counted"
    match doubt:
        case Doubt.ACCOUNT_COUNTS:
            told = "the gateway does not count what this unlimited key uses: what its account uses is counted"
            return f"{told}, and the spend of other keys is in it", hint
        case Doubt.KEY_STANDS_STILL:
            told = "what this unlimited key has used stands still while what its account has used rises"
            return f"{told}: either other keys spend it, or the gateway does not count this one", hint


def others_in_words(count: int) -> str:
    """Return how many others may have spent of the same key meanwhile."""
    if count == 1:
        return "1 other run was active on this key; what it spent is counted, too"
    return f"{count} other runs were active on this key; what they spent is counted, too"


def runs_as_lines(runs: Sequence[Run]) -> str:
    """Return a line for each run, under a header; nothing where there are none."""
    if not runs:
        return ""
    rows = [("Began (UTC)", "Profile", "Label", "Took", "Spent", "Ended"), *map(_row, runs)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("   ".join(padded(cell, cells) for cell, cells in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(run: Run) -> tuple[str, ...]:
    took = "-" if run.ended is None else duration((run.ended - run.began).total_seconds())
    unit = None if run.unit is None else visible(run.unit)
    spent = "-" if run.spent is None else f"{'' if run.is_settled else '>= '}{with_unit(run.spent, unit)}"
    label = "-" if run.label is None else visible(run.label)
    return f"{run.began:%Y-%m-%d %H:%M}", visible(run.profile), label, took, spent, _how_it_ended(run)


def _how_it_ended(run: Run) -> str:
    if run.exit_code is None:
        return "running, or killed"
    if run.stopped_by is None:
        return f"exit {run.exit_code}"
    return f"{'not stopped' if run.could_not_stop else 'stopped'}: {_REASONS[run.stopped_by]}"


_REASONS = {
    StoppedBy.MIN: "--min",
    StoppedBy.MAX_SPEND: "--max-spend",
    StoppedBy.MIN_RUNWAY: "--min-runway",
    StoppedBy.PAYMENT_REQUIRED: "no money",
    StoppedBy.BLIND: "balance not known",
}


def runs_as_json(runs: Sequence[Run]) -> str:
    """Return a JSON object for each run, one a line."""
    from apimart_cli.output.json import render_document

    return "".join(
        render_document(
            {
                "label": None if run.label is None else without_keys(run.label),
                "profile": without_keys(run.profile),
                "key_id": run.key_id,
                "host": without_keys(run.host),
                "began_at": f"{run.began:%Y-%m-%dT%H:%M:%SZ}",
                "ended_at": None if run.ended is None else f"{run.ended:%Y-%m-%dT%H:%M:%SZ}",
                "exit_code": run.exit_code,
                "stopped_by": run.stopped_by,
                "stopped": run.was_stopped,
                "could_not_stop": run.could_not_stop,
                "spent": run.spent,
                "settled": run.is_settled,
                "unit": None if run.unit is None else without_keys(run.unit),
            }
        )
        for run in runs
    )
