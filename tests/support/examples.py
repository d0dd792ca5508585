"""The files below `examples/`, and the programs that they are for."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.places import ROOT
from support.programs import PLACES, need
from support.running import run_program

EXAMPLES = ROOT / "examples"


def example(name: str) -> Path:
    """Return the path of an example."""
    path = EXAMPLES / name
    assert path.is_file(), f"there is no example {name}"
    return path


def asked(program: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that checks a file, and return all that it says; fail where it finds fault."""
    variables = {"PATH": PLACES, "HOME": os.devnull, "LANG": "C.UTF-8", **(env or {})}
    ended = run_program([need(program), *arguments], env=variables, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
