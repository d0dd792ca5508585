"""The picture of the house in CONTRIBUTING.md is true: rooms, what they import, and which libraries they use."""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from typing import NamedTuple

import pytest

from support.pages import CONTRIBUTING, blocks, code_in
from support.source import MODULES, Module, read_module

RULES = {
    "gate": {"balance", "errors", "forecast", "words"},
    "forecast": {"spending", "words"},
    "overview": {"forecast", "spending", "words"},
    "guard": {"spending", "words"},
    "course": {"balance", "errors", "gate", "spending", "words"},
    "alerts": {"balance", "errors", "gate", "spending", "words"},
    "pace": {"balance", "errors"},
    "plugin": {"balance", "errors", "gate", "ranges", "words"},
    "ranges": {"errors", "text"},
    "shards": {"errors", "text"},
    "runs": {"words"},
    "spending": set(),
    "target": {"errors", "keys.key", "keys.source", "text", "words"},
    "errors": {"text"},
    "balance": {"errors", "forecast", "words"},
    "reports": {"errors"},
    "text": set(),
    "trace": set(),
    "version": set(),
    "words": set(),
    "sandbox": set(),
    "processes": set(),
}
"""The modules that these may import, and no other."""

NEVER = {
    "output": {"config", "gateway", "commands", "readings"},
    "config": {"screen", "output", "gateway", "commands", "readings"},
    "gateway": {"__init__", "screen", "output", "config", "commands", "readings"},
    "keys": {"config", "gateway", "screen", "output"},
    "screen": {"config", "gateway", "output", "balance"},
    "ledger": {"balance", "commands", "config", "gate", "gateway", "keys", "output", "readings", "screen", "target"},
    "memory": {"commands", "gateway", "output", "readings", "screen"},
}
"""Rooms that these never import."""


class Room(NamedTuple):
    """A package, or a flat module, with what it imports beyond itself."""

    ours: frozenset[str]
    libraries: frozenset[str]


def rooms_of(modules: Iterable[Module]) -> dict[str, Room]:
    """Return the rooms of these modules by name."""
    rooms: dict[str, Room] = {}
    for module in modules:
        known = rooms.get(module.room, Room(frozenset(), frozenset()))
        ours = {name.split(".")[0] for name in module.ours} - {module.room}
        rooms[module.room] = Room(known.ours | ours, known.libraries | module.libraries)
    return rooms


def wrong_arrows(modules: Iterable[Module]) -> list[str]:
    """Return the imports that the rules forbid, as `from -> to`."""
    return [
        f"{module.name} -> {name}"
        for module in modules
        for name in sorted(module.ours)
        if name.split(".")[0] != module.room
        if name not in RULES.get(module.room, {name}) or name.split(".")[0] in NEVER.get(module.room, ())
    ]


def documented_rooms() -> Iterator[tuple[str, Room]]:
    """Yield the entries of the picture."""
    [picture] = [block.text for block in blocks(CONTRIBUTING) if block.text.startswith("apimart_cli/")]
    for entry in re.split(r"^  (?! )", picture, flags=re.MULTILINE)[1:]:
        name = entry.split()[0].rstrip("/").removesuffix(".py")
        ours = " ".join(re.findall(r"imports: (.*)", entry)).split()
        libraries = " ".join(re.findall(r"libraries: (.*)", entry)).split()
        yield name, Room(frozenset(ours), frozenset(libraries))


def test_the_picture_of_the_house_is_true() -> None:
    """CONTRIBUTING.md shows every room with exactly what it imports of ours and which libraries it uses."""
    assert dict(documented_rooms()) == rooms_of(MODULES.values())


def test_no_arrow_goes_the_wrong_way() -> None:
    """A flat pure module imports no room but the key, and no room imports one that uses it."""
    assert wrong_arrows(MODULES.values()) == []


def test_rooms_depend_on_each_other_in_one_direction() -> None:
    """There is an order in which every room comes after those that it imports."""
    order = TopologicalSorter({name: room.ours for name, room in rooms_of(MODULES.values()).items()})
    assert len(list(order.static_order())) == len(rooms_of(MODULES.values()))


@pytest.mark.parametrize(
    ("room", "added", "arrow"),
    [
        ("gate", "from apimart_cli.config.file import read_config", "gate -> config.file"),
        ("errors", "def f():\n    import apimart_cli.words", "errors -> words"),
        ("target", "from apimart_cli.keys import command", "target -> keys.command"),
        ("output.value", "import typing\nif typing.TYPE_CHECKING:\n    from apimart_cli.config import settings", None),
        ("config.key", "from apimart_cli.screen.prompt import read_key", None),
        ("gateway.transport", "from apimart_cli import __version__", "gateway.transport -> __init__"),
        ("sandbox.server", "from apimart_cli.errors import bug", "sandbox.server -> errors"),
    ],
)
def test_an_arrow_that_is_added_fails_the_tests(room: str, added: str, arrow: str | None) -> None:
    """An import at the top of a file, inside a function or for types alone is seen, whatever its form."""
    extended = {**MODULES, room: read_module(room, f"{ast.unparse(MODULES[room].tree)}\n{added}\n")}
    found = wrong_arrows(extended.values())
    assert len(found) == 1
    assert found == [arrow] if arrow else found[0].startswith(f"{room} -> ")


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("requests", ["gateway.connections", "gateway.library_errors", "gateway.proxies", "gateway.transport"]),
        ("urllib3", ["gateway.dialing", "gateway.library_errors", "gateway.transport"]),
        ("rich", ["output.table", "output.watched", "screen.drawing", "screen.folding", "screen.live"]),
        ("platformdirs", ["config.file", "config.recording"]),
        ("tomlkit", ["config.rewriting"]),
        ("filelock", ["config.writer", "ledger.merge"]),
        ("plotext", ["output.chart"]),
        ("keyring", ["keys.keyring"]),
    ],
)
def test_libraries_stay_in_their_files(library: str, modules: list[str]) -> None:
    """What a library can do wrong is dealt with in one place."""
    assert [module.name for module in MODULES.values() if library in module.libraries] == modules


PURE = code_in(re.findall(r"pure: ([^:]*?) use no library", " ".join(CONTRIBUTING.split()))[0])
"""The modules that CONTRIBUTING.md calls so."""
HARMLESS = {
    "base64", "binascii", "bisect", "collections", "datetime", "decimal", "difflib", "enum", "functools", "hashlib",
    "html", "io", "ipaddress", "itertools", "json", "math", "pathlib", "re", "shlex", "threading", "tomllib", "typing",
    "unicodedata", "urllib", "weakref",
}  # fmt: skip
"""Modules of the standard library that reach no network, process, environment or clock."""
REACHING_OUT = {
    "now", "utcnow", "today", "request", "urlopen", "open", "exists", "is_file", "is_dir", "stat", "resolve",
    "read_text", "read_bytes", "write_text", "write_bytes", "expanduser", "cwd", "iterdir", "load",
}  # fmt: skip
"""Methods that do, or that open files."""


@pytest.mark.parametrize("name", PURE)
def test_what_is_called_pure_is_pure(name: str) -> None:
    """It uses no library, opens nothing, prints nothing, reads no clock, and stands on pure modules alone."""
    module = MODULES[name]
    assert module.libraries == set()
    assert module.ours <= set(PURE)
    assert module.standard <= HARMLESS
    names = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    assert not names & {"open", "print", "input", "exec", "eval", "__import__"}
    assert not attributes & REACHING_OUT


def test_what_decides_about_money_and_keys_is_called_pure() -> None:
    """The parser, the gate and the key are in that list."""
    assert {
        "balance",
        "forecast",
        "gate",
        "guard",
        "gateway.answer",
        "gateway.strict_json",
        "keys.key",
        "target",
        "text",
    } <= set(PURE)


def test_records_are_named_tuples() -> None:
    """No file of the package makes a dataclass: importing one costs ten times as much."""
    assert [module.name for module in MODULES.values() if "dataclasses" in module.standard] == []


def test_no_file_is_long() -> None:
    """A file that needs more than 350 lines does more than one thing."""
    assert [module.name for module in MODULES.values() if module.lines > 350] == []
