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


def usage(message: str, *arguments: str, **fields: Any) -> Mistake:
    return Mistake(message, arguments, **fields)


def key(message: str, *arguments: str, **fields: Any) -> Mistake:
    """A mistake about the key."""
    return Mistake(message, arguments, code="auth", **fields)


def settings(message: str, *arguments: str, **fields: Any) -> Mistake:
    """A mistake about the config file or another file."""
    return Mistake(message, arguments, code="config", **fields)


CI = "[profiles.ci]\napi_key_env = 'CI_KEY'"
PLAIN = "the base URL would send the key unencrypted to gateway.example"

MISTAKES = [
    key("there is no API key", env={"APIMART_API_KEY": None}),
    key("the API key from APIMART_API_KEY has white space in it", env={"APIMART_API_KEY": f"{KEY} {KEY}"}),
    key("the API key from APIMART_API_KEY has a line break in it", env={"APIMART_API_KEY": f"{KEY}\nX-Injected: 1"}),
    key("the API key from --api-key is empty", "--api-key", ""),
    key("the API key from standard input has a line break in it", "--api-key", "-", stdin=f"{KEY}\n{KEY}\n"),
    key("CI_KEY, named by api_key_env of profile ci in {path}", "-p", "ci", config=CI),
    key("the API key from CI_KEY is empty", "-p", "ci", config=CI, env={"CI_KEY": ""}),
    key("the API key from profile w in {path} has", "-p", "w", config=f"[profiles.w]\napi_key = '{KEY} '"),
    usage("--api-key and --api-key-file exclude each other", "--api-key", KEY, "--api-key-file", "k"),
    settings("cannot read missing: No such file or directory", "--api-key-file", "missing"),
    usage("--min: 'nan' is not an amount: it is not a plain decimal number", "--min", "nan"),
    usage(f"--min: '{'9' * 16}' is not an amount: it has more than 15 digits before the point", "--min", "9" * 16),
    *(usage(f"{name} is empty", name, "") for name in ("--min", "--max-used", "--timeout", "--base-url", "--profile")),
    usage("--timeout: the time limit must be more than 0 and at most 3600 seconds", "--timeout", "0"),
    usage("--timeout: the time limit must be more than 0 and at most 3600 seconds", "--timeout", "3601"),
    usage("--timeout: 'nan' is not a duration", "--timeout", "nan"),
    usage("--base-url: the base URL must start with https://", "--base-url", "gateway.example/v1"),
    usage("--base-url: the base URL carries credentials", "--base-url", f"https://user:{KEY}@gateway.example"),
    usage("--base-url: the base URL carries a query", "--base-url", f"https://gateway.example/v1?key={KEY}"),
    usage(f"--base-url: {PLAIN}", "--base-url", "http://gateway.example"),
    usage("base_url of {path}: " + PLAIN, config="base_url = 'http://gateway.example'", env={"APIMART_BASE_URL": None}),
    settings("{path} is not valid TOML: ", config=f"[profiles.w]\napi_key = {KEY}\n"),
    settings("{path}:1: unknown name 'timout'", config="timout = 5"),
    settings("{path}:1: api_key stands outside of the profiles", config=f"api_key = '{KEY}'"),
    settings("{path}:2: [profiles.w]: unknown name 'apikey'", config=f"[profiles.w]\napikey = '{KEY}'"),
    settings("{path}:2: [profiles.w] has both", config=f"[profiles.w]\napi_key_env = 'X'\napi_key = '{KEY}'"),
    settings("{path} is not UTF-8 text", config=b"\xff\xfe\x00"),
    usage("max_used of {path}: '-1' is not an amount", config="max_used = -1"),
    usage("scope of {path}: 'all' is not a scope", config="scope = 'all'"),
    usage("timeout of profile w in {path}: the time limit must", "-p", "w", config="[profiles.w]\ntimeout = 0"),
    settings("--profile: there is no profile 'wrok' in {path}", "-p", "wrok", config="[profiles.w]"),
    settings("APIMART_PROFILE: there is no profile 'x' in {path}", env={"APIMART_PROFILE": "x"}),
    usage("APIMART_PROFILE is set but empty", env={"APIMART_PROFILE": ""}),
    usage("APIMART_BASE_URL is set but empty", env={"APIMART_BASE_URL": ""}),
    usage("APIMART_TIMEOUT: 'x' is not a duration", env={"APIMART_TIMEOUT": "x"}),
    settings("APIMART_CONFIG is set but empty", env={"APIMART_CONFIG": ""}),
    settings("cannot read missing.toml: No such file or directory", env={"APIMART_CONFIG": "missing.toml"}),
    settings("APIMART_CONFIG: there is no home folder for '~nobody-x/c'", env={"APIMART_CONFIG": "~nobody-x/c"}),
    usage("Invalid value for '--scope': 'all' is not one of", "--scope", "all"),
    usage("--json and --output table contradict each other", "-o", "table"),
    usage("No such option", "--mim", "5"),
    usage("Got unexpected extra argument", KEY),
]

EXIT_CODES = {"usage": 2, "config": 2, "auth": 4}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.message)
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
