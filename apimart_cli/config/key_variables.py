"""The environment of what we start: no variable of it has a key in it.

For alert commands, commands that print a key, refreshes in the background, and programs that a library starts. Only
`run` and `sandbox` hand their command everything that they were given.
"""

import re
from collections.abc import Iterator, Mapping

from apimart_cli.config.file import ConfigFile, read_config
from apimart_cli.errors import ConfigError
from apimart_cli.keys.key import known_keys

LEAST_PIECE = 8
"""Fewest characters of a key that is looked for inside of other values. A shorter one is a word."""

_BETWEEN = re.compile(r"\s+|(?:\\[nrt])+|(?<=[0-9A-Fa-f]{2})[:,-](?=[0-9A-Fa-f]{2})")
"""White space, that of JSON, and what stands between the bytes of a list in hex."""

_FOR_URLS = str.maketrans("+/", "-_")

_HARMLESS = re.compile(
    r"HOME|PATH|PWD|SHELL|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|TMPDIR|XDG_[A-Z]+_(HOME|DIR)"
    r"|DISPLAY|WAYLAND_DISPLAY|DBUS_SESSION_BUS_ADDRESS|APIMART_(CONFIG|HISTORY|RECORD|SANDBOX)"
    r"|APPDATA|COMSPEC|LOCALAPPDATA|PATHEXT|SYSTEMROOT|TEMP|TMP|USERPROFILE|WINDIR"
)
"""Variables that hold no key, as far as their names tell."""


def environment_without_keys(
    environ: Mapping[str, str], config: ConfigFile | None = None, *, except_from: str | None = None
) -> dict[str, str]:
    """Return `environ` without the variables that have a key in them.

    Keys are: the values of APIMART_API_KEY and of each variable that a profile names, the keys in the config file, and
    all keys that this process has read, but for those that came from `except_from`. The config file is read, unless
    `config` says what is in it. Where it cannot be read, only variables are kept that are known to be harmless.
    """
    offered = environ
    try:
        profiles = list((read_config(environ) if config is None else config).profiles.values())
    except ConfigError:
        # It was changed since it was read: nothing tells any more in which variables its profiles have their keys.
        profiles = []
        offered = {name: value for name, value in environ.items() if _HARMLESS.fullmatch(name)}
    named = {"APIMART_API_KEY", *(str(profile["api_key_env"]) for profile in profiles if "api_key_env" in profile)}
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


def _words(key: str) -> Iterator[str]:
    """Yield a key, and what it is without the quotes and the `Bearer` that people copy along with it."""
    yield from {key, *re.split(r"[\s'\"`]+", key)} - {""}


def _forms(key: str) -> Iterator[str]:
    """Yield a key as other variables may have it: plain, in hex, and in either base64, as in a Basic login."""
    from base64 import b64encode

    raw = key.encode("utf-8", "surrogateescape")
    yield from (key, raw.hex(), raw.hex().upper())
    for before in range(3):
        # Without the characters that share their bits with what stands around the key.
        encoded = b64encode(b"\0" * before + raw).decode()[(0, 2, 3)[before] :].rstrip("=")[:-1]
        yield from (encoded, encoded.translate(_FOR_URLS))


def _views(value: str) -> set[str]:
    """Return a value as it is, and without what may stand between the characters of a key in it.

    That is percent-encoding, of some characters or of all, and white space: `base64` breaks its lines at 76 characters,
    and an address or JSON hides the break once more.
    """
    from urllib.parse import unquote

    plain = unquote(value, errors="surrogateescape")
    return {value, plain, *(_BETWEEN.sub("", view) for view in (value, plain))}
