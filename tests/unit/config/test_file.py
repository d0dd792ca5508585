"""The config file: TOML in, checked settings out; every mistake is an error that names the file, line and name."""

import re
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apimart_cli.config.file import ConfigFile, config_path, read_config, require_config_path
from apimart_cli.errors import ConfigError
from support.running import KEY, Write


def read(environ: Mapping[str, str] | None = None) -> ConfigFile:
    return read_config(environ or {})


def refusal(environ: Mapping[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(environ)
    return caught.value


@pytest.mark.parametrize("text", ["", "# only a comment\n", "[profiles]\n", "[profiles.empty]\n", "\ufeff"])
def test_an_empty_file_says_nothing(write_config: Write, text: str) -> None:
    """A file without settings is no error."""
    write_config(text)
    config = read()
    assert (config.default_profile, config.top_level) == (None, {})
    assert config.profiles in ({}, {"empty": {}})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.30", "0.30"),
        ("1_000.50", "1000.50"),
        ("-1", "-1"),
        ("0x10", "16"),
        ("1e-2", "0.01"),
        ("1e99", "1" + "0" * 99),
        ("1e100", "1E+100"),
        ("1e-100", "1E-100"),
        ("1e999999999999", "1E+999999999999"),
        ("nan", "NaN"),
        ("-inf", "-Infinity"),
    ],
)
def test_numbers_are_kept_to_the_last_digit(write_config: Write, number: str, text: str) -> None:
    """What a number means is judged later; here none is rounded, and none may fill the memory."""
    write_config(f"min = {number}")
    assert read().top_level == {"min": text}


SECONDS = "timeout must be a number of seconds, or a duration in quotes"
PROFILE = "[profiles.work]"
YAML = "the file is TOML, like: min = 5; a profile begins with [profiles.work]"
DURATION = "must be a duration in quotes"
LIST = "must be a list of strings"
OUTSIDE = "stands outside of the profiles"
QUOTES = "correct the file; strings need quotes"


@pytest.mark.parametrize(
    ("text", "line", "fault", "hint"),
    [
        (f"api_key = '{KEY}'", 1, f"api_key {OUTSIDE}", "a profile: move it under [profiles.work]"),
        ("api_key_env = 'X'\n[profiles.'a b']", 1, f"api_key_env {OUTSIDE}", 'move it under [profiles."a b"]'),
        (
            "default_profile = 'b'\napi_key_env = 'X'\n[profiles.a]\n[profiles.b]",
            2,
            f"api_key_env {OUTSIDE}",
            "[profiles.b]",
        ),
        ("background_keys = true", 1, f"background_keys {OUTSIDE}", "it stands in a profile: "),
        ("mni = 5", 1, "unknown name 'mni'", "did you mean min? use one of: "),
        (
            "default_profile = 'wrok'\n[profiles.work]",
            1,
            "default_profile: there is no profile 'wrok'",
            "did you mean work? ",
        ),
        ("xyzzy = 5", 1, "unknown name 'xyzzy'", "use one of: default_profile, "),
        (f"[work]\napi_key = '{KEY}'", 1, "unknown table [work]", "keys stand in a profile: [profiles.work]"),
        ("['my key']", 1, "unknown table [my key]", 'keys stand in a profile: [profiles."my key"]'),
        ("[profile.work]\nx = 1", 1, "unknown table [profile.work]", "keys stand in a profile: [profiles.work]"),
        (f"{PROFILE}\napikey = '{KEY}'", 2, f"{PROFILE}: unknown name 'apikey'", "did you mean api_key? use one of: "),
        ("[profiles.work.api_key]\nx = 1", 1, f"{PROFILE}: api_key must be a string", 'api_key = "sk-..."'),
        ("timeout = true", 1, SECONDS, 'write timeout = 10, or timeout = "10s"'),
        ("min = '5'", 1, "min must be a number", "write a number without quotes, like min = 5"),
        (f"{PROFILE}\nmin = [5]", 2, f"{PROFILE}: min must be a number", "like min = 5"),
        ("rearm = '2'", 1, "rearm must be a number", "like rearm = 1.2"),
        ("min_runway = 1.5", 1, f"min_runway {DURATION}", 'in quotes: min_runway = "1.5d"'),
        ("remind = 12", 1, f"remind {DURATION}", 'in quotes: remind = "12h"'),
        ("remind = true", 1, f"remind {DURATION}", 'in quotes: remind = "24h"'),
        ("unit = 5", 1, "unit must be a string", 'write it in quotes: unit = "USD"'),
        (f"{PROFILE}\napi_key_env = '{KEY}'", 2, f"{PROFILE}: api_key_env names no variable", "not the key"),
        (f"{PROFILE}\napi_key_file = ''", 2, f"{PROFILE}: api_key_file is empty", "name the file that"),
        ("on_low = 'mail x'", 1, f"on_low {LIST}", 'on_low = ["mail", "-s", "the balance is low", '),
        (f"{PROFILE}\napi_key_command = 'p x'", 2, f"{PROFILE}: api_key_command {LIST}", '["pass", "show",'),
        ("[[profiles]]", 1, "profiles must be a table", "write a profile as [profiles.work]"),
        ("profiles.work = 5", 1, "profile work must be a table", "write it as [profiles.work]"),
        (
            f"{PROFILE}\napi_key = '{KEY}'\napi_key_env = 'X'",
            3,
            f"{PROFILE} has both api_key and api_key_env",
            "keep one",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_fix(
    write_config: Write, text: str, line: int, fault: str, hint: str
) -> None:
    """Unknown names, wrong types and contradictions name file, line and table; a key among them is not shown."""
    path = write_config(text)
    error = refusal()
    assert error.message == f"{path}:{line}: {fault}"
    assert hint in (error.hint or "")
    assert KEY not in f"{error.message}{error.hint}"


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("timeout = 5\n[profiles.work\n", r".*\(at line 2, ", QUOTES),
        (f"api_key = {KEY}", r".*\(at line 1, ", QUOTES),
        ("min 5", r"Expected '=' after a key in a key/value pair \(at line 1, ", QUOTES),
        ("\x00", r".*\(at line 1, ", QUOTES),
        ("min = " + "9" * 5000, "a value is out of range", QUOTES),
        ("min = 1e99999999999999999999", "a value is out of range", QUOTES),
        ("min: 5\n", "this is YAML", YAML),
        ("# mine\n---\ndefault_profile: work\n", "this is YAML", 'like: default_profile = "work"; '),
        (f"profiles:\n  work:\n    api_key: {KEY}\n", "this is YAML", YAML),
        ("- a\n- b\n", "this is YAML", YAML),
        (f'{{"profiles": {{"work": {{"api_key": "{KEY}"}}}}}}', "this is JSON", YAML),
        ('{\n  "min": 5,\n', "this is JSON", YAML),
        (
            "[profiles.'a b']\n[profiles.'a b']",
            r'\[profiles."a b"\] is there twice, again on line 2',
            "under one of them",
        ),
        ("min = 5\nunit = 'USD'\nmin = 6\n", "min is set twice, again on line 3", "keep one of them"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line_or_its_language(
    write_config: Write, text: str, reason: str, hint: str
) -> None:
    """The error repeats no value of a file that may hold a key."""
    path = write_config(text)
    error = refusal()
    assert re.match(f"{re.escape(str(path))} is not valid TOML: {reason}", error.message)
    assert hint in (error.hint or "")
    assert KEY not in f"{error.message}{error.hint}"
    assert error.__suppress_context__


DEEP = {
    "arrays": f"min = {'[' * 50_000}{']' * 50_000}", "inline tables": f"min = {'{a = ' * 3000}1{'}' * 3000}",
    "a dotted name": f"a{'.a' * 50_000} = 1", "a dotted name in quotes": f"\"a\" . 'b'{' . c' * 50_000} = 1",
    "a table": f"[{'.'.join(['a'] * 50_000)}]", "an array of tables": f"[[ {'.'.join(['a'] * 50_000)} ]]",
    "a name in an inline table": f"x = {{ y = 1, a{'.a' * 50_000} = 1 }}",
}  # fmt: skip


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_a_file_that_is_nested_too_deeply_is_told_so(write_config: Write, text: str) -> None:
    """At once, and without memory for it."""
    write_config(text)
    tracemalloc.start()
    try:
        error = refusal()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "is nested too deeply" in error.message
    assert error.hint is not None
    assert peak < 40_000_000


@pytest.mark.parametrize("text", [f"min = 0x{'f' * 5000}", f"x = [0b{'1' * 20_000}]"])
def test_a_number_that_nobody_can_write_out_is_told(write_config: Write, text: str) -> None:
    """In whatever base it is written, and wherever it stands."""
    write_config(text)
    with pytest.raises(ConfigError, match="a value is out of range"):
        read()


def test_dots_in_a_text_are_no_nesting(write_config: Write) -> None:
    """As in a long name of a host."""
    write_config(f'base_url = "https://{"a." * 120}com"\n')
    assert read().top_level["base_url"].endswith(".com")


def test_the_file_is_in_the_config_folder(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Of the platform or of `XDG_CONFIG_HOME`; `APIMART_CONFIG` names another file, a tilde is the home folder."""
    assert config_path({}) == home / ".config" / "apimart" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert config_path({}) == Path("/elsewhere/apimart/config.toml")
    assert config_path({"APIMART_CONFIG": "a.toml"}) == Path("a.toml")
    assert config_path({"APIMART_CONFIG": "~/a.toml"}) == home / "a.toml"


@pytest.mark.parametrize(("named", "message"), [
    ("", "APIMART_CONFIG is set but empty"),
    ("~nobody-of-this-name/a.toml", "APIMART_CONFIG: there is no home folder for '~nobody-of-this-name/a.toml'"),
])  # fmt: skip
def test_a_variable_that_names_no_file_is_an_error(named: str, message: str) -> None:
    """An empty variable does not mean the usual place."""
    error = refusal({"APIMART_CONFIG": named})
    assert error.message == message
    assert error.hint


def test_no_file_at_the_usual_place_is_no_error(home: Path) -> None:
    """A config file is optional; a path that cannot exist is an absent file."""
    assert read() == ConfigFile(home / ".config" / "apimart" / "config.toml")
    (home / ".config").write_text("no folder")
    assert read().profiles == {}


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """Whoever names a file means it."""
    missing = tmp_path / "missing.toml"
    error = refusal({"APIMART_CONFIG": str(missing)})
    assert error.message == f"cannot read {missing}: No such file or directory"
    assert error.hint == "correct APIMART_CONFIG, or make the file with: apimart login"


def test_a_usual_file_that_cannot_be_looked_at_is_an_error(home: Path, write_config: Write) -> None:
    """It may name another gateway or a minimum: neither a dangling link nor a loop counts as absent."""
    path = write_config("")
    path.unlink()
    path.symlink_to("gone.toml")
    assert refusal().message == f"cannot read {path}: No such file or directory"
    path.unlink()
    path.symlink_to(path)
    assert refusal().message == f"cannot read {path}: Too many levels of symbolic links"


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        ("[profiles.work]\n[profiles.home]", "wrok", "did you mean work? profiles in the file: work, home"),
        ("[profiles.work]", "", "profiles in the file: work"),
        ("", "work", "store a key in it with: apimart login --profile work"),
    ],
)
def test_an_unknown_profile_is_told_with_those_that_there_are(
    write_config: Write, text: str, name: str, hint: str
) -> None:
    """The error says who asked for the profile; a likely misspelling is named."""
    path = write_config(text)
    with pytest.raises(ConfigError) as caught:
        read().profile(name, asked_by="--profile")
    assert caught.value.message == f"--profile: there is no profile {name!r} in {path}"
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "mode", "is_exposed"),
    [
        (f"[profiles.work]\napi_key = '{KEY}'", 0o600, False),
        (f"[profiles.a]\n[profiles.work]\napi_key = '{KEY}'", 0o640, True),
        ("[profiles.work]\napi_key_env = 'CI_KEY'", 0o644, False),
    ],
)
def test_only_a_file_that_holds_a_key_must_be_private(
    write_config: Write, text: str, mode: int, is_exposed: bool
) -> None:
    """A file without a key may be shared; one with a key is told with the command that mends it."""
    path = write_config(text, mode)
    exposure = read().exposure
    assert (exposure is not None) is is_exposed
    if exposure is not None:
        assert exposure.message == f"{path} holds a key and other users can read it"
        assert exposure.hint == f"run: chmod 600 {path}"


def _raise(_name: str) -> Path:
    raise RuntimeError("no home")


@pytest.mark.parametrize("found", [lambda _name: Path("./~/.config/apimart"), lambda _name: Path("apimart"), _raise])
def test_a_default_place_that_depends_on_the_current_folder_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Callable[[str], Path]
) -> None:
    """Whoever made the current folder does not decide what is read; what is to be written has no place."""
    monkeypatch.setattr("platformdirs.user_config_path", found)
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "~" / ".config" / "apimart", tmp_path / "apimart"):
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text("min = 0\n")
    assert read_config({}) == ConfigFile(None)
    assert read_config({}, may_be_absent=True) == ConfigFile(None)
    with pytest.raises(ConfigError, match=r"^there is no default place for a config file$"):
        require_config_path({})
    named = {"APIMART_CONFIG": "apimart/config.toml"}
    assert read_config(named).top_level == {"min": "0"}
    assert require_config_path(named) == Path("apimart/config.toml")
