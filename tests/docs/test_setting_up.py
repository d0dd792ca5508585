"""The lines that install: to the letter on the pages, in CI, and no others."""

import re
import tomllib

import pytest

from support.pages import (
    CONTRIBUTING,
    DOCUMENTATION,
    INSTALL_LINES,
    MAIN_JOB,
    README,
    TESTS,
    blocks,
    blocks_of,
    examples_of,
)
from support.places import ROOT
from support.running import Run

pytestmark = pytest.mark.usefixtures("quick_path")


def test_the_pages_have_each_line_that_installs() -> None:
    """The README has the two that set up and do the main job, and set up and run the tests, once and to the letter."""
    shown = [block.text for block in blocks(README) if block.language == "sh"]
    assert [shown.count(f"{line}\n") for line in (MAIN_JOB, TESTS)] == [1, 1]
    commands = {line.strip().removeprefix("- ").removeprefix("run: ") for line in DOCUMENTATION.splitlines()}
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
    checks = next(block.text for block in blocks(CONTRIBUTING) if "ruff" in block.text)
    for line in checks.splitlines():
        program, *arguments = line.split()
        if program != "python3":
            assert re.search(rf"/{program}\"? ?{re.escape(' '.join(arguments))}$", ci, re.MULTILINE), line


def test_the_extras_that_the_documents_install_exist() -> None:
    """Everything in brackets after the package is an extra of it, and `apimart` is its command."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        extra for page in (DOCUMENTATION, CONTRIBUTING) for extra in re.findall(r"(?:\.|apimart-cli)\[(\w+)\]", page)
    }
    assert extras == {"keyring", "prometheus", "mcp", "test", "dev", "deep"}
    assert extras <= set(project["optional-dependencies"])
    assert list(project["scripts"]) == ["apimart"]
    python = re.search(r"Python\s+(\d\.\d+)\s+or\s+newer", README)
    assert python
    assert project["requires-python"] == f">={python[1]}"


def test_commands_fit_in_sixty_columns() -> None:
    """A reader of 60 columns sees every command whole; only the one line of set-up and main job is longer."""
    typed = [line for block in blocks_of("sh", "powershell") for line in block.text.splitlines()]
    typed += [
        f"$ {line}"
        for block in blocks_of("console")
        for example in examples_of(block)
        for line in example.command.splitlines()
    ]
    assert [line for line in typed if len(line) > 60] == [MAIN_JOB]
