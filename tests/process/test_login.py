"""Storing a key and forgetting it: never shown, verified first, saved for its owner alone, and nothing else changed."""

import stat
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.config.file import read_config
from apimart_cli.sandbox.scenario import Fault, Funds
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, KEY_ID, Call, Run, Serve, Spawn, Write, run_program, unfolded

pytestmark = pytest.mark.measured


OTHER_KEY = "sk-other-Hx4Jd8Rw2Ty6Ub"
OTHER_KEY_ID = "95b1c5c2623f"
UNLIMITED = Funds(None, Decimal(0))

FILE = """\
# Mine.
default_profile = "work"

[profiles.work]
unit = "USD"  # at the bank
min = 5.00

# The client's.
[profiles.client]
api_key_env = "CLIENT_KEY"
"""


def address(gateway: Sandbox) -> dict[str, str]:
    return {"APIMART_BASE_URL": gateway.url}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def stored(config: Path) -> Mapping[str, Mapping[str, str]]:
    return read_config({"APIMART_CONFIG": str(config)}).profiles


def test_a_key_that_is_typed_never_shows(spawn: Spawn, sandbox: Sandbox, config: Path) -> None:
    """No character of it is on the screen, not even as a star; the balance is, and where the key is kept."""
    child = spawn("apimart", "login", "--profile", "work", env=address(sandbox))
    child.expect_exact("API key: ")
    child.sendline(KEY)
    shown = unfolded(child.read())
    child.close()
    assert child.exitstatus == 0
    assert not any(KEY[start : start + 4] in shown for start in range(len("sk-test-"), len(KEY) - 3))
    assert "*" not in shown
    assert "10.5" in shown
    assert f"apimart: note: the key of profile work (id {KEY_ID}) is kept in {config}" in shown
    assert stored(config) == {"work": {"api_key": KEY}}


def test_a_key_that_is_rejected_can_be_typed_again(spawn: Spawn, serve: Serve, config: Path) -> None:
    """The first try leaves nothing behind, on the screen or on the disk, and the terminal as it was."""
    gateway = serve(fault=Fault.UNAUTHORIZED)
    child = spawn("sh", "-c", "apimart login; stty -a", env=address(gateway))
    child.expect_exact("API key: ")
    child.sendline(KEY)
    shown = child.read().decode()
    assert "the key is not saved" in shown
    assert " echo " in shown
    assert "Zq7W" not in shown
    assert not config.exists()


def test_who_is_to_type_a_key_knows_what_for(spawn: Spawn, sandbox: Sandbox, write_config: Write) -> None:
    """The profile, the host that gets it, that nothing shows, and the key that goes; then which key it was."""
    write_config(f"[profiles.work]\napi_key = '{OTHER_KEY}'\n")
    child = spawn("apimart", "login", columns=60, env=address(sandbox))
    child.expect_exact("API key: ")
    before = unfolded(child.before)
    assert before == (
        f"apimart: note: profile work has a key with the id {OTHER_KEY_ID} already; the new one replaces it\n"
        f"apimart: note: the key is for profile work and goes to {sandbox.url.removeprefix('http://')}\n"
        "hint: paste or type it; nothing shows while you do\n"
    )
    child.sendline(KEY)
    after = unfolded(child.read())
    assert f"apimart: note: the key of profile work (id {KEY_ID}) is kept in " in after
    assert f"apimart: note: it replaces the key with the id {OTHER_KEY_ID}\n" in after


def test_the_same_key_again_is_told(call: Call, sandbox: Sandbox) -> None:
    """Who pasted the old key once more learns it."""
    assert "kept before" not in call("login", input=KEY, env=address(sandbox)).stderr
    again = call("login", input=KEY, env=address(sandbox))
    assert again.stderr.endswith("apimart: note: it is the key that was kept before\n")


@pytest.mark.parametrize("end", ["", "\r\n"])
def test_a_key_from_a_pipe_is_saved_and_used(call: Call, sandbox: Sandbox, config: Path, end: str) -> None:
    """One line end after it is dropped. The balance is the answer, everything else is said on standard error."""
    login = call("login", input=f"{KEY}{end}", env=address(sandbox))
    assert login.code == 0
    assert login.stdout.splitlines()[-1].split()[:4] == ["default", "key", "10.5", "2.3"]
    assert login.stderr == f"apimart: note: the key of profile default (id {KEY_ID}) is kept in {config}\n"
    assert config.read_text() == f'[profiles.default]\napi_key = "{KEY}"\n'
    assert call("balance", "-o", "value", env=address(sandbox)).stdout == "10.5\n"


def test_a_variable_that_comes_before_the_new_key_is_named(call: Call, sandbox: Sandbox) -> None:
    """Who stores a key is told when another one is used wherever no profile is named."""
    login = call("login", input=KEY, env={**address(sandbox), "APIMART_API_KEY": "sk-other"})
    assert login.code == 0
    assert login.stderr.splitlines()[1:] == [
        "apimart: note: APIMART_API_KEY is set, and is used instead wherever no --profile is named"
    ]


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", "is empty"),
        (f"{KEY}\n{KEY}\n", "has a line break in it"),
        ("k" * 5000, "is longer than 4096 characters"),
        (f'"{KEY}"', "is in quotes"),
        (f"Bearer {KEY}", "has Bearer before it"),
    ],
)
def test_what_is_no_key_is_refused_before_anybody_is_asked(call: Call, config: Path, typed: str, fault: str) -> None:
    """Exit 4; there is no gateway in this test."""
    login = call("login", "--no-verify", input=typed, env={"APIMART_BASE_URL": "http://127.0.0.1:1"})
    assert (login.code, login.stdout) == (4, "")
    assert login.stderr.startswith(f"apimart: error: the API key from standard input {fault}\nhint: ")
    assert (config.exists(), "Zq7W" in login.stderr) == (False, False)


def test_a_closed_standard_input_is_told(command: str, environment: Mapping[str, str], sandbox: Sandbox) -> None:
    """Exit 2, in the name of the command that needed it."""
    ended = run_program(["sh", "-c", 'exec "$0" login <&-', command], env={**environment, **address(sandbox)})
    assert ended.returncode == 2
    assert ended.stderr == (
        "apimart: error: login: standard input is closed\nhint: pipe the key in, or type it at a terminal\n"
    )


@pytest.mark.parametrize(
    ("fault", "arguments"), [(Fault.UNAUTHORIZED, ()), (Fault.UNKNOWN_KEY, ()), (Fault.UNAUTHORIZED, ("--no-verify",))]
)
def test_a_rejected_key_is_never_saved(
    call: Call, serve: Serve, write_config: Write, fault: Fault, arguments: tuple[str, ...]
) -> None:
    """Exit 4, whatever was asked; the file is the same, byte for byte."""
    path = write_config(FILE)
    login = call("login", *arguments, input=KEY, env=address(serve(fault=fault)))
    assert (login.code, login.stdout, path.read_text()) == (4, "", FILE)
    assert login.stderr.endswith("apimart: warning: the key is not saved\n")
    assert "no-verify" not in login.stderr


@pytest.mark.parametrize(("fault", "code"), [(Fault.SERVER_ERROR, 5), (Fault.HTML, 6)])
def test_a_key_that_nobody_could_judge_is_saved_only_on_demand(
    call: Call, serve: Serve, write_config: Write, fault: Fault, code: int
) -> None:
    """Without an answer to trust it takes --no-verify, and the hint says so."""
    path = write_config(FILE)
    env = address(serve(fault=fault))
    refused = call("login", input=KEY, env=env)
    assert (refused.code, path.read_text()) == (code, FILE)
    assert refused.stderr.endswith(
        "apimart: warning: the key is not saved\nhint: keep it unverified with: --no-verify\n"
    )
    saved = call("login", "--no-verify", input=KEY, env=env)
    assert (saved.code, stored(path)["work"]["api_key"]) == (0, KEY)
    assert "apimart: warning: the key is saved without having been verified\n" in saved.stderr


@pytest.mark.parametrize(
    ("scenario", "told"), [({"fault": Fault.PAYMENT_REQUIRED}, "HTTP 402"), ({"key": UNLIMITED}, "unlimited")]
)
def test_a_key_that_the_gateway_knows_is_verified_with_no_verify_too(
    call: Call, serve: Serve, config: Path, scenario: Mapping[str, Any], told: str
) -> None:
    """The option only forgives silence; 402 Payment Required says that the key is right."""
    login = call("login", "--no-verify", input=KEY, env=address(serve(**scenario)))
    assert (login.code, stored(config)) == (0, {"default": {"api_key": KEY}})
    assert told in login.stdout + login.stderr
    assert "without having been verified" not in login.stderr


def test_the_rest_of_the_file_stays_as_it_is(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """Comments, order, digits; a file that others could read becomes private."""
    path = write_config(FILE, mode=0o644)
    assert call("login", input=KEY, env=address(sandbox)).code == 0
    assert path.read_text() == FILE.replace("min = 5.00\n", f'min = 5.00\napi_key = "{KEY}"\n')
    assert mode(path) == 0o600
    assert call("login", input=OTHER_KEY, env=address(sandbox)).code == 0
    assert path.read_text() == FILE.replace("min = 5.00\n", f'min = 5.00\napi_key = "{OTHER_KEY}"\n')


def test_an_address_that_is_given_is_saved_with_the_key(call: Call, sandbox: Sandbox, config: Path) -> None:
    """It belongs to the key. One of the environment does not."""
    assert call("login", "--profile", "env", input=KEY, env=address(sandbox)).code == 0
    assert call("login", "--profile", "option", "--base-url", f"{sandbox.url}/v1/", input=KEY).code == 0
    assert stored(config) == {"env": {"api_key": KEY}, "option": {"api_key": KEY, "base_url": sandbox.url}}
    assert call("balance", "--profile", "option", "-o", "value").stdout == "10.5\n"


@pytest.mark.parametrize(
    ("arguments", "environ", "text", "profile"),
    [
        (("--profile", "it's"), {"APIMART_PROFILE": "env"}, 'default_profile = "work"\n[profiles.work]\n', "it's"),
        ((), {"APIMART_PROFILE": "env"}, 'default_profile = "work"\n[profiles.work]\n', "env"),
        ((), {}, 'default_profile = "work"\n[profiles.work]\n', "work"),
        ((), {}, "", "default"),
    ],
)  # fmt: skip
def test_the_profile_is_found_as_everywhere(
    call: Call, sandbox: Sandbox, write_config: Write,
    arguments: tuple[str, ...], environ: Mapping[str, str], text: str, profile: str,
) -> None:  # fmt: skip
    """Option, variable, the file's default, `default`; it need not exist yet. A key of the environment is not it."""
    path = write_config(text)
    env = {**address(sandbox), **environ, "APIMART_API_KEY": OTHER_KEY}
    assert call("login", *arguments, input=KEY, env=env).code == 0
    assert stored(path)[profile] == {"api_key": KEY}


@pytest.mark.parametrize("name", ["", "a\x1b[31mb", "x" * 101, KEY, "::error::"])
def test_what_cannot_name_a_profile_is_refused(call: Call, sandbox: Sandbox, config: Path, name: str) -> None:
    """An empty variable of a script, a control character, or a key typed in the wrong place; no key is read for it."""
    login = call("login", "--profile", name, input=KEY, env=address(sandbox))
    assert (login.code, config.exists()) == (2, False)
    assert (" cannot name a profile\n" if name else "--profile is empty\n") in login.stderr
    assert "Zq7W" not in login.stderr


@pytest.mark.parametrize("source", ['api_key_env = "X"', 'api_key_command = ["x"]', 'api_key_file = "x"'])
def test_a_profile_whose_key_comes_from_elsewhere_is_refused(call: Call, write_config: Write, source: str) -> None:
    """A key that is stored beside it would never be used; the hint says what to run first, and it works."""
    name = source.split(maxsplit=1)[0]
    text = f"[profiles.'a b']\n{source}\n"
    path = write_config(text)
    for command in ("login", "logout"):
        refused = call(command, "--profile", "a b", input=KEY)
        assert (refused.code, refused.stdout, path.read_text()) == (2, "", text)
        assert f"apimart: error: profile a b takes its key from {name}\n" in refused.stderr
        assert refused.stderr.endswith(f"first run: apimart config unset {name} --profile 'a b'\n")
    assert call("config", "unset", name, "--profile", "a b").code == 0
    assert call("login", "--profile", "a b", input=KEY, env={"APIMART_BASE_URL": "http://127.0.0.1:1"}).code == 5


def test_a_file_with_mistakes_is_refused_before_the_key_is_asked_for(call: Call, write_config: Write) -> None:
    """The mistake is told with its line."""
    path = write_config("min = 5\ntimout = 3\n")
    login = call("login", input=KEY)
    assert (login.code, login.stdout, path.read_text()) == (2, "", "min = 5\ntimout = 3\n")
    assert f"apimart: error: {path}:2: unknown name 'timout'\n" in login.stderr


def test_a_full_disk_leaves_the_old_file(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, write_config: Write
) -> None:
    """The installed command, where no file may grow: exit 2, the file and its folder as they were."""
    path = write_config(FILE)
    # Whatever measures coverage could not write its file either.
    env = {name: value for name, value in {**environment, **address(sandbox)}.items() if "COVERAGE" not in name}
    ended = run_program(["sh", "-c", 'ulimit -f 0; exec "$0" login', command], env=env, input=KEY)
    assert (ended.returncode, path.read_text()) == (2, FILE)
    assert ended.stderr == (
        f"apimart: error: cannot write {path}: File too large\nhint: check the folder and its permissions\n"
    )
    assert {file.name for file in path.parent.iterdir()} == {"config.toml", "config.toml.lock"}


WRITER = """
import sys
from pathlib import Path
from apimart_cli.config.writer import set_values, unset_names
path, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(rounds):
    set_values(path, f"{name}{number % 3}", {"api_key": f"sk-{name}-{number}"})
    assert unset_names(path, f"{name}{number % 3}", ["api_key"])
    set_values(path, f"{name}{number % 3}", {"api_key": f"sk-{name}-{number}"})
"""


def test_many_writers_at_once_lose_nothing(write_config: Write) -> None:
    """Four processes write 120 times into one file: each finds what it wrote, and all of it is there in the end."""
    path = write_config(FILE)
    rounds = 10
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(rounds)], stderr=subprocess.PIPE)
        for name in "abcd"
    ]
    for writer in writers:
        assert writer.communicate(timeout=60) == (None, b"")
        assert writer.returncode == 0
    last = {f"{name}{number % 3}": f"sk-{name}-{number}" for name in "abcd" for number in range(rounds - 3, rounds)}
    assert path.read_text().startswith(FILE)
    profiles = stored(path)
    assert {name: profiles[name]["api_key"] for name in last} == last
    assert len(profiles) == 2 + len(last)
    assert mode(path) == 0o600


def test_logins_at_once_are_all_kept(run: Run, sandbox: Sandbox, config: Path) -> None:
    """Into a folder that is not there yet."""
    with ThreadPoolExecutor(4) as pool:
        logins = [
            pool.submit(run, "login", "-p", f"p{number}", input=f"{KEY}{number}", env=address(sandbox))
            for number in range(4)
        ]
    assert [login.result().returncode for login in logins] == [0] * 4
    assert {name: value["api_key"] for name, value in stored(config).items()} == {
        f"p{number}": f"{KEY}{number}" for number in range(4)
    }


def test_logout_removes_the_key_and_nothing_else(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """Login, check, logout: the file is what it was before, and the key is used no more."""
    path, env = write_config(FILE), address(sandbox)
    assert run("login", input=KEY, env=env).returncode == 0
    assert run("check", "--min", "10.5", env=env).returncode == 0
    logout = run("logout")
    assert (logout.returncode, logout.stdout) == (0, "")
    assert logout.stderr == "apimart: note: the key of profile work is forgotten\n"
    assert path.read_text() == FILE
    assert run("balance", env=env).returncode == 4


def test_there_must_be_a_key_to_forget(call: Call, config: Path, write_config: Write) -> None:
    """Exit 2, and nothing is written or made."""
    assert call("logout").code == 2
    assert not config.parent.exists()
    text = "[profiles.default]\nunit = 'x'\n"
    path = write_config(text)
    logout = call("logout")
    assert (logout.code, path.read_text()) == (2, text)
    assert logout.stderr == (
        f"apimart: error: profile default keeps no key in {path}\nhint: there is nothing to forget\n"
    )
