"""The commands as people and scripts use them: options, settings and output, through processes of their own."""

import json
import re
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.fault_server import FaultServer
from support.running import KEY, Call, Run, Serve, Write, connected

UNLIMITED = Funds(None, Decimal("2.3"))
OTHER_KEY = "sk-other-Hx4Jd8Rw2Ty6Ub"


@pytest.fixture
def run(call: Call) -> Call:
    """Run each command line in this process: what these tests show does not need one of its own."""
    return call


def _documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def _key_file(tmp_path: Path, mode: int = 0o600) -> str:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(mode)
    return str(path)


def test_balance_prints_json_for_scripts(run: Run, sandbox: Sandbox) -> None:
    """The documented object, its time in UTC and now."""
    ended = run("balance", "--json", env=connected(sandbox))
    (document,) = _documents(ended.stdout)
    fetched_at = datetime.strptime(document.pop("fetched_at"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - fetched_at) < timedelta(minutes=1)
    assert document == {
        "schema": 1, "profile": "default", "scope": "key", "key_id": sha256(KEY.encode()).hexdigest()[:12],
        "remain_balance": Decimal("10.5"), "used_balance": Decimal("2.3"), "unlimited_quota": False,
        "remain_credits": Decimal("105.0"), "used_credits": Decimal("23.0"), "unit": None, "forecast": None,
    }  # fmt: skip
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("fault", "code", "name"),
    [
        (Fault.UNAUTHORIZED, 4, "auth"), (Fault.PAYMENT_REQUIRED, 3, "payment_required"),
        (Fault.SERVER_ERROR, 5, "unavailable"), (Fault.HTML, 6, "bad_response"),
    ],
)  # fmt: skip
def test_balance_tells_a_failure_twice(run: Run, serve: Serve, fault: Fault, code: int, name: str) -> None:
    """As an object for scripts and as a line with a hint for people, in the same words."""
    ended = run("balance", "--json", env=connected(serve(fault=fault)))
    (document,) = _documents(ended.stdout)
    error = document["error"]
    assert (ended.returncode, error["exit_code"], error["code"]) == (code, code, name)
    assert (document["profile"], document["scope"]) == ("default", "key")
    assert ended.stderr == f"apimart: error: {error['message']}\nhint: {error['hint']}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ("--min 10.500001", 3, "BELOW default/spendable: 10.5 left (limited by key), at least 10.500001 required"),
        ("--max-used 2.29", 3, "BELOW default/spendable: 10.5 left (limited by key); 2.3 used, at most 2.29 allowed"),
        (
            "--min 10.5 --max-used 2.3",
            0,
            "PASS default/spendable: 10.5 left (limited by key), at least 10.5 required; 2.3 used, at most 2.3 allowed",
        ),
        (
            "--min 50 --scope both",
            3,
            "BELOW default/key: 10.5 left, at least 50 required\n"
            "PASS default/account: 100.0 left, at least 50 required",
        ),
    ],
)
def test_check_compares_exactly_and_says_so(run: Run, sandbox: Sandbox, arguments: str, code: int, line: str) -> None:
    """One line a reading, the verdict in its first word and in the exit code."""
    ended = run("check", *arguments.split(), env=connected(sandbox))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, f"{line}\n", "")


@pytest.mark.parametrize("amount", ["10.499999999999998", "0.00", f"{'9' * 12}.{'1' * 20}"])
def test_a_number_that_balance_prints_can_be_required(run_process: Run, amount: str) -> None:
    """It is pasted into `--min` and into the sandbox as it stands, and compared to the last digit."""
    shown = run_process("sandbox", "--remain", amount, "--", "apimart", "balance", "-o", "value").stdout
    assert shown == f"{amount}\n"
    ended = run_process(
        "sandbox", "--remain", amount, "--", "apimart", "check", "--min", shown.strip(), "--scope", "key"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"PASS default/key: {amount} left, at least {amount} required\n"


def test_check_prints_one_object(run: Run, sandbox: Sandbox) -> None:
    """The verdict and what it rests on, exact."""
    ended = run("check", "--min", "50.10", "--max-used", "30", "--scope", "both", "--json", env=connected(sandbox))
    (document,) = _documents(ended.stdout)
    readings = document.pop("readings")
    assert document == {"schema": 1, "verdict": "below", "exit_code": 3, "min": Decimal("50.10"), "max_used": 30,
                        "min_runway_days": None, "stopped_by": ["default/key"], "spent": []}  # fmt: skip
    assert '"min":50.10,' in ended.stdout
    assert [(reading["scope"], reading["verdict"], reading["remain_balance"]) for reading in readings] == [
        ("key", "below", Decimal("10.5")),
        ("account", "pass", Decimal("100.0")),
    ]
    assert ended.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "stderr"),
    [
        ("--min 50", 3, False), ("--min 5 --json", 0, False),
        ("--min 5 --base-url http://127.0.0.1:9 --timeout 0.1", 5, True), ("--min x --json", 2, True),
    ],
)  # fmt: skip
def test_a_quiet_check_prints_nothing(run: Run, sandbox: Sandbox, arguments: str, code: int, stderr: bool) -> None:
    """The exit code is the answer; what went wrong is still told on standard error."""
    ended = run("check", "-q", *arguments.split(), env=connected(sandbox))
    assert (ended.returncode, ended.stdout, bool(ended.stderr)) == (code, "", stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ("--min 5 --scope key", 0, "PASS"),
        ("--min 5 --scope key --on-unlimited fail", 7, "UNLIMITED"),
        ("--max-used 2.3 --scope key --on-unlimited fail", 7, "UNLIMITED"),
        ("--max-used 2 --min 5 --scope key --on-unlimited fail", 3, "BELOW"),
        ("--min 500 --scope both --on-unlimited fail", 3, "UNLIMITED"),
    ],
)
def test_check_of_an_unlimited_key(run: Run, serve: Serve, arguments: str, code: int, word: str) -> None:
    """It meets a minimum unless the user says otherwise; below beats unlimited."""
    ended = run("check", *arguments.split(), env=connected(serve(key=UNLIMITED)))
    assert ended.returncode == code
    assert ended.stdout.startswith(f"{word} default/key: unlimited quota")


def test_check_fails_open_only_when_asked_and_only_without_an_answer(run: Run, serve: Serve) -> None:
    """Exit 0 with a warning for code 5; a rejected key or a bad answer still stops."""
    down = connected(serve(fault=Fault.SERVER_ERROR))
    assert run("check", "--min", "5", env=down).returncode == 5
    ended = run("check", "--min", "5", "--fail-open", "--json", env=down)
    (document,) = _documents(ended.stdout)
    assert (ended.returncode, document["verdict"], document["exit_code"]) == (0, "error", 0)
    assert document["readings"][0]["error"]["exit_code"] == 5
    error, _, warning, hint = ended.stderr.splitlines()
    assert error.startswith("apimart: error: the gateway could not answer (HTTP 500)")
    assert warning == "apimart: warning: the balance is not known; going on because of --fail-open"
    assert hint == "hint: leave --fail-open out to stop here"
    for fault, code in ((Fault.UNAUTHORIZED, 4), (Fault.HTML, 6), (Fault.PAYMENT_REQUIRED, 3)):
        assert run("check", "--min", "5", "--fail-open", env=connected(serve(fault=fault))).returncode == code


def test_failing_open_forgives_no_mistake_of_usage(run: Run, sandbox: Sandbox) -> None:
    """Without a threshold, or with a missing key, there is nothing to go on with."""
    assert run("check", "--fail-open", env=connected(sandbox)).returncode == 2
    assert run("check", "--fail-open", "--min", "5").returncode == 4


@pytest.mark.parametrize("arguments", ["balance", "check --min 5"])
def test_a_time_limit_holds_for_both_scopes_together(run: Run, serve: Serve, arguments: str) -> None:
    """They are asked side by side: two silent addresses take no longer than one."""
    env = connected(serve(fault=Fault.TIMEOUT))
    ended = run(*arguments.split(), "--scope", "both", "--timeout", "0.5", env=env)
    assert ended.returncode == 5
    assert ended.stderr.startswith("apimart: error: default/key, default/account: no answer from ")


def _asked_with(run: Run, arguments: Sequence[str], env: Mapping[str, str], **options: Any) -> tuple[str, str]:
    """The key and the path that a server hears."""
    body = b'{"success":true,"remain_balance":7,"used_balance":1}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    with FaultServer([[answer]]) as server:
        ended = run("balance", *arguments, env={"APIMART_BASE_URL": server.url, **env}, **options)
    assert ended.returncode == 0, ended.stderr
    (head,) = server.heads
    key = re.search(rb"^Authorization: Bearer (.*)\r$", head, re.MULTILINE)
    assert key
    return key[1].decode(), head.split()[1].decode()


@pytest.mark.parametrize(
    ("arguments", "env", "stdin", "key"),
    [
        (["--api-key", "-"], {"APIMART_API_KEY": OTHER_KEY}, f"{KEY}\n", KEY),
        (["--api-key-file", "{file}"], {"APIMART_API_KEY": OTHER_KEY}, None, KEY),
        ([], {"APIMART_API_KEY": KEY, "OPENAI_API_KEY": OTHER_KEY}, None, KEY),
        (["-p", "variable"], {"APIMART_API_KEY": OTHER_KEY, "CI_KEY": KEY}, None, KEY),
        ([], {"APIMART_PROFILE": "file", "APIMART_API_KEY": OTHER_KEY}, None, OTHER_KEY),
        ([], {}, None, KEY),
    ],
)
def test_the_key_that_is_sent_comes_from_the_most_explicit_place(
    run: Run, write_config: Write, tmp_path: Path, arguments: Sequence[str], env: Mapping[str, str], stdin: str | None,
    key: str,
) -> None:  # fmt: skip
    """Option, then a profile named by option, then APIMART_API_KEY, then a profile named otherwise."""
    write_config(
        f"default_profile = 'file'\n[profiles.file]\napi_key = '{KEY}'\n[profiles.variable]\napi_key_env = 'CI_KEY'\n"
    )
    given = [argument.format(file=_key_file(tmp_path)) for argument in arguments]
    assert _asked_with(run, given, env, input=stdin) == (key, "/v1/balance")


def test_config_shows_no_piece_of_the_key(run: Run, write_config: Write) -> None:
    """In neither form."""
    write_config(f"[profiles.work]\napi_key = '{KEY}'\n")
    for arguments in ((), ("--json",)):
        shown = run("config", "show", "-p", "work", *arguments).stdout
        assert "26 characters" in shown
        assert not any(KEY[start : start + 4] in shown for start in range(8, len(KEY) - 3))


def test_config_asks_no_gateway(run: Run) -> None:
    """Showing settings works without a network."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        env = {"APIMART_BASE_URL": f"http://127.0.0.1:{listener.getsockname()[1]}", "APIMART_API_KEY": KEY}
        assert run("config", "show", env=env).returncode == 0
        with pytest.raises(TimeoutError):
            listener.accept()
