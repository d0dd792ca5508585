"""`check -o github` and `-o dotenv`: what a CI runner gets, also where it went wrong."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.runner import commands_in, outputs_in
from support.running import KEY, Call, Serve, Write, connected

LOW = Funds(Decimal("3"), Decimal("2.3"))


class Runner:
    """The files of a runner, and the variables that name them."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "set_output_1"
        self.summary_file = folder / "step_summary_1"
        self.output.write_text("")
        self.summary_file.write_text("")
        self.variables = {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary_file)}

    @property
    def outputs(self) -> dict[str, str]:
        """What a later step finds."""
        return outputs_in(self.output.read_text("utf-8"))

    @property
    def summary(self) -> str:
        """What is below the run."""
        return self.summary_file.read_text("utf-8")


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_a_balance_below_its_threshold_stops_the_step(call: Call, serve: Serve, runner: Runner) -> None:
    """The annotation is on standard output, the outputs and the table are in the runner's files."""
    env = {**connected(serve(key=LOW)), **runner.variables}
    ended = call("check", "--min", "5", "--scope", "both", "-o", "github", env=env)
    assert ended.code == ExitCode.BELOW
    assert ended.stdout == (
        "::error title=apimart%3A default/key does not meet a threshold::3 left, at least 5 required\n"
        "PASS default/account: 100.0 left, at least 5 required\n"
    )
    readings = json.loads(runner.outputs.pop("readings"))
    assert [each["remain_balance"] for each in readings] == [3, 100]
    assert {name: runner.outputs[name] for name in ("verdict", "exit-code", "remaining", "used", "stopped-by")} == {
        "verdict": "below", "exit-code": "3", "remaining": "3", "used": "2.3", "stopped-by": "default/key",
    }  # fmt: skip
    assert runner.summary.count("| <code>default&#47;") == 2


def test_what_is_in_the_files_stays(call: Call, sandbox: Sandbox, runner: Runner) -> None:
    """They belong to the whole step: an earlier command may have written to them, even without a line break."""
    runner.output.write_text("earlier=1")
    runner.summary_file.write_text("# Earlier")
    assert call("check", "--min", "5", "-o", "github", env={**connected(sandbox), **runner.variables}).code == 0
    assert (runner.outputs["earlier"], runner.outputs["verdict"]) == ("1", "pass")
    assert runner.summary.startswith("# Earlier\n### Balance: pass\n")


def test_without_a_runner_there_are_the_annotations(call: Call, serve: Serve, tmp_path: Path) -> None:
    """No file is written where none is named."""
    for variables in ({}, {"GITHUB_OUTPUT": "", "GITHUB_STEP_SUMMARY": ""}):
        ended = call("check", "--min", "5", "-o", "github", env={**connected(serve(key=LOW)), **variables})
        assert (ended.code, len(commands_in(ended.stdout))) == (ExitCode.BELOW, 1)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("option", ["--quiet", "--quiet-pass"])
def test_quiet_is_about_the_log(option: str, call: Call, sandbox: Sandbox, runner: Runner) -> None:
    """Later steps need the outputs, whatever is printed."""
    ended = call("check", "--min", "5", "-o", "github", option, env={**connected(sandbox), **runner.variables})
    assert (ended.code, ended.stdout) == (0, "")
    assert (runner.outputs["verdict"], "pass" in runner.summary) == ("pass", True)


def test_what_fail_open_forgives_is_a_warning(call: Call, serve: Serve, runner: Runner) -> None:
    """The step goes on, and everybody can see that nothing was confirmed."""
    env = {**connected(serve(fault=Fault.SERVER_ERROR)), **runner.variables}
    ended = call("check", "--min", "5", "-o", "github", "--fail-open", env=env)
    assert ended.code == 0
    assert [command.name for command in commands_in(ended.stdout)] == ["warning"]
    assert (runner.outputs["verdict"], runner.outputs["exit-code"], runner.outputs["remaining"]) == ("error", "0", "")


@pytest.mark.parametrize(("arguments", "env", "code", "words"), [
    (("--min", "5"), {"APIMART_API_KEY": ""}, ExitCode.AUTH, "the API key from APIMART_API_KEY is empty"),
    (("--min", "5,0"), {"APIMART_API_KEY": KEY}, ExitCode.USAGE, "'5,0' is not an amount"),
    ((), {"APIMART_API_KEY": KEY}, ExitCode.USAGE, "there is no threshold to check"),
    (("--min", "5", "--nope"), {"APIMART_API_KEY": KEY}, ExitCode.USAGE, "No such option: --nope"),
    (("--min", "5", "-p", "a::error::b\n::error::c"), {}, ExitCode.USAGE, "store a key in it with"),
])  # fmt: skip
def test_an_error_is_an_annotation_and_a_verdict(
    arguments: tuple[str, ...], env: dict[str, str], code: ExitCode, words: str, call: Call, runner: Runner
) -> None:
    """Nothing could be checked: the run shows why, and no later step finds the outputs missing."""
    for options, names in (((), ["error"]), (("--quiet",), [])):
        runner.output.write_text("")
        runner.summary_file.write_text("")
        ended = call("check", *arguments, "-o", "github", *options, env={**env, **runner.variables})
        assert ended.code == code
        commands = commands_in(ended.stdout + ended.stderr)
        assert [command.name for command in commands] == names
        assert all(words in command.data for command in commands), commands
        assert runner.outputs == {
            "verdict": "error", "exit-code": str(int(code)), "remaining": "", "used": "", "stopped-by": "",
            "readings": "[]",
        }  # fmt: skip
        assert "not known" in runner.summary


def test_a_bug_is_no_verdict(call: Call, sandbox: Sandbox, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after the outputs were written takes them back: the last ones count."""
    monkeypatch.setattr("apimart_cli.commands.check._comment", lambda *_, **__: 1 / 0)
    ended = call("check", "--min", "5", "-o", "github", env={**connected(sandbox), **runner.variables})
    assert ended.code == ExitCode.INTERNAL
    assert "verdict=pass" in runner.output.read_text()
    assert (runner.outputs["verdict"], runner.outputs["exit-code"]) == ("error", "1")


@pytest.mark.parametrize(("variable", "place", "reason"), [
    ("GITHUB_OUTPUT", "missing/file", "No such file"), ("GITHUB_OUTPUT", "/dev/full", "No space"),
    ("GITHUB_STEP_SUMMARY", "folder", "Is a directory"), ("GITHUB_STEP_SUMMARY", "pipe", "No such device"),
])  # fmt: skip
def test_a_file_that_cannot_be_written_is_no_pass(
    place: str, reason: str, variable: str, call: Call, sandbox: Sandbox, runner: Runner, tmp_path: Path
) -> None:
    """Exit 1, a message that names the variable, an annotation, and, where that can be, outputs that say so."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    env = {**connected(sandbox), **runner.variables, variable: str(tmp_path / place)}
    ended = call("check", "--min", "5", "-o", "github", env=env)
    assert ended.code == ExitCode.INTERNAL
    assert f"apimart: error: {variable}: " in ended.stderr
    assert reason in ended.stderr
    assert ended.stderr.count("apimart: error:") == 1
    assert [command.name for command in commands_in(ended.stdout)] == ["error"]
    if variable == "GITHUB_STEP_SUMMARY":
        assert (runner.outputs["verdict"], runner.outputs["exit-code"]) == ("error", "1")


@pytest.mark.parametrize("room", [15, 100])
def test_a_disk_that_fills_up_leaves_no_pass(room: int, call: Call, sandbox: Sandbox, runner: Runner) -> None:
    """What had room is taken back: a later step would read a pass, and miss the error inside an open value."""
    resource = pytest.importorskip("resource")
    del runner.variables["GITHUB_STEP_SUMMARY"]
    runner.output.write_text("earlier=1\n" + "#" * 10_000 + "=\n")
    env = {**connected(sandbox), **runner.variables}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (runner.output.stat().st_size + room, limits[1]))
    try:
        ended = call("check", "--min", "5", "-o", "github", env=env)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (ended.code, "File too large" in ended.stderr) == (ExitCode.INTERNAL, True)
    assert runner.outputs.get("verdict", "error") == "error"
    assert "pass" not in runner.output.read_text()
    assert runner.outputs["earlier"] == "1"


def test_names_of_the_config_file_reach_the_run(
    call: Call, sandbox: Sandbox, runner: Runner, write_config: Write
) -> None:
    """Profiles and units are named as they are."""
    write_config(f'[profiles."a|b=%0A,ü"]\napi_key = "{KEY}"\nunit = "$|`"\n')
    env = {"APIMART_BASE_URL": sandbox.url, **runner.variables}
    ended = call("check", "--min", "50", "--all-profiles", "-o", "github", env=env)
    [command] = commands_in(ended.stdout)
    assert command.properties["title"] == "apimart: a|b=%0A,ü/spendable does not meet a threshold"
    assert command.data == "10.5 $|` left (limited by key), at least 50 $|` required"
    assert runner.outputs["stopped-by"] == "a|b=%0A,ü/spendable"
    assert "<code>a&#124;b&#61;&#37;0A&#44;ü&#47;spendable</code>" in runner.summary


def test_other_commands_and_formats_leave_the_files_alone(call: Call, sandbox: Sandbox, runner: Runner) -> None:
    """Nobody asked them to."""
    env = {**connected(sandbox), **runner.variables}
    assert call("check", "--min", "5", env=env).code == 0
    assert call("check", "--min", "5", "--json", "-o", "github", env=env).code == ExitCode.USAGE
    refused = call("balance", "-o", "github", env=env)
    assert (refused.code, refused.stdout) == (ExitCode.USAGE, "")
    assert (runner.outputs, runner.summary) == ({}, "")


@pytest.mark.parametrize(("arguments", "values"), [
    (("--min", "5"), ("pass", "0", "10.5", "2.3")), (("--min", "50"), ("below", "3", "10.5", "2.3")),
    (("--min", "50", "--nope"), ("error", "2", "", "")),
])  # fmt: skip
def test_gitlab_gets_variables(
    arguments: tuple[str, ...], values: tuple[str, ...], call: Call, sandbox: Sandbox
) -> None:
    """Four lines of NAME=value, and nothing else on standard output, whatever became of it."""
    ended = call("check", *arguments, "-o", "dotenv", env=connected(sandbox))
    names = ("VERDICT", "EXIT_CODE", "REMAINING", "USED")
    assert ended.stdout == "".join(f"APIMART_{name}={value}\n" for name, value in zip(names, values, strict=True))
    assert ended.code == int(values[1])
