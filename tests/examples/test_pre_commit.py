"""The hook for pre-commit: valid, and a push goes on only where enough is left."""

import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from apimart_cli.sandbox.scenario import Funds
from support.pages import blocks_of
from support.places import ROOT
from support.programs import need
from support.running import KEY, Serve, connected, run_program

MANIFEST = ROOT / ".pre-commit-hooks.yaml"


@pytest.mark.parametrize(("right", "wrong", "code"), [("", "", 0), ("pre-push", "before-push", 1), ("id:", "name:", 1)])
def test_the_hook_is_valid(right: str, wrong: str, code: int, environment: Mapping[str, str], tmp_path: Path) -> None:
    """pre-commit accepts it, and not one with a slip."""
    path = tmp_path / MANIFEST.name
    path.write_text(MANIFEST.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    ended = run_program([need("pre-commit"), "validate-manifest", str(path)], env=environment)
    assert ended.returncode == code, ended.stdout


def _config() -> dict[str, Any]:
    """Return the configuration of the page, with the hook of this checkout in the Python that runs this."""
    [text] = [block.text for block in blocks_of("yaml") if block.text.startswith("repos:")]
    [repository] = yaml.safe_load(text)["repos"]
    [used] = repository["hooks"]
    [offered] = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    assert used["id"] == offered["id"]
    program, _, arguments = offered["entry"].partition(" ")
    assert (program, offered["language"]) == ("python", "python")
    return {"repos": [{"repo": "local", "hooks": [
        {**offered, **used, "entry": f"{sys.executable} {arguments}", "language": "system"}
    ]}]}  # fmt: skip


def test_a_push_goes_on_only_where_enough_is_left(
    environment: dict[str, str], serve: Serve, tmp_path: Path
) -> None:  # fmt: skip
    """Whatever files are pushed; a commit asks nothing."""
    git, program = need("git"), need("pre-commit")
    work, remote = tmp_path / "work", tmp_path / "remote"
    environment |= {
        f"GIT_{who}_{what}": "me@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }

    def run_git(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return run_program(
            [git, *arguments], env={**environment, **env}, cwd=work, stderr=subprocess.STDOUT, timeout=120
        )

    work.mkdir()
    run_git("init", "-q", "--bare", str(remote))
    run_git("init", "-q")
    (work / ".pre-commit-config.yaml").write_text(json.dumps(_config()), encoding="utf-8")
    ended = run_program([program, "install", "--hook-type", "pre-push"], env=environment, cwd=work)
    assert ended.returncode == 0, ended.stdout
    run_git("add", ".")
    assert run_git("commit", "-qm", "first").returncode == 0
    for remain, code in (("4.9", 1), ("5", 0)):
        gateway = serve(key=Funds(Decimal(remain), Decimal(0)))
        pushed = run_git("push", str(remote), "HEAD:main", **connected(gateway))
        assert pushed.returncode == code, pushed.stdout
        assert ("BELOW default/spendable: 4.9 left" in pushed.stdout) == bool(code)
        assert KEY not in pushed.stdout
    assert run_git("ls-remote", str(remote), "main").stdout.endswith("refs/heads/main\n")
