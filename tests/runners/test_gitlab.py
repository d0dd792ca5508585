"""The job for GitLab, run by gitlab-ci-local with a shell for an executor, in a pipeline that includes it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.places import ROOT
from support.programs import need
from support.runner import OFFLINE, checkout_that_is_offline, lay_traps, options_of_venv, packages
from support.running import KEY, Serve, connected, run_program
from support.schemas import held_against

JOB = ROOT / "ci" / "gitlab.yml"

PIPELINE = """
include: vendor/apimart-cli/ci/gitlab.yml

balance:
  extends: .apimart-check
  before_script: []
{allow_failure}
deploy:
  stage: deploy
  script:
    - echo "verdict=$APIMART_VERDICT code=$APIMART_EXIT_CODE remaining=$APIMART_REMAINING used=$APIMART_USED."
"""
"""As the documentation shows it; but apimart is there already, and nothing has to be fetched."""

SILENCE_ALLOWED = """\
  allow_failure:
    exit_codes: [5]
"""
"""Only where it is what the test is about: with it, gitlab-ci-local goes on after every code, and GitLab does not."""

Pipeline = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def pipeline(environment: dict[str, str], tmp_path: Path) -> Pipeline:
    """Run the pipeline in a repository of its own: `pipeline({"CHECK_MIN": "5"}, APIMART_API_KEY=...)`."""
    program, git = need("gitlab-ci-local"), need("git")
    need("rsync")
    repository = tmp_path / "repository"
    copied = repository / "vendor" / "apimart-cli" / "ci" / JOB.name
    copied.parent.mkdir(parents=True)
    copied.write_bytes(JOB.read_bytes())
    # Node.js is where its program is.
    environment["PATH"] += f"{os.pathsep}{os.environ['PATH']}"

    def run_pipeline(
        variables: Mapping[str, str], *, allow_failure: str = "", **env: str
    ) -> "subprocess.CompletedProcess[str]":
        definition = PIPELINE.replace("{allow_failure}\n", allow_failure)
        (repository / ".gitlab-ci.yml").write_text(definition, encoding="utf-8")
        # It includes what git knows.
        for command in (["init", "-q"], ["add", "."]):
            subprocess.run([git, *command], cwd=repository, env=environment, timeout=60, check=True)
        given = [f"--variable={name}={value}" for name, value in {**env, **variables}.items()]
        return run_program(
            [program, "--force-shell-executor", "--color=false", *given], cwd=repository, env=environment,
            stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip

    return run_pipeline


def _labels(ended: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """Return how each job is labelled at the end: PASS, WARN or FAIL."""
    return {name: label for label, name in re.findall(r"^ (PASS|WARN|FAIL) +(\S+)", ended.stdout, re.MULTILINE)}


@pytest.mark.servers
def test_enough_lets_the_pipeline_go_on(pipeline: Pipeline, sandbox: Sandbox) -> None:
    """A job of a later stage runs, and has what was read, to the last digit."""
    ended = pipeline({"CHECK_MIN": "5"}, **connected(sandbox))
    assert (ended.returncode, _labels(ended)) == (0, {"balance": "PASS", "deploy": "PASS"}), ended.stdout
    assert "verdict=pass code=0 remaining=10.5 used=2.3." in ended.stdout


@pytest.mark.servers
@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"CHECK_MIN": "5", "CHECK_MAX_USED": "2"}, ExitCode.BELOW, "APIMART_VERDICT=below"),
        ({"CHECK_MIN_RUNWAY": "3d"}, ExitCode.NO_FORECAST, "APIMART_VERDICT=no_forecast"),
        ({"CHECK_MIN": "5", "APIMART_API_KEY": ""}, ExitCode.AUTH, "the API key from APIMART_API_KEY is empty"),
        ({"CHECK_MIN": "5; touch gone"}, ExitCode.USAGE, "'5; touch gone' is not an amount"),
        ({"CHECK_MIN": "5", "CHECK_SCOPE": "key --fail-open"}, ExitCode.USAGE, "key --fail-open"),
    ],
)
def test_everything_else_stops_it(
    variables: Mapping[str, str], code: ExitCode, words: str, pipeline: Pipeline, sandbox: Sandbox, tmp_path: Path
) -> None:
    """With the exit code of the check, and its reason in the log; no variable is more than one value."""
    ended = pipeline(variables, **connected(sandbox))
    assert _labels(ended) == {"balance": "FAIL"}, ended.stdout
    assert re.search(rf"FAIL {int(code)}\b", ended.stdout)
    assert words in ended.stdout
    assert "verdict=" not in ended.stdout
    assert list(tmp_path.rglob("gone")) == []
    assert KEY not in ended.stdout


@pytest.mark.servers
def test_silence_can_be_allowed_to_fail(pipeline: Pipeline, serve: Serve) -> None:
    """`allow_failure` with code 5 goes on with a warning, and later jobs know that nothing was confirmed."""
    ended = pipeline({"CHECK_MIN": "5"}, allow_failure=SILENCE_ALLOWED, **connected(serve(fault=Fault.SERVER_ERROR)))
    assert (ended.returncode, _labels(ended)) == (0, {"balance": "WARN", "deploy": "PASS"}), ended.stdout
    assert "verdict=error code=5 remaining= used=." in ended.stdout


@pytest.mark.servers
def test_the_smaller_balance_is_what_counts(pipeline: Pipeline, serve: Serve) -> None:
    """By default the account is looked at as well."""
    poor = serve(account=Funds(Decimal("4.9"), Decimal(0)))
    assert _labels(pipeline({"CHECK_MIN": "5"}, **connected(poor))) == {"balance": "FAIL"}
    assert _labels(pipeline({"CHECK_MIN": "5", "CHECK_SCOPE": "key"}, **connected(poor)))["balance"] == "PASS"


def test_a_failed_installation_leaves_no_verdict_of_an_earlier_job(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    """A runner may keep its folder; the report is taken whatever became of the job."""
    report = tmp_path / "apimart.env"
    report.write_text("APIMART_VERDICT=pass\n", encoding="utf-8")
    commands = yaml.safe_load(JOB.read_text(encoding="utf-8"))[".apimart-check"]["before_script"]
    ended = run_program([need("sh"), "-ec", "\n".join(commands)], env=environment, cwd=tmp_path)
    assert ended.returncode != 0
    assert not report.exists()


def test_no_module_of_the_checkout_is_loaded(environment: Mapping[str, str], serve: Serve, tmp_path: Path) -> None:
    """Not while it is installed, nor while it checks, wherever the variables of the job lead Python."""
    installed = tmp_path / "python"
    venv = [sys.executable, "-I", "-m", "venv", str(installed), *options_of_venv()]
    subprocess.run(venv, check=True, timeout=120)
    [own] = installed.glob("lib/python*/site-packages")
    (own / "test.pth").write_text("\n".join(packages()), encoding="utf-8")
    (installed / "pip.conf").write_text(OFFLINE, encoding="utf-8")
    checkout, stolen = tmp_path / "checkout", tmp_path / "stolen"
    traps = lay_traps(checkout, stolen)
    (checkout / "vendor").mkdir()
    checkout_that_is_offline(checkout / "vendor" / "apimart-cli")
    job = yaml.safe_load(JOB.read_text(encoding="utf-8"))[".apimart-check"]
    given = {**job["variables"], "CHECK_MIN": "5", "CHECK_PYTHON": str(installed / "bin" / "python")}
    # What was installed for the first check is there for the second.
    for steps, remain, code in (("before_script", "4.9", ExitCode.BELOW), ("", "5", ExitCode.OK)):
        ended = run_program(
            [need("sh"), "-ec", "\n".join([*job.get(steps, []), *job["script"]])],
            env={**environment, **connected(serve(key=Funds(Decimal(remain), Decimal(0)))), **given, **traps},
            cwd=checkout,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        assert not stolen.exists(), stolen.read_text()
        assert ended.returncode == code, ended.stdout
    assert (own / "apimart_cli" / "cli.py").read_bytes() == (ROOT / "apimart_cli" / "cli.py").read_bytes()


@pytest.mark.servers
def test_a_pipeline_with_a_path_for_python_is_gated(pipeline: Pipeline, serve: Serve, tmp_path: Path) -> None:
    """As gitlab-ci-local runs it: a module in the repository is not loaded, and does not get the key."""
    traps = lay_traps(tmp_path / "repository", tmp_path / "stolen")
    poor = serve(key=Funds(Decimal("4.9"), Decimal(0)))
    ended = pipeline({"CHECK_MIN": "5"}, **connected(poor), **traps)
    assert not (tmp_path / "stolen").exists(), (tmp_path / "stolen").read_text()
    assert _labels(ended) == {"balance": "FAIL"}, ended.stdout


@pytest.mark.parametrize(("right", "wrong", "code"), [("", "", 0), ("dotenv:", "dotenf:", 1), ("always", "often", 1)])
def test_the_job_is_valid(right: str, wrong: str, code: int, environment: Mapping[str, str], tmp_path: Path) -> None:
    """The schema that GitLab publishes accepts it, and not one with a slip."""
    # It looks at no job whose name begins with a dot.
    text = JOB.read_text(encoding="utf-8").replace("\n.apimart-check:", "\napimart-check:").replace(right, wrong)
    path = tmp_path / "gitlab.yml"
    path.write_text(text, encoding="utf-8")
    ended = held_against("vendor.gitlab-ci", path, environment)
    assert ended.returncode == code, ended.stdout
