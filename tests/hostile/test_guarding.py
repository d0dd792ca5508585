"""The guard against an oracle: random answers, failures, pauses, suspensions and clocks, and no stop that is missed.

`python3 -m pytest tests/hostile/test_guarding.py --hypothesis-profile=deep` tries fifty times as many, new ones each
time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.errors import UnavailableError
from apimart_cli.records import Run
from apimart_cli.rules.guard import LONGEST_REST, MOST_INTERVAL, Guard, Limits, Look
from apimart_cli.run import watching
from apimart_cli.run.looking import Sight
from apimart_cli.run.watching import Register, Watch
from apimart_cli.words import StoppedBy

PROFILE = hypothesis.settings.get_current_profile_name()
SEARCH = {"quick": 0.05, "deep": 50}.get(PROFILE, 1)
PATIENCE = 5.0005
"""Seconds that a look may take: no whole milliseconds, which the clock here counts, so that none is late by nothing."""

DAY = datetime(2027, 1, 15, 8, tzinfo=UTC)
RUN = Run("", "api.apimart.ai", "default", None, None, DAY)
NOISE = Fraction(1, 10**6)
"""Seconds by which a moment may be off: the guard counts seconds as floats, the oracle as fractions."""


def tries(count: int) -> hypothesis.settings:
    """Try `count` examples, more or fewer as the profile says."""
    return hypothesis.settings(
        max_examples=max(10, int(count * SEARCH)), suppress_health_check=list(hypothesis.HealthCheck)
    )


class Seen(NamedTuple):
    """One look, on the clock that stands still while the guard is suspended."""

    at: Fraction
    used: int | None = None
    left: int | None = None
    used_of_account: int | None = None
    is_blind: bool = False
    must_pay: bool = False
    ends_too_soon: bool = False
    noticed: Fraction | None = None
    """When a look that did not come back was found missing; None for one that came."""


class Oracle:
    """What docs/run.md says about when a command is stopped, worked out anew each time from all that was seen."""

    def __init__(self, least: int | None, budget: int | None, max_blind: int | None) -> None:
        self._least, self._budget, self._max_blind = least, budget, max_blind
        self.seen: list[Seen] = []
        self._judged = 0
        self._decided: StoppedBy | None = None

    def owed(self, now: Fraction) -> StoppedBy | None:
        """Return why the command has to be stopped: one look is enough, also where a later one says otherwise."""
        for count in range(self._judged, len(self.seen)):
            each = self.seen[count]
            self._decided = self._decided or self._after(self.seen[: count + 1], each.noticed or each.at)
        self._judged = len(self.seen)
        return self._decided or self._after(self.seen, now)

    def _after(self, seen: Sequence[Seen], now: Fraction) -> StoppedBy | None:
        last = seen[-1]
        if last.must_pay:
            return StoppedBy.PAYMENT_REQUIRED
        if self._least is not None and last.left is not None and last.left < self._least:
            return StoppedBy.MIN
        spends = self._spends(seen)
        if self._budget is not None and spends and spends[-1][1] - min(used for _, used in spends) >= self._budget:
            return StoppedBy.MAX_SPEND
        if last.ends_too_soon:
            return StoppedBy.MIN_RUNWAY
        if not last.is_blind or self._max_blind is None:
            return None
        since = last.at
        for each in reversed(seen):
            if not each.is_blind:
                break
            since = each.at
        assumed = self._assumed(seen, spends)
        return StoppedBy.BLIND if now - since >= self._max_blind or (assumed and now >= min(assumed)) else None

    def _spends(self, seen: Sequence[Seen]) -> list[tuple[Fraction, int]]:
        """Return when how much was used: by the key, or by its account where the key is never counted."""
        of_key = [(each.at, each.used) for each in seen if each.used is not None]
        of_account = [(each.at, each.used_of_account) for each in seen if each.used_of_account is not None]
        is_uncounted = bool(of_key) and of_key[-1][1] == 0 and bool(of_account)
        return of_account if is_uncounted and of_account[-1][1] > min(used for _, used in of_account) else of_key

    def _assumed(self, seen: Sequence[Seen], spends: list[tuple[Fraction, int]]) -> list[Fraction]:
        """Return when each limit would be reached at the last rate."""
        falls: list[tuple[Fraction, int]] = []
        for each in seen:
            if not each.is_blind:
                falls = [*falls, (each.at, -each.left)] if each.left is not None else []
        rate, fall = _rate(spends), _rate(falls)
        found = []
        if self._budget is not None and rate:
            rest = self._budget - (spends[-1][1] - min(used for _, used in spends))
            found.append(spends[-1][0] + rest / rate)
        if self._least is not None and falls and (fastest := max(rate, fall)):
            found.append(falls[-1][0] + (-falls[-1][1] - self._least) / fastest)
        return found


def _rate(points: Sequence[tuple[Fraction, int]]) -> Fraction:
    """Return units a second, of the last two points or of the last minute, whichever is more; 0 for none."""
    if len(points) < 2:
        return Fraction(0)
    (at, amount) = points[-1]
    older = [point for point in points[:-1] if point[0] <= at - 60]
    begin = older[-1] if older else points[0]
    rates = [(amount - was) / (at - then) for then, was in (begin, points[-2]) if at > then]
    return max([Fraction(0), *rates])


class Answer(NamedTuple):
    """What the gateway says at one look: by how much what it knows has moved, and what it does not tell."""

    kind: str
    spent: int = 0
    topped_up: int = 0
    retry_after: float | None = None


class Played:
    """A watch whose looks come when it asks for them, and the oracle beside it."""

    def __init__(self, case: "Case") -> None:
        self.case = case
        self.steady = 1000.0
        """What the clock of the system says that never steps."""
        self.day = DAY
        """What the clock of the day says, which may be set to anything."""
        self.now = Fraction(0)
        """How long the command has run, without the time that it was suspended for."""
        self.used, self.left = 7 * (not case.is_uncounted), 20
        self.used_of_account = 3
        limits = Limits(_amount(case.least), _amount(case.budget))
        self.guard = Guard(limits, interval=case.interval, max_blind=case.max_blind)
        self.oracle = Oracle(case.least, case.budget, case.max_blind)
        first = self._sight(Answer("good"))
        self.guard.take(first.look)
        looking: Any = SimpleNamespace(patience=PATIENCE)
        self.watch = Watch(self.guard, looking, first, advice="", register=Register(None, RUN, patience=PATIENCE))

    def pass_by(self, milliseconds: int, *, is_suspended: bool = False) -> None:
        """Let time go by."""
        self.steady += milliseconds / 1000
        if not is_suspended:
            self.now += Fraction(milliseconds, 1000)

    def look(self, answer: Answer) -> None:
        """Let a look come back."""
        self.watch._take(self._sight(answer))

    def _sight(self, answer: Answer) -> Sight:
        self.used += 0 if self.case.is_uncounted else answer.spent
        self.used_of_account += answer.spent
        self.left += answer.topped_up - answer.spent
        knows_key, knows_left = answer.kind not in {"silent", "raises"}, answer.kind not in {"silent", "raises", "half"}
        is_unlimited = answer.kind == "unlimited"
        seen = Seen(
            self.now, used=self.used if knows_key else None,
            left=self.left if knows_left and not is_unlimited else None,
            used_of_account=self.used_of_account if self.case.is_uncounted and knows_left else None,
            is_blind=not knows_left, must_pay=answer.kind == "pay", ends_too_soon=answer.kind == "short",
        )  # fmt: skip
        self.oracle.seen.append(seen)
        failure = UnavailableError("silent") if seen.is_blind else None
        amounts = [_amount(each) for each in (seen.used, seen.left)]
        look = Look(
            1000.0,  # when the first one came; each later one is told when by the watch
            *amounts,
            is_blind=seen.is_blind,
            must_pay=seen.must_pay,
            ends_too_soon=seen.ends_too_soon,
            retry_after=answer.retry_after,
            used_of_account=_amount(seen.used_of_account),
        )
        return Sight(look, (), failure, has_no_forecast=False)


def _amount(number: int | None) -> Decimal | None:
    return None if number is None else Decimal(number)


class Case(NamedTuple):
    """How a command is guarded."""

    least: int | None
    budget: int | None
    interval: float | None
    max_blind: int | None
    is_uncounted: bool


waits = st.sampled_from([None, None, 0, 0.5, 3, 59, 301, 86_400, 1e10, float("inf")])
kinds = st.sampled_from(["good"] * 8 + ["silent"] * 4 + ["half", "raises", "unlimited", "pay", "short"])
answers = st.builds(
    Answer, kinds, spent=st.sampled_from([0, 0, 0, 1, 1, 2, 5, -1]), topped_up=st.sampled_from([0] * 9 + [30]),
    retry_after=waits,
)  # fmt: skip
cases = st.builds(
    Case, least=st.none() | st.integers(0, 15), budget=st.none() | st.integers(1, 20),
    interval=st.sampled_from([None, None, 0.1, 1, 30, 600]), max_blind=st.sampled_from([None, 0, 2, 30, 600]),
    is_uncounted=st.sampled_from([False, False, True]),
).filter(lambda case: case.least is not None or case.budget is not None)  # fmt: skip
events = st.one_of(
    st.tuples(st.just("run"), st.sampled_from([50, 100, 100, 500, 1900])),
    st.tuples(st.just("run until the look"), st.just(0)),
    st.tuples(st.just("suspended"), st.sampled_from([2_100, 60_000, 86_400_000])),
    st.tuples(st.just("the clock is set"), st.sampled_from([-86_400 * 400, -3600, 3600, 86_400 * 400])),
    st.tuples(st.just("hangs"), st.sampled_from([10_000, 40_000, 90_000])),
)


@contextmanager
def played(case: Case) -> Iterator[Played]:
    """Give a watch on a clock of its own, none of whose threads is started."""
    with pytest.MonkeyPatch.context() as patch:
        steady = SimpleNamespace(monotonic=lambda: playing.steady if playing else 1000.0, sleep=lambda _seconds: None)
        playing: Played | None = None
        patch.setattr(watching, "time", steady)
        patch.setattr(watching, "datetime", SimpleNamespace(now=lambda _zone: playing.day if playing else DAY))
        patch.setattr(watching, "write_warning", lambda *_: None)
        patch.setattr(Watch, "_start_looking", lambda *_: None)
        playing = Played(case)
        yield playing


@tries(600)
@given(cases, st.lists(st.tuples(events, answers), min_size=1, max_size=50))
def test_a_stop_is_owed_exactly_when_the_oracle_says_so(
    case: Case, rounds: Sequence[tuple[tuple[str, int], Answer]]
) -> None:
    """Whatever the gateway answers, however long the guard is suspended, and whatever the clock of the day says."""
    with played(case) as play:
        for (event, amount), answer in rounds:
            if _play(play, event, amount, answer):
                return


def _play(play: Played, event: str, amount: int, answer: Answer) -> bool:
    """Play one event, and hold the guard to the oracle; return whether the command is stopped."""
    match event:
        case "the clock is set":
            play.day += timedelta(seconds=amount)
        case "suspended":
            play.pass_by(amount, is_suspended=True)
            # The thread that looks may be the first one to go on.
            if amount == 60_000:
                play.look(answer)
        case "run":
            play.pass_by(amount)
        case "run until the look":
            return _run_until_the_look(play, answer)
        case "hangs":
            return _hang(play, amount)
    return _judge(play)


def _run_until_the_look(play: Played, answer: Answer) -> bool:
    """Neither a fault nor a wish of the gateway keeps the guard from looking for longer than it says."""
    left = play.guard.next_look() - play.watch._now()
    assert left <= max(play.case.interval or MOST_INTERVAL, LONGEST_REST) + NOISE
    while left > 0:
        play.pass_by(min(1900, int(left * 1000) + 1))
        left = play.guard.next_look() - play.watch._now()
        if _judge(play):
            return True
    play.look(answer)
    return _judge(play)


def _hang(play: Played, milliseconds: int) -> bool:
    """No look comes back for a while."""
    for _ in range(milliseconds // 1900):
        play.pass_by(1900)
        if _judge(play):
            return True
    return False


def _judge(play: Played) -> bool:
    """Ask whether to stop, and hold that to the oracle.

    When a look is late, which is noticed after that, the balance has not been known since it was due.
    """
    early, late = play.oracle.owed(play.now - NOISE), play.oracle.owed(play.now + NOISE)
    due = Fraction(play.guard.next_look() - 1000.0)
    is_stopped = play.watch.must_stop()
    assert play.watch.stopped_by in {early, late}
    if not is_stopped and play.now >= due + Fraction(PATIENCE + watching._LATE):
        play.oracle.seen.append(Seen(due, is_blind=True, noticed=play.now))
    return is_stopped
