"""What the documentation is held against: a reader's shell, programs that print a key, and `--help`."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from apimart_cli import cli
from support.pages import normalised
from support.places import ROOT
from support.running import KEY, Help, Shell, run_program

SECRET_TOOLS = {
    "pass": 'test "$1 $#" = "show 2" && cat "$HOME/.password-store/$2"',
    "op": 'case "$1 $2 $#" in "read op://"*/*/*" 2") ;; *) exit 1 ;; esac; cat "$HOME/.password-store/apimart"',
    "security": 'test "$1 $2 $4 $#" = "find-generic-password -s -w 4" && cat "$HOME/.password-store/$3"',
    "secret-tool": 'test "$1 $2 $#" = "lookup service 3" && printf %s "$(cat "$HOME/.password-store/$3")"',
}
"""Stand-ins for programs that print a secret: each does it when asked as its own manual says, and fails otherwise."""


@pytest.fixture
def secrets(tmp_path: Path, home: Path, environment: dict[str, str]) -> Path:
    """Put programs that print the key on the PATH, as if they had been set up; return the folder they are in."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, script in SECRET_TOOLS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    for name in ("apimart", "work/apimart"):
        secret = home / ".password-store" / name
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(f"{KEY}\n", encoding="utf-8")
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    return folder


@pytest.fixture
def shell(environment: Mapping[str, str], tmp_path: Path, home: Path) -> Shell:
    """Run a script as a reader would, in a folder like a checkout, with the key ready to be pasted."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "completions").symlink_to(ROOT / "completions")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text(KEY, encoding="utf-8")
    (secrets / "key").chmod(0o444)

    def run_script(
        script: str, *, env: Mapping[str, str], interpreter: Sequence[str] = ("bash", "-c"), input: str = f"{KEY}\n"
    ) -> "subprocess.CompletedProcess[str]":
        ended = run_program(
            [*interpreter, script.replace("/run/secrets/", f"{secrets}/")], env={**environment, **env}, cwd=folder,
            input=input, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert KEY not in ended.stdout
        ended.stdout = normalised(ended.stdout, home)
        return ended

    return run_script


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Help:
    """Return what `apimart COMMAND --help` prints."""
    monkeypatch.setenv("COLUMNS", "80")

    def read(command: str) -> str:
        # A plugin has looked at nothing then, and says so.
        assert cli.main([*command.split(), "--help"]) == (3 if command == "nagios" else 0)
        return capsys.readouterr().out

    return read
