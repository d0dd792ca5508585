"""The CI jobs of the documentation stop what they should stop: their commands are run."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.pages import PAGES, Block, blocks_of, code_in, table
from support.past import recorded, write_past
from support.places import ROOT
from support.runner import Played, play, pretend_installed
from support.running import KEY, Serve, Shell, connected
from support.schemas import held_against

pytestmark = pytest.mark.usefixtures("quick_path")

ACTION = ROOT / "action.yml"
GITLAB_JOB = ROOT / "ci" / "gitlab.yml"


def _ci_job(title: str) -> Any:
    """Return the YAML that follows `title` on a page, read."""
    return yaml.safe_load(_text_of(title))


def _text_of(title: str) -> str:
    above = {block: _words_above(block) for block in blocks_of("yaml")}
    following = [block for block, words in above.items() if words.startswith(title)]
    assert len(following) == 1
    return following[0].text


def _words_above(block: Block) -> str:
    """Return the paragraph above a block, without comments to ourselves."""
    above = "\n".join(PAGES[block.page].splitlines()[: block.line - 2])
    return re.sub(r"<!--.*?-->", "", above).rstrip().rsplit("\n\n", 1)[1].lstrip()


Use = Callable[..., Played]


@pytest.fixture
def use(command: str, environment: Mapping[str, str], tmp_path: Path) -> Use:
    """Use the action as a step of a page does, in a workspace that stays: `use(step, APIMART_BASE_URL=...)`."""
    folder, workspace = tmp_path / "runner", tmp_path / "workspace"
    folder.mkdir()
    workspace.mkdir()
    pretend_installed(folder, ACTION, command)

    def play_step(step: Mapping[str, Any], **env: str) -> Played:
        assert step["uses"] == "./vendor/apimart-cli"
        given = {name: value.replace("${{ secrets.APIMART_API_KEY }}", KEY) for name, value in step["env"].items()}
        return play(ACTION, step["with"], env={**environment, **given, **env}, folder=folder, workspace=workspace)

    return play_step


def test_every_ci_job_is_checked() -> None:
    """Each page has the jobs and recipes that are tested below or in tests/examples, and no other."""
    pages = [block.page for block in blocks_of("yaml")]
    assert pages == [
        "README.md", *["docs/ci.md"] * 2, "docs/configuration.md", "docs/monitoring.md", *["docs/scripting.md"] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("remain", "secret", "code"),
    [("10.5", KEY, ExitCode.OK), ("4.9", KEY, ExitCode.BELOW), ("10.5", "", ExitCode.AUTH)],
    ids=["enough", "too-little", "missing-secret"],
)
def test_the_github_job_gates_the_deployment(remain: str, secret: str, code: ExitCode, use: Use, serve: Serve) -> None:
    """The workflow's step passes when enough is left, and stops below the threshold and without the secret."""
    jobs = _ci_job("GitHub Actions")["jobs"]
    assert jobs["deploy"]["needs"] in jobs
    checkout, step = jobs["balance"]["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    gateway = serve(key=Funds(Decimal(remain), Decimal(0)))
    played = use(step, APIMART_BASE_URL=gateway.url, APIMART_API_KEY=secret)
    assert played.code == code, played.log


def _gitlab_job(title: str) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
    """Return the commands of a job that extends ours, its variables, and what else it has."""
    [template] = yaml.safe_load(GITLAB_JOB.read_text(encoding="utf-8")).values()
    job = dict(_ci_job(title)["balance"])
    assert job.pop("extends") == ".apimart-check"
    assert len(template["before_script"]) == 2
    assert template["before_script"][1].endswith("/with_few_variables.py ./vendor/apimart-cli/ci/install_pinned.py")
    return "\n".join(template["script"]), {**template["variables"], **job.pop("variables")}, job


def test_a_later_gitlab_job_has_what_was_read(shell: Shell, sandbox: Sandbox, tmp_path: Path) -> None:
    """The job's commands pass, only an unreachable gateway is allowed to fail, and its report has the variables."""
    script, variables, others = _gitlab_job("GitLab CI")
    assert ROOT / _ci_job("GitLab CI")["include"].removeprefix("vendor/apimart-cli/") == GITLAB_JOB
    assert others == {"allow_failure": {"exit_codes": [int(ExitCode.UNAVAILABLE)]}}
    ended = shell(script, env={**connected(sandbox), **variables}, interpreter=("bash", "-eo", "pipefail", "-c"))
    assert ended.returncode == 0, ended.stdout
    report = (tmp_path / "checkout" / "apimart.env").read_text(encoding="utf-8")
    [command] = _ci_job("A dotenv report")["release"]["script"]
    told = shell(command, env=dict(line.split("=") for line in report.splitlines()))
    assert told.stdout == "release here, with 10.5 left\n"


def test_the_action_hands_on_what_was_read(use: Use, sandbox: Sandbox) -> None:
    """Each output that a later job uses is there."""
    jobs = _ci_job("This project is also an action")["jobs"]
    step = jobs["balance"]["steps"][-1]
    played = use(step, APIMART_BASE_URL=sandbox.url)
    assert (played.code, played.outputs["remaining"]) == (ExitCode.OK, "10.5"), played.log
    for output in jobs["balance"]["outputs"].values():
        assert output == f"${{{{ steps.{step['id']}.outputs.remaining }}}}"
    assert jobs["release"]["needs"] in jobs


@pytest.mark.parametrize("title", ["GitHub Actions", "This project is also an action"])
def test_the_workflows_are_valid(title: str, environment: Mapping[str, str], tmp_path: Path) -> None:
    """The schema that GitHub publishes accepts them."""
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(_text_of(title), encoding="utf-8")
    ended = held_against("vendor.github-workflows", workflow, environment)
    assert ended.returncode == 0, ended.stdout


def test_the_tables_of_the_jobs_are_those_of_the_files() -> None:
    """They have every input, output and variable, in the order of the action, with its default, and no other."""
    action = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    inputs = {code_in(row[0])[0]: "".join(code_in(row[1])) for row in table("input").rows}
    assert list(inputs.items()) == [(name, each.get("default", "")) for name, each in action["inputs"].items()]
    assert [code_in(row[0])[0] for row in table("output").rows] == list(action["outputs"])
    [template] = yaml.safe_load(GITLAB_JOB.read_text(encoding="utf-8")).values()
    documented = {code_in(row[0])[0]: "".join(code_in(row[1])) for row in table("variable of the job").rows}
    assert documented == template["variables"]
    _, variables, _ = _gitlab_job("In GitLab CI")
    assert set(variables) - set(documented) == {"APIMART_RECORD", "APIMART_HISTORY"}


def _assert_recorded(ledger: Path) -> None:
    assert {entry.series.scope for entry in recorded(ledger)} == {Scope.KEY, Scope.ACCOUNT}


def _write_past(ledger: Path, sandbox: Sandbox) -> None:
    """Write eight days of a spend that leaves too little for three more."""
    ledger.unlink()
    host = sandbox.url.removeprefix("http://")
    write_past(ledger, host, days=8, spent_per_day="4")
    write_past(ledger, host, days=8, spent_per_day="4", scope=Scope.ACCOUNT, remain="100", used="25.5")


def test_a_github_job_that_caches_its_ledger_has_a_history(use: Use, sandbox: Sandbox, tmp_path: Path) -> None:
    """In CI, the readings of one run are there for the next, in the folder that the cache keeps."""
    [text] = [block.text for block in blocks_of("yaml") if "actions/cache" in block.text]
    cache, check = yaml.safe_load(text)
    assert check["env"]["APIMART_HISTORY"].startswith(f"{cache['with']['path']}/")
    ledger = tmp_path / "workspace" / check["env"]["APIMART_HISTORY"]
    first = use(check, APIMART_BASE_URL=sandbox.url)
    assert (first.code, "no history" in first.log) == (0, True), first.log
    _assert_recorded(ledger)
    _write_past(ledger, sandbox)
    del check["with"]["on-no-forecast"]
    later = use(check, APIMART_BASE_URL=sandbox.url)
    assert (later.code, "lasts about" in later.log) == (ExitCode.BELOW, True), later.log


def test_a_gitlab_job_that_caches_its_ledger_has_a_history(shell: Shell, sandbox: Sandbox, tmp_path: Path) -> None:
    """In CI, the readings of one run are there for the next, in the folder that the cache keeps."""
    script, variables, others = _gitlab_job("In GitLab CI")
    [folder] = others["cache"]["paths"]
    assert variables["APIMART_HISTORY"].startswith(f"{folder}/")
    ledger = tmp_path / "checkout" / variables["APIMART_HISTORY"]
    env = {**connected(sandbox), "CI": "true", **variables}
    first = shell(script, env=env)
    assert (first.returncode, "APIMART_VERDICT=pass" in first.stdout) == (0, True), first.stdout
    _assert_recorded(ledger)
    _write_past(ledger, sandbox)
    later = shell(script, env={**env, "CHECK_ON_NO_FORECAST": "fail"})
    assert (later.returncode, "APIMART_VERDICT=below" in later.stdout) == (ExitCode.BELOW, True), later.stdout


def test_a_container_gets_its_key_as_a_secret() -> None:
    """The variable names the place where Compose mounts the secret of the service."""
    [block] = [block for block in blocks_of("yaml") if block.page == "docs/configuration.md"]
    composed = yaml.safe_load(block.text)
    gate = composed["services"]["gate"]
    [secret] = gate["secrets"]
    assert gate["environment"] == {"APIMART_API_KEY_FILE": f"/run/secrets/{secret}"}
    assert secret in composed["secrets"]
