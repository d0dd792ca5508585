"""The documentation is true: its commands are run, its tables are compared with the program, its picture is redrawn.

Blocks of README.md are run by their language: `console` shows commands behind `$ ` and exactly what they print, `sh` is
a script that ends well, `yaml` a CI job whose commands are run, `toml` a config file, `pycon` a Python session.
"""

import ast
import doctest
import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pexpect
import pytest
import typer

import apimart_cli
from apimart_cli import Balance, ExitCode, balance, cli, client, configfile, errors, output, target, text, transport
from apimart_cli.commands import check, options
from apimart_cli.commands import sandbox as sandbox_command
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from hostile import catalogue
from support.places import ROOT
from support.running import KEY, Run, Spawn, connected

Serve = Callable[..., Sandbox]

PACKAGE = ROOT / "apimart_cli"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

MAIN_JOB = "python3 -m pip install . && apimart sandbox -- apimart balance"
TESTS = "python3 -m pip install '.[test]' && python3 -m pytest"
INSTALL_LINES = {
    MAIN_JOB,
    TESTS,
    "python3 -m venv .venv && . .venv/bin/activate",
    "pipx install .",
    "uv tool install .",
    "python3 -m pip install '.[keyring]'",
    "pipx install ./vendor/apimart-cli",
    "python3 -m pip install ./vendor/apimart-cli",
}
"""Lines that need the package index. They are compared to the letter; every other command is run."""

FETCHED_AT = "2026-01-31T12:00:00Z"
"""The moment at which every answer in the documentation arrived."""


# --- reading Markdown -------------------------------------------------------------------------------------------


class Block(NamedTuple):
    """A fenced block."""

    language: str
    note: str
    """What stands behind the language: how its commands are run, see `NOTES`."""
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.language}-at-line-{self.line}"


class Table(NamedTuple):
    """A table: the heading above it, its column names, and its rows as they are written."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _blocks(page: str) -> list[Block]:
    fences = re.finditer(r"^```(\w*) ?(.*)\n((?:.*\n)*?)```$", page, re.MULTILINE)
    return [Block(fence[1], fence[2], page.count("\n", 0, fence.start()) + 2, fence[3]) for fence in fences]


def _without_blocks(page: str) -> str:
    return re.sub(r"^```.*\n(?:.*\n)*?```$", "", page, flags=re.MULTILINE)


def _tables(page: str) -> Iterator[Table]:
    heading = ""
    rows: list[list[str]] = []
    for line in [*_without_blocks(page).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            yield Table(heading, rows[0], rows[2:])
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ")


def _table(first_column: str, heading: str | None = None) -> Table:
    """Return the one table of the README with this name of its first column, under this heading."""
    found = [
        table for table in _tables(README) if table.columns[0] == first_column and heading in {None, table.heading}
    ]
    assert len(found) == 1, f"the README has {len(found)} tables of {first_column}, under {heading or 'any heading'}"
    return found[0]


def _code(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def _blocks_of(*languages: str) -> list[Block]:
    return [block for block in _blocks(README) if block.language in languages]


CONFIG, SOURCES = (block.text for block in _blocks_of("toml"))
"""The config file of the page, and its examples of commands that print a key."""

NOTES = {
    "": "the key and the gateway are in variables",
    "config": "the config file of the page is in place, and no variable is set",
    "login": "the gateway is in a variable, the key is not",
    "profiles": "the config file of the page is in place, and its gateway is the sandbox",
    "terminal": "as without a note, at a terminal, where the key is typed when it is asked for",
    "keyring": "as `terminal`, with a keyring",
}
"""What stands behind the language of a console block, and what it means."""


# --- running examples -------------------------------------------------------------------------------------------


class Example(NamedTuple):
    """A command of a console block and what it prints."""

    command: str
    printed: str


Shell = Callable[..., "subprocess.CompletedProcess[str]"]

SECRET_TOOLS = {
    "pass": 'test "$1 $#" = "show 2" && cat "$HOME/.password-store/$2"',
    "op": 'case "$1 $2 $#" in "read op://"*/*/*" 2") ;; *) exit 1 ;; esac; cat "$HOME/.password-store/apimart"',
    "security": 'test "$1 $2 $4 $#" = "find-generic-password -s -w 4" && cat "$HOME/.password-store/$3"',
    "secret-tool": 'test "$1 $2 $#" = "lookup service 3" && printf %s "$(cat "$HOME/.password-store/$3")"',
}
"""Stand-ins for programs that print a secret: each does it when asked as its own manual says, and fails otherwise."""

KEYRING = """
from pathlib import Path

def _place(service, name):
    return Path.home() / f"{service}-{name}.keyring"

def get_password(service, name):
    return _place(service, name).read_text() if _place(service, name).exists() else None

def set_password(service, name, password):
    _place(service, name).write_text(password)

def delete_password(service, name):
    _place(service, name).unlink()
"""
"""A stand-in for the package of that name, for the example: whether the real one is installed makes no difference."""


@pytest.fixture
def secrets(tmp_path: Path, home: Path, environment: dict[str, str]) -> Path:
    """Put programs that print the key on the PATH, as if they had been set up; return the folder they are in."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, script in SECRET_TOOLS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    for name in ("apimart", "work/apimart"):
        secret = home / ".password-store" / name
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(f"{KEY}\n", encoding="utf-8")
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    return folder


@pytest.fixture
def shell(environment: Mapping[str, str], tmp_path: Path, home: Path) -> Shell:
    """Run a script as a reader would, in a folder like a checkout, with the key ready to be pasted."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "completions").symlink_to(ROOT / "completions")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text(KEY, encoding="utf-8")
    (secrets / "key").chmod(0o444)

    def run_script(
        script: str, *, env: Mapping[str, str], interpreter: Sequence[str] = ("bash", "-c"), input: str = f"{KEY}\n"
    ) -> "subprocess.CompletedProcess[str]":
        ended = subprocess.run(
            [*interpreter, script.replace("/run/secrets/", f"{secrets}/")],
            env={**environment, **env},
            cwd=folder,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert KEY not in ended.stdout
        ended.stdout = _normalised(ended.stdout, home)
        return ended

    return run_script


def _normalised(printed: str, home: Path) -> str:
    printed = printed.replace(str(home), "/home/you")
    return re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", FETCHED_AT, printed)


def _examples(block: Block) -> list[Example]:
    """Return the examples of a console block; a line that starts with `> ` continues a command."""
    found: list[Example] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Example(line.removeprefix("$ "), ""))
        elif line.startswith("> ") and not found[-1].printed:
            found[-1] = Example(f"{found[-1].command}\n{line.removeprefix('> ')}", "")
        else:
            found[-1] = Example(found[-1].command, f"{found[-1].printed}{line}\n")
    return found


def _one_by_one(commands: Sequence[str], end: str) -> str:
    """Return a script that prints `end` behind each command, in one shell, `$?` handed on."""
    return "".join(f"{command}\n_status=$?; echo {end}; (exit $_status)\n" for command in commands)


def _is_installation(block: Block) -> bool:
    return set(block.text.splitlines()) <= INSTALL_LINES


def test_every_block_is_of_a_language_that_is_checked() -> None:
    """No block of the README escapes the tests, and no example is left without a command."""
    assert {block.language for block in _blocks(README)} == {"console", "sh", "yaml", "toml", "pycon", "powershell"}
    assert {block.note for block in _blocks(README)} == set(NOTES)
    assert all(block.text.startswith("$ ") for block in _blocks_of("console"))
    assert README.count("```") == 2 * len(_blocks(README))
    assert README.count("\n$ ") == sum(len(_examples(block)) for block in _blocks_of("console")) > 20


TYPED = ("terminal", "keyring")
"""Notes of blocks that need a terminal."""


@pytest.mark.parametrize("block", [block for block in _blocks_of("console") if block.note not in TYPED], ids=str)
def test_console_examples_print_what_the_readme_shows(
    block: Block, shell: Shell, secrets: Path, sandbox: Sandbox, write_config: Callable[[str], Path]
) -> None:
    """Typed into a shell, each example prints exactly what stands below it."""
    env = connected(sandbox)
    if block.note in {"config", "profiles"}:
        write_config(CONFIG)
    if block.note in {"login", "profiles"}:
        # What is stored is used: the key is in no variable.
        env = {"APIMART_BASE_URL": sandbox.url}
    if block.note == "config":
        env = {}
    documented = _examples(block)
    script = _one_by_one([example.command for example in documented], END)
    _assert_printed(shell(script, env=env).stdout, documented)


END = "--end-of-an-example--"


def _assert_printed(printed: str, documented: Sequence[Example]) -> None:
    outputs = printed.split(f"{END}\n")
    assert outputs.pop() == ""
    assert [Example(example.command, output) for example, output in zip(documented, outputs, strict=True)] == documented


# pexpect forks; the sandbox that is answered from a thread here holds no lock that the child could miss.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("block", [block for block in _blocks_of("console") if block.note in TYPED], ids=str)
def test_examples_that_ask_for_the_key_print_what_the_readme_shows(
    block: Block, spawn: Spawn, sandbox: Sandbox, home: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """At a terminal the key is asked for, typed, not shown, and everything else is what stands below the example."""
    if block.note == "keyring":
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "keyring.py").write_text(KEYRING, encoding="utf-8")
        environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path / 'package'}"
    documented = _examples(block)
    script = _one_by_one([example.command for example in documented], END)
    # What is stored is used: the key is in no variable. A dumb terminal shows neither colours nor progress.
    env = {"APIMART_BASE_URL": sandbox.url, "TERM": "dumb"}
    terminal = spawn("bash", "-c", script, columns=120, env=env)
    terminal.expect_exact(b"API key: ")
    terminal.sendline(KEY)
    terminal.expect(pexpect.EOF)
    printed = f"API key: {terminal.before.decode()}".replace("\r\n", "\n")
    assert KEY not in printed
    _assert_printed(_normalised(re.sub(" +$", "", printed, flags=re.MULTILINE), home), documented)
    stored = [path.name for path in home.rglob("*") if path.is_file() and KEY in path.read_text(encoding="utf-8")]
    assert stored == (["apimart-work.keyring"] if block.note == "keyring" else ["config.toml"])


@pytest.mark.parametrize("block", [block for block in _blocks_of("sh") if not _is_installation(block)], ids=str)
def test_scripts_of_the_readme_end_well(block: Block, shell: Shell, sandbox: Sandbox) -> None:
    """Each script runs in a plain POSIX shell and succeeds where enough is left."""
    ended = shell(block.text, env=connected(sandbox), interpreter=("sh", "-c"))
    assert (ended.returncode, "not found" in ended.stdout) == (0, False), ended.stdout


@pytest.mark.parametrize("line", [MAIN_JOB, TESTS])
def test_setting_up_takes_one_line(line: str) -> None:
    """The README has the two lines that set up and do the main job, and set up and run the tests, to the letter."""
    assert [block.text for block in _blocks_of("sh")].count(f"{line}\n") == 1


def test_the_lines_that_are_not_run_are_in_the_readme() -> None:
    """What the tests leave alone is a list of lines that the README really has."""
    commands = {line.strip().removeprefix("- ").removeprefix("run: ") for line in README.splitlines()}
    assert commands >= INSTALL_LINES


def test_the_main_job_of_the_first_line_works(run: Run) -> None:
    """What follows the installation in the first line shows a balance, without a key."""
    arguments = MAIN_JOB.split(" && ")[1].split()
    assert arguments[0] == "apimart"
    ended = run(*arguments[1:])
    assert (ended.returncode, "10.5" in ended.stdout, ended.stderr) == (0, True, "")


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    """The project's own CI runs the README's line for the tests, and the checks that CONTRIBUTING names."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"\n{TESTS}\n" in ci
    checks = next(block.text for block in _blocks(CONTRIBUTING) if "ruff" in block.text)
    for line in checks.splitlines():
        program, *arguments = line.split()
        if program != "python3":
            assert re.search(rf"/{program}\"? ?{re.escape(' '.join(arguments))}$", ci, re.MULTILINE), line


def test_the_extras_that_the_documents_install_exist() -> None:
    """Everything that stands in brackets behind the package is an extra of it, and `apimart` is its command."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {extra for page in (README, CONTRIBUTING) for extra in re.findall(r"(?:\.|apimart-cli)\[(\w+)\]", page)}
    assert extras == {"keyring", "test", "dev", "deep"}
    assert extras <= set(project["optional-dependencies"])
    assert list(project["scripts"]) == ["apimart"]
    python = re.search(r"Python\s+(\d\.\d+)\s+or\s+newer", README)
    assert python
    assert project["requires-python"] == f">={python[1]}"


def test_the_sandbox_opens_a_shell_in_which_examples_work(run: Run) -> None:
    """`apimart sandbox -- bash`, as the README says, gives a key and a gateway to everything typed in it."""
    assert "`apimart sandbox -- bash`" in README
    ended = run("sandbox", "--", "bash", input="apimart balance --output value\nexit 9\n")
    assert (ended.returncode, ended.stdout) == (9, "10.5\n")


def test_commands_fit_in_sixty_columns() -> None:
    """A reader of 60 columns sees every command whole; only the one line of set-up and main job is longer."""
    typed = [line for block in _blocks_of("sh", "powershell") for line in block.text.splitlines()]
    typed += [f"$ {line}" for block in _blocks_of("console") for line in _commands_of(block)]
    assert [line for line in typed if len(line) > 60] == [MAIN_JOB]


def _commands_of(block: Block) -> Iterator[str]:
    for example in _examples(block):
        yield from example.command.splitlines()


# --- the shell script -------------------------------------------------------------------------------------------

CASE_SCRIPT = next(block.text for block in _blocks_of("sh") if "case $?" in block.text)


@pytest.mark.parametrize("code", ExitCode)
def test_the_script_has_a_branch_for_every_exit_code(
    code: ExitCode, shell: Shell, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """Whatever `check` ends with, the README's script takes the branch of that code, and goes on after 0 only."""
    branches: dict[str, str] = dict(re.findall(r'^ +([\d*]+)\) +echo "([^"]+)"', CASE_SCRIPT, re.MULTILINE))
    assert set(branches) == {"*", *(str(int(code)) for code in ExitCode if code is not ExitCode.INTERNAL)}
    assert len(set(branches.values())) == len(branches)
    stand_in = tmp_path / "bin" / "apimart"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\nexit {int(code)}\n")
    stand_in.chmod(0o755)
    ended = shell(CASE_SCRIPT, env={"PATH": f"{stand_in.parent}:{environment['PATH']}"}, interpreter=("sh", "-c"))
    assert ended.stdout == f"{branches.get(str(int(code)), branches['*'])}\n"
    assert (ended.returncode == 0) == (code is ExitCode.OK)


# --- CI jobs ----------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of YAML."""

    indent: int
    content: str


def _read_yaml(document: str) -> Any:
    """Read the plainest YAML there is: mappings, lists and plain strings. Everything else is refused."""
    lines = [Line(len(line) - len(line.lstrip()), line.strip()) for line in document.splitlines()]
    value, rest = _read_yaml_node(lines, 0)
    assert not rest, f"not understood: {rest[0]}"
    return value


def _read_yaml_node(lines: Sequence[Line], indent: int) -> tuple[Any, Sequence[Line]]:
    mapping: dict[str, Any] = {}
    items: list[Any] = []
    while lines and lines[0].indent == indent:
        content = lines[0].content
        if content.startswith("- "):
            inner = Line(indent + 2, content.removeprefix("- "))
            if re.match(r"[\w-]+:( |$)", inner.content):
                item, lines = _read_yaml_node([inner, *lines[1:]], indent + 2)
            else:
                item, lines = _plain_scalar(inner.content), lines[1:]
            items.append(item)
            continue
        name, colon, scalar = content.partition(":")
        assert colon, f"neither an item nor a name: {content}"
        assert re.fullmatch(r"[\w-]+", name), name
        assert name not in mapping, f"{name} stands there twice"
        lines = lines[1:]
        if scalar:
            mapping[name] = _plain_scalar(scalar.removeprefix(" "))
        elif lines and lines[0].indent > indent:
            mapping[name], lines = _read_yaml_node(lines, lines[0].indent)
        else:
            mapping[name] = None
    assert not (mapping and items), "a mapping and a list at once"
    return items or mapping, lines


def _plain_scalar(scalar: str) -> str:
    assert not re.search(r"""^[][{}&*!|>'"%@`#,?]|: |:$| #""", scalar), f"not a plain string: {scalar}"
    return scalar


def _ci_job(title: str) -> Any:
    """Return the YAML that follows `title` in the README."""
    above = {block: "\n".join(README.splitlines()[: block.line - 2]).rstrip() for block in _blocks_of("yaml")}
    following = [block for block, words in above.items() if words.rsplit("\n\n", 1)[1].startswith(title)]
    assert len(following) == 1
    return _read_yaml(following[0].text)


def _without_installation(commands: Sequence[str]) -> str:
    assert INSTALL_LINES.intersection(commands), "a job that installs nothing cannot run apimart"
    return "\n".join(command for command in commands if command not in INSTALL_LINES)


def _github_steps() -> Iterator[Mapping[str, Any]]:
    for job in _ci_job("GitHub Actions")["jobs"].values():
        assert set(job) <= {"needs", "runs-on", "timeout-minutes", "steps"}
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            yield step


def test_every_ci_job_is_checked() -> None:
    """The README has a job for GitHub and one for GitLab, and no other."""
    assert len(_blocks_of("yaml")) == 2


@pytest.mark.parametrize(
    ("remain", "secret", "code"),
    [
        pytest.param("10.5", KEY, ExitCode.OK, id="enough"),
        pytest.param("4.9", KEY, ExitCode.BELOW, id="too-little"),
        pytest.param("10.5", "", ExitCode.AUTH, id="missing-secret"),
    ],
)
def test_the_github_job_gates_the_deployment(
    remain: str, secret: str, code: ExitCode, shell: Shell, serve: Serve
) -> None:
    """The workflow's commands pass when enough is left, and stop below the threshold and without the secret."""
    workflow = _ci_job("GitHub Actions")
    assert workflow["jobs"]["deploy"]["needs"] in workflow["jobs"]
    gateway = serve(key=Funds(Decimal(remain), Decimal(0)))
    env = {"APIMART_BASE_URL": gateway.url}
    commands = []
    for step in _github_steps():
        if "run" in step:
            commands.append(step["run"])
        for name, value in step.get("env", {}).items():
            assert value == f"${{{{ secrets.{name} }}}}"
            env[name] = secret
    # GitHub runs each step with `bash -e`.
    ended = shell(_without_installation(commands), env=env, interpreter=("bash", "-e", "-c"))
    assert ended.returncode == code, ended.stdout
    assert ("deploy here" in ended.stdout) == (code is ExitCode.OK)


@pytest.mark.parametrize(
    ("fault", "code"), [(None, ExitCode.OK), (Fault.UNAUTHORIZED, ExitCode.AUTH), (Fault.SERVER_ERROR, 5)]
)
def test_the_gitlab_job_gates_the_pipeline(fault: Fault | None, code: int, shell: Shell, serve: Serve) -> None:
    """The job's commands pass when enough is left; of all failures only an unreachable gateway is allowed."""
    job = _ci_job("GitLab CI")["balance"]
    assert set(job) == {"stage", "image", "script", "allow_failure"}
    assert job["allow_failure"] == {"exit_codes": [str(int(ExitCode.UNAVAILABLE))]}
    script = _without_installation(job["script"])
    ended = shell(script, env=connected(serve(fault=fault)), interpreter=("bash", "-eo", "pipefail", "-c"))
    assert ended.returncode == code, ended.stdout


# --- config, Python, completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("block", _blocks_of("toml"), ids=str)
def test_the_config_examples_are_valid(block: Block, run: Run, write_config: Callable[[str], Path]) -> None:
    """`config check` finds no mistake in the config files of the README, and reads each of their profiles."""
    write_config(block.text)
    ended = run("config", "check", "--json")
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["problems"]) == (0, [])
    assert [profile["profile"] for profile in report["profiles"]] == list(tomllib.loads(block.text)["profiles"])


@pytest.mark.parametrize("profile", tomllib.loads(SOURCES)["profiles"])
def test_commands_that_print_a_key_work_as_the_readme_writes_them(
    profile: str, run: Run, secrets: Path, sandbox: Sandbox, write_config: Callable[[str], Path]
) -> None:
    """Each example asks its program in the way that the program understands, and what it prints is the key."""
    write_config(SOURCES)
    ended = run("balance", "--profile", profile, "--output", "value", env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "10.5\n", "")


def test_there_is_an_example_for_every_stand_in() -> None:
    """The README has an example for pass, 1Password, the macOS keychain and the keyring of a Linux desktop."""
    commands = [profile["api_key_command"][0] for profile in tomllib.loads(SOURCES)["profiles"].values()]
    assert commands == list(SECRET_TOOLS)


def test_every_place_of_a_key_is_explained() -> None:
    """The list of where a profile keeps its key has every name that the config file knows for it."""
    chapter = README.split("### Where a profile keeps its key")[1].split("###")[0]
    assert re.findall(r"^- `(\w+)`:", chapter, re.MULTILINE) == list(configfile.KEY_NAMES)


def test_a_key_file_lies_beside_the_config_file(
    run: Run, sandbox: Sandbox, write_config: Callable[[str], Path]
) -> None:
    """A relative `api_key_file` starts at the folder of the config file, wherever one stands, as the README says."""
    assert "relative path starts at the folder of the config file" in " ".join(README.split())
    key_file = write_config('[profiles.a]\napi_key_file = "a.key"\n').parent / "a.key"
    key_file.write_text(KEY, encoding="utf-8")
    key_file.chmod(0o600)
    ended = run("check", "--profile", "a", "--min", "5", env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_python_session_prints_what_the_readme_shows(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed into Python, the example answers what stands below each line."""
    for name, value in connected(sandbox).items():
        monkeypatch.setenv(name, value)
    [block] = _blocks_of("pycon")
    session = doctest.DocTestParser().get_doctest(block.text, {}, "README", "README.md", block.line)
    complaints: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(session, out=complaints.append)
    assert results.failed == 0, "".join(complaints)
    assert results.attempted > 5


def test_the_attributes_of_a_balance_are_documented() -> None:
    """The README names every attribute of a Balance with its type, in the order of the class."""
    hints = typing.get_type_hints(Balance)
    documented = [(_code(row[0])[0], row[1]) for row in _table("attribute").rows]
    assert documented == [(name, _type_words(hint)) for name, hint in hints.items()]


def _type_words(hint: Any) -> str:
    members = typing.get_args(hint) or (hint,)
    return " or ".join("None" if member is type(None) else member.__name__ for member in members)


def test_the_public_names_are_documented() -> None:
    """The README speaks of every name that the package offers."""
    missing = [name for name in apimart_cli.__all__ if name != "__version__" and not re.search(rf"\b{name}\b", README)]
    assert missing == []


@pytest.mark.parametrize(
    ("script", "question", "answer"),
    [
        (
            "apimart.bash",
            ["bash", "-c", 'source "$HOME/.local/share/bash-completion/completions/apimart"; complete -p apimart'],
            "apimart",
        ),
        (
            "_apimart",
            [
                "zsh",
                "-f",
                "-c",
                "fpath=(~/.zfunc $fpath); autoload -Uz compinit && compinit -u -D; print $_comps[apimart]",
            ],
            "_apimart",
        ),
        ("apimart.fish", ["fish", "-c", 'complete -C "apimart ch"'], "check"),
    ],
)
def test_completion_scripts_are_found_where_the_readme_puts_them(
    script: str, question: list[str], answer: str, shell: Shell, environment: Mapping[str, str]
) -> None:
    """After the README's commands the shell itself knows how to complete `apimart`."""
    [block] = [block for block in _blocks_of("sh") if f"completions/{script}" in block.text]
    assert shell(block.text, env={}, interpreter=("sh", "-c")).stdout == ""
    answered = subprocess.run(
        question,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert answer in answered.stdout, answered.stderr


def test_the_powershell_line_names_the_script_that_exists() -> None:
    """The line for PowerShell loads the script of `completions/`."""
    [block] = _blocks_of("powershell")
    assert block.text == ". ./completions/apimart.ps1\n"
    assert (ROOT / "completions" / "apimart.ps1").is_file()


# --- the tables of options --------------------------------------------------------------------------------------


class Option(NamedTuple):
    """An option as `--help` or the README shows it."""

    spellings: frozenset[str]
    value: str
    """The placeholder of its value, or nothing."""
    choices: frozenset[str]
    default: str | None


Help = Callable[[str], str]


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Help:
    """Return what `apimart COMMAND --help` prints."""
    monkeypatch.setenv("COLUMNS", "80")

    def read(command: str) -> str:
        assert cli.main([*command.split(), "--help"]) == 0
        return capsys.readouterr().out

    return read


def _section(help_text: str, title: str) -> list[list[str]]:
    """Return the entries of a section of `--help`, each as its name and its text."""
    section = re.search(rf"^{title}:\n((?:  .*\n)+)", help_text, re.MULTILINE)
    entries = re.split(r"^  (?! )", section[1], flags=re.MULTILINE)[1:] if section else []
    # A name that is too long for its column stands alone on its line.
    return [[part.strip() for part in re.split(r"  +|\n", entry, maxsplit=1)] for entry in entries]


def _commands(help_of: Help, parent: str = "") -> Iterator[str]:
    """Yield every command that does something, `config show` among them, as `--help` lists them."""
    subcommands = [entry[0] for entry in _section(help_of(parent), "Commands")]
    for name in subcommands:
        yield from _commands(help_of, f"{parent} {name}".strip())
    if not subcommands:
        yield parent


def _options_in_help(help_text: str) -> set[Option]:
    return {_option_in_help(name, " ".join(text.split())) for name, text in _section(help_text, "Options")}


def _option_in_help(name: str, meaning: str) -> Option:
    *spellings, last = name.split(", ")
    last, _, value = last.partition(" ")
    # Versions of Typer differ in the brackets around choices.
    choices = re.fullmatch(r"[<\[](.+\|.+)[>\]]", value)
    default = re.search(r"\[default: ([^];]+)|Default: (\S+)\.$", meaning)
    return Option(
        spellings=frozenset({*spellings, last}),
        value="" if choices else value,
        choices=frozenset(choices[1].split("|") if choices else ()),
        default=(default[1] or default[2]) if default else None,
    )


def _option_in_readme(row: Sequence[str]) -> Option:
    names, meaning = _code(row[0]), row[1]
    placeholders = [name.partition(" ")[2] for name in names]
    default = re.search(r"default `([^`]+)`|`([^`]+)` \(default\)", meaning)
    # An option without a placeholder is a flag, or takes one of the words that its meaning shows.
    choices = [] if any(placeholders) else [word for word in _code(meaning) if not word.startswith("-")]
    return Option(
        spellings=frozenset(name.partition(" ")[0] for name in names),
        value="".join(placeholders),
        choices=frozenset(choices),
        default=(default[1] or default[2]) if default else None,
    )


def _documented_options(command: str) -> set[Option]:
    """Return the rows of all tables whose heading names this command."""
    tables = [table for table in _tables(README) if command in _code(table.heading) and table.columns[0] == "option"]
    return {_option_in_readme(row) for table in tables for row in table.rows}


HELP = Option(frozenset({"--help", "-h"}), "", frozenset(), None)
"""Said once for all commands, in a sentence."""


def test_the_tables_of_options_name_every_command(help_of: Help) -> None:
    """Every command of `--help` has its options in the README, and the README has no command that is not there."""
    documented = {name for table in _tables(README) if table.columns[0] == "option" for name in _code(table.heading)}
    assert documented == {*_commands(help_of), "apimart"} == set(COMMANDS)


LONGEST_SUMMARY = 45


@pytest.mark.parametrize("parent", ["", "config"])
def test_the_list_of_commands_cuts_no_sentence(parent: str, help_of: Help) -> None:
    """In a terminal of 80 columns `--help` shows what each command does in one whole sentence."""
    sentences = [" ".join(text.split()) for _, text in _section(help_of(parent), "Commands")]
    assert len(sentences) >= 5
    for sentence in sentences:
        assert len(sentence) <= LONGEST_SUMMARY, sentence
        assert re.fullmatch(r"[A-Z][^.]+\.", sentence), sentence


COMMANDS = ("balance", "check", "login", "logout", "config show", "config path", "config set", "config unset",
            "config check", "sandbox", "apimart")  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_the_tables_of_options_and_help_agree(command: str, help_of: Help) -> None:
    """Names, short names, values, choices and defaults in the README are those of `--help`, none more, none less."""
    shown = _options_in_help(help_of("" if command == "apimart" else command))
    assert "Every command has `--help`, or `-h`." in " ".join(README.split())
    assert _documented_options(command) | {HELP} == shown


# --- the other tables -------------------------------------------------------------------------------------------


def test_every_environment_variable_is_documented() -> None:
    """The table of variables has every variable that the code names, and the code knows every one in the table."""
    pattern = r"\b(?:APIMART_[A-Z_]+|NO_COLOR|FORCE_COLOR|TERM|[A-Z]+_PROXY|[A-Z]+_CA_BUNDLE)\b"
    in_code = {name for constant in _strings_of_the_code() for name in re.findall(pattern, constant)}
    documented = {name for row in _table("variable").rows for name in _code(row[0])}
    # Read by the HTTP library; the code has no reason to name it.
    assert documented - in_code == {"NO_PROXY"}
    assert in_code <= documented


def _strings_of_the_code() -> Iterator[str]:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_name_of_the_config_file_is_documented() -> None:
    """The table of names has the names, types and places that the reader of the config file accepts."""
    words = {
        configfile.TEXT: "string",
        configfile.NUMBER: "number",
        configfile.WORDS: "list of strings",
        configfile.FLAG: "true",
    }
    expected = {
        "default_profile": ("string", "yes", "no"),
        "profiles": ("tables", "yes", "no"),
        **{name: (words[types], "no", "yes") for name, types in configfile.KEY_NAMES.items()},
        **{name: (words[types], "yes", "yes") for name, types in configfile.SHARED_NAMES.items()},
    }
    documented = {_code(row[0])[0]: tuple(row[1:4]) for row in _table("name").rows}
    assert documented == expected


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes is the enum, in its order."""
    documented = [(int(row[0]), row[1]) for row in _table("code").rows]
    assert documented == [(int(code), code.name) for code in ExitCode]


@pytest.mark.parametrize(("command", "never"), [("check", set()), ("balance", {ExitCode.UNLIMITED})])
def test_help_tells_every_exit_code(command: str, never: set[ExitCode], help_of: Help) -> None:
    """`--help` names each code that the command can end with."""
    [sentence] = re.findall(r"Exit codes:([^.]*)\.", help_of(command))
    assert [int(number) for number in re.findall(r"\b\d+\b", sentence)] == [
        code for code in ExitCode if code not in never
    ]


def test_every_error_code_is_documented() -> None:
    """The table of error codes has the code and the exit code of every error there is."""

    def tree(error: type[errors.ApimartError]) -> Iterator[tuple[str, int]]:
        yield error.code, int(error.exit_code)
        for child in error.__subclasses__():
            yield from tree(child)

    documented = [(_code(row[0])[0], int(row[1])) for row in _table("`code`").rows]
    assert sorted(documented) == sorted(set(tree(errors.ApimartError)))


FAULTS = [(_code(row[0])[0], int(row[2])) for row in _table("`--fault`").rows]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_every_fault_ends_as_documented(fault: str, code: int, run: Run, serve: Serve) -> None:
    """Each failure of the table ends with the code that stands there."""
    ended = run("check", "--min", "5", "--timeout", "0.8", env=connected(serve(fault=Fault(fault))))
    assert ended.returncode == code


def test_every_fault_is_documented() -> None:
    """The table of faults has every one that the sandbox knows."""
    assert [fault for fault, _ in FAULTS] == list(Fault)


# --- JSON -------------------------------------------------------------------------------------------------------

JSON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "number": (int, float),
    "string": str,
    "boolean": bool,
    "null": type(None),
    "list": list,
    "object": dict,
}


def _json(run: Run, *arguments: str, **env: str) -> list[dict[str, Any]]:
    """Run a command with `--json` and return what it printed."""
    return [json.loads(line) for line in run(*arguments, "--json", env=env).stdout.splitlines()]


def _assert_documented(documents: Sequence[Mapping[str, Any]], heading: str) -> None:
    """Hold documents against the table under `heading`: the same fields, and only values of the types there."""
    types = {_code(row[0])[0]: row[1].split(" or ") for row in _table("field", heading).rows}
    assert set().union(*documents) == set(types)
    for document in documents:
        for name, value in document.items():
            assert any(_is_of_type(value, word) for word in types[name]), f"{name} is {value!r}, not {types[name]}"


def _is_of_type(value: object, word: str) -> bool:
    return isinstance(value, JSON_TYPES[word]) and (word == "boolean" or not isinstance(value, bool))


def test_the_json_of_balances_and_checks_is_documented(run: Run, serve: Serve) -> None:
    """The README has every field of `balance --json` and `check --json` with its type, and none that is never sent."""
    usual, unlimited = connected(serve()), connected(serve(key=Funds(None, Decimal(2))))
    failing = connected(serve(fault=Fault.UNAUTHORIZED))
    checks = [
        *_json(run, "check", "--min", "5", "--scope", "both", **usual),
        *_json(run, "check", "--max-used", "1", **unlimited),
        *_json(run, "check", "--min", "5", **failing),
        *_json(run, "check"),
    ]
    balances = [
        *_json(run, "balance", "--scope", "both", **usual),
        *_json(run, "balance", **unlimited),
        *_json(run, "balance", **failing),
        *_json(run, "balance"),
    ]
    balances += _json(run, "balance", "--scope", "both", **failing)
    balances += _json(
        run,
        "balance",
        "--scope",
        "both",
        **connected(serve(key=Funds(None, Decimal(2)), account=Funds(None, Decimal(2)))),
    )
    spendable = [document for document in balances if document["scope"] == "spendable"]
    assert len(spendable) == 3
    balances = [document for document in balances if document not in spendable]
    readings = [*balances, *(reading for document in checks for reading in document["readings"])]
    _assert_documented(spendable, "Fields of what can be spent")
    assert [document.get("limited_by") for document in spendable] == ["key", None, None]
    _assert_documented(checks, "Fields of `check`")
    assert [document["stopped_by"] for document in checks] == [[], ["default/key"], ["default/key"], []]
    _assert_documented(readings, "Fields of a balance")
    _assert_documented(
        [document["error"] for document in (*checks, *readings, *spendable) if "error" in document],
        "Fields of an error",
    )


def test_the_json_of_config_is_documented(run: Run, write_config: Callable[[str], Path]) -> None:
    """Every field of `config show`, `path` and `check` with `--json` stands in the README, each setting by its name."""
    write_config(CONFIG)
    [shown, *others] = _json(run, "config", "show", "--all-profiles")
    assert len(others) == len(tomllib.loads(CONFIG)["profiles"]) - 1
    _assert_documented([shown, *others], "Fields of `config show`")
    _assert_documented(_json(run, "config", "path"), "Fields of `config path`")
    [sentence] = re.findall(r"The\s+settings\s+are\s+([^.]*)\.", README)
    assert _code(sentence) == list(shown["settings"])
    for setting in shown["settings"].values():
        assert set(setting) == {"value", "source"}
        assert isinstance(setting["value"], str | None)
        assert isinstance(setting["source"], str)
    write_config('timeout = "5"\n[profiles.work]\nmim = 5\n')
    [checked] = _json(run, "config", "check")
    _assert_documented([checked], "Fields of `config check`")
    documented = {_code(row[0])[0]: _code(row[2]) for row in _table("field", "Fields of `config check`").rows}
    assert len(checked["problems"]) == 2
    assert all(set(problem) == set(documented["problems"]) for problem in checked["problems"])
    assert [set(profile) for profile in checked["profiles"]] == [set(documented["profiles"])]


def test_a_check_that_failed_open_says_so_in_json(run: Run, serve: Serve) -> None:
    """After `--fail-open` the exit code is 0 and the verdict is still `error`, as the README says."""
    [document] = _json(run, "check", "--min", "5", "--fail-open", **connected(serve(fault=Fault.SERVER_ERROR)))
    assert (document["exit_code"], document["verdict"]) == (0, "error")
    assert re.search(r"`exit_code`\s+is\s+0\s+and\s+`verdict`\s+is\s+still\s+`error`", README)


# --- numbers, links, pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        (r"at most (\d+) KiB", transport.MAX_BODY_BYTES // 1024),
        (r"at most (\d+) characters", text.QUOTE_LIMIT),
        (r"default `10`, at most (\d+)", target.MAX_TIMEOUT),
        (r"less than (\d+) % left", output.LOW_SHARE * 100),
        (r"asked side by side, (\d+) at a time", client.MAX_CONCURRENCY),
        (r"version of this form: (\d+)", output.SCHEMA),
    ],
)
def test_numbers_in_the_readme_are_those_of_the_code(sentence: str, value: float) -> None:
    """A limit that the README names is the one that the code holds."""
    found = re.findall(sentence, " ".join(README.split()))
    assert found
    assert {int(number) for number in found} == {value}


def test_the_statuses_that_are_tried_again_are_documented() -> None:
    """The README names every HTTP status that is retried, no other, and how often."""
    [statuses] = re.findall(r"HTTP ([\d, ]+ and \d+) are tried again, up to three times", " ".join(README.split()))
    assert {int(number) for number in re.findall(r"\d+", statuses)} == balance.RETRYABLE_STATUSES
    assert client.MAX_ATTEMPTS - 1 == 3


def _anchor(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every link to a file of the project or to a heading has its target; links elsewhere are encrypted."""
    page = _without_blocks((ROOT / name).read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)]+)\)", page)
    # Also where a line is broken inside the words of a link.
    assert len(links) == page.count("](")
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        assert (ROOT / (file or name)).is_file(), link
        assert not anchor or anchor in _anchors(file or name), link


def _anchors(name: str) -> set[str]:
    page = _without_blocks((ROOT / name).read_text(encoding="utf-8"))
    return {_anchor(heading) for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}


def test_the_contents_list_every_chapter() -> None:
    """The list at the top of the README has its chapters, in their order; the last one needs no entry."""
    chapters = re.findall(r"^## (.*)$", _without_blocks(README), re.MULTILINE)
    assert re.findall(r"^- \[(.*)\]\(#", README, re.MULTILINE) == chapters[:-1]


PICTURES = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))


def test_every_picture_is_made_by_the_command() -> None:
    """The pictures in docs/ are drawn by `docs/make_pictures.py` or by the measurement, and a document shows each."""
    names = {path.name for path in (ROOT / "docs").glob("*.svg")}
    measured = {"keys.svg"}
    assert set(PICTURES["PICTURES"]) <= names <= {*PICTURES["PICTURES"], *measured}
    assert all(f"](docs/{name})" in README + CONTRIBUTING for name in names)
    assert "python3 docs/make_pictures.py" in CONTRIBUTING


@pytest.mark.parametrize("name", PICTURES["PICTURES"])
def test_pictures_show_what_the_program_prints_today(name: str, environment: Mapping[str, str]) -> None:
    """The text in a picture is, character by character, what a terminal shows; its colours are drawn from it too."""
    printed = PICTURES["record"](PICTURES["PICTURES"][name], environment)
    picture = (ROOT / "docs" / name).read_text(encoding="utf-8")
    seen = re.sub(r"\x1b\[[\d;]*m", "", printed)
    assert _text_of(picture) == [line.rstrip() for line in seen.splitlines()]
    assert _text_of(PICTURES["draw"](printed)) == _text_of(picture)
    assert "\x1b[" in printed


@pytest.mark.parametrize("name", PICTURES["PICTURES"])
def test_pictures_load_nothing_from_elsewhere(name: str) -> None:
    """A picture is complete by itself: no font, style or image is fetched to show it."""
    picture = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' ]+", picture)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in picture


def _text_of(picture: str) -> list[str]:
    """Return the lines that an SVG of Rich shows: pieces of text by their place, in cells of 12.2 units."""
    lines: dict[float, str] = {}
    for piece in ElementTree.fromstring(picture).iterfind(".//{*}g[@class='apimart-matrix']/{*}text"):
        row, column = float(piece.attrib["y"]), round(float(piece.attrib["x"]) / 12.2)
        lines[row] = lines.get(row, "").ljust(column) + (piece.text or "").replace("\xa0", " ")
    return [lines[row].rstrip() for row in sorted(lines)]


def test_the_changelog_knows_the_version() -> None:
    """The newest entry of the changelog is the version of the package, in the form of Keep a Changelog."""
    versions = re.findall(r"^## \[(.*?)\] - (Unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    assert versions[0][0] == apimart_cli.__version__
    kinds = set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


# --- the house --------------------------------------------------------------------------------------------------


class Imports(NamedTuple):
    """What a file imports, at its top or inside a function."""

    ours: frozenset[str]
    libraries: frozenset[str]
    standard: frozenset[str]


def _room(path: Path) -> str:
    """Return how the house calls a file: its name, or the folder that it shares with its like."""
    parent = path.relative_to(PACKAGE).parts[0]
    return parent.removesuffix(".py")


def _imports(paths: Sequence[Path]) -> Imports:
    modules = {module for path in paths for module in _imported_modules(path)}
    ours = {module.split(".")[1] for module in modules if module.startswith("apimart_cli.")}
    others = {module.split(".")[0] for module in modules if not module.startswith("apimart_cli.")}
    standard = others & sys.stdlib_module_names
    return Imports(frozenset(ours - {_room(paths[0])}), frozenset(others - standard), frozenset(standard))


def _imported_modules(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, ours as apimart_cli.NAME."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            if node.module == "apimart_cli":
                names = [alias.name for alias in node.names]
                yield from (f"apimart_cli.{name if _is_module(name) else '__init__'}" for name in names)
            else:
                yield node.module


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").is_file() or (PACKAGE / name).is_dir()


def _house() -> dict[str, Imports]:
    rooms: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        rooms.setdefault(_room(path), []).append(path)
    return {room: _imports(paths) for room, paths in rooms.items()}


HOUSE = _house()


def _documented_house() -> Iterator[tuple[str, frozenset[str], frozenset[str]]]:
    [picture] = [block.text for block in _blocks(CONTRIBUTING) if block.text.startswith("apimart_cli/")]
    for entry in re.split(r"^  (?! )", picture, flags=re.MULTILINE)[1:]:
        name = entry.split()[0].rstrip("/").removesuffix(".py")
        ours = " ".join(re.findall(r"imports: (.*)", entry)).split()
        libraries = " ".join(re.findall(r"libraries: (.*)", entry)).split()
        yield name, frozenset(ours), frozenset(libraries)


def test_the_picture_of_the_house_is_true() -> None:
    """CONTRIBUTING.md shows every file with exactly what it imports of ours and which libraries it uses."""
    documented = {name: (sorted(ours), sorted(libraries)) for name, ours, libraries in _documented_house()}
    assert documented == {name: (sorted(seen.ours), sorted(seen.libraries)) for name, seen in HOUSE.items()}


@pytest.mark.parametrize(
    ("library", "room"),
    [
        ("requests", "transport"),
        ("urllib3", "transport"),
        ("rich", "output"),
        ("tomlkit", "configwriter"),
        ("filelock", "configwriter"),
        ("keyring", "keysource"),
    ],
)
def test_libraries_stay_in_their_room(library: str, room: str) -> None:
    """What a library can do wrong is dealt with in a single file."""
    assert [name for name, imports in HOUSE.items() if library in imports.libraries] == [room]


PURE = ["balance", "gate", "errors", "text", "apikey", "target"]
HARMLESS = {
    "base64", "collections", "dataclasses", "datetime", "decimal", "enum", "html", "ipaddress", "json", "math", "re",
    "typing", "unicodedata", "urllib",
}  # fmt: skip
"""Modules of the standard library without access to files, network, processes, environment or clock."""


@pytest.mark.parametrize("room", PURE)
def test_what_decides_is_pure(room: str) -> None:
    """Parser, gate, errors, text, key and target use no library, open nothing, print nothing and read no clock."""
    imports = HOUSE[room]
    assert imports.libraries == set()
    assert imports.ours <= set(PURE)
    assert imports.standard <= HARMLESS
    tree = ast.parse((PACKAGE / f"{room}.py").read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not names & {"open", "print", "input", "exec", "eval", "__import__"}
    assert not attributes & {"now", "utcnow", "today", "request", "urlopen"}


def test_the_pure_rooms_are_named_in_the_document() -> None:
    """CONTRIBUTING.md calls those files pure that the tests hold to it."""
    [sentence] = re.findall(r"- (`balance`[^.]*?) are pure", " ".join(CONTRIBUTING.split()))
    assert _code(sentence) == PURE


def test_the_sandbox_shares_no_code_with_what_it_tests() -> None:
    """The sandbox imports nothing of ours, so that no mistake is on both sides."""
    assert HOUSE["sandbox"].ours == set()


def _uses_in(node: ast.AST, place: str, wanted: Callable[[ast.AST], bool]) -> Iterator[str]:
    """Yield the function around each node that is wanted, as `module.function`."""
    for child in ast.iter_child_nodes(node):
        inside = f"{place}.{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else place
        if wanted(child):
            yield inside
        yield from _uses_in(child, inside, wanted)


def _uses(wanted: Callable[[ast.AST], bool]) -> list[str]:
    """Return the functions of the package in which a wanted node stands, each time it does."""
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found += _uses_in(ast.parse(path.read_text(encoding="utf-8")), module, wanted)
    return found


def _names(*sources: str) -> Callable[[ast.AST], bool]:
    """Return a test for nodes that are written like one of these."""
    return lambda node: isinstance(node, ast.expr) and ast.unparse(node) in sources


def test_only_main_ends_the_process() -> None:
    """Nothing but `__main__` exits, and a signal: everything else returns its code, through the one boundary."""
    ends = _uses(_names("sys.exit", "os._exit", "exit", "quit", "SystemExit", "os.abort"))
    assert {place for place in ends if not place.startswith("__main__")} == {"child.cleaning_up.end"}
    assert len(ends) > 1


def test_records_are_named_tuples() -> None:
    """No file of the package makes a dataclass: importing one costs ten times as much."""
    assert [name for name, imports in HOUSE.items() if "dataclasses" in imports.standard] == []


def test_the_front_door_knows_every_command_by_its_name_alone(help_of: Help) -> None:
    """A command is one file in `commands/` and one name in `cli.COMMANDS`, as CONTRIBUTING.md says."""
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - {"__init__", "options"}
    assert set(cli.COMMANDS) == files
    assert [entry[0] for entry in _section(help_of(""), "Commands")] == list(cli.COMMANDS)


def test_a_pass_has_a_single_source() -> None:
    """The passing verdict is made in one place, from balances that are made in one place."""
    assert _uses(_names("Verdict(Outcome.PASS, ExitCode.OK, outcomes)")) == ["gate.judge"]
    assert _uses(lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) == "Balance") == [
        "balance._read_balance"
    ]
    assert _uses(lambda node: isinstance(node, ast.Call) and ast.unparse(node.func) == "_read_balance") == [
        "balance.interpret"
    ]


def test_exit_code_zero_has_few_places() -> None:
    """`ExitCode.OK` stands where a verdict passes or is waved through, and in commands that give none."""
    assert sorted(set(_uses(_names("ExitCode.OK")))) == [
        "commands.check._comment",
        "commands.config.check",
        "commands.config.path",
        "commands.config.set_",
        "commands.config.show",
        "commands.config.unset",
        "commands.login.login",
        "commands.logout.logout",
        "gate._failure_code",
        "gate.code_of_readings",
        "gate.judge",
    ]


def test_a_command_without_a_code_is_a_bug_and_not_a_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that forgets to return its code exits 1."""
    forgetful = typer.Typer()
    forgetful.command()(lambda: None)
    monkeypatch.setattr(cli, "app", forgetful)
    assert cli.main([]) == ExitCode.INTERNAL
    assert "a bug in apimart" in capsys.readouterr().err


def test_twins_on_the_command_line_agree() -> None:
    """The choices that are written twice, to keep start-up fast, are the same, and each output has its renderer."""
    assert [*options.OutputChoice] == [choice.value for choice in output.OutputFormat]
    assert [*output.OutputFormat] == [*output._RENDERERS]
    assert [*sandbox_command.FaultChoice] == [fault.value for fault in Fault]
    assert list(options.ScopeChoice) == [*balance.Scope, "both"]
    assert set(check.OnUnlimited) == {"pass", "fail"}


# --- the walk through check -------------------------------------------------------------------------------------


def _named_in_contributing() -> list[str]:
    """Return everything of ours that CONTRIBUTING.md names as `module.name`."""
    found = [name for name in _code(_without_blocks(CONTRIBUTING)) if re.fullmatch(r"\w+(\.\w+)+", name)]
    return [name for name in found if _is_module(name.split(".")[0])]


def test_everything_that_contributing_names_exists() -> None:
    """Each function, class and value that CONTRIBUTING.md names is there, and each file."""
    names = [name for name in _named_in_contributing() if not name.endswith(".py")]
    assert len(names) > 30
    for name in names:
        assert _resolve(name) is not None, name
    for file in re.findall(r"`([\w/.]+\.(?:py|md))`", CONTRIBUTING):
        places = (ROOT, PACKAGE, PACKAGE / "commands")
        assert any((place / file).is_file() for place in places) or "NAME" in file, file


def test_every_program_that_contributing_runs_exists() -> None:
    """Each Python file in its commands is there."""
    commands = "".join(block.text for block in _blocks(CONTRIBUTING) if block.language == "sh")
    files = re.findall(r"[\w/]+\.py", commands)
    assert len(files) >= 4
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_example_of_a_case_is_one() -> None:
    """The line that CONTRIBUTING.md adds to the fault catalogue is a name and what a server sends."""
    [block] = [block for block in _blocks(CONTRIBUTING) if block.language == "python"]
    plays = eval(f"{{{block.text}}}", {"http": catalogue.http, "balance": catalogue.balance})
    [case] = catalogue.group("example", catalogue.BAD, plays)
    assert case.name == "example: an amount in words"
    [[sent]] = case.scripts
    assert isinstance(sent, bytes)
    assert b'"remain_balance":"ten"' in sent


def _resolve(name: str) -> object:
    """Return what `module.name` means in the package, or None."""
    parts = name.split(".")
    module: ModuleType | None = None
    while parts and _is_module("/".join([*(module.__name__.split(".")[1:] if module else []), parts[0]])):
        module = importlib.import_module(".".join([module.__name__ if module else "apimart_cli", parts.pop(0)]))
    found: object = module
    for part in parts:
        found = getattr(found, part, None)
    return found if parts else None


WATCH = """
import json, os, sys, threading
from apimart_cli import __main__

entered = []

def watch(frame, event, _argument):
    module = frame.f_globals.get("__name__", "")
    if event == "call" and module.startswith("apimart_cli."):
        name = f"{module.removeprefix('apimart_cli.')}.{frame.f_code.co_qualname}"
        if name not in entered:
            entered.append(name)

sys.argv = ["apimart", "check", "--min", "5"]
end = os._exit

def report(code):
    sys.setprofile(None)
    print(json.dumps({"code": code, "entered": entered}), flush=True)
    end(code)

os._exit = report
threading.setprofile(watch)
sys.setprofile(watch)
__main__.run()
"""


def test_the_walk_through_check_names_functions_in_their_order(
    environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """The numbered steps of CONTRIBUTING.md are the way that `apimart check --min 5` really goes."""
    chapter = CONTRIBUTING.split("## One command, from argv to exit code")[1].split("###")[0]
    steps = re.findall(r"^\d+\. `([\w.]+)`", chapter, re.MULTILINE)
    watched = subprocess.run(
        [sys.executable, "-c", WATCH],
        env={**environment, **connected(sandbox)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert watched.returncode == 0, watched.stderr
    end = json.loads(watched.stdout.splitlines()[-1])
    assert end["code"] == ExitCode.OK
    assert [step for step in steps if step not in end["entered"]] == []
    assert sorted(steps, key=end["entered"].index) == steps
    assert len(steps) > 10
