"""How often agents may ask the gateway, and the answers that stand in where it is too often. Pure: no clock of its own.

An agent in a loop would ask as fast as it can. Beyond the limit it gets the last answer to the very same question,
which says how old it is.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

from apimart_cli.rules.pace import Moment

MOST_QUESTIONS = 30
"""Most questions in WINDOW seconds. Key and account are a question each."""

WINDOW = 60.0

MOST_KEPT = 64
"""Most answers that are kept: each is to a question of its own."""


class ToolAnswer(NamedTuple):
    """What a tool gives: a JSON object, and whether it is an error."""

    document: Mapping[str, Any]
    is_error: bool = False


class Allowance:
    """How many questions may be asked now. Safe to share between threads."""

    def __init__(self) -> None:
        self._asked: deque[float] = deque()
        self._guard = Lock()

    def take(self, questions: int, now: float) -> float:
        """Count so many questions as asked, and return 0; or count none, and return in how many seconds they may be."""
        with self._guard:
            while self._asked and self._asked[0] <= now - WINDOW:
                self._asked.popleft()
            too_many = len(self._asked) + questions - MOST_QUESTIONS
            if too_many > 0:
                return self._asked[too_many - 1] + WINDOW - now
            self._asked.extend([now] * questions)
            return 0.0


class KeptAnswers:
    """The last answer to each question. Safe to share between threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[object, ...], tuple[ToolAnswer, Moment]] = OrderedDict()
        self._guard = Lock()

    def keep(self, question: tuple[object, ...], answer: ToolAnswer, asked: Moment) -> None:
        """Keep the answer to a question of that moment, in place of an earlier one."""
        with self._guard:
            before = self._answers.get(question)
            if before is not None and before[1].steady > asked.steady:
                # A slow answer to an earlier question.
                return
            self._answers[question] = answer, asked
            self._answers.move_to_end(question)
            if len(self._answers) > MOST_KEPT:  # the one that was kept longest ago goes
                self._answers.popitem(last=False)

    def last(self, question: tuple[object, ...], now: Moment) -> ToolAnswer | None:
        """Return the last answer to the very same question, with its age; None where there is none."""
        with self._guard:
            found = self._answers.get(question)
        if found is None:
            return None
        (document, is_error), asked = found
        # One clock stands still while the machine sleeps, the other may have been set back.
        age = max(now.steady - asked.steady, now.wall - asked.wall)
        return ToolAnswer({**document, "age_seconds": max(1, round(age))}, is_error)
