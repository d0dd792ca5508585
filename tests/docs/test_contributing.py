"""CONTRIBUTING.md names things that exist, and its walk through `check` is the way that the program goes."""

import importlib
import json
import re
import sys
from collections.abc import Mapping

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.server import Sandbox
from hostile import catalogue
from support.pages import CONTRIBUTING, blocks, code_in, without_blocks
from support.places import ROOT
from support.running import connected, run_program
from support.source import PACKAGE, is_module


def test_everything_that_contributing_names_exists() -> None:
    """Each function, class and value that CONTRIBUTING.md names as `module.name`, each file, each program it runs."""
    found = [name for name in code_in(without_blocks(CONTRIBUTING)) if re.fullmatch(r"\w+(\.\w+)+", name)]
    names = [name for name in found if is_module(name.split(".")[0]) and not name.endswith(".py")]
    assert len(names) > 30
    for name in names:
        assert _resolve(name) is not None, name
    places = (ROOT, PACKAGE, *(folder for folder in PACKAGE.iterdir() if folder.is_dir()))
    for file in re.findall(r"`([\w/.]+\.(?:py|md))`", CONTRIBUTING):
        assert any((place / file).is_file() for place in places) or "NAME" in file, file
    commands = "".join(block.text for block in blocks(CONTRIBUTING) if block.language == "sh")
    files = re.findall(r"[\w/]+\.py", commands)
    assert len(files) >= 4
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_example_of_a_case_is_one() -> None:
    """The line that CONTRIBUTING.md adds to the fault catalogue is a name and what a server sends."""
    [block] = [block for block in blocks(CONTRIBUTING) if block.language == "python"]
    plays = eval(f"{{{block.text}}}", {"http": catalogue.http, "balance": catalogue.balance})
    [case] = catalogue.group("example", catalogue.BAD, plays)
    assert case.name == "example: an amount in words"
    [[sent]] = case.scripts
    assert isinstance(sent, bytes)
    assert b'"remain_balance":"ten"' in sent


def _resolve(name: str) -> object:
    """Return what `module.name` means in the package, or None."""
    parts = name.split(".")
    depth = max(depth for depth in range(len(parts) + 1) if depth == 0 or is_module(".".join(parts[:depth])))
    found: object = importlib.import_module(".".join(["apimart_cli", *parts[:depth]]))
    for part in parts[depth:]:
        found = getattr(found, part, None)
    return found


WATCH = """
import json, os, sys, threading
from apimart_cli import __main__

entered = []

def watch(frame, event, _argument):
    module = frame.f_globals.get("__name__", "")
    if event == "call" and module.startswith("apimart_cli."):
        name = f"{module.removeprefix('apimart_cli.')}.{frame.f_code.co_qualname}"
        if name not in entered:
            entered.append(name)

sys.argv = ["apimart", "check", "--min", "5"]
end = os._exit

def report(code):
    sys.setprofile(None)
    print(json.dumps({"code": code, "entered": entered}), flush=True)
    end(code)

os._exit = report
threading.setprofile(watch)
sys.setprofile(watch)
__main__.run()
"""


def test_the_walk_through_check_names_functions_in_their_order(
    environment: Mapping[str, str], sandbox: Sandbox
) -> None:
    """The numbered steps of CONTRIBUTING.md are the way that `apimart check --min 5` really goes."""
    chapter = CONTRIBUTING.split("## One command, from argv to exit code")[1].split("###")[0]
    steps = re.findall(r"^\d+\. `([\w.]+)`", chapter, re.MULTILINE)
    watched = run_program([sys.executable, "-c", WATCH], env={**environment, **connected(sandbox)})
    assert watched.returncode == 0, watched.stderr
    end = json.loads(watched.stdout.splitlines()[-1])
    assert end["code"] == ExitCode.OK
    assert [step for step in steps if step not in end["entered"]] == []
    assert sorted(steps, key=end["entered"].index) == steps
    assert len(steps) > 10
