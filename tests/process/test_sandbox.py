"""The sandbox: a gateway on loopback that speaks the documented API, around a command or until Ctrl-C."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from decimal import Decimal
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Fault, Funds, Move, Scenario
from apimart_cli.sandbox.server import API_KEY, Sandbox
from support.running import KEY, Call, Run, Serve, run_program
from support.stopwatch import Stopwatch

pytestmark = [pytest.mark.measured, pytest.mark.usefixtures("quick_path")]

AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

UNLIMITED = Funds(None, Decimal("2.3"))


class Reply:
    """What the sandbox answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.text = response.read().decode("utf-8")
        self.headers = response.headers

    @property
    def fields(self) -> dict[str, Any]:
        """The body as JSON, amounts exact."""
        return dict(json.loads(self.text, parse_float=Decimal, parse_int=Decimal))


def ask(
    sandbox: Sandbox, path: str = "/v1/balance", headers: Mapping[str, str] = AUTHORIZED, method: str = "GET"
) -> Reply:
    with closing(http.client.HTTPConnection("127.0.0.1", sandbox.server_port, timeout=10)) as connection:
        connection.request(method, path, headers=dict(headers))
        return Reply(connection.getresponse())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("balance", '"remain_balance":10.5,"remain_credits":105.0,"used_balance":2.3,"used_credits":23.0'),
        ("user/balance", '"remain_balance":100.0,"remain_credits":1000.0,"used_balance":25.5,"used_credits":255.0'),
    ],
)
def test_key_and_account_are_answered_at_both_addresses(sandbox: Sandbox, path: str, body: str) -> None:
    """With the amounts of the gateway's own documentation, at the documented addresses and their aliases."""
    for address in (f"/v1/{path}", f"/{path}?x=1"):
        reply = ask(sandbox, address)
        assert (reply.status, reply.text) == (200, f'{{"success":true,{body},"unlimited_quota":false}}')
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
        assert int(reply.headers["Content-Length"]) == len(reply.text)


@pytest.mark.parametrize("path", ["/", "/v1/balance/", "/v2/balance"])
def test_any_other_address_or_method_is_not_found(serve: Serve, path: str) -> None:
    """A wrong base URL is rehearsed like the real one, whatever fault is played."""
    sandbox = serve(fault=Fault.SERVER_ERROR)
    reply = ask(sandbox, path)
    assert reply.status == 404
    assert reply.fields["error"]["message"] == f"Invalid URL (GET {path})"
    assert ask(sandbox, path, method="POST").status == 501
    assert ask(sandbox, headers={}).status == 401


@pytest.mark.parametrize("authorization", ["", "Bearer ", KEY, f"bearer {KEY}", "Bearer key", f"Bearer {KEY} x"])
def test_a_key_that_is_not_well_formed_is_rejected(sandbox: Sandbox, authorization: str) -> None:
    """In the form that the gateway was observed to use; without a header in its documented words."""
    reply = ask(sandbox, headers={"Authorization": authorization})
    assert (reply.status, reply.fields["error"]["message"]) == (401, "invalid API key")
    reply = ask(sandbox, headers={})
    assert (reply.status, reply.fields) == (401, {"success": False, "message": "No Authorization header"})
    for key in (API_KEY, "sk-[!~]"):
        assert ask(sandbox, headers={"Authorization": f"Bearer {key}"}).status == 200


@pytest.mark.parametrize(
    ("funds", "fields"),
    [
        (UNLIMITED, '"remain_balance":-1,"remain_credits":-1,"used_balance":2.3,"used_credits":23.0'),
        (
            Funds(Decimal("999999999999.999999"), Decimal("0.000001")),
            '"remain_balance":999999999999.999999,"remain_credits":9999999999999.999990,'
            '"used_balance":0.000001,"used_credits":0.000010',
        ),
    ],
)
def test_amounts_are_told_exactly(serve: Serve, funds: Funds, fields: str) -> None:
    """All their digits, no exponent; an unlimited quota as the gateway tells it: -1 and true."""
    unlimited = "true" if funds.remain is None else "false"
    assert ask(serve(key=funds)).text == f'{{"success":true,{fields},"unlimited_quota":{unlimited}}}'


Burning = Callable[..., tuple[Sandbox, list[float]]]


@pytest.fixture
def burning() -> Iterator[Burning]:
    """A sandbox whose clock is a list with one number in it."""
    with ExitStack() as stack:

        def start(**fields: Any) -> tuple[Sandbox, list[float]]:
            now = [1000.0]
            return stack.enter_context(Sandbox(Scenario(**fields), clock=lambda: now[0]).serving()), now

        yield start


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({}, {1000: (10.5, 2.3)}),
        ({"burn": Decimal("0.5")}, {0: (10.5, 2.3), 4: (8.5, 4.3), 4 + 1 / 3: (8.333333, 4.466667)}),
        # No more is used than there was; of an unlimited quota only what was used grows.
        ({"burn": Decimal(5)}, {1000: (0, 12.8)}),
        ({"burn": Decimal(5), "key": UNLIMITED}, {1000: (-1, 5002.3)}),
        # Nothing for 10 seconds, and then all of it at once.
        ({"burn": Decimal("0.5"), "lag": 10.0}, {9.9: (10.5, 2.3), 10: (5.5, 7.3), 19.9: (5.5, 7.3), 20: (0.5, 12.3)}),
        # A top-up leaves what was used alone; a refund is the reverse of a charge.
        (
            {"burn": Decimal(1), "moves": (Move(Decimal(5), 2.0), Move(Decimal(3), 4.0, is_refund=True))},
            {1: (9.5, 3.3), 2: (13.5, 4.3), 4: (14.5, 3.3)},
        ),
    ],
    ids=["nothing unless asked", "to the millionth", "ends at zero", "without end", "a lag", "moves"],
)
def test_a_balance_moves_with_the_time(
    burning: Burning, fields: Mapping[str, Any], seen: Mapping[float, tuple[float, float]]
) -> None:
    """What leaves the remaining amount is added to the used one."""
    sandbox, now = burning(**fields)
    for elapsed, amounts in seen.items():
        now[0] = 1000 + elapsed
        told = ask(sandbox).fields
        assert (told["remain_balance"], told["used_balance"]) == tuple(Decimal(str(amount)) for amount in amounts)


def test_the_account_moves_with_the_key(burning: Burning) -> None:
    """And so do the credits."""
    sandbox, now = burning(burn=Decimal("0.5"), moves=(Move(Decimal(5), 2.0),))
    now[0] += 4
    assert [ask(sandbox).fields[f"{name}_credits"] for name in ("remain", "used")] == [135, 43]
    account = ask(sandbox, "/v1/user/balance").fields
    assert (account["remain_balance"], account["used_balance"]) == (Decimal(103), Decimal("27.5"))


def test_money_comes_in_on_request(burning: Burning) -> None:
    """For tests in this process. A refund of an unlimited key lowers what was used alone."""
    sandbox, _ = burning(burn=Decimal(1))
    sandbox.top_up(Decimal(5))
    assert ask(sandbox).fields["remain_balance"] == Decimal("15.5")
    sandbox.refund(Decimal(1))
    assert ask(sandbox).fields["used_balance"] == Decimal("1.3")
    unlimited, _ = burning(key=UNLIMITED)
    unlimited.refund(Decimal(1))
    unlimited.top_up(Decimal(1))
    assert (ask(unlimited).fields["remain_balance"], ask(unlimited).fields["used_balance"]) == (-1, Decimal("1.3"))


def test_a_fault_begins_and_ends_when_it_is_to(burning: Burning) -> None:
    """An outage for a while, or a key that is revoked in the middle."""
    sandbox, now = burning(fault=Fault.UNAUTHORIZED, fault_after=2.0, fault_for=3.0)
    statuses = []
    for elapsed in (1.9, 2, 4.9, 5):
        now[0] = 1000 + elapsed
        statuses.append(ask(sandbox).status)
    assert statuses == [200, 401, 401, 200]


def test_a_scenario_may_change_while_it_is_played(sandbox: Sandbox) -> None:
    """By a test in this process."""
    assert ask(sandbox).status == 200
    for fields, seconds in (({}, "1"), ({"retry_after": 7}, "7")):
        sandbox.scenario = Scenario(fault=Fault.RATE_LIMIT, **fields)
        reply = ask(sandbox)
        assert (reply.status, reply.headers["Retry-After"]) == (429, seconds)


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.UNAUTHORIZED, 401, r'\{"error": \{"code": 401, "message": "invalid API key .*'),
        (Fault.UNKNOWN_KEY, 200, r'\{"success": false, "message": "Failed to get token info"\}'),
        (Fault.PAYMENT_REQUIRED, 402, r'\{"error": \{"code": 402, "message": "insufficient balance", .*'),
        (Fault.RATE_LIMIT, 429, r'\{"error": \{"code": 429, .*'),
        (Fault.SERVER_ERROR, 500, r'\{"error": \{"code": 500, .*'),
        (Fault.MALFORMED, 200, r'\{"success":true,"remain_balance":10\.5,"used_bal'),
        (Fault.HTML, 200, r"<!doctype html>.*"),
    ],
)
def test_every_fault_is_answered_for_both_scopes(serve: Serve, fault: Fault, status: int, body: str) -> None:
    """As the gateway was documented or observed to fail."""
    sandbox = serve(fault=fault)
    for path in ("/v1/balance", "/user/balance"):
        reply = ask(sandbox, path)
        assert reply.status == status
        assert re.fullmatch(body, reply.text)
        assert reply.headers["Content-Type"].startswith("text/html" if fault is Fault.HTML else "application/json")


@pytest.mark.parametrize("scenario", [Scenario(fault=Fault.TIMEOUT), Scenario(latency=30)])
def test_who_waits_for_an_answer_hears_nothing_until_the_sandbox_ends(scenario: Scenario) -> None:
    """Then its connection ends without a byte, at once."""
    sandbox = Sandbox(scenario)
    started = time.monotonic()
    with socket.socket() as client:
        with sandbox.serving():
            client.connect(("127.0.0.1", sandbox.server_port))
            client.sendall(f"GET /v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.settimeout(10)
        assert client.recv(1) == b""
    assert time.monotonic() - started < 10


def test_an_answer_waits_for_the_latency(serve: Serve) -> None:
    """Each one, the refusals included."""
    sandbox = serve(latency=0.2)
    for path in ("/v1/balance", "/nowhere"):
        started = time.monotonic()
        ask(sandbox, path)
        assert time.monotonic() - started >= 0.2


def test_many_are_answered_at_once(serve: Serve) -> None:
    """The answers travel side by side: twenty slow ones take little longer than one."""
    sandbox = serve(latency=0.3)
    watch = Stopwatch()
    with ThreadPoolExecutor(20) as pool:
        statuses = [reply.status for reply in pool.map(ask, [sandbox] * 20)]
    assert statuses == [200] * 20
    watch.took().assert_within(3)


def test_a_client_that_hangs_up_is_nobody_s_business(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback, no log, and the next one is answered."""
    sandbox = serve(latency=0.05)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", sandbox.server_port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.sendall(f"GET /v1/balance HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    assert ask(sandbox).status == 200
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_starting_looks_up_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would ask for a name of 127.0.0.1, which takes seconds where no resolver answers."""

    def refuse(*_arguments: object) -> None:
        raise AssertionError("a name was looked up")

    for name in ("getfqdn", "gethostbyaddr", "gethostbyname", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    with Sandbox(Scenario()).serving() as sandbox, socket.socket() as client:
        client.settimeout(10)
        client.connect(("127.0.0.1", sandbox.server_port))
        client.sendall(b"GET /v1/balance HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")
        assert sandbox.socket.getsockname()[0] == "127.0.0.1"
        assert sandbox.environment() == {
            "APIMART_BASE_URL": f"http://127.0.0.1:{sandbox.server_port}", "APIMART_API_KEY": API_KEY,
        }  # fmt: skip


def test_a_connection_serves_several_questions(sandbox: Sandbox) -> None:
    """As a real gateway does: `--scope both` needs no second connection."""
    with closing(http.client.HTTPConnection("127.0.0.1", sandbox.server_port, timeout=10)) as connection:
        for path in ("/v1/balance", "/v1/user/balance"):
            connection.request("GET", path, headers=AUTHORIZED)
            assert Reply(connection.getresponse()).status == 200


def test_options_set_the_scene(run: Run) -> None:
    """What the key has is what the options say, and what the account has; no key of one's own is needed."""
    shown = ("--", "apimart", "balance", "--scope", "both", "-o", "value")
    ended = run("sandbox", *shown)
    lines = "default/key\t10.5\ndefault/account\t100.0\ndefault/spendable\t10.5\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, lines, "")
    ended = run("sandbox", "--account-remain", "7.50", "--remain", "3", *shown)
    assert ended.stdout == "default/key\t3\ndefault/account\t7.50\ndefault/spendable\t3\n"
    ended = run("sandbox", "--account-used", "1", "--used", "0.25", "--unlimited", *shown[:-2], "--json")
    found = [json.loads(line, parse_float=str) for line in ended.stdout.splitlines()[:2]]
    assert [(each["remain_balance"], each["used_balance"]) for each in found] == [(None, "0.25"), ("100.0", 1)]


def test_a_burning_balance_moves_while_a_command_looks(run: Run) -> None:
    """`--burn` spends so much a second; the account of the sandbox goes down with its key."""
    look = "apimart balance -o value --scope both"
    ended = run("sandbox", "--burn", "2", "--", "sh", "-c", f"{look}; sleep 0.3; {look}")
    amounts = [Decimal(line.split("\t")[1]) for line in ended.stdout.splitlines()]
    assert amounts[3] <= amounts[0] - Decimal("0.6")
    assert amounts[4] <= amounts[1] - Decimal("0.6")


def test_a_command_keeps_its_streams_and_the_rest_of_its_environment(run: Run) -> None:
    """Two variables are set for it, whatever they were; the others stay."""
    ended = run(
        "sandbox", "--", "sh", "-c", 'cat; echo to-error >&2; echo "$MY_OWN $APIMART_API_KEY $APIMART_BASE_URL"',
        env={"MY_OWN": "kept", "APIMART_API_KEY": KEY, "APIMART_BASE_URL": "https://gateway.example"},
        input="through\n",
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "to-error\n")
    assert re.fullmatch(r"through\nkept sk-sandbox-0+ http://127\.0\.0\.1:\d+\n", ended.stdout)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 255", 255), ("kill -KILL $$", 137)])
def test_the_exit_code_is_the_command_s(run: Run, script: str, code: int) -> None:
    """Handed on as it is; 128 and the number for a signal."""
    ended = run("sandbox", "--", "sh", "-c", script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


def test_options_after_the_command_are_the_command_s(run: Run) -> None:
    """Also without `--`, what follows the command's name belongs to it."""
    ended = run("sandbox", "--remain", "4", "apimart", "check", "--min", "5", "--json")
    assert ended.returncode == 3
    assert json.loads(ended.stdout)["readings"][0]["remain_balance"] == 4


@pytest.mark.parametrize(
    ("program", "reason"), [("no-such-command", "No such file or directory"), ("/tmp", "Permission denied")]
)
def test_a_command_that_cannot_be_started_is_a_usage_error(run: Run, program: str, reason: str) -> None:
    """One line that names it, and a hint."""
    ended = run("sandbox", "--", program)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"apimart: error: cannot run {program}: {reason}\nhint: check the command after --\n"


def test_a_moving_balance_can_be_rehearsed_from_the_command_line(run: Run) -> None:
    """Top-ups, refunds, batches and a fault that begins later, or ends, have options."""
    options = ("--burn", "1", "--lag", "1000", "--top-up", "5@0", "--refund", "0.3@0", "--top-up", "7@900")
    ended = run("sandbox", *options, "--", "apimart", "balance", "-o", "value")
    assert (ended.returncode, ended.stdout) == (0, "15.8\n")
    faults = ("--fault", "rate-limit", "--retry-after", "60")
    assert run("sandbox", *faults, "--fault-after", "100", "--", "apimart", "balance").returncode == 0
    assert run("sandbox", *faults, "--fault-for", "0", "--", "apimart", "balance").returncode == 0
    assert run("sandbox", *faults, "--fault-for", "100", "--", "apimart", "balance").returncode == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--top-up 5", "it has no time in it"),
        ("--refund x@1", "'x' is not an amount: it is not a plain decimal number"),
        ("--top-up 5@4000", "must be at most 3600 seconds"),
        ("--lag -1", "'-1' has a sign; a duration has none"),
        ("--latency 3601", "must be at most 3600 seconds"),
        ("--days 0", "'0' is not a number of days from 1 to 60"),
        ("--days 61", "'61' is not a number of days from 1 to 60"),
        *(
            (f"{name} 1,5", "'1,5' is not an amount: it has a comma")
            for name in ("--remain", "--used", "--account-remain", "--account-used", "--burn")
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_a_usage_error(call: Call, options: str, message: str) -> None:
    """The command is not started."""
    ended = call("sandbox", *options.split(), "--", "echo", "started")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"apimart: error: {options.split(maxsplit=1)[0]}: {message}\nhint: ")


def test_a_port_can_be_chosen_and_may_be_taken(run: Run) -> None:
    """The chosen port is used; one that somebody listens on is a usage error that says so."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        taken = run("sandbox", "--port", str(port), "--", "echo", "started")
    assert (taken.returncode, taken.stdout) == (2, "")
    assert taken.stderr == (
        f"apimart: error: --port: cannot listen on 127.0.0.1:{port}: address already in use\n"
        "hint: choose another port, or leave it out\n"
    )
    free = run("sandbox", "--port", str(port), "--", "sh", "-c", "echo $APIMART_BASE_URL")
    assert free.stdout == f"http://127.0.0.1:{port}\n"


def test_without_a_command_it_serves_until_ctrl_c(command: str, environment: Mapping[str, str]) -> None:
    """It prints lines for a shell to read, answers, ends with 130, closes its port, and leaves no history."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([command, "sandbox", "--remain", "4"], env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        exported = run_program(["sh", "-c", f"{''.join(lines)}apimart balance -o value"], env=environment)
        process.send_signal(signal.SIGINT)
        rest, messages = process.communicate(timeout=40)
    assert (process.returncode, rest, messages) == (130, "", "")
    assert (exported.returncode, exported.stdout) == (0, "4\n")
    url = re.fullmatch(r"export APIMART_BASE_URL=(http://127\.0\.0\.1:(\d+))\n", lines[0])
    assert url
    assert lines[1] == "export APIMART_API_KEY=sk-sandbox-0000000000000000\n"
    history = re.fullmatch(r"export APIMART_HISTORY=(\S+)/history\.db\n", lines[2])
    assert history
    assert not os.path.lexists(history[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url[2])), timeout=5)
