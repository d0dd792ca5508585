"""Real coding agents with a made-up model, each kept on this machine and in folders of the test."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pexpect
import pyte

from support.made_up_model import MadeUpModel
from support.programs import PLACES, need
from support.running import run_program

SECONDS = 120
"""Most seconds for an agent that is to answer one question."""


class Place(NamedTuple):
    """Where an agent works, and with which variables."""

    project: Path
    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        """The home folder, where it keeps its settings."""
        return Path(self.environment["HOME"])


def place(folder: Path, environment: Mapping[str, str]) -> Place:
    """Return a place for an agent: a project of its own, and a proxy that is not there before every other host."""
    project = folder / "project"
    project.mkdir()
    contained = {
        "PATH": f"{environment['PATH']}{os.pathsep}{PLACES}",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Its first question has the tools of every server then, and not those that have started by chance.
        "MCP_CONNECTION_NONBLOCKING": "0",
    }
    return Place(project, {**environment, **contained})


def claude_variables(model: MadeUpModel) -> Mapping[str, str]:
    """Return what points Claude Code at the model."""
    return {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "made-up"}


def ask_claude(at: Place, model: MadeUpModel, *options: str, before: Sequence[str] = (), code: int = 0) -> str:
    """Ask Claude Code something, and return what it prints."""
    command = [*before, need("claude"), "-p", "go on", *options]
    return run(at, *command, env=claude_variables(model), code=code)


def ask_codex(at: Place, model: MadeUpModel, *, before: Sequence[str] = (), code: int = 0) -> str:
    """Ask Codex something, and return what it prints."""
    provider = {"name": "made up", "base_url": f"{model.url}/v1", "wire_api": "responses"}
    settings = {f"model_providers.made-up.{name}": value for name, value in provider.items()}
    settings |= {"model": "made-up", "model_provider": "made-up"}
    chosen = [word for name, value in settings.items() for word in ("-c", f'{name}="{value}"')]
    # The container of the tests need not have what its own sandbox is made of.
    free = ["--skip-git-repo-check", "--sandbox", "danger-full-access"]
    return run(at, *before, need("codex"), "exec", *free, *chosen, "go on", code=code)


def ask_opencode(
    at: Place, model: MadeUpModel, settings: Mapping[str, object], *, before: Sequence[str] = (), code: int = 0
) -> str:
    """Ask opencode something, with these settings in its project, and return what it prints."""
    written = json.dumps({**_opencode_provider(model), **settings})
    (at.project / "opencode.json").write_text(written, encoding="utf-8")
    return run(at, *before, need("opencode"), "run", "go on", code=code)


def _opencode_provider(model: MadeUpModel) -> Mapping[str, object]:
    options = {"baseURL": f"{model.url}/v1", "apiKey": "made-up"}
    models = {"made-up": {"name": "made up"}}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "made up", "options": options, "models": models}
    return {
        "model": "made-up/made-up",
        "small_model": "made-up/made-up",
        "autoupdate": False,
        "share": "disabled",
        "provider": {"made-up": provider},
    }


def run(at: Place, *command: str, env: Mapping[str, str] | None = None, code: int = 0) -> str:
    """Run a command in the project, and return what it prints, in all."""
    variables = {**at.environment, **(env or {})}
    ended = run_program(command, cwd=at.project, env=variables, stderr=subprocess.STDOUT, timeout=SECONDS)
    assert ended.returncode == code, ended.stdout
    return ended.stdout


def screen_of_claude(
    at: Place, variables: Mapping[str, str], *, until: str, typed: str = "", columns: int = 100, rows: int = 30
) -> pyte.Screen:
    """Start Claude Code at a terminal, type a question, and return its screen with `until` on it, at rest."""
    settings = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": ["made-up"], "rejected": []},
    }
    path = at.home / ".claude.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    project = known.setdefault("projects", {}).setdefault(str(at.project), {})
    project |= {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    path.write_text(json.dumps({**known, **settings}), encoding="utf-8")
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    child = pexpect.spawn(
        need("claude"),
        [],
        env={**at.environment, **variables, "TERM": "xterm-256color"},
        cwd=str(at.project),
        dimensions=(rows, columns),
    )
    give_up_at = time.monotonic() + SECONDS
    is_typed = not typed
    try:
        while True:
            assert time.monotonic() < give_up_at, "\n".join(screen.display)
            try:
                stream.feed(child.read_nonblocking(65536, timeout=1))
            except pexpect.TIMEOUT:
                if any(until in line for line in screen.display):
                    return screen
            if not is_typed and any(
                "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}" in line for line in screen.display
            ):
                child.send(typed)
                child.expect_exact(typed[-5:])
                child.send("\r")
                is_typed = True
    finally:
        child.close(force=True)
