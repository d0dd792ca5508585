"""The names of the config file: which there are, their types, and where they may stand. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from apimart_cli.errors import UsageError

Types = tuple[type, ...]

TEXT: Types = (str,)

NUMBER: Types = (int, Decimal)

WORDS: Types = (list,)

FLAG: Types = (bool,)

TABLE: Types = (dict,)

SHARED_NAMES: Mapping[str, Types] = {
    "base_url": TEXT,
    "timeout": NUMBER,
    "scope": TEXT,
    "unit": TEXT,
    "min": NUMBER,
    "max_used": NUMBER,
}
"""Settings that may stand in a profile or at the top level of the file, with their types."""

KEY_NAMES: Mapping[str, Types] = {
    "api_key": TEXT,
    "api_key_env": TEXT,
    "api_key_file": TEXT,
    "api_key_command": WORDS,
    "api_key_keyring": FLAG,
}
"""Where a profile's key comes from; a profile has at most one of them. Never at the top level: a key that every
profile falls back to would be asked about by mistake."""

STORED_NAMES = ("api_key", "api_key_keyring")
"""Where `login` keeps a key."""

TOP_LEVEL_NAMES: Mapping[str, Types] = {"default_profile": TEXT, "profiles": TABLE, **SHARED_NAMES}

PROFILE_NAMES: Mapping[str, Types] = {**KEY_NAMES, **SHARED_NAMES}

TYPE_WORDS: Mapping[Types, str] = {
    TEXT: "a string",
    NUMBER: "a number",
    WORDS: "a list of strings",
    FLAG: "true",
    TABLE: "a table",
}

TYPE_EXAMPLES: Mapping[Types, str] = {
    TEXT: 'write it in quotes: {name} = "..."',
    NUMBER: "write a number without quotes, like {name} = 5",
    WORDS: 'write each word in quotes: {name} = ["pass", "show", "apimart"]',
    FLAG: "write {name} = true, or leave it out",
    TABLE: "write a profile as [profiles.work]",
}


def require_name(name: str, *, in_profile: bool) -> Types:
    """Return the types of `name`; raise UsageError when it may not stand there."""
    names = PROFILE_NAMES if in_profile else {**SHARED_NAMES, "default_profile": TEXT}
    if name in names:
        return names[name]
    if name in PROFILE_NAMES:
        raise UsageError(f"{name} belongs to a profile", "name one with --profile")
    raise UsageError(f"there is no setting {name!r}", f"known names: {', '.join(names)}{suggestion(name, names)}")


def has_type(value: Any, types: Types) -> bool:
    """Tell whether a value of the file has one of these types."""
    if types is FLAG:
        return value is True
    if types is WORDS:
        return isinstance(value, list) and bool(value) and all(isinstance(word, str) and word for word in value)
    return isinstance(value, types) and not isinstance(value, bool)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return words that follow a list of known names: the one that is most like `name`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
