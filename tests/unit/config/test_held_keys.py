"""The environment of what is started: no variable with a key in it, and few where the config file cannot be read."""

import base64
import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from apimart_cli.config.file import ConfigFile
from apimart_cli.config.held_keys import environment_without_keys
from apimart_cli.keys.key import ApiKey
from support.running import KEY, Write

OTHER = "sk-Other-Jh5Tr8Wq2Zx6?"

SIGNS = "sk-~~~???>>>~~~???>>>"
"""In base64, it has the characters that are others in an address."""

CONFIG = ConfigFile(
    Path("config.toml"),
    profiles={"a": {"api_key_env": "NAMED"}, "b": {"api_key": "sk-stored-1234567"}, "c": {"api_key_env": "ABSENT"}},
)


PLAIN = {"PART": "sk-stored-123456", "UNKNOWN": "sk-unknown-987654321"}


def kept(config: ConfigFile = CONFIG, **variables: str) -> set[str]:
    return set(environment_without_keys(variables, config))


@pytest.mark.parametrize("name", ["APIMART_API_KEY", "NAMED"])
def test_the_value_of_a_variable_for_keys_counts_wherever_it_stands(name: str) -> None:
    """Of whichever profile, as the keys of the file do: the variable goes, and each that has its value in it."""
    found = kept(**{name: KEY, "ALSO": f"Bearer_{KEY}", "SAME": KEY, "STORED": "x sk-stored-1234567", **PLAIN})
    assert found == PLAIN.keys()


def test_a_key_that_was_read_counts_while_it_is_in_use() -> None:
    """Once it is gone, it is not known any more."""
    key = ApiKey(OTHER, source="standard input")
    assert kept(COPY=f"x{OTHER}", SAME=OTHER) == set()
    del key
    assert kept(COPY=f"x{OTHER}", SAME=OTHER) == {"COPY", "SAME"}


def test_what_a_source_gave_itself_does_not_count_for_it() -> None:
    """A command that makes its key of a variable needs that variable each time that it is run."""
    key = ApiKey(OTHER, source="the command")
    variables = {"COPY": OTHER}
    assert environment_without_keys(variables, CONFIG, except_from="the command") == variables
    assert environment_without_keys(variables, CONFIG, except_from="another command") == {}
    del key


LOGIN = f"Authorization: Basic {'x' * 30}:{OTHER}{OTHER}{OTHER}"


@pytest.mark.parametrize(
    "value",
    [
        quote(OTHER),
        f"https://me:{quote(OTHER, safe='')}@host",
        *(base64.b64encode(f"{user}:{OTHER}x".encode()).decode() for user in ("", "a", "ab")),
        *(base64.b64encode(f"{user}:{OTHER}".encode()).decode() for user in ("", "a", "ab")),
        base64.b64encode(OTHER.encode()).decode().rstrip("="),
        *(base64.encodebytes(LOGIN[start:].encode()).decode() for start in range(0, 40, 4)),
        base64.encodebytes(LOGIN.encode()).decode().replace("\n", "\r\n"),
        json.dumps(base64.encodebytes(LOGIN.encode()).decode()),
        quote(base64.encodebytes(LOGIN.encode()).decode(), safe=""),
        *(base64.urlsafe_b64encode(f"{user}{SIGNS}".encode()).decode() for user in ("", "a", "ab")),
        OTHER.encode().hex(),
        OTHER.encode().hex().upper(),
        f"0x00{OTHER.encode().hex()}0a",
        OTHER.encode().hex(":"),
        OTHER.encode().hex(" "),
        OTHER.encode().hex("\n", 16),
        "".join(f"%{each:02x}" for each in OTHER.encode()),
        "".join(f"%{each:02X}" for each in f"Bearer {OTHER}".encode()),
    ],
)
def test_an_encoded_key_counts(value: str) -> None:
    """As `base64`, `xxd -p` and every encoder of addresses write it: broken up into lines, or each byte encoded."""
    named = {"APIMART_API_KEY": OTHER, "NAMED": SIGNS}
    assert kept(**named, ALSO=value, PLAIN="sk-unknown-987654321 73:6b 736b %73%6b") == {"PLAIN"}


@pytest.mark.parametrize("value", [f'"{KEY}"', f"Bearer {KEY}", f" {KEY}\n", f"Authorization: Bearer '{KEY}'"])
def test_a_key_that_was_copied_with_more_than_itself_counts(value: str) -> None:
    """It is refused as a key, and is one all the same."""
    assert kept(APIMART_API_KEY=value, ALSO=f"x{KEY}", PLAIN="x") == {"PLAIN"}


def test_a_short_key_is_compared_whole() -> None:
    """Else a word would take variables away that have nothing to do with it, and an empty one all of them."""
    assert kept(APIMART_API_KEY="sk-s", SAME="sk-s", WITH_SHORT="task-sets", NAMED="", EMPTY="") == {
        "WITH_SHORT",
        "EMPTY",
    }


@pytest.mark.parametrize("text", ["[profiles.a]\napi_key_env = 'OTHER", "[profiles.a]\nunknown = 1\n"])
def test_a_file_that_cannot_be_read_any_more_costs_variables(write_config: Write, text: str) -> None:
    """Nothing tells which ones hold a key: those stay that never do, as long as they have none in them."""
    write_config(text)
    environ = {**os.environ, "OTHER": KEY, "TOKEN": "x", "LC_ALL": "C", "LANG": "de", "PATH": "/bin", "TERM": f"x{KEY}"}
    found = environment_without_keys({**environ, "APIMART_API_KEY": KEY})
    assert {"OTHER", "TOKEN", "TERM", "APIMART_API_KEY"}.isdisjoint(found)
    assert (found["PATH"], found["LC_ALL"], found["LANG"]) == ("/bin", "C", "de")
