"""A call of a tool into its answer: the settings, the question, the verdict.

Every call reads the settings anew, and asks as the commands do; its readings are recorded as theirs are. What is
decided is decided by `rules.gate`.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from threading import BoundedSemaphore
from typing import Any, TypeVar

from apimart_cli.agents import documents
from apimart_cli.agents.kept import MOST_QUESTIONS, WINDOW, Allowance, KeptAnswers, ToolAnswer
from apimart_cli.agents.tools import Tool, read_arguments, tool_of
from apimart_cli.choices import BooksScope, UsageBy
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.config.values import parse_whole_days
from apimart_cli.errors import ApimartError, Trace, UnavailableError, UsageError, bug, traced_error
from apimart_cli.gateway.books import Query, split
from apimart_cli.gateway.question import Sharing
from apimart_cli.output.json import SCHEMA
from apimart_cli.readings import Tells
from apimart_cli.readings.book_forecasts import BookForecasts, Use, gate_books
from apimart_cli.readings.books import budget_query, scope_of, take_books
from apimart_cli.readings.forecasts import patience_for
from apimart_cli.readings.take import Taken, look_at, take_readings
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.books import MOST_DAYS, USUAL_DAYS, BooksReading, last_days
from apimart_cli.rules.budget import Budget
from apimart_cli.rules.gate import judge
from apimart_cli.rules.pace import Moment
from apimart_cli.text import quote, without_keys
from apimart_cli.words import ScopeChoice
from apimart_cli.zones import local_zone, zone_of

SOURCE = "mcp"
"""What the ledger calls these readings."""

MOST_AT_ONCE = MOST_QUESTIONS
"""Most calls that ask the gateway at once."""


class Desk:
    """Answers calls, in any thread."""

    def __init__(self, *, trace: Trace | None = None) -> None:
        self._trace = trace
        self._allowance = Allowance()
        self._kept = KeptAnswers()
        self._free = BoundedSemaphore(MOST_AT_ONCE)

    def answer(self, name: str, arguments: Mapping[str, Any] | None) -> ToolAnswer:
        """Return what came of calling a tool. Nothing is raised."""
        try:
            tool = tool_of(name)
            return self._answer(tool, read_arguments(tool, arguments))
        except ApimartError as error:
            return documents.failed(error, is_check=name == "check_budget")
        except Exception as error:  # noqa: BLE001  # a bug fails its own call
            for line in traced_error(error) if self._trace is not None else ():
                self._trace(line)  # type: ignore[misc]  # as just asked
            return documents.failed(bug(error), is_check=name == "check_budget")

    def _answer(self, tool: Tool, arguments: Mapping[str, str]) -> ToolAnswer:
        match tool.name:
            case "list_profiles":
                return _profiles()
            case "check_budget":
                return self._check(arguments)
            case "usage":
                return self._usage(arguments)
            case "forecast":
                return self._readings(tool, arguments, default_scope=ScopeChoice.SPENDABLE)
            case _:
                return self._readings(tool, arguments, default_scope=ScopeChoice.KEY)

    def _readings(self, tool: Tool, arguments: Mapping[str, str], *, default_scope: ScopeChoice) -> ToolAnswer:
        settings = _settings(arguments, default_scope)
        key = settings.api_key.value.key_id, settings.api_key.source
        question = (tool.name, settings.profile.value, key, settings.base_url.value, settings.scope.value)
        is_forecast = tool.name == "forecast"

        def ask() -> ToolAnswer:
            books = BookForecasts([settings], Use.SHOWN) if is_forecast else None
            patience = patience_for([settings]) if is_forecast else 0.0
            taken = self._take(settings, patience, books)
            return documents.shown(taken.readings, with_words=is_forecast)

        return self._asked_or_kept(question, _count(settings, with_books=is_forecast), ask)

    def _usage(self, arguments: Mapping[str, str]) -> ToolAnswer:
        settings = _settings(arguments, None)
        query = _query(arguments, settings)
        key = settings.api_key.value.key_id, settings.api_key.source
        question = ("usage", settings.profile.value, key, settings.base_url.value, query.period.since, query.by)

        def ask() -> ToolAnswer:
            with (
                self._place(),
                take_books([settings], lambda _: query, tells=Tells.FAILURES, trace=self._trace) as taken,
            ):
                [found] = taken
            return documents.booked(found.reading)

        return self._asked_or_kept((*question, query.scope, query.tz), len(split(query)), ask)

    def _asked_or_kept(self, question: tuple[object, ...], count: int, ask: Callable[[], ToolAnswer]) -> ToolAnswer:
        """Ask so many questions; beyond the limit, return the last answer to the very same ones."""
        asked = _now()
        if seconds := self._allowance.take(count, asked.steady):
            kept = self._kept.last(question, asked)
            if kept is None:
                raise _too_often(seconds)
            return kept
        answer = ask()
        self._kept.keep(question, answer, asked)
        return answer

    def _check(self, arguments: Mapping[str, str]) -> ToolAnswer:
        settings = _settings(arguments, ScopeChoice.SPENDABLE)
        thresholds, budget = settings.thresholds(), settings.budget()
        query = None if budget is None else budget_query(settings)
        needs_forecast = settings.min_runway.value is not None
        count = _count(settings, with_books=needs_forecast) if thresholds.are_set else 0
        if seconds := self._allowance.take(count + (0 if query is None else len(split(query))), time.monotonic()):
            # Never from an answer that was kept.
            raise _too_often(seconds)
        look_at([settings], refuse_exposed=True, tells=Tells.FAILURES)
        sharing = Sharing()
        readings: Sequence[Reading] = ()
        spends: Sequence[tuple[BooksReading, Budget]] = ()
        with self._place(), ExitStack() as stack:
            # Both are asked before either is waited for.
            if thresholds.are_set:
                taken = stack.enter_context(
                    take_readings(
                        [settings],
                        source=SOURCE,
                        tells=Tells.FAILURES,
                        trace=self._trace,
                        forecast_patience=patience_for([settings]) if needs_forecast else None,
                        books=gate_books([settings]) if needs_forecast else None,
                        sharing=sharing,
                        is_looked_at=True,
                    )
                )
            if query is not None:
                books = stack.enter_context(
                    take_books(
                        [settings],
                        lambda _: query,
                        tells=Tells.FAILURES,
                        is_looked_at=True,
                        trace=self._trace,
                        sharing=sharing,
                    )
                )
            if thresholds.are_set:
                readings = [reading for each in taken for reading in each.readings]
            if query is not None and budget is not None:
                spends = [(each.reading, budget) for each in books]
        return documents.judged(judge([(reading, thresholds) for reading in readings], budgets=spends))

    def _take(self, settings: Settings, patience: float, books: BookForecasts | None) -> Taken:
        with (
            self._place(),
            take_readings(
                [settings],
                source=SOURCE,
                tells=Tells.FAILURES,
                trace=self._trace,
                forecast_patience=patience,
                books=books,
            ) as taken,
        ):
            [found] = taken
        return found

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the places of those that ask. Raises UnavailableError where none is free."""
        if not self._free.acquire(blocking=False):
            raise UnavailableError(
                f"{MOST_AT_ONCE} calls are waiting for the gateway already", "try again when they have ended"
            )
        try:
            yield
        finally:
            self._free.release()


def _now() -> Moment:
    return Moment(time.monotonic(), time.time())


def _settings(arguments: Mapping[str, str], default_scope: ScopeChoice | None) -> Settings:
    """Return the settings of the one profile that a call is about."""
    # For the books, the scope is read elsewhere: it has other words.
    scope = None if default_scope is None else arguments.get("scope")
    options = Options(
        profiles=(arguments["profile"],) if "profile" in arguments else (),
        scope=scope,
        min=arguments.get("min"),
        min_runway=arguments.get("min_runway"),
        max_spent=arguments.get("max_spent"),
        within=arguments.get("within"),
    )
    [settings] = resolve(options, default_scope=default_scope or ScopeChoice.KEY)
    return settings


def _count(settings: Settings, *, with_books: bool) -> int:
    """Return how many questions there may be: one for each balance, and one for the books of each, for its forecast."""
    questions = len(settings.scope.value.asked)
    return 2 * questions if with_books and settings.books.value else questions


def _query(arguments: Mapping[str, str], settings: Settings) -> Query:
    """Return what is asked of the books."""
    by = _chosen(UsageBy, arguments.get("by", UsageBy.MODEL.value), "by")
    scope = _chosen(BooksScope, arguments["scope"], "scope") if "scope" in arguments else None
    days = parse_whole_days(arguments.get("days", str(USUAL_DAYS)), "days", most=MOST_DAYS)
    name = local_zone()
    zone = zone_of(name, "the time zone")
    return Query(last_days(days, datetime.now(UTC), zone), name, zone, by, scope_of(settings, scope))


W = TypeVar("W", bound=StrEnum)


def _chosen(words: type[W], text: str, source: str) -> W:
    """Return the word that `text` is. Raises UsageError for any other text."""
    try:
        return words(text)
    except ValueError:
        raise UsageError(f"{source}: '{quote(text, 40)}' is no choice", f"give one of: {', '.join(words)}") from None


def _too_often(seconds: float) -> ApimartError:
    return UnavailableError(
        f"the gateway is asked at most {MOST_QUESTIONS} questions in {WINDOW:.0f} seconds",
        f"ask again in {max(1, round(seconds))} seconds; the balance is not known until then",
    )


def _profiles() -> ToolAnswer:
    from apimart_cli.config.lookup import list_profiles

    _, rows = list_profiles(os.environ)
    found = [{"profile": without_keys(row.profile), "key_id": row.key_id, "host": row.host} for row in rows]
    return ToolAnswer({"schema": SCHEMA, "exit_code": 0, "profiles": found})
