"""`apimart config`: what is in force, where it is written, how it is changed, and what is wrong with it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.config.names import KEY_NAMES, PROFILE_NAMES
from support.running import KEY, KEY_ID, Call, Run, Write

FILE = f"""\
default_profile = "work"
timeout = 20

[profiles.work]
api_key = "{KEY}"
unit = "USD"
min = 5.00

[profiles.vault]
api_key_command = ["sh", "-c", "touch was-run"]
scope = "both"
base_url = "https://gateway.example/v1/"
"""


def test_the_settings_of_one_profile_are_shown_with_their_sources(call: Call, write_config: Write, home: Path) -> None:
    """A row a setting; of the key only its length and its id."""
    path = write_config(FILE)
    shown = call("config", "show", "--timeout", "1.50", env={"APIMART_BASE_URL": "http://localhost:1"})
    assert (shown.code, shown.stderr) == (0, "")
    assert [tuple(re.split(r" {2,}", line)) for line in shown.stdout.splitlines()] == [
        ("profile", "work", f"default_profile in {path}"),
        ("api_key", f"set, {len(KEY)} characters", f"profile work in {path}"),
        ("key_id", KEY_ID, f"profile work in {path}"), ("base_url", "http://localhost:1", "APIMART_BASE_URL"),
        ("timeout", "1.5", "--timeout"), ("scope", "key", "default"), ("unit", "USD", f"profile work in {path}"),
        ("min", "5.00", f"profile work in {path}"), ("max_used", "-", "default"), ("min_runway", "-", "default"),
        ("max_spent", "-", "default"), ("within", "-", "default"),
        ("on_low", "-", "default"), ("on_recover", "-", "default"), ("on_stop", "-", "default"),
        ("rearm", "1.2", "default"), ("remind", "-", "default"), ("record", "false", "APIMART_RECORD"),
        ("history", str(home / ".local" / "state" / "apimart" / "history.db"), "default"),
        ("books", "false", "APIMART_BOOKS"),
        ("background_keys", "false", "default"),
    ]  # fmt: skip


def test_every_setting_of_the_file_is_shown(call: Call, write_config: Write) -> None:
    """Each name that the file knows; where the key comes from stands beside `api_key`."""
    write_config(FILE)
    shown = {line.split()[0] for line in call("config", "show").stdout.splitlines()}
    assert shown >= (PROFILE_NAMES.keys() - KEY_NAMES.keys()) | {"profile", "api_key", "history"}


def test_the_settings_of_several_profiles_are_shown_apart(call: Call, write_config: Write, tmp_path: Path) -> None:
    """An empty line between them, in the order asked; no command is run for it."""
    write_config(FILE)
    for arguments in (("--all-profiles",), ("-p", "work", "--profile", "vault")):
        shown = call("config", "show", *arguments)
        work, vault = shown.stdout.split("\n\n")
        assert shown.code == 0
        assert work.startswith("profile          work ")
        assert vault.startswith("profile          vault ")
        source = "from the command sh, which is not run here  api_key_command of profile vault in "
        assert f"api_key          {source}" in vault
    assert not (tmp_path / "was-run").exists()


def test_the_settings_as_json_are_one_document_a_profile(call: Call, write_config: Write, tmp_path: Path) -> None:
    """Each setting with its value and its source; the id of a key where no command has to be run for it."""
    path = write_config(FILE)
    shown = call("config", "show", "--all-profiles", "--json")
    assert shown == call("config", "show", "--all-profiles", "-o", "json")
    work, vault = (json.loads(line) for line in shown.stdout.splitlines())
    assert work["schema"] == vault["schema"] == 1
    assert work["settings"]["min"] == {"value": "5.00", "source": f"profile work in {path}"}
    assert vault["settings"]["profile"] == {"value": "vault", "source": "--all-profiles"}
    assert vault["settings"]["base_url"]["value"] == "https://gateway.example"
    assert vault["settings"]["timeout"] == {"value": "20", "source": f"{path}"}
    assert vault["settings"]["unit"] == {"value": None, "source": "default"}
    assert [each["settings"]["key_id"]["value"] for each in (work, vault)] == [KEY_ID, None]
    assert "Zq7W" not in shown.stdout
    assert not (tmp_path / "was-run").exists()


def test_a_file_that_others_can_read_is_warned_about(call: Call, write_config: Write) -> None:
    """Showing is not gating: the settings are there all the same."""
    path = write_config(FILE, mode=0o644)
    shown = call("config", "show")
    assert shown.code == 0
    assert shown.stderr == (
        f"apimart: warning: {path} holds a key and other users can read it\nhint: run: chmod 600 {path}\n"
    )


def test_the_path_is_told_whether_the_file_exists_or_not(call: Call, config: Path, tmp_path: Path) -> None:
    """For an editor: `$EDITOR "$(apimart config path)"`."""
    assert call("config", "path") == (0, f"{config}\n", "")
    document = {"schema": 1, "path": str(config), "source": "default", "exists": False}
    assert json.loads(call("config", "path", "--json").stdout) == document
    other = tmp_path / "other.toml"
    other.write_text("")
    named = call("config", "path", "--json", env={"APIMART_CONFIG": str(other)})
    assert json.loads(named.stdout) == {"schema": 1, "path": str(other), "source": "APIMART_CONFIG", "exists": True}


@pytest.mark.parametrize(("arguments", "line"), [
    (("base_url", "https://gateway.example/v1/"), 'base_url = "https://gateway.example/v1/"'),
    (("timeout", "2.50"), "timeout = 2.50"), (("scope", "both"), 'scope = "both"'), (("unit", "¥"), 'unit = "¥"'),
    (("min", "007.50"), "min = 7.50"), (("max_used", "000"), "max_used = 0"),
    (("api_key_env", "CI_KEY", "-p", "work"), 'api_key_env = "CI_KEY"'),
    (("api_key_file", "~/key", "-p", "work"), 'api_key_file = "~/key"'),
    (("api_key_command", "pass show 'a b'", "-p", "work"), 'api_key_command = ["pass", "show", "a b"]'),
    (("api_key_keyring", "true", "-p", "work"), "api_key_keyring = true"),
])  # fmt: skip
def test_every_documented_name_can_be_set_and_unset(
    call: Call, config: Path, arguments: tuple[str, ...], line: str
) -> None:
    """At the top level or in a profile; the file is made, and reads as it was said. Numbers keep their digits."""
    header = "[profiles.work]\n" if len(arguments) > 2 else ""
    told = f"{arguments[0]} of profile work" if header else arguments[0]
    created = ("--create",) if len(arguments) > 2 else ()
    assert call("config", "set", *arguments, *created) == (0, "", f"apimart: note: {told} is set in {config}\n")
    assert config.read_text() == f"{header}{line}\n"
    assert call("config", "check").code == 0
    unset = call("config", "unset", arguments[0], *arguments[2:])
    assert unset == (0, "", f"apimart: note: {told} is removed from {config}\n")
    assert config.read_text() == header
    unset = call("config", "unset", arguments[0], *arguments[2:])
    assert unset == (0, "", f"apimart: note: {told} was not set in {config}\n")


def test_the_default_profile_can_be_set_where_it_exists(call: Call, write_config: Write) -> None:
    """And nothing else in the file changes."""
    path = write_config(FILE)
    assert call("config", "set", "default_profile", "vault").code == 0
    assert path.read_text() == FILE.replace('default_profile = "work"', 'default_profile = "vault"')
    assert call("config", "unset", "default_profile").code == 0
    assert path.read_text() == FILE.partition("\n")[2]


@pytest.mark.parametrize(("arguments", "message", "hint"), [
    (("mni", "5"), "there is no setting 'mni'", "did you mean min? use one of: base_url, "),
    (("profiles", "x"), "there is no setting 'profiles'", "use one of: base_url, timeout, "),
    (("apikey_env", "X", "-p", "work"), "there is no setting 'apikey_env'", "did you mean api_key_env? use one of: "),
    (("default_profile", "x", "-p", "work"), "there is no setting 'default_profile'", "use one of: "),
    (("api_key_env", "X"), "api_key_env belongs to a profile", "name one with --profile"),
    (("api_key", KEY), "api_key belongs to a profile", "name one with --profile"),
    (("api_key", KEY, "-p", "work"), "a key on the command line is visible to others", "apimart login"),
    (("min", "abc"), "min: 'abc' is not an amount: it is not a plain decimal number", "like 5 or 0.25"),
    (("min", ""), "min is empty", "config unset min"),
    (("min", KEY), "min: 'sk-...' is not an amount", "like 5 or 0.25"),
    (("timeout", "0"), "timeout: the time limit must be more than 0", "give a number like 10"),
    (("scope", "all"), "scope: 'all' is not a scope", "give key, account, both or spendable"),
    (("unit", "a\x1b[31m"), "unit: 'a\\x1b[31m' is not a unit", "give a short word like USD"),
    (("base_url", "http://gateway.example"), "base_url: the base URL would send the key unencrypted", "use https"),
    (("default_profile", "wrok"), "{path} was left as it was: default_profile: there is no profile 'wrok'", "work"),
    (("api_key_command", "", "-p", "new"), "api_key_command is empty", "config unset api_key_command"),
    (("api_key_command", "pass 'x", "-p", "new"), "api_key_command: No closing quotation", "as for a shell"),
    (("api_key_keyring", "false", "-p", "new"), "api_key_keyring: 'false' is not true", "config unset"),
    (("api_key_env", "X", "-p", "work"), "{path} was left as it was: [profiles.work] has both api_key and ", "one"),
    (("min", "5", "-p", ""), "--profile is empty", "give a word like work"),
    (("min", "5", "-p", KEY), "--profile: 'sk-...' cannot name a profile", "give a word like work"),
])  # fmt: skip
def test_what_the_file_could_not_say_is_refused(
    call: Call, write_config: Write, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    """By the rules of the file itself: exit 2, one line, a hint, no key in it, and the file as it was."""
    path = write_config(FILE)
    refused = call("config", "set", *arguments)
    assert (refused.code, refused.stdout, path.read_text()) == (2, "", FILE)
    error, advice = refused.stderr.splitlines()
    assert error.startswith(f"apimart: error: {message.format(path=path)}")
    assert advice.startswith("hint: ")
    assert hint in advice
    assert "Zq7W" not in refused.stderr


def test_a_key_can_be_removed_but_not_set(call: Call, write_config: Write) -> None:
    """`config unset api_key` is what `logout` does."""
    path = write_config(FILE)
    assert call("config", "unset", "api_key", "--profile", "work").code == 0
    assert path.read_text() == FILE.replace(f'api_key = "{KEY}"\n', "")


def test_one_mistake_can_be_mended_beside_another(call: Call, write_config: Write) -> None:
    """A change is refused for the mistake that it makes, not for those that were there."""
    path = write_config("timout = 3\nmin = '5'\n")
    assert call("config", "set", "min", "5").code == 0
    assert path.read_text() == "timout = 3\nmin = 5\n"


BROKEN = f"""\
# \u2028 A line separator is no line end.
default_profile = "wrok"
timout = 5
timeout = 0
"min" = '5'
scope = "all"
profiles.dotted.unit = ""
profiles.dotted.api_key_command = [
  "pass",
  5,
]
profiles.inline = {{ min = "5", api_key_env = "X" }}

[profiles.work]  # mine
api_key = "{KEY}"
unit = \"\"\"
min = 1 and some more\"\"\"
api_key_env = "X"
[ profiles . "odd name" ]
base_url = "http://gateway.example"
api_key_keyring = false

[profiles.fine]
timeout = 3
scope = "key"
api_key_env = "FINE"

[profile.typo]
x = 1
"""

BROKEN_LINES = [
    (2, "default_profile: there is no profile 'wrok'", None), (3, "unknown name 'timout'", None),
    (4, "timeout: the time limit must be more than 0 and at most 3600 seconds", None),
    (5, "min must be a number", None), (6, "scope: 'all' is not a scope", None),
    (7, "[profiles.dotted]: unit: '' is not a unit", "dotted"),
    (8, "[profiles.dotted]: api_key_command must be a list of strings", "dotted"),
    (12, "[profiles.inline]: min must be a number", "inline"),
    (16, "[profiles.work]: unit: 'min = 1 and some more' is not a unit", "work"),
    (18, "[profiles.work] has both api_key and api_key_env", "work"),
    (20, "[profiles.odd name]: base_url: the base URL would send the key unencrypted to gateway.example", "odd name"),
    (21, "[profiles.odd name]: api_key_keyring must be true", "odd name"), (28, "unknown table [profile.typo]", None),
]  # fmt: skip


def test_every_mistake_is_told_at_once_with_its_line(call: Call, write_config: Write) -> None:
    """In the order of the lines, each with a hint; exit 2. Answered: which profiles are usable. JSON tells the same."""
    path = write_config(BROKEN)
    names = ["dotted", "inline", "work", "odd name", "fine"]
    checked = call("config", "check", env={"FINE": KEY})
    assert checked.code == 2
    *told, last = checked.stderr.splitlines()
    assert last == "apimart: note: 4 of 5 profiles are not usable"
    assert told[::2] == [f"apimart: error: {path}:{line}: {message}" for line, message, _ in BROKEN_LINES]
    assert all(line.startswith("hint: ") for line in told[1::2])
    assert "hint: did you mean work? profiles in the file: dotted, inline, work, odd name, fine" in told
    assert [line.split("  ")[0] for line in checked.stdout.splitlines()] == names
    assert [line for line in checked.stdout.splitlines() if " usable " in line] == [
        f"fine      usable  key set, {len(KEY)} characters"
    ]
    in_json = call("config", "check", "--json", env={"FINE": KEY})
    document = json.loads(in_json.stdout)
    assert in_json.code == 2
    assert list(document) == ["schema", "path", "problems", "profiles", "warnings"]
    assert document["path"] == str(path)
    assert [(each["line"], each["message"], each["profile"]) for each in document["problems"]] == BROKEN_LINES
    assert [(each["profile"], each["works"]) for each in document["profiles"]] == [
        (name, name == "fine") for name in names
    ]
    assert "Zq7W" not in checked.stdout + checked.stderr


def test_a_profile_works_by_what_this_machine_can_tell(call: Call, write_config: Write, tmp_path: Path) -> None:
    """A variable that is not set, a missing file or program is no mistake of the file: exit 0, and the reason."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    path = write_config(
        f'[profiles.given]\napi_key = "{KEY}"\n[profiles.variable]\napi_key_env = "NOT_SET"\n'
        f'[profiles.file]\napi_key_file = "{key_file}"\n[profiles.missing]\napi_key_file = "missing"\n'
        f'[profiles.command]\napi_key_command = ["sh", "{KEY}"]\n'
        '[profiles.program]\napi_key_command = ["no-command-of-this-name"]\n[profiles.keyless]\n'
    )
    checked = call("config", "check")
    note = f"apimart: note: no mistake in {path}, but 4 of 7 profiles are not usable\n"
    assert (checked.code, checked.stderr) == (0, note)
    source = f"profile variable in {path}"
    assert [tuple(re.split(r" {2,}", line)) for line in checked.stdout.splitlines()] == [
        ("given", "usable", f"key set, {len(KEY)} characters"),
        ("variable", "broken", f"NOT_SET, named by api_key_env of {source}, is not set"),
        ("file", "usable", f"key set, {len(KEY)} characters"),
        ("missing", "broken", f"api_key_file of profile missing in {path}: cannot read {path.parent}/missing: "
         "No such file or directory"),
        ("command", "usable", "key from the command sh, which is not run here"),
        ("program", "broken", "there is no command no-command-of-this-name"),
        ("keyless", "broken", "there is no API key"),
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), [("[profiles.keyless]\n", 2), (f"[profiles.work]\napi_key = '{KEY}'\n", 0)])
def test_a_strict_check_fails_for_a_profile_that_cannot_work(
    call: Call, write_config: Write, text: str, code: int
) -> None:
    """Without `--strict`, a key that is missing on this machine is told and is no mistake in the file."""
    path = write_config(text)
    told = f"apimart: note: no mistake in {path}" + (", but 1 of 1 profiles are not usable" if code else "")
    for arguments, expected in (((), 0), (("--strict",), code)):
        checked = call("config", "check", *arguments, columns=60)
        # Folded between words.
        assert (checked.code, " ".join(checked.stdout.split()).endswith(told)) == (expected, True)


def test_files_that_others_can_read_are_mistakes(call: Call, write_config: Write, tmp_path: Path) -> None:
    """The gate would refuse them: so does its rehearsal, with the command that mends it."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o644)
    path = write_config(f'[profiles.a]\napi_key_file = "{key_file}"\n')
    checked = call("config", "check")
    assert (checked.code, checked.stdout) == (2, "a  broken  it has mistakes\n")
    assert checked.stderr == (
        f"apimart: error: {path}:2: [profiles.a]: {key_file} holds a key and other users can read it\n"
        f"hint: run: chmod 600 {key_file}\n"
        "apimart: note: 1 of 1 profiles are not usable\n"
    )
    path = write_config(f'[profiles.a]\napi_key = "{KEY}"\n', mode=0o640)
    checked = call("config", "check")
    assert checked.code == 2
    assert checked.stderr == (
        f"apimart: error: {path}: it holds a key and other users can read it\nhint: run: chmod 600 {path}\n"
    )


def test_a_file_that_is_no_toml_is_told_with_its_line(call: Call, write_config: Write) -> None:
    """Nothing else can be judged then; with --json, the error is the document."""
    path = write_config(f"min = 5\napi_key = {KEY}\n")
    checked = call("config", "check")
    assert (checked.code, checked.stdout) == (2, "")
    assert checked.stderr.startswith(f"apimart: error: {path} is not valid TOML: ")
    assert "(at line 2, " in checked.stderr
    document = json.loads(call("config", "check", "--json").stdout)
    assert document["error"]["code"] == "config"
    assert "Zq7W" not in checked.stderr + json.dumps(document)


def test_no_file_has_no_mistakes_unless_somebody_named_it(call: Call, config: Path, tmp_path: Path) -> None:
    """A config file is optional."""
    assert call("config", "check") == (0, "", f"apimart: note: there is no config file: {config}\n")
    assert call("config", "check", env={"APIMART_CONFIG": str(tmp_path / "missing.toml")}).code == 2


def test_a_line_that_cannot_be_told_costs_nothing(call: Call, write_config: Write) -> None:
    """Behind a list of hundreds of lines, a mistake is told without its place."""
    words = "\n".join(f'  "{number}",' for number in range(300))
    path = write_config(f"timout = 1\n[profiles.a]\napi_key_command = [\n{words}\n]\n[profiles.b]\nmni = 5\n")
    checked = call("config", "check")
    assert checked.code == 2
    assert [line for line in checked.stderr.splitlines() if line.startswith("apimart: error")] == [
        f"apimart: error: {path}: [profiles.b]: unknown name 'mni'",
        f"apimart: error: {path}:1: unknown name 'timout'",
    ]


def test_a_thousand_profiles_are_checked_at_once(call: Call, write_config: Write) -> None:
    """With a mistake in each of them."""
    path = write_config("".join(f"[profiles.p{number}]\nmni = {number}\n" for number in range(1000)))
    checked = call("config", "check")
    errors = [line for line in checked.stderr.splitlines() if line.startswith("apimart: error")]
    assert len(errors) == 1000
    assert errors[-1] == f"apimart: error: {path}:2000: [profiles.p999]: unknown name 'mni'"


def test_a_misspelled_profile_is_not_made(call: Call, write_config: Write) -> None:
    """Exit 2 with the close match; the threshold would have stood where nobody looks for it."""
    path = write_config(FILE)
    refused = call("config", "set", "min", "5", "-p", "wrok", columns=60)
    assert (refused.code, path.read_text()) == (2, FILE)
    assert " ".join(refused.stdout.split()) == (
        f"apimart: error: there is no profile 'wrok' in {path} hint: did you mean work? make it with --create"
    )


def test_a_new_profile_is_made_on_demand(call: Call, write_config: Write) -> None:
    """`--create` says that it is meant; beside a profile that is there it changes nothing."""
    path = write_config(FILE)
    for amount in ("7", "8"):
        assert call("config", "set", "min", amount, "-p", "new", "--create").code == 0
        assert path.read_text() == f"{FILE}\n[profiles.new]\nmin = {amount}\n"


@pytest.mark.parametrize(("arguments", "environ", "value"), [
    (("min",), {}, "5.00"), (("timeout", "-p", "vault"), {}, "20"), (("scope",), {"APIMART_PROFILE": "vault"}, "both"),
    (("base_url", "-p", "vault"), {}, "https://gateway.example/v1/"),
    (("default_profile",), {}, "work"),
    (("api_key_command", "-p", "vault"), {}, "sh -c 'touch was-run'"),
])  # fmt: skip
def test_a_value_is_printed_as_it_is_written(
    call: Call, write_config: Write, arguments: tuple[str, ...], environ: Mapping[str, str], value: str
) -> None:
    """That of the profile that is named or in use, else that of the top level."""
    write_config(FILE)
    assert call("config", "get", *arguments, env=environ) == (0, f"{value}\n", "")


@pytest.mark.parametrize(("arguments", "message"), [
    (("max_used",), "max_used is not set in {path}\nhint: see what is used instead with: apimart config show\n"),
    (("api_key",), "a key is not shown\nhint: see its length and its id with: apimart config show\n"),
    (("mim",), "there is no setting 'mim'\nhint: did you mean min? use one of: "),
    (("min", "-p", "wrok"),
     "--profile: there is no profile 'wrok' in {path}\nhint: did you mean work? profiles in the file: "),
])  # fmt: skip
def test_what_is_not_set_prints_nothing(
    run: Run, write_config: Write, arguments: tuple[str, ...], message: str
) -> None:
    """Exit 2, and a message: an empty value in a script must not look like one."""
    path = write_config(FILE)
    ended = run("config", "get", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"apimart: error: {message.format(path=path)}")
