"""`apimart usage`: what was spent, by the gateway's own books."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from apimart_cli.choices import BooksScope, UsageBy
from apimart_cli.commands import Command, new_app
from apimart_cli.commands.option_records import AskingOptions, JsonOutput, with_records
from apimart_cli.commands.options import AllProfiles, ApiKey, ApiKeyFile, BaseUrl, Debug, Profiles, Timeout, trace_of
from apimart_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apimart_cli.config.settings import Settings
    from apimart_cli.gateway.books import Query
    from apimart_cli.readings.books import TakenBooks
    from apimart_cli.rules.books import Period


class UsageFormat(StrEnum):
    """What `usage --output` takes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    """A page for people who do not use terminals."""


app = new_app()


class BooksOptions(NamedTuple):
    """The books to ask, and the key to ask with."""

    api_key: ApiKey = None
    api_key_file: ApiKeyFile = None
    profiles: Profiles = None
    all_profiles: AllProfiles = False
    scope: Annotated[
        BooksScope | None,
        typer.Option(
            "--scope", help="Whose spend: key or account. Default: the profile's, else key.", show_default=False
        ),
    ] = None
    base_url: BaseUrl = None
    timeout: Timeout = None
    debug: Debug = False


class UsageOptions(NamedTuple):
    """What is asked."""

    days: Annotated[
        str | None,
        typer.Option("--days", metavar="N", help="How many days, up to today. Default: 30.", show_default=False),
    ] = None
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", help="The first day, like 2026-11-01.", show_default=False),
    ] = None
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DATE", help="The last day. Default: today.", show_default=False),
    ] = None
    by: Annotated[UsageBy, typer.Option("--by", help="What it is told by.")] = UsageBy.MODEL
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME", help="Only this model, by its exact name; may be repeated.", show_default=False
        ),
    ] = None
    tz: Annotated[
        str | None,
        typer.Option(
            "--tz",
            metavar="ZONE",
            help="The time zone of the days, like Europe/Berlin. Default: that of this machine.",
            show_default=False,
        ),
    ] = None


class UsageOutput(NamedTuple):
    """How it is written."""

    output: Annotated[
        UsageFormat | None,
        typer.Option("--output", "-o", help="How to write the answer. Default: table.", show_default=False),
    ] = None
    json: JsonOutput = False

    @property
    def format(self) -> UsageFormat:
        """The format that is asked for. Raises UsageError where `--output` and `--json` contradict each other."""
        if self.json and self.output not in {None, UsageFormat.JSON}:
            raise UsageError(f"--json and --output {self.output} contradict each other", "give one of them")
        return UsageFormat.JSON if self.json else self.output or UsageFormat.TABLE


@app.command(cls=Command)
@with_records
def usage(asking: BooksOptions, asked: UsageOptions, output: UsageOutput) -> ExitCode:
    """Show what was spent, by the gateway's own books.

        apimart usage
        apimart usage --by day --days 14
        apimart usage --since 2026-11-01 -o html > november.html

    Amounts are US dollars, whatever the unit of the balance is. The books are late by a minute or two, and know nothing
    of calls that have not ended.

    Exit codes: 0 shown, 1 internal error, 2 usage, 3 no money left, 4 key missing or rejected, 5 no answer,
    6 answer not to be trusted or no books, 130 interrupted.
    """
    from apimart_cli.config.precedence import resolve

    chosen = output.format
    profiles = resolve(_typed(asking).options())
    if chosen is UsageFormat.CSV and len(profiles) > 1:
        raise UsageError(
            "--output csv has no place for several profiles", "ask for one of them, or with: --output json"
        )
    query_of = _question(asked, asking.scope, is_page=chosen is UsageFormat.HTML)
    from apimart_cli.readings.books import take_books
    from apimart_cli.rules.gate import code_of_failures

    with take_books(profiles, query_of, trace=trace_of(debug=asking.debug)) as taken:
        seen = _write(taken, chosen, asked.by)
    return code_of_failures([each.reading.error for each in seen if each.reading.error is not None])


def _typed(asking: BooksOptions) -> AskingOptions:
    typed = asking._asdict()
    del typed["scope"]
    return AskingOptions(**typed)


def _question(asked: UsageOptions, scope: BooksScope | None, *, is_page: bool) -> "Callable[[Settings], Query]":
    """Return what is asked of the books of each profile. A page has a chart and a table: it needs both groups."""
    from apimart_cli.gateway.books import Query, check_models
    from apimart_cli.readings.books import scope_of
    from apimart_cli.zones import local_zone, zone_of

    name = local_zone() if asked.tz is None else asked.tz
    zone = zone_of(name, "--tz")
    by = UsageBy.DAY_MODEL if is_page else asked.by
    models = check_models(asked.models or (), "--model")
    period = _period(asked, name)
    return lambda settings: Query(period, name, zone, by, scope_of(settings, scope), models)


def _period(asked: UsageOptions, zone_name: str) -> "Period":
    from apimart_cli.config.values import parse_whole_days
    from apimart_cli.rules.books import MOST_DAYS, USUAL_DAYS, last_days, period_of
    from apimart_cli.zones import zone_of

    zone, now = zone_of(zone_name, "--tz"), datetime.now(UTC)
    if asked.since is None:
        if asked.until is not None:
            raise UsageError("--until: there is no beginning", "give --since, too")
        count = USUAL_DAYS if asked.days is None else parse_whole_days(asked.days, "--days", most=MOST_DAYS)
        return last_days(count, now, zone)
    if asked.days is not None:
        raise UsageError("--days and --since exclude each other", "give one of them")
    last = None if asked.until is None else _day(asked.until, "--until")
    return period_of(_day(asked.since, "--since"), last, now, zone)


def _day(text: str, source: str) -> date:
    """Return a day of the calendar. Raises UsageError, which names the option, for anything else."""
    import re

    from apimart_cli.config.values import shown

    if not re.fullmatch(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}", text):
        raise UsageError(f"{source}: {shown(text)} is not a day", "give a day like 2026-11-20")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{source}: there is no day {shown(text)}", "give a day like 2026-11-20") from None


def _write(taken: "Iterable[TakenBooks]", chosen: UsageFormat, by: UsageBy) -> "list[TakenBooks]":
    """Write what the books say, each profile as soon as it is there where the format allows that; return it all."""
    from apimart_cli.screen.writing import standard_output, write_answer

    if chosen is UsageFormat.HTML:
        from apimart_cli.output.usage_page import render_page

        seen = list(taken)
        write_answer(render_page([each.reading for each in seen], by), "utf-8")
        return seen
    from apimart_cli.output.usage import render_usage, render_usage_as_csv, render_usage_as_json

    seen = []
    for each in taken:
        reading = each.reading
        if chosen is UsageFormat.JSON:
            write_answer(render_usage_as_json(reading))
        elif reading.usage is not None and chosen is UsageFormat.CSV:
            write_answer(render_usage_as_csv(reading.usage), "utf-8")
        elif reading.usage is not None:
            write_answer(("\n" if seen else "") + render_usage(reading, standard_output()))
        seen.append(each)
    return seen
