"""Warnings and notes about what is probably not meant; the verdict is what it would be."""

import json

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Run, Serve, Write, connected


@pytest.fixture
def run(call: Call) -> Call:
    """Run in this process: what these tests show does not need one of its own."""
    return call


RUNWAY = "3m is less than an hour\nhint: m is for minutes; a runway is usually given in days, like 3d\n"

SHELL = "no shell reads the command: $ is handed on as it is\nhint: give it to a shell: 'sh -c \"...\"' as an option, "


@pytest.mark.parametrize("name", ["check", "run"])
def test_a_short_runway_is_taken_with_a_note(run: Run, sandbox: Sandbox, name: str) -> None:
    """Of an option, or of the file; not where only what is wrong is to be told."""
    arguments = (name, "--min", "5", "--min-runway", "3m", "--on-no-forecast", "pass")
    rest = ("--no-settle", "--", "true") if name == "run" else ()
    ended = run(*arguments, *rest, env=connected(sandbox))
    assert (ended.returncode, ended.stderr.count(f"apimart: note: --min-runway: {RUNWAY}")) == (0, 1)
    if name == "check":
        assert run(*arguments, "--quiet-pass", env=connected(sandbox)).stderr == ""


def test_a_command_that_no_shell_reads_is_warned_of(run: Run, sandbox: Sandbox) -> None:
    """It is run as it is, all the same, and the form of the hint does what was meant."""
    told = run("check", "--min", "50", "--on-low", "touch $APIMART_EVENT", env=connected(sandbox))
    assert told.returncode == 3
    assert f"apimart: warning: --on-low: {SHELL}" in told.stderr
    meant = run("check", "--min", "50", "--on-low", 'sh -c "touch $APIMART_EVENT"', env=connected(sandbox))
    assert (meant.returncode, meant.stderr) == (3, "")


def test_a_key_that_no_shell_has_put_in_is_warned_of(run: Run, serve: Serve) -> None:
    """Once, before its rejection, of which it is the reason."""
    gateway = serve(fault=Fault.UNAUTHORIZED)
    ended = run("check", "--min", "5", "--quiet", env=connected(gateway, key="$APIMART_KEY"))
    assert ended.returncode == 4
    warning, hint, error, _ = ended.stderr.splitlines()
    assert warning == (
        "apimart: warning: the API key from APIMART_API_KEY: "
        "it looks like a variable that no shell has replaced by its value"
    )
    assert 'api_key_env = "NAME"' in hint
    assert error.startswith("apimart: error: the gateway rejected the API key")


def test_config_check_warns_of_what_is_probably_not_meant(run: Run, write_config: Write) -> None:
    """With the line, after the mistakes; it is no mistake, so the exit code is 0."""
    path = write_config(
        'on_low = ["echo", "$APIMART_REMAIN"]\n[profiles.work]\napi_key = "$WORK_KEY"\nmin_runway = "3m"\n'
    )
    checked = run("config", "check")
    assert checked.returncode == 0
    assert [line for line in checked.stderr.splitlines() if not line.startswith("hint: ")] == [
        f"apimart: warning: {path}:1: on_low: no shell reads the command: $ is handed on as it is",
        f"apimart: warning: {path}:3: [profiles.work]: api_key: "
        "it looks like a variable that no shell has replaced by its value",
        f"apimart: warning: {path}:4: [profiles.work]: min_runway: 3m is less than an hour",
        f"apimart: note: no mistake in {path}",
    ]
    document = json.loads(run("config", "check", "--json").stdout)
    assert [(each["line"], each["profile"]) for each in document["warnings"]] == [(1, None), (3, "work"), (4, "work")]
    assert document["problems"] == []


def test_config_set_warns_at_once(run: Run, write_config: Write) -> None:
    """The value is set: it may be meant."""
    path = write_config("")
    told = run("config", "set", "on_low", "echo $APIMART_REMAIN")
    assert (told.returncode, path.read_text()) == (0, 'on_low = ["echo", "$APIMART_REMAIN"]\n')
    assert f"apimart: warning: on_low: {SHELL}" in told.stderr
    assert f"apimart: note: min_runway: {RUNWAY}" in run("config", "set", "min_runway", "3m").stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("set", "profiles.night.min", "5"), "name the profile apart: min -p night"),
        (("get", "night.min"), "name the profile apart: min -p night"),
        (("unset", "night.min"), "name the profile apart: min -p night"),
        (("set", "night.api_key", KEY), "store it: apimart login -p night"),
    ],
)
def test_a_name_with_the_profile_in_it_is_taken_apart(
    run: Run, write_config: Write, arguments: tuple[str, ...], hint: str
) -> None:
    """The hint says where the profile goes, and a value is never repeated."""
    write_config(f'[profiles.night]\napi_key = "{KEY}"\n')
    refused = run("config", *arguments)
    assert refused.returncode == 2
    assert refused.stderr == f"apimart: error: there is no setting '{arguments[1]}'\nhint: {hint}\n"


def test_without_a_terminal_history_clear_says_why_it_does_not_ask(run: Run) -> None:
    """Nothing is deleted."""
    refused = run("history", "clear")
    assert refused.returncode == 2
    assert refused.stderr.startswith("apimart: error: this needs a confirmation, and there is no terminal to ask at: ")
