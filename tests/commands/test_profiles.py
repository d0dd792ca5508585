"""Many profiles: which are asked, in which order, with which settings, side by side; and what one of them can break."""

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.config.precedence import resolve
from apimart_cli.config.settings import Options, Settings
from apimart_cli.gateway.client import MAX_CONCURRENCY
from apimart_cli.keys.key import GivenKey
from support.running import KEY, Call, unfolded
from support.scripted import Gateway, Reply, balance, gateway, refusal

# A key is `sk-<profile>`: the gateway of these tests answers by it.
THREE = """
default_profile = "b"
[profiles.a]
api_key = "sk-a"
min = 5
[profiles.b]
api_key = "sk-b"
min = 50
max_used = 1
[profiles.c]
api_key = "sk-c"
"""
AMOUNTS = {"sk-a": "10", "sk-b": "20", "sk-c": "30.0", KEY: "99"}


def answer(_path: str, key: str) -> Reply:
    return balance(AMOUNTS[key], "1") if key in AMOUNTS else refusal(401)


@pytest.fixture
def server() -> Iterator[Gateway]:
    """A gateway that knows the keys of THREE and the test key, each with an amount of its own."""
    with gateway(answer) as running:
        yield running


Three = Callable[..., dict[str, str]]


@pytest.fixture
def three(tmp_path: Path, server: Gateway) -> Three:
    """Write a config file, THREE unless told otherwise, and return what points a command at it and at `server`."""

    def point(text: str = THREE) -> dict[str, str]:
        config = tmp_path / "three.toml"
        config.write_text(text)
        config.chmod(0o600)
        return {"APIMART_BASE_URL": server.url, "APIMART_CONFIG": str(config)}

    return point


@pytest.mark.parametrize(
    ("arguments", "environ", "lines"),
    [
        (("-p", "a"), {}, ["10"]),
        (("-p", "c", "--profile", "a"), {}, ["c/key\t30.0", "a/key\t10"]),
        (("-p", "a", "-p", "a"), {}, ["a/key\t10", "a/key\t10"]),
        (("--all-profiles",), {}, ["a/key\t10", "b/key\t20", "c/key\t30.0"]),
        ((), {}, ["20"]),
        ((), {"APIMART_PROFILE": "c"}, ["30.0"]),
    ],
)
def test_the_profiles_that_were_asked_for_are_shown_in_that_order(
    call: Call, three: Three, arguments: tuple[str, ...], environ: Mapping[str, str], lines: list[str]
) -> None:
    """Option, variable, the file's default; `value` names them as soon as there are several."""
    shown = call("balance", *arguments, "-o", "value", env={**three(), **environ})
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == lines


def test_a_profile_without_a_key_uses_the_one_of_the_environment(call: Call, three: Three) -> None:
    """Profiles may differ in everything but the key."""
    env = {**three("[profiles.a]\nunit = 'USD'\n[profiles.b]\napi_key = 'sk-b'\n"), "APIMART_API_KEY": KEY}
    assert call("balance", "--all-profiles", "-o", "value", env=env).stdout == "a/key\t99\nb/key\t20\n"


@pytest.mark.parametrize(("arguments", "environ", "message", "hint"), [
    (("-p", "a", "-p", "bb"), {}, "--profile: there is no profile 'bb' in {path}",
     "did you mean b? profiles in the file: a, b, c"),
    ((), {"APIMART_PROFILE": "x"}, "APIMART_PROFILE: there is no profile 'x' in {path}", "a, b, c"),
    (("-p", "a", "--all-profiles"), {}, "--profile and --all-profiles exclude each other", "one of them"),
    (("-p", "a", "-p", "b", "--api-key", KEY), {}, "one key cannot stand for several profiles", "single profile"),
    (("--all-profiles", "--api-key-file", "/k"), {}, "one key cannot stand for several profiles", "single profile"),
])  # fmt: skip
def test_a_question_about_profiles_that_makes_no_sense_is_a_usage_error(
    call: Call, three: Three, server: Gateway, arguments: tuple[str, ...], environ: Mapping[str, str], message: str,
    hint: str,
) -> None:  # fmt: skip
    """Exit 2, and nobody is asked: not even for the profiles that would have worked."""
    env = {**three(), **environ}
    for command in (("balance",), ("check", "--min", "1"), ("config", "show")):
        refused = call(*command, *arguments, env=env)
        assert (refused.code, refused.stdout, server.asked) == (2, "", [])
        assert refused.stderr.startswith(f"apimart: error: {message.format(path=env['APIMART_CONFIG'])}\nhint: ")
        assert hint in refused.stderr.splitlines()[1]


def test_there_must_be_a_profile_to_ask_for_all(call: Call, three: Three) -> None:
    """A file without profiles is told, with the way to one."""
    env = three("timeout = 5\n")
    refused = call("balance", "--all-profiles", env=env)
    assert refused.code == 2
    assert refused.stderr == (
        f"apimart: error: --all-profiles: there is no profile in {env['APIMART_CONFIG']}\n"
        "hint: store one with: apimart login\n"
    )


MIXED = """
[profiles.good]
api_key = "sk-a"
[profiles.unknown]
api_key = "sk-unknown"
[profiles.keyless]
[profiles.unset]
api_key_env = "NOT_SET"
[profiles.command]
api_key_command = ["false"]
[profiles.rich]
api_key = "sk-c"
"""


def test_a_failed_profile_is_told_in_its_place_and_the_others_still_show(call: Call, three: Three) -> None:
    """By the kind of its error: a row, an object of JSON, a word; what happened is told on standard error, by name."""
    env = three(MIXED)
    shown = call("balance", "--all-profiles", env=env)
    rows = [line.split() for line in shown.stdout.splitlines()[2:]]
    names = ["good", "unknown", "keyless", "unset", "command", "rich"]
    assert shown.code == 4
    assert [row[0] for row in rows] == names
    assert [(row[2], row[-1]) for row in rows] == [("10", "ok"), *[("-", "auth")] * 4, ("30.0", "ok")]
    errors = [line for line in shown.stderr.splitlines() if line.startswith("apimart: error: ")]
    assert [line.split(": ")[2] for line in errors] == ["unknown/key", "keyless/key", "unset/key", "command/key"]
    assert "NOT_SET, named by api_key_env of profile unset" in errors[2]
    documents = [json.loads(line) for line in call("balance", "--all-profiles", "--json", env=env).stdout.splitlines()]
    assert [document["profile"] for document in documents] == names
    assert [document.get("error", {}).get("exit_code") for document in documents] == [None, 4, 4, 4, 4, None]
    values = call("balance", "--all-profiles", "-o", "value", env=env).stdout.splitlines()
    assert values[:2] == ["good/key\t10", "unknown/key\terror"]


def test_each_profile_has_its_own_thresholds(call: Call, three: Three) -> None:
    """Those of the file; the document tells each reading's, and none for all."""
    checked = call("check", "-p", "a", "-p", "b", env=three())
    assert checked.code == 3
    assert checked.stdout.splitlines() == [
        "PASS a/spendable: 10 left (limited by key), at least 5 required",
        "BELOW b/spendable: 20 left (limited by key), at least 50 required; 1 used, at most 1 allowed",
    ]
    document = json.loads(call("check", "-p", "a", "-p", "b", "--json", env=three()).stdout)
    assert (document["min"], document["max_used"]) == (None, None)
    assert [(each["min"], each["max_used"]) for each in document["readings"]] == [(5, None), (50, 1)]
    assert document["stopped_by"] == ["b/spendable"]


def test_one_profile_without_a_threshold_is_a_usage_error(call: Call, three: Three, server: Gateway) -> None:
    """The gate never passes a key that it does not judge; nobody is asked."""
    assert (call("check", "--all-profiles", env=three()).code, server.asked) == (2, [])


def test_a_slow_profile_does_not_delay_the_line_of_a_quick_one_before_it(
    command: str, environment: Mapping[str, str], three: Three, server: Gateway
) -> None:
    """Through a pipe: the first line is read while the second profile's answer is still held back."""
    was_read = threading.Event()

    def hold(path: str, key: str) -> Reply:
        if key == "sk-b":
            assert was_read.wait(20)
        return answer(path, key)

    server.answer = hold
    with subprocess.Popen(
        [command, "balance", "--all-profiles", "--json", "--timeout", "30"],
        env={**environment, **three()},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert not was_read.is_set()
        was_read.set()
        lines = process.stdout.readlines()
    assert line.startswith(b'{"schema":1,"profile":"a"')
    assert (len(lines), process.returncode) == (2, 0)


class Ended(NamedTuple):
    """How a process ended, and the most memory it had, in KiB."""

    code: int
    lines: list[str]
    peak: int


LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""Started between the test and the command: a process begins with the peak of the one that started it."""


def run_measured(command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *command],
        env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout.splitlines(), int(ended.stderr))


def test_hundreds_of_profiles_are_asked_with_bounded_means(
    command: str, environment: Mapping[str, str], three: Three, server: Gateway
) -> None:
    """Each in its order, over at most fifty connections at once; the memory is that of one profile, and little more."""
    server.answer = lambda _path, key: balance(key.removeprefix("sk-"), delay=0.01)
    text = "".join(f"[profiles.p{number}]\napi_key = 'sk-{number}'\n" for number in range(400))
    environment = {**environment, **three(text)}
    one = run_measured([command, "balance", "-p", "p0", "-o", "value"], environment)
    server.connections = server.most_at_once = 0
    many = run_measured([command, "balance", "--all-profiles", "-o", "value"], environment)
    assert (one.code, many.code) == (0, 0)
    assert many.lines == [f"p{number}/key\t{number}" for number in range(400)]
    assert 2 <= server.most_at_once <= MAX_CONCURRENCY == 50
    # 2 MiB for fifty threads, and at most 12 KiB a profile.
    assert many.peak - one.peak < (2 * 1024 + 400 * 12)


def test_a_profile_that_hangs_costs_only_itself(call: Call, three: Three, server: Gateway) -> None:
    """It fails when its own time is over; the others are there."""
    server.answer = lambda path, key: answer(path, key)._replace(delay=20 if key == "sk-b" else 0)
    env = three(THREE.replace("max_used = 1", "max_used = 1\ntimeout = 0.5"))
    shown = call("balance", "--all-profiles", "-o", "value", env=env)
    assert (shown.code, shown.stdout) == (5, "a/key\t10\nb/key\terror\nc/key\t30.0\n")
    assert "b/key: no answer from" in shown.stderr


PLACES = ("option", "variable", "profile", "file")
"""Where a setting may stand, the first place first; where it stands in none of them, its default counts."""
KEY_PLACES_FOR_A_PROFILE_OF_THE_OPTION = ("option", "profile", "variable")
"""A profile that was asked for by name is more explicit than a variable."""

WRITTEN: Mapping[str, Mapping[str, str]] = {
    "profile": {"option": "by-option", "variable": "by-variable", "file": "'by-file'"},
    "api_key": {"option": "sk-option", "variable": "sk-variable", "profile": "sk-profile"},
    "base_url": {
        "option": "https://option.example/v1", "variable": "https://variable.example/",
        "profile": "'https://profile.example'", "file": "'https://file.example/x'",
    },
    "timeout": {"option": "1.5", "variable": "2", "profile": "3.25", "file": "4"},
    "scope": {"option": "both", "profile": "'account'", "file": "'spendable'"},
    "unit": {"option": "OPT", "variable": "VAR", "profile": "'PRO'", "file": "'TOP'"},
    "min": {"option": "1.00", "profile": "2.0", "file": "3"},
    "max_used": {"option": "10", "profile": "20.5", "file": "30"},
    "min_runway": {"option": "3d", "profile": "'36h'", "file": "'.5w'"},
    "max_spent": {"option": "5.00", "profile": "6", "file": "7.5"},
    "within": {"option": "today", "profile": "'24h'", "file": "'month'"},
    "on_low": {"option": "notify 'a b'", "profile": "['notify', 'c d']", "file": "['top']"},
    "on_recover": {"option": "back", "profile": "['back', 'c']", "file": "['back', '$HOME']"},
    "on_stop": {"option": "docker kill 'a b'", "profile": "['docker', 'kill']", "file": "['scancel']"},
    "rearm": {"profile": "1.5", "file": "2"},
    "remind": {"profile": "'24h'", "file": "'7d'"},
    "record": {"variable": "1", "profile": "false", "file": "true"},
    "books": {"variable": "0", "profile": "true", "file": "false"},
    "background_keys": {"profile": "true"},
}  # fmt: skip
"""What stands in each of these places, as it is written there."""

KEY_LINES = {
    "api_key": "api_key = 'sk-profile'",
    "api_key_env": "api_key_env = 'KEY_OF_PROFILE'",
    "api_key_file": "api_key_file = '{folder}/sk-profile'",
}
"""How a profile may have its key."""

Standing = Mapping[str, Collection[str]]
STANDING = st.fixed_dictionaries({name: st.sets(st.sampled_from(sorted(places))) for name, places in WRITTEN.items()})
"""For each setting, any of the places it may stand in."""


def place_of(setting: str, standing: Standing, order: Sequence[str] = PLACES) -> str:
    """The place where a setting is found."""
    return next((place for place in order if place in standing.get(setting, ())), "default")


def profile_of(standing: Standing) -> str:
    """The profile that is in use."""
    return WRITTEN["profile"].get(place_of("profile", standing), "default").strip("'")


def config_text(standing: Standing, key_kind: str, folder: Path) -> str:
    """The config file that says what stands in it."""

    def lines(place: str) -> Iterator[str]:
        for name in standing.keys() - {"api_key"}:
            if place in standing[name]:
                yield f"{'default_profile' if name == 'profile' else name} = {WRITTEN[name][place]}"

    profile = profile_of(standing)
    has_key = "profile" in standing.get("api_key", ())
    own = [*lines("profile"), *([KEY_LINES[key_kind].format(folder=folder)] if has_key else [])]
    others = [name for name in ("by-option", "by-variable", "by-file") if name != profile]
    return "\n".join([*lines("file"), f"[profiles.{profile}]", *own, *(f"[profiles.{name}]" for name in others)])


def resolved(folder: Path, standing: Standing, key_kind: str = "api_key", key_option: str = "api_key") -> Settings:
    """The settings that are in force then."""
    for key in ("sk-profile", "sk-option"):
        (folder / key).write_text(f"{key}\n")
        (folder / key).chmod(0o600)
    path = folder / "precedence.toml"
    path.write_text(config_text(standing, key_kind, folder))
    path.chmod(0o600)
    environ = {"APIMART_CONFIG": str(path), "KEY_OF_PROFILE": "sk-profile"}
    environ |= {
        f"APIMART_{name.upper()}": WRITTEN[name]["variable"] for name in standing if "variable" in standing[name]
    }
    options: dict[str, Any] = {name: WRITTEN[name]["option"] for name in standing if "option" in standing[name]}
    if "profile" in options:
        options["profiles"] = (options.pop("profile"),)
    if "api_key" in options and key_option == "api_key_file":
        options["api_key_file"] = folder / options.pop("api_key")
    [settings] = resolve(Options(**options), environ)
    return settings


@functools.cache
def alone(folder: Path, setting: str, place: str) -> object:
    """What a setting means that stands in this place, and in no other."""
    return getattr(resolved(folder, {setting: [place]} if place != "default" else {}), setting).value


def source_in_words(setting: str, place: str, profile: str, path: Path) -> str:
    """How `config show` calls a place."""
    return {
        "option": f"--{setting.replace('_', '-')}",
        "variable": f"APIMART_{setting.upper()}",
        "profile": f"profile {profile} in {path}",
        "file": f"{path}" if setting != "profile" else f"default_profile in {path}",
        "default": "default",
    }[place]


@given(
    standing=STANDING, key_kind=st.sampled_from([*KEY_LINES]), key_option=st.sampled_from(["api_key", "api_key_file"])
)
@settings(max_examples=60)
def test_every_setting_comes_from_the_first_place_that_has_it(
    tmp_path_factory: pytest.TempPathFactory, standing: Standing, key_kind: str, key_option: str
) -> None:
    """Whatever stands where, each setting by itself, and its source is named; the key has its own finer step."""
    folder = tmp_path_factory.getbasetemp()
    settings = resolved(folder, standing, key_kind, key_option)
    profile, profile_place = profile_of(standing), place_of("profile", standing)
    for name in WRITTEN.keys() - {"api_key"}:
        place = place_of(name, standing)
        source = source_in_words(name, place, profile, folder / "precedence.toml")
        setting = getattr(settings, name)
        value = profile if name == "profile" else alone(folder, name, place)
        assert (str(setting.value), setting.source) == (str(value), source), name
    order = KEY_PLACES_FOR_A_PROFILE_OF_THE_OPTION if profile_place == "option" else PLACES
    key = WRITTEN["api_key"].get(place_of("api_key", standing, order))
    given_key = settings.api_key.value
    assert (given_key.read(lambda: 1.0).reveal() if isinstance(given_key, GivenKey) else None) == key


def test_no_two_places_mean_the_same(tmp_path: Path) -> None:
    """So that the test before this one can tell them apart; a switch has two values alone."""
    for name in WRITTEN.keys() - {"profile", "api_key", "record", "books", "background_keys"}:
        meanings = {str(alone(tmp_path, name, place)) for place in (*WRITTEN[name], "default")}
        assert len(meanings) == len(WRITTEN[name]) + 1, name


def test_every_setting_is_in_the_table_of_this_test() -> None:
    """A new setting is not forgotten here."""
    assert set(WRITTEN) == set(Settings._fields) - {"exposures", "is_key_instead_of_profile", "history"}


ONE = """
[profiles.only]
api_key = "sk-a"
min = 5
"""
NO_DEFAULT = THREE.replace('default_profile = "b"\n', "")


def test_the_only_profile_of_a_file_needs_no_name(call: Call, three: Three) -> None:
    """Its key and its threshold are used, and `config show` tells why."""
    env = three(ONE)
    assert call("balance", "-o", "value", env=env).stdout == "10\n"
    assert call("check", env=env).stdout == "PASS only/spendable: 10 left (limited by key), at least 5 required\n"
    shown = call("config", "show", env=env).stdout.splitlines()[0]
    assert shown.split(maxsplit=2) == ["profile", "only", f"the only profile in {env['APIMART_CONFIG']}"]


def test_among_several_profiles_none_is_taken_for_the_default(call: Call, three: Three) -> None:
    """Exit 4: it names those that there are, and the command that makes one the default; that works."""
    env = three(NO_DEFAULT)
    refused = call("balance", env=env)
    assert (refused.code, refused.stdout) == (4, "")
    assert refused.stderr == (
        "apimart: error: there is no API key\n"
        "hint: name a profile with --profile (a, b, c), or make it the default: "
        "apimart config set default_profile NAME\n"
    )
    assert call("config", "set", "default_profile", "c", env=env).code == 0
    assert call("balance", "-o", "value", env=env).stdout == "30.0\n"


def test_a_profile_of_the_file_that_lacks_a_key_is_not_what_another_could_stand_for(call: Call, three: Three) -> None:
    """Where the profile in use has no key, `login` is what helps: it stores one for that profile."""
    refused = call("balance", env=three("default_profile = 'a'\n[profiles.a]\n[profiles.b]\napi_key = 'sk-b'\n"))
    assert (refused.code, refused.stderr.splitlines()[1]) == (
        4,
        "hint: set APIMART_API_KEY, or store a key with: apimart login",
    )


def test_the_first_login_makes_its_profile_the_default_one(call: Call, server: Gateway, tmp_path: Path) -> None:
    """It says so, and the next command needs no name. The second login changes nothing about it."""
    env = {"APIMART_BASE_URL": server.url, "APIMART_CONFIG": str(tmp_path / "new.toml")}
    first = call("login", "-p", "work", input="sk-a", env=env)
    assert first.code == 0
    assert "apimart: note: work is the default profile now: it is used when none is named\n" in first.stderr
    assert (tmp_path / "new.toml").read_text() == 'default_profile = "work"\n\n[profiles.work]\napi_key = "sk-a"\n'
    assert call("balance", "-o", "value", env=env).stdout == "10\n"
    second = call("login", "-p", "home", input="sk-b", env=env)
    assert (second.code, "default profile" in second.stderr) == (0, False)
    assert call("balance", "-o", "value", env=env).stdout == "10\n"


def test_a_login_beside_other_profiles_makes_none_the_default(call: Call, server: Gateway, three: Three) -> None:
    """Which of them it is was left open on purpose, or is said by hand."""
    env = {**three(NO_DEFAULT), "APIMART_BASE_URL": server.url}
    login = call("login", "-p", "a", input="sk-a", env=env)
    assert (login.code, "default profile" in login.stderr) == (0, False)
    assert "default_profile" not in Path(env["APIMART_CONFIG"]).read_text()


def test_logging_out_of_the_only_profile_needs_no_name(call: Call, three: Three) -> None:
    """What `balance` would use is what `logout` forgets."""
    env = three(ONE)
    assert call("logout", env=env) == (0, "", "apimart: note: the key of profile only is forgotten\n")
    assert call("balance", env=env).code == 4


@pytest.mark.parametrize(("arguments", "environ", "source"), [
    ((), {"APIMART_API_KEY": "sk-unknown"}, "APIMART_API_KEY"),
    (("--api-key", "sk-unknown"), {}, "--api-key"), (("-p", "unknown"), {}, "profile unknown in {path}"),
    (("-p", "printed"), {}, "api_key_command of profile printed (echo)"),
])  # fmt: skip
def test_a_rejected_key_is_named_by_its_source(
    call: Call, three: Three, arguments: tuple[str, ...], environ: Mapping[str, str], source: str
) -> None:
    """Among an option, a variable and a file, one sees which to mend."""
    env = three("[profiles.unknown]\napi_key = 'sk-unknown'\n[profiles.printed]\napi_key_command = ['echo', 'sk-no']\n")
    refused = call("balance", *arguments, env={**env, **environ})
    words = f"the gateway rejected the API key from {source.format(path=env['APIMART_CONFIG'])} (HTTP 401)"
    assert (refused.code, refused.stdout) == (4, "")
    assert refused.stderr.startswith(f"apimart: error: {words}")


def test_a_person_is_told_when_the_environment_has_the_key_of_a_profile(call: Call, three: Three) -> None:
    """The row says `b`, and the amount is that of another key: a note says so, once. A script is not told."""
    env = {**three(), "APIMART_API_KEY": KEY}
    shown = unfolded(call("balance", "--scope", "both", columns=60, env=env).stdout.encode())
    assert shown.startswith(
        "apimart: note: the key is that of APIMART_API_KEY, not that of profile b\n"
        "hint: use the profile's own with: --profile b\n"
    )
    assert shown.count("apimart: note") == 1
    assert call("balance", env=env).stderr == ""


@pytest.mark.parametrize(
    ("text", "arguments", "more"),
    [
        ("default_profile = 'b'\n[profiles.b]\nunit = 'USD'\n", (), {}),
        (THREE, ("--api-key", KEY), {}),
        (THREE, (), {"APIMART_SANDBOX": "1"}),
    ],
)
def test_nothing_is_told_where_the_key_is_what_one_would_think(
    call: Call, three: Three, text: str, arguments: tuple[str, ...], more: dict[str, str]
) -> None:
    """A profile without a key of its own, a key that was given by option, or the one that the sandbox has set."""
    env = {**three(text), "APIMART_API_KEY": KEY, **more}
    assert "note" not in call("balance", *arguments, columns=80, env=env).stdout
