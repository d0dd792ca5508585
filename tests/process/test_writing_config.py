"""Writing the config file on difficult ground: strange umasks, other owners, files mounted by themselves."""

import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, KEY_ID, Run, Write, run_program

pytestmark = [pytest.mark.measured, pytest.mark.usefixtures("quick_path")]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", ["0000", "0277", "0777"])
def test_what_login_makes_is_for_its_owner_and_can_be_used_by_them(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, home: Path, umask: str
) -> None:
    """Whatever umask it is given: a key that is said to be kept can be read again."""
    ended = run_program(
        ["bash", "-c", f'umask {umask}; exec "$0" login', command],
        env={**environment, "APIMART_BASE_URL": sandbox.url},
        input=KEY,
    )
    assert ended.returncode == 0, ended.stderr
    folder = home / ".config" / "apimart"
    assert {path.name: mode(path) for path in (folder.parent, folder, *folder.iterdir())} == {
        ".config": 0o700, "apimart": 0o700, "config.toml": 0o600, "config.toml.lock": 0o600,
    }  # fmt: skip


in_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="only root, with unshare, can mount in a namespace of its own",
)


@pytest.fixture
def run_mounted(command: str, environment: Mapping[str, str], sandbox: Sandbox, tmp_path: Path) -> Run:
    """Run commands after `prepare`, a shell script that mounts, in a mount namespace that ends with it."""

    def start(prepare: str, *arguments: str, input: str = "") -> "subprocess.CompletedProcess[str]":
        return run_program(
            ["unshare", "-m", "sh", "-ec", f'{prepare}\nexec "$0" "$@"', command, *arguments],
            env={**environment, "APIMART_BASE_URL": sandbox.url},
            input=input,
            cwd=tmp_path,
        )

    return start


def bound(path: Path) -> str:
    """A script that mounts a file over itself."""
    return f"mount --bind {path} {path}"


def overwritten(path: Path) -> str:
    return f"apimart: warning: {path} is mounted by itself, and is overwritten in place\nhint: do not interrupt it\n"


@in_mounts
def test_login_writes_a_file_that_is_mounted_by_itself(run_mounted: Run, write_config: Write) -> None:
    """As containers mount it: it cannot be replaced, so it is overwritten, which is said before it is done."""
    path = write_config('unit = "USD"  # euros later\n', mode=0o644)
    inode = path.stat().st_ino
    ended = run_mounted(bound(path), "login", input=KEY)
    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stderr
        == f"{overwritten(path)}apimart: note: the key of profile default (id {KEY_ID}) is kept in {path}\n"
    )
    assert path.read_text() == f'unit = "USD"  # euros later\n\n[profiles.default]\napi_key = "{KEY}"\n'
    assert (path.stat().st_ino, mode(path)) == (inode, 0o600)
    assert sorted(each.name for each in path.parent.iterdir()) == ["config.toml", "config.toml.lock"]


@in_mounts
@pytest.mark.parametrize(
    ("arguments", "after"),
    [
        (("config", "set", "min", "5", "-p", "default"), f'[profiles.default]\napi_key = "{KEY}"\nmin = 5\n'),
        (("logout",), "[profiles.default]\n"),
    ],
)
def test_every_change_reaches_a_file_that_is_mounted_by_itself(
    run_mounted: Run, write_config: Write, arguments: tuple[str, ...], after: str
) -> None:
    """What is longer than before, and what is shorter: nothing of the old text is left at the end."""
    path = write_config(f'[profiles.default]\napi_key = "{KEY}"\n')
    ended = run_mounted(bound(path), *arguments)
    assert (ended.returncode, path.read_text()) == (0, after)
    assert ended.stderr.startswith(overwritten(path))


@in_mounts
def test_a_mounted_file_that_cannot_be_overwritten_keeps_its_old_content(
    run_mounted: Run, write_config: Write, tmp_path: Path
) -> None:
    """The file is on a disk that is full, its folder is not."""
    path = write_config("# here\n")
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    filling = (
        f"mount -t tmpfs -o size=8k none {small}\n"
        f"printf '# old\\n' > {small}/config.toml; head -c 4000 /dev/zero | tr '\\0' '#' >> {small}/config.toml\n"
        f"echo >> {small}/config.toml\nhead -c 4096 /dev/zero > {small}/filling\n"
        f"mount --bind {small}/config.toml {path}\n"
        f"cp {path} {kept}\n"
    )
    value = "x" * 150
    script = f'{filling}"$0" "$@" || code=$?; cmp {path} {kept} && exit $((code + 100)); exit 99; :'
    ended = run_mounted(script, "config", "set", "api_key_env", value, "-p", "default", "--create")
    assert ended.returncode == 102, ended.stderr
    assert f"apimart: error: cannot write {path}: No space left on device\n" in ended.stderr
    assert kept.read_text().startswith("# old\n#")
    assert sorted(each.name for each in path.parent.iterdir()) == ["config.toml", "config.toml.lock"]


@in_mounts
def test_login_in_a_folder_that_is_read_only_fails_before_the_key_is_typed(
    run_mounted: Run, home: Path, write_config: Write
) -> None:
    """Nobody pastes a key that cannot be kept."""
    path = write_config('unit = "USD"\n')
    read_only = f"mount --bind {home} {home}\nmount -o remount,bind,ro {home}"
    ended = run_mounted(read_only, "login", input=KEY)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"apimart: error: cannot write {path}: nothing can be written in {path.parent}\n"
        "hint: check the folder and its permissions\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("balance", "cannot read config.toml: No such file or directory"),
        ("config unset min", "cannot write config.toml: No such file or directory"),
        ("login", "cannot write config.toml: No such file or directory"),
        ("logout", "profile default keeps no key in config.toml"),
    ],
)
def test_a_working_folder_that_is_gone_is_told_as_such(
    command: str, environment: Mapping[str, str], tmp_path: Path, sandbox: Sandbox, arguments: str, message: str
) -> None:
    """A relative APIMART_CONFIG leads nowhere there; nothing of it is said to be about standard output."""
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = run_program(
        ["bash", "-c", 'rmdir "$PWD"; exec "$0" "$@"', command, *arguments.split()],
        env={**environment, "APIMART_CONFIG": "config.toml", "APIMART_BASE_URL": sandbox.url},
        input=KEY,
        cwd=gone,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(f"apimart: error: {message}\nhint: ")


@pytest.mark.parametrize(
    "line", ["login", "logout", "config set min 5", "config unset min", "profiles rename work home"]
)
def test_nothing_inside_the_sandbox_changes_the_file_of_the_user(run: Run, write_config: Write, line: str) -> None:
    """A key to try with would replace a real one: exit 2, with the way to try it on another file."""
    text = f"default_profile = 'work'\nmin = 3\n[profiles.work]\napi_key = '{KEY}'\n"
    path = write_config(text)
    refused = run("sandbox", "--", "apimart", *line.split(), input="sk-try")
    assert (refused.returncode, refused.stdout, path.read_text()) == (2, "", text)
    assert refused.stderr == (
        "apimart: error: your own config file is not changed inside the sandbox\n"
        "hint: name another file: APIMART_CONFIG=try.toml\n"
    )


def test_a_named_file_is_changed_inside_the_sandbox(run: Run, config: Path, tmp_path: Path) -> None:
    """Whoever names it means it."""
    login = ("apimart", "login", "-p", "try")
    ended = run("sandbox", "--", *login, input="sk-try\n", env={"APIMART_CONFIG": "try.toml"})
    assert (ended.returncode, config.exists()) == (0, False)
    assert '[profiles.try]\napi_key = "sk-try"\n' in (tmp_path / "try.toml").read_text()


def test_the_sandbox_that_is_used_from_outside_leaves_writing_alone(run: Run) -> None:
    """The lines that it prints say nothing of it: they are pasted into a shell that goes on after it."""
    inside = run("sandbox", "--", "sh", "-c", "env | grep ^APIMART_")
    assert {line.split("=")[0] for line in inside.stdout.splitlines()} == {
        "APIMART_API_KEY", "APIMART_BASE_URL", "APIMART_BOOKS", "APIMART_HISTORY", "APIMART_RECORD", "APIMART_SANDBOX",
    }  # fmt: skip
