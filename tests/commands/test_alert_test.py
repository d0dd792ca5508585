"""`alert test` runs the command of an alert once, with made-up amounts, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.past import write_past
from support.running import KEY, Call, Write

TELL = "env > variables; cat > document"

OTHER_EVENT = "--on-low is not run for the event recovered"

Hook = Callable[[str], str]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    """Write a command with this text; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return write


def told(call: Call, folder: Path, *arguments: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Try a command that writes down what it is told; return its variables and the JSON object."""
    ended = call("alert", "test", *arguments)
    assert (ended.code, ended.stdout.endswith(" ended with exit code 0\n")) == (0, True)
    lines = (folder / "variables").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines), json.loads((folder / "document").read_text("utf-8"))


def test_the_command_of_an_option_is_told_of_a_low_balance(call: Call, hook: Hook, tmp_path: Path) -> None:
    """With all that a real alert has, and with what says that it is a test, in both forms."""
    variables, document = told(call, tmp_path, "--on-low", hook(TELL))
    names = ("test", "event", "remain", "threshold", "scope")
    assert [variables[f"APIMART_{name.upper()}"] for name in names] == ["1", "low", "4.0", "5", "spendable"]
    assert [document[name] for name in names] == [True, "low", 4.0, 5, "spendable"]


@pytest.mark.parametrize(
    ("event", "name", "told_of"),
    [
        ("low", "on_low", ["8.0", "10", "", ""]),
        ("recovered", "on_recover", ["12.0", "10", "", ""]),
        ("stopped", "on_stop", ["8.0", "3", "max_spend", "3.02"]),
    ],
)
def test_each_event_runs_its_command_of_the_profile(
    call: Call, write_config: Write, hook: Hook, tmp_path: Path, event: str, name: str, told_of: list[str]
) -> None:
    """The amounts fit the event, and the threshold and the unit are those of the profile."""
    others = "".join(f'{each} = ["false"]\n' for each in {"on_low", "on_recover", "on_stop"} - {name})
    lines = f'[profiles.work]\napi_key = "{KEY}"\nmin = 10\nunit = "USD"\n'
    write_config(f'{lines}{name} = ["{hook(TELL)}"]\n{others}')
    variables, document = told(call, tmp_path, "-p", "work", "--event", event)
    names = ("REMAIN", "THRESHOLD", "REASON", "SPENT", "EVENT", "PROFILE", "UNIT")
    assert [variables[f"APIMART_{each}"] for each in names] == [*told_of, event, "work", "USD"]
    assert document["reason"] == (told_of[2] or None)


def test_a_threshold_of_days_is_told_in_days(call: Call, write_config: Write, hook: Hook, tmp_path: Path) -> None:
    """As a real alert does, and the made-up forecast is below it."""
    write_config(f'min_runway = "3d"\non_low = ["{hook(TELL)}"]\n')
    variables, _ = told(call, tmp_path)
    assert (variables["APIMART_THRESHOLD"], variables["APIMART_DAYS_LEFT_LOW"]) == ("3d", "2.4")


@pytest.mark.parametrize("least", ["0", "999999999999999.999999999999999999999999999999"])
def test_any_threshold_can_be_tried(call: Call, write_config: Write, hook: Hook, tmp_path: Path, least: str) -> None:
    """The smallest and the largest that the file may have, too: the threshold is told exactly."""
    write_config(f'min = {least}\nrearm = 100\non_low = ["{hook(TELL)}"]\non_recover = ["{hook(TELL)}"]\n')
    for event in ("low", "recovered"):
        variables, _ = told(call, tmp_path, "--event", event)
        assert variables["APIMART_THRESHOLD"] == least


def test_a_failure_is_shown_and_exits_1(call: Call, hook: Hook) -> None:
    """With what the command has printed, on either stream; or what is missing."""
    for text, fault, shown in (
        ("echo oops >&2; exit 7", "failed with exit code 7", "> oops\n"),
        ("kill -9 $$", "failed with signal 9", ""),
    ):
        ended = call("alert", "test", "--on-low", hook(text))
        assert ended.code == 1
        assert ended.stdout.endswith(f" (--on-low) {fault}\n{shown}")
        assert ended.stderr == f"apimart: error: the alert command {fault}\nhint: correct it, and try again\n"
    missing = call("alert", "test", "--on-low", "no-such-command now")
    told = "low: no-such-command (--on-low) cannot be run: No such file or directory\n"
    assert (missing.code, missing.stdout) == (1, told)


@pytest.mark.parametrize("text", [f"echo {KEY}", f"echo {KEY[:12]}; echo {KEY[12:]}", "cat $HOME/.config/apimart/*"])
def test_no_key_is_shown(call: Call, write_config: Write, hook: Hook, text: str) -> None:
    """Whole, broken over lines, or out of the config file, where it belongs to another profile."""
    write_config(f'[profiles.work]\napi_key = "sk-other-00000000"\n[profiles.other]\napi_key = "{KEY}"\n')
    ended = call("alert", "test", "-p", "work", "--on-low", hook(text))
    assert (ended.code, ended.stdout.partition("\n")[2]) == (0, "> (withheld: it repeats the API key)\n")
    assert KEY[:10] not in ended.stdout + ended.stderr


def test_what_is_printed_is_harmless(call: Call, hook: Hook) -> None:
    """Neither a cursor moves nor does a CI runner find a command; a long output is cut."""
    ended = call("alert", "test", "--on-low", hook(r"printf '\033[2Jx\n::error::y\n'; yes | head -c 5000"))
    lines = ended.stdout.splitlines()
    assert lines[1:3] == [r"> \x1b[2Jx", r"> :\:error::y"]
    assert len(ended.stdout) < 2500


def test_the_command_gets_no_key(call: Call, hook: Hook) -> None:
    """As a real alert: neither the variable nor another one with its value."""
    ended = call("alert", "test", "--on-low", hook("env"), env={"APIMART_API_KEY": KEY, "OTHER": f"Bearer {KEY}"})
    assert ended.code == 0
    assert "API_KEY" not in ended.stdout
    assert "OTHER" not in ended.stdout


def test_nothing_in_the_ledger_changes(call: Call, hook: Hook, tmp_path: Path) -> None:
    """Neither the alarms nor anything else; and where there is no ledger, none is made."""
    path = tmp_path / "history.db"
    env = {"APIMART_HISTORY": str(path), "APIMART_RECORD": "1", "APIMART_API_KEY": KEY}
    assert call("alert", "test", "--on-low", hook("true"), env=env).code == 0
    assert not path.exists()
    write_past(path, "api.apimart.ai", days=1, spent_per_day="1")
    before = path.read_bytes()
    assert call("alert", "test", "--on-low", hook("true"), env=env).code == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "there is no on_low", "set one: apimart config set on_low 'COMMAND'; or give --on-low"),
        (["--event", "stopped"], "there is no on_stop", "set one: apimart config set on_stop 'COMMAND'"),
        (["--event", "recovered", "--on-low", "true"], OTHER_EVENT, "leave it out, or set on_recover"),
    ],
)
def test_without_a_command_there_is_nothing_to_try(call: Call, arguments: list[str], message: str, hint: str) -> None:
    """A usage error, which says how to set one."""
    ended = call("alert", "test", *arguments)
    assert (ended.code, ended.stderr) == (2, f"apimart: error: {message}\nhint: {hint}\n")


def test_doubts_are_told(call: Call, write_config: Write) -> None:
    """A command that would never be run, and one that needs a shell and has none."""
    write_config('on_low = ["echo", "$APIMART_REMAIN"]\n')
    ended = call("alert", "test")
    assert ended.code == 0
    assert "no shell reads the command: $ is handed on as it is" in ended.stderr
    assert "by itself it is never run: there is neither min nor min_runway" in ended.stderr
