"""Alerts of `check`, `watch` and `run`: when the command is run, what it is told, and what its failure does."""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.past import write_past
from support.processes import is_running
from support.running import KEY, KEY_ID, Call, Called, Write
from support.scripted import ACCOUNT, Gateway, Reply, balance, refusal
from support.scripted import gateway as gateway_of
from support.stopwatch import Stopwatch

RECORDING = {"APIMART_RECORD": "1"}


class Shop:
    """A gateway whose answers a test changes, and a hook that writes down what it was told."""

    def __init__(self, call: Call, folder: Path) -> None:
        self.key, self.account = balance("4", "6"), balance("100", "7")
        self.log = folder / "told.jsonl"
        self.hook = folder / "hook"
        self.hook.write_text(f'#!/bin/sh\ncat >> "{self.log}"\n')
        self.hook.chmod(0o755)
        self.gateway: Gateway
        self._call = call

    def answer(self, path: str, _key: str) -> Reply:
        """What the gateway says."""
        return self.account if path == ACCOUNT else self.key

    def __call__(self, *arguments: str, record: bool = True, env: Mapping[str, str] | None = None) -> Called:
        """Run one command line, whose readings are recorded."""
        point = {"APIMART_BASE_URL": self.gateway.url, "APIMART_API_KEY": KEY, "APIMART_SANDBOX": "1"}
        return self._call(*arguments, env={**point, **(RECORDING if record else {}), **(env or {})})

    def fall(self) -> None:
        """Let the key have enough for two looks, and from then on 4."""
        amounts = iter(["7", "6.5"])
        self.gateway.answer = lambda path, _key: balance(next(amounts, "4") if path != ACCOUNT else "100", "1")

    def spend(self) -> None:
        """Let 1 be spent of the key at the second look, and from then on 4."""
        amounts = iter(["6", "7"])
        self.gateway.answer = lambda path, _key: balance("90", next(amounts, "10") if path != ACCOUNT else "100")

    def check(self, *more: str, least: str = "5", record: bool = True, env: Mapping[str, str] | None = None) -> Called:
        """Check with both hooks; what is said about a terminal or the place of the ledger is none of it."""
        alerts = ("--on-low", str(self.hook), "--on-recover", str(self.hook))
        return self("check", "--min", least, *alerts, *more, record=record, env=env)

    @property
    def told(self) -> list[dict[str, Any]]:
        """What the hook was told so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def events(self) -> list[str]:
        """What happened, in the order in which it was told."""
        return [each["event"] for each in self.told]


@pytest.fixture
def shop(call: Call, tmp_path: Path) -> Iterator[Shop]:
    """A key with 4 left and 6 used, an account with 100 left."""
    shop = Shop(call, tmp_path)
    with gateway_of(shop.answer) as running:
        shop.gateway = running
        yield shop


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the clock of the alerts go on by so many seconds."""
    now = [1_795_000_000.0]
    monkeypatch.setattr("apimart_cli.readings.alerting.time", SimpleNamespace(time=lambda: now[0]))

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_check_is_the_same_with_an_alert(shop: Shop) -> None:
    """Exit code, standard output and standard error; the hook is told what was read."""
    plain = shop("check", "--min", "5")
    assert shop.check() == plain
    assert plain.code == 3
    (told,) = shop.told
    assert told == {
        "schema": 1, "event": "low", "profile": "default", "scope": "spendable", "remain": 4, "unlimited_quota": False,
        "threshold": 5, "threshold_name": "min", "unit": None, "days_left": None, "days_left_low": None,
        "run_label": None, "reason": None, "spent": None, "key_id": KEY_ID, "host": shop.gateway.url.removeprefix("http://"),
    }  # fmt: skip


def test_it_is_run_once_until_enough_is_left_again(shop: Shop) -> None:
    """Just above the threshold is not yet enough; then it is told that it has recovered, once, and it is armed."""
    for amount in ("4", "3.9", "5.9", "4.9", "6", "7", "4"):
        # Spent and given back: what is left and used together stays.
        shop.key = balance(amount, f"{10 - float(amount):g}")
        shop.check()
    assert shop.events == ["low", "recovered", "low"]


def test_it_reminds_where_that_is_set(shop: Shop, write_config: Write, clock: Callable[[float], None]) -> None:
    """Cron asks twice a day: a reminder a day."""
    write_config(f'min = 5\nremind = "24h"\non_low = ["{shop.hook}"]\n')
    counts = []
    for _ in range(5):
        assert shop("check", "-q").code == 3
        counts.append(len(shop.told))
        clock(12 * 3600)
    assert counts == [1, 1, 2, 2, 3]


def test_rearm_is_what_is_enough_again(shop: Shop, write_config: Write) -> None:
    """As the file says it."""
    write_config(f'min = 5\nrearm = 2.5\non_low = ["{shop.hook}"]\non_recover = ["{shop.hook}"]\n')
    for amount, told in (("4", 1), ("12.4", 1), ("12.5", 2)):
        shop.key = balance(amount, f"{20 - float(amount):g}")
        shop("check")
        assert len(shop.told) == told


def test_clearing_the_history_arms_it(shop: Shop) -> None:
    """All of it; a part of it does not."""
    for part in (("-p", "default"), ("--before", "2020-01-01"), ()):
        shop.check()
        assert shop("history", "clear", "--yes", *part).code == 0
    shop.check()
    assert shop.events == ["low", "low"]


@pytest.mark.parametrize(
    ("scope", "account", "told"),
    [("key", "100", ["key"]), ("account", "100", []), ("both", "100", ["key"]), ("both", "1", ["account", "key"])],
)
def test_each_scope_is_asked_by_itself(shop: Shop, scope: str, account: str, told: list[str]) -> None:
    """Of both it is the one that is low, or each."""
    shop.account = balance(account, "7")
    for _ in range(2):
        shop.check("--scope", scope)
    assert sorted(each["scope"] for each in shop.told) == told


def test_http_402_counts_as_low(shop: Shop) -> None:
    """What is left is not known; one alert for all thresholds."""
    shop.key = refusal(402)
    for _ in range(2):
        assert shop.check("--min-runway", "3d").code == 3
    assert [(each["event"], each["remain"], each["threshold_name"]) for each in shop.told] == [("low", None, "min")]


def test_a_runway_has_an_alert_of_its_own(shop: Shop, home: Path) -> None:
    """10 a day are spent: the 4 that are left last for ten hours. The amount is one more question."""
    write_past(
        home / ".local/state/apimart/history.db", shop.gateway.url.removeprefix("http://"), days=8,
        spent_per_day="10", remain="4", used="100",
    )  # fmt: skip
    shop.key = balance("4", "100")
    for _ in range(2):
        shop("check", "--min-runway", "3d", "--min", "1", "--scope", "key", "--on-low", str(shop.hook))
    (told,) = shop.told
    assert (told["threshold_name"], told["threshold"]) == ("min_runway_days", 3)
    assert 0.3 < told["days_left_low"] <= told["days_left"] < 0.5


def test_each_profile_has_its_own(shop: Shop, write_config: Write) -> None:
    """Its threshold, its command, its switch; one without a command is quiet."""
    write_config(
        f'on_low = ["{shop.hook}", "ignored words"]\n'
        '[profiles.a]\napi_key = "sk-test-a1a1a1a1a1a1"\nmin = 5\n'
        '[profiles.b]\napi_key = "sk-test-b2b2b2b2b2b2"\nmin = 4\n'
        '[profiles.c]\napi_key = "sk-test-c3c3c3c3c3c3"\nmax_used = 1\n'
    )
    shop("check", "--all-profiles")
    assert [each["profile"] for each in shop.told] == ["a"]


def test_it_is_run_after_an_answer_that_could_not_be_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason not to tell."""
    monkeypatch.setattr(
        "apimart_cli.screen.writing._write", lambda _stream, _text: (_ for _ in ()).throw(OSError(28, "x"))
    )
    assert shop.check().code == 1
    assert shop.events == ["low"]


@pytest.mark.parametrize("command", [("check", "--max-used", "1"), ("watch",), ("run", "--max-spend", "1")])
def test_there_must_be_something_to_fall_below(shop: Shop, command: tuple[str, ...]) -> None:
    """Nobody is asked, and no command is started."""
    for option in ("--on-low", "--on-recover"):
        ended = shop(*command, option, "true", *(("--", "touch", "started") if command[0] == "run" else ()))
        assert (ended.code, shop.gateway.asked) == (125 if command[0] == "run" else 2, [])
        assert f"{option}: there is no threshold to fall below\nhint: give --min" in ended.stderr


@pytest.mark.parametrize(("text", "message"), [
    ("", "--on-low is empty"), ("   ", "--on-low: the command is empty"), ("a 'b", "--on-low: No closing quotation"),
])  # fmt: skip
def test_a_command_that_has_no_words_is_a_usage_error(shop: Shop, text: str, message: str) -> None:
    """Before anything is asked."""
    ended = shop("check", "--min", "5", "--on-low", text)
    assert (ended.code, shop.gateway.asked) == (2, [])
    assert message in ended.stderr


@pytest.mark.parametrize(("line", "message"), [
    ("rearm = 0.9", "rearm of {path}: '0.9' is less than 1"),
    ("remind = '24'", "remind of {path}: '24' has no unit"),
    ("on_recover = []", "on_recover must be a list of strings"),
])  # fmt: skip
def test_a_setting_that_makes_no_sense_is_an_error(shop: Shop, write_config: Write, line: str, message: str) -> None:
    """Which says what is wrong, and where."""
    path = write_config(f"min = 5\n{line}\n")
    ended = shop("check")
    assert ended.code == 2
    assert message.format(path=path) in ended.stderr


def test_words_are_split_once_and_no_shell_reads_them(
    shop: Shop, call: Call, write_config: Write, tmp_path: Path
) -> None:
    """Quotes hold words together; nothing is expanded. `config set` splits them as the option does."""
    words = script(tmp_path, f'for word; do printf "%s\\n" "$word"; done > {tmp_path}/words')
    line = f"""{words} 'a  b' "it's" $HOME * c\\ d '' ;ls"""
    shop("check", "--min", "5", "--on-low", line)
    assert (tmp_path / "words").read_text().splitlines() == ["a  b", "it's", "$HOME", "*", "c d", "", ";ls"]
    write_config("min = 6\n")
    assert call("config", "set", "on_low", f"{words} 'a  b' \"it's\" $HOME").code == 0
    shop("check")
    assert (tmp_path / "words").read_text().splitlines() == ["a  b", "it's", "$HOME"]
    shown = call("config", "show").stdout
    assert ("on_low" in shown, "it's" in shown) == (True, False)


@pytest.mark.parametrize(("text", "message"), [
    ("echo no network >&2; exit 1", "failed with exit code 1: no network"),
    ("kill -9 $$", "failed with signal 9"),
    (f"echo {KEY}; exit 1", "failed with exit code 1: (withheld: it repeats the API key)"),
    ("printf 'a\\033[31m\\nb'; exit 1", r"failed with exit code 1: a\x1b[31m\x0ab"),
])  # fmt: skip
def test_a_command_that_fails_is_one_warning(shop: Shop, tmp_path: Path, text: str, message: str) -> None:
    """With the first of what it said; the code and the answer are those of the check."""
    ended = shop("check", "--min", "5", "--on-low", script(tmp_path, text))
    assert (ended.code, ended.stdout) == (3, "BELOW default/spendable: 4 left (limited by key), at least 5 required\n")
    assert ended.stderr == (
        f"apimart: warning: default/spendable: {tmp_path}/script (--on-low) {message}\n"
        "hint: it is not run again for this; try it by hand\n"
    )


@pytest.mark.parametrize(("command", "reason"), [
    ("no-such-program-here", "No such file or directory"), ("/dev/null", "Permission denied"),
])  # fmt: skip
def test_a_command_that_cannot_be_run_is_one_warning(shop: Shop, command: str, reason: str) -> None:
    """And once: the next check does not try again."""
    ended = [shop("check", "--min", "5", "-q", "--on-low", command) for _ in range(2)]
    assert [each.code for each in ended] == [3, 3]
    assert ended[0].stderr.startswith(
        f"apimart: warning: default/spendable: {command} (--on-low) cannot be run: {reason}\n"
    )
    assert ended[1].stderr == ""


def test_words_that_cannot_be_passed_on_are_one_warning(shop: Shop, write_config: Write) -> None:
    """A file can hold what no command line can."""
    write_config('min = 5\non_low = ["echo", "a\\u0000b"]\n')
    ended = shop("check", "-q")
    assert ended.code == 3
    assert "cannot be run: its words cannot be passed on" in ended.stderr


def test_a_command_that_writes_without_end_holds_nobody_up(shop: Shop, tmp_path: Path) -> None:
    """All of it is read and dropped: more than any pipe holds. On standard output there is nothing of it."""
    endless = script(tmp_path, "head -c 50000000 /dev/zero; echo done >&2; exit 4")
    ended = shop("check", "--min", "5", "--on-low", endless)
    assert ended.stdout == "BELOW default/spendable: 4 left (limited by key), at least 5 required\n"
    assert "failed with exit code 4" in ended.stderr
    assert len(ended.stderr) < 1000


@pytest.mark.parametrize("text", ["exec <&-", ":", "exec >&- 2>&-; true"])
def test_a_command_may_leave_its_streams_alone(shop: Shop, tmp_path: Path, text: str) -> None:
    """One that reads nothing, or closes them, is fine."""
    assert shop("check", "--min", "5", "-q", "--on-low", script(tmp_path, text)) == (3, "", "")


def test_a_command_that_hangs_is_stopped(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it has started, in other sessions, too; the time is 10 seconds."""
    from apimart_cli.readings import alert_command

    assert alert_command.LONGEST == 10
    monkeypatch.setattr(alert_command, "LONGEST", 0.3)
    text = (
        f"trap '' TERM; for start in '' setsid; do $start sleep 60 & echo $! >> {tmp_path}/pids; done; wait; sleep 60"
    )
    hangs = script(tmp_path, text)
    watch = Stopwatch()
    ended = shop("check", "--min", "5", "-q", "--on-low", hangs)
    took = watch.took()
    assert took.seconds >= 0.3
    took.assert_within(3)
    assert (ended.code, ended.stdout) == (3, "")
    assert f"{hangs} (--on-low) was stopped after 0.3 seconds" in ended.stderr
    pids = [int(line) for line in (tmp_path / "pids").read_text().splitlines()]
    assert [is_running(pid) for pid in pids] == [False, False]


def test_what_a_command_leaves_behind_goes_on(shop: Shop, tmp_path: Path) -> None:
    """It is not waited for, though it holds the streams."""
    leaves = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid")
    watch = Stopwatch()
    assert shop("check", "--min", "5", "-q", "--on-low", leaves) == (3, "", "")
    watch.took().assert_within(5)
    os.kill(int((tmp_path / "pid").read_text()), 9)


@pytest.mark.parametrize("place", ["alerting._due", "alert_command.document"])
def test_a_bug_of_an_alert_is_a_warning(shop: Shop, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """No traceback, no other exit code."""
    monkeypatch.setattr(f"apimart_cli.readings.{place}", lambda *_: 1 // 0)
    ended = shop.check("-q")
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.startswith("apimart: warning: an alert failed: a bug in apimart: ZeroDivisionError in ")
    assert ended.stderr.count("\n") == 2


def test_without_threads_it_is_run_all_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts none: after everything else, one by one."""
    monkeypatch.setattr("apimart_cli.readings.alerting.start_thread", lambda *_: None)
    for _ in range(2):
        assert shop.check().code == 3
    assert shop.events == ["low"]


def test_without_a_ledger_each_process_alerts(shop: Shop) -> None:
    """Rather twice than never; and nothing is written."""
    for _ in range(2):
        shop.check(record=False)
    assert shop.events == ["low", "low"]


def _break(path: Path, kind: str) -> None:
    match kind:
        case "broken":
            path.write_bytes(path.read_bytes()[:100] + b"\xff" * 8000)
        case "foreign":
            path.write_bytes(b"something else" * 100)
        case "folder":
            path.unlink()
            path.mkdir()


@pytest.mark.parametrize("kind", ["broken", "foreign", "folder"])
def test_a_ledger_that_fails_costs_no_alert(shop: Shop, home: Path, kind: str) -> None:
    """It may be told twice. Whatever becomes of the ledger is said by nobody, as ever."""
    path = home / ".local/state/apimart/history.db"
    shop.check()
    _break(path, kind)
    assert shop.check("-q", env={"APIMART_RECORD": "1"}).code == 3
    assert shop.events == ["low", "low"]


@pytest.mark.usefixtures("usual_patience")
def test_a_busy_ledger_costs_no_alert(shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a little, and then not."""
    monkeypatch.setattr("apimart_cli.readings.alerting.PATIENT_SECONDS", 0.3)
    shop("check", "--min", "1")
    with closing(sqlite3.connect(home / ".local/state/apimart/history.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert shop.check("-q").code == 3
    assert shop.events == ["low"]


def test_watch_alerts_at_each_crossing(shop: Shop) -> None:
    """Of what one process sees, also without a ledger; and it asks on meanwhile."""
    amounts = iter(["7", "4", "4", "6", "4", "4"])
    shop.gateway.answer = lambda _path, _key: balance(amount := next(amounts), f"{10 - int(amount)}")
    options = ("--min", "5", "--count", "6", "--interval", "0.1")
    ended = shop("watch", *options, "--on-low", str(shop.hook), "--on-recover", str(shop.hook), record=False)
    assert ended.code == 0
    assert sorted(shop.events) == ["low", "low", "recovered"]


def test_watch_and_check_share_what_was_told(shop: Shop) -> None:
    """The ledger is one; they look at the same where a scope says so, as `watch` shows the key by default."""
    for command in (("watch", "--count", "1"), ("check",), ("watch", "--count", "1")):
        shop(*command, "--min", "5", "--scope", "spendable", "--on-low", str(shop.hook))
    assert shop.events == ["low"]


def test_the_reading_that_ends_a_watch_is_told(shop: Shop) -> None:
    """Of every one that is shown, the last included, which may be the first."""
    for number in (0, 2):
        shop.log.unlink(missing_ok=True)
        amounts = iter(["7"] * number)
        shop.gateway.answer = lambda _path, _key, amounts=amounts: balance(next(amounts, "4"), "6")
        options = ("--min", "5", "--until-below", "--interval", "0.1")
        assert shop("watch", *options, "--on-low", str(shop.hook), record=False).code == 3
        assert shop.events == ["low"]


def test_a_slow_command_delays_no_question(shop: Shop, tmp_path: Path) -> None:
    """It is waited for at the end only: here it waits for the last question."""
    slow = script(tmp_path, f"until [ -e {tmp_path}/enough ]; do sleep 0.05; done; date >> {tmp_path}/done")
    asked: list[bool] = []

    def answer(_path: str, _key: str) -> Reply:
        asked.append((tmp_path / "done").exists())
        if len(asked) == 4:
            (tmp_path / "enough").touch()
        return balance("4", "6")

    shop.gateway.answer = answer
    shop("watch", "--min", "5", "--count", "4", "--interval", "0.1", "--on-low", slow, record=False)
    assert asked == [False] * 4
    assert len((tmp_path / "done").read_text().splitlines()) == 1


def test_run_alerts_when_it_starts_nothing(shop: Shop, tmp_path: Path) -> None:
    """Too little is left for the command, and the hook is told, with the label; there is nothing to stop."""
    alerts = ("--on-low", str(shop.hook), "--on-stop", str(shop.hook))
    ended = shop("run", "--min", "5", "--label", "night", *alerts, "--", "touch", str(tmp_path / "x"))
    assert (ended.code, ended.stdout, (tmp_path / "x").exists()) == (125, "", False)
    (told,) = shop.told
    assert (told["event"], told["run_label"], told["scope"], told["remain"]) == ("low", "night", "spendable", 4)


def test_run_alerts_when_it_stops_its_command(shop: Shop, tmp_path: Path) -> None:
    """Of the low balance and of the stop; a failure of an alert is told at the end, and changes nothing."""
    shop.fall()
    failing = script(tmp_path, f'cat >> "{shop.log}"; exit 9')
    options = ("--min", "5", *STOPPING, "--on-low", failing, "--on-stop", str(shop.hook))
    ended = shop("run", *options, "--", "sleep", "30")
    assert (ended.code, ended.stdout, sorted(shop.events)) == (124, "", ["low", "stopped"])
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("apimart: error: the command was stopped: 4 left, at least 5 required")
    assert lines[-2].endswith("(--on-low) failed with exit code 9")


STOPPING = ("--interval", "0.1", "--kill-after", "1", "--no-settle")


def test_run_tells_of_a_stop_with_the_reason(shop: Shop) -> None:
    """Also of a limit that is no threshold of the balance; with what was spent, and the label."""
    shop.spend()
    options = ("--max-spend", "3", *STOPPING, "--label", "night", "--on-stop", str(shop.hook))
    ended = shop("run", *options, "--", "sleep", "30")
    assert (ended.code, shop.events) == (124, ["stopped"])
    (told,) = shop.told
    names = ("reason", "threshold_name", "threshold", "spent", "remain", "run_label", "profile", "scope")
    assert [told[name] for name in names] == ["max_spend", "max_spend", 3, 4, 90, "night", "default", "key"]


def test_the_command_of_a_stop_has_the_same_as_variables_and_no_key(shop: Shop, tmp_path: Path) -> None:
    """The event, the reason and the threshold, for a line of shell like `docker kill "$APIMART_RUN_LABEL"`."""
    shop.fall()
    seen = script(tmp_path, f'env > "{tmp_path}/variables"')
    shop("run", "--min", "5", *STOPPING, "--label", "night", "--on-stop", seen, "--", "sleep", "30")
    variables = dict(line.partition("=")[::2] for line in (tmp_path / "variables").read_text().splitlines())
    names = ("EVENT", "REASON", "THRESHOLD", "REMAIN", "SPENT", "RUN_LABEL")
    assert [variables[f"APIMART_{name}"] for name in names] == ["stopped", "min", "5", "4", "0", "night"]
    assert KEY not in variables.values()
    assert "APIMART_API_KEY" not in variables


def test_no_money_and_a_lost_balance_are_reasons_too(shop: Shop) -> None:
    """Neither has a threshold."""
    for answer, reason in ((refusal(402), "payment_required"), (refusal(500), "blind")):
        shop.log.unlink(missing_ok=True)
        answers = iter([balance("7", "6")] * 3)
        shop.gateway.answer = lambda _path, _key, answers=answers, answer=answer: next(answers, answer)
        options = ("--min", "1", "--scope", "key", *STOPPING, "--max-blind", "0", "--timeout", "1")
        assert shop("run", *options, "--on-stop", str(shop.hook), "--", "sleep", "30").code == 124
        assert [(told["reason"], told["threshold"], told["remain"]) for told in shop.told] == [(reason, None, None)]


def test_a_stop_does_not_wait_for_the_command_that_is_told_of_it(
    shop: Shop, tmp_path: Path, write_config: Write
) -> None:
    """The guarded command has ended before the other one has; it comes from the file, and its failure is a warning."""
    slow = script(tmp_path, f'while [ ! -e "{tmp_path}/end" ]; do sleep 0.02; done; exit 7')
    write_config(f'on_stop = ["{slow}"]\n')
    shop.spend()
    program = f"trap 'touch {tmp_path}/end; exit 0' TERM; sleep 30 & wait"
    ended = shop("run", "--max-spend", "3", *STOPPING, "--", "sh", "-c", program)
    assert ended.code == 124
    assert (tmp_path / "end").exists()
    assert re.search(r"warning: default/key: .*script \(.*config\.toml\) failed with exit code 7\n", ended.stderr)
