"""The files below `examples/`, and the programs that they are for."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.places import ROOT
from support.programs import PLACES, need

EXAMPLES = ROOT / "examples"


def example(name: str) -> Path:
    """Return the path of an example."""
    path = EXAMPLES / name
    assert path.is_file(), f"there is no example {name}"
    return path


def asked(program: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that checks a file, and return all that it says; fail where it finds fault."""
    command: Sequence[str] = [need(program), *map(str, arguments)]
    ended = subprocess.run(
        command, env={"PATH": PLACES, "HOME": os.devnull, "LANG": "C.UTF-8", **(env or {})}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    return ended.stdout
