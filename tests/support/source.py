"""The source of the package, read and not run: what imports what, and what is written where."""

import ast
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from support.places import ROOT

PACKAGE = ROOT / "apimart_cli"

Wanted = Callable[[ast.AST], bool]

OF_OTHER_PYTHONS = {"_sha2", "_sha256"}
"""Modules of the standard library that only some versions have."""


class Module(NamedTuple):
    """One file of the package, and what it imports: at its top, inside a function, or for its types alone."""

    name: str
    """`gate`, or `config.file`; a package's own file has the name of the package."""
    ours: frozenset[str]
    """Names of the same form."""
    libraries: frozenset[str]
    standard: frozenset[str]
    lines: int
    tree: ast.Module

    @property
    def room(self) -> str:
        """The package that it is in, or its own name where it stands flat."""
        return self.name.split(".")[0]


def read_module(name: str, source: str) -> Module:
    """Read what a file of that name imports."""
    tree = ast.parse(source)
    imported = set(_imports(tree))
    ours = {module.partition(".")[2] for module in imported if module.startswith("apimart_cli.")}
    others = {module.split(".")[0] for module in imported if not module.startswith("apimart_cli.")}
    standard = others & (sys.stdlib_module_names | OF_OTHER_PYTHONS)
    return Module(name, frozenset(ours), frozenset(others - standard), frozenset(standard), source.count("\n"), tree)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield every module that is imported, ours as `apimart_cli.NAME`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            for alias in node.names:
                # `from package import module`, or a name from a module.
                inner = f"{node.module}.{alias.name}"
                yield inner if is_module(inner.removeprefix("apimart_cli.")) else _front(node.module)


def _front(module: str) -> str:
    return "apimart_cli.__init__" if module == "apimart_cli" else module


def is_module(name: str) -> bool:
    """Tell whether `name`, like `config.file`, is a module or a package of ours."""
    place = PACKAGE.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _read_package() -> Iterator[Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        yield read_module(name, path.read_text(encoding="utf-8"))


MODULES = {module.name: module for module in _read_package()}


def uses(wanted: Wanted) -> list[str]:
    """Return the functions of the package in which a wanted node stands, each time it does."""
    return [place for module in MODULES.values() for place in _uses_in(module.tree, module.name, wanted)]


def _uses_in(node: ast.AST, place: str, wanted: Wanted) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = f"{place}.{child.name}" if isinstance(child, ast.FunctionDef | ast.ClassDef) else place
        if wanted(child):
            yield inside
        yield from _uses_in(child, inside, wanted)


def written_like(*sources: str) -> Wanted:
    """Return a test for expressions that are written like one of these."""
    heads = {_head(ast.parse(source, mode="eval").body) for source in sources}
    return lambda node: isinstance(node, ast.expr) and _head(node) in heads and ast.unparse(node) in sources


def calls_of(function: str) -> Wanted:
    """Return a test for calls of `function`."""
    called = written_like(function)
    return lambda node: isinstance(node, ast.Call) and called(node.func)


def _head(node: ast.expr) -> str | None:
    """Return the name that an expression is about: to write every expression out takes seconds."""
    match node:
        case ast.Call():
            return _head(node.func)
        case ast.Subscript():
            return _head(node.value)
        case ast.Attribute():
            return node.attr
    return node.id if isinstance(node, ast.Name) else None


def strings() -> Iterator[str]:
    """Yield every string that stands in the code."""
    for module in MODULES.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
