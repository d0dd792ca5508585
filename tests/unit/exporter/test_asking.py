"""Asking: every profile at its pace, whatever becomes of the others. With real threads and gateways of this machine."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.config.settings import Setting, Settings
from apimart_cli.exporter.asking import Asking
from apimart_cli.exporter.workers import Workers
from apimart_cli.gateway import question
from apimart_cli.rules.balance import Reading
from apimart_cli.rules.pace import Moment, Pace
from support.fault_server import Door, FaultServer
from support.processes import wait_until
from support.profiles import profiles
from support.scripted import Gateway, Reply, balance, gateway, refusal


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apimart_cli.gateway.question.FIRST_PAUSE", 0.001)


class Begun:
    """An asking that runs, and what came of it."""

    def __init__(self, interval: float = 0.2, concurrency: int = 4) -> None:
        self.taken: list[tuple[str, Sequence[Reading]]] = []
        self.completed = threading.Event()
        self.asking = Asking(
            interval=interval,
            least=0.01,
            concurrency=concurrency,
            on_readings=lambda settings, readings: self.taken.append((settings.profile.value, readings)),
            on_first_round=self.completed.set,
        )

    def of(self, name: str) -> list[Reading]:
        """The readings of a profile."""
        return [reading for profile, readings in list(self.taken) if profile == name for reading in readings]

    @property
    def names(self) -> set[str]:
        """The profiles that were read, or failed."""
        return {name for name, _ in list(self.taken)}


@contextmanager
def begun(settings: Sequence[Settings], **options: Any) -> Iterator[Begun]:
    started = Begun(**options)
    started.asking.start(settings)
    try:
        yield started
        assert started.asking.error is None
    finally:
        started.asking.close()


@contextmanager
def asking(
    folder: Path,
    answer: Callable[[str, str], Reply],
    *names: str,
    timeout: str = "5",
    scope: str = "key",
    **options: Any,
) -> Iterator[tuple[Begun, Gateway]]:
    """Ask for profiles of these names at a gateway that answers so."""
    with gateway(answer) as server:
        found = profiles(folder, *((name, server.url) for name in names), timeout=timeout, scope=scope)
        with begun(found, **options) as it:
            yield it, server


def well(_path: str, _key: str) -> Reply:
    return balance("10.5")


TWENTY = [f"p{number}" for number in range(20)]


def test_each_profile_is_asked_again_and_again(tmp_path: Path) -> None:
    """With its own key, and both scopes where both are wanted."""
    with asking(tmp_path, well, "a", "b", scope="both") as (it, server):
        wait_until(lambda: len(it.of("a")) >= 6 and len(it.of("b")) >= 6)
        assert it.completed.is_set()
    assert {reading.balance.remain_balance for reading in it.of("a") if reading.balance} == {Decimal("10.5")}
    assert [reading.scope.value for reading in it.of("a")[:2]] == ["key", "account"]
    assert {asked.key for asked in server.asked} == {"sk-a-0123456789", "sk-b-0123456789"}


def test_no_more_than_that_are_asked_at_once(tmp_path: Path) -> None:
    """Of one gateway."""
    with asking(tmp_path, lambda *_: balance("1", delay=0.02), *TWENTY, concurrency=3) as (it, server):
        wait_until(it.completed.is_set)
        wait_until(lambda: len(it.taken) >= 40)
    assert server.most_at_once == 3


@pytest.mark.parametrize("door", [Door.SHUT, Door.CROWDED])
def test_a_gateway_that_is_down_slows_nothing_but_its_own(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused or left waiting: the others go on, and the round is over after one time limit, not after many."""
    monkeypatch.setattr("apimart_cli.exporter.asking.AT_A_STRETCH", 7)
    with (
        gateway(well) as server,
        FaultServer([[]], door=door) as dead,
        begun(
            profiles(
                tmp_path,
                *((f"live{n}", server.url) for n in range(3)),
                *((f"dead{n}", dead.url) for n in range(40)),
                timeout="0.5",
            ),
            concurrency=5,
        ) as it,
    ):
        wait_until(lambda: len(it.of("live0")) >= 5)
        wait_until(it.completed.is_set)
        assert len(it.names) == 43
        failures = [it.of(f"dead{n}")[0].error for n in range(40)]
    assert all(failure is not None and failure.code == "unavailable" for failure in failures)
    # One set of questions found out; the others were spared, or were not yet asked where that takes long.
    assert sum(failure.message.startswith(("skipped", "not asked yet")) for failure in failures if failure) == 35


def test_a_gateway_that_is_back_is_noticed_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though those that failed would have waited for long: for an hour, in this test."""
    monkeypatch.setattr("apimart_cli.exporter.plan.PROBE_EVERY", 0.2)

    def failed(pace: Pace, now: Moment, **_: Any) -> None:
        pace.failures += 1
        pace._next = now.after(3600)

    monkeypatch.setattr(Pace, "failed", failed)
    is_down = True

    def answer(_path: str, _key: str) -> Reply:
        return refusal(503) if is_down else balance("7")

    with asking(tmp_path, answer, *TWENTY) as (it, _):
        wait_until(lambda: it.names == set(TWENTY))
        assert not any(reading.balance for name in TWENTY for reading in it.of(name))
        is_down = False
        wait_until(lambda: all(it.of(name)[-1].balance for name in TWENTY))


def test_a_key_that_is_rate_limited_is_left_alone_for_as_long_as_that_says(tmp_path: Path) -> None:
    """While the others of the same gateway go on."""

    def answer(_path: str, key: str) -> Reply:
        return refusal(429, Retry_After="3600") if "-slow-" in key else balance("1")

    with asking(tmp_path, answer, "slow", "quick", interval=0.05) as (it, server):
        wait_until(lambda: len(it.of("quick")) >= 8 and it.of("slow"))
        [only] = it.of("slow")
    assert only.error is not None
    assert "HTTP 429" in only.error.message
    assert [asked.key for asked in server.asked].count("sk-slow-0123456789") == 1


def test_what_hangs_where_no_time_limit_reaches_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like the look-up of a name: it fails in time, and another thread takes its place."""
    let_go = threading.Event()

    def fetch(target: Any, *_: Any, **__: Any) -> Any:
        if target.profile == "stuck":
            let_go.wait(60)
        return real(target, *_, **__)

    real = question.fetch
    monkeypatch.setattr(question, "fetch", fetch)
    with asking(tmp_path, well, "stuck", "live", timeout="0.5", concurrency=1) as (it, _):
        wait_until(lambda: len(it.of("live")) >= 3 and it.of("stuck"))
        first = it.of("stuck")[0]
        let_go.set()
    assert first.error is not None
    assert "within 0.5 seconds" in first.error.message


def test_a_slow_gateway_does_not_hold_up_the_first_round_for_ever(tmp_path: Path) -> None:
    """What was not even asked by then counts as failed, and says so; it is asked when its turn comes."""
    slowly, names = lambda *_: balance("1", delay=0.1), TWENTY[:10]
    with asking(tmp_path, slowly, *names, timeout="0.5", concurrency=1) as (it, _):
        wait_until(it.completed.is_set)
        assert it.names == set(names)
        assert any("not asked yet" in each[0].error.message for _, each in it.taken if each[0].error)
        wait_until(lambda: all(any(reading.balance for reading in it.of(name)) for name in names))


def test_profiles_come_and_go(tmp_path: Path) -> None:
    """What stays keeps its pace, what went is not asked again, what is new is asked at once."""
    with asking(tmp_path, well, "stays", "goes", interval=3600) as (it, server):
        wait_until(it.completed.is_set)
        seen: list[int] = []
        then = profiles(tmp_path, ("stays", server.url), ("new", server.url))
        it.asking.replace(then, before=lambda: seen.append(len(it.taken)))
        wait_until(lambda: it.of("new"))
    assert seen == [2]
    assert len(it.of("stays")) == len(it.of("goes")) == 1


def test_where_no_thread_can_be_started_all_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of them, each with the reason."""
    monkeypatch.setattr(Workers, "_start_thread", lambda _self: False)
    [settings] = profiles(tmp_path, ("a", "http://127.0.0.1:9"))
    many = [settings._replace(profile=Setting(f"p{number}", "test")) for number in range(1000)]
    with begun(many, interval=3600) as it:
        wait_until(it.completed.is_set)
    assert len(it.names) == 1000
    assert all("starts no thread" in each[0].error.message for _, each in it.taken if each[0].error)


def test_without_profiles_the_first_round_is_over() -> None:
    """An empty shard is ready."""
    with begun([]) as it:
        wait_until(it.completed.is_set)


def test_a_bug_ends_it_and_is_told(tmp_path: Path) -> None:
    """Rather than a page that is not written any more."""
    with gateway(well) as server:
        broken = Begun()
        broken.asking._on_readings = lambda *_: 1 / 0  # type: ignore[assignment]
        broken.asking.start(profiles(tmp_path, ("a", server.url)))
        wait_until(lambda: broken.asking.error is not None)
        broken.asking.close()
    assert isinstance(broken.asking.error, ZeroDivisionError)
