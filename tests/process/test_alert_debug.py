"""`--debug` follows an alert: that its command is run and how it ended, or why it is not run."""

import re
from collections.abc import Sequence

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Run, Serve, Write, connected
from support.scripted import balance, gateway


@pytest.fixture
def run(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run each command line in this process, which records, as by default: what was told is kept in the ledger."""
    monkeypatch.setenv("APIMART_RECORD", "1")
    return call


def _told(run: Run, sandbox: Sandbox, *arguments: str) -> Sequence[str]:
    """Return what `check --debug` tells of alerts, moments replaced."""
    ended = run("check", *arguments, "--debug", env=connected(sandbox))
    lines = re.findall(r"^apimart: debug: (alert: .*|.*ended with.*)$", ended.stderr, re.MULTILINE)
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "MOMENT", line) for line in lines]


def test_the_first_is_run_and_the_second_was_told_already(run: Run, sandbox: Sandbox) -> None:
    """With its source and how it ended; then, when it was told, and that nothing tells it again."""
    low = ("--min", "20", "--on-low", "true")
    subject = "alert: default/spendable, min 20: "
    assert _told(run, sandbox, *low) == [
        f"{subject}low: on_low is run (--on-low)",
        "default/spendable: true (--on-low) ended with exit code 0",
    ]
    assert _told(run, sandbox, *low) == [f"{subject}not run: already told at MOMENT; remind is not set"]


def test_a_reminder_is_announced(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """What `remind` says, and where the command of the file stands."""
    path = write_config('remind = "36h"\nmin = 20\non_low = ["true"]\n')
    first = _told(run, sandbox)
    assert first[0] == f"alert: default/spendable, min 20: low: on_low is run ({path})"
    [again] = _told(run, sandbox)
    assert again.endswith("not run: already told at MOMENT; again after 36h")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--min", "5", "--on-low", "true"), "min 5: not run: enough is left"),
        (("--min", "20", "--on-recover", "true"), "min 20: low: not run: on_low is not set"),
        (("--min-runway", "3d", "--on-low", "true"), "min_runway: not run: it is not known how long the balance lasts"),
    ],
)
def test_what_is_not_run_has_a_reason(run: Run, sandbox: Sandbox, arguments: tuple[str, ...], reason: str) -> None:
    """Whatever that is."""
    assert _told(run, sandbox, *arguments) == [f"alert: default/spendable, {reason}"]


def test_what_is_not_safe_again_has_a_reason(run: Run) -> None:
    """Above the threshold, and less than `rearm` times it."""
    left = ["9"]
    with gateway(lambda _path, _key: balance(left[0])) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}
        low = ("check", "--min", "10", "--on-low", "true", "--debug")
        assert "on_low is run" in run(*low, env=env).stderr
        left[0] = "11"
        between = run(*low, env=env)
    assert between.returncode == 0
    assert "Z, and not yet enough to have recovered\n" in between.stderr


def test_a_failed_reading_is_neither_low_nor_recovered(run: Run, serve: Serve) -> None:
    """It says so."""
    gateway = serve(fault=Fault.SERVER_ERROR)
    told = _told(run, gateway, "--min", "5", "--on-low", "true", "--timeout", "1")
    assert told == ["alert: default/spendable, min 5: not run: the reading failed"]


def test_a_command_of_the_file_without_a_threshold_is_told(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """Nothing can fall below what is not set."""
    write_config('on_low = ["true"]\nmax_used = 100\n')
    assert _told(run, sandbox) == ["alert: default: nothing is run: there is neither min nor min_runway"]


def test_run_follows_its_alerts_too(run: Run, sandbox: Sandbox) -> None:
    """The command is not started, and the alert is run."""
    ended = run("run", "--min", "20", "--on-low", "true", "--debug", "--", "true", env=connected(sandbox))
    assert ended.returncode == 125
    assert "apimart: debug: alert: default/spendable, min 20: low: on_low is run (--on-low)\n" in ended.stderr
