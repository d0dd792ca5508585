"""What each command loads is listed here; a module that is added fails the test."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import Write, connected

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


def modules(package: str, names: str = "") -> set[str]:
    """Return the names of a package and of modules in it."""
    return {package, *(f"{package}.{name}" for name in names.split())}


FRONT = {"cli", "errors", "text", "version"} | modules("commands") | modules("processes", "signals")
SHARED = FRONT | {"commands.completion", "commands.options", "words"}
ANSWERING = SHARED | {"commands.formats"}
FILE = modules("config", "file names private_file") | {"files", "owners", "reports"}
KEY = modules("keys", "key source")
SETTINGS = (
    FILE | KEY | modules("config", "durations key precedence recording settings values") | {"balance", "gate", "target"}
)
GATEWAY = modules(
    "gateway",
    "answer client connections dialing failures library_errors question retry shared strict_json transport wire",
)
SCREEN = modules("screen", "output writing")
ASKING = (
    SHARED
    | SETTINGS
    | GATEWAY
    | SCREEN
    | {"keys.echo", "keys.redactor", "memory", "readings", "screen.progress", "trace"}
)
ANSWERED = ASKING | ANSWERING
TOLD = modules("screen", "unread writing")
WRITER = modules("config", "durations layout renaming replacing rewriting stored values writer") | KEY | {"target"}
LINES = modules("output", "amounts cells lines rows table") | {"screen.folding"}
JSON = modules("output", "amounts json")
SETTINGS_SHOWN = {"output.cells", "output.settings", "screen.folding"}
PLACE = KEY | modules("config", "durations recording settings values") | {"balance", "gate", "reports", "target"}
LEDGER = {"files", "owners", "spending"} | modules("ledger", "damage elsewhere file place queries records schema")
FORECAST = {"forecast", "output.runway"}
HTTP = {"certifi", "charset_normalizer", "idna", "platformdirs", "requests", "urllib3"}
WRITING = {"filelock", "platformdirs", "tomlkit"}
OPTIONAL = {
    "attr",
    "backports",
    "brotli",
    "brotlicffi",
    "chardet",
    "cython_runtime",
    "simplejson",
    "socks",
    "zstandard",
}
"""What the HTTP libraries, and older versions of Rich, take along where somebody else installed it."""
COMMANDS = modules(
    "commands",
    "options balance check config exporter help history history_runs login logout nagios profiles run sandbox "
    "statusline watch",
)


class Loaded:
    """What one command loaded: our modules, other packages, and watched modules of the standard library."""

    def __init__(self, line: str) -> None:
        self.ours, self.packages, self.watched = (set(names.split()) for names in line.split("|"))
        # Measuring coverage loads modules of its own.
        self.packages = {name for name in self.packages - OPTIONAL if not name.startswith(("coverage", "_"))}
        if "filelock" in self.packages:
            # Older versions of it load their forms for asyncio and SQLite as well.
            self.watched -= {"asyncio", "sqlite3", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "ours", "packages", "watched"),
    [
        ("--version", FRONT | modules("screen", "writing"), set(), set()),
        ("--help", ANSWERING | COMMANDS | modules("sandbox", "scenario") | modules("screen", "writing"), set(), set()),
        ("check --help", ANSWERING | {"commands.check"} | modules("screen", "writing"), set(), set()),
        ("balance --json", ANSWERED | JSON | {"commands.balance"}, HTTP, {"ssl"}),
        ("balance -o value", ANSWERED | modules("output", "amounts value") | {"commands.balance"}, HTTP, {"ssl"}),
        ("balance", ANSWERED | LINES | {"commands.balance"}, HTTP | {"rich"}, {"ssl"}),
        ("check --min 5 -q", ANSWERED | {"commands.check"}, HTTP, {"ssl"}),
        ("check --min 5", ANSWERED | LINES | {"commands.check"}, HTTP, {"ssl"}),
        ("check --min 5 --json", ANSWERED | JSON | {"commands.check"}, HTTP, {"ssl"}),
        (
            "check --min 5 -o github",
            ANSWERED
            | JSON
            | {"commands.check", "screen.reports"}
            | modules("output", "github lines outputs workflow")
            | {"screen.folding"},
            HTTP,
            {"ssl"},
        ),
        (
            "check --min 5 -o dotenv",
            ANSWERED | {"commands.check"} | modules("output", "amounts dotenv outputs"),
            HTTP,
            {"ssl"},
        ),
        (
            "balance -o prometheus",
            ANSWERED | {"commands.balance"} | modules("output", "amounts metrics prometheus"),
            HTTP,
            {"ssl"},
        ),
        (
            "balance --textfile balance.prom",
            ANSWERED | {"commands.balance", "textfile"} | modules("output", "amounts metrics prometheus"),
            HTTP,
            {"ssl"},
        ),
        (
            "nagios -c 5:",
            ASKING
            | FORECAST
            | {"commands.nagios", "plugin", "ranges", "spending"}
            | modules("output", "amounts cells nagios perfdata")
            | {"screen.folding"},
            HTTP,
            {"ssl"},
        ),
        ("config path", ANSWERING | FILE | {"commands.config"} | modules("screen", "writing"), {"platformdirs"}, set()),
        (
            "config show",
            ANSWERING | SETTINGS | SCREEN | JSON | {"commands.config"} | SETTINGS_SHOWN,
            {"platformdirs"},
            set(),
        ),
        (
            "config check",
            ANSWERING
            | SETTINGS
            | SCREEN
            | TOLD
            | JSON
            | {
                "commands.config",
                "config.doubts",
                "config.report",
                "output.cells",
                "output.settings",
                "screen.folding",
            },
            {"platformdirs"},
            set(),
        ),
        (
            "config unset min",
            ANSWERING | FILE | WRITER | {"commands.config"} | TOLD,
            WRITING,
            {"tomllib"},
        ),
        (
            "logout",
            SHARED | FILE | WRITER | {"commands.logout", "failing"} | TOLD,
            WRITING,
            set(),
        ),
        (
            "history path",
            ANSWERING | PLACE | modules("commands", "history history_runs") | modules("screen", "writing"),
            {"platformdirs"},
            set(),
        ),
        (
            "history --json",
            ANSWERING
            | PLACE
            | LEDGER
            | TOLD
            | JSON
            | FORECAST
            | {"overview", "recorded", "runs"}
            | modules("commands", "history history_runs")
            | modules("ledger", "overviews recording retention runs store upkeep")
            | modules("output", "cells history")
            | {"screen.folding"}
            | {"screen.output"},
            {"platformdirs"},
            {"sqlite3"},
        ),
        (
            "statusline",
            SHARED
            | SETTINGS
            | LEDGER
            | FORECAST
            | SCREEN
            | {"commands.statusline", "config.key_variables", "processes.detached", "refreshing", "status"}
            | modules("ledger", "glance state")
            | modules("output", "amounts escapes statusline template"),
            {"platformdirs"},
            {"sqlite3"},
        ),
        (
            "sandbox -- true",
            FRONT
            | KEY
            | modules("sandbox", "answers scenario server")
            | modules("config", "durations values")
            | {"commands.completion", "commands.sandbox", "rehearsal", "target", "words"}
            | modules("processes", "child descendants relay starting table terminal")
            | modules("screen", "unreached writing"),
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
    """The modules of each command are exactly these."""
    loaded = load(arguments, {**environment, **connected(sandbox)})
    assert (loaded.ours, loaded.packages, loaded.watched) == (ours, packages, watched)


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ('api_key_command = ["true"]', {"keys.command", *modules("processes", "child descendants starting table")}),
        ("api_key_keyring = true", {"keys.keyring"}),
        ('api_key = "sk-short"', set()),
    ],
)
def test_a_source_of_keys_is_loaded_where_a_profile_has_one(
    environment: Mapping[str, str], write_config: Write, line: str, more: set[str]
) -> None:
    """Commands and keyrings cost nothing where the key is in the file."""
    write_config(f"[profiles.a]\n{line}\n")
    loaded = load("config show -p a", environment)
    assert loaded.ours == ANSWERING | SETTINGS | SCREEN | JSON | {"commands.config"} | SETTINGS_SHOWN | more
    assert loaded.packages == {"platformdirs"}


RECORDED = {"spending"} | modules(
    "ledger", "damage elsewhere file place queries recording records retention schema store"
)
TOLD_FROM_HISTORY = {"forecast", "output.runway", "ledger.recall"}


@pytest.mark.parametrize(
    ("arguments", "first", "later"),
    [
        ("check --min 5 -q", RECORDED, RECORDED),
        (
            "check --min 5 --min-runway 1d -q --on-no-forecast pass",
            RECORDED | {"forecast"},
            RECORDED | {"forecast", "ledger.recall"},
        ),
        ("balance --json", RECORDED, RECORDED | TOLD_FROM_HISTORY),
        ("balance -o value", RECORDED, RECORDED),
    ],
)
def test_recording_loads_the_ledger_and_a_history_the_forecast(
    environment: dict[str, str], sandbox: Sandbox, arguments: str, first: set[str], later: set[str]
) -> None:
    """Nothing of it without recording; no forecast where nothing was recorded yet, or where none is shown."""
    env = {**environment, **connected(sandbox)}
    without = load(arguments.partition(" --min-runway")[0], env).ours
    for more in (first, later):
        loaded = load(arguments, {**env, "APIMART_RECORD": "1"})
        assert loaded.ours - without == more
        assert loaded.watched == {"sqlite3", "ssl"}


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
    assert loaded.ours == ANSWERING | {"commands.check"}
    assert loaded.packages == set()
    assert loaded.watched == set()


def load(arguments: str, environment: Mapping[str, str]) -> Loaded:
    """Run one command line in a fresh interpreter and return what it loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments.split()],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    return Loaded(ended.stderr.splitlines()[-1])
