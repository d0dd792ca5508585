"""The board: every balance that is watched, and what is known of it. Pure: no I/O, no clock."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from apimart_cli.balance import Reading
from apimart_cli.course import Course, View
from apimart_cli.errors import ExitCode
from apimart_cli.gate import code_of_readings
from apimart_cli.words import Change, Scope


class News(NamedTuple):
    """A balance of which something changed."""

    view: View
    changes: Sequence[Change]


class Board:
    """The courses of all balances, in the order in which they were first seen."""

    def __init__(self, bar: timedelta) -> None:
        """Show the spend of times as long as `bar`."""
        self._bar = bar
        self._courses: dict[tuple[str, Scope], Course] = {}

    def take(self, readings: Iterable[Reading]) -> list[News]:
        """Take note of readings, and return what changed with them."""
        news = []
        for reading in readings:
            course = self._courses.setdefault((reading.profile, reading.scope), Course(self._bar))
            changes = course.take(reading)
            if changes:
                news.append(News(course.view(), changes))
        return news

    @property
    def views(self) -> list[View]:
        """What is known by now."""
        return [course.view() for course in self._courses.values()]

    @property
    def is_below(self) -> bool:
        """Whether any balance is below its `min`."""
        return any(course.is_below for course in self._courses.values())

    @property
    def code(self) -> ExitCode:
        """What to end with: OK, or the code of the first failure of a balance that was never read."""
        unread = [course.view() for course in self._courses.values() if not course.was_read]
        return code_of_readings([view.reading for view in unread])
