"""`apimart run`: a budget around any command."""

from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, alerts_about, new_app
from apimart_cli.commands.completion import complete_command
from apimart_cli.commands.option_records import AlertOptions, with_records
from apimart_cli.commands.options import ApiKeyFile, BaseUrl, Debug, OneProfile, Timeout, Unit, trace_of, value_option
from apimart_cli.errors import CommandStatus, UsageError
from apimart_cli.words import OnNoForecast, ScopeChoice

if TYPE_CHECKING:
    from pathlib import Path

    from apimart_cli.config.settings import Options, Settings
    from apimart_cli.rules.guard import Limits


class OneKeyOptions(NamedTuple):
    """Which balance to ask for, with which key, while a command runs: `AskingOptions` with a single profile."""

    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="TEXT",
            help="The key itself. Everybody on this machine can see arguments: use login, APIMART_API_KEY or "
            "--api-key-file instead.",
            show_default=False,
        ),
    ] = None
    api_key_file: ApiKeyFile = None
    profile: OneProfile = None
    scope: Annotated[
        ScopeChoice | None,
        typer.Option(
            "--scope",
            help="Which balance --min holds; of key and account the smaller one is spendable. Default: spendable.",
            show_default=False,
        ),
    ] = None
    unit: Unit = None
    base_url: BaseUrl = None
    timeout: Timeout = None
    debug: Debug = False

    def options(self, **thresholds: str | None) -> "Options":
        """Return what was typed as `config` takes it, together with thresholds and alerts.

        Raises UsageError for a key from standard input, which belongs to the command.
        """
        from apimart_cli.config.settings import Options

        if self.api_key == "-":
            raise UsageError("--api-key -: standard input belongs to the command", "use --api-key-file")
        typed = {**self._asdict(), "profiles": () if self.profile is None else (self.profile,), **thresholds}
        del typed["debug"], typed["profile"]
        return Options(**typed)


class OnBlind(StrEnum):
    """What `--on-blind` takes."""

    STOP = "stop"
    CONTINUE = "continue"


LEAST_INTERVAL = 0.1
"""Least seconds between two readings."""

app = new_app()


@app.command(cls=Command, context_settings={"allow_interspersed_args": False})
@with_records
def run(
    asking: OneKeyOptions,
    alert: AlertOptions,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND ...",
            help="The command to run.",
            show_default=False,
            autocompletion=complete_command,
        ),
    ] = None,
    min: Annotated[  # noqa: A002  # the option's name
        str | None, value_option("--min", "AMOUNT", "Stop when less than this is left.")
    ] = None,
    max_spend: Annotated[
        str | None, value_option("--max-spend", "AMOUNT", "Stop when the key was charged this much since the start.")
    ] = None,
    min_runway: Annotated[
        str | None, value_option("--min-runway", "DURATION", "Stop when the balance may not last this long, like 3d.")
    ] = None,
    on_no_forecast: Annotated[
        OnNoForecast,
        typer.Option("--on-no-forecast", help="What too little history means for --min-runway; fail starts nothing."),
    ] = OnNoForecast.FAIL,
    interval: Annotated[
        str | None,
        value_option(
            "--interval", "SECONDS", "How often to look. Default: every 2 to 30 seconds, the faster it is spent."
        ),
    ] = None,
    kill_after: Annotated[
        str,
        typer.Option("--kill-after", metavar="SECONDS", help="Kill a command that does not end when it is stopped."),
    ] = "10",
    on_blind: Annotated[
        OnBlind, typer.Option("--on-blind", help="What to do when the balance stays unknown for that long.")
    ] = OnBlind.STOP,
    max_blind: Annotated[
        str,
        typer.Option(
            "--max-blind",
            metavar="DURATION",
            help="How long the balance may stay unknown before the command is stopped.",
        ),
    ] = "10m",
    fail_open: Annotated[
        bool, typer.Option("--fail-open", help="Start the command although the gateway gave no answer.")
    ] = False,
    settle: Annotated[
        bool, typer.Option("--settle", help="Wait until everything is booked after a stop, too; 15 seconds at most.")
    ] = False,
    no_settle: Annotated[
        bool, typer.Option("--no-settle", help="Do not wait after the command until everything is booked.")
    ] = False,
    on_stop: Annotated[
        str | None,
        value_option("--on-stop", "COMMAND", "Run this when a limit is reached, while the command is stopped."),
    ] = None,
    label: Annotated[
        str | None, value_option("--label", "TEXT", "A name for it, in the report and the history.")
    ] = None,
    report: Annotated[
        str | None, value_option("--report", "FILE", "Write what it has cost, and how it ended, as JSON.")
    ] = None,
) -> CommandStatus:
    """Run a command under a budget.

    It is stopped when a limit is reached, and not started when there is too little.

        apimart run --max-spend 3 -- ./agent.sh
        apimart run --min 5 --report cost.json -- make all

    Needs --max-spend, --min or --min-runway. min and min_runway of the config file count, too. What comes after -- is
    run as it is, without a shell.

    Exit codes: the command's own, 128 and its number for a signal; 124 stopped by a limit, 125 not started,
    126 cannot be run, 127 not found.
    """
    from apimart_cli.config.values import parse_interval, parse_seconds
    from apimart_cli.readings.take import Taken
    from apimart_cli.run.supervision import RunOptions, run_guarded
    from apimart_cli.screen.writing import only_told

    if not command:
        raise UsageError("there is no command to run", "give it after --, like: apimart run --max-spend 3 -- make")
    if settle and no_settle:
        raise UsageError("--settle and --no-settle contradict each other", "give one of them")
    _require_control()
    settings = _settings(asking, alert, min, min_runway, on_stop)
    limits = _limits(settings, max_spend)
    trace = trace_of(debug=asking.debug)
    # Warnings about alerts are written at the end, when the command does not use the terminal any more.
    with ExitStack() as stack:
        alerts = stack.enter_context(
            alerts_about([settings], label=label, holds_warnings=True, stops=True, trace=trace)
        )
        status = run_guarded(
            RunOptions(
                command=command,
                settings=settings,
                limits=limits,
                interval=None
                if interval is None
                else parse_interval(interval, least=LEAST_INTERVAL, example="a number like 5"),
                kill_after=parse_seconds(kill_after, "--kill-after"),
                max_blind=None if on_blind is OnBlind.CONTINUE else parse_seconds(max_blind, "--max-blind"),
                fail_open=fail_open,
                no_forecast_passes=on_no_forecast is OnNoForecast.PASS,
                settle=True if settle else False if no_settle else None,
                label=label,
                report=None if report is None else _report(report),
                trace=trace,
                on_readings=None if alerts is None else lambda held: alerts.take([Taken(settings, held)]),
                on_stopping=None if alerts is None else lambda alert: alerts.stopping(settings, alert),
            )
        )
        with only_told():
            stack.close()
        return status


def _require_control() -> None:
    """Raise UsageError where we could neither find what a command has started nor signal its process group."""
    import os

    from apimart_cli.processes.table import processes

    if not hasattr(os, "killpg") and processes() is None:
        from apimart_cli.installing import command_to_add

        raise UsageError(
            "a command cannot be guarded here: this system tells what it has started only through psutil, "
            "which does not work",
            f"run: {command_to_add('psutil')}",
        )


def _settings(
    asking: OneKeyOptions, alert: AlertOptions, least: str | None, min_runway: str | None, on_stop: str | None
) -> "Settings":
    """Return what is in force for the one profile."""
    from apimart_cli.config.precedence import resolve

    options = asking.options(min=least, min_runway=min_runway, on_stop=on_stop, **alert._asdict())
    (settings,) = resolve(options, default_scope=ScopeChoice.SPENDABLE)
    return settings


def _limits(settings: "Settings", max_spend: str | None) -> "Limits":
    from apimart_cli.config.values import parse_amount
    from apimart_cli.rules.guard import Limits

    budget = None if max_spend is None else parse_amount(max_spend, "--max-spend")
    if budget is not None and not budget:
        raise UsageError("--max-spend: nothing may be spent then", "give more than 0")
    limits = Limits(settings.min.value, budget, settings.min_runway.value)
    if not limits.are_set:
        raise UsageError("there is no limit to guard", "give --max-spend, --min or --min-runway, like: --max-spend 3")
    return limits


def _report(text: str) -> "Path":
    """Return the path of the report. Raises UsageError if it cannot be written: better before money is spent."""
    import os
    from contextlib import suppress
    from pathlib import Path

    from apimart_cli.files import found_for_output
    from apimart_cli.owners import UnsafeError, trusted_owners

    path = Path(text)
    if path.is_dir() or not text:
        raise UsageError("--report: that is a folder, not a file", "name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--report: nothing can be written in the folder {path.parent}", "name another place")
    try:
        # Other errors show when the report is written.
        with suppress(OSError), found_for_output(path, trusted_owners()):
            pass
    except UnsafeError as error:
        raise UsageError(
            f"--report: nothing is written to {path}: {error.reason(path)}", error.hint(is_read=True)
        ) from None
    return path
