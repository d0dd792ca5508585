"""Settings: option, variable, profile, top level of the file, default; each value with its source."""

import io
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.commands.option_records import AskingOptions
from apimart_cli.config.precedence import resolve as resolve_all
from apimart_cli.config.settings import Options, Settings
from apimart_cli.config.values import parse_amount, parse_scope, parse_timeout, parse_unit
from apimart_cli.errors import AuthError, ConfigError, UsageError
from apimart_cli.keys.key import GivenKey, NoKey
from apimart_cli.records import SettingRow
from apimart_cli.rules.gate import Thresholds
from apimart_cli.target import Target
from apimart_cli.words import Scope, ScopeChoice
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


# --- the meaning of each value ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["0", "5", "0.25", ".5", "5.000001", "007", "0.30", "00000.5", "10.499999999999998", f"{'9' * 15}.{'9' * 30}"],
)
def test_an_amount_is_a_plain_decimal(text: str) -> None:
    """Up to 15 digits, and up to 30 after the point, kept exactly."""
    assert str(parse_amount(text, "--min")) == str(Decimal(text))


_NO_NUMBER = "it is not a plain decimal number"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1", "it has a sign"),
        ("-0", "it has a sign"),
        ("+5", "it has a sign"),
        ("-1e3", "it has a sign"),
        ("1,5", "it has a comma"),
        ("1.000,50", "it has a comma"),
        ("1,000.50", "it has a comma"),
        ("1e3", "it has an exponent"),
        ("1.5E-3", "it has an exponent"),
        ("1" + "0" * 15, "it has more than 15 digits before the point"),
        ("0." + "0" * 30 + "1", "it has more than 30 digits after the point"),
        *((text, _NO_NUMBER) for text in (
            " ", ".", "5.", "abc", "nan", "NaN", "inf", "Infinity", "0x10", "1_000", " 5", "5 ", "5\n", "$5",
            "5 USD", "\u0665", "5.\u0665", "1.2.3", "e5", "-",
        )),
    ],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_no_amount(text: str, reason: str) -> None:
    """A threshold that could be misread is a usage error that says what is wrong, never a guess."""
    with pytest.raises(UsageError) as caught:
        parse_amount(text, "--min")
    assert caught.value.message.startswith("--min: '")
    assert caught.value.message.endswith(f"' is not an amount: {reason}")
    assert caught.value.hint


BAD_SECONDS = [
    "", " ", "abc", "-1", "-0", "+5", "nan", "NaN", "inf", "Infinity", "1,5", "1.000,50", "1e3", "1E3", "5.",
    "5.0000001", "1000000000000", "0x10", "1_000", " 5", "5 ", "5\n", "$5", "5 USD", "\u0665", "5.\u0665", "1.2.3",
    "--5",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10.0), ("2.5", 2.5), (".5", 0.5), ("0.000001", 1e-6), ("3600", 3600.0),
        ("10s", 10.0), ("2.5s", 2.5), ("1m", 60.0), ("1h", 3600.0),
    ],
)  # fmt: skip
def test_a_time_limit_is_a_number_of_seconds_or_a_duration(text: str, seconds: float) -> None:
    """Plain decimals, to the microsecond, with a unit or without."""
    assert parse_timeout(text, "--timeout") == seconds


@pytest.mark.parametrize("text", [*BAD_SECONDS, "10 s", "1:30", "9" * 400])
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    """The error names the source and shows at most forty characters."""
    with pytest.raises(UsageError) as caught:
        parse_timeout(text, "--timeout")
    assert caught.value.message.startswith("--timeout: '")
    assert len(caught.value.message) < 100
    assert caught.value.hint == "give seconds, like 10 or 2.5, or a number and a unit, like 10s or 5m"


@pytest.mark.parametrize("text", ["0", "0.0", "3600.000001", "999999999", "61m", "2h", "9999d"])
def test_a_number_of_seconds_that_limits_nothing_is_refused(text: str) -> None:
    """Zero and more than an hour are refused, by source."""
    with pytest.raises(UsageError, match=r"^APIMART_TIMEOUT: the time limit must be more than 0"):
        parse_timeout(text, "APIMART_TIMEOUT")


@pytest.mark.parametrize(("text", "scopes"), [
    ("key", (Scope.KEY,)), ("account", (Scope.ACCOUNT,)), ("both", (Scope.KEY, Scope.ACCOUNT)),
    ("spendable", (Scope.KEY, Scope.ACCOUNT)),
])  # fmt: skip
def test_a_scope_is_one_of_four_words(text: str, scopes: tuple[Scope, ...]) -> None:
    """`both` and `spendable` ask for the key first, then for the account."""
    scope = parse_scope(text, "scope")
    assert (scope.value, scope.asked) == (text, scopes)


@pytest.mark.parametrize("text", ["", "Key", "all", "key,account", " key"])
def test_any_other_word_is_no_scope(text: str) -> None:
    """The error names the choices."""
    with pytest.raises(UsageError) as caught:
        parse_scope(text, "scope of the file")
    assert caught.value.message == f"scope of the file: '{text.strip()}' is not a scope"
    assert caught.value.hint == "give key, account, both or spendable"


@pytest.mark.parametrize("text", ["USD", "¥", "tokens", "元", "u" * 16, "a b", "[red]"])
def test_a_unit_is_a_short_word(text: str) -> None:
    """Whatever is visible and short."""
    assert parse_unit(text, "unit") == text


@pytest.mark.parametrize("text", ["", "u" * 17, "US\nD", "\x1b[31m", "US\u202e", "::x::", "sk-abcdef", "\t", "\xa0"])
def test_what_does_not_show_is_no_unit(text: str) -> None:
    """A unit stands beside every amount, in tables and logs: it must be one visible word and no key."""
    with pytest.raises(UsageError) as caught:
        parse_unit(text, "unit")
    assert caught.value.message.startswith("unit: '")
    assert caught.value.hint == "give a short word like USD, at most 16 characters"
    assert "sk-a" not in caught.value.message


# --- precedence -------------------------------------------------------------------------------------------------

FILE = """
default_profile = "work"
base_url = "https://top.example"
timeout = 30
scope = "account"
unit = "TOP"
min = 3
max_used = 30

[profiles.work]
base_url = "https://profile.example"
timeout = 20
scope = "both"
unit = "PRO"
min = 2
max_used = 20

[profiles.bare]
"""


def test_without_anything_the_defaults_are_in_force(home: Path) -> None:
    """Every default is named as such, and there is no key."""
    settings = resolve(Options(), {})
    assert settings.rows() == [
        SettingRow("profile", "default", "default"), SettingRow("api_key", "not usable: there is no API key", "none"),
        SettingRow("key_id", None, "none"), SettingRow("base_url", "https://api.apimart.ai", "default"),
        SettingRow("timeout", "10", "default"), SettingRow("scope", "key", "default"),
        SettingRow("unit", None, "default"), SettingRow("min", None, "default"),
        SettingRow("max_used", None, "default"), SettingRow("min_runway", None, "default"),
        SettingRow("max_spent", None, "default"), SettingRow("within", None, "default"),
        SettingRow("on_low", None, "default"), SettingRow("on_recover", None, "default"),
        SettingRow("on_stop", None, "default"), SettingRow("rearm", "1.2", "default"),
        SettingRow("remind", None, "default"), SettingRow("record", "true", "default"),
        SettingRow("history", str(home / ".local" / "state" / "apimart" / "history.db"), "default"),
        SettingRow("books", "true", "default"),
        SettingRow("background_keys", "false", "default"),
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["work", "bare"])
def test_a_command_may_have_another_scope_by_default(write_config: Write, profile: str) -> None:
    """It is still called the default, and any choice comes before it."""
    write_config("[profiles.work]\n[profiles.bare]\nscope = 'account'\n")
    [settings] = resolve_all(Options(profiles=(profile,)), default_scope=ScopeChoice.SPENDABLE)
    assert settings.is_scope_chosen is (profile == "bare")
    assert settings.scope.value is (ScopeChoice.ACCOUNT if profile == "bare" else ScopeChoice.SPENDABLE)
    [settings] = resolve_all(Options(profiles=(profile,), scope="key"), default_scope=ScopeChoice.SPENDABLE)
    assert (settings.scope.value, settings.scope.source) == (ScopeChoice.KEY, "--scope")


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands pass no environment of their own."""
    monkeypatch.setenv("APIMART_TIMEOUT", "7")
    monkeypatch.setenv("APIMART_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEY)
    settings = resolve(Options())
    assert settings.timeout.value == 7.0
    assert _key_of(settings) == KEY


@pytest.mark.parametrize("timeout", ["10.123456", "3599.999999", "0.000001", "100", "1200.50"])
def test_a_time_limit_is_shown_with_all_its_digits(timeout: str) -> None:
    """What is in force is shown as it is, not rounded."""
    shown = next(row.value for row in resolve(Options(timeout=timeout), {}).rows() if row.name == "timeout")
    assert shown is not None
    assert Decimal(shown) == Decimal(timeout)
    assert "e" not in shown


@pytest.mark.parametrize("variable", ["APIMART_BASE_URL", "APIMART_TIMEOUT", "APIMART_PROFILE", "APIMART_CONFIG"])
def test_a_variable_that_is_set_but_empty_is_an_error(variable: str) -> None:
    """CI systems expand a missing secret to an empty string: falling through to another place would be worse."""
    with pytest.raises(UsageError) as caught:
        resolve(Options(), {variable: ""})
    assert caught.value.message == f"{variable} is set but empty"
    assert caught.value.hint


def test_an_option_spares_the_look_at_its_variable() -> None:
    """What is decided by an option cannot fail for a variable that is not used."""
    options = Options(base_url="https://option.example", timeout="5", api_key=KEY)
    settings = resolve(options, {"APIMART_BASE_URL": "", "APIMART_TIMEOUT": "", "APIMART_API_KEY": ""})
    assert (settings.base_url.value, settings.timeout.value) == ("https://option.example", 5.0)
    assert _key_of(settings) == KEY


@pytest.mark.parametrize(("text", "message"), [
    ("timeout = 0", "timeout of {path}: the time limit must be more than 0 and at most 3600 seconds"),
    ("timeout = -5", "timeout of {path}: '-5' has a sign; a duration has none"),
    ("timeout = nan", "timeout of {path}: 'NaN' is not a duration"),
    ("min = -1", "min of {path}: '-1' is not an amount: it has a sign"),
    ("min = inf", "min of {path}: 'Infinity' is not an amount: it is not a plain decimal number"),
    (f"min = 0.{'0' * 30}1",
     "min of {path}: '0." + "0" * 30 + "1' is not an amount: it has more than 30 digits after the point"),
    ("max_used = 1e15",
     "max_used of {path}: '1000000000000000' is not an amount: it has more than 15 digits before the point"),
    ("max_used = 1e999999999", "max_used of {path}: '1E+999999999' is not an amount: it has an exponent"),
    ("scope = 'all'", "scope of {path}: 'all' is not a scope"),
    ("unit = ''", "unit of {path} is empty"), ("base_url = ''", "base_url of {path} is empty"),
    ("base_url = 'ftp://h'", "base_url of {path}: the base URL must start with https://"),
    ("default_profile = 'work'\n[profiles.work]\nmin = -1",
     "min of profile work in {path}: '-1' is not an amount: it has a sign"),
])  # fmt: skip
def test_a_value_of_the_file_is_refused_by_name_and_place(write_config: Write, text: str, message: str) -> None:
    """The rules of the command line hold in the file too, and the error says where to look."""
    path = write_config(text)
    with pytest.raises(UsageError) as caught:
        resolve(Options(), {})
    assert caught.value.message == message.format(path=path)
    assert caught.value.hint


@pytest.mark.parametrize(("options", "environ", "asked_by"), [
    (Options(profiles=("nope",)), {}, "--profile"),
    (Options(), {"APIMART_PROFILE": "nope"}, "APIMART_PROFILE"),
    (Options(profiles=("default",)), {}, "--profile"),
])  # fmt: skip
def test_a_profile_that_somebody_names_must_exist(
    write_config: Write, options: Options, environ: Mapping[str, str], asked_by: str
) -> None:
    """Only the unnamed default profile need not be there."""
    write_config("[profiles.work]\n")
    with pytest.raises(ConfigError, match=f"^{asked_by}: there is no profile '"):
        resolve(options, environ)


def test_a_profile_called_default_is_the_default_one(write_config: Write) -> None:
    """Without a name, the profile `default` is used where it exists."""
    path = write_config("[profiles.default]\nmin = 7\n")
    settings = resolve(Options(), {})
    assert (settings.min.value, settings.min.source) == (Decimal(7), f"profile default in {path}")


# --- the key ----------------------------------------------------------------------------------------------------


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
"""


@pytest.mark.parametrize(("options", "environ", "key", "source"), [
    (Options(api_key=KEY), {"APIMART_API_KEY": OTHER_KEY}, KEY, "--api-key"),
    (Options(api_key=OTHER_KEY, profiles=("own",)), {}, OTHER_KEY, "--api-key"),
    (Options(), {"APIMART_API_KEY": OTHER_KEY}, OTHER_KEY, "APIMART_API_KEY"),
    (Options(), {"APIMART_API_KEY": OTHER_KEY, "APIMART_PROFILE": "own"}, OTHER_KEY, "APIMART_API_KEY"),
    (Options(), {"APIMART_PROFILE": "own"}, KEY, "profile own in {path}"),
    (Options(profiles=("own",)), {"APIMART_API_KEY": OTHER_KEY}, KEY, "profile own in {path}"),
    (Options(profiles=("own",)), {"APIMART_API_KEY": ""}, KEY, "profile own in {path}"),
    (Options(profiles=("bare",)), {"APIMART_API_KEY": OTHER_KEY}, OTHER_KEY, "APIMART_API_KEY"),
    (Options(profiles=("variable",)), {"MY_KEY": KEY, "APIMART_API_KEY": OTHER_KEY}, KEY, "MY_KEY"),
    (Options(), {"MY_KEY": KEY, "APIMART_PROFILE": "variable"}, KEY, "MY_KEY"),
    (Options(api_key=KEY), {"APIMART_API_KEY_FILE": "{file}"}, KEY, "--api-key"),
    (Options(), {"APIMART_API_KEY_FILE": "{file}"}, FILE_KEY, "APIMART_API_KEY_FILE"),
    (Options(), {"APIMART_API_KEY_FILE": "{file}", "APIMART_API_KEY": OTHER_KEY}, OTHER_KEY, "APIMART_API_KEY"),
    (Options(), {"APIMART_API_KEY_FILE": "{file}", "APIMART_PROFILE": "own"}, FILE_KEY, "APIMART_API_KEY_FILE"),
    (Options(profiles=("own",)), {"APIMART_API_KEY_FILE": "{file}"}, KEY, "profile own in {path}"),
    (Options(profiles=("own",)), {"APIMART_API_KEY_FILE": ""}, KEY, "profile own in {path}"),
    (Options(profiles=("own",)), {"APIMART_API_KEY_FILE": "/no/such/file"}, KEY, "profile own in {path}"),
    (Options(profiles=("bare",)), {"APIMART_API_KEY_FILE": "{file}"}, FILE_KEY, "APIMART_API_KEY_FILE"),
    (Options(profiles=("bare",)), {"APIMART_API_KEY_FILE": "{file}", "APIMART_API_KEY": OTHER_KEY}, OTHER_KEY,
     "APIMART_API_KEY"),
])  # fmt: skip
def test_the_key_comes_from_the_most_explicit_place(
    write_config: Write, tmp_path: Path, options: Options, environ: Mapping[str, str], key: str, source: str
) -> None:
    """Option, profile named by option, APIMART_API_KEY, APIMART_API_KEY_FILE, profile named otherwise."""
    path = write_config(PROFILES)
    file = _key_file(tmp_path, FILE_KEY.encode())
    settings = resolve(options, {name: value.format(file=file) for name, value in environ.items()})
    assert (_key_of(settings), settings.api_key.source) == (key, source.format(path=path))


@pytest.mark.parametrize(("options", "environ", "message"), [
    (Options(), {}, "there is no API key"),
    (Options(profiles=("bare",)), {}, "there is no API key"),
    (Options(), {"OPENAI_API_KEY": OTHER_KEY}, "there is no API key"),
    (Options(), {"APIMART_API_KEY": ""}, "the API key from APIMART_API_KEY is empty"),
    (Options(), {"APIMART_API_KEY": "", "APIMART_PROFILE": "own"}, "the API key from APIMART_API_KEY is empty"),
    (Options(api_key=""), {"APIMART_API_KEY": OTHER_KEY}, "the API key from --api-key is empty"),
    (Options(profiles=("bare",)), {"APIMART_API_KEY": ""}, "the API key from APIMART_API_KEY is empty"),
    (Options(profiles=("variable",)), {"APIMART_API_KEY": OTHER_KEY},
     "MY_KEY, named by api_key_env of profile variable in {path}, is not set"),
    (Options(profiles=("variable",)), {"MY_KEY": "", "APIMART_API_KEY": OTHER_KEY}, "the API key from MY_KEY is empty"),
    (Options(), {"APIMART_API_KEY": "two words"}, "the API key from APIMART_API_KEY has white space in it"),
    (Options(), {"APIMART_API_KEY_FILE": ""}, "APIMART_API_KEY_FILE is set but empty"),
    (Options(), {"APIMART_API_KEY_FILE": "/no/such/file", "APIMART_PROFILE": "own"},
     "APIMART_API_KEY_FILE: cannot read /no/such/file: No such file or directory"),
    (Options(profiles=("bare",)), {"APIMART_API_KEY_FILE": "/dev/null"},
     "the API key from APIMART_API_KEY_FILE is empty"),
    (Options(), {"APIMART_API_KEY": "", "APIMART_API_KEY_FILE": "/no/such/file"},
     "the API key from APIMART_API_KEY is empty"),
    (Options(), {"APIMART_API_KEY_FILE": KEY}, "APIMART_API_KEY_FILE: cannot read sk-... No such file or directory"),
])  # fmt: skip
def test_a_missing_or_malformed_key_never_falls_through_to_another(
    write_config: Write, options: Options, environ: Mapping[str, str], message: str
) -> None:
    """The error is kept, so that `config show` and other profiles can go on, and is raised where the key is read."""
    path = write_config(PROFILES)
    settings = resolve(options, environ)
    error = _key_error(settings)
    assert error.message == message.format(path=path)
    assert error.hint
    (target,) = settings.targets()
    with pytest.raises(AuthError) as caught:
        target.api_key.read(lambda: 1.0)
    assert caught.value is error
    shown = next(row.value for row in settings.rows() if row.name == "api_key")
    assert shown == f"not usable: {error.message}"


def test_a_malformed_key_in_the_file_is_told_by_its_place(write_config: Write) -> None:
    """The error names profile and file and shows nothing of the key."""
    path = write_config("[profiles.work]\napi_key = 'sk-Zq7W m3Xc'\n")
    error = _key_error(resolve(Options(profiles=("work",)), {}))
    assert error.message == f"the API key from profile work in {path} has white space in it"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_file_holds_the_key_and_at_most_a_line_end(tmp_path: Path, end: bytes) -> None:
    """Editors and `echo` end a file with a line end; it is no part of the key."""
    path = _key_file(tmp_path, KEY.encode() + end)
    settings = resolve(Options(api_key_file=path), {"APIMART_API_KEY": OTHER_KEY})
    assert (_key_of(settings), settings.api_key.source) == (KEY, f"--api-key-file {path}")
    assert settings.exposures == ()


@pytest.mark.parametrize(("content", "fault"), [
    (b"", "is empty"), (b"\n", "is empty"), (KEY.encode() + b"\n\n", "has a line break in it"),
    (f"{KEY}\n{OTHER_KEY}\n".encode(), "has a line break in it"),
    (f"{KEY} \n".encode(), "has white space in it"),
    (f"api_key = {KEY}".encode(), "has white space in it"),
    (f"{KEY}\u200b".encode(), "has a character in it that is not printable ASCII"),
    (f'"{KEY}\u200b"'.encode(), "is in quotes"),
])  # fmt: skip
def test_a_key_file_with_more_than_a_key_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    """What the file holds is the key or nothing: no line is picked out."""
    path = _key_file(tmp_path, content)
    error = _key_error(resolve(Options(api_key_file=path), {}))
    assert error.message == f"the API key from --api-key-file {path} {fault}"


def test_a_key_file_that_others_can_read_is_noted(tmp_path: Path) -> None:
    """What it means is the command's decision: `balance` warns, `check` refuses."""
    path = _key_file(tmp_path, mode=0o644)
    settings = resolve(Options(api_key_file=path), {})
    assert [exposure.hint for exposure in settings.exposures] == [f"run: chmod 600 {path}"]
    assert _key_of(settings) == KEY


def test_every_file_that_others_can_read_is_noted(write_config: Write, tmp_path: Path) -> None:
    """The config file and the key file are both looked at, the config file first."""
    config = write_config(PROFILES, 0o644)
    path = _key_file(tmp_path, mode=0o644)
    settings = resolve(Options(api_key_file=path), {})
    assert [exposure.message.split()[0] for exposure in settings.exposures] == [str(config), str(path)]


def test_a_key_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It is a mistake of usage, not a missing key: no other key is tried."""
    with pytest.raises(ConfigError, match=r"^cannot read "):
        resolve(Options(api_key_file=tmp_path / "missing"), {"APIMART_API_KEY": KEY})


def test_the_variable_names_a_file_from_here_or_from_home(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path and a tilde mean what they mean in a shell; others who can read the file are noted."""
    monkeypatch.chdir(tmp_path)
    _key_file(tmp_path, FILE_KEY.encode()).rename(tmp_path / "here")
    assert _key_of(resolve(Options(), {"APIMART_API_KEY_FILE": "here"})) == FILE_KEY
    (tmp_path / "here").rename(home / "there")
    (home / "there").chmod(0o644)
    settings = resolve(Options(), {"APIMART_API_KEY_FILE": "~/there"})
    assert _key_of(settings) == FILE_KEY
    assert [exposure.hint for exposure in settings.exposures] == [f"run: chmod 600 {home / 'there'}"]


def test_a_file_that_another_user_can_change_gives_no_key(tmp_path: Path) -> None:
    """Another user was about to decide which key is used: exit 2, as for every key file."""
    path = _key_file(tmp_path, FILE_KEY.encode(), mode=0o602)
    with pytest.raises(ConfigError, match=r"^APIMART_API_KEY_FILE: .* is not used: every user can change it$"):
        resolve(Options(), {"APIMART_API_KEY_FILE": str(path)})


def test_two_options_for_the_key_contradict_each_other(tmp_path: Path) -> None:
    """Neither is preferred silently."""
    with pytest.raises(UsageError, match=r"^--api-key and --api-key-file exclude each other$"):
        resolve(Options(api_key=KEY, api_key_file=_key_file(tmp_path)), {})


FROM_STANDARD_INPUT = AskingOptions(api_key="-").options()


class _Input(io.TextIOWrapper):
    """Standard input with these bytes in it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="ascii")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_dash_reads_the_key_from_standard_input(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    """The way for password managers: the key is in no process list."""
    monkeypatch.setattr(sys, "stdin", _Input(KEY.encode() + end))
    settings = resolve(FROM_STANDARD_INPUT, {})
    assert (_key_of(settings), settings.api_key.source) == (KEY, "standard input")


@pytest.mark.parametrize(("content", "fault"), [
    (b"", "is empty"), (b"\n", "is empty"),
    (f"{KEY}\n{KEY}\n".encode(), "has a line break in it"),
    (b"\xff\xfe", "has a character in it that is not printable ASCII"),
    (b"x" * 4097, "is longer than 4096 characters"), (b"x" * 1_000_000, "is longer than 4096 characters"),
])  # fmt: skip
def test_standard_input_with_no_single_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes, fault: str
) -> None:
    """A longer input is refused and not cut into a shorter key."""
    monkeypatch.setattr(sys, "stdin", _Input(content))
    assert _key_error(resolve(FROM_STANDARD_INPUT, {})).message == f"the API key from standard input {fault}"


def test_a_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to read a key from, and a hint at what else there is."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError) as caught:
        resolve(FROM_STANDARD_INPUT, {})
    assert caught.value.message == "--api-key -: standard input is closed"
    assert caught.value.hint == "pipe the key in, or use --api-key-file"


def test_a_standard_input_that_breaks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading from a folder, for example."""

    class Broken(_Input):
        @property
        def buffer(self) -> Any:
            raise IsADirectoryError(21, "Is a directory")

    monkeypatch.setattr(sys, "stdin", Broken(b""))
    with pytest.raises(UsageError, match=r"^--api-key -: cannot read standard input: Is a directory$"):
        resolve(FROM_STANDARD_INPUT, {})


def test_at_a_terminal_the_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person types it at a prompt."""

    class Terminal(_Input):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(b""))
    monkeypatch.setattr("apimart_cli.screen.prompt.ask_secret", lambda prompt: KEY if prompt == "API key: " else "")
    assert _key_of(resolve(FROM_STANDARD_INPUT, {})) == KEY


# --- what comes out ---------------------------------------------------------------------------------------------


def test_of_the_key_only_its_length_is_shown(write_config: Write) -> None:
    """Neither the rows nor any printed form of the settings hold a piece of the key."""
    write_config(PROFILES)
    settings = resolve(Options(profiles=("own",), scope="both", min="5"), {})
    rows = settings.rows()
    assert SettingRow("api_key", "set, 26 characters", settings.api_key.source) in rows
    assert SettingRow("scope", "both", "--scope") in rows
    for shown in (repr(settings), repr(rows), repr(settings.targets())):
        assert not any(KEY[start : start + 8] in shown for start in range(len(KEY) - 7))


def test_there_is_one_target_for_each_scope(write_config: Write) -> None:
    """Both scopes are asked with the same key, at the same address, in order."""
    write_config(FILE)
    settings = resolve(Options(api_key=KEY), {})
    key = settings.api_key.value
    assert settings.targets() == [
        Target("work", scope, key, "https://profile.example", 20.0, "PRO") for scope in (Scope.KEY, Scope.ACCOUNT)
    ]


@pytest.mark.parametrize(("options", "thresholds"), [
    (Options(min="5"), Thresholds(Decimal(5), None)),
    (Options(max_used="5"), Thresholds(None, Decimal(5))),
    (Options(min="0"), Thresholds(Decimal(0), None)),
    (Options(min="1.50", max_used="2"), Thresholds(Decimal("1.50"), Decimal(2))),
])  # fmt: skip
def test_one_threshold_is_enough(options: Options, thresholds: Thresholds) -> None:
    """Zero is a threshold too."""
    assert resolve(options, {}).thresholds() == thresholds


def test_no_threshold_is_an_error() -> None:
    """A gate without a threshold is never a pass."""
    with pytest.raises(UsageError) as caught:
        resolve(Options(), {}).thresholds()
    assert caught.value.message == "there is no threshold to check"
    assert caught.value.hint == (
        "give --min, --max-used, --min-runway or --max-spent, or set min in the profile; like: --min 5"
    )


def test_a_profile_without_a_threshold_is_named(write_config: Write) -> None:
    """Among several profiles it is told which of them lacks one."""
    write_config("[profiles.work]\nmin = 5\n[profiles.ci]\n")
    work, ci = resolve_all(Options(all_profiles=True), {})
    assert work.thresholds().min == 5
    with pytest.raises(UsageError) as caught:
        ci.thresholds()
    assert caught.value.message == "profile ci has no threshold to check"


@pytest.mark.parametrize(("options", "hint"), [
    (Options(), "set APIMART_API_KEY, or store a key with: apimart login"),
    (Options(profiles=("a b",)), "store one with: apimart login --profile 'a b'"),
    (Options(all_profiles=True), "store one with: apimart login --profile 'a b'"),
])  # fmt: skip
def test_who_has_no_key_is_told_how_to_store_one(write_config: Write, options: Options, hint: str) -> None:
    """For a profile that was named, no variable helps in the long run; its own key does."""
    write_config("[profiles.'a b']\n")
    settings = resolve(options, {})
    with pytest.raises(AuthError) as caught:
        settings.api_key.value.read(lambda: 1.0)
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", [
    "OPENAI_API_KEY", "OPENAI_KEY", "API_KEY", "APIMART_KEY", "APIMART_TOKEN", "APIMART_APIKEY", "APIMART_API_TOKEN",
    "APIMART_SECRET_KEY", "APIMARTAPIKEY", "API_MART_KEY", "apimart_api_key",
])  # fmt: skip
def test_a_variable_that_looks_like_ours_is_said_not_to_be_read(name: str) -> None:
    """Its name alone: who set it wonders where the key went."""
    error = _key_error(resolve(Options(), {name: OTHER_KEY}))
    assert error.message == "there is no API key"
    assert error.hint == f"set APIMART_API_KEY, or store a key with: apimart login; {name} is set, and not read"


def test_only_variables_that_may_hold_the_key_are_named() -> None:
    """No empty one, none of another kind; several in the order of the alphabet."""
    others = {"APIMART_KEYLOG": "1", "APIMART_TIMEOUT": "5", "SSH_KEY": "x", "APIMART_TOKEN": "", "MONKEY": "x"}
    error = _key_error(resolve(Options(), {**others, "OPENAI_API_KEY": OTHER_KEY, "APIMART_KEY": OTHER_KEY}))
    assert (error.hint or "").endswith("; APIMART_KEY, OPENAI_API_KEY are set, and not read")
