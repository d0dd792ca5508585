"""What was meant by a command line that is wrong: the hint that names it, where that can be told."""

import re
import shlex
from typing import Any

from apimart_cli.text import without_keys

_FORGETTING = frozenset({"remove", "rm", "delete", "del", "forget", "logout"})


def what_was_meant(context: Any, message: str) -> str | None:
    """Return the hint for a complaint of Typer about a command; None where nothing is known that could help."""
    path = context.command_path
    if unknown := re.match(r"No such command '([a-z-]+)'", message):
        if path == "apimart profiles" and unknown[1] in _FORGETTING:
            return "forget its key: apimart logout --profile NAME; its table can then be deleted from the config file"
        return None
    extra = re.match(r"Got unexpected extra arguments?(?:\(s\))? \((\S+)\)", message)
    if extra is None:
        return None
    options = {name for parameter in context.command.get_params(context) for name in parameter.opts}
    word = extra[1]
    if "--min" in options and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", word):
        return f"did you mean: {path} --min {word}"
    if "--profile" in options and re.fullmatch(r"[A-Za-z][\w.-]{0,30}", word) and without_keys(word) == word:
        return f"did you mean: {path} --profile {shlex.quote(word)}"
    return None


def empty_value(message: str) -> str | None:
    """Return what to say of an option whose value is empty, where Typer complains about that; else None."""
    empty = re.match(r"Invalid value for '(?:-\w' / ')?(--[a-z-]+)'(?: / '-\w')?: '' is not one of", message)
    return f"{empty[1]} is empty" if empty else None
