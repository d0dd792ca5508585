"""On a system without the parts of Python that only POSIX systems have: commands work, or say why they can't.

`support/elsewhere` hides those parts from the processes here. On Windows, where they are missing anyway, nothing is
hidden and the same tests run: this file uses no other fixtures than its own, and no shell.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from apimart_cli.config import values
from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.scenario import Scenario
from apimart_cli.sandbox.server import API_KEY, Sandbox
from support.places import GUARD, TESTS

NEEDS_HIDING = os.name == "posix"
ELSEWHERE = TESTS / "support" / "elsewhere"
Play = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `apimart`, or another `program`, with these variables besides; an empty one is taken out."""


@pytest.fixture
def gateway() -> Iterator[Sandbox]:
    """A gateway of our own, with the documented amounts."""
    with Sandbox(Scenario()).serving() as serving:
        yield serving


@pytest.fixture
def play(gateway: Sandbox, tmp_path: Path) -> Play:
    """Run commands with a home folder of their own and the key of the gateway, and read what they write as text."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)  # with a conftest, its fixture has made it
    (home / "config.toml").touch()
    scripts = sysconfig.get_path("scripts")
    base = {
        **{name: os.environ[name] for name in ("SYSTEMROOT", "TMPDIR", "TEMP", "COMSPEC") if name in os.environ},
        **{name: str(home) for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA")},
        "TZ": "UTC",
        "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
        "PYTHONPATH": str(ELSEWHERE if NEEDS_HIDING else GUARD),
        "APIMART_CONFIG": str(home / "config.toml"),
        "APIMART_HISTORY": str(home / "history.db"),
        "APIMART_BASE_URL": gateway.url,
        "APIMART_API_KEY": API_KEY,
    }

    def run(
        *arguments: str, input: str = "", program: str | None = None, encoding: str = "utf-8", **env: str
    ) -> "subprocess.CompletedProcess[str]":
        found = shutil.which(program or "apimart", path=base["PATH"])
        assert found, "the tests run the installed command"
        ended = subprocess.run(
            [found, *arguments],
            env={name: value for name, value in {**base, **env}.items() if value},
            input=input.encode(),
            capture_output=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        texts = [stream.decode(encoding).replace("\r\n", "\n") for stream in (ended.stdout, ended.stderr)]
        assert "a bug in apimart" not in texts[1]
        return subprocess.CompletedProcess(ended.args, ended.returncode, *texts)

    return run


def python(program: str) -> Sequence[str]:
    """Return the command of a small program: a shell is not everywhere."""
    return (sys.executable, "-c", program)


HIDDEN = """
import os, select, signal, sys
for name in "fork setsid killpg geteuid ctermid waitid WNOHANG O_NOFOLLOW O_DIRECTORY O_NONBLOCK".split():
    assert not hasattr(os, name), name
for name in "SIGHUP SIGKILL SIGSTOP SIGTSTP SIGCONT SIGCHLD SIGPIPE pthread_sigmask sigtimedwait setitimer".split():
    assert not hasattr(signal, name), name
assert not hasattr(select, "poll") and not os.supports_dir_fd and sys.platform != "linux"
for module in ("fcntl", "termios", "pwd", "grp", "resource"):
    try:
        __import__(module)
    except ModuleNotFoundError:
        continue
    raise AssertionError(module)
"""


def test_the_parts_are_hidden(play: Play) -> None:
    """The other tests show something: what they hide is not there in the processes that they start."""
    ended = play("-c", HIDDEN, program=sys.executable)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("check --min 5", ExitCode.OK, "PASS default/spendable: 10.5 left"),
        ("check --min 50 -o github", ExitCode.BELOW, "::error title=apimart"),
        ("nagios -w 50: -c 1:", 1, "APIMART WARNING - default/spendable 10.5 left"),
        ("config show", ExitCode.OK, "APIMART_API_KEY"),
        ("watch --count 1", ExitCode.OK, "default/key: 10.5 left"),
        ("usage --tz UTC", ExitCode.OK, "UTC"),
        ("doctor", ExitCode.OK, "its readers are not checked on this system"),
        ("sandbox --days 2 -- apimart history", ExitCode.OK, "default/account"),
    ],
)
def test_a_command_answers(line: str, code: int, told: str, play: Play) -> None:
    """It gives the answer and the exit code that it gives on Linux."""
    ended = play(*line.split())
    assert ended.returncode == code, ended
    assert told in " ".join(ended.stdout.split())


def test_what_was_read_is_recorded(play: Play) -> None:
    """The ledger is written, and read by `statusline` and `history`; what was exported can be imported, with CRLF."""
    assert play("balance").returncode == ExitCode.OK
    assert play("statusline").stdout.strip() == "10.5"
    exported = play("history", "export").stdout
    assert exported.count("\n") == 1
    imported = play("history", "import", "-", input=exported.replace("\n", "\r\n"), APIMART_HISTORY="other.db")
    assert imported.returncode == ExitCode.OK, imported.stderr
    assert play("history", "export", APIMART_HISTORY="other.db").stdout == exported


def test_login_keeps_a_key_and_says_who_may_read_it(play: Play, tmp_path: Path) -> None:
    """No permission is set where there is none to set: a note says so, and nothing is refused."""
    ended = play("login", "-p", "work", input=f"{API_KEY}\r\n")
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert "apimart can set no permissions on this system" in ended.stderr
    assert play("config", "set", "-p", "work", "min", "5").returncode == ExitCode.OK
    file = tmp_path / "home" / "config.toml"
    file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert play("config", "set", "-p", "work", "min", "50").returncode == ExitCode.OK
    assert b"\n" not in file.read_bytes().replace(b"\r\n", b"")
    assert play("check", APIMART_API_KEY="").returncode == ExitCode.BELOW
    assert play("logout", "-p", "work").returncode == ExitCode.OK
    assert API_KEY.encode() not in file.read_bytes()


def test_a_key_comes_from_a_file_or_a_command(play: Play, tmp_path: Path) -> None:
    """Line ends of Windows are no part of it, and a command that prints nothing is stopped in time."""
    (tmp_path / "key.txt").write_bytes(f"\N{ZERO WIDTH NO-BREAK SPACE}{API_KEY}\r\n".encode())
    assert play("check", "--min", "5", APIMART_API_KEY="", APIMART_API_KEY_FILE="key.txt").returncode == ExitCode.OK
    printing = python(f"import sys; sys.stdout.buffer.write(b'{API_KEY}\\r\\n')")
    waiting = python("import time; time.sleep(60)")
    lines = [f"[profiles.{name}]\r\napi_key_command = {list(words)!r}\r\n" for name, words in
             (("printing", printing), ("waiting", waiting))]  # fmt: skip
    (tmp_path / "home" / "config.toml").write_bytes("".join(lines).encode())
    assert play("check", "--min", "5", "-p", "printing").returncode == ExitCode.OK
    ended = play("check", "--min", "5", "-p", "waiting", "--timeout", "1")
    assert ended.returncode == ExitCode.AUTH
    assert "gave no key within the time limit" in ended.stderr


def test_an_alert_is_told(play: Play, tmp_path: Path) -> None:
    """The command of `--on-low` runs, and gets its variables."""
    hook = tmp_path / "hook.py"
    hook.write_text("import os, pathlib\npathlib.Path('told').write_text(os.environ['APIMART_EVENT'])\n")
    words = f'"{sys.executable}" "{hook}"'
    assert play("check", "--min", "50", "--on-low", words).returncode == ExitCode.BELOW
    assert (tmp_path / "told").read_text() == "low"


@pytest.mark.parametrize("command", ["sandbox", "run --min 1 --no-settle"])
def test_a_command_is_run_and_its_status_handed_on(command: str, play: Play) -> None:
    """It has the streams of ours, and works without process groups, sessions and signals."""
    program = "import sys; print(sys.stdin.read()); sys.exit(7)"
    ended = play(*command.split(), "--", *python(program), input="through")
    assert (ended.returncode, ended.stdout) == (7, "through\n"), ended.stderr


TREE = """
import subprocess, sys, time
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(below.pid, flush=True)
time.sleep(300)
"""


def test_a_guarded_command_is_stopped_with_what_it_started(play: Play) -> None:
    """The processes are found by psutil."""
    guarded = ["apimart", "run", "--max-spend", "1", "--interval", "0.2", "--kill-after", "1", "--", *python(TREE)]
    # With plenty to spend, and slowly: a busy machine may start the guard and the command late.
    ended = play("sandbox", "--remain", "1000", "--burn", "0.4", "--", *guarded)
    assert ended.returncode == 124, ended.stderr
    assert "the command was stopped" in ended.stderr
    with suppress(psutil.NoSuchProcess):
        # Process 1 of a container may not wait for what it has adopted.
        assert psutil.Process(int(ended.stdout)).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not NEEDS_HIDING, reason="psutil is hidden by the same means")
def test_no_command_is_guarded_where_none_could_be_stopped(play: Play, tmp_path: Path) -> None:
    """Without psutil, too, `run` says in a sentence that it can't guard, and starts nothing; `sandbox` still runs."""
    started = python("import pathlib; pathlib.Path('started').touch()")
    ended = play("run", "--max-spend", "1", "--", *started, WITHOUT="psutil")
    assert (ended.returncode, ended.stdout) == (125, "")
    assert ended.stderr.splitlines()[0] == (
        "apimart: error: a command cannot be guarded here: this system tells what it has started only through psutil, "
        "which does not work"
    )
    assert not (tmp_path / "started").exists()
    assert play("sandbox", "--", *started, WITHOUT="psutil").returncode == 0
    assert (tmp_path / "started").exists()


def test_a_path_with_backslashes_is_one_word_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they stand between folders, they take no meaning from the next letter; quotes work as everywhere."""
    monkeypatch.setattr(values, "ESCAPE", "")
    words = values.parse_command(r'C:\tools\alert.exe --log "C:\My Files\its\" end', "--on-low")
    assert words == ("C:\\tools\\alert.exe", "--log", "C:\\My Files\\its\\", "end")


def test_a_path_with_a_drive_letter_stands_in_the_config_file(play: Play, tmp_path: Path) -> None:
    """In single quotes as it is; in double quotes the error names the line, and the hint says how to write it."""
    path = r"C:\Users\me\key.txt"
    if NEEDS_HIDING:
        (tmp_path / "home" / path).write_bytes(f"{API_KEY}\r\n".encode())
    file = tmp_path / "home" / "config.toml"
    file.write_text(f"[profiles.work]\napi_key_file = '{path}'\n")
    ended = play("check", "--min", "5", "-p", "work")
    if NEEDS_HIDING:
        assert ended.returncode == ExitCode.OK
    else:
        assert (ended.returncode, path in ended.stderr) == (ExitCode.AUTH, True)
    file.write_text(f'[profiles.work]\napi_key_file = "{path}"\n')
    ended = play("check", "--min", "5", "-p", "work")
    assert ended.returncode == ExitCode.USAGE
    assert "at line 2" in ended.stderr
    assert "single quotes" in ended.stderr


@pytest.mark.parametrize(
    ("encoding", "line", "code"),
    [
        ("cp1252", "balance", 0),
        ("cp932", "check --min 50", ExitCode.BELOW),
        ("utf-16", "balance", 0),
        ("ascii", "nagios -c 50:", 2),
    ],
)
def test_a_code_page_changes_no_verdict(encoding: str, line: str, code: int, play: Play, tmp_path: Path) -> None:
    """Letters that it lacks are written as escapes."""
    config = (
        f'[profiles."caf\N{LATIN SMALL LETTER E WITH ACUTE}"]\r\napi_key = "{API_KEY}"\r\nunit = "\N{YEN SIGN}"\r\n'
    )
    (tmp_path / "home" / "config.toml").write_bytes(config.encode())
    ended = play(*line.split(), encoding=encoding, PYTHONIOENCODING=encoding, APIMART_API_KEY="")
    assert (ended.returncode, "10.5" in ended.stdout, ended.stderr) == (code, True, "")
