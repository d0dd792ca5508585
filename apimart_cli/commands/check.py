"""`apimart check`: the gate. Its exit code is 0 only if the balance is proved to be enough."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, alerts_about, new_app, take_readings_and_books
from apimart_cli.commands.option_records import AlertOptions, AskingOptions, JsonOutput, chosen_format, with_records
from apimart_cli.commands.options import trace_of
from apimart_cli.errors import ExitCode
from apimart_cli.words import OnNoForecast, OnUnlimited, Outcome, OutputFormat, Scope, ScopeChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apimart_cli.config.settings import Settings
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.readings.books import TakenBooks
    from apimart_cli.readings.take import Taken
    from apimart_cli.rules.balance import Reading
    from apimart_cli.rules.budget import JudgedSpend
    from apimart_cli.rules.gate import Verdict


class VerdictFormat(StrEnum):
    """What `--output` of a command that judges balances takes: the formats that have `checked`."""

    TABLE = OutputFormat.TABLE.value
    JSON = OutputFormat.JSON.value
    VALUE = OutputFormat.VALUE.value
    GITHUB = OutputFormat.GITHUB.value
    DOTENV = OutputFormat.DOTENV.value


class VerdictOutput(NamedTuple):
    """How a verdict is written."""

    output: Annotated[
        VerdictFormat | None,
        typer.Option("--output", "-o", help="How to write the answer. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False

    @property
    def format(self) -> OutputFormat:
        """The format to use. Raises UsageError if `--output` and `--json` contradict each other."""
        return chosen_format(self.output, json=self.json)


app = new_app()


@app.command(cls=Command)
@with_records
def check(
    asking: AskingOptions,
    output: VerdictOutput,
    alert: AlertOptions,
    min: Annotated[  # noqa: A002  # the option's name
        str | None,
        typer.Option(
            "--min", metavar="AMOUNT", help="The remaining balance must be at least this.", show_default=False
        ),
    ] = None,
    max_used: Annotated[
        str | None,
        typer.Option("--max-used", metavar="AMOUNT", help="The used balance must be at most this.", show_default=False),
    ] = None,
    min_runway: Annotated[
        str | None,
        typer.Option(
            "--min-runway",
            metavar="DURATION",
            help="The balance must last at least this long, like 3d or 36h; told from what was recorded before.",
            show_default=False,
        ),
    ] = None,
    max_spent: Annotated[
        str | None,
        typer.Option(
            "--max-spent",
            metavar="AMOUNT",
            help="At most so many dollars may have been spent, by the gateway's own books; needs --within.",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--within",
            metavar="DURATION",
            help="The time for --max-spent, like 24h, up to 31d; or today, or month.",
            show_default=False,
        ),
    ] = None,
    on_unlimited: Annotated[
        OnUnlimited, typer.Option("--on-unlimited", help="Whether an unlimited quota of the key passes; fail exits 7.")
    ] = OnUnlimited.PASS,
    on_no_forecast: Annotated[
        OnNoForecast,
        typer.Option("--on-no-forecast", help="What too little history means for --min-runway; fail exits 8."),
    ] = OnNoForecast.FAIL,
    fail_open: Annotated[
        bool,
        typer.Option("--fail-open", help="Exit 0, with a warning, when the gateway gave no answer (code 5)."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing on standard output; the exit code is the answer.")
    ] = False,
    quiet_pass: Annotated[
        bool, typer.Option("--quiet-pass", help="Print only when something is wrong; for cron.")
    ] = False,
) -> ExitCode:
    """Check that enough balance is left (for scripts and CI).

    Exits 0 only when the gateway has confirmed it.

        apimart check --min 5
        apimart check --min 5 --min-runway 3d
        apimart check --max-spent 5 --within 24h

    Each profile needs a threshold, as an option or in the config file: --min, --max-used, --min-runway or --max-spent.
    Every reading must pass. It looks at what can be spent: the smaller of key and account; if the gateway has no
    account endpoint, the key alone.

    Exit codes: 0 enough, 1 internal error, 2 usage, 3 below a threshold, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted, 7 unlimited (with --on-unlimited fail), 8 too little history to tell --min-runway,
    130 interrupted.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.readings import Tells

    chosen = output.format
    options = asking.options(
        min=min, max_used=max_used, min_runway=min_runway, max_spent=max_spent, within=within, **alert._asdict()
    )
    profiles = resolve(options, default_scope=ScopeChoice.SPENDABLE)
    # Every profile must have a threshold before the first question is asked.
    held = [profile for profile in profiles if profile.thresholds().are_set]
    budgeted = [profile for profile in profiles if profile.budget() is not None]
    trace = trace_of(debug=asking.debug)
    books = _books(held)
    seen: list[Taken] = []
    spends: list[tuple[Settings, JudgedSpend]] = []
    # Alerts come last of all, even if the answer cannot be written.
    with alerts_about(profiles, seen, spends, trace=trace):
        with take_readings_and_books(
            held,
            budgeted,
            source="check",
            tells=Tells.FAILURES if quiet or quiet_pass else Tells.EVERYTHING,
            trace=trace,
            forecast_patience=_forecast_patience(held),
            books=books,
        ) as (taken, taken_books):
            # Loaded while the answers travel.
            from apimart_cli.rules.gate import judge

            seen.extend(taken)
            asked_books = list(taken_books)
            required = [(reading, each.settings.thresholds()) for each in seen for reading in each.readings]
            verdict = judge(
                required,
                budgets=[
                    (each.reading, budget) for each in asked_books if (budget := each.settings.budget()) is not None
                ],
                unlimited_passes=on_unlimited is OnUnlimited.PASS,
                no_forecast_passes=on_no_forecast is OnNoForecast.PASS,
                fail_open=fail_open,
            )
            spends.extend(zip(budgeted, verdict.spends, strict=True))
            quiet = quiet or (quiet_pass and verdict.outcome is Outcome.PASS)
            _write(verdict, chosen, quiet=quiet)
        _comment(verdict, seen, quiet=quiet)
        _explain_missing_forecasts(verdict, seen, profiles, books)
        _explain_unproved_spends(verdict, asked_books)
    return verdict.exit_code


def _forecast_patience(profiles: "Sequence[Settings]") -> float | None:
    """Return how long to wait for forecasts; None if no profile needs one."""
    if all(profile.min_runway.value is None for profile in profiles):
        return None
    from apimart_cli.readings.forecasts import patience_for

    return patience_for(profiles)


def _books(profiles: "Sequence[Settings]") -> "BookForecasts | None":
    """Return what tells forecasts from the gateway's books to the profiles that need one, if any."""
    wanted = [profile for profile in profiles if profile.min_runway.value is not None]
    if not wanted:
        return None
    from apimart_cli.readings.book_forecasts import gate_books

    return gate_books(wanted)


def _write(verdict: "Verdict", chosen: OutputFormat, *, quiet: bool) -> None:
    """Write the verdict to standard output, unless `quiet`, and to the files of a CI runner."""
    if quiet and not chosen.has_runner_files:
        return
    from apimart_cli.output import format_of
    from apimart_cli.screen.writing import standard_output, write_answer

    shown = format_of(chosen)
    assert shown.checked is not None, "every format of this command shows verdicts"
    if not quiet:
        write_answer(shown.checked(verdict, standard_output()), shown.encoding)
    if shown.runner_files is not None:
        from apimart_cli.screen.pieces import add_to_runner_files

        add_to_runner_files(shown.runner_files(verdict))


def _comment(verdict: "Verdict", seen: "Sequence[Taken]", *, quiet: bool) -> None:
    """Write the warning or note that belongs to the verdict on standard error."""
    if verdict.outcome is Outcome.ERROR and verdict.exit_code is ExitCode.OK:
        from apimart_cli.screen.writing import write_warning

        what = "the balance" if verdict.judged else "what was spent"
        write_warning(f"{what} is not known; going on because of --fail-open", "leave --fail-open out to stop here")
    if verdict.outcome is Outcome.PASS and _has_unlimited_key(seen) and not quiet:
        from apimart_cli.screen.writing import is_terminal_error, write_note

        if is_terminal_error():
            write_note(
                "the key's quota is unlimited; the account's own balance was not looked at",
                "check both with: --scope spendable",
            )


def _has_unlimited_key(seen: "Sequence[Taken]") -> bool:
    """Tell whether an unlimited key passed and its account was left out on purpose."""
    return any(
        reading.scope is Scope.KEY and reading.balance is not None and reading.balance.unlimited_quota
        for each in seen
        if each.settings.scope.value is ScopeChoice.KEY
        for reading in each.readings
    )


def _has_key_forecast(reading: "Reading") -> bool:
    """Tell whether only the account has too little history."""
    from apimart_cli.words import ForecastState

    untold = {None, ForecastState.TOO_LITTLE, ForecastState.UNREADABLE}
    states = {part.scope: part.forecast and part.forecast.state for part in reading.parts}
    return states.get(Scope.KEY) not in untold and states.get(Scope.ACCOUNT) in untold


def _explain_missing_forecasts(
    verdict: "Verdict", seen: "Sequence[Taken]", profiles: "Sequence[Settings]", books: "BookForecasts | None"
) -> None:
    """Say for which balances it is not known how long they last, and what to do about it."""
    untold = [judged.reading for judged in verdict.judged if judged.outcome is Outcome.NO_FORECAST]
    if not untold:
        return
    from apimart_cli.output.runway import in_words
    from apimart_cli.screen.writing import write_error

    unread = next((each.history_error for each in seen if each.history_error is not None), None)
    for reading in untold:
        reason = in_words(reading.forecast) if unread is None else f"{unread}"
        why_not = None if books is None or unread is not None else books.why_not(reading)
        if why_not is not None:
            reason = f"{reason}; {why_not}"
        hint = (
            _hint_without_history(reading, profiles)
            if unread is None
            else "try again, or name another file in APIMART_HISTORY"
        )
        write_error(f"{reading.name}: it is not known how long the balance lasts: {reason}", hint)


def _explain_unproved_spends(verdict: "Verdict", asked_books: "Sequence[TakenBooks]") -> None:
    """Say which answers of the books prove nothing, unless they were told as failures before."""
    for each, judged in zip(asked_books, verdict.spends, strict=True):
        error = judged.reading.error
        if each.reading.error is None and error is not None:
            from apimart_cli.screen.writing import write_error

            write_error(f"{judged.reading.name}: {error.message}", error.hint)


def _hint_without_history(reading: "Reading", profiles: "Sequence[Settings]") -> str:
    """Say how to get a history, depending on why there is none."""
    by_hand = "; go on without it with: --on-no-forecast pass"
    if any(profile.books.value and profile.unit.value is None for profile in profiles):
        by_hand = f"; where the balance is in dollars, the gateway's books tell it at once: --unit USD{by_hand}"
    if _has_key_forecast(reading):
        return f"it takes readings of the account over three days; look at the key alone with: --scope key{by_hand}"
    off = next((profile.record.source for profile in profiles if not profile.record.value), None)
    if off == "CI":
        return f"in CI, set APIMART_RECORD=1, and keep the file of APIMART_HISTORY in a cache{by_hand}"
    if off is not None:
        return f"nothing is recorded, as {off} says{by_hand}"
    return f"it takes readings over three days; each check is one{by_hand}"
