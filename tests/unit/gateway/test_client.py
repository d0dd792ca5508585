"""The gateway's client: what is asked, how often, how long and in which order."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from requests_mock import Mocker

from apimart_cli.api import fetch_balance
from apimart_cli.errors import (
    ApimartError,
    AuthError,
    BadResponseError,
    PaymentRequiredError,
    UnavailableError,
    UsageError,
)
from apimart_cli.gateway.answer import Answer
from apimart_cli.gateway.client import MAX_CONCURRENCY, ask
from apimart_cli.gateway.question import MAX_ATTEMPTS
from apimart_cli.keys.key import ApiKey, GivenKey, NoKey, SecondsLeft
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.payloads import EXPECTED
from support.places import PAYLOADS
from support.running import KEY
from support.stopwatch import Stopwatch

GATEWAY = "https://gateway.example"
GOOD = '{"success":true,"remain_balance":10.5,"used_balance":2.3,"unlimited_quota":false}'


@pytest.fixture
def gateway() -> Iterator[Mocker]:
    """A gateway that answers what it is told to, and refuses every address it does not know."""
    with Mocker() as mocker:
        yield mocker


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("apimart_cli.gateway.client.time", clock)
    monkeypatch.setattr("apimart_cli.gateway.question.time", clock)
    return clock


def fetch(**options: Any) -> Balance:
    return fetch_balance(KEY, **{"base_url": GATEWAY, **options})


def failure(**options: Any) -> ApimartError:
    with pytest.raises(ApimartError) as caught:
        fetch(**options)
    return caught.value


@pytest.mark.parametrize(("scope", "path"), [("key", "/v1/balance"), ("account", "/v1/user/balance")])
@pytest.mark.parametrize("name", ["key-with-credits", "invalid-key", "challenge-403"])
def test_a_recorded_answer_is_fetched(gateway: Mocker, clock: Clock, name: str, scope: str, path: str) -> None:
    """Status and headers included, it gives its balance or its error for both scopes."""
    recorded = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    gateway.get(
        GATEWAY + path, status_code=recorded["status"], headers=recorded["headers"], content=recorded["body"].encode()
    )
    expected = EXPECTED[name]
    if isinstance(expected, Balance):
        balance = fetch(scope=scope)
        assert balance == expected._replace(scope=Scope(scope), fetched_at=balance.fetched_at)
    else:
        error = failure(scope=scope)
        message = expected.message.replace("rejected the API key", "rejected the API key from the api_key argument")
        assert (type(error), error.message) == (type(expected), message)
    assert {request.path for request in gateway.request_history} == {path}


def test_the_request_goes_through_the_proxy_of_the_environment(
    gateway: Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a company there is no other way out. The balance knows when it was true, in UTC."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    gateway.get(f"{GATEWAY}/v1/balance", text=GOOD)
    before = datetime.now(UTC)
    fetched_at = fetch().fetched_at
    assert before <= fetched_at <= datetime.now(UTC)
    assert fetched_at.tzinfo is UTC
    (request,) = gateway.request_history
    assert (request.method, request.body, request.query, request.verify) == ("GET", None, "", True)
    assert request.proxies["https"] == "http://proxy.example:3128"


@pytest.mark.parametrize("place", ["home", "variable"])
def test_an_entry_of_netrc_never_replaces_the_key(
    gateway: Mocker, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The library would send a password of ~/.netrc in place of an `Authorization` header that it was given."""
    netrc = home / ".netrc" if place == "home" else tmp_path / "netrc"
    netrc.write_text("machine gateway.example login me password secret\ndefault login you password other\n")
    netrc.chmod(0o600)
    if place == "variable":
        monkeypatch.setenv("NETRC", str(netrc))
    gateway.get(f"{GATEWAY}/v1/balance", text=GOOD)
    assert requests.utils.get_netrc_auth(GATEWAY) == ("me", "secret"), "the trap must be armed"
    fetch()
    assert gateway.request_history[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 401}, AuthError),
        ({"status_code": 503, "text": '{"error":{"message":"insufficient balance"}}'}, PaymentRequiredError),
        ({"status_code": 404}, BadResponseError),
        ({"status_code": 500}, UnavailableError),
        ({"text": GOOD + "x"}, BadResponseError),
        ({"text": " " * 70_000 + GOOD}, BadResponseError),
        ({"text": GOOD, "headers": {"Content-Encoding": "br"}}, BadResponseError),
        ({"text": '{"success":false,"message":"try later"}'}, UnavailableError),
        ({"exc": requests.exceptions.SSLError("bad certificate")}, UnavailableError),
        ({"exc": requests.exceptions.InvalidURL("x")}, UsageError),
        ({"exc": RuntimeError("x")}, ApimartError),
    ],
)
def test_a_certain_failure_is_asked_about_once(
    gateway: Mocker, clock: Clock, answer: dict[str, Any], kind: type[ApimartError]
) -> None:
    """Rejected keys, unsafe connections, untrustworthy answers and bugs: asking again cannot mend them."""
    inviting = {} if "exc" in answer else {"headers": {"Retry-After": "1"}}
    gateway.get(f"{GATEWAY}/v1/balance", **{**inviting, **answer})
    assert type(failure()) is kind
    assert gateway.call_count == 1
    assert clock.sleeps == []


@pytest.mark.parametrize(
    "failed",
    [
        *({"status_code": status} for status in (408, 429, 502, 503, 504)),
        {"exc": requests.exceptions.ConnectionError("refused")},
        {"exc": requests.exceptions.ReadTimeout("slow")},
        {"exc": ConnectionResetError(104, "Connection reset by peer")},
    ],
)
def test_a_passing_failure_is_asked_about_again(gateway: Mocker, clock: Clock, failed: dict[str, Any]) -> None:
    """Four times at most, with pauses that double. What the last attempt says counts; a certain failure is the last."""
    gateway.get(f"{GATEWAY}/v1/balance", [failed])
    assert type(failure()) is UnavailableError
    assert gateway.call_count == MAX_ATTEMPTS == 4
    gateway.get(f"{GATEWAY}/v1/balance", [failed, failed, failed, {"text": GOOD}])
    assert fetch().remain_balance == Decimal("10.5")
    assert gateway.call_count == 8
    assert clock.sleeps == [0.25, 0.5, 1.0] * 2
    gateway.get(f"{GATEWAY}/v1/balance", [failed, {"status_code": 401}, {"text": GOOD}])
    assert type(failure()) is AuthError
    assert gateway.call_count == 10


OVER = ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 -0000", "Wed, 21 Oct 2015 07:28:00"]
ODD_DATES = ["Wed, 99 Foo 2026 12:00:00 GMT", "Wed, 21 Oct 99999999999 07:28:00 GMT"]


@pytest.mark.parametrize(
    ("texts", "pauses"),
    [
        (["03"], [3.0, 3.0, 3.0]),
        # A moment that is over is no wait at all.
        (["0", *OVER], [0.0, 0.0, 0.0]),
        # What cannot be read is not obeyed.
        (["", "soon", "-1", "1.5", "1, 2", "\u0662", *ODD_DATES], [0.25, 0.5, 1.0]),
    ],
)
def test_the_gateway_says_when_to_ask_again(
    gateway: Mocker, clock: Clock, texts: list[str], pauses: list[float]
) -> None:
    """`Retry-After` in whole seconds or as a date is obeyed, instead of the usual pauses."""
    for text in texts:
        clock.sleeps.clear()
        gateway.get(f"{GATEWAY}/v1/balance", status_code=429, headers={"Retry-After": text})
        assert type(failure()) is UnavailableError
        assert clock.sleeps == pauses


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))])
def test_a_date_to_ask_again_is_waited_for(gateway: Mocker, clock: Clock, zone: timezone) -> None:
    """The wait is the time from now to the moment that the gateway names, in whatever zone it names it."""
    moment = datetime.now(zone) + timedelta(seconds=5)
    answers = [{"status_code": 503, "headers": {"Retry-After": format_datetime(moment)}}, {"text": GOOD}]
    gateway.get(f"{GATEWAY}/v1/balance", answers)
    fetch()
    assert len(clock.sleeps) == 1
    assert 2 < clock.sleeps[0] <= 5


def test_a_wait_beyond_the_deadline_is_not_begun(gateway: Mocker, clock: Clock) -> None:
    """The failure is told at once: waiting to the end of the time limit would gain nothing."""
    for retry_after in ("10", "21600", "9" * 400, "Thu, 31 Dec 2099 23:59:59 GMT"):
        gateway.get(f"{GATEWAY}/v1/balance", status_code=429, headers={"Retry-After": retry_after})
        assert type(failure(timeout=10)) is UnavailableError
    assert (gateway.call_count, clock.sleeps) == (4, [])
    gateway.get(f"{GATEWAY}/v1/balance", status_code=503)
    failure(timeout=0.25)
    assert (gateway.call_count, clock.sleeps) == (5, [])
    failure(timeout=0.75)
    assert (gateway.call_count, clock.sleeps) == (7, [0.25])


class Exchange(NamedTuple):
    """What `Transport.send` gives: an answer whose headers are there."""

    status: int
    give_body: Callable[[], bytes] = GOOD.encode
    retry_after: str | None = None

    def without_body(self) -> Answer:
        """What the status line tells."""
        return Answer(self.status, "the reason", b"")

    def receive(self) -> Answer:
        """The answer, whole, as soon as the script gives its body."""
        return Answer(self.status, "the reason", self.give_body())


Script = Callable[[Target], Exchange | None]
"""What is answered to a question; by default a balance."""


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a script in the place of the network: it is called in the thread of each question."""

    def install(script: Script = lambda _target: None) -> None:
        class Stage:
            def __init__(self, *, connections: int) -> None:
                assert connections == MAX_CONCURRENCY

            def send(self, target: Target, key: ApiKey, _seconds_left: object) -> nullcontext[Exchange]:
                assert key.reveal() == KEY
                return nullcontext(script(target) or Exchange(200))

            def close(self) -> None:
                """Nothing was opened."""

        monkeypatch.setattr("apimart_cli.gateway.client.Transport", Stage)

    return install


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end of the test, so that no thread is left waiting."""
    event = threading.Event()
    yield event
    event.set()


Play = Callable[..., None]


def target(number: int = 0, timeout: float = 10.0) -> Target:
    """A question like no other: the same key at the same address would be asked once."""
    key = GivenKey(ApiKey(KEY, source="a test"))
    return Target(f"p{number}", Scope.KEY, key, f"{GATEWAY}/p{number}", timeout, f"U{number}")


def ask_all(targets: list[Target]) -> list[Reading]:
    with ask(targets) as readings:
        return list(readings)


def test_a_silent_gateway_ends_with_the_time_limit(play: Play, release: threading.Event) -> None:
    """Whatever the connection is doing, the reading is there when the time is over; the threads are daemons."""
    seen: list[threading.Thread] = []

    def stay_silent(_target: Target) -> None:
        seen.append(threading.current_thread())
        release.wait(30)

    play(stay_silent)
    watch = Stopwatch()
    (reading,) = ask_all([target(timeout=0.3)])
    took = watch.took()
    assert took.seconds >= 0.3
    took.assert_within(0.8)
    assert type(reading.error) is UnavailableError
    assert reading.error.message == "no answer from gateway.example within 0.3 seconds"
    assert [thread.daemon for thread in seen] == [True]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthError), (402, PaymentRequiredError), (302, BadResponseError), (200, UnavailableError)],
)
def test_a_status_that_decides_is_not_lost_with_its_body(
    play: Play, release: threading.Event, status: int, kind: type[ApimartError]
) -> None:
    """When the body outlives the clock, a failure that the status line has proved is told; 200 alone proves nothing."""

    def drip() -> bytes:
        release.wait(30)
        return b""

    play(lambda _target: Exchange(status, drip))
    (reading,) = ask_all([target(timeout=0.2)])
    assert type(reading.error) is kind


def test_an_answer_that_comes_too_late_changes_nothing(play: Play, release: threading.Event) -> None:
    """Once a reading has failed for time, it stays failed."""
    left = threading.Event()

    def late(_target: Target) -> None:
        release.wait(30)
        left.set()

    play(late)
    with ask([target(0, timeout=0.1), target(1, timeout=0.5)]) as readings:
        first = next(readings)
        release.set()
        assert left.wait(10)
        second = next(readings)
    assert (first.balance, type(first.error)) == (None, UnavailableError)
    assert second.balance is not None


def test_a_bug_fails_the_reading_and_not_the_process(play: Play) -> None:
    """An exception that was not expected becomes an error of its reading, without its message."""

    def break_down(_target: Target) -> None:
        raise ZeroDivisionError(KEY)

    play(break_down)
    (reading,) = ask_all([target()])
    assert type(reading.error) is ApimartError
    assert reading.error.message.startswith(f"a bug in apimart: ZeroDivisionError in {__name__}, line ")


def test_readings_come_in_the_order_asked(play: Play) -> None:
    """Whichever is answered first; and nothing to ask gives no reading."""
    gates = [threading.Event() for _ in range(5)]

    def answer(asked: Target) -> Exchange:
        number = int(asked.profile[1:])
        assert gates[number].wait(10)
        if number:
            gates[number - 1].set()
        return Exchange(200 if number % 2 else 401)

    play(answer)
    gates[4].set()
    readings = ask_all([target(number) for number in range(5)])
    assert [(each.profile, each.unit, each.scope) for each in readings] == [
        (f"p{number}", f"U{number}", Scope.KEY) for number in range(5)
    ]
    assert [type(reading.result) for reading in readings] == [AuthError, Balance, AuthError, Balance, AuthError]
    assert ask_all([]) == []


def test_a_key_that_is_missing_fails_its_own_reading_only(play: Play) -> None:
    """Its error is the reading, nothing is sent for it, and the others are answered."""
    missing, asked = AuthError("there is no API key"), list[str]()
    play(lambda target: asked.append(target.profile))
    readings = ask_all([target(0), target(1)._replace(api_key=NoKey(missing)), target(2)])
    assert [reading.balance is not None for reading in readings] == [True, False, True]
    assert readings[1].error is missing
    assert sorted(asked) == ["p0", "p2"]


def test_asking_starts_before_the_first_reading_is_wanted(play: Play) -> None:
    """Commands load what they need to show an answer while it travels."""
    asked = threading.Event()
    play(lambda _target: asked.set())
    with ask([target()]) as readings:
        assert asked.wait(10)
        assert next(readings).balance is not None


class EndlessKey:
    """A key that is being got for as long as there is time."""

    fault = None
    state = "being got"

    def __init__(self) -> None:
        self.is_started = threading.Event()
        self.is_given_up = False

    def read(self, seconds_left: SecondsLeft) -> ApiKey:
        """Wait as long as there is time, and raise."""
        self.is_started.set()
        while seconds_left() > 0:
            time.sleep(0.005)
        time.sleep(0.05)  # as long as it takes to end a command
        self.is_given_up = True
        raise AuthError("gave no key within the time limit")


def test_an_end_before_the_first_reading_leaves_no_key_command(play: Play) -> None:
    """A bug between asking and reading must not leave a command that prints a key running."""
    key = EndlessKey()
    play()

    def break_down() -> None:
        with ask([target()._replace(api_key=key)]):
            assert key.is_started.wait(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()
    assert key.is_given_up


def test_an_end_that_comes_with_the_start_leaves_no_key_command(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment that a question runs, whatever ends the asking ends its command, too."""
    key = EndlessKey()
    start = threading.Thread.start

    def start_and_break(thread: threading.Thread) -> None:
        start(thread)
        raise ZeroDivisionError

    play()
    monkeypatch.setattr(threading.Thread, "start", start_and_break)
    with pytest.raises(ZeroDivisionError), ask([target()._replace(api_key=key)]):
        pass
    assert key.is_given_up


class HungKey(EndlessKey):
    """A key whose source takes no notice of the time."""

    def __init__(self, release: threading.Event) -> None:
        super().__init__()
        self._release = release

    def read(self, seconds_left: SecondsLeft) -> ApiKey:  # noqa: ARG002  # takes no notice of it
        """Hang until the test ends."""
        self._release.wait(30)
        raise AuthError("too late")


def test_many_sources_that_hang_have_one_allowance_together(play: Play, release: threading.Event) -> None:
    """However many they are, the end is held up once, and each is an AuthError, which --fail-open does not forgive."""
    play()
    targets = [target(number, timeout=0.3)._replace(api_key=HungKey(release)) for number in range(20)]
    watch = Stopwatch()
    readings = ask_all(targets)
    watch.took().assert_within(0.3 + 0.5)
    assert {type(reading.error) for reading in readings} == {AuthError}


def test_a_later_asking_reads_the_key_again(play: Play) -> None:
    """A failure is shared inside one asking, and forgotten after it."""

    class Mended(EndlessKey):
        def read(self, seconds_left: SecondsLeft) -> ApiKey:  # noqa: ARG002  # needs no time
            """Fail once."""
            if not self.is_given_up:
                self.is_given_up = True
                raise AuthError("locked")
            return ApiKey(KEY, source="a test")

    play()
    asked = [target(0)._replace(api_key=(key := Mended())), target(1)._replace(api_key=key)]
    assert [type(reading.error) for reading in ask_all(asked)] == [AuthError, AuthError]
    assert [reading.error for reading in ask_all(asked)] == [None, None]


def limit_threads(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Let only so many questions run at once, as `ulimit -u` does, beside those that earlier tests have left."""
    start = threading.Thread.start
    left = set(threading.enumerate())

    def start_if_there_is_room(thread: threading.Thread) -> None:
        if sum(other.name == thread.name for other in threading.enumerate() if other not in left) >= limit:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_there_is_room)


def test_fewer_threads_ask_the_same_questions(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be started yet waits; a machine that starts none is not the gateway's silence, and no bug."""
    play()
    with monkeypatch.context() as patch:
        limit_threads(patch, 2)
        readings = ask_all([target(number) for number in range(9)])
    assert [reading.balance is not None for reading in readings] == [True] * 9
    limit_threads(monkeypatch, 0)
    errors = [reading.error for reading in ask_all([target(number) for number in range(3)])]
    assert {type(error) for error in errors} == {UsageError}
    assert {f"{error}" for error in errors} == {"nothing can be asked: the system starts no thread"}


def test_a_bounded_number_of_questions_is_under_way(play: Play) -> None:
    """All of them are asked, as many at once as the bound allows, never more."""
    together, running, most = threading.Barrier(MAX_CONCURRENCY), set[str](), list[int]()

    def answer(asked: Target) -> None:
        running.add(asked.profile)
        most.append(len(running))
        together.wait(10)
        time.sleep(0.005)
        running.discard(asked.profile)

    play(answer)
    readings = ask_all([target(number) for number in range(3 * MAX_CONCURRENCY)])
    assert max(most) == MAX_CONCURRENCY
    assert all(reading.balance is not None for reading in readings)


def test_the_clock_of_a_question_starts_when_it_is_asked(play: Play, release: threading.Event) -> None:
    """Questions that wait for their turn lose none of their own time."""

    def answer(asked: Target) -> None:
        if int(asked.profile[1:]) < MAX_CONCURRENCY:
            release.wait(30)

    play(answer)
    readings = ask_all([target(number, timeout=0.3) for number in range(MAX_CONCURRENCY + 4)])
    assert [reading.balance is not None for reading in readings] == [False] * MAX_CONCURRENCY + [True] * 4


def test_a_mistaken_argument_is_refused_before_anything_is_sent(gateway: Mocker) -> None:
    """The same rules as on the command line, named as arguments."""
    for options, message in (
        ({"scope": "both"}, "scope: must be one of key, account"),
        ({"scope": "KEY"}, "scope: must be one of key, account"),
        ({"timeout": 0}, "timeout: the time limit must be more than 0 and at most 3600 seconds"),
        ({"base_url": "http://gateway.example"}, "base_url: the base URL would send the key unencrypted"),
        ({"api_key": "two words"}, "the API key from the api_key argument has white space in it"),
    ):
        with pytest.raises(ApimartError) as caught:
            fetch_balance(**{"api_key": KEY, "base_url": GATEWAY, **options})
        assert type(caught.value) is (AuthError if "api_key" in options else UsageError)
        assert caught.value.message.startswith(message)
    assert gateway.call_count == 0


def test_the_usual_arguments_ask_the_documented_gateway(gateway: Mocker) -> None:
    """Only the key is needed. A scope may be a word or a member."""
    gateway.get("https://api.apimart.ai/v1/balance", text=GOOD)
    gateway.get("https://api.apimart.ai/v1/user/balance", text=GOOD)
    balance = fetch_balance(KEY)
    assert (balance.scope, balance.remain_balance, balance.used_balance) == (Scope.KEY, Decimal("10.5"), Decimal("2.3"))
    assert fetch_balance(KEY, scope="account").scope is fetch_balance(KEY, scope=Scope.ACCOUNT).scope is Scope.ACCOUNT
