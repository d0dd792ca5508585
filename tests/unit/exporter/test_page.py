"""The page: what it tells of each profile, and that those who ask at the same time share one that is fresh."""

import gzip
import re
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apimart_cli.config.settings import Settings
from apimart_cli.exporter import page as page_module
from apimart_cli.exporter.page import FRESH, MetricsBoard, Pages, join_lines, lines_of
from apimart_cli.output.prometheus import MetricReading, families, shown_names
from apimart_cli.words import Scope
from support.hostile_names import NAMES
from support.profiles import profile
from support.readings import AUTH, LONGEST, MOMENT, failed, reading


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """The samples of a page as Prometheus's own client reads them, by name and labels."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            place = (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
            assert place not in found
            found[place] = sample.value
    return found


def test_joined_pages_are_the_page_of_all() -> None:
    """Each family once, with all samples, in the order of the families; without readings, the version alone."""
    assert [place[0] for place in samples(join_lines([lines_of([])]))] == ["apimart_build_info"]
    told = [
        MetricReading(reading(profile="work", unit="USD"), Decimal(5)),
        MetricReading(reading(None, profile="work", scope=Scope.ACCOUNT)),
        MetricReading(failed(AUTH, "home"), Decimal(3)),
        MetricReading(reading(LONGEST, profile="rich")),
    ]
    page = join_lines([lines_of([]), lines_of(told[:2]), lines_of(told[2:3]), lines_of(told[3:])])
    expected = {
        (family.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): float(sample.value)
        for family in families(told)
        for sample in family.samples
    }
    assert samples(page) == expected
    heads = re.findall(rb"(?m)^# TYPE (\S+) gauge$", page)
    assert [name.decode() for name in heads] == [family.name for family in families(told)]
    assert len(re.findall(rb"(?m)^# HELP ", page)) == len(heads)
    assert page.endswith(b"\n")


def test_no_name_or_unit_gets_out_of_its_label() -> None:
    """Each is one sample with one label, whatever is in it."""
    parts = [lines_of([MetricReading(reading(profile=name, unit=name))]) for name in NAMES]
    page = join_lines([lines_of([]), *parts])
    names = [place for place in samples(page) if place[0] == "apimart_remaining_balance"]
    assert len(names) == len(NAMES)
    assert all(line.startswith((b"# HELP apimart_", b"# TYPE apimart_", b"apimart_")) for line in page.splitlines())


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


@pytest.fixture
def work() -> Settings:
    return profile("work", min="5")


@pytest.fixture
def found(work: Settings) -> MetricsBoard:
    """A board on which a profile was read."""
    found = board(work)
    found.take(work, [reading(profile="work")])
    return found


def test_before_the_first_round_it_tells_of_no_key(found: MetricsBoard) -> None:
    """Though some were read: an alert would fire at every start. The version is told."""
    found.is_shown = False
    assert "work" not in found.page().decode()
    assert lines(found, "build_info")
    found.is_shown = True
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 10.5']


def test_a_failure_takes_the_balance_away_and_leaves_the_time_of_the_last_one(
    found: MetricsBoard, work: Settings
) -> None:
    """No old number stands there as if it were new; what was never read has no time, and not one of 1970."""
    found.take(work, [failed(AUTH, "work")])
    assert lines(found, "reading_success") == ['{profile="work",scope="key"} 0.0']
    assert lines(found, "remaining_balance") == []
    [stamp] = lines(found, "reading_timestamp_seconds")
    assert float(stamp.split()[-1]) == int(MOMENT.timestamp())
    assert lines(found, "min_balance") == ['{profile="work",scope="key",unit=""} 5.0']
    never = board(work)
    never.take(work, [failed(AUTH, "work")])
    assert lines(never, "reading_timestamp_seconds") == []


def test_profiles_that_went_leave_the_page(work: Settings) -> None:
    """And what still comes of them is not told."""
    home = profile("home")
    found = board(work, home)
    for each in (work, home):
        found.take(each, [reading(profile=each.profile.value)])
    found.show([home], shown_names(["home"]))
    found.take(work, [reading(profile="work")])
    assert lines(found, "reading_success") == ['{profile="home",scope="key"} 1.0']


def test_a_threshold_that_changed_is_told_at_once(found: MetricsBoard) -> None:
    """Beside the last reading, not with the next one."""
    found.show([profile("work", min="7")], {"work": "work"})
    assert lines(found, "min_balance") == ['{profile="work",scope="key",unit=""} 7.0']
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 10.5']


def test_what_is_forgotten_is_told_again_once_it_is_read(found: MetricsBoard, work: Settings) -> None:
    """A profile that names another key or gateway now."""
    found.forget("work")
    assert lines(found, "reading_success") == []
    found.take(work, [reading("3", profile="work")])
    assert lines(found, "remaining_balance") == ['{profile="work",scope="key",unit=""} 3.0']


def test_of_what_can_be_spent_the_parts_are_told_and_the_smaller_one() -> None:
    """What is used of the account is held to nothing."""
    one, both = (profile("work", scope=scope, max_used="9") for scope in ("spendable", "both"))
    found = board(one)
    readings = [reading(profile="work"), reading("3", profile="work", scope=Scope.ACCOUNT)]
    found.take(one, readings)
    assert lines(found, "spendable_balance") == ['{profile="work",unit=""} 3.0']
    assert lines(found, "max_used_balance") == ['{profile="work",scope="key",unit=""} 9.0']
    found.show([both], {"work": "work"})
    found.take(both, readings)
    assert len(lines(found, "max_used_balance")) == 2


def test_names_that_would_look_alike_are_told_apart() -> None:
    """Two series with the same labels would cost the whole page."""
    profiles = [profile(name) for name in ("a\u202eb", "a\\u202eb")]
    found = board(*profiles)
    for each in profiles:
        found.take(each, [reading(profile=each.profile.value)])
    assert len(set(lines(found, "reading_success"))) == 2


def test_what_cannot_be_told_is_no_page(found: MetricsBoard, work: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole would be taken for the truth; the next reading mends it."""
    with monkeypatch.context() as patch:
        patch.setattr(page_module, "lines_of", lambda _told: Decimal("x"))
        found.take(work, [reading(profile="work")])
    with pytest.raises(ArithmeticError):
        found.page()
    found.take(work, [reading(profile="work")])
    assert lines(found, "reading_success")


def test_the_page_has_what_was_spent_with_its_window(found: MetricsBoard, work: Settings) -> None:
    """A sample while it is known, and none after a failure; what is told of balances stays."""
    found.take_spent("work", Scope.KEY, Decimal("1.25"))
    for _ in range(2):
        assert lines(found, "spent_usd") == ['{profile="work",scope="key",window="24h"} 1.25']
        found.take(work, [reading(profile="work")])
    found.take_spent("work", Scope.KEY, None)
    assert lines(found, "spent_usd") == []
    assert lines(found, "remaining_balance")
    never = board(work)
    never.take_spent("work", Scope.KEY, Decimal(1))
    assert lines(never, "spent_usd") == []


class Clock:
    """A clock that goes on when the test says so, and pages that are numbered."""

    def __init__(self) -> None:
        self.now, self.made = 100.0, 0
        self.pages = Pages(self.render, clock=lambda: self.now)

    def render(self) -> bytes:
        """Return the next page."""
        self.made += 1
        return b"page %d\n" % self.made


@pytest.fixture
def clock() -> Clock:
    """A clock, with a page that was just made."""
    clock = Clock()
    assert clock.pages.get(compressed=False) == b"page 1\n"
    return clock


def test_a_fresh_page_is_handed_out_again(clock: Clock) -> None:
    """The same bytes, compressed as well, until it is forgotten."""
    clock.now += FRESH / 2
    first = clock.pages.get(compressed=False)
    assert clock.pages.get(compressed=False) is first
    assert gzip.decompress(clock.pages.get(compressed=True)) == first
    assert clock.pages.get(compressed=True) is clock.pages.get(compressed=True)
    assert clock.made == 1
    clock.pages.forget()
    assert clock.pages.get(compressed=False) == b"page 2\n"


@pytest.mark.parametrize("step", [FRESH, -1.0])
def test_an_old_page_is_made_anew(clock: Clock, step: float) -> None:
    """Also after the clock was set back."""
    clock.pages.get(compressed=True)
    clock.now += step
    assert clock.pages.get(compressed=False) == b"page 2\n"
    assert gzip.decompress(clock.pages.get(compressed=True)) == b"page 2\n"


def test_what_goes_wrong_is_raised_and_not_kept(clock: Clock) -> None:
    """The next one who asks may have more luck."""
    clock.pages.forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock.pages, "_render", lambda: int("bad"))
        with pytest.raises(ValueError, match="bad"):
            clock.pages.get(compressed=False)
    assert clock.pages.get(compressed=False) == b"page 2\n"
