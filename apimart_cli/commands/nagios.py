"""`apimart nagios`: the plugin for Nagios, Icinga and other programs that take such plugins.

It always ends with 0, 1, 2 or 3 and a line on standard output: for errors, `cli` and `__main__` make sure of that.
"""

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.choices import WhenNoForecast, WhenUnavailable
from apimart_cli.commands import Command, Version, new_app, take_readings_and_books
from apimart_cli.commands.option_records import AskingOptions, with_records
from apimart_cli.commands.options import (
    AllProfiles,
    ApiKey,
    ApiKeyFile,
    BaseUrl,
    Debug,
    DecidingScopes,
    Profiles,
    Unit,
    trace_of,
)
from apimart_cli.errors import CommandStatus, UsageError
from apimart_cli.words import ScopeChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta

    from apimart_cli.config.settings import Settings
    from apimart_cli.readings.book_forecasts import BookForecasts
    from apimart_cli.readings.books import TakenBooks
    from apimart_cli.rules.budget import JudgedSpend
    from apimart_cli.rules.plugin import Bounds, Range

app = new_app()


class PluginOptions(NamedTuple):
    """The same as `AskingOptions`, with the short names that plugins have."""

    api_key: ApiKey = None
    api_key_file: ApiKeyFile = None
    profiles: Profiles = None
    all_profiles: AllProfiles = False
    scope: DecidingScopes = None
    unit: Unit = None
    base_url: BaseUrl = None
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            "-t",
            metavar="SECONDS",
            help="Limit for the whole answer, retries included. Default: 10.",
            show_default=False,
        ),
    ] = None
    debug: Debug = False


class PluginThresholds(NamedTuple):
    """The thresholds to which balances are held, as they were typed."""

    warning: Annotated[
        str | None,
        typer.Option(
            "--warning", "-w", metavar="RANGE", help="Warn unless the remaining balance is in it.", show_default=False
        ),
    ] = None
    critical: Annotated[
        str | None,
        typer.Option(
            "--critical",
            "-c",
            metavar="RANGE",
            help="Critical unless the remaining balance is in it: 5: is at least 5. Replaces min of the profile.",
            show_default=False,
        ),
    ] = None
    runway_warning: Annotated[
        str | None,
        typer.Option(
            "--runway-warning", metavar="DURATION", help="Warn unless the balance lasts this long.", show_default=False
        ),
    ] = None
    runway_critical: Annotated[
        str | None,
        typer.Option(
            "--runway-critical",
            metavar="DURATION",
            help="Critical unless the balance lasts this long, like 3d. Replaces min_runway of the profile.",
            show_default=False,
        ),
    ] = None


class PluginBudget(NamedTuple):
    """The budget to which what was spent is held, as it was typed."""

    max_spent: Annotated[
        str | None,
        typer.Option(
            "--max-spent",
            metavar="AMOUNT",
            help="Critical unless at most so many dollars were spent, by the gateway's own books; needs --within.",
            show_default=False,
        ),
    ] = None
    within: Annotated[
        str | None,
        typer.Option(
            "--within",
            metavar="DURATION",
            help="The time for --max-spent, like 24h, up to 31d; or today, or month.",
            show_default=False,
        ),
    ] = None


@app.command(cls=Command)
@with_records
def nagios(
    asking: PluginOptions,
    thresholds: PluginThresholds,
    budget: PluginBudget,
    unavailable: Annotated[
        WhenUnavailable,
        typer.Option("--unavailable", help="State to report when there is no balance: no answer, a rejected key."),
    ] = WhenUnavailable.UNKNOWN,
    no_forecast: Annotated[
        WhenNoForecast,
        typer.Option("--no-forecast", help="State to report when there is too little history for a runway."),
    ] = WhenNoForecast.UNKNOWN,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="More lines after the first: everything about each balance.")
    ] = False,
    version: Version = False,  # noqa: ARG001  # its callback does it
) -> CommandStatus:
    """Check the balance as a plugin of Nagios or Icinga.

        apimart nagios -w 10: -c 5:
        apimart nagios -c 5: --runway-warning 7d -p work
        apimart nagios --all-profiles --scope both -v

    RANGE is that of plugins, both ends included: 5: is at least 5, ~:5 at most 5, 1:5 between, @1:5 not between.
    It looks at what can be spent: the smaller of key and account. Without -c or --runway-critical, min, max_used and
    min_runway of the config file are critical. An unlimited quota is more than any number.

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown; nothing else, whatever happens, and 3 for --help.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.readings import Tells
    from apimart_cli.rules.plugin import Choices, examine, examine_spend, worst

    options = AskingOptions(**asking._asdict()).options(**budget._asdict())
    profiles = _without_repeats(resolve(options, default_scope=ScopeChoice.SPENDABLE))
    # Every profile must have a threshold before the first question is asked.
    bounds = _bounds(profiles, thresholds)
    choices = Choices(unavailable, no_forecast)
    held = [profile for profile, each in zip(profiles, bounds, strict=True) if each.are_set]
    bounds = [each for each in bounds if each.are_set]
    with take_readings_and_books(
        held,
        [profile for profile in profiles if profile.budget() is not None],
        source="nagios",
        tells=Tells.NOTHING,
        keyless_too=True,
        trace=trace_of(debug=asking.debug),
        forecast_patience=_forecast_patience(held, bounds),
        books=_books(held, bounds),
    ) as (taken, taken_books):
        # Loaded while the answers travel.
        from apimart_cli.output.nagios import render
        from apimart_cli.screen.writing import write_answer

        found = [
            examine(reading, held_to, choices)
            for each, held_to in zip(taken, bounds, strict=True)
            for reading in each.readings
        ]
        spends = [examine_spend(judged, choices) for judged in _judged(taken_books)]
    # After everything that may take time: a signal that comes later would add a line of its own.
    write_answer(render(found, spends, verbose=verbose))
    return CommandStatus(worst([*(each.state for each in found), *(each.state for each in spends)]))


def _judged(taken: "Iterable[TakenBooks]") -> "Iterator[JudgedSpend]":
    for each in taken:
        from apimart_cli.rules.budget import judge_spend

        budget = each.settings.budget()
        assert budget is not None, "only profiles with a budget are asked about"
        yield judge_spend(each.reading, budget)


def _without_repeats(profiles: "Sequence[Settings]") -> "list[Settings]":
    """Return each profile once, as two of the same name would have the same labels."""
    return list({each.profile.value: each for each in profiles}.values())


def _bounds(profiles: "Sequence[Settings]", thresholds: PluginThresholds) -> "list[Bounds]":
    """Return the bounds of each profile: those of the options, else those of the config file.

    Raises UsageError for a profile without any.
    """
    from apimart_cli.rules.plugin import Bounds, Range, parse_range

    def read(name: str, text: str | None) -> "Range | None":
        return None if text is None else parse_range(text, f"--{name}")

    warning, critical = read("warning", thresholds.warning), read("critical", thresholds.critical)
    runway_warning = _duration(thresholds.runway_warning, "--runway-warning")
    runway_critical = _duration(thresholds.runway_critical, "--runway-critical")
    bounds = []
    for profile in profiles:
        least = profile.min.value
        bounds.append(
            Bounds(
                warning=warning,
                critical=Range(least) if critical is None and least is not None else critical,
                max_used=profile.max_used.value,
                runway_warning=runway_warning,
                runway_critical=profile.min_runway.value if runway_critical is None else runway_critical,
            )
        )
        if not bounds[-1].are_set and profile.budget() is None:
            raise UsageError(
                f"{profile.subject} no threshold to check",
                "give -w, -c, --runway-warning, --runway-critical or --max-spent, or set min in the profile; "
                "like: -w 10: -c 5:",
            )
    return bounds


def _duration(text: str | None, source: str) -> "timedelta | None":
    from apimart_cli.config.values import parse_duration

    return None if text is None else parse_duration(text, source)


def _forecast_patience(profiles: "Sequence[Settings]", bounds: "Sequence[Bounds]") -> float:
    """Return how long to wait for forecasts: 0, which shows those that are there, if no state depends on one."""
    from apimart_cli.readings.forecasts import patience_for

    return patience_for(profiles) if _need_forecasts(bounds) else 0.0


def _books(profiles: "Sequence[Settings]", bounds: "Sequence[Bounds]") -> "BookForecasts | None":
    """Return what tells forecasts from the gateway's books, if a state depends on one."""
    if not _need_forecasts(bounds):
        return None
    from apimart_cli.readings.book_forecasts import gate_books

    return gate_books(profiles)


def _need_forecasts(bounds: "Sequence[Bounds]") -> bool:
    return any(each.runway_warning is not None or each.runway_critical is not None for each in bounds)
