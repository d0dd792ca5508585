"""Config and key files as people make them, through the real command: open to others, strange, huge or not there."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Call, Run, Write, connected
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
    """Run each command line in this process: what these tests show does not need one of its own."""
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


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_only_its_owner_can_read_is_fine(ask: Ask, path: Path, content: str, mode: int) -> None:
    """No complaint about a private file."""
    ended = ask(write(path, content, mode))
    assert (ended.returncode, ended.stderr) == (0, "")


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


@pytest.mark.parametrize("mode", [0o602, 0o622, 0o646])
@pytest.mark.parametrize("command", ["check --min 5", "balance", "config show", "config check"])
def test_a_file_that_everybody_can_change_is_refused_by_every_command(
    ask_with_config: Ask, path: Path, mode: int, command: str
) -> None:
    """Whoever may write to a config file, with or without a key, could have a key sent to himself."""
    write(path, "timeout = 5\n", mode)
    ended = ask_with_config(path, *command.split(), APIMART_API_KEY=KEY)
    assert_refused(ended, f"{path} is not used: every user can change it")
    assert f"\nhint: run: chmod {'go' if mode & 0o020 else 'o'}-w {path}\n" in ended.stderr
    subprocess.run(["/bin/sh", "-c", ended.stderr.partition("hint: run: ")[2]], check=True, timeout=20)
    assert ask_with_config(path, *command.split(), APIMART_API_KEY=KEY).returncode == 0


@pytest.mark.parametrize("command", ["check --min 5", "balance"])
def test_a_key_file_that_everybody_can_change_is_refused_by_every_command(
    ask_with_key_file: Ask, path: Path, command: str
) -> None:
    """Its key would be the choice of another user."""
    ended = ask_with_key_file(write(path, f"{KEY}\n", 0o602), *command.split())
    assert_refused(ended, f"{path} is not used: every user can change it")


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


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o700, False), (0o755, False), (0o775, False), (0o1777, False), (0o777, True), (0o702, True)]
)
def test_a_file_in_a_folder_where_everybody_can_replace_it_is_refused(
    ask: Ask, tmp_path: Path, content: str, mode: int, is_open: bool
) -> None:
    """But for folders with the sticky bit, like /tmp; that of our own group is common (umask 002) and passes."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    path = write(folder / "private", content)
    if not is_open:
        assert ask(path).returncode == 0
        return
    ended = ask(path)
    assert_refused(ended, f"{path} is not used: every user can change the folder {folder}")
    subprocess.run(["/bin/sh", "-c", ended.stderr.partition("hint: run: ")[2]], check=True, timeout=20)
    assert ask(path).returncode == 0


@pytest.mark.parametrize("open_one", ["of the link", "of the file"])
def test_neither_a_link_nor_its_file_may_be_replaced_by_everybody(
    ask: Ask, tmp_path: Path, content: str, open_one: str
) -> None:
    """Both folders are looked at."""
    folders = {"of the link": tmp_path / "link", "of the file": tmp_path / "file"}
    for folder in folders.values():
        folder.mkdir()
    write(folders["of the file"] / "private", content)
    link = folders["of the link"] / "private"
    link.symlink_to(folders["of the file"] / "private")
    assert ask(link).returncode == 0
    folders[open_one].chmod(0o777)
    ended = ask(link)
    assert_refused(ended, f"{link} is not used: every user can change the folder {folders[open_one]}")


def test_a_config_file_without_a_key_is_refused_where_everybody_can_replace_it(
    ask_with_config: Ask, tmp_path: Path
) -> None:
    """It says where keys are sent."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write(folder / "config.toml", "min = 5\n")
    folder.chmod(0o777)
    ended = ask_with_config(path, "check", APIMART_API_KEY=KEY)
    assert_refused(ended, f"{path} is not used: every user can change the folder {folder}")


def test_a_key_that_is_not_used_is_exposed_all_the_same(ask_with_config: Ask, path: Path) -> None:
    """An open file with a key is refused although this run's key comes from the environment."""
    write(path, CONFIG, 0o644)
    assert_refused(ask_with_config(path, APIMART_API_KEY=KEY), "other users can read it")


def test_a_refusal_is_a_document_too(ask: Ask, path: Path, content: str) -> None:
    """With `--json` the refusal has its code, for programs."""
    write(path, content, 0o644)
    ended = ask(path, "check", "--min", "5", "--json")
    assert ended.returncode == 2
    assert ended.stdout.startswith('{"schema":1,"verdict":"error","exit_code":2,')
    assert '"error":{"code":"config","exit_code":2,' in ended.stdout


@as_root
@pytest.mark.parametrize("name", ["--api-key-file", "APIMART_API_KEY_FILE"])
def test_a_credential_of_systemd_is_a_private_file(environment: Mapping[str, str], sandbox: Sandbox, name: str) -> None:
    """Root's, 0400, with an access list for the user of the service: `ls` shows 0440, and no group can read it."""
    with ground() as place:
        path = write(place / "apimart", KEY, 0o400)
        set_access_list(path, (OWNER, 4), (USER, 4, STRANGER), (GROUP, 0), (MASK, 4), (OTHERS, 0))
        assert path.stat().st_mode & 0o777 == 0o440
        variables = {"APIMART_BASE_URL": sandbox.url}
        arguments = ["check", "--min", "5"]
        if name.startswith("--"):
            arguments += [name, str(path)]
        else:
            variables[name] = str(path)
        ended = run_as_stranger(*arguments, env={**environment, **variables}, cwd=place)
        assert (ended.returncode, ended.stderr) == (0, "")
        set_access_list(path, (OWNER, 4), (USER, 4, STRANGER), (GROUP, 4), (MASK, 4), (OTHERS, 0))
        ended = run_as_stranger(*arguments, env={**environment, **variables}, cwd=place)
        assert_refused(ended, f"{path} holds a key and other users can read it")


def test_a_variable_names_the_file_of_the_key(run: Run, sandbox: Sandbox, path: Path) -> None:
    """As containers are given secrets; one that cannot be read is code 4, one that is open to others code 2."""
    write(path, f"{KEY}\n")
    env = {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY_FILE": str(path)}
    assert run("check", "--min", "5", env=env).returncode == 0
    shown = run("config", "show", env=env).stdout
    assert re.search(rf"^api_key +set, {len(KEY)} characters +APIMART_API_KEY_FILE$", shown, re.MULTILINE)
    path.chmod(0o604)
    assert_refused(run("check", "--min", "5", env=env), f"{path} holds a key and other users can read it")
    path.chmod(0o602)
    assert_refused(run("check", "--min", "5", env=env), f"APIMART_API_KEY_FILE: {path} is not used: every user can")
    path.unlink()
    assert_refused(run("check", "--min", "5", env=env), f"APIMART_API_KEY_FILE: cannot read {path}: No such", code=4)
    empty = run("check", "--min", "5", env={**env, "APIMART_API_KEY_FILE": ""})
    assert_refused(empty, "APIMART_API_KEY_FILE is set but empty", code=4)


def test_of_a_link_the_file_that_it_names_counts(ask: Ask, path: Path, content: str) -> None:
    """Dotfile managers link: a private file is followed to, and a link hides no exposure."""
    target = write(path.with_name("target"), content)
    path.symlink_to(target)
    ended = ask(path)
    assert (ended.returncode, ended.stderr) == (0, "")
    target.chmod(0o644)
    assert_refused(ask(path), "other users can read it")


def test_a_link_to_nothing_is_named(ask: Ask, path: Path) -> None:
    """A dangling link is a missing file."""
    path.symlink_to(path.with_name("nothing"))
    assert_refused(ask(path), f"cannot read {path}: No such file or directory")


def test_a_dangling_default_config_is_not_taken_for_none(run: Run, sandbox: Sandbox, write_config: Write) -> None:
    """A config file that is linked and gone is an error, not a reason to go on without it."""
    place = write_config("")
    place.unlink()
    place.symlink_to(place.with_name("nothing"))
    assert_refused(run("check", "--min", "5", env=connected(sandbox)), f"cannot read {place}")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def make_link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_folder, make_fifo, make_link_to_zeros])
def test_what_is_no_regular_file_is_refused_at_once(ask: Ask, path: Path, make: Callable[[Path], None]) -> None:
    """A folder, a FIFO that nobody writes to, a device without end: an error, and no waiting."""
    make(path)
    began = time.monotonic()
    assert_refused(ask(path), f"{path} is not a regular file")
    assert time.monotonic() - began < 15


def test_a_fifo_with_something_in_it_is_refused_too(ask: Ask, path: Path, content: str) -> None:
    """What comes through a FIFO has no permissions to look at; the hint says where a key can come from instead."""
    os.mkfifo(path, 0o600)
    with open(path, "r+b", buffering=0) as fifo:
        fifo.write(content.encode())
        ended = ask(path)
    assert_refused(ended, "is not a regular file")
    assert "standard input" in ended.stderr


def test_a_socket_is_refused(ask: Ask, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket cannot be opened as a file."""
    monkeypatch.chdir(path.parent)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
        assert_refused(ask(path), f"cannot read {path}: ")


def make_loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def make_path_through_a_file(path: Path) -> Path:
    path.touch()
    return path / "below"


def make_name_that_is_too_long(path: Path) -> Path:
    return path.with_name("n" * 300)


def make_file_that_fails_when_read(_path: Path) -> Path:
    return Path("/proc/self/mem")


@pytest.mark.parametrize(
    "make", [make_loop, make_path_through_a_file, make_name_that_is_too_long, make_file_that_fails_when_read]
)
def test_what_cannot_be_read_is_named(ask: Ask, path: Path, make: Callable[[Path], Path]) -> None:
    """A file that the system refuses to open or to read, even to root: the path and the reason."""
    unreadable = make(path)
    assert_refused(ask(unreadable), f"cannot read {str(unreadable)[:100]}")


def test_a_file_without_permission_is_named(ask: Ask, path: Path, content: str) -> None:
    """A file of mode 000: its owner is told why it cannot be read; root, who can, gets the answer."""
    ended = ask(write(path, content, 0o000))
    if os.geteuid() == 0:
        assert ended.returncode == 0
    else:
        assert_refused(ended, f"cannot read {path}: Permission denied")


def test_a_huge_file_is_refused(ask: Ask, path: Path) -> None:
    """A file of gigabytes is not read to its end."""
    write(path, "# ")
    os.truncate(path, 8 * 1024**3)
    began = time.monotonic()
    assert_refused(ask(path), f"{path} is larger than 1024 KiB")
    assert time.monotonic() - began < 15


def test_a_config_file_of_the_largest_size_is_read(ask_with_config: Ask, path: Path) -> None:
    """The limit is where it is said to be: at 1024 KiB a file is read, one byte more is too much."""
    text = CONFIG + "#" * (1024 * 1024 - len(CONFIG))
    assert ask_with_config(write(path, text)).returncode == 0
    assert_refused(ask_with_config(write(path, text + "#")), "is larger than 1024 KiB")


@pytest.mark.parametrize(
    "binary", [b"\x7fELF\x02\x01\x01" + bytes(range(128, 256)), "[profiles]".encode("utf-16"), b"sk-caf\xe9"]
)
def test_what_is_not_utf_8_is_refused(ask: Ask, path: Path, binary: bytes) -> None:
    """A program, UTF-16 or Latin-1: not text that can be read exactly."""
    assert_refused(ask(write(path, binary)), f"{path} is not UTF-8 text")


def test_a_byte_order_mark_is_allowed(ask: Ask, path: Path, content: str) -> None:
    """Editors on Windows write one; it is no part of the key."""
    ended = ask(write(path, b"\xef\xbb\xbf" + content.encode()))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_line_ends_of_windows_are_allowed(ask: Ask, path: Path, content: str) -> None:
    """CR LF ends a line like LF does."""
    ended = ask(write(path, content.replace("\n", "\r\n")))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_key_without_a_line_end_is_allowed(ask_with_key_file: Ask, path: Path) -> None:
    """`printf %s` writes none."""
    assert ask_with_key_file(write(path, KEY)).returncode == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"), ("\n", "is empty"), (f"{KEY}\n\n", "has a line break in it"),
        (f"{KEY}\n{KEY}\n", "has a line break in it"), (f"{KEY}\r", ""),
        (f"API_KEY={KEY} # mine\n", "has white space in it"), (f" {KEY}\n", "has white space in it"),
        (f"{KEY}\0\n", "has a character in it that is not printable ASCII"),
        ("k" * 5000 + "\n", "is longer than 4096 characters"),
    ],
)  # fmt: skip
def test_a_key_file_that_holds_something_else(ask_with_key_file: Ask, path: Path, text: str, complaint: str) -> None:
    """A key file holds one key and nothing else: exit 4 with the reason, and none of the contents."""
    ended = ask_with_key_file(write(path, text))
    if not complaint:
        assert ended.returncode == 0
    else:
        assert_refused(ended, f"the API key from --api-key-file {path} {complaint}", code=4)


def test_the_contents_of_a_broken_config_file_are_not_printed(ask_with_config: Ask, path: Path) -> None:
    """A syntax error is told with its place, without the line that may hold the key."""
    ended = ask_with_config(write(path, f'[profiles.default]\napi_key = "{KEY}\n'))
    assert_refused(ended, f"{path} is not valid TOML")
    assert "line 2" in ended.stderr


def test_the_null_device_is_no_config(ask_with_config: Ask) -> None:
    """`APIMART_CONFIG=/dev/null` is the way to say: no config file."""
    ended = ask_with_config("/dev/null", APIMART_API_KEY=KEY)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_null_device_is_no_key(ask_with_key_file: Ask) -> None:
    """An empty key is an error, wherever it comes from."""
    assert_refused(ask_with_key_file("/dev/null"), "is empty", code=4)


def test_a_file_that_was_named_must_be_there(ask: Ask, path: Path) -> None:
    """A file that somebody named and that is not there is an error, not a reason to go on without it."""
    assert_refused(ask(path), f"cannot read {path}: No such file or directory")


def test_a_config_file_that_nobody_named_may_be_missing(run: Run, sandbox: Sandbox) -> None:
    """Without a config file at the default place there is none."""
    assert run("check", "--min", "5", env=connected(sandbox)).returncode == 0


def test_an_empty_name_is_an_error(ask_with_config: Ask) -> None:
    """`APIMART_CONFIG=` is a mistake of a script, and named."""
    assert_refused(ask_with_config("", APIMART_API_KEY=KEY), "APIMART_CONFIG is set but empty")


@pytest.mark.parametrize("spelled", ["~/apimart.toml", "home/apimart.toml"])
def test_a_config_file_may_be_named_from_home_or_here(
    ask_with_config: Ask, environment: Mapping[str, str], spelled: str
) -> None:
    """A tilde and a relative path mean what they mean in a shell."""
    write(Path(environment["HOME"]) / "apimart.toml", CONFIG)
    assert ask_with_config(spelled).returncode == 0
