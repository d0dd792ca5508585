"""The completion scripts: up to date, and right in real shells."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect
import pytest

from support.forked import Forks
from support.places import ROOT
from support.programs import need
from support.running import Spawn, run_program

pytestmark = pytest.mark.usefixtures("quick_path")

COMPLETIONS = ROOT / "completions"
SCRIPTS = ("apimart.bash", "_apimart", "apimart.fish", "apimart.ps1")

# Stands before the real program: completions go through to it, anything else is shown as the shell passed it.
RECORDER = """#!/bin/sh
[ -n "$_APIMART_COMPLETE" ] && exec '{command}' "$@"
printf '<%s>' "$@"
printf '.\\n'
"""


@pytest.fixture
def shell_environment(environment: Mapping[str, str], forks: Forks, home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell in which `apimart` prints its arguments, and which no startup file touches."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apimart").write_text(RECORDER.format(command=f"{forks.scripts}/apimart"))
    (folder / "apimart").chmod(0o755)
    (folder / "hello-of-this-test").write_text("#!/bin/sh\n")
    (folder / "hello-of-this-test").chmod(0o755)
    (tmp_path / "a-file-of-this-test").touch()
    return {
        **environment,
        "PATH": f"{folder}{os.pathsep}{environment['PATH']}",
        "XDG_DATA_HOME": str(home / "data"),
        "INPUTRC": "/dev/null",
        "ZDOTDIR": str(home),
        "HISTFILE": "",
        # fish asks terminals that it does not know what they are, and waits for the answer.
        "TERM": "xterm",
    }


def generate(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the generator that is in `folder`."""
    return run_program([sys.executable, str(folder / "generate.py"), *arguments])


def test_stale_scripts_are_found_and_mended(tmp_path: Path) -> None:
    """`--check` names the scripts that are not up to date or not there; without it, the generator writes them.

    What it writes today is what is checked in.
    """
    folder = tmp_path / "completions"
    shutil.copytree(COMPLETIONS, folder)
    (folder / "apimart.fish").write_text("stale\n")
    (folder / "apimart.ps1").unlink()
    ended = generate(folder, "--check")
    assert ended.returncode == 1
    assert [line.split()[0] for line in ended.stderr.splitlines()] == ["apimart.fish", "apimart.ps1"]
    assert generate(folder).returncode == 0
    assert {name: (folder / name).read_text() for name in SCRIPTS} == {
        name: (COMPLETIONS / name).read_text() for name in SCRIPTS
    }
    ended = generate(COMPLETIONS, "--check")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_zsh_finds_its_tag_on_the_first_line() -> None:
    """`compinit` looks for `#compdef` there and nowhere else."""
    assert (COMPLETIONS / "_apimart").read_text().splitlines()[0] == "#compdef apimart"


def test_powershell_gets_a_completer_for_the_command() -> None:
    """The script registers itself for `apimart` and asks the program by the variable that it answers to."""
    script = (COMPLETIONS / "apimart.ps1").read_text()
    assert "Register-ArgumentCompleter -Native -CommandName apimart -ScriptBlock" in script
    assert '$Env:_APIMART_COMPLETE = "complete_powershell"' in script


LINES = [
    ("apimart ch", "<check>"),
    ("apimart config sh", "<config><show>"),
    ("apimart check --on", "<check><--on->"),
    ("apimart check --on-unlimited f", "<check><--on-unlimited><fail>"),
    ("apimart balance --scope acc", "<balance><--scope><account>"),
    ("apimart balance --output js", "<balance><--output><json>"),
    ("apimart sandbox --fault pay", "<sandbox><--fault><payment-required>"),
    ("apimart help config sh", "<help><config><show>"),
    ("apimart sandbox -- hello-of-t", "<sandbox><--><hello-of-this-test>"),
    ("apimart run --min 5 -- hello-of-t", "<run><--min><5><--><hello-of-this-test>"),
    ("apimart sandbox -- apimart balance --sc", "<sandbox><--><apimart><balance><--scope>"),
    (
        "apimart sandbox -- apimart run --min 5 -- hello-of-t",
        "<sandbox><--><apimart><run><--min><5><--><hello-of-this-test>",
    ),
    ("apimart sandbox -- cat a-file-of-th", "<sandbox><--><cat><a-file-of-this-test>"),
]

SHELLS = {
    "bash": ("bash", ["--norc", "--noprofile", "-i"], f"source {COMPLETIONS}/apimart.bash"),
    "zsh": ("zsh", ["-f", "-i"], f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D"),
    "zsh, sourced": ("zsh", ["-f", "-i"], f"autoload -Uz compinit; compinit -u -D; source {COMPLETIONS}/_apimart"),
    "fish": ("fish", ["--no-config", "--interactive"], f"source {COMPLETIONS}/apimart.fish"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(spawn: Spawn, shell_environment: Mapping[str, str], shell: str) -> None:
    """Half a word and TAB give the whole word: commands, options and their choices."""
    program, arguments, load = SHELLS[shell]
    need(program)
    child = spawn(program, *arguments, columns=200, env=shell_environment)
    # Some letters the other way round show that a command has run, and has not just been typed.
    child.sendline(f"{load}; echo re''ady")
    child.expect_exact("ready")
    # Sourced or found by zsh itself, the script is the same.
    for typed, called in LINES[:2] if shell == "zsh, sourced" else LINES:
        child.send(f"{typed}\t\r")
        child.expect(r"((<[^>\r\n]*>)+)\.\r\n")
        assert child.match[1].decode() == called, typed
    child.sendline("exit")
    child.expect_exact(pexpect.EOF)


COMMANDS = (
    "balance check watch run usage history statusline nagios exporter mcp login logout profiles config doctor alert "
    "sandbox help"
)

OFFERS = [
    ("apimart ", COMMANDS),
    ("apimart help ", COMMANDS),
    ("apimart balance --scope ", "key account both spendable"),
    ("apimart check --output ", "table json value github dotenv"),
    ("apimart check --m", "--min --max-used --min-runway --max-spent"),
    ("apimart sandbox --fault un", "unauthorized unknown-key"),
    ("apimart help config ", "show path get set unset check"),
    ("apimart help config s", "show set"),
    ("apimart sandbox -- hello-of-t", "hello-of-this-test"),
]


@pytest.mark.parametrize(("line", "offered"), OFFERS)
def test_every_choice_is_offered_and_no_other(shell_environment: Mapping[str, str], line: str, offered: str) -> None:
    """What fits what was typed is offered, whole, and nothing else: asked of a real fish."""
    ended = run_program(
        [need("fish"), "--no-config", "-c", f"source {COMPLETIONS}/apimart.fish; complete -C '{line}'"],
        env=shell_environment,
        check=True,
    )
    assert {line.split("\t")[0] for line in ended.stdout.splitlines()} == set(offered.split())


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_choices_come_with_descriptions(spawn: Spawn, shell_environment: Mapping[str, str], shell: str) -> None:
    """What each command does stands beside it, in the shells that show it."""
    program, arguments, load = SHELLS[shell]
    need(program)
    child = spawn(program, *arguments, columns=60, env=shell_environment)
    child.sendline(f"{load}; echo rea''dy")
    child.expect_exact("ready")
    child.send("apimart lo\t\t")
    child.expect_exact("Forget the key that login")


@pytest.mark.parametrize("command", ["check", "config set"])
def test_every_description_is_one_that_zsh_can_evaluate(environment: Mapping[str, str], command: str) -> None:
    """No quote, colon or bracket in a help text breaks the list of the options."""
    need("zsh")
    script = f"""
        compdef() {{ :; }}
        _files() {{ :; }}
        _arguments() {{ eval "offered=( ${{${{1#*\\(\\(}}%\\)\\)}} )"; print -rl -- $offered; }}
        eval "$(_APIMART_COMPLETE=source_zsh apimart)"
        words=(apimart {command} --) CURRENT={len(command.split()) + 2}
        _apimart_completion
    """
    ended = run_program(["zsh", "-f", "-c", script], env=environment)
    assert ended.stderr == ""
    offered = [line.partition(":") for line in ended.stdout.splitlines()]
    assert all(name.startswith("--") and text for name, _, text in offered)
    assert offered[-1] == ("--help", ":", "Show this message and exit.")


def test_descriptions_cost_no_rich(environment: Mapping[str, str]) -> None:
    """A TAB loads what the command line needs, and nothing to draw with."""
    probe = "import sys; from apimart_cli.cli import main; main([]); print('rich' in sys.modules, file=sys.stderr)"
    ended = run_program(
        [sys.executable, "-c", probe],
        env={**environment, "_APIMART_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "apimart "},
    )
    assert "Show what is left" in ended.stdout
    assert ended.stderr == "False\n"
