"""`apimart check`: the gate. Exit code 0 only when the balance is proved to be enough."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import (
    AllProfilesOption,
    ApiKeyFileOption,
    ApiKeyOption,
    BaseUrlOption,
    JsonOption,
    OutputOption,
    ProfilesOption,
    ScopeOption,
    TimeoutOption,
    choose_output,
)
from apimart_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apimart_cli.balance import Reading
    from apimart_cli.gate import Thresholds, Verdict


class OnUnlimited(StrEnum):
    """What `--on-unlimited` takes."""

    PASS = "pass"  # noqa: S105  # a choice, not a password
    FAIL = "fail"


app = new_app()


@app.command(cls=Command)
def check(
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
        typer.Option("--fail-open", help="Exit 0, with a warning, when the gateway could not be reached (code 5)."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing on standard output; the exit code is the answer.")
    ] = False,
    api_key: ApiKeyOption = None,
    api_key_file: ApiKeyFileOption = None,
    profile: ProfilesOption = None,
    all_profiles: AllProfilesOption = False,
    scope: ScopeOption = None,
    base_url: BaseUrlOption = None,
    timeout: TimeoutOption = None,
    output: OutputOption = None,
    json: JsonOption = False,
) -> ExitCode:
    """Exit 0 only when enough is proved to be left.

    Needs --min, --max-used, or a min or max_used in the config file. Every reading must pass.

    Exit codes: 0 enough, 1 internal error, 2 usage, 3 below a threshold, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted, 7 unlimited (with --on-unlimited fail), 130 interrupted.
    """
    from apimart_cli.settings import Options, exposures, resolve, targets_of

    chosen = choose_output(output, json)
    settings = resolve(
        Options(
            api_key=api_key,
            api_key_file=api_key_file,
            profiles=tuple(profile or ()),
            all_profiles=all_profiles,
            scope=scope,
            base_url=base_url,
            timeout=timeout,
            min=min,
            max_used=max_used,
        )
    )
    for exposure in exposures(settings):
        raise exposure
    # Every profile must have a threshold before the first question is asked.
    required = [profile_settings.thresholds() for profile_settings in settings]
    groups = targets_of(settings)
    pairs = [(target, threshold) for group, threshold in zip(groups, required, strict=True) for target in group]

    from apimart_cli.client import ask

    with ask([target for target, _ in pairs]) as asked:
        # Loaded while the answers travel.
        from apimart_cli.gate import judge
        from apimart_cli.streams import progress, write_failures

        with progress(len(pairs), quiet=quiet) as step:
            readings = [step(reading) for reading in asked]
    thresholds = [threshold for _, threshold in pairs]
    verdict = judge(readings, thresholds, unlimited_passes=on_unlimited is OnUnlimited.PASS, fail_open=fail_open)
    if not quiet:
        _write(chosen, verdict, readings, thresholds)
    write_failures(readings)
    _comment(readings, verdict, quiet=quiet)
    return verdict.exit_code


def _write(output: str, verdict: "Verdict", readings: "list[Reading]", thresholds: "list[Thresholds]") -> None:
    from apimart_cli.output import Checked, OutputFormat, render_checked
    from apimart_cli.streams import standard_output, write_answer

    write_answer(render_checked(Checked(verdict, readings, thresholds), OutputFormat(output), standard_output()))


def _comment(readings: "Sequence[Reading]", verdict: "Verdict", *, quiet: bool) -> None:
    """Say on standard error what the verdict alone would hide."""
    from apimart_cli.gate import Outcome
    from apimart_cli.streams import is_terminal_error, write_note, write_warning

    if verdict.outcome is Outcome.ERROR and verdict.exit_code is ExitCode.OK:
        write_warning("the balance is not known; going on because of --fail-open", "leave --fail-open out to stop here")
    looked_at_accounts = any(reading.scope == "account" for reading in readings)
    passed_unlimited = any(
        outcome is Outcome.PASS and reading.balance is not None and reading.balance.unlimited_quota
        for reading, outcome in zip(readings, verdict.outcomes, strict=True)
    )
    if passed_unlimited and not looked_at_accounts and not quiet and is_terminal_error():
        write_note(
            "the key's quota is unlimited; the account's own balance was not looked at",
            "look at both with: --scope both",
        )
