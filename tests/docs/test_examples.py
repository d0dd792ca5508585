"""The examples of the documentation print what stands below them.

Blocks are run by their language: `console` shows commands after `$ ` and exactly what they print, `sh` is a script that
ends well.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pexpect
import pytest

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.pages import (
    CONFIG,
    DOCUMENTATION,
    PAGES,
    Block,
    Example,
    blocks,
    blocks_of,
    examples_of,
    is_installation,
    normalised,
)
from support.past import write_past
from support.running import KEY, Run, Shell, Spawn, Write, connected

pytestmark = pytest.mark.usefixtures("quick_path")

NOTES = {
    "": "the key and the gateway are in variables",
    "config": "the config file of the pages is in place, and no variable is set",
    "login": "the gateway is in a variable, the key is not",
    "profiles": "the config file of the pages is in place, and its gateway is the sandbox",
    "runway": "as without a note, and 0.25 a day was spent for the last eight days",
    "terminal": "as without a note, at a terminal, where the key is typed when it is asked for",
    "keyring": "as `terminal`, with a keyring",
}
"""What may follow the language of a console block, and what it means."""

TYPED = ("terminal", "keyring")
"""Notes of blocks that need a terminal."""

LANGUAGES = {"console", "sh", "json", "yaml", "toml", "python", "pycon", "powershell", "crontab", "ini", "text"}

END = "--end-of-an-example--"

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


def _one_by_one(commands: Sequence[str], end: str) -> str:
    """Return a script that prints `end` after each command, in one shell, and keeps `$?`."""
    return "".join(f"{command}\n_status=$?; echo {end}; (exit $_status)\n" for command in commands)


def _assert_printed(printed: str, documented: Sequence[Example]) -> None:
    outputs = printed.split(f"{END}\n")
    assert outputs.pop() == ""
    assert [Example(example.command, output) for example, output in zip(documented, outputs, strict=True)] == documented


def test_every_block_is_of_a_language_that_is_checked() -> None:
    """No block of a page escapes the tests, and no example is left without a command."""
    every = [block for name, page in PAGES.items() for block in blocks(page, name)]
    assert {block.language for block in every} == LANGUAGES
    assert {block.note for block in every if block.language != "ini"} == set(NOTES)
    assert all(block.text.startswith("$ ") for block in blocks_of("console"))
    assert DOCUMENTATION.count("```") == 2 * len(every)
    assert DOCUMENTATION.count("\n$ ") == sum(len(examples_of(block)) for block in blocks_of("console")) > 20


@pytest.mark.parametrize("block", [block for block in blocks_of("console") if block.note not in TYPED], ids=str)
def test_console_examples_print_what_the_page_shows(
    block: Block, shell: Shell, secrets: Path, sandbox: Sandbox, write_config: Write, home: Path,
    environment: dict[str, str],
) -> None:  # fmt: skip
    """Typed into a shell, each example prints exactly what stands below it."""
    env = connected(sandbox)
    if block.note == "runway":
        ledger = home / ".local" / "state" / "apimart" / "history.db"
        write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day="0.25")
    if block.note in {"config", "profiles"}:
        write_config(CONFIG)
    if block.note in {"login", "profiles"}:
        # What is stored is used: the key is in no variable.
        env = {"APIMART_BASE_URL": sandbox.url}
    if block.note == "config":
        env = {}
        del environment["APIMART_RECORD"], environment["APIMART_BOOKS"]
    documented = examples_of(block)
    script = _one_by_one([example.command for example in documented], END)
    _assert_printed(shell(script, env=env).stdout, documented)


@pytest.mark.parametrize("block", [block for block in blocks_of("console") if block.note in TYPED], ids=str)
def test_examples_that_ask_for_the_key_print_what_the_page_shows(
    block: Block, spawn: Spawn, sandbox: Sandbox, home: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """At a terminal the key is asked for, typed, not shown, and everything else is what stands below the example."""
    if block.note == "keyring":
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "keyring.py").write_text(KEYRING, encoding="utf-8")
        environment["PYTHONPATH"] += f"{os.pathsep}{tmp_path / 'package'}"
    del environment["APIMART_RECORD"]
    documented = examples_of(block)
    script = _one_by_one([example.command for example in documented], END)
    # What is stored is used: the key is in no variable. A dumb terminal shows neither colours nor progress.
    # No message of the page is folded.
    env = {"APIMART_BASE_URL": sandbox.url, "TERM": "dumb"}
    terminal = spawn("bash", "-c", script, columns=400, env=env)
    terminal.expect_exact(b"API key: ")
    terminal.sendline(KEY)
    terminal.expect(pexpect.EOF)
    printed = f"API key: {terminal.before.decode()}".replace("\r\n", "\n")
    assert KEY not in printed
    _assert_printed(normalised(re.sub(" +$", "", printed, flags=re.MULTILINE), home), documented)
    stored = [path.name for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert stored == (["apimart-work.keyring"] if block.note == "keyring" else ["config.toml"])


@pytest.fixture
def unsettled(quick_path: None, environment: dict[str, str], forks: Forks, tmp_path: Path) -> None:
    """Have `run` not wait for what is booked late, which takes it five seconds."""
    script = f'[ "$1" != run ] || {{ shift; set -- run --no-settle "$@"; }}\nexec {forks.scripts}/apimart "$@"'
    _write_program(tmp_path / "unsettled", script, environment)


def _write_program(folder: Path, script: str, environment: dict[str, str]) -> None:
    """Have scripts find an `apimart` that is this script."""
    folder.mkdir()
    (folder / "apimart").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "apimart").chmod(0o755)
    environment["PATH"] = f"{folder}:{environment['PATH']}"


@pytest.mark.usefixtures("unsettled")
@pytest.mark.parametrize("block", [block for block in blocks_of("sh") if not is_installation(block)], ids=str)
def test_scripts_end_well(block: Block, shell: Shell, sandbox: Sandbox) -> None:
    """Each script runs in a plain POSIX shell and succeeds where enough is left."""
    ended = shell(block.text, env={**connected(sandbox), "APIMART_BOOKS": "1"}, interpreter=("sh", "-c"))
    assert (ended.returncode, "not found" in ended.stdout) == (0, False), ended.stdout


def test_the_sandbox_opens_a_shell_in_which_examples_work(run: Run) -> None:
    """`apimart sandbox -- bash`, as the documentation says, gives a key and a gateway to everything typed in it."""
    assert "`apimart sandbox -- bash`" in DOCUMENTATION
    ended = run("sandbox", "--", "bash", input="apimart balance --output value\nexit 9\n")
    assert (ended.returncode, ended.stdout) == (9, "10.5\n")


CASE_SCRIPT = next(block.text for block in blocks_of("sh") if "case $?" in block.text)


@pytest.mark.parametrize("code", ExitCode)
def test_the_script_has_a_branch_for_every_exit_code(
    code: ExitCode, shell: Shell, environment: dict[str, str], tmp_path: Path
) -> None:
    """Whatever `check` ends with, the script takes the branch of that code, and goes on after 0 only."""
    branches: dict[str, str] = dict(re.findall(r'^ +([\d*]+)\) +echo "([^"]+)"', CASE_SCRIPT, re.MULTILINE))
    assert set(branches) == {"*", *(str(int(code)) for code in ExitCode if code is not ExitCode.INTERNAL)}
    assert len(set(branches.values())) == len(branches)
    _write_program(tmp_path / "bin", f"exit {int(code)}", environment)
    ended = shell(CASE_SCRIPT, env={}, interpreter=("sh", "-c"))
    assert ended.stdout == f"{branches.get(str(int(code)), branches['*'])}\n"
    assert (ended.returncode == 0) == (code is ExitCode.OK)
