"""What users probably meant: corrections for a config file that is wrong, and doubts about values. Pure: no I/O.

Loaded only if there is a mistake, or a value that can be doubted.
"""

import re
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from apimart_cli.config.names import EXAMPLES, KEY_NAMES, PROFILE_NAMES, suggestion, toml_name
from apimart_cli.config.values import parse_duration, shortest
from apimart_cli.keys.key import looks_like_variable

if TYPE_CHECKING:
    from apimart_cli.config.settings import Settings


SHORT_RUNWAY = timedelta(hours=1)
"""A shorter runway is most likely a slip: the m may be meant for months, or for `min`."""

_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "cmd", "cmd.exe", "powershell", "pwsh"}
_OPERATORS = {"|", "||", ";", "&&", "&", ">", ">>", "<"}
_VARIABLE = re.compile(r"\$[A-Za-z_{(]")


class Correction(NamedTuple):
    """What is wrong, and how to correct it."""

    message: str
    hint: str


class Doubt(NamedTuple):
    """A doubt about one value."""

    message: str
    hint: str
    is_warning: bool = True
    """Whether it is a warning, not just a note."""


def unknown_name(
    name: str, table: Mapping[str, Any], known: Mapping[str, object], place: tuple[str, ...]
) -> Correction:
    """Return what is wrong with a name that `table`, which stands at `place` in the file, cannot have."""
    if not place and isinstance(table[name], dict):
        inner = table[name]
        is_profiles = (
            suggestion(name, ("profiles",), "") and inner and all(isinstance(each, dict) for each in inner.values())
        )
        profile, written = (next(iter(inner)), f"{name}.{next(iter(inner))}") if is_profiles else (name, name)
        return Correction(f"unknown table [{written}]", f"keys stand in a profile: [profiles.{toml_name(profile)}]")
    if not place and name in PROFILE_NAMES:
        subject = "keys stand" if name in KEY_NAMES else "it stands"
        hint = f"{subject} in a profile: move it under [profiles.{toml_name(_profile_of(table))}]"
        return Correction(f"{name} stands outside of the profiles", hint)
    shown = f"[{'.'.join(place)}]: " if place else ""
    return Correction(f"{shown}unknown name {name!r}", suggestion(name, known, f"use one of: {', '.join(known)}"))


def not_toml(text: str, reason: str) -> Correction:
    """Return what is wrong with a file that is not TOML; `reason` is the message of the TOML reader."""
    language = _language(text)
    if language is not None:
        return Correction(
            f"this is {language}", f"the file is TOML, like: {_example(text)}; a profile begins with [profiles.work]"
        )
    if twice := re.match(r"Cannot declare (\(.*\)) twice \(at line ([0-9]+)", reason):
        table = ".".join(map(toml_name, literal_eval(twice[1])))
        return Correction(f"[{table}] is there twice, again on line {twice[2]}", "put all of it under one of them")
    if twice := re.match(r"Cannot overwrite a value \(at line ([0-9]+)", reason):
        line = text.split("\n")[int(twice[1]) - 1]
        name = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        return Correction(f"{name[1] if name else 'a name'} is set twice, again on line {twice[1]}", "keep one of them")
    if reason.startswith(("Unescaped '\\' in a string", "Invalid hex value")):
        return Correction(reason, r"write what has backslashes in single quotes, like 'C:\Users\me\key.txt'")
    return Correction(reason, "correct the file; strings need quotes")


def doubt_of(name: str, value: object) -> Doubt | None:
    """Return the doubt about the value of `name`, in the config file or in an option; None if there is none."""
    match name, value:
        case "api_key", str(text) if looks_like_variable(text):
            return Doubt(
                "it looks like a variable that no shell has replaced by its value",
                'give the key itself; in the config file, api_key_env = "NAME" names a variable that has it',
            )
        case "min_runway", timedelta() as runway if runway < SHORT_RUNWAY:
            hint = "m is for minutes; a runway is usually given in days, like 3d"
            return Doubt(f"{shortest(runway)} is less than an hour", hint, is_warning=False)
        case "on_low" | "on_recover", list() | tuple():
            return _doubt_of_command([str(word) for word in value])
        case _:
            return None


def doubts_of(settings: "Settings") -> Iterator[Doubt]:
    """Yield the doubts about the settings of a profile; each names the place where the setting stands.

    Commands in the file are left to `config check`, as their doubts would be repeated at every run.
    """
    named: list[tuple[str, object, str]] = [("min_runway", settings.min_runway.value, settings.min_runway.source)]
    named += [(name, *found) for name, found in settings.commands().items() if found.source.startswith("--")]
    for name, value, source in named:
        doubt = doubt_of(name, value)
        if doubt is not None:
            place = source if source.startswith("--") else f"{name} of {source}"
            yield doubt._replace(message=f"{place}: {doubt.message}")


def doubts_of_table(values: Mapping[str, object]) -> Iterator[tuple[str, Doubt]]:
    """Yield the doubts about a table of the config file, each with its name. The values must have been checked."""
    for name, value in values.items():
        read = parse_duration(value, name) if name == "min_runway" and isinstance(value, str) else value
        doubt = doubt_of(name, read)
        if doubt is not None:
            yield name, doubt._replace(message=f"{name}: {doubt.message}")


def _language(text: str) -> str | None:
    """Return the other language that a file is in, judged by its first line that is no comment."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if first.lstrip().startswith("{"):
        return "JSON"
    return "YAML" if re.match(r"---|%YAML|- |\s*[\w.\"'-]+\s*:(\s|$)", first) else None


def _example(text: str) -> str:
    """Return a line of TOML for the first known name in the file, with our own value, as theirs may be a key."""
    names = (name for name in re.findall(r"[a-z_]+", text) if name in EXAMPLES and name not in KEY_NAMES)
    name = next(names, "min")
    return f"{name} = {EXAMPLES[name]}"


def _profile_of(document: Mapping[str, Any]) -> str:
    """Return the profile to which a name outside of all profiles most likely belongs."""
    default, profiles = document.get("default_profile"), document.get("profiles")
    if isinstance(default, str):
        return default
    return str(next(iter(profiles))) if isinstance(profiles, dict) and profiles else "work"


def _doubt_of_command(words: Sequence[str]) -> Doubt | None:
    """Return a doubt about a command with a sign that only a shell understands, unless the command runs a shell."""
    if any(_is_shell(word) and any(map(_is_script, words[place:])) for place, word in enumerate(words, start=1)):
        return None
    sign = next(filter(None, (_sign_of(word, is_first=word is words[0]) for word in words)), None)
    if sign is None:
        return None
    return Doubt(
        f"no shell reads the command: {sign} is handed on as it is",
        'give it to a shell: \'sh -c "..."\' as an option, ["sh", "-c", "..."] in the config file',
    )


def _is_shell(word: str) -> bool:
    return re.split(r"[/\\]", word)[-1].lower() in _SHELLS


def _is_script(word: str) -> bool:
    """Tell whether the word is the option with which a shell runs the next word."""
    return re.fullmatch(r"-[a-z]*c|/c|-command", word.lower()) is not None


def _sign_of(word: str, *, is_first: bool) -> str | None:
    """Return the sign in a word that only a shell understands. A ; or | in a word with spaces may be text."""
    if _VARIABLE.search(word):
        return "$"
    if word in _OPERATORS:
        return word
    if is_first or not re.search(r"\s", word):
        return next((sign for sign in ";|" if sign in word), None)
    return None
