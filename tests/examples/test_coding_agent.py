"""The recipes of docs/agents.md, in the real coding agents, with a made-up model behind them."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from support.agent_picture import PICTURE, lines_shown, plain
from support.coding_agents import (
    Place,
    ask_claude,
    ask_codex,
    ask_opencode,
    claude_variables,
    place,
    run,
    screen_of_claude,
)
from support.made_up_model import MadeUpModel, Told, Wish, made_up_model
from support.pages import PAGES, blocks
from support.places import ROOT
from support.programs import need
from support.running import KEY, PLENTY, Serve, connected

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent is kept in a folder and on this machine by Linux"),
]

ASKS = Wish("check_budget", {"min": "5"})
MAKES_A_FILE = Wish("Bash", {"command": "touch ran", "description": "what the test asks for"})

SKILL = ROOT / "examples" / "agents" / "apimart-balance"


def _document(text: str) -> Any:
    """Return a document of a tool: amounts are text there, so it is none of those that `json.loads` holds."""
    return json.JSONDecoder().decode(text)


def _block(part: str, language: str = "text") -> str:
    """Return the block of the page that has this in it."""
    found = [block.text for block in blocks(PAGES["docs/agents.md"]) if block.language == language]
    [text] = [text for text in found if part in text]
    return text


@pytest.fixture
def poor(serve: Serve) -> Sandbox:
    """A gateway with a key that has less left than the recipes ask for."""
    return serve(key=Funds(Decimal(3), Decimal(0)))


@pytest.fixture
def at(tmp_path: Path, environment: Mapping[str, str], poor: Sandbox) -> Place:
    """Where the agent works: with a key that has 3 left."""
    return place(tmp_path, {**environment, **connected(poor)})


def _rich(at: Place, sandbox: Sandbox) -> Place:
    """Return the same place with a key that has 10.5 left."""
    return at._replace(environment={**at.environment, **connected(sandbox)})


def _verdict_in(told: Told) -> Mapping[str, Any]:
    """Return the answer of the tool in what the agent told its model, which may stand among words of the agent."""
    found: Mapping[str, Any] = _document(told.content[told.content.index("{") :])
    return found


def test_a_model_in_claude_code_asks_for_its_budget_is_told_and_is_stopped(at: Place) -> None:
    """It is registered by the line of the page. A model that goes on all the same is stopped by the hook."""
    run(at, need("claude"), *_block("claude mcp add").split()[1:])
    _write(at, ".claude/settings.json", _block("PreToolUse", "json"))
    with made_up_model(ASKS, MAKES_A_FILE) as model:
        ask_claude(at, model, "--allowedTools", "mcp__apimart-balance__check_budget", "Bash")
    asked, gone_on = model.told
    verdict = _verdict_in(asked)
    assert (asked.is_error, verdict["verdict"], verdict["exit_code"]) == (False, "below", 3)
    assert verdict["readings"][0]["remain_balance"] == "3"
    assert gone_on.is_error
    assert "BELOW default/spendable: 3 left (limited by key), at least 5 required" in gone_on.content
    assert not (at.project / "ran").exists()


def test_a_model_in_claude_code_reads_that_nothing_is_known(at: Place) -> None:
    """An error of the tool is one for the model, with its code and its hint."""
    run(at, need("claude"), *_block("claude mcp add").split()[1:])
    with made_up_model(ASKS) as model:
        broke = at._replace(environment={**at.environment, "APIMART_API_KEY": ""})
        ask_claude(broke, model, "--allowedTools", "mcp__apimart-balance__check_budget")
    [told] = model.told
    assert told.is_error
    assert "the API key from APIMART_API_KEY is empty" in told.content
    assert "pass" not in told.content.casefold()


@pytest.mark.parametrize("way", ["a profile", "variables that are named"])
def test_a_model_in_codex_asks_for_its_budget(at: Place, poor: Sandbox, way: str) -> None:
    """Codex hands on few variables: a profile is found, and so are those that its settings name."""
    run(at, need("codex"), *_block("codex mcp add").split()[1:])
    settings = at.home / ".codex" / "config.toml"
    shown = _block("[mcp_servers.apimart-balance]")
    assert shown.startswith(settings.read_text("utf-8").strip())
    if way == "a profile":
        shown = re.sub(r"env_vars = .*\n", "", shown)
        path = at.home / ".config" / "apimart" / "config.toml"
        path.parent.mkdir(parents=True)
        path.write_text(f'[profiles.work]\napi_key = "{KEY}"\nbase_url = "{poor.url}"\n')
        path.chmod(0o600)
    else:
        shown = shown.replace('["APIMART_API_KEY"]', '["APIMART_API_KEY", "APIMART_BASE_URL"]')
    settings.write_text(shown, encoding="utf-8")
    with made_up_model(ASKS) as model:
        ask_codex(at, model)
    [told] = model.told
    verdict = _verdict_in(told)
    assert (verdict["verdict"], verdict["readings"][0]["remain_balance"]) == ("below", "3")
    assert verdict["readings"][0]["profile"] == ("work" if way == "a profile" else "default")


def test_without_either_codex_hands_on_no_key(at: Place) -> None:
    """Why the page says so."""
    shown = re.sub(r"env_vars = .*\n", "", _block("[mcp_servers.apimart-balance]"))
    _write(at._replace(project=at.home), ".codex/config.toml", shown)
    with made_up_model(ASKS) as model:
        ask_codex(at, model)
    [told] = model.told
    assert _verdict_in(told)["error"]["code"] == "auth"


def test_a_model_in_opencode_asks_for_its_budget(at: Place) -> None:
    """With the settings of the page."""
    with made_up_model(ASKS) as model:
        ask_opencode(at, model, json.loads(_block('"type": "local"')))
    [told] = model.told
    assert _verdict_in(told)["verdict"] == "below"


def test_the_inspector_reads_the_file_for_cursor(at: Place, sandbox: Sandbox) -> None:
    """It lists the tools, and calls one, which its own schemas take."""
    _write(at, "mcp.json", _block('"mcpServers"'))
    # The inspector hands on few variables, too.
    variables = [word for name, value in connected(sandbox).items() for word in ("-e", f"{name}={value}")]
    inspect = [need("mcp-inspector"), "--cli", "--config", "mcp.json", "--server", "apimart-balance", *variables]
    listed = json.loads(run(at, *inspect, "--method", "tools/list"))
    names = [tool["name"] for tool in listed["tools"]]
    assert names == re.findall(r"^\| `(\w+)` \| ", PAGES["docs/agents.md"], re.MULTILINE)
    call = [*inspect, "--method", "tools/call", "--tool-name", "check_budget", "--tool-arg"]
    answered = json.loads(run(at, *call, "min=5"))
    assert (answered["isError"], answered["structuredContent"]["verdict"]) == (False, "pass")
    assert _document(answered["content"][0]["text"]) == answered["structuredContent"]
    refused = json.loads(run(at, *call, "min=five"))
    assert (refused["isError"], refused["structuredContent"]["error"]["code"]) == (True, "usage")


def _line() -> str:
    """Return the command of the documented hook."""
    settings = json.loads(_block("PreToolUse", "json"))
    return str(settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"])


def _with_hooks(at: Place, settings: str, *wishes: Wish) -> tuple[MadeUpModel, str]:
    """Have Claude Code go on, with these settings in its project; return the model, and what it printed."""
    _write(at, ".claude/settings.json", settings)
    with made_up_model(*wishes) as model:
        return model, ask_claude(at, model, "--allowedTools", "Bash")


def test_the_documented_hook_lets_the_agent_go_on(at: Place, sandbox: Sandbox) -> None:
    """Enough is left: the tool is run as without a hook."""
    model, _ = _with_hooks(_rich(at, sandbox), _block("PreToolUse", "json"), MAKES_A_FILE)
    [told] = model.told
    assert ((at.project / "ran").exists(), told.is_error) == (True, False)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "BELOW default/spendable: 3 left (limited by key), at least 5 required"),
        ({"APIMART_API_KEY": ""}, "apimart: error: the API key from APIMART_API_KEY is empty"),
    ],
    ids=["too little is left", "there is no key"],
)
def test_the_documented_hook_stops_the_agent(at: Place, variables: Mapping[str, str], reason: str) -> None:
    """Whatever is no pass: the tool is not run, and the model reads why."""
    changed = at._replace(environment={**at.environment, **variables})
    model, _ = _with_hooks(changed, _block("PreToolUse", "json"), MAKES_A_FILE)
    [told] = model.told
    assert ((at.project / "ran").exists(), told.is_error) == (False, True)
    assert reason in told.content


def test_without_the_second_half_of_the_line_nothing_is_stopped(at: Place) -> None:
    """Why the page has the line: to a hook, every other code than 2 is a failure of the hook, and no reason to stop."""
    plain = _line().partition(" >&2")[0]
    assert plain.startswith("apimart check")
    settings = _block("PreToolUse", "json").replace(json.dumps(_line())[1:-1], plain)
    model, _ = _with_hooks(at, settings, MAKES_A_FILE)
    [told] = model.told
    assert ((at.project / "ran").exists(), told.is_error) == (True, False)


def test_a_session_begins_with_what_is_left(at: Place) -> None:
    """What the hook at its start prints is a part of what the model reads, before its first answer."""
    model, _ = _with_hooks(at, _block("PreToolUse", "json"))
    assert "BELOW default/spendable: 3 left (limited by key), at least 5 required" in json.dumps(model.questions[0])


def test_a_hook_before_the_question_keeps_it_from_the_model(at: Place) -> None:
    """`UserPromptSubmit` stops where `SessionStart` does not: nothing is asked, and the person reads why."""
    hook = [{"hooks": [{"type": "command", "command": _line()}]}]
    model, printed = _with_hooks(at, json.dumps({"hooks": {"UserPromptSubmit": hook}}))
    assert model.questions == []
    assert "BELOW default/spendable: 3 left" in printed
    model, _ = _with_hooks(at, json.dumps({"hooks": {"SessionStart": hook}}))
    assert model.questions


WAITS = {
    "claude": Wish("Bash", {"command": "sleep 600", "description": "wait"}),
    "codex": Wish("exec_command", {"cmd": "sleep 600", "yield_time_ms": 600_000}),
    "opencode": Wish("bash", {"command": "sleep 600", "description": "wait"}),
}
"""A tool of each agent that takes its time."""


@pytest.mark.parametrize("name", WAITS)
def test_a_budget_ends_an_agent(name: str, tmp_path: Path, environment: Mapping[str, str], serve: Serve) -> None:
    """The first answer of the model costs more than is allowed: whatever the agent does then, it is ended, with 124."""
    sandbox = serve(key=PLENTY)
    at = place(tmp_path, {**environment, **connected(sandbox), "APIMART_SANDBOX": "1"})
    before = ["apimart", "run", "--max-spend", "3", "--interval", "0.5s", "--no-settle", "--"]

    def pay(_question: Mapping[str, Any]) -> None:
        spent = PLENTY.after(Decimal(4))
        sandbox.scenario = sandbox.scenario._replace(key=spent)

    with made_up_model(WAITS[name], on_question=pay) as model:
        match name:
            case "claude":
                printed = ask_claude(at, model, "--allowedTools", "Bash", before=before, code=124)
            case "codex":
                printed = ask_codex(at, model, before=before, code=124)
            case _:
                printed = ask_opencode(at, model, {}, before=before, code=124)
    assert "the command was stopped: 4 spent, 3 allowed" in printed
    assert model.told == []


def _description() -> str:
    """Return what the skill says of itself."""
    [found] = re.findall(r"^description: (.*)$", (SKILL / "SKILL.md").read_text("utf-8"), re.MULTILINE)
    return str(found)


def test_a_model_in_claude_code_reads_the_skill(at: Place) -> None:
    """It is listed by its description, and read when the model wants it."""
    shutil.copytree(SKILL, at.project / ".claude" / "skills" / SKILL.name)
    with made_up_model(Wish("Skill", {"skill": SKILL.name})) as model:
        ask_claude(at, model)
    assert _description()[:60] in json.dumps(model.questions[0])
    assert not model.told[0].is_error
    assert "Only 0 means that enough is left." in json.dumps(model.questions[-1])


@pytest.mark.parametrize("ask", [ask_codex, lambda at, model: ask_opencode(at, model, {})], ids=["codex", "opencode"])
def test_the_skill_is_found_by_other_agents(at: Place, ask: Callable[[Place, MadeUpModel], str]) -> None:
    """In the folder that the page names."""
    assert "`.agents/skills/`" in PAGES["docs/agents.md"]
    shutil.copytree(SKILL, at.project / ".agents" / "skills" / SKILL.name)
    with made_up_model() as model:
        ask(at, model)
    assert _description()[:60] in json.dumps(model.questions)


def test_the_status_line_shows_what_is_left(at: Place) -> None:
    """Below the prompt, with the settings of docs/statusline.md."""
    recorded = at._replace(environment={**at.environment, "APIMART_RECORD": "1"})
    run(recorded, "apimart", "balance")
    [settings] = [block.text for block in blocks(PAGES["docs/statusline.md"]) if '"statusLine"' in block.text]
    _write(at._replace(project=at.home), ".claude/settings.json", settings)
    with made_up_model() as model:
        screen = screen_of_claude(recorded, claude_variables(model), until="APIMart: ")
    assert any(line.strip().startswith("APIMart: 3") for line in screen.display)


def test_the_picture_shows_what_the_agent_shows_today(tmp_path: Path, environment: dict[str, str]) -> None:
    """What it says of us: the question, the call, the reason of the hook, the answer and the status line."""
    del environment["APIMART_RECORD"]
    need("claude")
    lines = [plain(line).strip() for line in lines_shown(tmp_path, environment)]
    picture = "".join("".join(ElementTree.parse(PICTURE).getroot().itertext()).split())
    ours = [line for line in lines if re.search("draw a|apimart|BELOW|required|Too little|APIMart", line)]
    assert len(ours) == 6
    for line in ours:
        assert "".join(line.split()) in picture


def _write(at: Place, name: str, text: str) -> None:
    path = at.project / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
