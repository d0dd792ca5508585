"""Files and folders of other users, through the installed command: by its own convention each command uses none."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.programs import need
from support.running import KEY, Run, connected, run_program
from support.secure import Gateway
from support.strangers import AS_STRANGER, READING_ALL, STRANGER, as_root, ground, run_as_stranger

pytestmark = as_root

OTHER = STRANGER + 1
"""Another user, who is not the one that runs the command."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that other users can look into."""
    with ground() as folder:
        yield folder


def give(user: int, *paths: Path) -> None:
    for path in paths:
        os.chown(path, user, user)


@pytest.fixture
def trap(place: Path, sandbox: Sandbox) -> Path:
    """A config file of another user, which says what that user wants: a command to run, and where keys go."""
    folder = place / "theirs"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text(
        f'base_url = "{sandbox.url}"\nmin = 1\n\n[profiles.default]\n'
        f'api_key_command = ["sh", "-c", "touch {place}/ran; echo {KEY}"]\n'
    )
    path.chmod(0o644)
    give(STRANGER, folder, path)
    return path


COMMANDS = {
    "balance": 2, "check": 2, "check --json": 2, "nagios": 3, "run --min 1 -- touch {place}/started": 125,
    "watch --count 1": 2, "exporter --listen 127.0.0.1:0": 2, "profiles": 2, "config show": 2, "config check": 2,
    "config get min": 2, "statusline": 0, "statusline --refresh": 2,
}  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_a_config_file_of_another_user_is_used_by_no_command(
    run: Run, trap: Path, sandbox: Sandbox, place: Path, line: str
) -> None:
    """Root's key goes nowhere, no command of theirs is run, and the way out is told."""
    with Gateway(None) as gateway:
        trap.write_text(trap.read_text().replace(sandbox.url, f"http://127.0.0.1:{gateway.port}"))
        ended = run(*line.format(place=place).split(), env={"APIMART_CONFIG": str(trap), "APIMART_API_KEY": KEY})
        assert gateway.connections == 0
    assert ended.returncode == COMMANDS[line], ended.stderr
    assert sorted(os.listdir(place)) == ["theirs"]
    if line != "statusline":
        told = ended.stdout + ended.stderr
        assert f"{trap} is not used: the folder {trap.parent} belongs to another user, user id {STRANGER}" in told
        assert f"sudo -u '#{STRANGER}' apimart …; or trust that user: APIMART_CONFIG_OWNER={STRANGER}" in told


def test_the_words_of_a_completion_are_not_those_of_another_user(run: Run, trap: Path) -> None:
    """The shell is told nothing."""
    completing = {"_APIMART_COMPLETE": "complete_bash", "COMP_WORDS": "apimart balance -p ", "COMP_CWORD": "3"}
    ended = run(env={**completing, "APIMART_CONFIG": str(trap)})
    assert "default" not in ended.stdout


def test_each_way_of_the_hint_helps(run: Run, trap: Path, place: Path) -> None:
    """To trust that user, and to be that user."""
    trusting = {"APIMART_CONFIG": str(trap), "APIMART_CONFIG_OWNER": str(STRANGER)}
    assert run("check", env=trusting).returncode == 0
    assert (place / "ran").exists()
    (place / "ran").unlink()
    place.chmod(0o777)
    refused = run_as_stranger("check", env={"PATH": os.environ["PATH"], "APIMART_CONFIG": str(trap)}, cwd=place)
    assert (refused.returncode, f"sudo chmod go-w {place}" in refused.stderr) == (2, True)
    place.chmod(0o755)
    # As that user it is a file of its own.
    used = run_as_stranger("check", env={"PATH": os.environ["PATH"], "APIMART_CONFIG": str(trap)}, cwd=place)
    assert (used.returncode, "is not used" in used.stderr) == (0, False)


@pytest.mark.parametrize(
    "line", ["config set min 5", "config unset min", "login", "logout", "profiles rename default home"]
)
@pytest.mark.parametrize("trusted", [False, True])
def test_root_writes_nothing_for_another_user(
    run: Run, sandbox: Sandbox, place: Path, line: str, trusted: bool
) -> None:
    """That user could swap a folder or a file, and choose what is overwritten; so it is where the user is trusted."""
    folder = place / "theirs"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text(f'min = 1\n\n[profiles.default]\napi_key = "{KEY}"\n')
    path.chmod(0o600)
    give(STRANGER, folder, path)
    before = path.read_bytes(), path.stat()
    env = {"APIMART_CONFIG": str(path), "APIMART_BASE_URL": sandbox.url}
    if trusted:
        env["APIMART_CONFIG_OWNER"] = str(STRANGER)
    ended = run(*line.split(), env=env, input=KEY)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"sudo -u '#{STRANGER}' apimart …" in ended.stderr
    assert (path.read_bytes(), path.stat()) == before
    assert os.listdir(folder) == ["config.toml"]


def test_another_user_that_swaps_the_lock_gets_nothing(run: Run, place: Path) -> None:
    """As long as it likes, and in a folder like /tmp, too: what the link names stays root's."""
    precious = place / "precious"
    precious.write_text("precious\n")
    precious.chmod(0o600)
    swap = 'cd "$1"; while :; do ln -s "$2" new; mv -f new config.toml.lock; done'
    for mode, owner in ((0o700, STRANGER), (0o1777, 0)):
        folder = place / f"{mode:o}"
        folder.mkdir()
        os.chown(folder, owner, owner)
        folder.chmod(mode)
        path = folder / "config.toml"
        path.write_text("min = 1\n")
        os.chown(path, owner, owner)
        line = [*AS_STRANGER, "/bin/sh", "-c", swap, "sh", folder, precious]
        with subprocess.Popen(line, stderr=subprocess.DEVNULL, start_new_session=True) as other:
            for amount in range(2, 12):
                run("config", "set", "min", f"{amount}", env={"APIMART_CONFIG": str(path)})
            os.killpg(other.pid, signal.SIGKILL)
        status = precious.stat()
        assert (precious.read_text(), status.st_uid, status.st_mode & 0o777) == ("precious\n", 0, 0o600)


def test_a_ledger_in_a_folder_of_another_user_is_left_alone(run: Run, sandbox: Sandbox, place: Path) -> None:
    """In silence; with one warning where recording was asked for; and it proves no runway."""
    path = place / "state" / "history.db"
    env = {**connected(sandbox), "APIMART_HISTORY": str(path)}
    assert run("balance", env={**env, "APIMART_RECORD": "1"}).returncode == 0
    give(STRANGER, path.parent)
    before = path.read_bytes()
    silent = run("balance", "-o", "value", env=env)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "10.5\n", "")
    told = run("balance", "-o", "value", env={**env, "APIMART_RECORD": "1"})
    assert (told.returncode, told.stdout) == (0, "10.5\n")
    assert told.stderr.count("belongs to another user") == 1
    assert run("check", "--min-runway", "1h", env=env).returncode == 8
    assert run("history", env=env).returncode == 2
    assert (path.read_bytes(), os.listdir(path.parent)) == (before, ["history.db"])


def test_metrics_go_to_a_folder_as_debian_makes_it(sandbox: Sandbox, place: Path) -> None:
    """The folder is root's and lets our group write; the one above belongs to a third user (node_exporter 1.5.0-1).

    A config file of root's is used, as in /etc.
    """
    above = place / "prometheus"
    folder = above / "node-exporter"
    folder.mkdir(parents=True)
    os.chown(above, OTHER, OTHER)
    os.chown(folder, 0, STRANGER)
    folder.chmod(0o775)
    config = place / "config.toml"
    config.write_text("unit = 'EUR'\n")
    config.chmod(0o644)
    env = {"PATH": os.environ["PATH"], "APIMART_RECORD": "0", "APIMART_CONFIG": str(config), **connected(sandbox)}
    ended = run_as_stranger("balance", "--textfile", str(folder / "apimart.prom"), env=env, cwd=place)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        'apimart_remaining_balance{profile="default",scope="key",unit="EUR"}' in (folder / "apimart.prom").read_text()
    )


@pytest.mark.parametrize("is_link", [True, False])
def test_metrics_and_reports_go_nowhere_else(run: Run, sandbox: Sandbox, place: Path, is_link: bool) -> None:
    """The user of the folder above puts something else in its place: nothing is asked, and nothing written."""
    above, precious = place / "prometheus", place / "precious"
    folder = above / "node-exporter"
    above.mkdir()
    precious.mkdir()
    if is_link:
        folder.symlink_to(precious)
    else:
        folder.mkdir()
    for each in (above, folder):
        os.chown(each, OTHER, OTHER, follow_symlinks=False)
    for line, code in (
        (("balance", "--textfile", str(folder / "apimart.prom")), 2),
        (("run", "--min", "1", "--report", str(folder / "report"), "--", "true"), 125),
    ):
        ended = run(*line, env=connected(sandbox))
        assert (ended.returncode, ended.stdout) == (code, "")
        assert "nothing is written to" in ended.stderr
    assert (os.listdir(precious), os.listdir(folder)) == ([], [])


def test_an_export_goes_into_nothing_of_theirs(run: Run, sandbox: Sandbox, place: Path) -> None:
    """No link of another user is followed, in a folder like /tmp either, to a pipe of ours or to anything else."""
    env = {**connected(sandbox), "APIMART_HISTORY": str(place / "state" / "history.db"), "APIMART_RECORD": "1"}
    assert run("balance", env=env).returncode == 0
    shared, pipe = place / "shared", place / "pipe"
    shared.mkdir()
    shared.chmod(0o1777)
    os.mkfifo(pipe, 0o600)
    path = shared / "out"
    path.symlink_to(pipe)
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ended = run("history", "export", str(path), env=env)
    assert (ended.returncode, os.read(reader, 10)) == (1, b"")
    os.close(reader)
    assert f"the link {path} belongs to another user" in ended.stderr
    assert f"sudo -u '#{STRANGER}' apimart …" in ended.stderr


INSTALLED = {
    "bash": (".bashrc", ".bash_completions/apimart.sh"),
    "zsh": (".zshrc", ".zfunc/_apimart"),
    "fish": (".config/fish/completions/apimart.fish",),
}
"""What is written for each shell, below the home folder."""


def install(
    shell: str, home: Path, command: str, environment: Mapping[str, str], *user: str, after: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Install completion from a shell, which ends with 9 where the command fails."""
    # `env`, as fish asks access(2) first, which does not know that this user may read everything.
    line = [*user, need(shell), "-c", f"env '{command}' --install-completion {after} || exit 9"]
    return run_program(line, env={**environment, "HOME": str(home)}, cwd="/")


@pytest.mark.parametrize(
    ("shell", "name", "theirs"),
    [
        *((shell, name, "a link") for shell, names in INSTALLED.items() for name in names),
        *(("bash", INSTALLED["bash"][1], theirs) for theirs in ("the home", "a file", "a folder")),
    ],
)
def test_root_installs_completion_into_no_file_of_another_user(
    place: Path, command: str, environment: Mapping[str, str], shell: str, name: str, theirs: str
) -> None:
    """Root may have kept the HOME of a user, who could link a file of root there, and change what its shell reads."""
    home, precious = place / "home", place / "precious"
    path = home / name
    path.parent.mkdir(parents=True)
    precious.write_text("precious\n")
    precious.chmod(0o600)
    if theirs in {"the home", "a link"}:
        path.symlink_to(precious)
    elif theirs == "a file":
        path.write_text("precious\n")
    given = {"the home": home, "a folder": path.parent}.get(theirs, path)
    os.chown(given, STRANGER, STRANGER, follow_symlinks=False)
    ended = install(shell, home, command, environment)
    assert (ended.returncode, ended.stdout) == (9, ""), ended
    assert ended.stderr.startswith(f"apimart: error: completion is not installed in {home}/")
    assert "belongs to another user" in ended.stderr
    assert f"hint: run it as that user: sudo -u '#{STRANGER}' apimart …" in ended.stderr
    assert precious.read_text() == "precious\n"
    assert not path.exists() or path.read_text() == "precious\n"


@pytest.mark.parametrize("shell", INSTALLED)
def test_completion_is_installed_into_files_of_ones_own(
    place: Path, command: str, environment: Mapping[str, str], shell: str
) -> None:
    """For root, and, as the hint says, for that user; a link of their own is followed."""
    for user, words in ((0, ()), (STRANGER, (*AS_STRANGER, *READING_ALL))):
        home = place / f"{user}"
        (home / "dotfiles").mkdir(parents=True)
        first = home / INSTALLED[shell][0]
        if first.parent == home:
            first.symlink_to("dotfiles/rc")
        for each in (home, home / "dotfiles", *home.glob(".*rc")):
            os.chown(each, user, user, follow_symlinks=False)
        ended = install(shell, home, command, environment, *words)
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        assert all((home / name).read_text() and (home / name).stat().st_uid == user for name in INSTALLED[shell])
        assert first.is_symlink() is (first.parent == home)


@pytest.mark.parametrize("after", ["", "balance"])
def test_completion_is_not_installed_where_others_can_make_files(
    place: Path, command: str, environment: Mapping[str, str], after: str
) -> None:
    """They could put a link there just before it is written, as in /tmp. Whatever stands behind the option."""
    home = place / "home"
    home.mkdir()
    home.chmod(0o1777)
    ended = install("bash", home, command, environment, after=after)
    assert ended.returncode == 9
    assert f"every user can change the folder {home}\nhint: use a folder of your own" in ended.stderr
    assert os.listdir(home) == []


def test_the_files_of_a_runner_may_be_anybodys(run: Run, sandbox: Sandbox, place: Path) -> None:
    """A container job is root, and the runner another user: the file is added to, and stays theirs."""
    folder = place / "runner"
    folder.mkdir()
    path = folder / "output"
    path.write_text("before=1\n")
    give(OTHER, folder, path)
    env = {**connected(sandbox), "GITHUB_OUTPUT": str(path)}
    ended = run("check", "--min", "5", "--scope", "key", "-o", "github", env=env)
    assert ended.returncode == 0, ended.stderr
    assert path.read_text().startswith("before=1\n")
    assert ("verdict=pass" in path.read_text(), path.stat().st_uid) == (True, OTHER)
