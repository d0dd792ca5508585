"""The front door: every command line ends with a documented code, and every error is one line with a hint."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from apimart_cli import __version__
from apimart_cli.cli import main
from apimart_cli.errors import AuthError, CommandStatus, ExitCode, OutputError
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Run, connected

COMMANDS = ["balance", "check", "config", "config show", "config path", "sandbox"]


@pytest.fixture
def online(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the variables of this process point at, with the test key."""
    for name, value in connected(sandbox).items():
        monkeypatch.setenv(name, value)
    return sandbox


Captured = pytest.CaptureFixture[str]


def test_the_package_can_be_run_as_a_module(environment: Mapping[str, str]) -> None:
    """`python -m apimart_cli` is the same command under the same name."""
    ended = subprocess.run(
        [sys.executable, "-m", "apimart_cli", "check"], env=environment, capture_output=True, encoding="utf-8",
        timeout=30, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("apimart: error: there is no threshold to check\n")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(capsys: Captured, command: str) -> None:
    """Plain text on standard output, without escapes, with exit code 0; however it is asked for."""
    shown = []
    for line in (f"{command} --help", f"{command} -h", f"help {command}"):
        assert main(line.split()) is ExitCode.OK
        shown.append(capsys.readouterr())
    text, err = shown[0]
    assert text.startswith(f"Usage: apimart {command}".rstrip() + " [OPTIONS]")
    assert "--help" in text
    assert ("\x1b" in text, err) == (False, "")
    assert shown == [shown[0]] * 3


@pytest.mark.parametrize("arguments", [[], ["config"]])
def test_a_command_that_is_missing_is_an_error(capsys: Captured, arguments: Sequence[str]) -> None:
    """The help is shown as an error: an empty variable in a script must not look like success."""
    assert main([*arguments, "--help"]) is ExitCode.OK
    shown = capsys.readouterr().out
    assert main(arguments) is ExitCode.USAGE
    assert tuple(capsys.readouterr()) == ("", shown)


@pytest.mark.parametrize(
    ("arguments", "known", "meant"),
    [("balnce", "apimart", "balance"), ("config shw", "apimart config", "show")],
)
def test_there_is_no_help_for_a_command_that_is_not_there(
    capsys: Captured, arguments: str, known: str, meant: str
) -> None:
    """Neither at the top nor in a group; the most similar name is proposed."""
    assert main(["help", *arguments.split()]) is ExitCode.USAGE
    told = f"apimart: error: {known} has no command '{arguments.rsplit(maxsplit=1)[-1]}'\n"
    hint = f"hint: did you mean {meant}? see: {known} --help\n"
    assert tuple(capsys.readouterr()) == ("", told + hint)


@pytest.mark.parametrize(("arguments", "option", "hint"), [
    ("--json balance", "--json is no option of apimart", "apimart balance --json"),
    ("-p work check --min 5", "-p is no option of apimart", "apimart check -p"),
    ("config --json show", "--json is no option of apimart config", "apimart config show --json"),
    (f"--api-key {KEY} balance", "--api-key is no option of apimart", "apimart balance --api-key"),
])  # fmt: skip
def test_an_option_before_its_command_is_shown_in_its_place(
    capsys: Captured, arguments: str, option: str, hint: str
) -> None:
    """The hint names the command and the option, and repeats no value: it may be a key."""
    assert main(arguments.split()) is ExitCode.USAGE
    told = f"apimart: error: {option}\nhint: options go after the command: {hint}\n"
    assert tuple(capsys.readouterr()) == ("", told)


def test_an_option_that_no_command_has_gets_no_such_hint(capsys: Captured) -> None:
    """Moving it would not help."""
    assert main(["--mim", "5", "check"]) is ExitCode.USAGE
    assert "hint: see: apimart --help" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(capsys: Captured, option: str) -> None:
    """One line, whichever of the two customs people follow."""
    assert main([option]) is ExitCode.OK
    assert tuple(capsys.readouterr()) == (f"apimart {__version__}\n", "")


@pytest.mark.parametrize(("arguments", "message", "help_"), [
    (["balnce"], "No such command 'balnce'", "apimart"), (["--min", "5"], "No such option", "apimart"),
    (["check", "--mim", "5"], "No such option", "apimart check"),
    (["config", "shw"], "No such command 'shw'", "apimart config"),
    (["balance", "5"], "Got unexpected extra argument(s) (5)", "apimart balance"),
    (["balance", "--scope", "all"], "Invalid value for '--scope': 'all' is not one of", "apimart balance"),
    (["sandbox", "--port", "65536"], "Invalid value for '--port'", "apimart sandbox"),
    (["config", "show", "--output", "value"], "Invalid value for '--output' / '-o': 'value' is", "apimart config show"),
    (["balance", "--json=yes"], "Option '--json' does not take a value", "apimart balance"),
    (["check", "--min"], "Option '--min' requires an argument", "apimart check"),
])  # fmt: skip
def test_a_mistake_on_the_command_line_is_told_in_one_line(
    capsys: Captured, arguments: Sequence[str], message: str, help_: str
) -> None:
    """What is wrong, and which help to read."""
    assert main(arguments) is ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    told, hint = captured.err.splitlines()
    assert _without_plural(told).startswith(_without_plural(f"apimart: error: {message}"))
    assert not told.endswith(".")
    assert hint.startswith(f"hint: see: {help_}")
    assert hint.endswith(" --help")


@pytest.mark.parametrize("asked", ["complete_zsh", "source_bash", "complete_nothing", ""])
def test_a_variable_of_completion_makes_no_command_a_success(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, asked: str
) -> None:
    """A stray variable of the shell's completion does not stand for a verdict: the gateway is asked all the same."""
    for name, value in {**connected(sandbox), "_APIMART_COMPLETE": asked}.items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--min", "99999", "--quiet"]) is ExitCode.BELOW


def _without_plural(text: str) -> str:
    # Libraries that Typer builds on differ in the plural; from 0.29 on it names the kind of a wrong choice.
    return text.replace("argument(s)", "argument").replace("arguments", "argument").replace("Value error, ", "")


def _raise(error: BaseException) -> Callable[..., Any]:
    def fail(*_arguments: object, **_named: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(("place", "arguments"), [
    ("apimart_cli.config.precedence.resolve", ["balance"]),
    ("apimart_cli.config.precedence.resolve", ["check", "--min", "5"]),
    ("apimart_cli.config.precedence.resolve", ["config", "show"]),
    ("apimart_cli.config.file.config_path", ["config", "path"]),
    ("apimart_cli.gateway.client.ask", ["balance"]),
    ("apimart_cli.rules.gate.judge", ["check", "--min", "5"]),
    ("apimart_cli.output.format_of", ["balance"]),
    ("apimart_cli.output.format_of", ["check", "--min", "5"]),
    ("apimart_cli.processes.relay.supervise", ["sandbox", "--", "true"]),
])  # fmt: skip
@pytest.mark.parametrize("error", [KeyError(KEY), MemoryError()])
def test_a_bug_is_one_line_and_never_a_verdict(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox, place: str, arguments: Sequence[str],
    error: Exception,
) -> None:  # fmt: skip
    """Exit code 1, the type and the place, no traceback, and nothing of a message that may hold the key."""
    monkeypatch.setattr(place, _raise(error))
    assert main(arguments) is ExitCode.INTERNAL
    captured = capsys.readouterr()
    assert captured.out == ""
    told, hint = captured.err.splitlines()
    assert told.startswith(f"apimart: error: a bug in apimart: {type(error).__name__} in {__name__}, line ")
    assert hint == "hint: please report it, with the command you ran"
    assert KEY not in captured.err


def test_a_bug_is_told_in_json_too(capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox) -> None:
    """A script that reads JSON finds a verdict that says so, and the same code."""
    monkeypatch.setattr("apimart_cli.rules.gate.judge", _raise(ValueError(KEY)))
    assert main(["check", "--min", "5", "--json"]) is ExitCode.INTERNAL
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["exit_code"], document["error"]["code"]) == ("error", 1, "internal")
    assert KEY not in str(document)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_says_nothing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox, error: BaseException
) -> None:
    """Whoever pressed Ctrl-C knows it."""
    monkeypatch.setattr("apimart_cli.gateway.client.ask", _raise(error))
    assert main(["balance"]) is ExitCode.INTERRUPTED
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("status", [None, 0])
@pytest.mark.parametrize("arguments", [["check", "--min", "5"], ["--debug", "check"]])
def test_a_command_that_ends_the_process_by_itself_is_a_bug(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox, arguments: list[str], status: int | None
) -> None:
    """Only the front door ends it. A library that does, whatever its status, is no pass."""
    monkeypatch.setattr("apimart_cli.cli._run", _raise(SystemExit(status)))
    assert main(arguments) is ExitCode.INTERNAL
    assert "a bug in apimart: SystemExit" in capsys.readouterr().err


def test_an_output_that_failed_is_told_where_it_can_be(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox
) -> None:
    """An answer that could not be written is no success, and no JSON is tried on the same stream."""
    monkeypatch.setattr("apimart_cli.screen.writing.write_answer", _raise(OutputError("it is full", "free some space")))
    for arguments in (["balance"], ["balance", "--json"], ["check", "--min", "5"]):
        assert main(arguments) is ExitCode.INTERNAL
        assert capsys.readouterr() == ("", "apimart: error: it is full\nhint: free some space\n")


def test_an_error_whose_document_cannot_be_written_is_told_with_its_cause(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told, and the code says that the output failed."""
    monkeypatch.setattr("apimart_cli.error_output.write_answer", _raise(OutputError("it is full", "free some space")))
    assert main(["check", "--json"]) is ExitCode.INTERNAL
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("apimart: ")] == [
        "apimart: error: there is no threshold to check",
        "apimart: error: it is full",
    ]


@pytest.mark.parametrize("status", [0, 8, 255])
def test_only_a_wrapped_command_may_end_with_another_code(status: int) -> None:
    """Its status is handed on as it is."""
    ended = main(["sandbox", "--", "sh", "-c", f"exit {status}"])
    assert ended == status
    assert isinstance(ended, CommandStatus)


@pytest.mark.parametrize("returned", [None, 9, "0", 0.5])
def test_a_command_that_returns_anything_else_is_a_bug(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, online: Sandbox, returned: object
) -> None:
    """Forgetting to return a code, or returning one that is not in the list, never ends with 0."""
    monkeypatch.setattr("apimart_cli.rules.gate.code_of_readings", lambda _readings: returned)
    assert main(["balance"]) is ExitCode.INTERNAL
    assert "a bug in apimart: ValueError" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["balance", "--json"], ["balance", "-o", "json"], ["balance", "-ojson"], ["balance", "--output=json"],
    ["balance", "-p", "quick", "--json"], ["balance", "-pqa", "--json"], ["balance", "--json", "--no-such-option"],
    ["balance", "--no-such-option", "--json"], ["balance", "--json", "--api-key"],
    ["config", "check", "--json", "surplus"], ["config", "show", "--json", "--output", "table"],
])  # fmt: skip
def test_an_error_is_a_json_object_where_json_was_asked_for(capsys: Captured, arguments: Sequence[str]) -> None:
    """On standard output, beside the message on standard error, however the wish was written."""
    code = main(arguments)
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert list(document) == ["schema", "profile", "scope", "error"]
    assert document["error"]["exit_code"] == code != 0
    assert captured.err == f"apimart: error: {document['error']['message']}\nhint: {document['error']['hint']}\n"


@pytest.mark.parametrize(
    "arguments", [["check", "--json"], ["check", "-o", "json", "--min", "abc"], ["check", "--json", "--mim", "5"]]
)  # fmt: skip
def test_an_error_of_check_has_the_shape_of_a_verdict(capsys: Captured, arguments: Sequence[str]) -> None:
    """A script looks for the verdict in one place."""
    assert main(arguments) is ExitCode.USAGE
    document = json.loads(capsys.readouterr().out)
    names = [
        "schema", "verdict", "exit_code", "min", "max_used", "min_runway_days", "stopped_by", "readings", "spent",
        "error",
    ]  # fmt: skip
    assert list(document) == names
    assert (document["verdict"], document["exit_code"]) == ("error", 2)
    assert document["stopped_by"] == document["readings"] == []


@pytest.mark.parametrize("arguments", [
    ["balance", "-o", "table"], ["balance", "-o", "jsonl"], ["balance", "--profile", "x --json y"],
    ["balance", "--api-key-file", "--json"], ["balance", "-p--json"], ["balance", "--", "--json"],
    ["config", "set", "--json", "x"], ["--json", "balance"], ["sandbox", "--json", "--", "true"],
    ["check", "--json", "--quiet"], ["check", "-qojson"],
    ["sandbox", "--remain", "x", "--", "apimart", "balance", "--json"],
])  # fmt: skip
def test_standard_output_stays_empty_where_no_json_was_asked_for(capsys: Captured, arguments: Sequence[str]) -> None:
    """Also when quiet was asked for, and when the wish belongs to a wrapped command."""
    assert main(arguments) in {ExitCode.USAGE, ExitCode.AUTH}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("apimart: error: ")


def test_an_error_of_the_key_has_its_own_code(capsys: Captured) -> None:
    """The object says which of the documented errors it is."""
    assert main(["balance", "--json"]) is ExitCode.AUTH
    assert json.loads(capsys.readouterr().out)["error"]["code"] == AuthError.code == "auth"


def test_nothing_is_read_from_the_folder_one_stands_in(run_process: Run, tmp_path: Path) -> None:
    """A file that is called like a module of ours, or of a library, is not taken for it."""
    for name in ("apimart_cli.py", "typer.py", "requests.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit(99)\n")
    assert run_process("config", "path").returncode == 0


def test_python_m_loads_nothing_from_the_folder_one_stands_in(
    environment: Mapping[str, str], tmp_path: Path, online: Sandbox
) -> None:
    """Python itself puts that folder first; it is taken away before anything but the package is loaded."""
    names = ("typing", "signal", "re", "enum", "json", "decimal", "pathlib", "typer", "requests", "urllib3", "rich")
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)\n")
    ended = subprocess.run(
        [sys.executable, "-m", "apimart_cli", "balance"], env={**environment, **connected(online)},
        capture_output=True, encoding="utf-8", timeout=30, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "10.5" in ended.stdout


@pytest.mark.parametrize("shell", ["powershell", "tcsh"])
def test_completion_is_not_installed_where_the_file_is_not_known(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """PowerShell alone knows which file is its profile: whether that is safe to write cannot be looked at."""
    monkeypatch.setattr("apimart_cli.commands.completion._shell", lambda: shell)
    assert main(["--install-completion"]) is ExitCode.USAGE
    told = capsys.readouterr().err
    assert told.startswith(f"apimart: error: completion is not installed for {shell}: ")
    assert "\nhint: " in told
