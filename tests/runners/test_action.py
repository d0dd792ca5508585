"""The action: its steps, played as the runner of GitHub Actions plays them, install apimart and gate a job."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import certifi
import pytest
import yaml

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.places import ROOT
from support.runner import (
    WITH_AN_INDEX,
    Played,
    checkout_that_is_offline,
    commands_in,
    lay_traps,
    pin_what_an_index_has,
    play,
    pretend_installed,
    python_that_is_offline,
)
from support.running import KEY, Serve, Write, connected
from support.schemas import held_against

ACTION = ROOT / "action.yml"

HOSTILE = [
    "5; touch gone", "$(touch gone)", "`touch gone`", "'\"", "5\n::error::x", "${{ secrets.A }}", "--help", "5 6",
]  # fmt: skip

MODULES = {"apimart_cli.py", "venv.py", "pip.py", "typer.py", "json.py"}

Use = Callable[..., Played]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The checkout of a job, with files in it that must not take the place of Python's own modules, or of ours."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in MODULES:
        (folder / name).write_text("raise SystemExit('a file of the checkout was loaded')\n", encoding="utf-8")
    return folder


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """The temporary folder of a runner."""
    folder = tmp_path / "runner"
    folder.mkdir()
    return folder


@pytest.fixture
def use(runner: Path, workspace: Path, command: str, environment: Mapping[str, str]) -> Use:
    """Use the action in a job, where a step before has used it already: `use({"min": "5"}, APIMART_API_KEY=...)`."""
    pretend_installed(runner, ACTION, command)

    def in_job(inputs: Mapping[str, str], **env: str) -> Played:
        return play(ACTION, inputs, env={**environment, **env}, folder=runner, workspace=workspace)

    return in_job


SEEN = """
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([sys.orig_argv, dict(os.environ)]) + "\\n")
"""
"""A module that every Python of an environment loads when it starts."""


def test_it_is_installed_from_its_own_checkout_and_no_module_of_the_job_is_loaded(
    runner: Path, environment: Mapping[str, str], serve: Serve, tmp_path: Path
) -> None:
    """The first use makes an environment with what is pinned; the second finds it there.

    Wherever the variables of the job lead Python. A build may run code of others: the key is for the check alone.
    """
    log, stolen = tmp_path / "seen", tmp_path / "stolen"
    (runner / "sitecustomize.py").write_text(SEEN.format(log=str(log)), encoding="utf-8")
    python = python_that_is_offline(runner, WITH_AN_INDEX)
    ours, checkout = checkout_that_is_offline(tmp_path / "ours"), tmp_path / "hostile"
    url = pin_what_an_index_has(ours, tmp_path / "index")
    network = {"HTTPS_PROXY": "http://proxy.example:1", "no_proxy": "127.0.0.1", "SSL_CERT_FILE": certifi.where()}
    keys = {"DEPLOY_KEY": KEY, "APIMART_KEY_OF_WORK": KEY}
    env = {**environment, **lay_traps(checkout, stolen), **keys, **network, "PIP_PRE": "1"}
    for remain, used, ended in (("5", python, (0, "pass")), ("4.9", runner / "missing", (ExitCode.BELOW, "below"))):
        variables = {**env, **connected(serve(key=Funds(Decimal(remain), Decimal(0))))}
        inputs = {"min": "5", "python": str(used), "index-url": url}
        played = play(ours / ACTION.name, inputs, env=variables, folder=runner, workspace=checkout)
        assert (played.code, played.outputs.get("verdict")) == ended, played.log
        assert not stolen.exists(), stolen.read_text()
    [packages] = runner.glob("apimart-*/lib/python*/site-packages")
    assert (packages / "apimart_cli" / "cli.py").read_bytes() == (ROOT / "apimart_cli" / "cli.py").read_bytes()
    assert (packages / "made_up" / "__init__.py").exists()
    seen = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    installing = [found for words, found in seen if "install" in words and not any("few" in word for word in words)]
    assert len(installing) == 2
    for found in installing:
        assert KEY not in str(found)
        assert {name: found.get(name) for name in network} == network
        assert found["PIP_INDEX_URL"] == url
        assert {"PIP_PRE", "HOME", "RUNNER_TEMP", "INPUT_PYTHON"}.isdisjoint(found)
    # Others can read the arguments of a process.
    assert not any(url in word for words, _ in seen for word in words)
    assert any(KEY in str(found) for words, found in seen if "check" in words)


def test_a_failed_installation_stops_the_job(
    runner: Path, workspace: Path, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """Nothing is checked, and no output says that it was."""
    env = {**environment, **connected(sandbox)}
    played = play(ACTION, {"min": "5", "python": f"{runner}/missing"}, env=env, folder=runner, workspace=workspace)
    assert played.code == 127
    assert set(played.outputs.values()) == {""}


def test_enough_lets_the_job_go_on(use: Use, sandbox: Sandbox) -> None:
    """The check passes, and later steps have the outputs."""
    played = use({"min": "5"}, **connected(sandbox))
    assert played.code == 0, played.log
    assert played.log == "PASS default/spendable: 10.5 left (limited by key), at least 5 required\n"
    readings = played.outputs["readings"]
    assert played.outputs == {
        "verdict": "pass", "exit-code": "0", "remaining": "10.5", "used": "2.3", "stopped-by": "", "readings": readings,
    }  # fmt: skip
    assert '"limited_by":"key"' in readings
    assert played.summary.startswith("\n### Balance: pass\n")


@pytest.mark.parametrize(
    ("inputs", "code", "verdict"),
    [
        ({"min": "10.51"}, ExitCode.BELOW, "below"),
        ({"max-used": "2"}, ExitCode.BELOW, "below"),
        ({"min-runway": "3d"}, ExitCode.NO_FORECAST, "no_forecast"),
        ({"min-runway": "3d", "on-no-forecast": "pass", "timeout": "20"}, ExitCode.OK, "pass"),
        ({}, ExitCode.USAGE, "error"),
    ],
)
def test_the_exit_code_of_the_check_is_that_of_the_step(
    inputs: Mapping[str, str], code: ExitCode, verdict: str, use: Use, sandbox: Sandbox
) -> None:
    """Every input reaches the check, and the outputs are there after a failure, too."""
    played = use(inputs, **connected(sandbox))
    assert (played.code, played.outputs["exit-code"], played.outputs["verdict"]) == (code, str(int(code)), verdict)
    assert [command.name for command in commands_in(played.log)] == (["error"] if code else [])


def test_a_scope_that_is_empty_is_no_weaker_check(use: Use, serve: Serve) -> None:
    """As of a variable that is not set: the account is looked at, as if none was given."""
    poor = serve(account=Funds(Decimal("4.9"), Decimal(0)))
    for inputs in ({"min": "5"}, {"min": "5", "scope": ""}):
        assert use(inputs, **connected(poor)).code == ExitCode.BELOW
    assert use({"min": "5", "scope": "key"}, **connected(poor)).code == ExitCode.OK


@pytest.mark.parametrize(("inputs", "code"), [({"on-unlimited": "fail"}, ExitCode.UNLIMITED), ({}, ExitCode.OK)])
def test_an_unlimited_key_is_refused_on_request(
    inputs: Mapping[str, str], code: ExitCode, use: Use, serve: Serve
) -> None:
    """As with the option."""
    gateway = serve(key=Funds(None, Decimal("2.3")))
    played = use({"min": "5", "scope": "key", **inputs}, **connected(gateway))
    assert (played.code, played.outputs["remaining"]) == (code, "unlimited")


@pytest.mark.parametrize(("fail_open", "code"), [("false", 5), ("", 5), ("true", 0), ("$(true)", 2)])
def test_only_true_opens_the_gate(fail_open: str, code: int, use: Use, serve: Serve) -> None:
    """A word that is neither true nor false stops the job: it may be a slip."""
    played = use({"min": "5", "fail-open": fail_open}, **connected(serve(fault=Fault.SERVER_ERROR)))
    assert (played.code, played.outputs["verdict"], played.outputs["exit-code"]) == (code, "error", str(code))
    if code == 2:
        assert "neither true nor false" in played.log


def test_a_missing_secret_is_named_and_a_rejected_key_is_none(use: Use, serve: Serve) -> None:
    """The job stops, and the run says that the secret is missing, and where one is to be given."""
    rejecting = connected(serve(fault=Fault.UNAUTHORIZED))
    url = {"APIMART_BASE_URL": rejecting["APIMART_BASE_URL"]}
    for env, is_missing in ((url, True), ({**url, "APIMART_API_KEY": ""}, True), (rejecting, False)):
        played = use({"min": "5"}, **env)
        assert (played.code, played.outputs["verdict"]) == (ExitCode.AUTH, "error")
        titles = [command.properties["title"] for command in commands_in(played.log)]
        missing = ["apimart: nothing could be checked", "apimart: the secret is missing"]
        assert (titles == missing, missing[1] in titles) == (is_missing, is_missing)


def test_profiles_are_named_one_a_line(use: Use, sandbox: Sandbox, write_config: Write) -> None:
    """A name may have any sign that a profile may have."""
    key = connected(sandbox)["APIMART_API_KEY"]
    write_config("".join(f'[profiles."{name}"]\napi_key = "{key}"\n' for name in ("a", "$(touch gone);'", "c")))
    played = use({"min": "50", "scope": "key", "profiles": "a\n$(touch gone);'\n"}, APIMART_BASE_URL=sandbox.url)
    assert played.code == ExitCode.BELOW, played.log
    assert played.outputs["stopped-by"] == "a/key\n$(touch gone);'/key"


INPUTS = ("min", "max-used", "min-runway", "scope", "profiles", "on-unlimited", "timeout")


@pytest.mark.parametrize(("name", "one"), list(zip(INPUTS, HOSTILE, strict=False)))
def test_an_input_is_never_run(name: str, one: str, use: Use, sandbox: Sandbox, workspace: Path) -> None:
    """Whatever is given is one value, and a wrong one: a usage error, no file, no command of the runner but ours."""
    for hostile in (one, "\n".join(reversed(HOSTILE))):
        played = use({"min": "5", name: hostile}, **connected(sandbox))
        assert played.code == ExitCode.USAGE, played.log
        assert {command.name for command in commands_in(played.log)} == {"error"}
        assert all(command.properties["title"].startswith("apimart") for command in commands_in(played.log))
    assert {path.name for path in workspace.iterdir()} == MODULES


def test_the_scripts_have_no_expression() -> None:
    """`${{ … }}` stands where it is a value, and never inside a script."""
    steps = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    assert len(steps) == 2
    assert all("${{" not in step["run"] and "eval" not in step["run"] for step in steps)


def test_the_action_is_valid(environment: Mapping[str, str], tmp_path: Path) -> None:
    """The schema that GitHub publishes accepts it, and not one with a slip."""
    slipped = tmp_path / "action.yml"
    slipped.write_text(ACTION.read_text(encoding="utf-8").replace("shell:", "shel:"), encoding="utf-8")
    for path, code in ((ACTION, 0), (slipped, 1)):
        ended = held_against("vendor.github-actions", path, environment)
        assert ended.returncode == code, ended.stdout
