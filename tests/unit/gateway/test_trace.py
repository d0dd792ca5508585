"""What `--debug` tells: each attempt, its host, status and milliseconds, what comes next, and never a key."""

import re
from collections.abc import Sequence

import pytest

from apimart_cli.errors import traced_error
from apimart_cli.gateway.client import ask
from apimart_cli.keys.key import ApiKey, GivenKey
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.fault_server import FaultServer, Script, reset, stall
from support.leaks import find_key
from support.running import KEY, Call

BODY = b'{"success":true,"remain_balance":10.5,"used_balance":2.3}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def answer(status: str, *headers: str, said: str = "") -> bytes:
    body = f'{{"error":{{"message":"{said}"}}}}'
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]).encode()


def traced(*scripts: Script, timeout: float = 5.0) -> Sequence[str]:
    """The lines that one question gives, with the numbers of milliseconds and of the port left out."""
    lines: list[str] = []
    with FaultServer(scripts) as server:
        asked = Target("home", Scope.KEY, GivenKey(ApiKey(KEY, source="a test")), server.url, timeout)
        with ask([asked], trace=lines.append) as readings:
            next(readings)
    return [re.sub(r"\b[0-9]+ ms", "N ms", line).replace(f":{server.port}", ":PORT") for line in lines]


def test_an_attempt_is_told_when_it_begins_and_when_it_ends() -> None:
    """With the reading it is for, the host, the status and the time; of one that hangs the beginning is told."""
    lines = [
        "home/key: attempt 1: asking 127.0.0.1:PORT",
        "home/key: attempt 1: HTTP 200 after N ms",
        "home/key: attempt 1: a balance after N ms",
    ]
    assert traced([GOOD]) == lines
    assert traced([stall], timeout=0.3)[0] == lines[0]


def test_a_retry_is_told_with_its_pause() -> None:
    """Whether the gateway or we ourselves say how long."""
    assert traced([answer("503 Busy", "Retry-After: 0")], [reset], [GOOD])[2:7] == [
        "home/key: attempt 1: the gateway could not answer (HTTP 503) (N ms); asking again in 0 s",
        "home/key: attempt 2: asking 127.0.0.1:PORT",
        "home/key: attempt 2: could not reach 127.0.0.1:PORT: connection reset by peer (N ms); asking again in 0.5 s",
        "home/key: attempt 3: asking 127.0.0.1:PORT",
        "home/key: attempt 3: HTTP 200 after N ms",
    ]


@pytest.mark.parametrize(("script", "last"), [
    ([answer("401 No", said=f"bad key {KEY}")], "the gateway rejected the API key (HTTP 401): (withheld: it"),
    ([GOOD[:-9]], "the gateway's answer cannot be trusted: it is cut off or is not HTTP"),
])  # fmt: skip
def test_a_failure_that_is_certain_is_told_as_the_last(script: Script, last: str) -> None:
    """In the words of the error, which withhold what repeats the key."""
    lines = traced(script)
    assert lines[-1].startswith(f"home/key: attempt 1: {last}")
    assert lines[-1].endswith("; not asked again")
    assert find_key("\n".join(lines), KEY) == []


def test_where_an_error_comes_from_is_told_without_its_words() -> None:
    """File, line, function and source of every frame, of the errors that led to it as well, each of them once."""

    def fail() -> None:
        try:
            raise ValueError(f"no good: {KEY}")
        except ValueError as error:
            raise KeyError(KEY) from error

    with pytest.raises(KeyError) as caught:
        fail()
    lines = list(traced_error(caught.value))
    assert [line for line in lines if not line.startswith("  ")] == [
        "KeyError, its words withheld",
        "ValueError, its words withheld",
    ]
    place = rf"  {re.escape(__file__)}, line [0-9]+, in fail: raise KeyError.*"
    assert any(re.fullmatch(place, line) for line in lines)
    assert find_key("\n".join(lines), KEY) == []
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert len(list(traced_error(first))) == 2


@pytest.mark.parametrize("command", [("check", "--min", "5", "-q"), ("balance", "--scope", "spendable")])
def test_every_command_that_asks_tells_on_standard_error(call: Call, command: tuple[str, ...]) -> None:
    """With `--debug` or APIMART_DEBUG=1; the answer on standard output stays as it is."""
    with FaultServer([[GOOD]]) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        plain = call(*command, env=env)
        asked = call(*command, "--debug", env=env)
        by_variable = call(*command, env={**env, "APIMART_DEBUG": "1"})
        not_asked = call(*command, env={**env, "APIMART_DEBUG": "0"})
    assert (plain.code, plain.stderr, not_asked.stderr) == (0, "", "")
    for debugged in (asked, by_variable):
        assert (debugged.code, debugged.stdout) == (0, plain.stdout)
        lines = debugged.stderr.splitlines()
        for scope in ("key", "account"):
            told = [line for line in lines if line.startswith(f"apimart: debug: default/{scope}: ")]
            assert told[0] == f"apimart: debug: default/{scope}: attempt 1: asking 127.0.0.1:{server.port}"
            assert len(told) == 3
        assert KEY not in debugged.stderr


def broken(*_arguments: object, **_named: object) -> None:
    raise RuntimeError(f"\x1b[2J {KEY}")


@pytest.mark.parametrize(("arguments", "env"), [(("--debug",), {}), ((), {"APIMART_DEBUG": "1"})])
def test_a_bug_is_told_with_its_place(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    """Where it is, line by line, and the one line that is told without `--debug`."""
    monkeypatch.setattr("apimart_cli.rules.gate.judge", broken)
    with FaultServer([[GOOD]]) as server:
        connected = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        ended = call("check", "--min", "5", *arguments, env={**connected, **env})
        silent = call("check", "--min", "5", env=connected)
    assert ended.code == silent.code == 1
    assert re.search(r"^apimart: debug:   \S+check.py, line [0-9]+, in check: verdict = judge", ended.stderr, re.M)
    assert ended.stderr.splitlines()[-2:] == silent.stderr.splitlines()
    assert find_key(ended.stderr, KEY) == []
    assert "\x1b" not in ended.stderr


def test_a_bug_while_asking_is_told_with_its_place(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens in a thread of its own, and is told from there; `login` asks, too."""
    with FaultServer([[GOOD]]) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        login = call("login", "--debug", env={"APIMART_BASE_URL": server.url}, input=f"{KEY}\n")
        monkeypatch.setattr("apimart_cli.gateway.question.interpret", broken)
        ended = call("check", "--min", "5", "--debug", env=env)
    assert "apimart: debug: default/key: attempt 1: HTTP 200 after " in login.stderr
    assert ended.code == 1
    assert "apimart: debug: RuntimeError, its words withheld\n" in ended.stderr
    assert re.search(r"^apimart: debug:   \S+question.py, line [0-9]+, in fetch: ", ended.stderr, re.M)
    assert find_key(login.stderr + ended.stderr, KEY) == []
