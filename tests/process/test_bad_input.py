"""Bad input: each mistake is one clear line with a hint and its exit code, sends nothing, and never shows the key."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.fault_server import FaultServer
from support.leaks import find_key
from support.running import KEY, Call, Run

GOOD = b'{"success":true,"remain_balance":1000,"used_balance":0}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(GOOD), GOOD)


@pytest.fixture
def run(call: Call) -> Call:
    """Run in this process: what these tests show does not need one of its own."""
    return call


@pytest.fixture
def gateway() -> Iterator[FaultServer]:
    """A gateway that would let everything pass; nobody may ask it."""
    with FaultServer([[ANSWER]]) as server:
        yield server


class Mistake(NamedTuple):
    """A command line that is right but for one thing, and what is said about that."""

    message: str
    """How the message begins; `{path}` is the config file."""
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str | None] = {}  # nobody changes it
    """None unsets a variable."""
    config: str | bytes | None = None
    stdin: str | None = None
    code: str = "usage"


def key(fault: str, *arguments: str, **fields: Any) -> Mistake:
    """A mistake about the key."""
    return Mistake(fault, arguments, code="auth", **fields)


def variable(fault: str, characters: str) -> Mistake:
    """A wrong key in the variable."""
    return key(f"the API key from APIMART_API_KEY {fault}", env={"APIMART_API_KEY": characters})


def settings(message: str, *arguments: str, **fields: Any) -> Mistake:
    """A mistake about the config file or another file."""
    return Mistake(message, arguments, code="config", **fields)


CI = "[profiles.ci]\napi_key_env = 'CI_KEY'"

KEYS = {
    "missing": key("there is no API key", env={"APIMART_API_KEY": None}),
    "with a space": variable("has white space in it", f"{KEY} {KEY}"),
    "with a line break": variable("has a line break in it", f"{KEY}\nX-Injected: 1"),
    "empty as an option": key("the API key from --api-key is empty", "--api-key", ""),
    "two lines on standard input": key(
        "the API key from standard input has a line break in it", "--api-key", "-", stdin=f"{KEY}\n{KEY}\n"
    ),
    "unset variable of a profile": key("CI_KEY, named by api_key_env of profile ci in {path}", "-p", "ci", config=CI),
    "empty variable of a profile": key("the API key from CI_KEY is empty", "-p", "ci", config=CI, env={"CI_KEY": ""}),
    "wrong in a profile": key(
        "the API key from profile w in {path} has white space in it", "-p", "w",
        config=f"[profiles.w]\napi_key = '{KEY} '",
    ),
    "in two options": Mistake(
        "--api-key and --api-key-file exclude each other", ("--api-key", KEY, "--api-key-file", "k")
    ),
    "in a missing file": settings("cannot read missing: No such file or directory", "--api-key-file", "missing"),
}  # fmt: skip

AMOUNTS = {
    "nan": "it is not a plain decimal number",
    "9" * 16: "it has more than 15 digits before the point",
}

TIMES = {
    "0": "the time limit must be more than 0 and at most 3600 seconds",
    "3601": "the time limit must be more than 0 and at most 3600 seconds",
    "nan": "'nan' is not a duration",
}

URLS = {
    "gateway.example/v1": "must start with https://",
    f"https://user:{KEY}@gateway.example": "carries credentials",
    f"https://gateway.example/v1?key={KEY}": "carries a query or a fragment",
    "http://gateway.example": "would send the key unencrypted to gateway.example",
}

CONFIGS = {
    "malformed": (f"[profiles.w]\napi_key = {KEY}\n", "{path} is not valid TOML: "),
    "unknown name": ("timout = 5", "{path}:1: unknown name 'timout'"),
    "key at the top": (f"api_key = '{KEY}'", "{path}:1: api_key stands outside of the profiles"),
    "unknown name in a profile": (f"[profiles.w]\napikey = '{KEY}'", "{path}:2: [profiles.w]: unknown name 'apikey'"),
    "two keys": (
        f"[profiles.w]\napi_key = '{KEY}'\napi_key_env = 'X'",
        "{path}:3: [profiles.w] has both api_key and api_key_env",
    ),
    "not text": (b"\xff\xfe\x00", "{path} is not UTF-8 text"),
}

MISTAKES = {
    **{f"key {name}": mistake for name, mistake in KEYS.items()},
    **{
        f"--min {text!r}": Mistake(f"--min: '{text}' is not an amount: {fault}", ("--min", text))
        for text, fault in AMOUNTS.items()
    },
    **{
        f"{name} ''": Mistake(f"{name} is empty", (name, ""))
        for name in ("--min", "--max-used", "--timeout", "--base-url", "--profile")
    },
    **{f"--timeout {text!r}": Mistake(f"--timeout: {fault}", ("--timeout", text)) for text, fault in TIMES.items()},
    **{
        f"address {url!r}".replace(KEY, "KEY"): Mistake(f"--base-url: the base URL {fault}", ("--base-url", url))
        for url, fault in URLS.items()
    },
    **{f"config {name}": settings(message, config=text) for name, (text, message) in CONFIGS.items()},
    "config wrong amount": Mistake("max_used of {path}: '-1' is not an amount", config="max_used = -1"),
    "config wrong scope": Mistake("scope of {path}: 'all' is not a scope", config="scope = 'all'"),
    "config wrong address": Mistake(
        "base_url of {path}: the base URL would send the key unencrypted to gateway.example",
        config="base_url = 'http://gateway.example'",
        env={"APIMART_BASE_URL": None},
    ),
    "config wrong time in a profile": Mistake(
        "timeout of profile w in {path}: the time limit must be more than 0",
        ("-p", "w"),
        config="[profiles.w]\ntimeout = 0",
    ),
    "unknown profile": settings("--profile: there is no profile 'wrok' in {path}", "-p", "wrok", config="[profiles.w]"),
    "unknown profile of the variable": settings(
        "APIMART_PROFILE: there is no profile 'x' in {path}", env={"APIMART_PROFILE": "x"}
    ),
    "empty profile of the variable": Mistake("APIMART_PROFILE is set but empty", env={"APIMART_PROFILE": ""}),
    "empty address of the variable": Mistake("APIMART_BASE_URL is set but empty", env={"APIMART_BASE_URL": ""}),
    "no time in the variable": Mistake("APIMART_TIMEOUT: 'x' is not a duration", env={"APIMART_TIMEOUT": "x"}),
    "empty config of the variable": settings("APIMART_CONFIG is set but empty", env={"APIMART_CONFIG": ""}),
    "missing config of the variable": settings(
        "cannot read missing.toml: No such file or directory", env={"APIMART_CONFIG": "missing.toml"}
    ),
    "nobody's home for a config": settings(
        "APIMART_CONFIG: there is no home folder for '~nobody-of-this-name/c'",
        env={"APIMART_CONFIG": "~nobody-of-this-name/c"},
    ),
    "unknown scope": Mistake("Invalid value for '--scope': 'all' is not one of", ("--scope", "all")),
    "contradicting outputs": Mistake("--json and --output table contradict each other", ("-o", "table")),
    "unknown option": Mistake("No such option", ("--mim", "5")),
    "stray argument": Mistake("Got unexpected extra argument", (KEY,)),
}

EXIT_CODES = {"usage": 2, "config": 2, "auth": 4}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_clearly_and_stops_the_gate(
    run: Run, gateway: FaultServer, home: Path, mistake: Mistake
) -> None:
    """One line and a hint on standard error, the error object on standard output, nothing sent, no key shown."""
    path = home / ".config" / "apimart" / "config.toml"
    if mistake.config is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(mistake.config.encode() if isinstance(mistake.config, str) else mistake.config)
        path.chmod(0o600)
    env = {"APIMART_BASE_URL": gateway.url, "APIMART_API_KEY": KEY, **mistake.env}
    ended = run(
        "check", "--json", "--min", "5", *mistake.arguments,
        env={name: text for name, text in env.items() if text is not None},
        input=mistake.stdin,
    )  # fmt: skip
    message, hint = ended.stderr.splitlines()
    assert message.startswith(f"apimart: error: {mistake.message.format(path=path)}")
    assert hint.startswith("hint: ")
    assert ended.returncode == EXIT_CODES[mistake.code]
    document = json.loads(ended.stdout)
    assert ended.stdout.count("\n") == 1
    assert (document["verdict"], document["exit_code"], document["readings"]) == ("error", ended.returncode, [])
    assert document["error"] == {
        "code": mistake.code, "exit_code": ended.returncode, "message": message.removeprefix("apimart: error: "),
        "hint": hint.removeprefix("hint: "),
    }  # fmt: skip
    assert not find_key(ended.stdout + ended.stderr, KEY)
    assert gateway.contacts == 0


@pytest.mark.parametrize("arguments", ["balance", "check --min 5", "config show"])
def test_without_json_standard_output_stays_empty(run: Run, gateway: FaultServer, arguments: str) -> None:
    """The message is on standard error alone, whichever command it is."""
    env = {"APIMART_BASE_URL": gateway.url, "APIMART_API_KEY": KEY}
    ended = run(*arguments.split(), "--timeout", "nan", env=env)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "apimart: error: --timeout: 'nan' is not a duration\n"
        "hint: give seconds, like 10 or 2.5, or a number and a unit, like 10s or 5m\n"
    )
    assert gateway.contacts == 0


def test_the_gateway_of_these_tests_would_have_let_everything_pass(run: Run, gateway: FaultServer) -> None:
    """Without the mistake, the same command line is a pass."""
    env = {"APIMART_BASE_URL": gateway.url, "APIMART_API_KEY": KEY}
    ended = run("check", "--json", "--min", "5", env=env)
    assert (ended.returncode, json.loads(ended.stdout)["verdict"], gateway.contacts) == (0, "pass", 2)
