"""`apimart watch`: shows balances as they change, until the user ends it."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, alerts_about, new_app
from apimart_cli.commands.option_records import AlertOptions, AskingOptions, SettingsOutput, with_records
from apimart_cli.commands.options import trace_of
from apimart_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apimart_cli.config.settings import Settings

app = new_app()


@app.command(cls=Command)
@with_records
def watch(
    asking: AskingOptions,
    output: SettingsOutput,
    alert: AlertOptions,
    interval: Annotated[
        str, typer.Option("--interval", metavar="DURATION", help="How often to ask; 5s is the shortest.")
    ] = "30s",
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="End after this time, like 8h.", show_default=False),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", metavar="NUMBER", min=1, help="End after so many rounds.")
    ] = None,
    min: Annotated[  # noqa: A002  # the option's name
        str | None,
        typer.Option("--min", metavar="AMOUNT", help="Mark a balance that is below this.", show_default=False),
    ] = None,
    until_below: Annotated[
        bool, typer.Option("--until-below", help="End with 3 once a balance is below --min.")
    ] = False,
) -> ExitCode:
    """Watch balances as they change.

        apimart watch
        apimart watch --min 5 --until-below; echo top up
        apimart watch --json --for 8h >> balance.jsonl

    On a terminal: a table in place, with what was spent since the start, how fast, and how long the rest lasts; q ends
    it. Elsewhere: a line for each change. Failures never end it.

    Exit codes: 0 ended as asked, 1 internal error, 2 usage, 3 below --min (with --until-below), 130 interrupted; if
    a balance was never read, that of its failure: 3 no money left, 4 key missing or rejected, 5 no answer, 6 answer
    not to be trusted.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.config.values import least_interval, parse_duration, parse_interval
    from apimart_cli.readings.watch import WatchOptions
    from apimart_cli.readings.watch import watch as watch_until_the_end

    profiles = list({each.profile.value: each for each in resolve(asking.options(min=min, **alert._asdict()))}.values())
    if until_below:
        _need_min(profiles)
    least = least_interval([each.base_url.value for each in profiles], os.environ)
    trace = trace_of(debug=asking.debug)
    # Lines of --debug would be written over a table.
    is_live = not output.is_json and trace is None and _can_be_live()
    # With a table, warnings about alerts are written after it, not over it.
    with alerts_about(profiles, holds_warnings=is_live, trace=trace) as alerts:
        options = WatchOptions(
            profiles=profiles,
            interval=parse_interval(interval, least=least, example="a duration like 30s"),
            least=least,
            seconds=None if duration is None else parse_duration(duration, "--for", usual="s").total_seconds(),
            most_rounds=count,
            until_below=until_below,
            is_json=output.is_json,
            is_live=is_live,
            on_readings=None if alerts is None else alerts.take,
            trace=trace,
        )
        return watch_until_the_end(options)


def _need_min(profiles: "Sequence[Settings]") -> None:
    for profile in profiles:
        if profile.min.value is None:
            named = f"profile {profile.profile.value} has" if profile.profile.source != "default" else "there is"
            raise UsageError(
                f"--until-below: {named} no threshold to fall below", "give --min, or set min in the profile"
            )


def _can_be_live() -> bool:
    """Tell whether standard output is a terminal on which a table can be drawn over and over."""
    import sys

    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}
