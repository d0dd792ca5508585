"""A verdict in a run of GitHub Actions: annotations, outputs for later steps, and a table in the summary of the run.

Pure but for random marks: it returns the text for the runner's files, and `screen.pieces` adds it to them. It follows
the runner's own parsers (actions/runner: ActionCommand.cs, FileCommandManager.cs, August 2026). A line of the log is a
command if it begins with `::`, or, in the older form, has `##[` anywhere in it.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from apimart_cli.errors import ApimartError
from apimart_cli.output import Format, plain, remaining
from apimart_cli.output.dotenv import outputs_of
from apimart_cli.output.json import judged_as_json
from apimart_cli.output.lines import findings, requirements
from apimart_cli.rules.gate import Judged, Verdict
from apimart_cli.screen.writing import Screen
from apimart_cli.text import quote, visible
from apimart_cli.words import Outcome

if TYPE_CHECKING:
    from apimart_cli.rules.budget import JudgedSpend

OUTPUT = "GITHUB_OUTPUT"

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variables with which the runner names its files."""

MOST_ANNOTATIONS = 10
"""Annotations of one level that the runner keeps for a step."""

MOST_CHARACTERS = 4096
"""Most characters of the text of an annotation, and of its title."""

MOST_BYTES = 1_000_000
"""Most bytes of a summary. The runner drops one of more than 1 MiB, and other commands may add to it."""

_CUT = "..."

_IN_WORDS = {
    Outcome.BELOW: "does not meet a threshold",
    Outcome.UNLIMITED: "is unlimited",
    Outcome.ERROR: "is not known",
    Outcome.NO_FORECAST: "has no forecast",
}
"""What follows the name of a balance that does not pass."""

_COLUMNS = ("Balance", "Remaining", "Used", "Required", "Verdict")


def annotation(level: str, title: str, text: str) -> str:
    """Return the line that shows a text, of one line or several, beside the run. The level is `error` or `warning`."""
    return f"::{level} title={_within(title, _property)}::{_within(text, _data)}\n"


def plain_line(text: str) -> str:
    """Return a line that is not a command, whatever is in it."""
    return f"{visible(text)}\n"


def assignments(outputs: Mapping[str, str], foreign: Mapping[str, str]) -> str:
    """Return the lines that set outputs. The values of `outputs` are ours, those of `foreign` may be any text."""
    # They begin with a line break, as the text before them may have none at its end.
    lines = ["\n", *(f"{name}={value}\n" for name, value in outputs.items())]
    for name, value in foreign.items():
        # The mark at the end is random, so that no value can contain it.
        end = f"end-{os.urandom(16).hex()}"
        lines.append(f"{name}<<{end}\n{value}\n{end}\n")
    return "".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, most_bytes: int) -> tuple[str, int]:
    """Return a table, and how many rows fit into `most_bytes`. The cells are Markdown."""
    lines = [_line_of(columns), _line_of(["---"] * len(columns))]
    room, shown = most_bytes - sum(map(len, lines)), 0
    for row in rows:
        line = _line_of(row)
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
        shown += 1
    return "".join(lines), shown


def markdown(text: str) -> str:
    """Return foreign text as Markdown that only shows it."""
    # As entities, signs have no meaning: they end no cell and begin no link, HTML or emphasis.
    return re.sub(r"[!-/:-@\[-`{-~]", lambda match: f"&#{ord(match.group())};", visible(text))


def code(text: str) -> str:
    """Return a name, which is foreign text, as Markdown. Nothing in it mentions a person or an issue."""
    return f"<code>{markdown(text)}</code>"


def _checked_for_github(verdict: Verdict, _screen: Screen) -> str:
    """Return an annotation for each balance that does not pass, as far as the runner keeps them, and lines."""
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


def _runner_files(result: Verdict | ApimartError) -> Mapping[str, str]:
    return {SUMMARY: _summary(result), OUTPUT: _outputs(result)}


def _outputs(result: Verdict | ApimartError) -> str:
    judged = () if isinstance(result, ApimartError) else result.judged
    stopping = [] if isinstance(result, ApimartError) else _stopping(result)
    names = "\n".join(visible(each.reading.name) for each in stopping)
    return assignments(outputs_of(result), {"stopped-by": names, "readings": judged_as_json(judged)})


def _summary(result: Verdict | ApimartError) -> str:
    if isinstance(result, ApimartError):
        return f"\n### Balance: not known\n\n{markdown(result.message)}\n\n{markdown(result.hint or '')}\n"
    # The balances that do not pass come first: if the table is too long, the last rows are left out.
    judged = [*_stopping(result), *_passing(result)]
    text, shown = table(_COLUMNS, map(_row, judged), most_bytes=MOST_BYTES)
    more = f"\n… and {len(judged) - shown} more balances\n" if shown < len(judged) else ""
    return f"\n### Balance: {result.outcome.value}\n\n{text}{more}"


def _row(judged: "Judged | JudgedSpend") -> Sequence[str]:
    if not isinstance(judged, Judged):
        return _row_of_spend(judged)
    reading = judged.reading
    left, used = "-", "-"
    if reading.balance is not None:
        is_unlimited = reading.balance.remain_balance is None
        left = remaining(reading.balance.remain_balance) + ("" if is_unlimited else _unit(reading.unit))
        used = plain(reading.balance.used_balance) + _unit(reading.unit)
    required = "; ".join(map(markdown, requirements(judged.thresholds, reading.unit)))
    return code(quote(reading.name)), left, used, required, _verdict(judged)


def _row_of_spend(judged: "JudgedSpend") -> Sequence[str]:
    from apimart_cli.output.spent import required as required_of_spend
    from apimart_cli.rules.books import UNIT

    spent = "-" if judged.spent is None else f"{plain(judged.spent)}{_unit(UNIT)} spent"
    return code(quote(judged.reading.name)), "-", spent, markdown(required_of_spend(judged.budget)), _verdict(judged)


def _verdict(judged: "Judged | JudgedSpend") -> str:
    error = judged.reading.error
    word = judged.outcome.value if error is None else f"{judged.outcome.value}: {error.message}"
    return markdown(word) if judged.outcome is Outcome.PASS else f"**{markdown(word)}**"


def _unit(unit: str | None) -> str:
    return f" {markdown(unit)}" if unit else ""


def _stopping(verdict: Verdict) -> "list[Judged | JudgedSpend]":
    return [judged for judged in _every(verdict) if judged.outcome is not Outcome.PASS]


def _passing(verdict: Verdict) -> "list[Judged | JudgedSpend]":
    return [judged for judged in _every(verdict) if judged.outcome is Outcome.PASS]


def _every(verdict: Verdict) -> "list[Judged | JudgedSpend]":
    return [*verdict.judged, *verdict.spends]


def _title(judged: "Judged | JudgedSpend") -> str:
    is_balance = isinstance(judged, Judged)
    what = _IN_WORDS[judged.outcome] if is_balance or judged.outcome is not Outcome.BELOW else "has spent too much"
    return f"apimart: {quote(judged.reading.name)} {what}"


def _text(judged: "Judged | JudgedSpend") -> str:
    if judged.outcome is Outcome.ERROR and judged.reading.error is not None:
        return _with_hint(judged.reading.error)
    return _findings(judged)


def _findings(judged: "Judged | JudgedSpend") -> str:
    if isinstance(judged, Judged):
        return findings(judged)
    from apimart_cli.output.spent import findings as findings_of_spend

    return findings_of_spend(judged)


def _with_hint(error: ApimartError) -> str:
    return error.message if error.hint is None else f"{error.message}\n{error.hint}"


def _line(judged: "Judged | JudgedSpend") -> str:
    return plain_line(f"{judged.outcome.value.upper()} {quote(judged.reading.name)}: {_findings(judged)}")


def _line_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _within(text: str, escape: Callable[[str], str]) -> str:
    """Return `text` escaped, and cut if that is too long, but never inside an escape."""
    # The line breaks are ours. In the lines every character is visible, and none has a meaning.
    shown = "\n".join(map(visible, text.split("\n")))
    if len(escape(shown)) <= MOST_CHARACTERS:
        return escape(shown)
    room = MOST_CHARACTERS - len(_CUT)
    kept = bisect_right(range(len(shown)), room, key=lambda length: len(escape(shown[:length]))) - 1
    return escape(shown[:kept]) + _CUT


FORMAT = Format(checked=_checked_for_github, failed=_failed_for_github, runner_files=_runner_files, encoding="utf-8")
