"""The names of the config file: which there are, what their values are, and where they may stand. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum

from apimart_cli.errors import UsageError
from apimart_cli.text import shell_word


class Kind(Enum):
    """What kind of value a name has, and how to correct another one."""

    TEXT = "a string", "write it in quotes: {name} = {example}"
    NUMBER = "a number", "write a number without quotes, like {name} = {example}"
    SECONDS = "a number of seconds, or a duration in quotes", 'write {name} = {example}, or {name} = "{example}s"'
    DURATION = "a duration in quotes", "write a number and a unit in quotes: {name} = {example}"
    WORDS = "a list of strings", "write each word in quotes: {name} = {example}"
    FLAG = "true", "write {name} = true, or leave it out"
    SWITCH = "true or false", "write {name} = true, without quotes"
    TABLE = "a table", "write a profile as [profiles.work]"

    def __init__(self, words: str, advice: str) -> None:
        self.words = words
        self._advice = advice

    def hint(self, name: str, value: object) -> str:
        """Return how to write `name`, which has a value of another kind."""
        example = EXAMPLES.get(name, "")
        if self is Kind.DURATION and isinstance(value, int | Decimal) and not isinstance(value, bool):
            # The number that was written, with the unit of the example.
            example = f'"{value}{example[-2]}"'
        return self._advice.format(name=name, example=example)

    def fits(self, value: object) -> bool:
        """Tell whether a value of the file is of this kind."""
        match self, value:
            case (Kind.TEXT | Kind.DURATION | Kind.SECONDS, str()) | (Kind.TABLE, dict()):
                return True
            case Kind.NUMBER | Kind.SECONDS, int() | Decimal():
                # To Python, true is a number.
                return not isinstance(value, bool)
            case Kind.WORDS, [_, *_]:
                return all(isinstance(word, str) and word for word in value)
            case Kind.FLAG, _:
                return value is True
            case Kind.SWITCH, bool():
                return True
            case _:
                return False


SHARED_NAMES: Mapping[str, Kind] = {
    "base_url": Kind.TEXT,
    "timeout": Kind.SECONDS,
    "scope": Kind.TEXT,
    "unit": Kind.TEXT,
    "min": Kind.NUMBER,
    "max_used": Kind.NUMBER,
    "min_runway": Kind.DURATION,
    "max_spent": Kind.NUMBER,
    "within": Kind.DURATION,
    "on_low": Kind.WORDS,
    "on_recover": Kind.WORDS,
    "on_stop": Kind.WORDS,
    "rearm": Kind.NUMBER,
    "remind": Kind.DURATION,
    "record": Kind.SWITCH,
    "books": Kind.SWITCH,
}
"""Settings that may stand in a profile or at the top level of the file."""

KEY_NAMES: Mapping[str, Kind] = {
    "api_key": Kind.TEXT,
    "api_key_env": Kind.TEXT,
    "api_key_file": Kind.TEXT,
    "api_key_command": Kind.WORDS,
    "api_key_keyring": Kind.FLAG,
}
"""Where the key of a profile comes from; a profile has at most one of them. They never stand at the top level: other
profiles would then use that key by mistake."""

KEY_VARIABLE, KEY_FILE_VARIABLE = KEY_VARIABLES = ("APIMART_API_KEY", "APIMART_API_KEY_FILE")
"""The variables that give the key, or the path of its file, if no option and no named profile does."""

DEFAULT_PROFILE = "default"
"""The profile that is used if none is named and the file has none or several; it need not exist."""

STORED_NAMES = ("api_key", "api_key_keyring")
"""Where `login` keeps a key."""

TOP_LEVEL_NAMES: Mapping[str, Kind] = {"default_profile": Kind.TEXT, "profiles": Kind.TABLE, **SHARED_NAMES}

PROFILE_NAMES: Mapping[str, Kind] = {**KEY_NAMES, "background_keys": Kind.SWITCH, **SHARED_NAMES}


EXAMPLES: Mapping[str, str] = {
    "default_profile": '"work"',
    "base_url": '"https://api.apimart.ai"',
    "timeout": "10",
    "scope": '"spendable"',
    "unit": '"USD"',
    "min": "5",
    "max_used": "100",
    "min_runway": '"3d"',
    "max_spent": "5",
    "within": '"24h"',
    "on_low": '["mail", "-s", "the balance is low", "you@example.com"]',
    "on_recover": '["mail", "-s", "enough is left again", "you@example.com"]',
    "rearm": "1.2",
    "remind": '"24h"',
    "api_key": '"sk-..."',
    "api_key_env": '"WORK_KEY"',
    "api_key_file": '"work.key"',
    "api_key_command": '["pass", "show", "apimart"]',
}
"""An example value for each name, as it is written in the file."""


def require_name(name: str, *, in_profile: bool) -> Kind:
    """Return the kind of `name`. Raises UsageError if it may not stand in a profile, or at the top level."""
    names = PROFILE_NAMES if in_profile else {**SHARED_NAMES, "default_profile": Kind.TEXT}
    if name in names:
        return names[name]
    if name in PROFILE_NAMES:
        raise UsageError(f"{name} belongs to a profile", "name one with --profile")
    profile, dot, own = name.removeprefix("profiles.").rpartition(".")
    if dot and own in PROFILE_NAMES:
        option = f"-p {shell_word(profile)}"
        hint = f"name the profile apart: {own} {option}" if own != "api_key" else f"store it: apimart login {option}"
        raise UsageError(f"there is no setting {name!r}", hint)
    raise UsageError(f"there is no setting {name!r}", suggestion(name, names, f"use one of: {', '.join(names)}"))


def suggestion(name: str, known: Iterable[str], listing: str) -> str:
    """Return a hint for an unknown name: first the known name that is most like it, if there is one, then `listing`."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}? {listing}" if close else listing


def toml_name(name: str) -> str:
    """Return a name as TOML has it between dots: quoted if it must be."""
    import json
    import re

    # A name without hidden characters is escaped in JSON as it is in TOML.
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
