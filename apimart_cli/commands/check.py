"""`apimart check`: the gate. Exit code 0 only when the balance is proved to be enough."""

from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import AskingOptions, OutputOptions, trace_of, with_records
from apimart_cli.errors import ExitCode
from apimart_cli.words import OnUnlimited, Outcome, OutputFormat, Scope

if TYPE_CHECKING:
    from apimart_cli.gate import Verdict


app = new_app()


@app.command(cls=Command)
@with_records
def check(
    asking: AskingOptions,
    output: OutputOptions,
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
    on_unlimited: Annotated[
        OnUnlimited, typer.Option("--on-unlimited", help="Whether an unlimited quota meets --min; fail exits 7.")
    ] = OnUnlimited.PASS,
    fail_open: Annotated[
        bool,
        typer.Option("--fail-open", help="Exit 0, with a warning, when the gateway gave no answer (code 5)."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing on standard output; the exit code is the answer.")
    ] = False,
    quiet_pass: Annotated[
        bool, typer.Option("--quiet-pass", help="Print nothing when everything passes; for cron.")
    ] = False,
) -> ExitCode:
    """Check that enough balance is left (for scripts and CI).

    Exits 0 only when the gateway has confirmed it.

        apimart check --min 5
        apimart check --min 5 --scope spendable
        apimart check --all-profiles --quiet-pass

    Needs --min, --max-used, or a min or max_used in the config file. Every reading must pass.

    Exit codes: 0 enough, 1 internal error, 2 usage, 3 below a threshold, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted, 7 unlimited (with --on-unlimited fail), 130 interrupted.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.readings import take_readings

    chosen = output.format
    profiles = resolve(asking.options(min=min, max_used=max_used))
    # Every profile must have a threshold before the first question is asked.
    for profile in profiles:
        profile.thresholds()
    trace = trace_of(debug=asking.debug)
    with take_readings(profiles, refuse_exposed=True, quiet=quiet or quiet_pass, trace=trace) as taken:
        # Loaded while the answers travel.
        from apimart_cli.gate import judge

        required = [(reading, each.settings.thresholds()) for each in taken for reading in each.readings]
        verdict = judge(required, unlimited_passes=on_unlimited is OnUnlimited.PASS, fail_open=fail_open)
        quiet = quiet or (quiet_pass and verdict.outcome is Outcome.PASS)
        if not quiet:
            _write(verdict, chosen)
    _comment(verdict, quiet=quiet)
    return verdict.exit_code


def _write(verdict: "Verdict", chosen: OutputFormat) -> None:
    from apimart_cli.output import format_of
    from apimart_cli.screen.output import standard_output
    from apimart_cli.screen.writing import write_answer

    shown = format_of(chosen)
    assert shown.checked is not None, "every format of this command shows verdicts"
    write_answer(shown.checked(verdict, standard_output()))


def _comment(verdict: "Verdict", *, quiet: bool) -> None:
    """Say on standard error what the verdict alone would hide."""
    from apimart_cli.screen.output import is_terminal_error
    from apimart_cli.screen.writing import write_note, write_warning

    if verdict.outcome is Outcome.ERROR and verdict.exit_code is ExitCode.OK:
        write_warning("the balance is not known; going on because of --fail-open", "leave --fail-open out to stop here")
    of_keys_alone = all(each.reading.scope is Scope.KEY for each in verdict.judged)
    if verdict.outcome is Outcome.PASS and of_keys_alone and not quiet and is_terminal_error():
        is_unlimited = any(each.reading.balance and each.reading.balance.unlimited_quota for each in verdict.judged)
        unlimited = "the key's quota is unlimited; the account's own balance was not looked at"
        limited = "only the key was checked; its account may have less left"
        write_note(unlimited if is_unlimited else limited, "check both with: --scope spendable")
