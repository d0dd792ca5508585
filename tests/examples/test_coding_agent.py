"""The hook for a coding agent in docs/scripting.md, run by the real program, with a made-up model behind it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from support.made_up_model import made_up_model
from support.pages import blocks_of
from support.programs import need
from support.running import Serve, connected

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is kept in a folder and on this machine by Linux"),
]


class Told(NamedTuple):
    """What came of the command that the model had asked for."""

    was_run: bool
    is_error: bool
    content: str
    """What the agent told the model."""


@pytest.fixture
def agent_folder(tmp_path: Path) -> Path:
    """A folder to work in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def poor(serve: Serve) -> Sandbox:
    """A gateway with a key that has less left than the hook asks for."""
    return serve(key=Funds(Decimal(3), Decimal(0)))


def _documented() -> dict[str, object]:
    """Return the settings of the agent that the page shows."""
    [block] = [block for block in blocks_of("json") if "PreToolUse" in block.text]
    settings: dict[str, object] = json.loads(block.text)
    return settings


def _line() -> str:
    """Return the command of the documented hook."""
    return str(json.loads(json.dumps(_documented()))["hooks"]["PreToolUse"][0]["hooks"][0]["command"])


def _ask(folder: Path, environment: Mapping[str, str], hooks: Mapping[str, object]) -> Told:
    """Have the agent run a command that makes a file, with these settings in its project."""
    (folder / ".claude").mkdir()
    (folder / ".claude" / "settings.json").write_text(json.dumps(hooks), encoding="utf-8")
    with made_up_model("touch ran") as model:
        ended = subprocess.run(
            [need("claude"), "-p", "make the file", "--allowedTools", "Bash"],
            cwd=folder,
            env={
                **environment,
                "ANTHROPIC_BASE_URL": model.url,
                "ANTHROPIC_API_KEY": "made-up",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                # Other hosts are behind a proxy that is not there.
                "HTTPS_PROXY": "http://127.0.0.1:9",
                "NO_PROXY": "127.0.0.1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [result] = model.results
    return Told((folder / "ran").exists(), bool(result["is_error"]), str(result["content"]))


def test_the_documented_hook_lets_the_agent_go_on(
    agent_folder: Path, environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """Enough is left: the tool is run as without a hook."""
    told = _ask(agent_folder, {**environment, **connected(sandbox)}, _documented())
    assert (told.was_run, told.is_error) == (True, False)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "BELOW default/spendable: 3 left (limited by key), at least 5 required"),
        ({"APIMART_API_KEY": ""}, "apimart: error: the API key from APIMART_API_KEY is empty"),
    ],
    ids=["too little is left", "there is no key"],
)
def test_the_documented_hook_stops_the_agent(
    agent_folder: Path, environment: Mapping[str, str], poor: Sandbox, variables: Mapping[str, str], reason: str
) -> None:
    """Whatever is no pass: the tool is not run, and the model reads why."""
    told = _ask(agent_folder, {**environment, **connected(poor), **variables}, _documented())
    assert (told.was_run, told.is_error) == (False, True)
    assert reason in told.content


def test_without_the_second_half_of_the_line_nothing_is_stopped(
    agent_folder: Path, environment: Mapping[str, str], poor: Sandbox
) -> None:
    """Why the page has the line: to a hook, every other code than 2 is a failure of the hook, and no reason to stop."""
    plain = _line().partition(" >&2")[0]
    assert plain.startswith("apimart check")
    hooks = json.loads(json.dumps(_documented()).replace(json.dumps(_line())[1:-1], plain))
    told = _ask(agent_folder, {**environment, **connected(poor)}, hooks)
    assert (told.was_run, told.is_error) == (True, False)
