"""The lines of `check`: one for each reading, for people and for logs."""

from apimart_cli.errors import PaymentRequiredError
from apimart_cli.output import left_in_words, with_unit
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.rules.gate import Judged, Thresholds, Verdict, judged_part_below, unlimited_key
from apimart_cli.screen.pieces import folded as folded_at
from apimart_cli.screen.writing import Screen
from apimart_cli.text import visible
from apimart_cli.words import Outcome

_OUTCOME_COLOURS = {
    Outcome.PASS: "green",
    Outcome.BELOW: "red",
    Outcome.UNLIMITED: "yellow",
    Outcome.ERROR: "red",
    Outcome.NO_FORECAST: "yellow",
}


def checked_as_lines(verdict: Verdict, screen: Screen) -> str:
    """Return a line for each judged reading: the verdict, the name, what is left, and what was required.

    A failed reading has no line here, as standard error has its message.
    """
    lines = []
    for judged in verdict.judged:
        if judged.outcome is not Outcome.ERROR:
            word = judged.outcome.value.upper()
            line = folded(f"{word} {visible(judged.reading.name)}: {findings(judged)}", screen)
            lines.append(f"{_coloured(word, judged.outcome, screen)}{line.removeprefix(word)}\n")
    return "".join([*lines, *_spent_as_lines(verdict, screen)])


def _spent_as_lines(verdict: Verdict, screen: Screen) -> list[str]:
    lines = []
    for spend in verdict.spends:
        if spend.outcome is not Outcome.ERROR:
            from apimart_cli.output.spent import findings as findings_of_spend

            word = spend.outcome.value.upper()
            line = folded(f"{word} {visible(spend.reading.name)}: {findings_of_spend(spend)}", screen)
            lines.append(f"{_coloured(word, spend.outcome, screen)}{line.removeprefix(word)}\n")
    return lines


def findings(judged: Judged) -> str:
    """Return what was read and what was required; for a failed reading, why the balance is not known."""
    if judged.outcome is Outcome.ERROR and judged.reading.error is not None:
        return judged.reading.error.message
    return "; ".join(_findings(judged))


def folded(line: str, screen: Screen) -> str:
    """Fold a line for the screen, if that has a width."""
    return line if screen.width is None else folded_at(line, screen.width)


def _coloured(word: str, outcome: Outcome, screen: Screen) -> str:
    if not screen.colour:
        return word
    from typer import style

    return style(word, fg=_OUTCOME_COLOURS[outcome], bold=True)


def _findings(judged: Judged) -> list[str]:
    reading, thresholds, outcome = judged
    if outcome is Outcome.UNLIMITED:
        # With `spendable`, that is the key, whatever the account has.
        reading = unlimited_key(reading) or reading
    match reading.result:
        case Balance() as balance:
            return [
                *_balance_findings(balance, thresholds, outcome, reading.unit),
                *_runway_findings(reading, thresholds),
            ]
        case PaymentRequiredError() as shortage:
            return [shortage.in_short, *requirements(thresholds, reading.unit)]
        case error:
            # With `spendable`, one part is below a threshold, whatever the other would have been.
            part = judged_part_below(reading, thresholds)
            assert part is not None, "a reading without a balance has a line only if a part decides"
            assert part.reading.balance is not None, "only a balance is below a threshold"
            known = part.reading.balance._replace(limited_by=part.reading.scope)
            return [
                *_balance_findings(known, part.thresholds, outcome, reading.unit),
                *_runway_findings(part.reading, thresholds),
                f"the other of key and account is not known ({error.code})",
            ]


def _balance_findings(balance: Balance, thresholds: Thresholds, outcome: Outcome, unit: str | None) -> list[str]:
    findings = []
    left = left_in_words(balance, unit)
    if outcome is Outcome.UNLIMITED:
        of_min = f" of {with_unit(thresholds.min, unit)} or more" if thresholds.min is not None else ""
        findings.append(f"{left}, a limited one{of_min} required")
    elif thresholds.min is None:
        findings.append(left)
    else:
        findings.append(f"{left}, at least {with_unit(thresholds.min, unit)} required")
    if thresholds.max_used is not None:
        used = with_unit(balance.used_balance, unit)
        findings.append(f"{used} used, at most {with_unit(thresholds.max_used, unit)} allowed")
    return findings


def _runway_findings(reading: Reading, thresholds: Thresholds) -> list[str]:
    if thresholds.min_runway is None or reading.balance is None:
        return []
    from apimart_cli.output.runway import duration_in_words, lasts

    told = lasts(reading.forecast, unlimited=reading.balance.unlimited_quota)
    return [f"{told}, at least {duration_in_words(thresholds.min_runway)} required"]


def requirements(thresholds: Thresholds, unit: str | None) -> list[str]:
    """Return what each threshold requires."""
    required = []
    if thresholds.min is not None:
        required.append(f"at least {with_unit(thresholds.min, unit)} required")
    if thresholds.max_used is not None:
        required.append(f"at most {with_unit(thresholds.max_used, unit)} used allowed")
    if thresholds.min_runway is not None:
        from apimart_cli.output.runway import duration_in_words

        required.append(f"at least {duration_in_words(thresholds.min_runway)} required")
    return required
