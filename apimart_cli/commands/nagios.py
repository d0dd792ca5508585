"""`apimart nagios`: the plugin for Nagios, Icinga and whatever else takes their plugins.

Whatever happens, it ends with 0, 1, 2 or 3, and its line is on standard output: `cli` and `__main__` see to that.
"""

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.commands import Command, Version, new_app
from apimart_cli.commands.options import (
    AllProfiles,
    ApiKey,
    ApiKeyFile,
    AskingOptions,
    BaseUrl,
    Debug,
    DecidingScopes,
    Profiles,
    Unit,
    trace_of,
    with_records,
)
from apimart_cli.errors import CommandStatus, UsageError
from apimart_cli.words import ScopeChoice, WhenNoForecast, WhenUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta

    from apimart_cli.config.settings import Settings
    from apimart_cli.errors import Trace
    from apimart_cli.readings.books import TakenBooks
    from apimart_cli.readings.forecasts import Forecasts
    from apimart_cli.readings.take import Taken
    from apimart_cli.rules.budget import JudgedSpend
    from apimart_cli.rules.plugin import Bounds, Range

app = new_app()


class PluginOptions(NamedTuple):
    """What is asked, with which key: `AskingOptions`, with the short names that plugins have."""

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


class Thresholds(NamedTuple):
    """What the balances are held to, as it was typed."""

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


class BudgetOptions(NamedTuple):
    """What may be spent, and in which time."""

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
    thresholds: Thresholds,
    budget: BudgetOptions,
    unavailable: Annotated[
        WhenUnavailable,
        typer.Option("--unavailable", help="The state where no balance is to be had: no answer, a rejected key."),
    ] = WhenUnavailable.UNKNOWN,
    no_forecast: Annotated[
        WhenNoForecast, typer.Option("--no-forecast", help="The state where too little history tells no runway.")
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
    What can be spent is looked at: the smaller of key and account. Without -c or --runway-critical, min, max_used and
    min_runway of the config file are critical. An unlimited quota is more than any number.

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown; nothing else, whatever happens, and 3 for --help.
    """
    from apimart_cli.config.precedence import resolve
    from apimart_cli.rules.plugin import Choices, examine, examine_spend, worst

    options = AskingOptions(**asking._asdict()).options(**budget._asdict())
    profiles = _without_repeats(resolve(options, default_scope=ScopeChoice.SPENDABLE))
    # Every profile must have something to be held to before the first question is asked.
    bounds = _bounds(profiles, thresholds)
    choices = Choices(unavailable, no_forecast)
    held = [(profile, held_to) for profile, held_to in zip(profiles, bounds, strict=True) if held_to.are_set]
    with _asked(held, profiles, trace_of(debug=asking.debug)) as (taken, books):
        # Loaded while the answers travel.
        from apimart_cli.output.nagios import render
        from apimart_cli.screen.writing import write_answer

        found = [
            examine(reading, held_to, choices)
            for each, (_, held_to) in zip(taken, held, strict=True)
            for reading in each.readings
        ]
        spends = [examine_spend(judged, choices) for judged in _judged(books)]
    # Last, after all that may take time: a signal that comes after it would add a line of its own.
    write_answer(render(found, spends, verbose=verbose))
    return CommandStatus(worst([*(each.state for each in found), *(each.state for each in spends)]))


@contextmanager
def _asked(
    held: "Sequence[tuple[Settings, Bounds]]", profiles: "Sequence[Settings]", trace: "Trace | None"
) -> "Iterator[tuple[Iterable[Taken], Iterable[TakenBooks]]]":
    """Ask for the balances of `held`, and side by side for what was spent where a profile has a budget."""
    budgeted = [profile for profile in profiles if profile.budget() is not None]
    sharing = None
    if budgeted:
        from apimart_cli.gateway.question import Sharing

        sharing = Sharing()
    with ExitStack() as stack:
        taken: Iterable[Taken] = ()
        if held:
            from apimart_cli.readings.take import take_readings

            asked = [profile for profile, _ in held]
            taken = stack.enter_context(
                take_readings(
                    asked,
                    source="nagios",
                    refuse_exposed=True,
                    keyless_too=True,
                    is_silent=True,
                    trace=trace,
                    forecasts=_forecasts(asked, [bounds for _, bounds in held]),
                    sharing=sharing,
                )
            )
        if not budgeted:
            yield taken, ()
            return
        # Late: hardly any plugin needs it.
        from apimart_cli.readings.books import budget_query, take_books

        books = stack.enter_context(
            take_books(budgeted, budget_query, refuse_exposed=True, is_silent=True, trace=trace, sharing=sharing)
        )
        yield taken, books


def _judged(books: "Iterable[TakenBooks]") -> "Iterator[JudgedSpend]":
    for each in books:
        from apimart_cli.rules.budget import judge_spend

        budget = each.settings.budget()
        assert budget is not None, "only these are asked"
        yield judge_spend(each.reading, budget)


def _without_repeats(profiles: "Sequence[Settings]") -> "list[Settings]":
    """Return each profile once: two of the same name would have the same labels."""
    return list({each.profile.value: each for each in profiles}.values())


def _bounds(profiles: "Sequence[Settings]", thresholds: Thresholds) -> "list[Bounds]":
    """Return what each profile is held to: the options, and what the config file says where they say nothing.

    Raises UsageError where that is nothing.
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


def _forecasts(profiles: "Sequence[Settings]", bounds: "Sequence[Bounds]") -> "Forecasts":
    """Return what makes forecasts: waited for where a state depends on them, and otherwise shown if they are there."""
    from apimart_cli.readings.forecasts import Forecasts, patience_for

    is_asked = any(each.runway_warning is not None or each.runway_critical is not None for each in bounds)
    if not is_asked:
        return Forecasts(profiles)
    from apimart_cli.readings.book_forecasts import gate_books

    return Forecasts(profiles, patience=patience_for(profiles), books=gate_books(profiles))
