"""`apimart profiles`: which there are, which is in use, and giving one another name."""

import json
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.config.rewriting import renamed
from apimart_cli.errors import ConfigError
from support.running import KEY, KEY_ID, Call, Run, Write

FILE = f"""\
default_profile = "work"

[profiles.work]
api_key = "{KEY}"
[profiles.client]
api_key_command = ["sh", "-c", "touch was-run"]
base_url = "https://gw.example:8443/v1"
[profiles.vault]
api_key_keyring = true
[profiles."my 元"]
api_key_env = "CI_KEY"
[profiles.bare]
[profiles.broken]
timeout = 0
"""
LISTED = f"""\
  Profile  Key from            Key id        Host
* work     api_key             {KEY_ID}  api.apimart.ai
  client   api_key_command sh  -             gw.example:8443
  vault    api_key_keyring     -             api.apimart.ai
  my 元    api_key_env CI_KEY  -             api.apimart.ai
  bare     none                -             api.apimart.ai
  broken   broken              -             -
"""


def test_the_profiles_are_listed_with_the_one_in_use(call: Call, write_config: Write, tmp_path: Path) -> None:
    """Where each key comes from, its id where that costs nothing, and its host; no command is run for it."""
    write_config(FILE)
    assert call("profiles", columns=60).stdout.replace("\r\n", "\n") == LISTED
    assert max(len(line) for line in LISTED.splitlines()) <= 60
    assert not (tmp_path / "was-run").exists()


def test_the_profiles_are_listed_as_json(call: Call, write_config: Write) -> None:
    """One object a profile; what is not known is null."""
    write_config(FILE)
    ended = call("profiles", "--json", env={"CI_KEY": KEY})
    assert ended == call("profiles", "-o", "json", env={"CI_KEY": KEY})
    documents = [json.loads(line) for line in ended.stdout.splitlines()]
    common: dict[str, Any] = {"schema": 1, "host": "api.apimart.ai", "active": False}
    assert (ended.code, ended.stderr, len(documents)) == (0, "", 6)
    assert documents[0] == {**common, "profile": "work", "key_source": "api_key", "key_id": KEY_ID, "active": True}
    assert documents[3] == {**common, "profile": "my 元", "key_source": "api_key_env CI_KEY", "key_id": KEY_ID}


def test_the_one_in_use_has_a_star(call: Call, write_config: Write) -> None:
    """As `balance` would find it; where the variable names none of them, none has it."""
    write_config(FILE)
    for name, starred in (("client", ["client"]), ("gone", [])):
        lines = call("profiles", env={"APIMART_PROFILE": name}).stdout.splitlines()
        assert [line.split()[1] for line in lines if line.startswith("*")] == starred


def test_a_list_without_a_default_one_says_how_to_make_one(call: Call, write_config: Write) -> None:
    """Among several none is in use by itself."""
    write_config(FILE.replace('default_profile = "work"', ""))
    listed = call("profiles")
    assert "*" not in listed.stdout
    assert listed.stderr == (
        "apimart: note: none of them is the default profile\nhint: make one: apimart config set default_profile NAME\n"
    )


def test_an_empty_list_says_how_to_begin(call: Call, config: Path) -> None:
    """Nothing on standard output, exit 0."""
    told = f"apimart: note: there is no profile in {config}\nhint: store a key with: apimart login --profile NAME\n"
    assert call("profiles") == (0, "", told)


WRITTEN = """\
# Mine.
default_profile = 'work'  # the usual one

[profiles.work]  # at the bank
min = 5.00

# Another.
[ profiles . "the work" ]
unit = "work"
[profiles.workshop]
"""


def test_a_renamed_profile_is_the_same_profile(run: Run, write_config: Write) -> None:
    """Comments, order and digits stay, and the default one stays the default one."""
    path = write_config(WRITTEN)
    ended = run("profiles", "rename", "work", "at home")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == f"apimart: note: profile work is called at home now, in {path}\n"
    assert path.read_text() == WRITTEN.replace("'work'", '"at home"').replace("[profiles.work]", '[profiles."at home"]')


@pytest.mark.parametrize(("text", "after"), [
    ("[profiles.work]\n", "[profiles.new]\n"),
    ("[profiles.'work']\nmin = 1\n", "[profiles.new]\nmin = 1\n"),
    ('[profiles."wor\\u006b"]\nmin = 1\n', "[profiles.new]\nmin = 1\n"),
    ('["profiles".work]\r\nmin = 1\r\n', '["profiles".new]\r\nmin = 1\r\n'),
    ("profiles.work.min = 1\nprofiles.work.unit = 'work'\n", "profiles.new.min = 1\nprofiles.new.unit = 'work'\n"),
    ("[profiles]\nwork.min = 1\nother.min = 2\n", "[profiles]\nnew.min = 1\nother.min = 2\n"),
    ("[profiles]\nwork = { min = 1 }\n", "[profiles]\nnew = { min = 1 }\n"),
    ("[profiles.work]\nunit = '''\n[profiles.work]\n'''\n", "[profiles.new]\nunit = '''\n[profiles.work]\n'''\n"),
])  # fmt: skip
def test_a_profile_is_renamed_however_it_is_written(text: str, after: str) -> None:
    """As a table, as dotted names, or as a value; texts that look like it are left alone."""
    assert renamed(text, "work", "new", Path("c.toml")) == after


def test_what_cannot_be_renamed_safely_is_left_as_it_was() -> None:
    """A file that is one big value is changed in an editor."""
    with pytest.raises(ConfigError, match="cannot be changed safely"):
        renamed("profiles = { work = { min = 1 } }\n", "work", "new", Path("c.toml"))


@pytest.mark.parametrize(("names", "message"), [
    (("wrok", "new"),
     "there is no profile 'wrok' in {path}\nhint: did you mean work? choose one of: work, the work, workshop"),
    (("work", "workshop"), "there is a profile 'workshop' already in {path}\nhint: choose another name\n"),
    (("work", ""), "NEW is empty\n"),
    (("work", "a\nb"), "NEW: 'a\\x0ab' cannot name a profile\n"),
])  # fmt: skip
def test_names_that_cannot_be_are_refused(
    call: Call, write_config: Write, names: tuple[str, str], message: str
) -> None:
    """Exit 2, and the file as it was: no profile is ever written over."""
    path = write_config(WRITTEN)
    refused = call("profiles", "rename", *names)
    assert (refused.code, refused.stdout, path.read_text()) == (2, "", WRITTEN)
    assert refused.stderr.startswith(f"apimart: error: {message.format(path=path)}")


PLAINTEXT = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}
IN_KEYRING = "[profiles.work]\napi_key_keyring = true\n"


def test_a_key_in_the_keyring_is_never_written_over(run: Run, write_config: Write) -> None:
    """A key that is kept for the new name belongs to another config file."""
    env = {**PLAINTEXT, "APIMART_BASE_URL": "http://127.0.0.1:1"}
    for name in ("work", "home"):
        assert run("login", "--keyring", "--no-verify", "-p", name, input=KEY, env=env).returncode == 0
    path = write_config(IN_KEYRING)
    refused = run("profiles", "rename", "work", "home", env=PLAINTEXT)
    assert (refused.returncode, path.read_text()) == (4, IN_KEYRING)
    assert "apimart: error: the keyring (profile home) keeps a key already\n" in refused.stderr
