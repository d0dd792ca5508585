"""Settings beside their precedence (`tests/commands/test_profiles.py`): where keys come from, what is refused."""

import io
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.commands.option_records import AskingOptions
from apimart_cli.config.precedence import resolve as resolve_all
from apimart_cli.config.settings import Options, Settings
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.records import SettingRow
from apimart_cli.rules.gate import Thresholds
from apimart_cli.target import Target
from apimart_cli.words import Scope
from support.running import KEY, Write

OTHER_KEY = "sk-other-Hx4Jd8Rw2Ty6Ub"
FILE_KEY = "sk-filed-Mk3Bn7Vc1Xz5Ql"


def _key_of(settings: Settings) -> str:
    key = settings.api_key.value
    assert isinstance(key, GivenKey), key
    return key.read(lambda: 1.0).reveal()


def _key_error(settings: Settings) -> AuthError:
    key = settings.api_key.value
    assert isinstance(key, NoKey), key
    return key.error


def resolve(options: Options, environ: Mapping[str, str] | None = None) -> Settings:
    """Resolve what asks for a single profile."""
    (settings,) = resolve_all(options, environ)
    return settings


@pytest.mark.parametrize("timeout", ["10.123456", "0.000001", "100"])
def test_a_time_limit_is_shown_with_all_its_digits(timeout: str) -> None:
    """What is in force is shown as it is, not rounded."""
    shown = next(row.value for row in resolve(Options(timeout=timeout), {}).rows() if row.name == "timeout")
    assert shown is not None
    assert Decimal(shown) == Decimal(timeout)
    assert "e" not in shown


@pytest.mark.parametrize("variable", ["APIMART_BASE_URL", "APIMART_TIMEOUT", "APIMART_PROFILE", "APIMART_CONFIG"])
def test_a_variable_that_is_set_but_empty_is_an_error(variable: str) -> None:
    """CI systems expand a missing secret to an empty string: falling through to another place would be worse."""
    with pytest.raises(UsageError, match=f"^{variable} is set but empty$") as caught:
        resolve(Options(), {variable: ""})
    assert caught.value.hint


def test_an_option_spares_the_look_at_its_variable() -> None:
    """An empty variable does not matter then; an empty option is not replaced by a variable."""
    options = Options(base_url="https://option.example", timeout="5", api_key=KEY)
    settings = resolve(options, {"APIMART_BASE_URL": "", "APIMART_TIMEOUT": "", "APIMART_API_KEY": ""})
    assert _key_of(settings) == KEY
    error = _key_error(resolve(Options(api_key=""), {"APIMART_API_KEY": KEY}))
    assert error.message == "the API key from --api-key is empty"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timeout = 0", "timeout of {path}: the time limit must be more than 0 and at most 3600 seconds"),
        ("timeout = nan", "timeout of {path}: 'NaN' is not a duration"),
        ("min = -1", "min of {path}: '-1' is not an amount: it has a sign"),
        (
            "min = 1e15",
            "min of {path}: '1000000000000000' is not an amount: it has more than 15 digits before the point",
        ),
        ("max_used = 1e999999999", "max_used of {path}: '1E+999999999' is not an amount: it has an exponent"),
        ("scope = 'all'", "scope of {path}: 'all' is not a scope"),
        ("base_url = ''", "base_url of {path} is empty"),
        ("base_url = 'ftp://h'", "base_url of {path}: the base URL must start with https://"),
        ("[profiles.default]\nmin = -1", "min of profile default in {path}: '-1' is not an amount: it has a sign"),
    ],
)
def test_a_value_of_the_file_is_refused_by_name_and_place(write_config: Write, text: str, message: str) -> None:
    """The rules of the command line hold in the file too, and the error says where to look."""
    path = write_config(text)
    with pytest.raises(UsageError) as caught:
        resolve(Options(), {})
    assert caught.value.message == message.format(path=path)
    assert caught.value.hint


def test_a_profile_called_default_is_the_default_one(write_config: Write) -> None:
    """Without a name it is used where it exists; with its name it must exist."""
    path = write_config("[profiles.default]\nmin = 7\n")
    settings = resolve(Options(), {})
    assert (settings.min.value, settings.min.source) == (Decimal(7), f"profile default in {path}")
    write_config("[profiles.work]\n")
    with pytest.raises(ConfigError, match=r"^--profile: there is no profile 'default'"):
        resolve(Options(profiles=("default",)), {})


def _key_file(tmp_path: Path, content: bytes = KEY.encode(), mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


PROFILES = f"""
[profiles.own]
api_key = "{KEY}"
[profiles.bare]
[profiles.variable]
api_key_env = "MY_KEY"
[profiles.spaced]
api_key = "sk-Zq7W m3Xc"
"""


@pytest.mark.parametrize(
    ("option", "profile", "environ", "key", "source"),
    [
        (KEY, None, {"APIMART_API_KEY": OTHER_KEY, "APIMART_API_KEY_FILE": "{file}"}, KEY, "--api-key"),
        (None, None, {"APIMART_API_KEY": OTHER_KEY, "APIMART_API_KEY_FILE": "{file}"}, OTHER_KEY, "APIMART_API_KEY"),
        (None, None, {"APIMART_API_KEY_FILE": "{file}", "APIMART_PROFILE": "own"}, FILE_KEY, "APIMART_API_KEY_FILE"),
        (None, "bare", {"APIMART_API_KEY_FILE": "{file}"}, FILE_KEY, "APIMART_API_KEY_FILE"),
        (None, "own", {"APIMART_API_KEY_FILE": "{file}"}, KEY, "profile own in {path}"),
        (None, "own", {"APIMART_API_KEY_FILE": "/no/such/file"}, KEY, "profile own in {path}"),
        (None, "own", {"APIMART_API_KEY": "", "APIMART_API_KEY_FILE": ""}, KEY, "profile own in {path}"),
        (None, None, {"MY_KEY": KEY, "APIMART_PROFILE": "variable"}, KEY, "MY_KEY"),
    ],
)
def test_the_key_comes_from_the_most_explicit_place(
    write_config: Write,
    tmp_path: Path,
    option: str | None,
    profile: str | None,
    environ: Mapping[str, str],
    key: str,
    source: str,
) -> None:
    """Option, profile named by option, APIMART_API_KEY, APIMART_API_KEY_FILE, profile named otherwise."""
    path = write_config(PROFILES)
    file = _key_file(tmp_path, FILE_KEY.encode())
    options = Options(api_key=option, profiles=(profile,) if profile else ())
    settings = resolve(options, {name: value.format(file=file) for name, value in environ.items()})
    assert (_key_of(settings), settings.api_key.source) == (key, source.format(path=path))


@pytest.mark.parametrize(
    ("profile", "environ", "message"),
    [
        (None, {"OPENAI_API_KEY": OTHER_KEY}, "there is no API key"),
        ("bare", {}, "there is no API key"),
        (None, {"APIMART_API_KEY": "", "APIMART_PROFILE": "own"}, "the API key from APIMART_API_KEY is empty"),
        (None, {"APIMART_API_KEY": "", "APIMART_API_KEY_FILE": "/none"}, "the API key from APIMART_API_KEY is empty"),
        (None, {"APIMART_API_KEY": "two words"}, "the API key from APIMART_API_KEY has white space in it"),
        (None, {"APIMART_API_KEY_FILE": ""}, "APIMART_API_KEY_FILE is set but empty"),
        (
            None,
            {"APIMART_API_KEY_FILE": KEY, "APIMART_PROFILE": "own"},
            "APIMART_API_KEY_FILE: cannot read sk-... No such file or directory",
        ),
        (
            "variable",
            {"APIMART_API_KEY": OTHER_KEY},
            "MY_KEY, named by api_key_env of profile variable in {path}, is not set",
        ),
        ("variable", {"MY_KEY": "", "APIMART_API_KEY": OTHER_KEY}, "the API key from MY_KEY is empty"),
        ("spaced", {}, "the API key from profile spaced in {path} has white space in it"),
    ],
)
def test_a_missing_or_malformed_key_never_falls_through_to_another(
    write_config: Write, profile: str | None, environ: Mapping[str, str], message: str
) -> None:
    """The error is kept, so that `config show` and other profiles can go on, and is raised where the key is read."""
    path = write_config(PROFILES)
    settings = resolve(Options(profiles=(profile,) if profile else ()), environ)
    error = _key_error(settings)
    assert error.message == message.format(path=path)
    assert error.hint
    (target,) = settings.targets()
    with pytest.raises(AuthError) as caught:
        target.api_key.read(lambda: 1.0)
    assert caught.value is error
    assert SettingRow("api_key", f"not usable: {error.message}", settings.api_key.source) in settings.rows()


def _of_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> tuple[Settings, str]:
    path = _key_file(tmp_path, content)
    return resolve(Options(api_key_file=path), {"APIMART_API_KEY": OTHER_KEY}), f"--api-key-file {path}"


def _of_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> tuple[Settings, str]:
    monkeypatch.setattr(sys, "stdin", _Input(content))
    return resolve(FROM_STANDARD_INPUT, {"APIMART_API_KEY": OTHER_KEY}), "standard input"


@pytest.mark.parametrize("read", [_of_file, _of_standard_input])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_may_have_one_line_end_behind_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read: Callable[..., tuple[Settings, str]], end: bytes
) -> None:
    """In a file and on standard input: editors, `echo` and password managers write one; it is no part of the key."""
    found, source = read(monkeypatch, tmp_path, KEY.encode() + end)
    assert (_key_of(found), found.api_key.source, found.exposures) == (KEY, source, ())


@pytest.mark.parametrize("read", [_of_file, _of_standard_input])
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\n", "is empty"),
        (KEY.encode() + b"\n\n", "has a line break in it"),
        (f"{KEY}\n{OTHER_KEY}\n".encode(), "has a line break in it"),
        (f"api_key = {KEY}".encode(), "has white space in it"),
        (f"{KEY}\u200b".encode(), "has a character in it that is not printable ASCII"),
        (b"x" * 4097, "is longer than 4096 characters"),
        (b"x" * 1_000_000, "is longer than 4096 characters"),
    ],
)
def test_more_than_one_key_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    read: Callable[..., tuple[Settings, str]],
    content: bytes,
    fault: str,
) -> None:
    """What a file or standard input holds is the key or nothing: no line is picked out, and nothing is cut."""
    found, source = read(monkeypatch, tmp_path, content)
    assert _key_error(found).message == f"the API key from {source} {fault}"


def test_every_file_that_others_can_read_is_noted(write_config: Write, tmp_path: Path) -> None:
    """The config file first, then the key file. What it means is the command's decision: the key is there."""
    config = write_config(PROFILES, 0o644)
    path = _key_file(tmp_path, mode=0o644)
    settings = resolve(Options(api_key_file=path), {})
    assert [exposure.message.split()[0] for exposure in settings.exposures] == [str(config), str(path)]
    assert [exposure.hint for exposure in settings.exposures] == [f"run: chmod 600 {each}" for each in (config, path)]
    assert _key_of(settings) == KEY


def test_the_variable_names_a_file_from_here_or_from_home(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path and a tilde mean what they mean in a shell; others who can read the file are noted."""
    monkeypatch.chdir(tmp_path)
    _key_file(tmp_path, FILE_KEY.encode())
    assert _key_of(resolve(Options(), {"APIMART_API_KEY_FILE": "key"})) == FILE_KEY
    _key_file(home, FILE_KEY.encode(), mode=0o644)
    settings = resolve(Options(), {"APIMART_API_KEY_FILE": "~/key"})
    assert _key_of(settings) == FILE_KEY
    assert [exposure.hint for exposure in settings.exposures] == [f"run: chmod 600 {home / 'key'}"]


def test_mistakes_about_the_source_of_the_key_are_no_missing_key(tmp_path: Path) -> None:
    """Exit 2: two options, no file, and one that another user can change, who was about to decide which key is used."""
    path = _key_file(tmp_path, FILE_KEY.encode(), mode=0o602)
    with pytest.raises(UsageError, match=r"^--api-key and --api-key-file exclude each other$"):
        resolve(Options(api_key=KEY, api_key_file=path), {})
    with pytest.raises(ConfigError, match=r"^cannot read "):
        resolve(Options(api_key_file=tmp_path / "missing"), {"APIMART_API_KEY": KEY})
    with pytest.raises(ConfigError, match=r"^APIMART_API_KEY_FILE: .* is not used: every user can change it$"):
        resolve(Options(), {"APIMART_API_KEY_FILE": str(path)})


FROM_STANDARD_INPUT = AskingOptions(api_key="-").options()


class _Input(io.TextIOWrapper):
    """Standard input with these bytes in it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="ascii")


def test_standard_input_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so, and is no bug."""
    monkeypatch.setattr(sys, "stdin", _Input(b"\xff\xfe"))
    error = _key_error(resolve(FROM_STANDARD_INPUT, {}))
    assert error.message == "the API key from standard input has a character in it that is not printable ASCII"


class _Broken(_Input):
    """Standard input that cannot be read, like a folder."""

    @property
    def buffer(self) -> Any:
        raise IsADirectoryError(21, "Is a directory")


@pytest.mark.parametrize(
    ("stdin", "fault"),
    [(None, "standard input is closed"), (_Broken(b""), "cannot read standard input: Is a directory")],
)
def test_a_standard_input_that_cannot_be_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, stdin: _Input | None, fault: str
) -> None:
    """The hint says what else there is."""
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(UsageError, match=f"^--api-key -: {fault}$") as caught:
        resolve(FROM_STANDARD_INPUT, {})
    assert caught.value.hint == "pipe the key in, or use --api-key-file"


def test_at_a_terminal_the_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person types it at a prompt."""

    class Terminal(_Input):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(b""))
    monkeypatch.setattr("apimart_cli.screen.prompt.ask_secret", lambda prompt: KEY if prompt == "API key: " else "")
    assert _key_of(resolve(FROM_STANDARD_INPUT, {})) == KEY


def test_there_is_one_target_for_each_scope(write_config: Write) -> None:
    """Both scopes are asked with the same key, at the same address, in order."""
    write_config("unit = 'USD'\ntimeout = 20\nscope = 'both'\nbase_url = 'https://h.example'\n[profiles.work]\n")
    settings = resolve(Options(api_key=KEY), {})
    key = settings.api_key.value
    assert settings.targets() == [
        Target("work", scope, key, "https://h.example", 20.0, "USD") for scope in (Scope.KEY, Scope.ACCOUNT)
    ]


def test_one_threshold_is_enough() -> None:
    """Zero is a threshold too."""
    assert resolve(Options(min="0"), {}).thresholds() == Thresholds(Decimal(0), None)
    assert resolve(Options(max_used="5"), {}).thresholds() == Thresholds(None, Decimal(5))


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (Options(), "set APIMART_API_KEY, or store a key with: apimart login"),
        (Options(profiles=("a b",)), "store one with: apimart login --profile 'a b'"),
        (Options(all_profiles=True), "store one with: apimart login --profile 'a b'"),
    ],
)
def test_who_has_no_key_is_told_how_to_store_one(write_config: Write, options: Options, hint: str) -> None:
    """For a profile that was named, no variable helps in the long run; its own key does."""
    write_config("[profiles.'a b']\n")
    assert _key_error(resolve(options, {})).hint == hint


def test_a_variable_that_looks_like_ours_is_said_not_to_be_read() -> None:
    """By name alone, in the order of the alphabet; no empty one is named, and none that may not hold the key."""
    for name in ("OPENAI_KEY", "API_KEY", "APIMART_TOKEN", "APIMART_SECRET_KEY", "APIMARTAPIKEY", "apimart_api_key"):
        hint = f"set APIMART_API_KEY, or store a key with: apimart login; {name} is set, and not read"
        assert _key_error(resolve(Options(), {name: OTHER_KEY})).hint == hint
    others = {"APIMART_KEYLOG": "1", "APIMART_TIMEOUT": "5", "SSH_KEY": "x", "APIMART_TOKEN": "", "MONKEY": "x"}
    error = _key_error(resolve(Options(), {**others, "OPENAI_API_KEY": OTHER_KEY, "APIMART_KEY": OTHER_KEY}))
    assert (error.hint or "").endswith("; APIMART_KEY, OPENAI_API_KEY are set, and not read")
