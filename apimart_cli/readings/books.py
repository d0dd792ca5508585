"""The use case of asking the gateway's books: settings in, what they say for each profile out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from apimart_cli.choices import BooksScope, UsageBy
from apimart_cli.config.settings import Settings
from apimart_cli.errors import Trace
from apimart_cli.gateway.books import Query, ask_books, joined, split
from apimart_cli.gateway.question import Sharing
from apimart_cli.readings import Tells
from apimart_cli.readings.take import look_at, progress_for
from apimart_cli.readings.telling import write_failures
from apimart_cli.rules.books import BooksReading
from apimart_cli.words import Scope, Since


def budget_query(settings: Settings) -> Query:
    """Return the question to the books for the budget of a profile: by model, so that the total has parts."""
    from apimart_cli.rules.budget import period_within
    from apimart_cli.zones import local_zone, zone_of

    budget = settings.budget()
    assert budget is not None, "only profiles with a budget are asked about"
    # A duration has the same length in every zone.
    name = local_zone() if isinstance(budget.within, Since) else "UTC"
    zone = zone_of(name, "the time zone")
    return Query(period_within(budget.within, datetime.now(UTC), zone), name, zone, UsageBy.MODEL, scope_of(settings))


class TakenBooks(NamedTuple):
    """What the books say for one profile."""

    settings: Settings
    reading: BooksReading


def scope_of(settings: Settings, chosen: BooksScope | None = None) -> Scope:
    """Return which books are asked: those that are chosen, else those of the account if the profile looks only at it.

    Else they are those of the key, also for a profile that looks at both.
    """
    if chosen is not None:
        return Scope(chosen.value)
    return Scope.ACCOUNT if settings.scope.value.asked == (Scope.ACCOUNT,) else Scope.KEY


@contextmanager
def take_books(
    profiles: Sequence[Settings],
    query_of: Callable[[Settings], Query],
    *,
    tells: Tells = Tells.EVERYTHING,
    refuse_exposed: bool = False,
    keyless_too: bool = False,
    trace: Trace | None = None,
    sharing: Sharing | None = None,
    is_looked_at: bool = False,
) -> Iterator[Iterator[TakenBooks]]:
    """Ask the books of all profiles at once, and give what they say, in order, as soon as it is there.

    A period that is too long for one question is asked in pieces, side by side: a year has twelve, and the gateway
    answers sixty questions a minute. Failures are written after the block. The arguments, and what is raised, are those
    of `take_readings`.
    """
    if not is_looked_at:
        look_at(profiles, tells=tells, refuse_exposed=refuse_exposed, keyless_too=keyless_too)
    asked = [split(query_of(settings)) for settings in profiles]
    targets = [settings.targets()[0] for settings in profiles]
    taken: list[TakenBooks] = []
    with ask_books(
        [(target, query) for target, queries in zip(targets, asked, strict=True) for query in queries],
        trace=trace,
        sharing=sharing,
    ) as readings:
        yield _grouped(profiles, [len(queries) for queries in asked], readings, taken, tells)
    if tells is not Tells.NOTHING:
        write_failures([each.reading for each in taken])


def _grouped(
    profiles: Sequence[Settings],
    counts: Sequence[int],
    readings: Iterator[BooksReading],
    taken: list[TakenBooks],
    tells: Tells,
) -> Iterator[TakenBooks]:
    """Yield what the books say for each profile as soon as all of it is there, and add it to `taken`."""
    with progress_for(profiles, sum(counts), tells) as counted:
        for number, (settings, count) in enumerate(zip(profiles, counts, strict=True), start=1):
            parts = []
            for reading in islice(readings, count):
                if counted is not None:
                    counted.step()
                parts.append(reading)
            taken.append(TakenBooks(settings, joined(parts)))
            if number < len(profiles):
                yield taken[-1]
    # The last one after the progress is wiped away: what the caller writes next has the line to itself.
    yield taken[-1]
