"""Which variables hold a key, as far as the config file tells: what is run for the user need not have them."""

from collections.abc import Collection, Iterable, Mapping

from apimart_cli.config.file import read_config
from apimart_cli.errors import ConfigError

LEAST_PIECE = 8
"""Characters that a key has at the least for being looked for inside of other values: a shorter one is a word."""


def key_variables(environ: Mapping[str, str], keys: Iterable[str]) -> Collection[str]:
    """Return the names of the variables that hold a key: one of `keys`, or one of any profile of the config file.

    Those that a profile names are among them, and those whose value has a key in it.
    """
    try:
        profiles = list(read_config(environ).profiles.values())
    except ConfigError:
        # It was changed since it was read; the keys in use are known all the same.
        profiles = []
    named = {"APIMART_API_KEY", *(str(profile["api_key_env"]) for profile in profiles if "api_key_env" in profile)}
    known = {*keys, *(str(profile["api_key"]) for profile in profiles if "api_key" in profile)} - {""}
    return named | {name for name, value in environ.items() if any(_holds(value, key) for key in known)}


def _holds(value: str, key: str) -> bool:
    return key in value if len(key) >= LEAST_PIECE else value == key
