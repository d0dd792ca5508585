"""The picture of the house in CONTRIBUTING.md is true: its floors, which libraries a room uses, and what is pure."""

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.pages import CONTRIBUTING, blocks
from support.places import ROOT
from support.source import MODULES, Module, read_module


class Room(NamedTuple):
    """An entry of the picture: a package, or a file that stands flat."""

    name: str
    floor: int
    """0 is the ground."""
    never: frozenset[str]
    """Rooms on floors below that it does not import all the same."""
    libraries: dict[str, frozenset[str]]
    """For each library the files that use it."""
    pure: frozenset[str]
    """Files that decide without input and output, libraries and clocks."""


def _rooms() -> Iterator[Room]:
    """Yield the entries of the picture, of which blank lines part the floors."""
    [picture] = [block.text for block in blocks(CONTRIBUTING) if block.text.startswith("apimart_cli/")]
    floors = picture.partition("\n")[2].strip("\n").split("\n\n")
    for floor, text in enumerate(reversed(floors)):
        for entry in re.split(r"^  (?! )", text, flags=re.MULTILINE)[1:]:
            name = entry.split()[0].rstrip("/").removesuffix(".py")
            lists = {
                key: frozenset(names.split()) for key, names in re.findall(r"^ {16}(\w+): (.*)", entry, re.MULTILINE)
            }
            never, pure = lists.pop("never", frozenset()), lists.pop("pure", frozenset())
            yield Room(name, floor, never, lists, pure)


ROOMS = {room.name: room for room in _rooms()}


def files_of(room: str) -> dict[str, Module]:
    """Return the modules of a room by the names that they have inside it; a flat file has the name of the room."""
    found = [module for module in MODULES.values() if module.room == room]
    return {module.name.partition(".")[2] or room: module for module in found}


def wrong_arrows(module: Module) -> list[str]:
    """Return the imports of a module that lead up, across or where its room never goes, as `from -> to`."""
    room = ROOMS[module.room]
    return [
        f"{module.name} -> {name}"
        for name in sorted(module.ours)
        if (other := ROOMS[name.split(".")[0]]) is not room
        if other.floor >= room.floor or other.name in room.never
    ]


def test_a_room_imports_only_from_floors_below() -> None:
    """So there is no circle, and none needs to be looked for. Move the room in CONTRIBUTING.md, or turn the import."""
    assert set(ROOMS) == {module.room for module in MODULES.values()}
    assert [arrow for module in MODULES.values() for arrow in wrong_arrows(module)] == []


@pytest.mark.parametrize(
    ("name", "added", "arrow"),
    [
        ("rules.gate", "from apimart_cli.config.file import read_config", "rules.gate -> config.file"),
        ("errors", "def f():\n    import apimart_cli.records", "errors -> records"),
        ("target", "from apimart_cli import replacing", "target -> replacing"),
        ("output.value", "import typing\nif typing.TYPE_CHECKING:\n    from apimart_cli.config import settings", None),
        ("config.key", "from apimart_cli.screen.prompt import read_key", None),
        ("gateway.transport", "from apimart_cli import __version__", "gateway.transport -> __init__"),
        ("sandbox.server", "from apimart_cli.errors import bug", "sandbox.server -> errors"),
    ],
)
def test_an_arrow_that_is_added_fails_the_tests(name: str, added: str, arrow: str | None) -> None:
    """An import at the top of a file, inside a function or for types alone is seen, whatever its form."""
    found = wrong_arrows(read_module(name, f"{ast.unparse(MODULES[name].tree)}\n{added}\n"))
    assert len(found) == 1
    assert found == [arrow] if arrow else found[0].startswith(f"{name} -> ")


@pytest.mark.parametrize("room", ROOMS)
def test_libraries_stay_in_the_files_of_the_picture(room: str) -> None:
    """Add the library, or the file, to the entry of the room in CONTRIBUTING.md."""
    files = files_of(room)
    found = {library for module in files.values() for library in module.libraries}
    used = {library: {file for file in files if library in files[file].libraries} for library in found}
    shown = ROOMS[room].libraries
    assert used == {library: used.get(library) if names == {"all"} else names for library, names in shown.items()}


PURE = {
    files[file].name
    for room in ROOMS.values()
    for files in [files_of(room.name)]
    for file in (files if room.pure == {"all"} else room.pure)
}
"""The modules that the picture calls pure."""
HARMLESS = {
    "_sha2", "_sha256", "base64", "binascii", "bisect", "collections", "contextlib", "datetime", "decimal", "difflib",
    "email", "enum", "functools", "hashlib", "html", "io", "ipaddress", "itertools", "json", "math", "operator",
    "pathlib", "re", "shlex", "threading", "tomllib", "traceback", "typing", "unicodedata", "urllib", "weakref",
}  # fmt: skip
"""Modules of the standard library that reach no network, process, environment or clock.

`traceback` reads the lines of a source that failed: `errors.traced_error` tells them, for `--debug` alone.
"""
REACHING_OUT = {
    "now", "utcnow", "today", "request", "urlopen", "open", "exists", "is_file", "is_dir", "stat", "resolve",
    "read_text", "read_bytes", "write_text", "write_bytes", "expanduser", "cwd", "iterdir", "load",
}  # fmt: skip
"""Methods that do, or that open files."""


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_is_called_pure_is_pure(name: str) -> None:
    """It uses no library, opens nothing, prints nothing, reads no clock, and stands on pure modules alone."""
    module = MODULES[name]
    assert module.libraries == set()
    assert module.ours <= PURE
    assert module.standard <= HARMLESS
    names = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    assert not names & {"open", "print", "input", "exec", "eval", "__import__"}
    assert not attributes & REACHING_OUT


def test_what_decides_about_money_and_keys_is_called_pure() -> None:
    """All rules, the parser, and the key are."""
    rules = {name for name in MODULES if name.startswith("rules.")}
    assert rules | {"gateway.answer", "gateway.shortage", "keys.key", "target", "text"} <= PURE


def test_mutation_testing_covers_pure_files_alone() -> None:
    """What it changes is loaded without a network and a clock, so that a run ends."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    mutated = {
        file.removeprefix("apimart_cli/").removesuffix(".py").replace("/", ".") for file in settings["only_mutate"]
    }
    # The parser of the books stands beside what asks for them; its tests ask a server in their own process.
    assert mutated - {"gateway.books"} <= PURE
    assert {"rules.balance", "rules.gate", "gateway.answer", "keys.key"} <= mutated


def test_files_are_neither_dataclasses_nor_splinters() -> None:
    """Importing `dataclasses` costs ten times as much as a named tuple; under 40 lines belong to a larger file."""
    assert [module.name for module in MODULES.values() if "dataclasses" in module.standard] == []
    small = [name for name, module in MODULES.items() if module.lines < 40 and module.name != module.room]
    assert len(small) <= 6, f"merge what changes together: {small}"
