"""The key is sent to the gateway and shown to nobody: not by settings, mistakes, bugs, tracebacks, files, processes."""

import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from apimart_cli import ApimartError, fetch_balance
from apimart_cli.commands.balance import ReadingsFormat
from apimart_cli.commands.check import VerdictFormat
from apimart_cli.sandbox.server import Sandbox
from hostile.catalogue import ECHOES, failed, http, refused
from support.fault_server import FaultServer, Script, stall
from support.leaks import find_key
from support.places import GUARD
from support.running import KEY, Call, Run, Write, connected


def assert_no_key(*outputs: str) -> None:
    """No piece of the key stands in `outputs`, and no traceback that might hold one."""
    for output in outputs:
        assert find_key(output, KEY) == []
        assert "Traceback" not in output


class Source(NamedTuple):
    """How a key gets into the command."""

    options: list[str]
    env: dict[str, str]
    input: str | None = None


SOURCES = ("option", "standard input", "file", "environment", "profile", "named variable")


@pytest.fixture
def provide(write_config: Write, tmp_path: Path) -> Callable[[str, str], Source]:
    """Make everything that hands a key over in one of the ways of SOURCES: `provide("file", KEY)`."""

    def by(source: str, key: str) -> Source:
        file = tmp_path / "key"
        match source:
            case "option":
                return Source(["--api-key", key], {})
            case "standard input":
                return Source(["--api-key", "-"], {}, key)
            case "file":
                file.write_text(key, encoding="utf-8")
                file.chmod(0o600)
                return Source(["--api-key-file", str(file)], {})
            case "environment":
                return Source([], {"APIMART_API_KEY": key})
            case "profile":
                write_config(f"[profiles.default]\napi_key = {json.dumps(key)}\n")
                return Source([], {})
            case "named variable":
                write_config('[profiles.default]\napi_key_env = "MY_KEY"\n')
                return Source([], {"MY_KEY": key})
            case "command":
                file.write_text(key, encoding="utf-8")
                write_config(f'[profiles.default]\napi_key_command = ["cat", {json.dumps(str(file))}]\n')
                return Source([], {})
        raise AssertionError(source)

    return by


@pytest.mark.parametrize("source", SOURCES)
def test_config_show_tells_the_length_of_the_key_alone(
    source: str, call: Call, provide: Callable[[str, str], Source]
) -> None:
    """Wherever the key comes from, `config show` says that it is set and how long it is, also as JSON."""
    options, env, typed = provide(source, KEY)
    for output in ([], ["--json"]):
        told = call("config", "show", *options, *output, env=env, input=typed or "")
        assert told.code == 0
        assert f"set, {len(KEY)} characters" in told.stdout
        assert_no_key(told.stdout, told.stderr)


@pytest.mark.parametrize("config", [
    f'[profiles.default]\nbase_url = "https://gateway.example/{KEY}/v1"\n',
    f'default_profile = "{KEY}"\n[profiles.{KEY}]\nmin = 5\n',
], ids=["address", "profile name"])  # fmt: skip
def test_config_show_masks_a_key_that_stands_where_none_belongs(config: str, call: Call, write_config: Write) -> None:
    """A key pasted into an address or a name of the config file is not shown either."""
    write_config(config)
    for output in ([], ["--json"]):
        told = call("config", "show", *output)
        assert (told.code, "sk-..." in told.stdout) == (0, True)
        assert_no_key(told.stdout, told.stderr)


@pytest.mark.parametrize("command", [("config", "show"), ("config", "check"), ("balance",), ("check", "--min", "5")])
def test_a_key_in_place_of_a_variable_s_name_is_refused_and_not_shown(
    command: tuple[str, ...], call: Call, write_config: Write
) -> None:
    """If `api_key_env` is taken for the key itself, the error says so, without the key."""
    write_config(f'[profiles.default]\napi_key_env = "{KEY}"\n')
    for output in ([], ["--json"]):
        told = call(*command, *output)
        assert (told.code, "api_key_env names no variable" in told.stderr) == (2, True)
        assert_no_key(told.stdout, told.stderr)


def test_a_profile_named_like_a_key_is_masked_in_every_format(
    call: Call, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """A key that is the name of a profile is not shown beside its balance."""
    write_config(f"[profiles.{KEY}]\nmin = 5\n")
    for command, formats in (("balance", ReadingsFormat), ("check", VerdictFormat)):
        for output in formats:
            told = call(command, "--profile", KEY, "-o", output, env=connected(sandbox, key="sk-another"))
            assert told.code == 0
            assert_no_key(told.stdout, told.stderr)
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    env = {**connected(sandbox, key="sk-another"), **{name: str(path) for name, path in files.items()}}
    for least in ("5", "50"):
        told = call("check", "--profile", KEY, "--min", least, "-o", "github", env=env)
        assert_no_key(told.stdout, told.stderr, *(path.read_text() for path in files.values()))


WRONG_PLACES = [
    [KEY], ["check", KEY], ["check", "--min", "5", KEY], ["check", "--min", KEY], ["check", "--max-used", KEY],
    ["check", "--min", "5", "--on-unlimited", KEY], ["check", "--min", "5", f"--quiet={KEY}"],
    ["balance", KEY], ["sandbox", "--", KEY],
    ["--api-key", KEY, "check"], ["balance", "--apikey", KEY], ["balance", f"--apikey={KEY}"], ["balance", f"--{KEY}"],
    ["balance", f"-{KEY}"], ["balance", f"--json={KEY}"], ["balance", "--profile", KEY], ["balance", f"-p{KEY}"],
    ["balance", "--scope", KEY], ["balance", "--output", KEY], ["balance", f"-o{KEY}"], ["balance", "--timeout", KEY],
    ["balance", "--api-key-file", KEY], ["balance", "--base-url", KEY],
    ["balance", "--base-url", f"https://{KEY}@gateway.example"],
    ["balance", "--base-url", f"https://me:{KEY}@gateway.example"],
    ["balance", "--base-url", f"https://gateway.example/?key={KEY}"],
    ["balance", "--base-url", f"https://gateway.example/#{KEY}"],
    ["balance", "--base-url", f"http://{KEY}.example"], ["balance", "--base-url", f"https://{KEY}.example"],
    ["balance", "--base-url", f"https://{KEY}..example"],
    ["balance", "--base-url", f"https://127.0.0.1:1/{KEY}"],
    ["login", KEY], ["login", "--api-key", KEY], ["logout", KEY], ["logout", "--profile", KEY], ["config", KEY],
    ["config", "show", KEY], ["config", "path", KEY], ["sandbox", "--fault", KEY], ["sandbox", "--port", KEY],
    ["sandbox", "--remain", KEY], ["sandbox", KEY],
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG_PLACES, ids=lambda arguments: " ".join(arguments).replace(KEY, "KEY"))
def test_a_key_typed_where_none_belongs_is_not_repeated(arguments: list[str], call: Call) -> None:
    """A mistake on the command line is told without the key that is part of it, also as JSON."""
    for more in ([], ["--json"]):
        told = call(*arguments, *more, env={"APIMART_API_KEY": "sk-another", "APIMART_TIMEOUT": "0.2"})
        assert told.code in {2, 5}
        assert told.stderr.startswith("apimart: error: ")
        assert_no_key(told.stdout, told.stderr)


@pytest.mark.parametrize(
    "arguments",
    [["-c", KEY], ["-w", f"@{KEY}:"], [f"-c{KEY}"], ["--runway-warning", KEY], ["-c", "5:", "--unavailable", KEY],
     ["-c", "5:", "-t", KEY], ["-c", "5:", "-p", KEY], [KEY], [f"--{KEY}"], ["-c", "5:", "--base-url", KEY]],
    ids=lambda arguments: " ".join(arguments).replace(KEY, "KEY"),
)  # fmt: skip
def test_a_plugin_repeats_no_key_either(arguments: list[str], call: Call) -> None:
    """A mistake on its command line is told on standard output, without the key that is part of it."""
    told = call("nagios", *arguments, env={"APIMART_API_KEY": "sk-another", "APIMART_TIMEOUT": "0.2"})
    assert (told.code, told.stderr, told.stdout[:18]) == (3, "", "APIMART UNKNOWN - ")
    assert_no_key(told.stdout)


@pytest.mark.parametrize("variable", ["APIMART_BASE_URL", "APIMART_PROFILE", "APIMART_TIMEOUT", "APIMART_CONFIG"])
def test_a_key_in_a_variable_for_something_else_is_not_repeated(variable: str, call: Call) -> None:
    """A key that got into another variable is a usage error that does not repeat it."""
    told = call("balance", "--json", env={"APIMART_API_KEY": "sk-another", variable: KEY})
    assert told.code == 2
    assert_no_key(told.stdout, told.stderr)


@pytest.mark.parametrize("config", [
    f"[profiles.default]\napi_key = {KEY}\n", f'[profiles.default]\napi_key = "{KEY}\n',
    f'[profiles.default]\napi_key = ["{KEY}"]\n', f'api_key = "{KEY}"\n', f'[profiles.default]\n{KEY} = "api_key"\n',
    f'[profiles.default]\n"{KEY}"\n', f'[profiles.{KEY}]\nkey = "x"\n', f'default_profile = "{KEY}"\n',
    f'[profiles.default]\nbase_url = "{KEY}"\n', f'[profiles.default]\nscope = "{KEY}"\n',
    f'[profiles.default]\nunit = "{KEY}"\n', f'[profiles.default]\ntimeout = "{KEY}"\n',
    f'[profiles.default]\napi_key = "{KEY}"\napi_key = "{KEY}"\n',
    f'[profiles.default]\napi_key = "{KEY}"\napi_key_env = "{KEY}"\n',
], ids=str.split)  # fmt: skip
def test_a_broken_config_file_is_told_without_its_keys(config: str, call: Call, write_config: Write) -> None:
    """A mistake in the config file names the file and the place, and nothing of a key that stands there."""
    path = write_config(config)
    for command in (["check", "--min", "5"], ["balance", "--json"], ["config", "show", "--json"]):
        told = call(*command)
        assert told.code == 2
        assert str(path) in told.stderr
        assert_no_key(told.stdout, told.stderr)


MALFORMED = {
    "space behind": f"{KEY} ", "space before": f" {KEY}", "two lines": f"{KEY}\n{KEY}",
    "space inside": f"{KEY[:12]} {KEY[12:]}", "letter": f"{KEY}\u00e9", "zero width": f"\u200b{KEY}", "long": KEY * 200,
}  # fmt: skip


@pytest.mark.parametrize(
    ("malformed", "source"),
    [*((name, "environment") for name in MALFORMED), *(("space inside", each) for each in (*SOURCES, "command"))],
)
def test_a_malformed_key_is_refused_without_showing_it(
    malformed: str, source: str, call: Call, provide: Callable[[str, str], Source]
) -> None:
    """A key that cannot be one is an error about its source that shows no character of it, whatever the source."""
    options, env, typed = provide(source, MALFORMED[malformed])
    for command in (["balance"], ["check", "--min", "5", "--json"]):
        told = call(*command, *options, env=env, input=typed or "")
        assert told.code == 4
        assert told.stderr.startswith("apimart: error: the API key from ")
        assert told.stderr.count("\n") == 2
        assert_no_key(told.stdout, told.stderr)


TALKATIVE = {
    "pretty": {"TYPER_STANDARD_TRACEBACK": "", "_TYPER_STANDARD_TRACEBACK": "", "TYPER_USE_RICH": "1"},
    "developer": {
        "TYPER_STANDARD_TRACEBACK": "1",
        "_TYPER_STANDARD_TRACEBACK": "1",
        "PYTHONDEVMODE": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONFAULTHANDLER": "1",
    },
}
"""Variables that make Python, Typer and their libraries talk more."""

BUGGY = [
    "apimart_cli.config.precedence.resolve", "apimart_cli.keys.key.ApiKey.reveal", "requests.Session.get",
    "http.client.HTTPConnection.putheader", "urllib3.HTTPResponse.read1", "json.loads",
    "apimart_cli.rules.balance.Balance.__new__", "apimart_cli.rules.gate.judge", "apimart_cli.output.format_of",
]  # fmt: skip
"""Where a bug may be, from the start of a check to its end."""

BUG = """
import importlib, os, runpy
from rich.traceback import install

install(show_locals=True)

def fail(*arguments, **named):
    key = os.environ["APIMART_API_KEY"]
    raise RuntimeError(f"Authorization: Bearer {key}")

def find(path):
    module, _, name = path.rpartition(".")
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return getattr(find(module), name)

holder, _, name = os.environ["BROKEN"].rpartition(".")
setattr(find(holder), name, fail)
"""

Startup = Callable[[str], dict[str, str]]


@pytest.fixture
def startup(environment: dict[str, str], tmp_path: Path) -> Startup:
    """Return the variables that make a process under test run some code when it starts, the guard before it."""

    def write(code: str) -> dict[str, str]:
        folder = tmp_path / "startup"
        folder.mkdir()
        guard = f"import runpy\nrunpy.run_path({str(GUARD / 'sitecustomize.py')!r})\n"
        (folder / "sitecustomize.py").write_text(guard + code)
        return {"PYTHONPATH": f"{folder}{os.pathsep}{environment['PYTHONPATH']}"}

    return write


@pytest.mark.parametrize(("place", "mode"), [*((place, "developer") for place in BUGGY), (BUGGY[1], "pretty")])
def test_a_bug_is_one_line_without_the_key(place: str, mode: str, run: Run, sandbox: Sandbox, startup: Startup) -> None:
    """An exception that holds the key, wherever it comes from, is told by its type and place, in every mode."""
    env = {**connected(sandbox), **TALKATIVE[mode], **startup(BUG), "BROKEN": place}
    ended = run("check", "--min", "5", "--json", env=env)
    assert ended.returncode == 1
    assert "apimart: error: a bug in apimart: RuntimeError in sitecustomize, line " in ended.stderr
    assert_no_key(ended.stdout, ended.stderr)


@pytest.mark.parametrize(("script", "code"), [
    ((http(),), 0), ((refused("401 No", ECHOES["plain"]),), 4), ((failed(ECHOES["base64"]),), 5),
    ((http(ECHOES["plain"]),), 6), ((http(f"{KEY[:5]}", "Content-Length: 1"),), 6), ((stall,), 5),
], ids=["good", "refused", "failed", "bad", "ambiguous", "silent"])  # fmt: skip
def test_talkative_modes_say_no_more(script: Script, code: int, run: Run, call: Call) -> None:
    """In Python's and Typer's talkative modes the output is the same, the key and warnings of libraries not in it."""
    timeout = "0.5" if script == (stall,) else "60"
    with FaultServer([script]) as server:
        env = {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY, "APIMART_TIMEOUT": timeout}
        usual = call("check", "--min", "5", env=env)
        talking = run("check", "--min", "5", env={**env, **TALKATIVE["developer"]})
    assert usual.returncode == talking.returncode == code
    assert (talking.stdout, talking.stderr) == (usual.stdout, usual.stderr)
    assert_no_key(talking.stdout, talking.stderr)


@pytest.mark.parametrize(("status", "times"), [("200 OK", 1), ("401 No", 1), ("malformed", 2)])
def test_the_frames_of_an_exception_hold_no_key(status: str, times: int) -> None:
    """An exception of `fetch_balance` can be reported with all local variables of its frames: the key is in none."""
    with FaultServer([(http(ECHOES["plain"], status=status),)]) as server, pytest.raises(ApimartError) as raised:
        fetch_balance(" ".join([KEY] * times), base_url=server.url)
    report = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert report.stack
    assert find_key("".join(report.format()), KEY) == []


WITNESS = """
import json, os, sys

def watch(event, arguments):
    if event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.system"}:
        with open(os.environ["WITNESS"], "a") as file:
            file.write(json.dumps([event, repr(arguments)]) + "\\n")

sys.addaudithook(watch)
"""


@pytest.mark.parametrize("arguments", [
    ["check", "--min", "5"], ["balance", "--json", "--scope", "both"], ["config", "show"],
], ids=" ".join)  # fmt: skip
def test_no_process_is_started_and_no_file_is_written(
    arguments: list[str], run: Run, sandbox: Sandbox, startup: Startup, tmp_path: Path
) -> None:
    """To ask for a balance takes no further process, whose arguments others could read, and leaves no file behind."""
    witness = tmp_path / "witness"
    env = {**connected(sandbox), **startup(WITNESS), "WITNESS": str(witness), "PYTHONDONTWRITEBYTECODE": "1"}
    before = sorted(tmp_path.rglob("*"))
    assert run(*arguments, env=env).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_the_sandbox_starts_its_command_without_the_key(run: Run, startup: Startup, tmp_path: Path) -> None:
    """The one process that is started, the command in the sandbox, has a made-up key in place of the user's."""
    witness = tmp_path / "witness"
    env = {**startup(WITNESS), "WITNESS": str(witness), "APIMART_API_KEY": KEY}
    ended = run("sandbox", "--", "env", env=env)
    assert ended.returncode == 0
    assert "APIMART_API_KEY=sk-sandbox-" in ended.stdout
    [(event, arguments)] = [json.loads(line) for line in witness.read_text().splitlines()]
    assert event == "subprocess.Popen"
    assert "sk-sandbox-" in arguments
    assert_no_key(arguments, ended.stdout, ended.stderr)
