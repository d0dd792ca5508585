"""Strict JSON: one object, numbers kept as the text that the server wrote. Pure: no I/O."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

MAX_NESTING = 32
"""Deepest nesting of an answer that is read; the documented one has a single level."""


class NotStrictError(Exception):
    """A document that is not what was asked for; its text says what is wrong, and none of what it holds."""


class JsonNumber(str):
    """A JSON number as the server wrote it; told apart from a JSON string, and free of size limits until judged."""

    __slots__ = ()


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Return the one JSON object that `body` is, numbers kept as text.

    Raises NotStrictError for anything else: other encodings, a byte order mark, trailing bytes, NaN, infinities,
    duplicate names, nesting beyond MAX_NESTING.
    """
    if not body:
        _refuse("its body is empty")
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=_unique_names,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_reject_constant,
        )
    # `from None`: the decoders' exceptions keep the whole document, and with it whatever the server echoed.
    except UnicodeDecodeError:
        raise NotStrictError("it is not UTF-8") from None
    except RecursionError:
        raise NotStrictError("it is nested too deep") from None
    except ValueError:
        raise NotStrictError("it is not JSON") from None
    if not isinstance(document, dict):
        _refuse("it is not a JSON object")
    if _containers_below(document, MAX_NESTING):
        _refuse("it is nested too deep")
    return document


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _refuse("a name stands in it twice")
    return fields


def _reject_constant(name: str) -> NoReturn:
    _refuse(f"it holds {name}, which is no JSON number")


def _containers_below(document: dict[str, Any], levels: int) -> list[Any]:
    """Return the objects and lists of `document` that `levels` others enclose; the document itself is the outermost."""
    containers: list[Any] = [document]
    for _ in range(levels):
        children = (child for node in containers for child in _children(node))
        containers = [child for child in children if isinstance(child, (dict, list))]
    return containers


def _children(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _refuse(what: str) -> NoReturn:
    raise NotStrictError(what)
