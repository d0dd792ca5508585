"""What a run of GitHub Actions shows of a verdict: annotations, outputs for later steps, and a table in its summary.

Pure: what is added to the runner's files is handed back, and `screen.reports` adds it.
"""

from collections.abc import Mapping, Sequence

from apimart_cli.errors import ApimartError
from apimart_cli.gate import Judged, Verdict
from apimart_cli.output import Format
from apimart_cli.output.amounts import plain
from apimart_cli.output.json import judged_as_json
from apimart_cli.output.lines import findings, requirements
from apimart_cli.output.outputs import outputs_of, remaining
from apimart_cli.output.workflow import MOST_BYTES, annotation, assignments, code, markdown, plain_line, table
from apimart_cli.screen.output import Screen
from apimart_cli.text import quote, visible
from apimart_cli.words import Outcome

OUTPUT = "GITHUB_OUTPUT"
SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variables in which the runner names its files."""

MOST_ANNOTATIONS = 10
"""Annotations of one level that the runner keeps of a step."""

_IN_WORDS = {
    Outcome.BELOW: "does not meet a threshold",
    Outcome.UNLIMITED: "is unlimited",
    Outcome.ERROR: "is not known",
    Outcome.NO_FORECAST: "has no forecast",
}
"""What is said of a balance that does not pass, after its name."""

_COLUMNS = ("Balance", "Remaining", "Used", "Required", "Verdict")


def _checked_for_github(verdict: Verdict, _screen: Screen) -> str:
    """Return an annotation for each balance that stops, as far as the runner keeps them, and lines for the others."""
    stopping = _stopping(verdict)
    shown = stopping if len(stopping) <= MOST_ANNOTATIONS else stopping[: MOST_ANNOTATIONS - 1]
    level = "error" if verdict.exit_code else "warning"
    lines = [annotation(level, _title(judged), _text(judged)) for judged in shown]
    if len(shown) < len(stopping):
        others = len(stopping) - len(shown)
        lines.append(annotation(level, f"apimart: {others} more balances", "The log of this step names them."))
    return "".join([*lines, *map(_line, [*stopping[len(shown) :], *_passing(verdict)])])


def _failed_for_github(error: ApimartError) -> str:
    return annotation("error", "apimart: nothing could be checked", _with_hint(error))


def _reports(result: Verdict | ApimartError) -> Mapping[str, str]:
    return {SUMMARY: _summary(result), OUTPUT: _outputs(result)}


def _outputs(result: Verdict | ApimartError) -> str:
    judged = () if isinstance(result, ApimartError) else result.judged
    stopping = [] if isinstance(result, ApimartError) else _stopping(result)
    names = "\n".join(visible(each.reading.name) for each in stopping)
    return assignments(outputs_of(result), {"stopped-by": names, "readings": judged_as_json(judged)})


def _summary(result: Verdict | ApimartError) -> str:
    if isinstance(result, ApimartError):
        return f"\n### Balance: not known\n\n{markdown(result.message)}\n\n{markdown(result.hint or '')}\n"
    # What stops comes first: a table that is too long loses what passes.
    judged = [*_stopping(result), *_passing(result)]
    text, shown = table(_COLUMNS, map(_row, judged), most_bytes=MOST_BYTES)
    more = f"\n… and {len(judged) - shown} more balances\n" if shown < len(judged) else ""
    return f"\n### Balance: {result.outcome.value}\n\n{text}{more}"


def _row(judged: Judged) -> Sequence[str]:
    reading = judged.reading
    left, used = "-", "-"
    if reading.balance is not None:
        is_unlimited = reading.balance.remain_balance is None
        left = remaining(reading.balance) + ("" if is_unlimited else _unit(reading.unit))
        used = plain(reading.balance.used_balance) + _unit(reading.unit)
    required = "; ".join(map(markdown, requirements(judged.thresholds, reading.unit)))
    is_pass = judged.outcome is Outcome.PASS
    word = judged.outcome.value if reading.error is None else f"{judged.outcome.value}: {reading.error.message}"
    return code(quote(reading.name)), left, used, required, markdown(word) if is_pass else f"**{markdown(word)}**"


def _unit(unit: str | None) -> str:
    return f" {markdown(unit)}" if unit else ""


def _stopping(verdict: Verdict) -> list[Judged]:
    return [judged for judged in verdict.judged if judged.outcome is not Outcome.PASS]


def _passing(verdict: Verdict) -> list[Judged]:
    return [judged for judged in verdict.judged if judged.outcome is Outcome.PASS]


def _title(judged: Judged) -> str:
    return f"apimart: {quote(judged.reading.name)} {_IN_WORDS[judged.outcome]}"


def _text(judged: Judged) -> str:
    if judged.outcome is Outcome.ERROR and judged.reading.error is not None:
        return _with_hint(judged.reading.error)
    return findings(judged)


def _with_hint(error: ApimartError) -> str:
    return error.message if error.hint is None else f"{error.message}\n{error.hint}"


def _line(judged: Judged) -> str:
    return plain_line(f"{judged.outcome.value.upper()} {quote(judged.reading.name)}: {findings(judged)}")


FORMAT = Format(checked=_checked_for_github, failed=_failed_for_github, reports=_reports, encoding="utf-8")
