"""The use case of asking the gateway's books: settings in, what they say out, a reading for each profile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from apimart_cli.config.settings import Settings
from apimart_cli.errors import Trace
from apimart_cli.gateway.books import Query, ask_books, joined, split
from apimart_cli.gateway.question import Sharing
from apimart_cli.readings.take import look_at, waiting_for, write_failures
from apimart_cli.rules.books import BooksReading
from apimart_cli.screen.progress import progress
from apimart_cli.words import BooksScope, Scope, Since, UsageBy


def budget_query(settings: Settings) -> Query:
    """Return what is asked of the books for the budget of a profile: by model, so that the total has parts."""
    from apimart_cli.rules.budget import period_within
    from apimart_cli.zones import local_zone, zone_of

    budget = settings.budget()
    assert budget is not None, "the caller has looked"
    # A duration is as long in every zone.
    name = local_zone() if isinstance(budget.within, Since) else "UTC"
    zone = zone_of(name, "the time zone")
    return Query(period_within(budget.within, datetime.now(UTC), zone), name, zone, UsageBy.MODEL, scope_of(settings))


class TakenBooks(NamedTuple):
    """What the books say for one profile."""

    settings: Settings
    reading: BooksReading


def scope_of(settings: Settings, chosen: BooksScope | None = None) -> Scope:
    """Return whose books are asked: what is chosen; else the account's where the profile looks at that; else the key's.

    A profile that looks at both has one key, whose spend it is about.
    """
    if chosen is not None:
        return Scope(chosen.value)
    return Scope.ACCOUNT if settings.scope.value.asked == (Scope.ACCOUNT,) else Scope.KEY


@contextmanager
def take_books(
    profiles: Sequence[Settings],
    query_of: Callable[[Settings], Query],
    *,
    refuse_exposed: bool = False,
    quiet: bool = False,
    is_looked_at: bool = False,
    is_silent: bool = False,
    trace: Trace | None = None,
    sharing: Sharing | None = None,
) -> Iterator[Iterator[TakenBooks]]:
    """Ask the books of all profiles at once, and give what they say, in order, as soon as it is there.

    A period that is too long for one question is asked in pieces, side by side: of a year those are twelve, and the
    gateway answers sixty a minute. When the block ends, the failures are written to standard error, unless the answer
    tells them itself (`is_silent`). `is_looked_at` is for profiles that `take.look_at` has seen. Raises as
    `take.take_readings`.
    """
    quiet = quiet or is_silent
    if not is_looked_at:
        look_at(profiles, refuse_exposed=refuse_exposed, quiet=quiet, keyless_too=is_silent, is_silent=is_silent)
    asked = [split(query_of(settings)) for settings in profiles]
    targets = [settings.targets()[0] for settings in profiles]
    taken: list[TakenBooks] = []
    with ask_books(
        [(target, query) for target, queries in zip(targets, asked, strict=True) for query in queries],
        trace=trace,
        sharing=sharing,
    ) as readings:
        yield _grouped(profiles, [len(queries) for queries in asked], readings, taken, quiet=quiet)
    if not is_silent:
        write_failures([each.reading for each in taken])


def _grouped(
    profiles: Sequence[Settings],
    counts: Sequence[int],
    readings: Iterator[BooksReading],
    taken: list[TakenBooks],
    *,
    quiet: bool,
) -> Iterator[TakenBooks]:
    with progress(waiting_for(profiles, sum(counts)), quiet=quiet) as counted:
        for number, (settings, count) in enumerate(zip(profiles, counts, strict=True), start=1):
            parts = []
            for reading in islice(readings, count):
                counted.step()
                parts.append(reading)
            taken.append(TakenBooks(settings, joined(parts)))
            if number < len(profiles):
                yield taken[-1]
    # Once the progress is wiped away: what is written next has the line to itself.
    yield taken[-1]
