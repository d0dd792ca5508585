"""The board: what the page tells of each profile, and of none before it is to."""

from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Setting, Settings
from apimart_cli.exporter import page as board_module
from apimart_cli.exporter.page import MetricsBoard
from apimart_cli.output.prometheus import shown_names
from apimart_cli.words import Scope
from support.readings import AUTH, MOMENT, failed, reading
from support.running import KEY


def profile(name: str = "work", **options: Any) -> Settings:
    [settings] = resolve(Options(**options), {"APIMART_API_KEY": KEY, "HOME": "/nowhere"})
    return settings._replace(profile=Setting(name, "test"))


def board(*profiles: Settings) -> MetricsBoard:
    """A board that tells of these profiles."""
    found = MetricsBoard()
    found.show(profiles, shown_names([each.profile.value for each in profiles]))
    found.is_shown = True
    return found


def lines(found: MetricsBoard, family: str) -> list[str]:
    """The samples of a family, without the name that all have."""
    start = f"apimart_{family}"
    return [line.removeprefix(start) for line in found.page().decode().splitlines() if line.startswith(start)]


def test_before_the_first_round_it_tells_of_no_key() -> None:
    """Though some were read: an alert would fire at every start. The version is told."""
    work = profile()
    found = board(work)
    found.is_shown = False
    found.take(work, [reading(profile="work")])
    assert "work" not in found.page().decode()
    assert lines(found, "build_info")
    found.is_shown = True
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 10.5']


def test_a_failure_takes_the_balance_away_and_leaves_the_time_of_the_last_one() -> None:
    """No old number stands there as if it were new."""
    work = profile(min="5")
    found = board(work)
    found.take(work, [reading(profile="work")])
    found.take(work, [failed(AUTH, "work")])
    assert lines(found, "reading_success") == ['{profile="work",scope="key"} 0.0']
    assert lines(found, "remaining_balance") == []
    [stamp] = lines(found, "reading_timestamp_seconds")
    assert float(stamp.split()[-1]) == int(MOMENT.timestamp())
    assert lines(found, "min_balance") == ['{profile="work",scope="key",unit=""} 5.0']


def test_what_was_never_read_has_no_time() -> None:
    """Not one of 1970."""
    work = profile()
    found = board(work)
    found.take(work, [failed(AUTH, "work")])
    assert lines(found, "reading_timestamp_seconds") == []


def test_profiles_that_went_leave_the_page() -> None:
    """And what still comes of them is not told."""
    work, home = profile("work"), profile("home")
    found = board(work, home)
    for each in (work, home):
        found.take(each, [reading(profile=each.profile.value)])
    found.show([home], shown_names(["home"]))
    found.take(work, [reading(profile="work")])
    assert lines(found, "reading_success") == ['{profile="home",scope="key"} 1.0']


def test_a_threshold_that_changed_is_told_at_once() -> None:
    """Beside the last reading, not with the next one."""
    found = board(profile(min="5"))
    found.take(profile(min="5"), [reading(profile="work")])
    found.show([profile(min="7")], {"work": "work"})
    assert lines(found, "min_balance") == ['{profile="work",scope="key",unit=""} 7.0']
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 10.5']


def test_what_is_forgotten_is_told_again_once_it_is_read() -> None:
    """A profile that names another key or gateway now."""
    work = profile()
    found = board(work)
    found.take(work, [reading(profile="work")])
    found.forget("work")
    assert lines(found, "reading_success") == []
    found.take(work, [reading("3", profile="work")])
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 3.0']


def test_of_what_can_be_spent_the_parts_are_told_and_the_smaller_one() -> None:
    """What is used of the account is held to nothing."""
    work = profile(scope="spendable", max_used="9")
    found = board(work)
    account = reading("3", profile="work", scope=Scope.ACCOUNT)
    found.take(work, [reading(profile="work"), account])
    assert lines(found, "spendable_balance") == ['{profile="work",unit=""} 3.0']
    assert lines(found, "max_used_balance") == ['{profile="work",scope="key",unit=""} 9.0']
    both = profile(scope="both", max_used="9")
    found.show([both], {"work": "work"})
    found.take(both, [reading(profile="work"), account])
    assert len(lines(found, "max_used_balance")) == 2


def test_names_that_would_look_alike_are_told_apart() -> None:
    """Two series with the same labels would cost the whole page."""
    names = ["a\u202eb", "a\\u202eb"]
    profiles = [profile(name) for name in names]
    found = board(*profiles)
    for each in profiles:
        found.take(each, [reading(profile=each.profile.value)])
    assert len(set(lines(found, "reading_success"))) == 2


def test_what_cannot_be_told_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole would be taken for the truth; the next reading mends it."""
    work = profile()
    found = board(work)
    with monkeypatch.context() as patch:
        patch.setattr(board_module, "lines_of", lambda _told: Decimal("x"))
        found.take(work, [reading(profile="work")])
    with pytest.raises(ArithmeticError):
        found.page()
    found.take(work, [reading(profile="work")])
    assert lines(found, "reading_success")
