"""Which libraries and rooms each command loads; one that is added fails the test."""

import subprocess
import sys
from collections.abc import Mapping

import pytest

from apimart_cli import __version__
from apimart_cli.sandbox.server import Sandbox
from support.running import Write, connected, run_program

PROBE = """
import subprocess
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


ROOMS = {"config", "exporter", "gateway", "keys", "ledger", "output", "readings", "rules", "run", "sandbox"}
"""Packages of ours that not every command needs."""

SETTINGS = {"config", "keys", "rules"}
ASKING = SETTINGS | {"gateway", "readings"}
LEDGER = {"ledger", "rules"}
HTTP = {"certifi", "charset_normalizer", "idna", "platformdirs", "requests", "urllib3"}
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
"""What the HTTP libraries, and older versions of Rich, take along where they find it."""

MOST_OF_CHECK = 42
"""Modules of ours that `check -q` may load, with recording on: each costs a third of a millisecond at every start."""


class Loaded:
    """What one command loaded: our modules, other packages, and watched modules of the standard library."""

    def __init__(self, line: str) -> None:
        self.ours, self.packages, self.watched = (set(names.split()) for names in line.split("|"))
        self.rooms = {name.split(".")[0] for name in self.ours} & ROOMS
        # Measuring coverage loads modules of its own.
        self.packages = {name for name in self.packages - OPTIONAL if not name.startswith(("coverage", "_"))}
        if "filelock" in self.packages:
            # Older versions of it load their forms for asyncio and SQLite as well.
            self.watched -= {"asyncio", "sqlite3", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "rooms", "packages", "watched"),
    [
        ("--version", set(), set(), set()),
        ("--help", {"sandbox"}, set(), set()),
        ("check --help", set(), set(), set()),
        ("balance --json", ASKING | {"output"}, HTTP, {"ssl"}),
        ("balance -o value", ASKING | {"output"}, HTTP, {"ssl"}),
        ("balance", ASKING | {"output"}, HTTP | {"rich"}, {"ssl"}),
        ("check --min 5 -q", ASKING, HTTP, {"ssl"}),
        ("check --min 5", ASKING | {"output"}, HTTP, {"ssl"}),
        ("check --min 5 -o github", ASKING | {"output"}, HTTP, {"ssl"}),
        ("check --min 5 -o dotenv", ASKING | {"output"}, HTTP, {"ssl"}),
        ("balance --textfile balance.prom", ASKING | {"output"}, HTTP, {"ssl"}),
        ("nagios -c 5:", ASKING | {"output"}, HTTP, {"ssl"}),
        ("config path", {"config"}, {"platformdirs"}, set()),
        ("config show", SETTINGS | {"output"}, {"platformdirs"}, set()),
        ("config check", SETTINGS | {"output"}, {"platformdirs"}, set()),
        ("config unset min", {"config", "keys"}, {"filelock", "platformdirs"}, {"tomllib"}),
        ("logout", {"config", "keys"}, {"filelock", "platformdirs"}, set()),
        ("history path", {"config", "keys"}, {"platformdirs"}, set()),
        ("history --json", SETTINGS | LEDGER | {"output"}, {"platformdirs"}, {"sqlite3"}),
        ("statusline", SETTINGS | LEDGER | {"output"}, {"platformdirs"}, {"sqlite3"}),
        ("doctor", ASKING | {"output"}, HTTP, {"ssl"}),
        ("alert test --on-low true", ASKING | {"output"}, {"platformdirs"}, set()),
        ("sandbox -- true", {"config", "keys", "sandbox"}, set(), {"http.server", "ssl"}),
    ],
)
def test_a_command_loads_what_it_uses_and_nothing_else(
    environment: Mapping[str, str],
    sandbox: Sandbox,
    arguments: str,
    rooms: set[str],
    packages: set[str],
    watched: set[str],
) -> None:
    """The libraries of each command are exactly these, and the rooms of ours."""
    loaded = load(arguments, {**environment, **connected(sandbox)})
    assert (loaded.rooms, loaded.packages, loaded.watched) == (rooms, packages, watched)


@pytest.mark.parametrize(
    ("line", "loads", "module"),
    [
        ('api_key_command = ["true"]', True, "processes.child"),
        ("api_key_keyring = true", True, "keys.sources"),
        ('api_key = "sk-short"', False, "keys.sources"),
    ],
)
def test_a_source_of_keys_is_loaded_where_a_profile_has_one(
    environment: Mapping[str, str], write_config: Write, line: str, loads: bool, module: str
) -> None:
    """Commands and keyrings cost nothing where the key is in the file; no keyring is loaded to speak of one."""
    write_config(f"[profiles.a]\n{line}\n")
    loaded = load("config show -p a", environment)
    assert (module in loaded.ours) is loads
    assert loaded.packages == {"platformdirs"}


@pytest.mark.parametrize(
    ("arguments", "forecasts"),
    [
        ("check --min 5 -q", False),
        ("check --min 5 --min-runway 1d -q --on-no-forecast pass", True),
        ("balance --json", True),
        ("balance -o value", False),
    ],
)
def test_recording_loads_the_ledger_and_a_history_the_forecast(
    environment: dict[str, str], sandbox: Sandbox, arguments: str, forecasts: bool
) -> None:
    """No ledger without recording; no forecast where none is shown."""
    env = {**environment, **connected(sandbox)}
    assert "ledger" not in load(arguments.partition(" --min-runway")[0], env).rooms
    for _ in "first", "later":
        loaded = load(arguments, {**env, "APIMART_RECORD": "1"})
    assert "ledger" in loaded.rooms
    assert ("rules.forecast" in loaded.ours) is forecasts
    assert loaded.watched == {"sqlite3", "ssl"}


def test_the_version_takes_no_typer(environment: dict[str, str], command: str) -> None:
    """`apimart --version` is what installers and scripts run first: it loads the version and nothing else of ours."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", command, "--version"],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert {name for name in loaded if name.startswith("apimart_cli.")} <= {
        "apimart_cli.__main__",
        "apimart_cli.version",
    }
    assert "typer" not in loaded
    assert ended.stdout == f"apimart {__version__}\n"


def test_check_loads_few_modules_of_ours(environment: dict[str, str], sandbox: Sandbox) -> None:
    """With recording on, as it is by default, and key and account asked for."""
    for _ in "first", "later":
        loaded = load("check --min 5 -q", {**environment, **connected(sandbox), "APIMART_RECORD": "1"})
    assert len(loaded.ours) <= MOST_OF_CHECK, f"load less, or later: {sorted(loaded.ours)}"


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
    assert loaded.rooms == set()
    assert loaded.packages == set()
    assert loaded.watched == set()


def load(arguments: str, environment: Mapping[str, str]) -> Loaded:
    """Run one command line in a fresh interpreter and return what it loaded."""
    ended = run_program(
        [sys.executable, "-c", PROBE, *arguments.split()], env=environment, cwd=environment["HOME"], check=True
    )
    return Loaded(ended.stderr.splitlines()[-1])
