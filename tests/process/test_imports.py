"""No command pays for another: what each one loads is listed here, and a newcomer fails the test."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import connected

PROBE = """
import sys
import typer
before = set(sys.modules)
from apimart_cli.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
loaded = set(sys.modules) - before
ours = sorted(name.partition(".")[2] for name in loaded if name.startswith("apimart_cli."))
known = {"apimart_cli", "typer"} | set(sys.stdlib_module_names)
packages = sorted({name.partition(".")[0] for name in loaded} - known)
watched = sorted(loaded & {"asyncio", "http.server", "sqlite3", "ssl", "tomllib"})
print("|".join(" ".join(names) for names in (ours, packages, watched)), file=sys.stderr)
"""
"""Runs one command in a fresh interpreter, and tells what it loaded beyond what Typer itself needs."""

FRONT = {"cli", "commands", "errors", "text"}
SETTINGS = {"apikey", "balance", "child", "configfile", "files", "gate", "keysource", "settings", "target"}
ASKING = SETTINGS | {"commands.options", "client", "transport", "streams"}
HTTP = {"certifi", "charset_normalizer", "idna", "platformdirs", "requests", "urllib3"}
OPTIONAL = {"backports", "brotli", "brotlicffi", "chardet", "cython_runtime", "simplejson", "zstandard"}
"""What the HTTP libraries take along where somebody else installed it."""
COMMANDS = {"commands", "commands.options"} | {
    f"commands.{name}" for name in ("balance", "check", "config", "login", "logout", "sandbox")
}


class Loaded:
    """What one command loaded: our modules, other packages, and watched modules of the standard library."""

    def __init__(self, line: str) -> None:
        self.ours, self.packages, self.watched = (set(names.split()) for names in line.split("|"))
        # Measuring coverage loads modules of its own.
        self.packages = {name for name in self.packages - OPTIONAL if not name.startswith(("coverage", "_"))}


@pytest.mark.parametrize(
    ("arguments", "ours", "packages", "watched"),
    [
        ("--version", FRONT, set(), set()),
        ("--help", FRONT | COMMANDS, set(), set()),
        ("check --help", FRONT | {"commands", "commands.check", "commands.options"}, set(), set()),
        ("balance --json", FRONT | ASKING | {"commands.balance", "output"}, HTTP, {"ssl"}),
        ("balance -o value", FRONT | ASKING | {"commands.balance", "output"}, HTTP, {"ssl"}),
        ("balance", FRONT | ASKING | {"commands.balance", "output"}, HTTP | {"rich"}, {"ssl"}),
        ("check --min 5 -q", FRONT | ASKING | {"commands.check"}, HTTP, {"ssl"}),
        ("check --min 5", FRONT | ASKING | {"commands.check", "output"}, HTTP, {"ssl"}),
        (
            "config path",
            FRONT | SETTINGS | {"commands.config", "commands.options", "output", "streams"},
            {"platformdirs"},
            set(),
        ),
        (
            "config show",
            FRONT | SETTINGS | {"commands.config", "commands.options", "output", "streams"},
            {"platformdirs"},
            set(),
        ),
        (
            "sandbox -- true",
            FRONT | SETTINGS | {"commands.sandbox", "sandbox"},
            set(),
            {"http.server", "ssl"},
        ),
    ],
)
def test_a_command_loads_what_it_uses_and_nothing_else(
    environment: Mapping[str, str],
    sandbox: Sandbox,
    arguments: str,
    ours: set[str],
    packages: set[str],
    watched: set[str],
) -> None:
    """The modules of each command are exactly these; whoever adds one says so here."""
    loaded = load(arguments, {**environment, **connected(sandbox)})
    assert (loaded.ours, loaded.packages, loaded.watched) == (ours, packages, watched)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_loads_no_network_and_no_table(environment: Mapping[str, str], shell: str) -> None:
    """A TAB loads what knows the options, and nothing that could ask or draw."""
    words = {
        "_APIMART_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "apimart check --sc",
        "COMP_CWORD": "2",
        "_TYPER_COMPLETE_ARGS": "apimart check --sc",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    loaded = load("", {**environment, **words})
    assert loaded.ours == FRONT | {"commands", "commands.check", "commands.options"}
    assert loaded.packages == set()
    assert loaded.watched == set()


def load(arguments: str, environment: Mapping[str, str]) -> Loaded:
    """Run one command line in a fresh interpreter and return what it loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments.split()],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    return Loaded(ended.stderr.splitlines()[-1])
