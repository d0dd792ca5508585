"""No answer, broken or hostile, makes the gate pass, outlives its clock, spills the key or commands a reader."""

import json
import os
import re
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hostile.catalogue import BELOW, CATALOGUE, ECHOES, KINDS, PASS, UNAVAILABLE, Case, by_group, http, named
from support.fault_server import Door, FaultServer
from support.leaks import find_key
from support.runner import commands_in
from support.running import KEY, Call, Called, Run
from support.stopwatch import Stopwatch, Took

PROCESSES = [case for case in CATALOGUE if case.timeout <= 1 and not case.is_variant]
"""The cases that run in a process: that it ends in time, only a process can show."""
IN_PROCESS = [case for case in CATALOGUE if case not in PROCESSES]
ATTACKS = [case for case in CATALOGUE if case.name.startswith("text in a message: ")]
SILENT = ("status: 500 with a perfect body", "connection: closed at once", "clock: let in and never answered")
TOLD = ("failure: beside a perfect balance", "failure: of another kind", "failure: without a message")
GOOD = Case("a good answer", PASS, http())
GATE = ("check", "--min", "5", "--json")

VERDICTS = {0: "pass", 3: "below"}
LONGEST_LINE = 400
"""Characters of a message on one line: our own words, and at most 200 of the server's."""
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"}
SLACK = 1.0
"""Seconds that a machine may add to the end of a process. A broken clock adds many more: see the catalogue."""


Ask = Callable[..., Called]
"""Runs a command line against the server of a case, and holds it to what every run owes to it and to the clock."""


@pytest.fixture
def ask(run: Run, elsewhere: FaultServer) -> Ask:
    """Run a process: `ask(case, "check", "--min", "5")`; a start may count, with `start` seconds."""
    return partial(_ask, run, elsewhere)


@pytest.fixture
def ask_here(call: Call, elsewhere: FaultServer) -> Ask:
    """Run a command line in this process: `ask_here(case, "balance")`; the fault is at `both`, or at one alone."""
    return partial(_ask, call, elsewhere)


def _ask(
    run: Run | Call, elsewhere: FaultServer, case: Case, *arguments: str, start: float = 0.0, faulty: str = "both"
) -> Called:
    key, account = (case.scripts if faulty in {"both", each} else GOOD.scripts for each in ("key", "account"))
    account = None if faulty == "both" else account
    with FaultServer(key, account=account, door=case.door, other=elsewhere) as server:
        watch = Stopwatch()
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = run(*arguments, "--timeout", str(case.timeout), env=env)
        # From the moment that the server let it in, or from its start where it never got that far.
        took = (server.since_contact or watch).took()
    took.assert_within(case.timeout + 0.5 + SLACK + start)
    if faulty == "both":
        _assert_asked_as_it_may(server, case)
    assert elsewhere.contacts == 0
    return Called(ended.returncode, ended.stdout, ended.stderr)


@pytest.mark.parametrize("cases", by_group(PROCESSES))
def test_the_command_fails_closed(cases: Sequence[Case], ask: Ask) -> None:
    """`apimart check` ends with the code of each case, in time, and with nothing untoward in its output."""
    # A client that is let in nowhere is timed whole.
    watch = Stopwatch()
    if any(case.door is not Door.OPEN for case in cases):
        ask(GOOD, *GATE)
    start = watch.took().ours
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask, case, *GATE, start=start) for case in cases]
    for case, each in zip(cases, running, strict=True):
        with named(case):
            _assert_gate(each.result(), case)


KNOWN = set[tuple[int, str, str]]()
"""What KINDS end with."""


@pytest.mark.parametrize("cases", by_group(IN_PROCESS))
def test_the_gate_fails_closed(cases: Sequence[Case], ask_here: Ask) -> None:
    """`check` ends with the code of each case, none of which is of a kind that is missing in KINDS."""
    if not KNOWN:
        KNOWN.update(_assert_gate(ask_here(each, *GATE), each) for each in KINDS)
    for case in cases:
        with named(case):
            assert _assert_gate(ask_here(case, *GATE), case) in KNOWN


@pytest.mark.parametrize("case", [*KINDS, *ATTACKS], ids=lambda case: case.name)
def test_every_output_format_fails_closed(case: Case, ask_here: Ask) -> None:
    """`check`, `balance` and the plugin end with the code of the case in every format, and say nothing untoward."""
    in_words = ask_here(case, "check", "--min", "5")
    verdict = rf"{VERDICTS[case.code].upper()} default/spendable: .+ required\n" if case.code in VERDICTS else ""
    assert re.fullmatch(verdict, in_words.stdout), in_words
    for checked in (in_words, ask_here(case, "check", "--min", "5", "-o", "value")):
        assert checked.code == case.code, checked
        _assert_harmless(checked, case)
    for output in ("json", "table", "value", "prometheus"):
        shown = ask_here(case, "balance", "-o", output)
        # Too little is shown like any other amount; only a gateway that asks for payment fails it.
        assert shown.code == (PASS if case.code == BELOW and not shown.stderr else case.code), shown
        _assert_harmless(shown, case)
        if output == "json":
            reading = _strict_json(shown.stdout)
            assert ("remain_balance" in reading) == (shown.code == PASS)
            _assert_same_error(reading, shown)
        if output == "prometheus":
            assert shown.stdout.count("apimart_remaining_balance{") <= (shown.code == PASS)
    checked = ask_here(case, "check", "--min", "5", "-o", "github")
    assert checked.code == case.code, checked
    assert [found.name for found in commands_in(checked.stdout)] == ([] if checked.code == PASS else ["error"])
    assert checked.stdout.count("\n") == 1
    _assert_harmless(checked._replace(stdout=checked.stdout.removeprefix("::error ")), case)
    _assert_state_of_plugin(ask_here(case, "nagios", "-c", "5:"), case)


@pytest.mark.parametrize("faulty", ["key", "account"])
@pytest.mark.parametrize(
    "case", [*KINDS, *(case for case in CATALOGUE if case.name in SILENT[1:])], ids=lambda case: case.name
)
def test_a_good_answer_beside_it_makes_no_pass(
    case: Case, faulty: str, ask_here: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault at the key alone, or at its account alone, decides as it does at both.

    The host is one that has an account: a missing one is a fault there, which is asked about once more.
    """
    monkeypatch.setattr("apimart_cli.target.DOCUMENTED_HOSTS", frozenset({"127.0.0.1"}))
    ended = ask_here(case, *GATE, faulty=faulty)
    assert ended.code == case.code, ended
    [reading] = _strict_json(ended.stdout)["readings"]
    assert (reading["scope"], reading["verdict"]) == ("spendable", VERDICTS.get(case.code, "error"))
    assert find_key(f"{ended.stdout}{ended.stderr}", KEY) == []


def _assert_state_of_plugin(ended: Called, case: Case) -> None:
    """A plugin says on one line, and nowhere else: OK where the gate passes, CRITICAL below it, and else UNKNOWN."""
    state = {PASS: "OK", BELOW: "CRITICAL"}.get(case.code, "UNKNOWN")
    assert ended.code == ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(state), ended
    assert re.match(rf"APIMART {state} - default/(spendable|key) ", ended.stdout), ended
    assert (ended.stdout.count("\n"), ended.stdout.count("|") <= 1, ended.stderr) == (1, True, ""), ended
    assert ended.stdout[:-1].isprintable(), ended
    assert find_key(ended.stdout, KEY) == [], ended


@pytest.mark.parametrize("name", [*SILENT, *TOLD])
def test_failing_open_forgives_silence_only(name: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer with HTTP 200 that says "I cannot tell" is the gateway's own word: its code stays 5."""
    monkeypatch.setattr("apimart_cli.gateway.question.FIRST_PAUSE", 0.01)
    [case] = (case for case in CATALOGUE if case.name == name)
    with FaultServer(case.scripts) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "APIMART_TIMEOUT": f"{min(case.timeout, 1)}"}
        assert call("check", "--min", "5", env=env).code == UNAVAILABLE
        assert call("check", "--min", "5", "--fail-open", env=env).code == (PASS if name in SILENT else UNAVAILABLE)


def test_a_slow_look_up_of_a_name_is_bounded_by_the_clock(
    command: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """A resolver that does not answer, which nothing can interrupt, does not outlive the clock either."""
    slow = tmp_path / "sitecustomize.py"
    slow.write_text("import socket, time\nsocket.getaddrinfo = lambda *arguments, **named: time.sleep(20)\n")
    env = {**environment, "APIMART_API_KEY": KEY, "APIMART_BASE_URL": "https://gateway.example"}

    def run(*arguments: str) -> tuple[int, Took]:
        watch = Stopwatch()
        path = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"
        ended = subprocess.run([command, *arguments], env={**env, "PYTHONPATH": path}, timeout=60, check=False)
        return ended.returncode, watch.took()

    _, start = run("check", "--min", "5", "--timeout", "0.001")
    code, took = run("check", "--min", "5", "--timeout", "0.7")
    assert code == UNAVAILABLE
    took.assert_within(0.7 + 0.5 + SLACK + start.ours)


def test_the_catalogue_is_as_large_as_promised() -> None:
    """Every case has a name of its own and is played once; those about the clock, by the installed command."""
    assert len({case.name for case in CATALOGUE}) == len(CATALOGUE) >= 680
    assert len(PROCESSES) >= 34
    assert len(PROCESSES) + len(IN_PROCESS) == len(CATALOGUE)


def _assert_gate(ended: Called, case: Case) -> tuple[int, str, str]:
    """The gate owes the code of the case, harmless output and one document; return of what kind the case is."""
    assert ended.code == case.code, ended
    _assert_harmless(ended, case)
    document = _strict_json(ended.stdout)
    assert document["exit_code"] == ended.code
    assert document["verdict"] == VERDICTS.get(ended.code, "error")
    [reading] = document["readings"]
    assert reading["verdict"] == document["verdict"]
    if ended.code == PASS:
        assert reading["unlimited_quota"] or reading["remain_balance"] >= 5
    _assert_same_error(reading, ended)
    error = reading.get("error", {"code": "", "hint": ""})
    return ended.code, error["code"], error["hint"]


def _assert_asked_as_it_may(server: FaultServer, case: Case) -> None:
    """The client asked its questions, with the key, without a cookie, and none more often than it may."""
    heads = [head.decode("ascii") for head in server.heads if head]
    asked = Counter(head.partition("\r\n")[0] for head in heads)
    assert set(asked) <= {"GET /v1/balance HTTP/1.1", "GET /v1/user/balance HTTP/1.1"}
    assert case.asked is None or set(asked.values()) == ({case.asked} if case.asked else set())
    for head in heads:
        _, *lines = head.split("\r\n")
        assert [line for line in lines if KEY in line] == [f"Authorization: Bearer {KEY}"]
        assert "cookie" not in head.lower()


def _assert_harmless(ended: Called, case: Case) -> None:
    """Nothing of the key in the output, nothing that hides or commands, and one error with its hint or none."""
    for text in (ended.stdout, ended.stderr):
        assert find_key(text, KEY) == []
        assert "Traceback" not in text
        assert [
            ascii(character) for character in text if character != "\n" and unicodedata.category(character) in HIDDEN
        ] == []
        for line in text.splitlines():
            assert not line.lstrip().startswith("::")
            assert not re.search(r"##\w*\[", line)
    if ended.stderr:
        error, hint, *rest = ended.stderr.splitlines()
        assert rest == []
        assert error.startswith("apimart: error: ")
        assert len(error) <= LONGEST_LINE
        assert hint.startswith("hint: ")
    assert case.shows is None or case.shows in ended.stderr
    # Too little is said on standard output; HTTP 402 is too, and is an error as well.
    assert bool(ended.stderr) == (ended.code != PASS) or ended.code == BELOW


def _assert_same_error(reading: Mapping[str, Any], ended: Called) -> None:
    """The error of a reading is the one on standard error."""
    assert ("error" in reading) == bool(ended.stderr)
    if "error" in reading:
        error = reading["error"]
        assert error["exit_code"] == ended.code
        assert ended.stderr == f"apimart: error: {error['message']}\nhint: {error['hint']}\n"


def _strict_json(text: str) -> Any:
    """Return the one JSON document in ASCII on one line that `text` is."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON number")

    def only_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    assert text.isascii()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse, object_pairs_hook=only_once)


@pytest.mark.parametrize("name", sorted(ECHOES))
def test_the_finder_finds_every_way_of_repeating_the_key(name: str) -> None:
    """A key that stands in an output in any of the ways of the catalogue is found: the checks above can fail."""
    assert find_key(f"apimart: error: {ECHOES[name]}", KEY)


def test_the_finder_finds_nothing_where_nothing_is() -> None:
    """Seven characters in a row are no leak, and other words are none."""
    for text in ("", "apimart: error: no answer within 0.7 seconds", KEY[:7], f"{KEY[:7]} {KEY[-7:]}"):
        assert find_key(text, KEY) == []
