"""The CI jobs of the documentation stop what they should stop: their commands are run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.pages import INSTALL_LINES, PAGES, Block, blocks_of
from support.past import recorded, write_past
from support.running import KEY, Serve, Shell, connected


def _ci_job(title: str) -> Any:
    """Return the YAML that follows `title` on a page."""
    above = {block: _words_above(block) for block in blocks_of("yaml")}
    following = [block for block, words in above.items() if words.startswith(title)]
    assert len(following) == 1
    return yaml.safe_load(following[0].text)


def _words_above(block: Block) -> str:
    """Return the paragraph above a block, without comments to ourselves."""
    above = "\n".join(PAGES[block.page].splitlines()[: block.line - 2])
    return re.sub(r"<!--.*?-->", "", above).rstrip().rsplit("\n\n", 1)[1].lstrip()


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
    """The pages have a job for GitHub and one for GitLab, and what each needs to keep a history, and no other."""
    assert len(blocks_of("yaml")) == 4


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
    assert job["allow_failure"] == {"exit_codes": [int(ExitCode.UNAVAILABLE)]}
    script = _without_installation(job["script"])
    ended = shell(script, env=connected(serve(fault=fault)), interpreter=("bash", "-eo", "pipefail", "-c"))
    assert ended.returncode == code, ended.stdout


def _history_step(system: str) -> tuple[str, Mapping[str, str], str]:
    """Return the commands of the recipe that keeps a history, its variables, and the folder that is cached."""
    if system == "GitLab":
        job = _ci_job("In GitLab CI")["balance"]
        [folder] = job["cache"]["paths"]
        return _without_installation(job["script"]), job["variables"], folder
    [text] = [block.text for block in blocks_of("yaml") if "actions/cache" in block.text]
    cache, check = yaml.safe_load(text)
    return check["run"], check["env"], cache["with"]["path"]


@pytest.mark.parametrize("system", ["GitHub", "GitLab"])
def test_a_ci_job_that_caches_its_ledger_has_a_history(
    system: str, shell: Shell, sandbox: Sandbox, tmp_path: Path
) -> None:
    """In CI, the readings of one run are there for the next, in the folder that the cache keeps."""
    commands, variables, folder = _history_step(system)
    assert variables["APIMART_RECORD"] == "1"
    assert variables["APIMART_HISTORY"].startswith(f"{folder}/")
    env = {
        **connected(sandbox),
        "CI": "true",
        **{name: variables[name] for name in variables if "RECORD" in name or "HISTORY" in name},
    }
    first = shell(commands, env=env)
    assert (first.returncode, "not enough history" in first.stdout or "no history" in first.stdout) == (0, True)
    ledger = tmp_path / "checkout" / variables["APIMART_HISTORY"]
    assert len(recorded(ledger)) == 1
    ledger.unlink()
    write_past(ledger, sandbox.url.removeprefix("http://"), days=8, spent_per_day="4")
    later = shell(commands.replace("--on-no-forecast pass", ""), env=env)
    assert (later.returncode, "lasts about" in later.stdout) == (ExitCode.BELOW, True), later.stdout
