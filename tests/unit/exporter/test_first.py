"""The first round: who is waited for, and for how long."""

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options
from apimart_cli.exporter.plan import FirstRound, Plan, PlannedProfile
from support.running import KEY


def some(number: int) -> list[PlannedProfile]:
    (settings,) = resolve(Options(), {"APIMART_API_KEY": KEY, "HOME": "/nowhere"})
    plan = Plan(60.0, 5.0, lambda: 0.5)
    return [plan.begin(settings, 0.0) for _ in range(number)]


def test_it_is_over_when_each_was_seen() -> None:
    """That is told once."""
    first, second = some(2)
    a_round = FirstRound(ends_at=100.0)
    a_round.add(first)
    a_round.add(second)
    a_round.saw(first)
    assert a_round.end(1.0) is None
    a_round.saw(second)
    assert a_round.end(2.0) == []
    assert a_round.is_over
    assert a_round.end(3.0) is None


def test_it_is_over_when_its_time_is_whoever_is_missing() -> None:
    """They are named."""
    a_round = FirstRound(ends_at=100.0)
    [late] = some(1)
    a_round.add(late)
    assert a_round.end(99.9) is None
    assert a_round.end(100.0) == [late]


def test_whoever_comes_meanwhile_is_waited_for() -> None:
    """Where a reload has put others in the place of all, say. Not afterwards."""
    goes, comes, later = some(3)
    a_round = FirstRound(ends_at=100.0)
    a_round.add(goes)
    a_round.add(comes)
    a_round.saw(goes)
    assert a_round.end(1.0) is None
    a_round.saw(comes)
    assert a_round.end(2.0) == []
    a_round.add(later)
    assert a_round.end(200.0) is None
