"""`watch`: what it takes, what it ends with, and how it asks round after round, on a clock of the test's own."""

import gc
import json
import os
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import certifi
import pytest

from apimart_cli.__main__ import OBJECTS_BETWEEN_COLLECTIONS
from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.ledger.file import opened
from apimart_cli.ledger.queries import entries
from apimart_cli.readings.rounds import Clock, Rounds
from apimart_cli.readings.take import Taken
from apimart_cli.readings.watch import WatchedBalances, WatchOptions, watch
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Serve, Write, connected
from support.scripted import ACCOUNT, Gateway, balance, refusal
from support.scripted import gateway as gateway_of
from support.secure import Gateway as TlsGateway
from support.secure import authority, certified

D = Decimal
QUICK = ("--interval", "0.1")


class Time:
    """Two clocks that go on when the test says so."""

    def __init__(self) -> None:
        self.steady, self.wall = 1000.0, 1_700_000_000.0

    @property
    def clock(self) -> Clock:
        """What is given to the code under test."""
        return Clock(lambda: self.steady, lambda: self.wall)

    def pass_by(self, seconds: float) -> None:
        """Let both go on."""
        self.steady += seconds
        self.wall += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def quick(sandbox: Sandbox) -> dict[str, str]:
    return {**connected(sandbox), "APIMART_SANDBOX": "1"}


def settings_of(gateway: Sandbox | Gateway, **options: Any) -> list[Settings]:
    """What is in force for one profile, or for those that are named."""
    return resolve(Options(base_url=gateway.url, **options), {"APIMART_API_KEY": KEY, "HOME": os.environ["HOME"]})


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apimart_cli.gateway.question.FIRST_PAUSE", 0.001)


def seconds_between(rounds: Rounds, time: Time, count: int) -> list[float]:
    """Ask so many rounds when they are due; return how long each waited for its turn."""
    pauses = []
    for _ in range(count):
        pauses.append(round(rounds.seconds_to_next(), 3))
        time.pass_by(rounds.seconds_to_next())
        rounds.again()
    return pauses


@pytest.mark.parametrize(("arguments", "message"), [
    (("--interval", "4.9"), "--interval: must be at least 5 seconds"),
    (("--for", "60"), "--for: '60' has no unit"), (("--count", "0"), "Invalid value for '--count'"),
    (("--until-below",), "--until-below: there is no threshold to fall below"),
    (("--json", "-o", "table"), "--json and --output table contradict each other"),
])  # fmt: skip
def test_what_makes_no_sense_is_2(call: Call, sandbox: Sandbox, arguments: tuple[str, ...], message: str) -> None:
    """And nothing is asked."""
    ended = call("watch", *arguments, env=connected(sandbox))
    assert ended.code == 2
    assert ended.stderr.startswith(f"apimart: error: {message}")
    assert "\nhint: " in ended.stderr


def test_every_profile_needs_a_threshold_to_fall_below(call: Call, write_config: Write) -> None:
    """The one that has none is named. Without a key there is nothing to watch."""
    write_config('[profiles.a]\napi_key = "sk-a"\nmin = 3\n[profiles.b]\napi_key = "sk-b"\n')
    ended = call("watch", "--all-profiles", "--until-below")
    assert (ended.code, "profile b has no threshold to fall below" in ended.stderr) == (2, True)
    assert call("watch").code == 4


@pytest.mark.parametrize(("fault", "code"), [(Fault.PAYMENT_REQUIRED, 3), (Fault.SERVER_ERROR, 5)])
def test_what_was_never_read_ends_with_the_code_of_its_failure(
    call: Call, serve: Serve, fault: Fault, code: int
) -> None:
    """After all rounds: no failure ends it earlier."""
    ended = call("watch", *QUICK, "--count", "2", "--timeout", "0.2", env=quick(serve(fault=fault)))
    assert ended.code == code
    assert ended.stdout.count("\n") >= 1
    assert ": error: " in ended.stdout


def test_what_was_read_once_ends_with_0(call: Call, serve: Serve) -> None:
    """As `ping` does, although the last question failed."""
    gateway = serve(fault=Fault.SERVER_ERROR, fault_after=0.3)
    ended = call("watch", *QUICK, "--for", "1s", "--timeout", "0.2", "--json", env=quick(gateway))
    assert ended.code == 0
    documents = [json.loads(line, parse_float=Decimal) for line in ended.stdout.splitlines()]
    assert [document["changes"] for document in documents] == [["start"], ["failed"]]
    assert documents[1]["error"]["code"] == "unavailable"
    assert documents[1]["last_remain_balance"] == D("10.5")


def test_nothing_that_changes_writes_nothing(call: Call, sandbox: Sandbox) -> None:
    """One line, for the start; `--for` ends it although nothing has changed."""
    for end in (("--count", "4"), ("--for", "0.3s")):
        ended = call("watch", *QUICK, *end, env=quick(sandbox))
        assert ended.stdout.endswith("Z default/key: 10.5 left, 0.0 spent\n")
        assert (ended.code, ended.stdout.count("\n")) == (0, 1)


@pytest.mark.parametrize(("scope", "names"), [("both", ["key", "account", "spendable"]), ("spendable", ["spendable"])])
def test_every_balance_has_its_line(call: Call, sandbox: Sandbox, scope: str, names: list[str]) -> None:
    """As `balance` has rows."""
    ended = call("watch", "--count", "1", "--scope", scope, env=connected(sandbox))
    assert [line.split()[1] for line in ended.stdout.splitlines()] == [f"default/{name}:" for name in names]


def test_a_profile_that_is_named_twice_is_watched_once(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """Two courses of one name could not be told apart."""
    write_config(f'[profiles.a]\napi_key = "{KEY}"\n')
    ended = call("watch", "--count", "1", "-p", "a", "-p", "a", env={"APIMART_BASE_URL": sandbox.url})
    assert ended.stdout.count("\n") == 1


def profiles(names: str) -> str:
    return "".join(f'[profiles.{name}]\napi_key = "sk-of-{name}"\n' for name in names)


def rounds_of(
    gateway: Sandbox | Gateway, time: Time, *, interval: float = 30, dice: float = 0, **options: Any
) -> Rounds:
    return Rounds(settings_of(gateway, **options), interval=interval, clock=time.clock, dice=lambda: dice)


def test_a_laptop_that_slept_asks_at_once(sandbox: Sandbox, time: Time) -> None:
    """But never twice within five seconds."""
    rounds = rounds_of(sandbox, time, interval=600)
    assert rounds.seconds_to_next() == 0
    rounds.first()
    time.steady += 8
    time.wall += 8 * 3600
    assert rounds.seconds_to_next() == 0
    rounds.again()
    time.wall += 8 * 3600
    assert rounds.seconds_to_next() == 5
    time.wall -= 16 * 3600
    assert rounds.seconds_to_next() == 600
    assert rounds.asked == 2


def test_failures_are_followed_by_longer_pauses_and_end_nothing(serve: Serve, time: Time) -> None:
    """Up to five minutes; an answer brings the interval back. `Retry-After` is obeyed also where it is longer."""
    gateway = serve(fault=Fault.MALFORMED)
    rounds = rounds_of(gateway, time)
    rounds.first()
    assert seconds_between(rounds, time, 6) == [30, 60, 120, 240, 300, 300]
    gateway.scenario = gateway.scenario._replace(fault=None)
    assert seconds_between(rounds, time, 3) == [300, 30, 30]
    rounds = rounds_of(serve(fault=Fault.RATE_LIMIT, retry_after=1000), time)
    rounds.first()
    assert rounds.seconds_to_next() == 1000


def test_each_profile_backs_off_by_itself(write_config: Write, time: Time) -> None:
    """One key that is rejected keeps no other one waiting; all that are due are asked at once."""
    write_config(profiles("abc"))
    with gateway_of(lambda _, key: refusal(401) if key == "sk-of-b" else balance("1", "1")) as gateway:
        assert [keys for _, keys in asked_of(gateway, time, 6)] == ["abc", "ac", "abc", "ac", "ac", "ac"]


def asked_of(gateway: Gateway, time: Time, count: int, dice: float = 0) -> list[tuple[float, str]]:
    """Play rounds of all profiles; return when each was, and of which keys."""
    rounds = rounds_of(gateway, time, dice=dice, all_profiles=True)
    rounds.first()
    began, asked = time.steady, []
    for _ in range(count):
        time.pass_by(rounds.seconds_to_next())
        gateway.asked.clear()
        rounds.again()
        asked.append((time.steady - began, "".join(sorted(each.key[-1] for each in gateway.asked))))
    return asked


def test_profiles_that_answer_are_asked_together_again(write_config: Write, time: Time) -> None:
    """One that was late after a failure comes a little early, once, and the others need not wait for it."""
    write_config(profiles("ab"))
    failures = iter([refusal(401)])
    good = balance("1", "1")
    with gateway_of(lambda _, key: next(failures, good) if key == "sk-of-b" else good) as gateway:
        assert asked_of(gateway, time, 4, 0.1) == [(30, "a"), (35, "b"), (60, "ab"), (90, "ab")]


def test_a_bug_fails_one_round_and_ends_nothing(sandbox: Sandbox, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a failure like any other."""
    rounds = rounds_of(sandbox, time)
    with monkeypatch.context() as patch:
        patch.setattr("apimart_cli.gateway.client.ask", lambda *_, **__: 1 // 0)
        [taken] = rounds.again()
    assert [reading.error.code for reading in taken.readings if reading.error] == ["internal"]
    time.pass_by(60)
    [taken] = rounds.again()
    assert taken.readings[0].balance is not None


def test_the_gateway_s_two_balances_make_what_can_be_spent(time: Time) -> None:
    """In later rounds as in the first, with the threshold of the profile."""
    with gateway_of(lambda path, _: balance("3", "7") if path == ACCOUNT else balance("10", "2")) as gateway:
        rounds = rounds_of(gateway, time, scope="spendable", min="5")
        taken = [*rounds.first()]
        time.pass_by(30)
        taken += rounds.again()
        assert len(taken) == 2
        for each in taken:
            [reading] = each.readings
            assert reading.balance is not None
            assert (reading.balance.remain_balance, reading.low_below) == (3, 5)
            assert [part.low_below for part in reading.parts] == [5, 5]


def test_whoever_wants_to_know_is_told_of_every_round(sandbox: Sandbox, time: Time) -> None:
    """The first one, too; what is raised there ends nothing."""
    told: list[int] = []

    def take(taken: Sequence[Taken]) -> None:
        told.append(len(taken))
        raise ValueError

    options = WatchOptions(settings_of(sandbox), interval=0.05, least=0.01, most_rounds=3, on_readings=take)
    assert watch(options) == 0
    assert told == [1, 1, 1]


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where readings are recorded."""
    path = tmp_path / "history.db"
    monkeypatch.setenv("APIMART_HISTORY", str(path))
    return path


def recorded(path: Path) -> list[tuple[Decimal, str]]:
    with opened(path, seconds=1) as connection:
        return [(entry.used, entry.source) for entry in entries(connection)]


def test_readings_are_recorded(sandbox: Sandbox, ledger: Path) -> None:
    """With the command that asked."""
    environ = {"APIMART_API_KEY": KEY, "HOME": os.environ["HOME"], "APIMART_HISTORY": str(ledger)}
    assert watch(WatchOptions(resolve(Options(base_url=sandbox.url), environ), most_rounds=1)) == 0
    assert recorded(ledger) == [(D("2.3"), "watch")]


def test_readings_are_recorded_now_and_then_and_at_the_end(
    sandbox: Sandbox, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not more often than every 30 seconds; of each profile the last one."""
    written: list[int] = []
    monkeypatch.setattr(
        "apimart_cli.readings.rounds.record", lambda _path, readings, _source: written.append(len(readings))
    )
    rounds = rounds_of(sandbox, time, interval=10)
    counts = []
    for _ in range(7):
        time.pass_by(10)
        rounds.again()
        rounds.record()
        counts.append(len(written))
    assert counts == [0, 0, 1, 1, 1, 2, 2]
    rounds.record(is_last=True)
    rounds.record(is_last=True)
    assert written == [1, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much room it takes")
def test_a_thousand_rounds_take_no_more_room(serve: Serve, time: Time, ledger: Path) -> None:
    """Objects, memory, descriptors and threads are as many as after a hundred and fifty."""
    gateway = serve(burn=D("0.001"))
    environ = {"APIMART_API_KEY": KEY, "HOME": os.environ["HOME"], "APIMART_HISTORY": str(ledger)}
    rounds = Rounds(resolve(Options(base_url=gateway.url), environ), interval=30, clock=time.clock)
    board = WatchedBalances(timedelta(seconds=30))

    def play(count: int) -> None:
        for _ in range(count):
            time.pass_by(rounds.seconds_to_next())
            board.take(reading for each in rounds.again() for reading in each.readings)
            assert len(board.views) == 1

    def taken() -> tuple[int, int, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return len(gc.get_objects()), pages * 4096, len(os.listdir("/proc/self/fd")), threading.active_count()

    play(150)
    before = taken()
    play(850)
    objects, memory, descriptors, threads = (now - then for then, now in zip(before, taken(), strict=True))
    assert rounds.asked == 1000
    # Coverage keeps some of its own: a leak of ten objects a round would be more.
    assert objects < 8500
    # The C library keeps some of what was freed: a leak of 10 KB a round would be more.
    assert memory < 8_000_000
    assert (descriptors <= 2, threads <= 2) == (True, True)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much room it takes")
def test_tls_takes_no_more_room(time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round reads the usual authorities, 0.7 MB of them, and a process of ours looks for garbage seldom."""
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(Path(certifi.where()).read_bytes() + authority().cert_pem.bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authorities))
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        with TlsGateway(certified("localhost")) as gateway:
            options = Options(base_url=f"https://localhost:{gateway.port}")
            settings = resolve(options, {"APIMART_API_KEY": KEY, "HOME": str(tmp_path)})
            rounds = Rounds(settings, interval=30, clock=time.clock)
            taken = []
            for _ in range(40):
                time.pass_by(30)
                [answered] = rounds.again()
                assert answered.readings[0].balance is not None
                taken.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    finally:
        gc.set_threshold(*before)
    assert taken[-1] - taken[9] < 8_000_000
