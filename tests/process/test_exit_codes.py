"""One named test per exit code, through the installed command in a process of its own."""

import signal
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.processes import wait_until
from support.running import KEY, Run, Serve, connected, run_program, started_processes
from support.secure import Listener

pytestmark = pytest.mark.usefixtures("quick_path")


UNLIMITED = Funds(None, Decimal(2))

CODES = {
    "OK": (0, "check --min 10.50", {}),
    "USAGE": (2, "check", {}),
    "BELOW": (3, "check --min 10.51", {}),
    "AUTH": (4, "check --min 5", {"fault": Fault.UNAUTHORIZED}),
    "UNAVAILABLE": (5, "check --min 5 --timeout 0.5", {"fault": Fault.TIMEOUT}),
    "BAD_RESPONSE": (6, "check --min 5", {"fault": Fault.MALFORMED}),
    "UNLIMITED": (7, "check --min 5 --on-unlimited fail", {"key": UNLIMITED}),
    "NO_FORECAST": (8, "check --min-runway 3d", {}),
}
"""The other two, INTERNAL and INTERRUPTED, have tests of their own."""


@pytest.mark.parametrize("name", CODES)
def test_check_ends_with(run: Run, serve: Serve, name: str) -> None:
    """The minimum is included; without a threshold there is never a pass; an answer that is cut off proves nothing."""
    code, line, scenario = CODES[name]
    assert run(*line.split(), env=connected(serve(**scenario))).returncode == ExitCode[name] == code


def test_ok_where_nothing_is_judged(run: Run, sandbox: Sandbox, serve: Serve) -> None:
    """A balance that is shown, and an unlimited key where nothing else is said."""
    assert run("balance", env=connected(sandbox)).returncode == 0
    assert run("check", "--min", "5", env=connected(serve(key=UNLIMITED))).returncode == 0


def test_internal_when_the_answer_cannot_be_written(
    command: str, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """A passing check whose answer meets a full disk exits 1, not 0."""
    script = f"{command} check --min 5 > /dev/full"
    ended = run_program(["sh", "-c", script], env={**environment, **connected(sandbox)})
    assert ended.returncode == ExitCode.INTERNAL == 1
    assert "could not be written" in ended.stderr


def test_interrupted_when_ctrl_c_is_pressed(command: str, environment: Mapping[str, str], tmp_path: Path) -> None:
    """Ctrl-C while waiting for an answer exits 130, with no traceback."""
    silent = Listener(lambda connection: connection.recv(65536) and connection.recv(65536))
    with silent as gateway, started_processes(tmp_path) as start:
        where = {"APIMART_BASE_URL": f"http://127.0.0.1:{gateway.port}", "APIMART_API_KEY": KEY}
        process = start([command, "balance"], {**environment, **where})
        wait_until(lambda: gateway.connections)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=40) == ("", "")
    assert process.returncode == ExitCode.INTERRUPTED == 130


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.UNAUTHORIZED, 4), (Fault.UNKNOWN_KEY, 4), (Fault.PAYMENT_REQUIRED, 3), (Fault.RATE_LIMIT, 5),
        (Fault.SERVER_ERROR, 5), (Fault.TIMEOUT, 5), (Fault.MALFORMED, 6), (Fault.HTML, 6),
    ],
)  # fmt: skip
def test_every_rehearsed_fault_has_its_code(run: Run, fault: str, code: int) -> None:
    """`sandbox --fault` shows a script each failure with the code that the real one would have."""
    ended = run("sandbox", "--fault", fault, "--", "apimart", "check", "--min", "5", "--timeout", "1")
    assert ended.returncode == code
