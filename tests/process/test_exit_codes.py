"""One named test per exit code, through the installed command in a process of its own."""

import signal
import subprocess
from collections.abc import Mapping
from decimal import Decimal

import pytest

from apimart_cli import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.processes import wait_until
from support.running import KEY, Run, Serve, connected
from support.secure import Listener

pytestmark = pytest.mark.usefixtures("quick_path")


def test_ok_when_the_balance_is_shown(run: Run, sandbox: Sandbox) -> None:
    """`balance` that could be shown exits 0."""
    assert run("balance", env=connected(sandbox)).returncode == ExitCode.OK == 0


def test_ok_when_every_threshold_is_met(run: Run, sandbox: Sandbox) -> None:
    """`check` exits 0 when the balance is at least the minimum, the minimum included."""
    assert run("check", "--min", "10.50", env=connected(sandbox)).returncode == 0


def test_internal_when_the_answer_cannot_be_written(
    command: str, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """A passing check whose answer meets a full disk exits 1, not 0."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [command, "check", "--min", "5"], env={**environment, **connected(sandbox)}, stdout=full,
            stderr=subprocess.PIPE, timeout=30, check=False,
        )  # fmt: skip
    assert ended.returncode == ExitCode.INTERNAL == 1
    assert b"could not be written" in ended.stderr


def test_usage_when_there_is_no_threshold(run: Run, sandbox: Sandbox) -> None:
    """A gate without a threshold is a usage error, never a pass."""
    assert run("check", env=connected(sandbox)).returncode == ExitCode.USAGE == 2


def test_below_when_a_threshold_is_not_met(run: Run, sandbox: Sandbox) -> None:
    """`check` exits 3 when less is left than required."""
    assert run("check", "--min", "10.51", env=connected(sandbox)).returncode == ExitCode.BELOW == 3


def test_auth_when_the_key_is_rejected(run: Run, serve: Serve) -> None:
    """A key that the gateway rejects exits 4."""
    gateway = serve(fault=Fault.UNAUTHORIZED)
    assert run("check", "--min", "5", env=connected(gateway)).returncode == ExitCode.AUTH == 4


def test_unavailable_when_nobody_answers(run: Run, serve: Serve) -> None:
    """A gateway that never answers exits 5 when the time limit is over."""
    gateway = serve(fault=Fault.TIMEOUT)
    ended = run("check", "--min", "5", "--timeout", "0.5", env=connected(gateway))
    assert ended.returncode == ExitCode.UNAVAILABLE == 5


def test_bad_response_when_the_answer_proves_nothing(run: Run, serve: Serve) -> None:
    """An answer that is cut off exits 6."""
    gateway = serve(fault=Fault.MALFORMED)
    assert run("check", "--min", "5", env=connected(gateway)).returncode == ExitCode.BAD_RESPONSE == 6


def test_unlimited_when_an_unlimited_quota_is_not_welcome(run: Run, serve: Serve) -> None:
    """An unlimited key exits 7 with `--on-unlimited fail`, and 0 without."""
    gateway = serve(key=Funds(None, Decimal(2)))
    assert (
        run("check", "--min", "5", "--on-unlimited", "fail", env=connected(gateway)).returncode
        == ExitCode.UNLIMITED
        == 7
    )
    assert run("check", "--min", "5", env=connected(gateway)).returncode == 0


def test_interrupted_when_ctrl_c_is_pressed(command: str, environment: Mapping[str, str]) -> None:
    """Ctrl-C while waiting for an answer exits 130, with no traceback."""
    with Listener(lambda connection: connection.recv(65536) and connection.recv(65536)) as gateway:
        process = subprocess.Popen(
            [command, "balance"],
            env={**environment, "APIMART_BASE_URL": f"http://127.0.0.1:{gateway.port}", "APIMART_API_KEY": KEY},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        wait_until(lambda: gateway.connections)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=40)
    assert process.returncode == ExitCode.INTERRUPTED == 130
    assert stderr == b""


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
