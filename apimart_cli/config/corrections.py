"""What was meant by what a config file cannot have: names in the wrong place, and files in another language. Pure.

Loaded only where there is a mistake.
"""

import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any, NamedTuple

from apimart_cli.config.names import EXAMPLES, KEY_NAMES, PROFILE_NAMES, suggestion


class Correction(NamedTuple):
    """What is wrong, and how to mend it."""

    message: str
    hint: str


def unknown_name(
    name: str, table: Mapping[str, Any], known: Mapping[str, object], place: tuple[str, ...]
) -> Correction:
    """Return what is wrong with a name that `table`, at this place of the file, cannot have."""
    if not place and isinstance(table[name], dict):
        inner = table[name]
        is_profiles = (
            suggestion(name, ("profiles",), "") and inner and all(isinstance(each, dict) for each in inner.values())
        )
        profile, written = (next(iter(inner)), f"{name}.{next(iter(inner))}") if is_profiles else (name, name)
        return Correction(f"unknown table [{written}]", f"keys stand in a profile: [profiles.{_quoted(profile)}]")
    if not place and name in PROFILE_NAMES:
        subject = "keys stand" if name in KEY_NAMES else "it stands"
        hint = f"{subject} in a profile: move it under [profiles.{_quoted(_profile_of(table))}]"
        return Correction(f"{name} stands outside of the profiles", hint)
    shown = f"[{'.'.join(place)}]: " if place else ""
    return Correction(f"{shown}unknown name {name!r}", suggestion(name, known, f"use one of: {', '.join(known)}"))


def not_toml(text: str, reason: str) -> Correction:
    """Return what is wrong with a file that is not TOML; `reason` is what the reader of TOML says."""
    language = _language(text)
    if language is not None:
        return Correction(
            f"this is {language}", f"the file is TOML, like: {_example(text)}; a profile begins with [profiles.work]"
        )
    if twice := re.match(r"Cannot declare (\(.*\)) twice \(at line ([0-9]+)", reason):
        table = ".".join(map(_quoted, literal_eval(twice[1])))
        return Correction(f"[{table}] is there twice, again on line {twice[2]}", "put all of it under one of them")
    if twice := re.match(r"Cannot overwrite a value \(at line ([0-9]+)", reason):
        line = text.split("\n")[int(twice[1]) - 1]
        name = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        return Correction(f"{name[1] if name else 'a name'} is set twice, again on line {twice[1]}", "keep one of them")
    return Correction(reason, "correct the file; strings need quotes")


def _language(text: str) -> str | None:
    """Return what other language a file is in, by its first line that says something."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if first.lstrip().startswith("{"):
        return "JSON"
    return "YAML" if re.match(r"---|%YAML|- |\s*[\w.\"'-]+\s*:(\s|$)", first) else None


def _example(text: str) -> str:
    """Return a line of TOML for the first name of ours that the file has, with a value of ours: theirs may be a key."""
    names = (name for name in re.findall(r"[a-z_]+", text) if name in EXAMPLES and name not in KEY_NAMES)
    name = next(names, "min")
    return f"{name} = {EXAMPLES[name]}"


def _profile_of(document: Mapping[str, Any]) -> str:
    """Return the profile that a name outside of the profiles is most likely meant for."""
    default, profiles = document.get("default_profile"), document.get("profiles")
    if isinstance(default, str):
        return default
    return str(next(iter(profiles))) if isinstance(profiles, dict) and profiles else "work"


def _quoted(name: str) -> str:
    """Return a name as TOML has it between dots."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
