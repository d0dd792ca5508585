"""The commands as people and scripts use them: options, settings, units and output."""

import json
import re
import shlex
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Run, Serve, connected


def _documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def test_balance_prints_json_for_scripts(call: Call, sandbox: Sandbox) -> None:
    """The documented object, its time in UTC and now."""
    ended = call("balance", "--json", env=connected(sandbox))
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
def test_balance_tells_a_failure_twice(call: Call, serve: Serve, fault: Fault, code: int, name: str) -> None:
    """As an object for scripts and as a line with a hint for people, in the same words."""
    ended = call("balance", "--json", env=connected(serve(fault=fault)))
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
def test_check_compares_exactly_and_says_so(call: Call, sandbox: Sandbox, arguments: str, code: int, line: str) -> None:
    """One line a reading, the verdict in its first word and in the exit code."""
    ended = call("check", *arguments.split(), env=connected(sandbox))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, f"{line}\n", "")


@pytest.mark.usefixtures("quick_path")
@pytest.mark.parametrize("amount", ["10.499999999999998", "0.00", f"{'9' * 12}.{'1' * 20}"])
def test_a_number_that_balance_prints_can_be_required(run: Run, amount: str) -> None:
    """It is pasted into `--min` and into the sandbox as it stands, and compared to the last digit."""
    shown = run("sandbox", "--remain", amount, "--", "apimart", "balance", "-o", "value").stdout
    assert shown == f"{amount}\n"
    ended = run("sandbox", "--remain", amount, "--", "apimart", "check", "--min", shown.strip(), "--scope", "key")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"PASS default/key: {amount} left, at least {amount} required\n"


@pytest.mark.parametrize(
    ("arguments", "code", "stderr"),
    [
        ("--min 50", 3, False), ("--min 5 --json", 0, False),
        ("--min 5 --base-url http://127.0.0.1:9 --timeout 0.1", 5, True), ("--min x --json", 2, True),
    ],
)  # fmt: skip
def test_a_quiet_check_prints_nothing(call: Call, sandbox: Sandbox, arguments: str, code: int, stderr: bool) -> None:
    """The exit code is the answer; what went wrong is still told on standard error."""
    ended = call("check", "-q", *arguments.split(), env=connected(sandbox))
    assert (ended.returncode, ended.stdout, bool(ended.stderr)) == (code, "", stderr)


def test_check_fails_open_only_when_asked_and_only_without_an_answer(call: Call, serve: Serve) -> None:
    """Exit 0 with a warning for code 5; a rejected key or a bad answer still stops."""
    down = connected(serve(fault=Fault.SERVER_ERROR))
    assert call("check", "--min", "5", env=down).returncode == 5
    ended = call("check", "--min", "5", "--fail-open", "--json", env=down)
    (document,) = _documents(ended.stdout)
    assert (ended.returncode, document["verdict"], document["exit_code"]) == (0, "error", 0)
    assert document["readings"][0]["error"]["exit_code"] == 5
    error, _, warning, hint = ended.stderr.splitlines()
    assert error.startswith("apimart: error: the gateway could not answer (HTTP 500)")
    assert warning == "apimart: warning: the balance is not known; going on because of --fail-open"
    assert hint == "hint: leave --fail-open out to stop here"
    for fault, code in ((Fault.UNAUTHORIZED, 4), (Fault.HTML, 6), (Fault.PAYMENT_REQUIRED, 3)):
        assert call("check", "--min", "5", "--fail-open", env=connected(serve(fault=fault))).returncode == code


def test_failing_open_forgives_no_mistake_of_usage(call: Call, sandbox: Sandbox) -> None:
    """Without a threshold, or with a missing key, there is nothing to go on with."""
    assert call("check", "--fail-open", env=connected(sandbox)).returncode == 2
    assert call("check", "--fail-open", "--min", "5").returncode == 4


@pytest.mark.parametrize("arguments", ["balance", "check --min 5"])
def test_a_time_limit_holds_for_both_scopes_together(call: Call, serve: Serve, arguments: str) -> None:
    """They are asked side by side: two silent addresses take no longer than one."""
    env = connected(serve(fault=Fault.TIMEOUT))
    ended = call(*arguments.split(), "--scope", "both", "--timeout", "0.5", env=env)
    assert ended.returncode == 5
    assert ended.stderr.startswith("apimart: error: default/key, default/account: no answer from ")


def test_config_asks_no_gateway(call: Call) -> None:
    """Showing settings works without a network."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.2)
        env = {"APIMART_BASE_URL": f"http://127.0.0.1:{listener.getsockname()[1]}", "APIMART_API_KEY": KEY}
        assert call("config", "show", env=env).returncode == 0
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("watch --for 10", "10s"), ("statusline --max-age 60", "60s"), ("check --min-runway 3", "3d"),
        ("run --min-runway 3 -- true", "3d"), ("nagios --runway-warning 7", "7d"), ("nagios --runway-critical 3", "3d"),
        ("config set min_runway 3", "3d"), ("config set remind 24", "24h"),
    ],
)  # fmt: skip
def test_a_number_alone_gets_a_hint_that_is_taken(call: Call, sandbox: Sandbox, line: str, proposed: str) -> None:
    """The proposed unit is the one that is usual there, and the line with it has no such mistake."""
    refused = call(*shlex.split(line), env=connected(sandbox))
    assert refused.returncode in {2, 3, 125}
    assert "has no unit" in refused.stdout + refused.stderr
    told = re.search(r"^hint: give a unit: (\S+)$", refused.stderr, re.MULTILINE)
    assert told is None or told[1] == proposed
    assert proposed in refused.stdout + refused.stderr
    number = proposed[:-1]
    # A short time, where the line would wait for it.
    followed = re.sub(rf"\b{number}\b", "1s" if proposed == "10s" else proposed, line)
    assert "has no unit" not in call(*shlex.split(followed), env=connected(sandbox)).stderr


@pytest.mark.parametrize(
    "line",
    [
        "balance --timeout 10s",
        "check --min 5 --timeout 0.2m",
        "nagios -c 5: -t 10s",
        "config show --timeout 10s",
        "watch --count 1 --interval 30 --timeout 10s",
        "run --min 5 --interval 1s --kill-after 10s --max-blind 600 --timeout 10s --no-settle -- true",
        "run --min 5 --interval 1 --kill-after 10 --max-blind 10m --no-settle -- true",
        "history --days 14d",
        "history --days 2w",
        "history runs --days 14d",
        "sandbox --days 14d -- true",
        "sandbox --lag 1s --latency 10s --fault-after 1m --fault-for 1h --retry-after 2s --top-up 5@10s -- true",
        "sandbox --lag 1 --latency 10 --fault-after 60 --fault-for 60 --retry-after 2 --top-up 5@10 -- true",
        "config set timeout 10s",
        "config set timeout 10",
    ],
)
def test_seconds_and_days_are_taken_with_their_unit(call: Call, sandbox: Sandbox, line: str) -> None:
    """Wherever a number alone is taken, one with a unit is, too."""
    ended = call(*shlex.split(line), env=connected(sandbox))
    assert (ended.returncode, "error" in ended.stderr) == (0, False), ended.stderr
