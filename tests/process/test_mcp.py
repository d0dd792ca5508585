"""`apimart mcp` as a process: the SDK's own client, raw lines, and what ends it."""

import importlib.metadata
import json
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.agents.answers import Desk
from apimart_cli.agents.kept import MOST_QUESTIONS
from apimart_cli.agents.server import LONGEST_LINE
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.agents import Session, piped, talk
from support.leaks import find_key
from support.running import KEY, KEY_ID, Call, Run, Serve, Write, connected, run_program

pytestmark = pytest.mark.measured

Ask = Callable[[Callable[[Session], Awaitable[Any]], Mapping[str, str]], Any]

START_SECONDS = 3.0
"""Most seconds of computing until it is ready: so long it takes by the clock on a machine that does nothing else."""


@pytest.fixture
def ask(command: str, environment: Mapping[str, str], tmp_path: Path) -> Iterator[Ask]:
    """Have the SDK's client start the server, and take some steps with it; nothing untoward may come from either."""
    path = tmp_path / "errors"
    with open(path, "w", encoding="utf-8") as errors:

        def run(steps: Callable[[Session], Awaitable[Any]], variables: Mapping[str, str]) -> Any:
            return talk(command, {**environment, **variables}, steps, folder=tmp_path, errors=errors)

        yield run
    written = path.read_text("utf-8")
    assert "Traceback" not in written
    assert find_key(written, KEY) == []


def _text(result: Mapping[str, Any]) -> Any:
    """Return what the text of a result holds: the same as its structure."""
    [content] = result["content"]
    assert content["type"] == "text"
    # Amounts are text there: the tools have schemas of their own, against which the SDK's client holds them.
    document = json.JSONDecoder().decode(content["text"])
    assert document == result["structuredContent"]
    assert find_key(json.dumps(result), KEY) == []
    return document


def test_the_sdk_s_client_is_answered(ask: Ask, serve: Serve) -> None:
    """Whatever its version: it lists the tools, holds results against their schemas, and reads exact amounts."""
    amount = Decimal("10.12345678901234567890123456789")
    sandbox = serve(key=Funds(amount, Decimal("2.30")), account=Funds(None, Decimal(0)))

    async def steps(session: Session) -> None:
        assert session.began["serverInfo"]["name"] == "apimart"
        assert session.began["serverInfo"]["version"] == importlib.metadata.version("apimart-cli")
        assert "check_budget" in session.began["instructions"]
        names = [tool["name"] for tool in await session.tools()]
        assert names == ["get_balance", "check_budget", "forecast", "usage", "list_profiles"]

        shown = await session.call("get_balance", scope="both")
        assert not shown["isError"]
        key, account, spendable = _text(shown)["readings"]
        assert (key["remain_balance"], key["used_balance"]) == (f"{amount:f}", "2.30")
        assert (account["remain_balance"], account["unlimited_quota"]) == (None, True)
        assert (spendable["scope"], spendable["limited_by"], spendable["key_id"]) == ("spendable", "key", KEY_ID)

        enough = _text(await session.call("check_budget", min=f"{amount:f}"))
        assert (enough["verdict"], enough["exit_code"], enough["min"]) == ("pass", 0, f"{amount:f}")
        below = await session.call("check_budget", min=f"{amount:f}1")
        assert not below["isError"]
        assert (_text(below)["verdict"], _text(below)["exit_code"]) == ("below", 3)

        untold = _text(await session.call("forecast"))
        assert [each["lasts"] for each in untold["readings"]] == ["no history"]
        assert _text(await session.call("list_profiles"))["profiles"] == []

        # What proves nothing is an error; nowhere stands the word of the other verdict.
        sandbox.scenario = sandbox.scenario._replace(fault=Fault.UNAUTHORIZED)
        for name, arguments in (("check_budget", {"min": "5", "scope": "both"}), ("get_balance", {})):
            refused = await session.call(name, **arguments)
            error = _text(refused)["error"]
            assert (refused["isError"], error["code"], error["exit_code"]) == (True, "auth", 4)
            assert error["message"] == "the gateway rejected the API key from APIMART_API_KEY (HTTP 401): [...]"
            assert error["gateway_said"] == "invalid API key (request id: sandbox)"
            assert error["hint"]
            assert name == "get_balance" or "pass" not in json.dumps(refused).casefold()

    ask(steps, connected(sandbox))


def test_profiles_are_listed_asked_for_and_recorded(
    ask: Ask, sandbox: Sandbox, write_config: Write, environment: dict[str, str], run: Run
) -> None:
    """By their names, key ids and hosts alone; one that does not exist is an error that names the others."""
    del environment["APIMART_RECORD"]
    write_config(
        f'[profiles.work]\napi_key = "{KEY}"\nbase_url = "{sandbox.url}"\nunit = "USD"\nmin = 20\n'
        '[profiles.home]\napi_key_command = ["pass", "apimart"]\n'
    )

    async def steps(session: Session) -> None:
        listed = _text(await session.call("list_profiles"))["profiles"]
        host = sandbox.url.removeprefix("http://")
        assert listed == [
            {"profile": "work", "key_id": KEY_ID, "host": host},
            {"profile": "home", "key_id": None, "host": "api.apimart.ai"},
        ]
        # The threshold of the config file, like a unit, counts.
        own = _text(await session.call("check_budget", profile="work"))
        assert (own["verdict"], own["readings"][0]["unit"]) == ("below", "USD")
        unknown = await session.call("get_balance", profile="wrok")
        assert unknown["isError"]
        assert "work" in _text(unknown)["error"]["hint"]

    ask(steps, {})
    entries = [json.loads(line) for line in run("history", "export").stdout.splitlines()]
    assert {(entry["source"], entry["key_id"]) for entry in entries} == {("mcp", KEY_ID)}


def test_beyond_the_limit_an_answer_is_old_and_a_verdict_is_none(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer to the very same question says its age; another question, and every check, is an error of code 5.

    Each answer is told apart by what was spent meanwhile: what is kept is never taken for what is.
    """
    for name, value in connected(serve(key=Funds(Decimal(1000), Decimal(0)), burn=Decimal(1))).items():
        monkeypatch.setenv(name, value)
    desk = Desk()
    for _ in range(MOST_QUESTIONS):
        last = desk.answer("get_balance", {}).document
        assert last["age_seconds"] == 0
    kept = desk.answer("get_balance", {}).document
    assert kept["age_seconds"] >= 1
    assert kept["readings"] == last["readings"]
    for name, arguments in (("check_budget", {"min": "5"}), ("get_balance", {"scope": "account"}), ("forecast", {})):
        refused = desk.answer(name, arguments)
        assert (refused.is_error, refused.document["error"]["exit_code"]) == (True, 5)
        assert "pass" not in json.dumps(refused.document).casefold()
    assert not desk.answer("list_profiles", {}).is_error


def test_standard_output_carries_the_protocol_alone(
    serve: Serve, environment: Mapping[str, str], tmp_path: Path, write_config: Write
) -> None:
    """What a library prints when it loads, and what a command that prints the key reads and writes, is kept out.

    Answers that are under way come before the end, as for `apimart mcp < questions`.
    """
    sandbox = serve(latency=0.2)
    chatty = tmp_path / "chatty"
    chatty.mkdir()
    (chatty / "socks.py").write_text('print("a library prints", flush=True)\nimport os\nos.write(1, b"and again\\n")\n')
    # The command would take the next line of the protocol for its own, if it could.
    write_config(
        f'[profiles.default]\nbase_url = "{sandbox.url}"\n'
        f'api_key_command = ["sh", "-c", "read line; echo $line >&2; echo {KEY}"]\n'
    )
    variables = {"PYTHONPATH": f"{chatty}:{environment['PYTHONPATH']}"}
    with piped({**environment, **variables}, tmp_path) as pipe:
        pipe.begin()
        pipe.call(1, "get_balance")
        pipe.send(id=2, method="ping")
        pipe.process.stdin.close()
        received = [pipe.receive(), pipe.receive()]
        assert {message["id"] for message in received} == {1, 2}
        [answer] = [message["result"] for message in received if message["id"] == 1]
        assert answer["structuredContent"]["readings"][0]["remain_balance"] == "10.5"
        assert pipe.process.wait(30) == 0
        assert pipe.process.stdout.read() == ""
        assert pipe.process.stderr.read() == "a library prints\nand again\n\n"


def test_a_line_that_is_no_message_harms_nothing(
    sandbox: Sandbox, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """And nothing of it is repeated: it may hold a key."""
    with piped({**environment, **connected(sandbox)}, tmp_path) as pipe:
        pipe.begin()
        for line in (KEY, "{", "[1]", "\ud800\x00"):
            pipe.process.stdin.buffer.write(f"{line}\n".encode("utf-8", "surrogatepass"))
        # And one that is too long, with a newline just after as much as is read at a time.
        pipe.process.stdin.buffer.write(b"[" * (3 * LONGEST_LINE) + b"\n")
        pipe.process.stdin.flush()
        pipe.send(id=9, method="ping")
        lines = []
        while not lines or lines[-1].get("id") != 9:
            lines.append(pipe.receive())
        pipe.process.stdin.close()
        assert pipe.process.wait(30) == 0
        told = json.dumps(lines) + pipe.process.stderr.read()
        assert find_key(told, KEY) == []
        assert "Traceback" not in told


def test_a_slow_gateway_holds_up_its_own_call_only(
    serve: Serve, environment: Mapping[str, str], tmp_path: Path, write_config: Write
) -> None:
    """Others are answered meanwhile, also after one is cancelled; the end of its input is the end, without a word."""
    slow, quick = serve(fault=Fault.TIMEOUT), serve()
    write_config(
        "".join(
            f'[profiles.{name}]\napi_key = "{KEY}"\nbase_url = "{each.url}"\ntimeout = 600\n'
            for name, each in (("slow", slow), ("quick", quick))
        )
    )
    with piped(environment, tmp_path) as pipe:
        pipe.begin()
        pipe.call(1, "get_balance", profile="slow")
        pipe.call(2, "check_budget", profile="slow", min="5")
        pipe.call(3, "get_balance", profile="quick")
        assert pipe.receive()["id"] == 3
        pipe.send(method="notifications/cancelled", params={"requestId": 1, "reason": "the user has changed his mind"})
        pipe.call(4, "check_budget", profile="quick", min="5")
        received = []
        while 4 not in received:
            message = pipe.receive()
            # Version 1 of the SDK answers what was cancelled with an error, version 2 not at all.
            assert message["id"] in {4, 1}
            assert message["id"] == 4 or "error" in message
            received.append(message["id"])
        assert pipe.process.poll() is None
        pipe.process.stdin.close()
        assert pipe.process.wait(30) == 0
        assert pipe.process.stderr.read() == ""


def test_it_ends_when_nobody_reads_it_any_more(
    sandbox: Sandbox, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Also where its input stays open."""
    with piped({**environment, **connected(sandbox)}, tmp_path) as pipe:
        pipe.begin()
        pipe.process.stdout.close()
        pipe.send(id=1, method="ping")
        assert pipe.process.wait(30) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_ends_it(
    serve: Serve, environment: Mapping[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """At once, while it waits for a gateway and for its client.

    It was ready soon: that is measured in seconds of computing, which a busy machine hardly changes.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    unmeasured = {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
    with piped({**unmeasured, **connected(serve(fault=Fault.TIMEOUT))}, tmp_path) as pipe:
        pipe.begin()
        pipe.call(1, "get_balance")
        pipe.send(id=2, method="ping")
        assert pipe.receive()["id"] == 2
        pipe.process.send_signal(number)
        assert pipe.process.wait(30) == code
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < START_SECONDS


def test_an_answer_that_cannot_be_written_is_an_error(environment: Mapping[str, str], tmp_path: Path) -> None:
    """A full disk is no client that goes away."""
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    question = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about})
    (tmp_path / "questions").write_text(f"{question}\n")
    ended = run_program(["sh", "-c", "apimart mcp < questions > /dev/full"], env=environment, cwd=tmp_path)
    assert ended.returncode == 1
    assert "the answer could not be written" in ended.stderr


def test_without_the_sdk_it_says_how_to_add_it(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 2, and the line for the program that made this environment (see `tests/unit/test_installing.py`)."""
    find = util.find_spec
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "mcp" else find(name, *more))
    ended = call("mcp")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        "apimart: error: the mcp package is not installed\nhint: install it beside apimart: "
    )
    assert "'mcp>=1.21.1,<3'" in ended.stderr
