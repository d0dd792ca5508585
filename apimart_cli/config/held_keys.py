"""All keys that variables and the config file hold: an environment without them, and those to look for in texts.

Alert commands, commands that print a key, refreshes in the background, and programs that a library starts get that
environment. Only `run` and `sandbox` give their command all the variables that they were given.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from apimart_cli.config.file import ConfigFile, read_config
from apimart_cli.config.names import KEY_VARIABLE
from apimart_cli.config.settings import Settings
from apimart_cli.errors import AuthError, ConfigError
from apimart_cli.keys.key import ApiKey, GivenKey, known_keys

LEAST_PIECE = 8
"""Fewest characters of a key that is searched for inside of other values. A shorter one may be an ordinary word."""

_BETWEEN = re.compile(r"\s+|(?:\\[nrt])+|(?<=[0-9A-Fa-f]{2})[:,-](?=[0-9A-Fa-f]{2})")
"""What may stand between the characters of a key: white space, its escapes in JSON, separators between hex bytes."""

_FOR_URLS = str.maketrans("+/", "-_")

_HARMLESS = re.compile(
    r"HOME|PATH|PWD|SHELL|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|TMPDIR|XDG_[A-Z]+_(HOME|DIR)"
    r"|DISPLAY|WAYLAND_DISPLAY|DBUS_SESSION_BUS_ADDRESS|APIMART_(CONFIG|HISTORY|RECORD|SANDBOX)"
    r"|APPDATA|COMSPEC|LOCALAPPDATA|PATHEXT|SYSTEMROOT|TEMP|TMP|USERPROFILE|WINDIR"
)
"""Variables that hold no key, judged by their names."""


def environment_without_keys(
    environ: Mapping[str, str], config: ConfigFile | None = None, *, except_from: str | None = None
) -> dict[str, str]:
    """Return `environ` without the variables that have a key in them.

    Keys are: the values of APIMART_API_KEY and of each variable that a profile names, the keys in the config file, and
    all keys that this process has read, except those that came from `except_from`. The config file is read, unless it
    is given as `config`. If it cannot be read, only variables that are known to be harmless are kept.
    """
    offered = environ
    try:
        profiles = list((read_config(environ) if config is None else config).profiles.values())
    except ConfigError:
        # It was changed since it was read, so it is not known any more which variables its profiles name.
        profiles = []
        offered = {name: value for name, value in environ.items() if _HARMLESS.fullmatch(name)}
    named = {KEY_VARIABLE, *(str(profile["api_key_env"]) for profile in profiles if "api_key_env" in profile)}
    keys = {
        *(environ.get(name, "") for name in named),
        *(str(profile["api_key"]) for profile in profiles if "api_key" in profile),
        *known_keys(except_from=except_from),
    }
    words = {word for key in keys for word in _words(key)}
    long = {form for word in words if len(word) >= LEAST_PIECE for form in _forms(word)}
    return {
        name: value
        for name, value in offered.items()
        if name not in named and value not in words and not any(form in view for view in _views(value) for form in long)
    }


def keys_at_hand(settings: Settings | None, environ: Mapping[str, str]) -> list[ApiKey]:
    """Return the keys that can be known without asking a command, a keyring or a person, to look for them in texts.

    These are that of `settings`, those in the config file, and those in variables that hold one.
    """
    found: list[ApiKey] = []
    if settings is not None and isinstance(settings.api_key.value, GivenKey):
        found.append(settings.api_key.value.key)
    texts = [environ.get(KEY_VARIABLE, "")]
    with suppress(ConfigError):
        for profile in read_config(environ).profiles.values():
            texts += [str(profile.get("api_key", "")), environ.get(str(profile.get("api_key_env", "")), "")]
    for text in texts:
        with suppress(AuthError):
            found.append(ApiKey(text, source="a text that is looked for"))
    return found


def _words(key: str) -> Iterator[str]:
    """Yield a key, and the key without quotes and without a `Bearer` that was copied with it."""
    yield from {key, *re.split(r"[\s'\"`]+", key)} - {""}


def _forms(key: str) -> Iterator[str]:
    """Yield the forms of a key that other variables may hold: plain, hex, and both kinds of base64 (a Basic login)."""
    from base64 import b64encode

    raw = key.encode("utf-8", "surrogateescape")
    yield from (key, raw.hex(), raw.hex().upper())
    for before in range(3):
        # Without the characters at both ends, which depend on the text around the key.
        encoded = b64encode(b"\0" * before + raw).decode()[(0, 2, 3)[before] :].rstrip("=")[:-1]
        yield from (encoded, encoded.translate(_FOR_URLS))


def _views(value: str) -> set[str]:
    """Return a value as it is, and without what may separate or hide the characters of a key in it.

    That is percent-encoding, and white space: `base64` breaks its lines after 76 characters, and an address or JSON
    may encode that line break once more.
    """
    from urllib.parse import unquote

    plain = unquote(value, errors="surrogateescape")
    return {value, plain, *(_BETWEEN.sub("", view) for view in (value, plain))}
