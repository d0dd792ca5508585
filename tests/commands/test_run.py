"""`run`: what starts, what does not, what stops a command, and what is told of it afterwards."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.runs import begin, finish, runs
from apimart_cli.ledger.upkeep import rename_profile
from apimart_cli.readings import forecasts
from apimart_cli.records import Run
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.words import StoppedBy
from support.past import recorded, write_past
from support.processes import is_running
from support.running import KEY, KEY_ID, PLENTY, Call, Called, Serve, Write, connected
from support.scripted import ACCOUNT, Gateway, Reply, balance, refusal
from support.scripted import gateway as gateway_of
from support.stopwatch import Stopwatch, Took

# The watchdog is a copy of this process, whose threads hold no lock that it could miss.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

D = Decimal
TOUCH = ("sh", "-c", "touch started")
QUICK = ("--no-settle", "--interval", "0.1", "--kill-after", "2")
REPORT = ("--report", "report.json")


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """The file that TOUCH makes."""
    return tmp_path / "started"


@pytest.fixture(autouse=True)
def _settle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes to settle is shown once, with a process."""
    monkeypatch.setattr("apimart_cli.run.looking.SETTLE_PAUSE", 0.1)
    monkeypatch.setattr("apimart_cli.run.looking.SETTLE_LIMIT", 0.35)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway whose key has 10 left and whose account has 3."""
    with gateway_of(lambda path, _: balance("3", "7") if path == ACCOUNT else balance("10", "2")) as server:
        yield server


def at(gateway: Gateway) -> dict[str, str]:
    return {"APIMART_BASE_URL": gateway.url, "APIMART_API_KEY": KEY}


def report_of(tmp_path: Path) -> dict[str, Any]:
    text = (tmp_path / "report.json").read_text()
    return dict(json.loads(text, parse_float=Decimal, parse_int=Decimal))


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "there is no limit to guard"),
    (("--max-spend", "0"), "--max-spend: nothing may be spent then"),
    (("--max-spend", "1,5"), "--max-spend: '1,5' is not an amount: it has a comma"),
    (("--min", "1", "--interval", "0.01"), "--interval: must be at least 0.1 seconds"),
    (("--min", "1", "--kill-after", "-1"), "--kill-after: '-1' has a sign; a duration has none"),
    (("--min", "1", "--min-runway", "3"), "--min-runway: '3' has no unit"),
    (("--min", "1", "--report", "no/such/folder/file"), "--report: nothing can be written in the folder no/such"),
    (("--min", "1", "--report", "."), "--report: that is a folder, not a file"),
    (("--min", "1", "--api-key", "-"), "--api-key -: standard input belongs to the command"),
    (("--min", "1", "--settle", "--no-settle"), "--settle and --no-settle contradict each other"),
    (("--min", "1", "--profile", "c"), "--profile: there is no profile 'c'"),
    (("--min", "1", "--nonsense"), "No such option: --nonsense"),
])  # fmt: skip
def test_what_makes_no_sense_is_125_and_nothing_is_started(
    call: Call, sandbox: Any, started: Path, write_config: Write, arguments: tuple[str, ...], message: str
) -> None:
    """A command may have any of the codes that apimart has: none of those is used."""
    write_config('[profiles.a]\napi_key = "sk-a"\n[profiles.b]\napi_key = "sk-b"\n')
    env = {"APIMART_BASE_URL": sandbox.url} if "--profile" in arguments else connected(sandbox)
    ended = call("run", *arguments, "--", *TOUCH, env=env)
    assert (ended.code, ended.stdout, started.exists()) == (125, "", False)
    assert ended.stderr.startswith(f"apimart: error: {message}")
    assert "\nhint: " in ended.stderr


def test_without_a_command_there_is_nothing_to_guard(call: Call, sandbox: Any) -> None:
    """Also where a script has lost it; help is no failure."""
    for words in (("--min", "1"), ("--min", "1", "--"), ()):
        assert call("run", *words, env=connected(sandbox)).code == 125
    ended = call("run", "--help")
    assert (ended.code, ended.stderr, "124 stopped" in ended.stdout) == (0, "", True)


@pytest.mark.parametrize(("fields", "message", "code", "stopped_by"), [
    ({"key": Funds(D("0.9"), D(1))}, "the command was not started: 0.9 left, at least 1 required", 3, "min"),
    ({"fault": Fault.PAYMENT_REQUIRED}, "the command was not started: the account cannot pay", 3, "payment_required"),
    ({"fault": Fault.UNAUTHORIZED}, "the command was not started: the balance is not known", 4, "blind"),
    ({"fault": Fault.SERVER_ERROR}, "the command was not started: the balance is not known", 5, "blind"),
    ({"fault": Fault.MALFORMED}, "the command was not started: the balance is not known", 6, "blind"),
])  # fmt: skip
def test_what_is_not_known_to_be_enough_starts_nothing(
    call: Call, serve: Serve, started: Path, tmp_path: Path, fields: Any, message: str, code: int, stopped_by: str
) -> None:
    """The report says why in apimart's own codes."""
    ended = call("run", "--min", "1", "--report", "report.json", "--", *TOUCH, env=connected(serve(**fields)))
    assert (ended.code, ended.stdout, started.exists()) == (125, "", False)
    assert message in ended.stderr
    told = report_of(tmp_path)
    assert (told["exit_code"], told["apimart_exit_code"], told["stopped_by"]) == (125, code, stopped_by)
    assert (told["spent"], told["after"], len(told["before"])) == (None, [], 2)


def test_a_missing_key_starts_nothing(call: Call, sandbox: Any, started: Path) -> None:
    """It says how to give one."""
    ended = call("run", "--min", "1", "--", *TOUCH, env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.code, started.exists(), "no API key" in ended.stderr) == (125, False, True)


def test_silence_can_be_forgiven(call: Call, serve: Serve, started: Path) -> None:
    """`--fail-open`, for a gateway that gave no answer, and for nothing else."""
    line = ("run", "--fail-open", "--min", "1", *QUICK, "--", *TOUCH)
    silent = call(*line, env=connected(serve(fault=Fault.SERVER_ERROR)))
    assert (silent.code, started.exists()) == (0, True)
    assert "the command is started because of --fail-open" in silent.stderr
    started.unlink()
    assert call(*line, env=connected(serve(fault=Fault.UNAUTHORIZED))).code == 125
    assert not started.exists()


def test_a_budget_alone_asks_for_the_key_alone(call: Call, gateway: Gateway) -> None:
    """Before, while and after the command runs: what the account has does not matter to it."""
    assert call("run", "--max-spend", "1", *QUICK, "--", "true", env=at(gateway)).code == 0
    assert len(gateway.asked) == 2
    assert call("run", "--max-spend", "3", *QUICK, "--", "sleep", "0.3", env=at(gateway)).code == 0
    assert {asked.path for asked in gateway.asked} == {"/v1/balance"}


def test_a_key_command_is_run_once(call: Call, sandbox: Any, write_config: Write, tmp_path: Path) -> None:
    """It may ask a person; the command has the terminal now."""
    write_config(f"[profiles.work]\napi_key_command = ['sh', '-c', 'echo x >> {tmp_path}/asked; echo {KEY}']\n")
    ended = call("run", "--min", "1", *QUICK, "--", "sleep", "0.4", env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.code, (tmp_path / "asked").read_text()) == (0, "x\n")


def stopped(call: Call, sandbox: Any, *options: str, seconds: str = "20") -> tuple[Called, Took]:
    watch = Stopwatch()
    ended = call("run", *options, *QUICK, "--", "sleep", seconds, env=connected(sandbox))
    return ended, watch.took()


def test_too_little_that_is_left_stops(call: Call, serve: Serve) -> None:
    """Here the account runs out, and the key does not."""
    sandbox = serve(key=PLENTY, account=Funds(D(3), D(1)), burn=D(5))
    ended, took = stopped(call, sandbox, "--min", "1", "--scope", "both")
    assert ended.code == 124
    took.assert_within(3)
    assert " left, at least 1 required\n" in ended.stderr


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(402), "the account cannot pay (HTTP 402)"),
        (
            Reply('{"error":{"message":"token quota is not enough","code":"quota_not_enough"}}', 403),
            "the quota or the balance is used up (HTTP 403)",
        ),
    ],
)
def test_no_money_starts_nothing_and_stops(call: Call, started: Path, reply: Reply, reason: str) -> None:
    """As HTTP 402 or in words; the reason is told."""
    with gateway_of(lambda *_: reply) as server:
        ended = call("run", "--max-spend", "5", *QUICK, "--", *TOUCH, env=at(server))
    assert (ended.code, started.exists()) == (125, False)
    assert f"was not started: {reason}" in ended.stderr
    answers = iter([balance("10", "2")])
    with gateway_of(lambda *_: next(answers, reply)) as server:
        ended = call("run", "--max-spend", "5", *QUICK, "--", "sleep", "30", env=at(server))
    assert ended.code == 124
    assert f"was stopped: {reason}" in ended.stderr


def unlimited(used_of_key: str, account: Callable[[int], Reply]) -> Callable[[str, str], Reply]:
    """An unlimited key whose used balance stands still; `account` answers the questions about its account."""
    asked: list[str] = []

    def answer(path: str, _key: str) -> Reply:
        if path != ACCOUNT:
            return balance("-1", used_of_key, unlimited=True)
        asked.append(path)
        return account(len(asked))

    return answer


def test_where_the_key_is_never_counted_its_account_is(call: Call, tmp_path: Path) -> None:
    """The budget holds, a warning tells once what is counted, and the report says so."""
    with gateway_of(unlimited("0", lambda count: balance("90", str(25 + count)))) as server:
        ended = call("run", "--max-spend", "3", *REPORT, *QUICK, "--", "sleep", "30", env=at(server))
    assert ended.code == 124
    assert ended.stderr.count("warning: the gateway does not count what this unlimited key uses") == 1
    assert "the spend of other keys is in it" in ended.stderr
    # It is looked at while the command ends, too.
    assert re.search(r"the command was stopped: \d+ spent, 3 allowed", ended.stderr)
    told = report_of(tmp_path)
    assert (told["counted"], told["stopped_by"], len(told["before"])) == ("account", "max_spend", 2)


def test_a_key_that_stands_still_while_its_account_spends_gets_a_warning(call: Call, tmp_path: Path) -> None:
    """Others may spend it: the budget is the key's."""
    answer = unlimited("2", lambda count: balance("90", str(25 + count)))
    ended = until_asked(call, tmp_path, lambda path, _: answer(path, KEY), 8, "--max-spend", "3", *REPORT)
    assert ended.code == 0
    assert ended.stderr.count("warning: what this unlimited key has used stands still while") == 1
    assert (report_of(tmp_path)["counted"], report_of(tmp_path)["spent"]) == ("key", 0)


@pytest.mark.parametrize("status", [404, 500, 429])
def test_an_account_that_is_not_told_leaves_the_key_alone(call: Call, status: int) -> None:
    """The budget goes on with the key, without a word; and a wait that the account asks for is not the key's."""
    refused = refusal(status, Retry_After="60")
    with gateway_of(unlimited("0", lambda _: refused)) as server:
        ended = call("run", "--max-spend", "3", "--timeout", "1", *QUICK, "--", "sleep", "0.5", env=at(server))
        asked = [each.path == ACCOUNT for each in server.asked]
    assert (ended.code, ended.stderr.count("warning")) == (0, 0)
    assert asked.count(False) >= 3
    assert status == 500 or asked.count(True) == 1


def test_an_account_that_counts_and_falls_silent_is_blindness(call: Call) -> None:
    """What is counted has to be seen, as the key's own has to."""
    account = unlimited("0", lambda count: balance("90", str(25 + count)) if count < 3 else refusal(500))
    with gateway_of(account) as server:
        options = ("--max-spend", "50", "--max-blind", "0.3", *QUICK)
        ended = call("run", *options, "--", "sleep", "30", env=at(server))
    assert ended.code == 124
    assert "the command was stopped: the balance is not known: the gateway could not answer (HTTP 500)" in ended.stderr


@pytest.mark.parametrize(("fault", "code"), [(Fault.SERVER_ERROR, 5), (Fault.UNAUTHORIZED, 4), (Fault.HTML, 6)])
def test_blind_for_too_long_it_stops(call: Call, serve: Serve, fault: Fault, code: int, tmp_path: Path) -> None:
    """Also where nothing was spent so far; the report has the code of the failure."""
    options = ("--max-spend", "6", "--max-blind", "0.4", "--timeout", "5", "--report", "report.json")
    ended, took = stopped(call, serve(fault=fault, fault_after=0.2), *options)
    assert ended.code == 124
    assert took.seconds > 0.4
    took.assert_within(4)
    told = report_of(tmp_path)
    assert (told["exit_code"], told["apimart_exit_code"], told["stopped_by"]) == (124, code, "blind")


def until_asked(call: Call, tmp_path: Path, answer: Callable[[str, int], Reply], times: int, *options: str) -> Called:
    """Run a command that ends once the gateway was asked so many times; `answer` is told which question it is."""

    def answer_and_count(path: str, _key: str) -> Reply:
        count = len(gateway.asked)
        if count >= times:
            (tmp_path / "enough").touch()
        return answer(path, count)

    waiting = "until [ -e enough ]; do sleep 0.02; done"
    with gateway_of(answer_and_count) as gateway:
        return call("run", *options, *QUICK, "--", "sh", "-c", waiting, env=at(gateway))


def test_blind_it_goes_on_where_that_is_wanted(call: Call, tmp_path: Path) -> None:
    """`--on-blind continue`."""
    options = ("--max-spend", "3", "--max-blind", "0.1", "--on-blind", "continue")
    ended = until_asked(call, tmp_path, lambda _, count: balance("10") if count <= 2 else refusal(401), 6, *options)
    assert ended.code == 0
    assert "the command goes on, because of --on-blind continue" in ended.stderr


def test_who_asks_to_be_left_alone_where_no_limit_looks_is_and_the_guard_goes_on(call: Call) -> None:
    """A 429 of the key, which `--scope account --min` does not need: it is not asked again, and the account is."""
    asked: list[str] = []

    def answer(path: str, _key: str) -> Reply:
        asked.append(path)
        if path != ACCOUNT:
            return balance("100") if len(asked) <= 2 else refusal(429, Retry_After="3600")
        return balance("1" if len(asked) > 8 else "100")

    with gateway_of(answer) as gateway:
        options = ("--min", "5", "--scope", "account", "--max-blind", "5", "--timeout", "2")
        ended = call("run", *options, *QUICK, "--", "sleep", "30", env=at(gateway))
    assert ended.code == 124
    assert "the command was stopped: 1 left, at least 5 required" in ended.stderr
    assert len([path for path in asked if path != ACCOUNT]) == 2


@pytest.mark.parametrize("wish", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wish_without_sense_does_not_end_the_guard(call: Call, wish: str) -> None:
    """The balance is not known then, for as long as that is allowed."""
    asked: list[float] = []

    def answer(_path: str, _key: str) -> Reply:
        asked.append(time.monotonic())
        return balance("10") if len(asked) == 1 else refusal(429, Retry_After=wish)

    with gateway_of(answer) as gateway:
        options = ("--max-spend", "1", "--timeout", "2", "--max-blind", "0.5")
        ended = call("run", *options, *QUICK, "--", "sleep", "30", env=at(gateway))
    assert ended.code == 124
    assert "the command was stopped: the balance is not known" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(asked) == 2


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_a_bug_of_ours_leaves_nothing_running(
    call: Call, sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without its guard a command must not run on. The code is one that says that nothing is known of it."""
    monkeypatch.setattr("apimart_cli.run.watching.Watch.must_stop", lambda _: (tmp_path / "pid").exists() and fail())
    script = "echo $$ > new; mv new pid; exec sleep 60"
    ended = call("run", "--max-spend", "1", *QUICK, "--", "sh", "-c", script, env=connected(sandbox))
    assert ended.code == 125
    assert "a bug in apimart: ZeroDivisionError" in ended.stderr
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("place", [
    "supervision.settle", "supervision.close", "supervision.doubt_in_words", "supervision._breach",
    "watching.Register.finish", "looking.Looking.again", "accounting._document", "accounting.spent_in_words",
    "readings.alerting.Alerts.finish",
])  # fmt: skip
def test_what_fails_after_the_end_costs_a_warning_and_not_the_status(
    call: Call, sandbox: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A command that has ended by itself is never told as one that was not started."""
    monkeypatch.setattr(f"apimart_cli.run.{place}".replace("run.readings", "readings"), fail)
    options = ("--min", "1", "--max-spend", "100", "--on-low", "true", "--no-settle", "--interval", "60", *REPORT)
    for status in (0, 9) if place == "supervision.settle" else (9,):
        ended = call("run", *options, "--", "sh", "-c", f"exit {status}", env=connected(sandbox))
        assert (ended.code, "Traceback" in ended.stderr) == (status, False)
    is_reached = place not in {"supervision.doubt_in_words", "supervision._breach"}
    assert ("warning: a bug in apimart: ZeroDivisionError" in ended.stderr) == is_reached


def test_what_fails_after_a_stop_does_not_hide_it(
    call: Call, sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The words for it may fail; the status is that of a stop, and the report is written."""
    monkeypatch.setattr("apimart_cli.run.supervision._breach", fail)
    monkeypatch.setattr("apimart_cli.run.watching.Guard.stop", lambda *_: StoppedBy.MIN)
    monkeypatch.setattr("apimart_cli.run.supervision._refusal", lambda *_: None)
    ended = call("run", "--min", "1", *QUICK, "--report", "report.json", "--", "sleep", "30", env=connected(sandbox))
    assert (ended.code, report_of(tmp_path)["stopped_by"]) == (124, "min")


def test_a_bug_while_the_command_ends_does_not_replace_its_status(
    call: Call, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has ended by itself before we failed."""
    # The command ends meanwhile.
    monkeypatch.setattr("apimart_cli.processes.relay.reap_orphans", lambda: time.sleep(0.3) or fail())
    ended = call("run", "--max-spend", "1", *QUICK, "--", "sh", "-c", "sleep 0.1; exit 9", env=connected(sandbox))
    assert ended.code == 9
    assert "warning: a bug in apimart: ZeroDivisionError" in ended.stderr


def test_the_count_begins_with_the_first_reading(call: Call, serve: Serve, tmp_path: Path) -> None:
    """Where the gateway was silent at the start."""
    sandbox = serve(key=Funds(D(100), D(1)), burn=D(5), fault=Fault.SERVER_ERROR, fault_for=0.5)
    options = ("--max-spend", "2", "--fail-open", "--timeout", "0.2", "--report", "report.json")
    ended, took = stopped(call, sandbox, *options)
    assert ended.code == 124
    assert took.seconds > 0.5
    took.assert_within(4)
    assert 2 <= report_of(tmp_path)["spent"] < 5 * took.seconds


def test_what_is_still_moving_is_told_as_the_least(call: Call, serve: Serve, write_config: Write) -> None:
    """After the longest wait; with the unit of the profile."""
    write_config(f'[profiles.work]\napi_key = "{KEY}"\nunit = "USD"\n')
    ended = call("run", "--max-spend", "9", "--", "true", env={"APIMART_BASE_URL": serve(burn=D(1)).url})
    assert ended.code == 0
    assert ended.stderr.startswith("apimart: note: spent at least 0.")
    assert re.search(r" USD in \d s; (10|9)\.\d+ USD left", ended.stderr)


def test_what_comes_late_is_waited_for(call: Call, serve: Serve) -> None:
    """Booked in a batch after the command has ended."""
    sandbox = serve(burn=D(1), lag=0.25)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("apimart_cli.run.looking.SETTLE_LIMIT", 5)
        ended = call("run", "--max-spend", "9", "--", "true", env=connected(sandbox))
    assert ended.stderr.count("(settled)") == 1


def test_a_gateway_that_is_gone_in_the_end_leaves_what_is_known(call: Call, serve: Serve) -> None:
    """No failure of the command's."""
    sandbox = serve(burn=D(1), fault=Fault.SERVER_ERROR, fault_after=0.4)
    options = ("--max-spend", "9", "--timeout", "0.3", *QUICK)
    ended = call("run", *options, "--", "sh", "-c", "sleep 0.6; exit 7", env=connected(sandbox))
    assert ended.code == 7
    assert "note: spent at least 0." in ended.stderr


def test_the_report_tells_everything_exactly(call: Call, sandbox: Any, tmp_path: Path) -> None:
    """One line of JSON; names that look like a key are not repeated."""
    options = ("--max-spend", "9", "--min", "1", "--label", f"nightly {KEY}", "--report", "report.json")
    ended = call("run", *options, *QUICK, "--", "sh", "-c", "exit 42", env=connected(sandbox))
    assert ended.code == 42
    text = (tmp_path / "report.json").read_text()
    assert KEY not in text
    assert text.count("\n") == 1
    told = report_of(tmp_path)
    before, after = told.pop("before"), told.pop("after")
    assert [reading["scope"] for reading in before] == [reading["scope"] for reading in after] == ["key", "account"]
    assert str(after[0]["remain_balance"]) == "10.5"
    begun, end = told.pop("began_at"), told.pop("ended_at")
    assert begun <= end
    assert told.pop("seconds") < 5
    assert told.pop("host") == f"127.0.0.1:{sandbox.server_port}"
    assert told == {
        "schema": 1, "label": "nightly sk-...", "profile": "default", "key_id": KEY_ID, "exit_code": 42,
        "apimart_exit_code": 0, "stopped_by": None, "stopped": False, "could_not_stop": 0,
        "min": 1, "max_spend": 9, "min_runway_days": None,
        "spent": D("0.0"), "counted": "key", "settled": False, "unit": None, "other_runs": None,
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report.json"]


def test_a_report_that_cannot_be_written_is_a_warning(call: Call, sandbox: Any, tmp_path: Path) -> None:
    """The exit code stays the command's; the old report stays whole, and nothing lies beside it."""
    (tmp_path / "report.json").write_text("old")
    script = "mkdir .report.json.$PPID.new report.json.d; exit 5"
    ended = call(
        "run", "--min", "1", *QUICK, "--report", "report.json", "--", "sh", "-c", script, env=connected(sandbox)
    )
    assert ended.code == 5
    assert "apimart: warning: the report report.json could not be written: File exists" in ended.stderr
    assert (tmp_path / "report.json").read_text() == "old"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of the test's own."""
    path = tmp_path / "history.db"
    monkeypatch.setenv("APIMART_HISTORY", str(path))
    monkeypatch.setenv("APIMART_RECORD", "1")
    return path


def other(sandbox: Any, *, began: datetime, key_id: str = KEY_ID) -> Run:
    return Run(key_id, f"127.0.0.1:{sandbox.server_port}", "default", None, None, began)


def test_other_runs_of_the_key_are_named(call: Call, sandbox: Any, ledger: Path) -> None:
    """Those that were under way at the same time; never split, as nobody knows who spent what."""
    now = datetime.now(UTC)
    for _ in range(2):
        begin(ledger, other(sandbox, began=now), now + timedelta(seconds=60))
    begin(ledger, other(sandbox, began=now, key_id="0" * 12), now + timedelta(seconds=60))
    # One that ended before, and one that was killed long ago.
    past = other(sandbox, began=now - timedelta(hours=2))
    finish(ledger, None, past._replace(ended=now - timedelta(hours=1)))
    begin(ledger, past, now - timedelta(hours=1))
    ended = call("run", "--max-spend", "1", *QUICK, "--", "true", env=connected(sandbox))
    assert "apimart: note: 2 other runs were active on this key; what they spent is counted, too\n" in ended.stderr
    ended = call("run", "--max-spend", "1", *QUICK, "--", "true", env={**connected(sandbox), "APIMART_RECORD": "0"})
    assert "other run" not in ended.stderr


def test_a_run_is_kept(call: Call, serve: Serve, ledger: Path) -> None:
    """With its name, its cost and how it ended; without its command line."""
    sandbox = serve(key=Funds(D(100), D(1)), burn=D(5))
    call("run", "--max-spend", "1", "--label", "nightly", *QUICK, "--", "sleep", "20", env=connected(sandbox))
    with opened(ledger) as connection:
        (kept,) = runs(connection)
    assert (kept.key_id, kept.label, kept.stopped_by, kept.exit_code) == (KEY_ID, "nightly", "max_spend", 124)
    assert kept.ended is not None
    assert (kept.spent or 0) >= 1
    assert b"sleep" not in ledger.read_bytes()


def test_readings_of_a_run_are_recorded(call: Call, serve: Serve, ledger: Path) -> None:
    """The first one and the last one, and one a minute in between: a guard looks far more often than anybody reads."""
    sandbox = serve(burn=D(1))
    call("run", "--max-spend", "9", *QUICK, "--", "sleep", "1.2", env=connected(sandbox))
    assert [entry.source for entry in recorded(ledger)] == ["run", "run"]


@pytest.mark.usefixtures("usual_patience")
def test_a_ledger_that_is_locked_holds_nothing_up(call: Call, sandbox: Any, ledger: Path) -> None:
    """Best effort, a quarter of a second each time."""
    call("balance", env=connected(sandbox))
    locked = sqlite3.connect(ledger)
    locked.execute("BEGIN EXCLUSIVE")
    watch = Stopwatch()
    ended = call("run", "--max-spend", "1", *QUICK, "--", "sh", "-c", "exit 4", env=connected(sandbox))
    locked.close()
    watch.took().assert_within(8)
    assert ended.code == 4
    # Recording was asked for: the first look says that it failed, and nobody says it again.
    assert ended.stderr.count("apimart: warning: nothing was recorded") == 1


def test_runs_are_listed(call: Call, serve: Serve, ledger: Path) -> None:
    """With label, duration, spend and why they ended, the latest last; one that was killed says so."""
    sandbox = serve()
    begin(ledger, other(sandbox, began=datetime(2026, 1, 31, 12, tzinfo=UTC)), datetime.now(UTC))
    killed = other(sandbox, began=datetime.now(UTC) - timedelta(hours=1))
    begin(ledger, killed._replace(label="killed"), datetime.now(UTC))
    call("run", "--max-spend", "1", "--label", "good", "--", "sh", "-c", "exit 3", env=connected(sandbox))
    past = other(sandbox, began=datetime.now(UTC))._replace(
        ended=datetime.now(UTC) + timedelta(minutes=65), spent=D("3.50"), unit="USD", stopped_by=StoppedBy.MAX_SPEND,
        exit_code=124,
    )  # fmt: skip
    finish(ledger, None, past)
    lines = call("history", "runs").stdout.splitlines()
    rows = [re.split(" {3,}", line)[1:] for line in lines]
    took = rows[2][2]
    assert re.fullmatch(r"\d+ s", took)
    assert rows == [
        ["Profile", "Label", "Took", "Spent", "Ended"],
        ["default", "killed", "-", "-", "running, or killed"],
        ["default", "good", took, "0.0", "exit 3"],
        ["default", "-", "1 h 5 min", ">= 3.50 USD", "stopped: --max-spend"],
    ]
    documents = [json.loads(line) for line in call("history", "runs", "--json", "--days", "700").stdout.splitlines()]
    assert [each["label"] for each in documents] == [None, "killed", "good", None]
    assert documents[2] == {**documents[2], "schema": 1, "key_id": KEY_ID, "exit_code": 3, "settled": True}
    none = call("history", "runs", "-p", "nobody")
    assert (none.code, none.stdout) == (0, "")
    assert none.stderr.startswith("apimart: note: no command was run in the last 14 days\nhint: ")


def test_runs_are_cleared_and_renamed_with_the_rest(call: Call, sandbox: Any, ledger: Path) -> None:
    """Of a profile, or before a day; a profile that is renamed takes them along."""
    now = datetime.now(UTC)
    for days in (1, 3):
        begin(ledger, other(sandbox, began=now - timedelta(days=days)), now)

    def count(*options: str) -> int:
        return len(call("history", "runs", "--json", *options).stdout.splitlines())

    rename_profile(ledger, "default", "work")
    assert (count("-p", "default"), count("-p", "work")) == (0, 2)
    call("history", "clear", "--yes", "-p", "nobody")
    assert count() == 2
    call("history", "clear", "--yes", "--before", f"{now - timedelta(days=2):%Y-%m-%d}")
    assert count() == 1
    call("history", "clear", "--yes")
    assert count() == 0


LASTING = ("--scope", "key", "--min-runway", "30d", "--report", "report.json", *QUICK)


@pytest.mark.parametrize(("spent_per_day", "options", "code", "inner"), [
    ("0.25", (), 0, 0), ("2", (), 125, 3), (None, (), 125, 8), (None, ("--on-no-forecast", "pass"), 0, 0),
])  # fmt: skip
def test_what_may_not_last_long_enough_starts_nothing(
    call: Call, sandbox: Any, ledger: Path, tmp_path: Path, spent_per_day: str | None, options: Any, code: int,
    inner: int,
) -> None:  # fmt: skip
    """By the low end of the forecast; what nobody can tell is not enough, unless that is said."""
    if spent_per_day is not None:
        write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day=spent_per_day)
    ended = call("run", *LASTING, *options, "--", "true", env=connected(sandbox))
    assert ended.code == code
    assert report_of(tmp_path)["apimart_exit_code"] == inner


def test_what_no_longer_lasts_long_enough_stops(call: Call, serve: Serve, ledger: Path, tmp_path: Path) -> None:
    """Here much is spent in no time; it is seen all at once."""
    sandbox = serve(burn=D(8), lag=0.5)
    write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day="0.25")
    ended = call("run", *LASTING, "--", "sleep", "20", env=connected(sandbox))
    assert ended.code == 124
    assert "the command was stopped: what is left may not last 30 d\n" in ended.stderr
    assert report_of(tmp_path)["stopped_by"] == "min_runway"


@pytest.mark.usefixtures("usual_patience")
def test_a_history_that_cannot_be_read_is_not_too_little(
    call: Call, sandbox: Any, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--on-no-forecast pass` starts the command without a history, and not where nobody knows what it says."""
    monkeypatch.setattr(forecasts, "WAITED_SECONDS", 0.2)
    line = ("run", "--min-runway", "3d", "--on-no-forecast", "pass", *QUICK, "--", "sh", "-c", "exit 4")
    assert call(*line, env=connected(sandbox)).code == 4
    locked = sqlite3.connect(ledger)
    locked.execute("BEGIN EXCLUSIVE")
    ended = call(*line, env=connected(sandbox))
    locked.close()
    assert (ended.code, "the history cannot be read" in ended.stderr) == (125, True)
