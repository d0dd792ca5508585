"""Config and key files as people make them, through the real command: open to others, strange, huge or not there."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Run
from support.secure import Gateway
from support.strangers import (
    GROUP,
    MASK,
    OTHERS,
    OWNER,
    STRANGER,
    USER,
    as_root,
    ground,
    run_as_stranger,
    set_access_list,
)

CONFIG = f'[profiles.default]\napi_key = "{KEY}"\n'

Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(call: Call) -> Call:
    """Run in this process: what these tests show does not need one of its own."""
    return call


@pytest.fixture
def ask_with_config(run: Run, sandbox: Sandbox) -> Ask:
    """Run a command whose config file is `path`: `ask_with_config(path, "balance")`."""

    def ask(path: Path | str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        where = {"APIMART_BASE_URL": sandbox.url, "APIMART_CONFIG": str(path)}
        return run(*(arguments or ("check", "--min", "5")), env={**where, **variables})

    return ask


@pytest.fixture
def ask_with_key_file(run: Run, sandbox: Sandbox) -> Ask:
    """Run a command whose key is in the file `path`."""

    def ask(path: Path | str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        options = ["--api-key-file", str(path)]
        return run(*(arguments or ("check", "--min", "5")), *options, env={"APIMART_BASE_URL": sandbox.url})

    return ask


@pytest.fixture(params=["config", "key"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two files is meant: each rule holds for both."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def ask(kind: str, ask_with_config: Ask, ask_with_key_file: Ask) -> Ask:
    """Run a command with a file of this kind: `ask(path, "balance")`."""
    return ask_with_config if kind == "config" else ask_with_key_file


@pytest.fixture
def content(kind: str) -> str:
    """What a good file of this kind holds."""
    return CONFIG if kind == "config" else f"{KEY}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be made."""
    return tmp_path / "private"


def write(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Make a file, private unless told otherwise."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def assert_refused(ended: "subprocess.CompletedProcess[str]", message: str, code: int = 2) -> None:
    """One error that says this, with a hint; no answer, and no key anywhere."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    first, *hints = ended.stderr.splitlines()
    assert first.startswith("apimart: error: ")
    assert message in first
    assert [line[:6] for line in hints] == ["hint: "]
    assert KEY[:12] not in ended.stderr


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_can_read_is_refused_by_check_and_warned_about_by_balance(
    ask: Ask, path: Path, content: str, mode: int
) -> None:
    """`check` exits 2, `balance` answers; both say how to mend it."""
    told = f"{path} holds a key and other users can read it\nhint: run: chmod 600 {path}\n"
    refused = ask(write(path, content, mode))
    assert_refused(refused, told.splitlines()[0])
    assert refused.stderr == f"apimart: error: {told}"
    warned = ask(path, "balance", "-o", "value")
    assert (warned.returncode, warned.stdout, warned.stderr) == (0, "10.5\n", f"apimart: warning: {told}")


def test_the_command_of_the_hint_mends_it(ask: Ask, tmp_path: Path, content: str) -> None:
    """What the hint says can be pasted into a shell, whatever the path looks like; then the check passes."""
    folder = tmp_path / "it's a $HOME; task-runner"
    folder.mkdir()
    path = write(folder / "key", content, 0o644)
    hint = ask(path).stderr.partition("hint: run: ")[2]
    subprocess.run(["/bin/sh", "-c", hint], check=True, timeout=20)
    assert path.stat().st_mode & 0o777 == 0o600
    assert ask(path).returncode == 0


def test_the_gateway_is_not_asked_with_an_exposed_key(run: Run, path: Path) -> None:
    """The refusal comes before any connection."""
    write(path, f"{KEY}\n", 0o644)
    with Gateway(None) as gateway:
        url = f"http://127.0.0.1:{gateway.port}"
        ended = run("check", "--min", "5", "--quiet", "--api-key-file", str(path), env={"APIMART_BASE_URL": url})
    assert (ended.returncode, gateway.connections) == (2, 0)


def test_a_config_file_without_a_key_may_be_open(ask_with_config: Ask, path: Path) -> None:
    """A file that only names the variable with the key holds no secret."""
    write(path, '[profiles.default]\napi_key_env = "SOME_KEY"\n', 0o644)
    ended = ask_with_config(path, SOME_KEY=KEY)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("mode", "bits"), [(0o602, "o"), (0o622, "go")])
@pytest.mark.parametrize("command", ["check --min 5", "balance", "config show", "config check"])
def test_a_file_that_everybody_can_change_is_refused_by_every_command(
    ask_with_config: Ask, path: Path, mode: int, bits: str, command: str
) -> None:
    """Whoever may write to a config file, with or without a key, could have a key sent to himself."""
    write(path, "timeout = 5\n", mode)
    ended = ask_with_config(path, *command.split(), APIMART_API_KEY=KEY)
    assert_refused(ended, f"{path} is not used: every user can change it")
    assert f"\nhint: run: chmod {bits}-w {path}\n" in ended.stderr
    subprocess.run(["/bin/sh", "-c", ended.stderr.partition("hint: run: ")[2]], check=True, timeout=20)
    assert ask_with_config(path, *command.split(), APIMART_API_KEY=KEY).returncode == 0


def test_a_key_file_of_a_profile_is_refused_for_all_profiles(ask_with_config: Ask, tmp_path: Path, path: Path) -> None:
    """What another user was about to decide is no matter of one profile alone: 2, before any other key is sent."""
    write(tmp_path / "key", f"{KEY}\n", 0o602)
    write(path, f'[profiles.good]\napi_key = "{KEY}"\n[profiles.bad]\napi_key_file = "key"\n')
    for command in ("check --min 5 --all-profiles", "balance --all-profiles", "balance -p bad"):
        assert_refused(ask_with_config(path, *command.split()), f"{tmp_path / 'key'} is not used: every user can chang")
    assert ask_with_config(path, "balance", "-p", "good").returncode == 0
    told = ask_with_config(path, "config", "check")
    assert (told.returncode, "every user can change it" in told.stdout + told.stderr) == (2, True)


@as_root
def test_a_file_that_belongs_to_another_user_is_refused_by_every_command(ask: Ask, path: Path, content: str) -> None:
    """Its owner can change it, whatever its permissions are; each way of the hint helps."""
    write(path, content)
    os.chown(path, STRANGER, -1)
    for command in ("check --min 5", "balance"):
        ended = ask(path, *command.split())
        assert_refused(ended, f"{path} is not used: it belongs to another user, user id {STRANGER}")
        assert ended.stderr.endswith(
            f"\nhint: run: sudo chown 0 {path}; or run it as that user: sudo -u '#{STRANGER}' apimart …; "
            f"or trust that user: APIMART_CONFIG_OWNER={STRANGER}\n"
        )
    os.chown(path, 0, -1)
    assert ask(path).returncode == 0


def test_a_file_in_a_folder_where_everybody_can_replace_it_is_refused(ask: Ask, tmp_path: Path, content: str) -> None:
    """But for folders with the sticky bit, like /tmp; that of our own group is common (umask 002) and passes."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write(folder / "private", content)
    for mode in (0o775, 0o1777):
        folder.chmod(mode)
        assert ask(path).returncode == 0
    for mode in (0o777, 0o702):
        folder.chmod(mode)
        ended = ask(path)
        assert_refused(ended, f"{path} is not used: every user can change the folder {folder}")
        subprocess.run(["/bin/sh", "-c", ended.stderr.partition("hint: run: ")[2]], check=True, timeout=20)
        assert ask(path).returncode == 0


def test_a_key_that_is_not_used_is_exposed_all_the_same(ask_with_config: Ask, path: Path) -> None:
    """An open file with a key is refused although this run's key comes from the environment."""
    write(path, CONFIG, 0o644)
    assert_refused(ask_with_config(path, APIMART_API_KEY=KEY), "other users can read it")


@as_root
@pytest.mark.parametrize("is_option", [True, False])
def test_a_credential_of_systemd_is_a_private_file(
    environment: Mapping[str, str], sandbox: Sandbox, is_option: bool
) -> None:
    """Root's, 0400, with an access list for the user of the service: `ls` shows 0440, and no group can read it."""
    with ground() as place:
        path = write(place / "apimart", KEY, 0o400)
        options = ("--api-key-file", str(path)) if is_option else ()
        env = {**environment, "APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY_FILE": str(path)}
        for group in (0, 4):
            set_access_list(path, (OWNER, 4), (USER, 4, STRANGER), (GROUP, group), (MASK, 4), (OTHERS, 0))
            assert path.stat().st_mode & 0o777 == 0o440
            ended = run_as_stranger("check", "--min", "5", *options, env=env, cwd=place)
            if group:
                assert_refused(ended, f"{path} holds a key and other users can read it")
            else:
                assert (ended.returncode, ended.stderr) == (0, "")


def test_a_variable_names_the_file_of_the_key(run: Run, sandbox: Sandbox, path: Path) -> None:
    """As containers are given secrets; one that cannot be read is code 4, one that is open to others code 2."""
    write(path, f"{KEY}\n")
    env = {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY_FILE": str(path)}
    assert run("check", "--min", "5", env=env).returncode == 0
    shown = run("config", "show", env=env).stdout
    assert re.search(rf"^api_key +set, {len(KEY)} characters +APIMART_API_KEY_FILE$", shown, re.MULTILINE)
    path.chmod(0o604)
    assert_refused(run("check", "--min", "5", env=env), f"{path} holds a key and other users can read it")
    path.unlink()
    assert_refused(run("check", "--min", "5", env=env), f"APIMART_API_KEY_FILE: cannot read {path}: No such", code=4)
    empty = run("check", "--min", "5", env={**env, "APIMART_API_KEY_FILE": ""})
    assert_refused(empty, "APIMART_API_KEY_FILE is set but empty", code=4)


@pytest.mark.parametrize("open_one", ["link", "file"])
def test_neither_a_link_nor_its_file_may_be_replaced_by_everybody(
    ask_with_config: Ask, tmp_path: Path, open_one: str
) -> None:
    """Both folders are looked at."""
    for name in ("link", "file"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link" / "private"
    link.symlink_to(write(tmp_path / "file" / "private", CONFIG))
    assert ask_with_config(link).returncode == 0
    (tmp_path / open_one).chmod(0o777)
    assert_refused(ask_with_config(link), f"{link} is not used: every user can change the folder {tmp_path / open_one}")


def test_a_fifo_is_refused_at_once(ask: Ask, path: Path) -> None:
    """Nobody waits for what is written to it; the hint says where a key can come from instead."""
    os.mkfifo(path, 0o600)
    ended = ask(path)
    assert_refused(ended, f"{path} is not a regular file")
    assert "standard input" in ended.stderr


def test_a_huge_file_is_refused(ask: Ask, path: Path) -> None:
    """A file of gigabytes is not read to its end."""
    write(path, "# ")
    os.truncate(path, 8 * 1024**3)
    assert_refused(ask(path), f"{path} is larger than 1024 KiB")


@pytest.mark.parametrize("name", ["/proc/self/mem", f"/tmp/{'n' * 300}", "/dev/null/below"])
def test_what_cannot_be_read_is_named(ask: Ask, name: str) -> None:
    """The system refuses to open or to read it, even to root."""
    assert_refused(ask(name), f"cannot read {name[:100]}")


def test_the_null_device_is_no_config_and_no_key(ask_with_config: Ask, ask_with_key_file: Ask) -> None:
    """`APIMART_CONFIG=/dev/null` says: no config file. An empty key is an error, wherever it comes from."""
    ended = ask_with_config("/dev/null", APIMART_API_KEY=KEY)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert_refused(ask_with_key_file("/dev/null"), "is empty", code=4)
