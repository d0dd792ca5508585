"""The config file in the documentation: examples are read, commands print a key, no name is left out."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.config import names
from apimart_cli.sandbox.server import Sandbox
from support.pages import DOCUMENTATION, SOURCES, Block, blocks_of, code_in, table
from support.running import KEY, Call, Write


@pytest.mark.parametrize("block", blocks_of("toml"), ids=str)
def test_the_config_examples_are_valid(block: Block, call: Call, write_config: Write) -> None:
    """`config check` finds no mistake in the config files of the pages, and reads each of their profiles."""
    write_config(block.text)
    ended = call("config", "check", "--json")
    report = json.loads(ended.stdout)
    assert (ended.code, report["problems"]) == (0, [])
    assert [profile["profile"] for profile in report["profiles"]] == list(tomllib.loads(block.text)["profiles"])


@pytest.mark.parametrize("profile", tomllib.loads(SOURCES)["profiles"])
def test_commands_that_print_a_key_work_as_the_page_writes_them(
    profile: str, call: Call, secrets: Path, sandbox: Sandbox, write_config: Write, environment: Mapping[str, str]
) -> None:
    """Each example asks its program in the way that the program understands, and what it prints is the key."""
    write_config(SOURCES)
    env = {"APIMART_BASE_URL": sandbox.url, "PATH": environment["PATH"]}
    ended = call("balance", "--profile", profile, "--output", "value", env=env)
    assert (ended.code, ended.stdout, ended.stderr) == (0, "10.5\n", "")


def test_every_place_of_a_key_is_explained() -> None:
    """By the name in the config file; of programs pass, 1Password, the macOS keychain and the keyring of a desktop."""
    chapter = DOCUMENTATION.split("### Where a profile keeps its key")[1].split("###")[0]
    assert re.findall(r"^- `(\w+)`:", chapter, re.MULTILINE) == list(names.KEY_NAMES)
    commands = [profile["api_key_command"][0] for profile in tomllib.loads(SOURCES)["profiles"].values()]
    assert commands == ["pass", "op", "security", "secret-tool"]


def test_a_key_file_lies_beside_the_config_file(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """A relative `api_key_file` starts at the folder of the config file, not at the current one."""
    assert "relative path starts at the folder of the config file" in " ".join(DOCUMENTATION.split())
    key_file = write_config('[profiles.a]\napi_key_file = "a.key"\n').parent / "a.key"
    key_file.write_text(KEY, encoding="utf-8")
    key_file.chmod(0o600)
    ended = call("check", "--profile", "a", "--min", "5", env={"APIMART_BASE_URL": sandbox.url})
    assert (ended.code, ended.stderr) == (0, "")


def test_every_name_of_the_config_file_is_documented() -> None:
    """The table of names has the names, types and places that the reader of the config file accepts."""
    words = {
        names.Kind.TEXT: "string", names.Kind.NUMBER: "number", names.Kind.SECONDS: "number or string",
        names.Kind.DURATION: "string",
        names.Kind.WORDS: "list of strings", names.Kind.FLAG: "true", names.Kind.SWITCH: "true or false",
    }  # fmt: skip
    expected = {
        "default_profile": ("string", "yes", "no"),
        "profiles": ("tables", "yes", "no"),
        **{name: (words[kind], "no", "yes") for name, kind in names.KEY_NAMES.items()},
        "background_keys": ("true or false", "no", "yes"),
        **{name: (words[kind], "yes", "yes") for name, kind in names.SHARED_NAMES.items()},
    }
    documented = {code_in(row[0])[0]: tuple(row[1:4]) for row in table("name").rows}
    assert documented == expected
