"""The workflow for forks on GitHub: valid by GitHub's own schema, and the checks of the project on every Python."""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.places import ROOT
from support.schemas import held_against

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def _complaints(workflow: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Hold a file against the schema that GitHub publishes, a copy of which comes with the program."""
    return held_against("vendor.github-workflows", workflow, environment)


def test_the_workflow_is_valid(environment: Mapping[str, str]) -> None:
    """GitHub's schema for workflows accepts it."""
    ended = _complaints(WORKFLOW, environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("right", "wrong"), [("runs-on:", "run-on:"), ("timeout-minutes: 60", "timeout-minutes: soon")]
)
def test_a_mistake_in_the_workflow_is_noticed(
    right: str, wrong: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """A misspelled name and a wrong type fail."""
    text = WORKFLOW.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "ci.yml"
    broken.write_text(text.replace(right, wrong), encoding="utf-8")
    assert _complaints(broken, environment).returncode == 1


def test_the_workflow_runs_all_checks_on_every_python() -> None:
    """It calls `.ci/run`, and nothing else that could go its own way, with each Python of the classifiers."""
    job = _jobs()["check"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert {"python-version": "${{ matrix.python }}"} in [step.get("with") for step in job["steps"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    versions = [name.removeprefix(prefix) for name in project["classifiers"] if name.startswith(f"{prefix}3.")]
    assert job["strategy"]["matrix"]["python"] == versions


@pytest.mark.parametrize(("system", "python"), [("macos", "python3"), ("windows", "python")])
def test_other_systems_run_the_tests_that_can_run_there(system: str, python: str) -> None:
    """They install and test as the README says, name tests that are there, and play with the installed command."""
    install, test, *commands = [step["run"].split() for step in _jobs()[system]["steps"] if "run" in step]
    assert _jobs()[system]["runs-on"] == f"{system}-latest"
    assert install == [python, "-m", "pip", "install", "'.[test]'"]
    assert test[:3] == [python, "-m", "pytest"]
    named = [word for word in test[3:] if not word.startswith("-")]
    assert "tests/process/test_elsewhere.py" in named
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert commands == [
        ["apimart", "sandbox", "--", "apimart", "balance"],
        ["apimart", "sandbox", "--remain", "5", "--", "apimart", "check", "--min", "5"],
    ]


def _jobs() -> Any:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
