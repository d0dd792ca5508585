"""What `doctor` has found: as lines of at most 60 columns, to read and to paste into a report, and as JSON."""

from collections.abc import Sequence

from apimart_cli.errors import ExitCode
from apimart_cli.output.json import render_document
from apimart_cli.records import Condition, DoctorFinding
from apimart_cli.screen.writing import Screen, width
from apimart_cli.text import visible

COLUMNS = 60
"""Most columns of a line; a path or an address that is longer stays whole."""

_INDENT = 6

_COLOURS = {Condition.OK: "green", Condition.NOTE: "yellow", Condition.WRONG: "red"}


def render_findings(findings: Sequence[DoctorFinding], screen: Screen) -> str:
    """Return for each finding its condition, what was looked at, and what was found; below it what to do next."""
    columns = min(COLUMNS, screen.width or COLUMNS)
    return "".join(_rendered(finding, screen, columns) for finding in findings)


def findings_as_json(findings: Sequence[DoctorFinding], exit_code: ExitCode) -> str:
    """Return one document with all findings."""
    return render_document(
        {
            "exit_code": int(exit_code),
            "findings": [
                {
                    "subject": visible(finding.subject),
                    "condition": finding.condition.value,
                    "message": visible(finding.message),
                    "hint": None if finding.hint is None else visible(finding.hint),
                }
                for finding in findings
            ],
        }
    )


def _rendered(finding: DoctorFinding, screen: Screen, columns: int) -> str:
    rows = _wrapped(f"{finding.subject}: {visible(finding.message)}", columns)
    if finding.hint is not None:
        rows += _wrapped(f"hint: {visible(finding.hint)}", columns)
    word = finding.condition.value
    first = f"{_coloured(word, finding.condition, screen)}{' ' * (_INDENT - len(word))}{rows[0]}"
    return "".join(f"{row}\n" for row in (first, *(f"{'':{_INDENT}}{row}" for row in rows[1:])))


def _wrapped(text: str, columns: int) -> list[str]:
    """Break a text between its words; it follows an indent."""
    rows = [""]
    for word in text.split(" "):
        longer = f"{rows[-1]} {word}".lstrip()
        if width(longer) <= columns - _INDENT or not rows[-1]:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


def _coloured(word: str, condition: Condition, screen: Screen) -> str:
    if not screen.colour:
        return word
    from typer import style

    return style(word, fg=_COLOURS[condition], bold=True)
