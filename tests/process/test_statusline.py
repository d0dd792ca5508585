"""`apimart statusline` as bars and prompts run it: real processes, a real refresh, real bars."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pyte
import pytest

from apimart_cli.ledger.schema import Series
from apimart_cli.ledger.store import remember
from apimart_cli.output.statusline import for_bash, for_tmux, for_zsh
from apimart_cli.processes.hook import start_detached
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.words import Scope
from support.forked import Forks
from support.ledger import entry
from support.pages import PAGES, blocks
from support.places import GUARD
from support.processes import is_running, wait_until
from support.programs import need
from support.runner import lay_traps
from support.running import KEY, KEY_ID, Run, Spawn, Write, connected, run_program
from support.scripted import Gateway, balance, gateway
from support.strangers import as_root, run_as_stranger

DASH = "\N{EN DASH}\n"
HOSTILE = "#[fg=red]#S#(date)"
WAIT = 20.0


@pytest.fixture
def ledger(home: Path) -> Path:
    """Where the ledger will be."""
    return home / ".local" / "state" / "apimart" / "history.db"


@pytest.fixture(autouse=True)
def _recording(environment: dict[str, str]) -> None:
    """Record readings, as by default."""
    del environment["APIMART_RECORD"]


@pytest.fixture
def slow() -> Iterator[Gateway]:
    """A gateway that takes its time."""
    with gateway(lambda _path, _key: balance("10.5", delay=WAIT)) as server:
        yield server


def asking(server: Gateway) -> dict[str, str]:
    return {"APIMART_BASE_URL": server.url, "APIMART_API_KEY": KEY}


def refreshes(ledger: Path) -> list[int]:
    """The processes in the background that belong to this test: those that have its home folder."""
    mark = f"HOME={ledger.parents[3]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                is_ours = mark in (folder / "environ").read_bytes().split(b"\0")
                if is_ours and b"--refresh" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def make_older(ledger: Path, seconds: float) -> None:
    """Move what the ledger remembers of refreshes into the past."""
    with closing(sqlite3.connect(ledger)) as database:
        for name, value in database.execute("SELECT name, value FROM state WHERE name LIKE 'refresh %'").fetchall():
            confirmed, failures, since, *rest = value.split(" ")
            moved = [str(float(each) - seconds) for each in (confirmed, since)]
            older = " ".join([moved[0], failures, moved[1], *rest])
            database.execute("UPDATE state SET value = ? WHERE name = ?", (older, name))
        database.commit()


def test_the_line_is_there_at_once_and_the_next_one_knows_more(run: Run, sandbox: Sandbox, ledger: Path) -> None:
    """A process in the background has asked meanwhile; then it ends, and nobody asks again."""
    env = connected(sandbox)
    first = run("statusline", env=env)
    assert (first.returncode, first.stdout, first.stderr) == (0, DASH, "")
    wait_until(lambda: run("statusline", env=env).stdout == "10.5\n" and not refreshes(ledger))


def test_the_refresh_of_an_isolated_program_is_isolated(
    environment: Mapping[str, str], ledger: Path, tmp_path: Path
) -> None:
    """With `python -I`, no module that PYTHONPATH names is loaded in the background either."""
    traps = lay_traps(tmp_path / "hostile", tmp_path / "stolen")
    with gateway(lambda _path, _key: balance("10.5")) as server:
        ended = run_program(
            [sys.executable, "-I", "-m", "apimart_cli", "statusline"],
            env={**environment, **asking(server), **traps, "PYTHONPATH": str(tmp_path / "hostile")},
            check=True,
            stderr=None,
        )
        assert ended.stdout == DASH
        wait_until(lambda: server.asked or (tmp_path / "stolen").exists())
        wait_until(lambda: not refreshes(ledger))
    assert not (tmp_path / "stolen").exists(), (tmp_path / "stolen").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_the_refresh_holds_nothing_of_whoever_started_it(
    command: str, environment: Mapping[str, str], slow: Gateway, ledger: Path, tmp_path: Path
) -> None:
    """No stream, no file, no folder, no session, no key among its arguments."""
    reader, writer = os.pipe()
    with open(tmp_path / "held", "wb") as held:
        for number in (held.fileno(), writer):
            os.set_inheritable(number, True)
        subprocess.run(
            [command, "statusline"], env={**environment, **asking(slow)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, cwd=tmp_path, close_fds=False, timeout=20, check=True,
        )  # fmt: skip
    os.close(writer)
    # Nobody has the other end any more.
    assert os.read(reader, 1) == b""
    os.close(reader)
    wait_until(lambda: slow.asked)
    [pid] = refreshes(ledger)
    process = Path(f"/proc/{pid}")
    assert (process / "cwd").readlink() == Path("/")
    assert os.getsid(pid) == pid
    assert [(process / "fd" / str(number)).readlink() for number in range(3)] == [Path("/dev/null")] * 3
    files = [str(each.readlink()) for each in (process / "fd").iterdir()]
    assert not [name for name in files if name.startswith("pipe:") or str(tmp_path / "held") in name]
    words = (process / "cmdline").read_bytes().split(b"\0")
    assert words[1:4] == [b"-P", b"-m", b"apimart_cli"]
    assert KEY.encode() not in b" ".join(words)
    os.kill(pid, signal.SIGKILL)


def test_of_many_lines_at_once_one_starts_a_refresh_and_none_waits_for_it(
    command: str, environment: Mapping[str, str], slow: Gateway, ledger: Path, tmp_path: Path, forks: Forks
) -> None:
    """Twenty panes of a terminal ask the gateway once, and each of them has its line."""
    env = {**environment, **asking(slow)}
    began = time.monotonic()
    lines = [forks.process([command, "statusline"], env, tmp_path, stdout=subprocess.PIPE) for _ in range(20)]
    written = [each.communicate(timeout=60)[0] for each in lines]
    assert (written, {each.returncode for each in lines}) == ([DASH] * 20, {0})
    assert time.monotonic() - began < WAIT
    wait_until(lambda: slow.asked)
    [pid] = refreshes(ledger)
    assert len(slow.asked) == 1
    os.kill(pid, signal.SIGKILL)


def test_a_refresh_that_was_killed_is_followed_by_another(run: Run, slow: Gateway, ledger: Path) -> None:
    """Once its claim has expired, and not before."""
    run("statusline", env=asking(slow))
    wait_until(lambda: slow.asked)
    [pid] = refreshes(ledger)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    make_older(ledger, 30)
    run("statusline", env=asking(slow))
    assert refreshes(ledger) == []
    make_older(ledger, 31)
    run("statusline", env=asking(slow))
    wait_until(lambda: len(slow.asked) == 2)
    for pid in refreshes(ledger):
        os.kill(pid, signal.SIGKILL)


def test_a_refresh_ends_by_itself(run: Run, slow: Gateway, ledger: Path) -> None:
    """When its time limit is over, whatever the gateway does."""
    run("statusline", env={**asking(slow), "APIMART_TIMEOUT": "0.5"})
    wait_until(lambda: slow.asked)
    wait_until(lambda: not refreshes(ledger), seconds=WAIT / 2)
    with closing(sqlite3.connect(ledger)) as database:
        [value] = database.execute("SELECT value FROM state WHERE name LIKE 'refresh %'").fetchone()
    assert value.endswith(" unavailable")


def test_relative_paths_mean_the_same_to_the_refresh(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    """Though it leaves the current folder."""
    (tmp_path / "c.toml").write_text(f'[profiles.a]\napi_key = "{KEY}"\nunit = "EUR"\n')
    (tmp_path / "c.toml").chmod(0o600)
    env = {"APIMART_CONFIG": "c.toml", "APIMART_HISTORY": "h.db", "APIMART_BASE_URL": sandbox.url}
    assert run("statusline", env=env).stdout == DASH
    wait_until(lambda: run("statusline", env=env).stdout == "10.5 EUR\n")


def test_a_key_file_and_folders_of_authorities_mean_the_same_to_the_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their variables have paths in them, too: of folders with certificates several."""
    started: list[Mapping[str, str]] = []

    class Started:
        stdin = returncode = None

        def __init__(self, *_: object, env: Mapping[str, str], **__: object) -> None:
            started.append(env)

    monkeypatch.setattr("apimart_cli.processes.hook.subprocess.Popen", Started)
    variables = {"APIMART_API_KEY_FILE": "key", "SSL_CERT_DIR": f"a{os.pathsep}/b", "SSL_CERT_FILE": "~/c"}
    start_detached([], environment=variables)
    folders = f"{os.path.abspath('a')}{os.pathsep}/b"
    key, file = os.path.abspath("key"), os.path.expanduser("~/c")
    assert started == [{"APIMART_API_KEY_FILE": key, "SSL_CERT_DIR": folders, "SSL_CERT_FILE": file}]


def test_it_works_in_the_sandbox(run: Run, quick_path: None) -> None:
    """With the key and the gateway of that."""
    script = "apimart statusline; until test $(apimart statusline) = 10.5; do sleep 0.2; done"
    ended = run("sandbox", "--", "sh", "-c", script)
    assert (ended.returncode, ended.stdout) == (0, DASH)


def test_a_command_that_prints_a_key_is_run_by_the_refresh_alone(
    run: Run, sandbox: Sandbox, write_config: Write, tmp_path: Path
) -> None:
    """Where the profile allows that."""
    words = f'["sh", "-c", "echo run >> {tmp_path}/log; echo {KEY}"]'
    write_config(f"[profiles.a]\napi_key_command = {words}\nbackground_keys = true\n")
    env = {"APIMART_BASE_URL": sandbox.url}
    run("statusline", env=env)
    wait_until(lambda: run("statusline", env=env).stdout == "10.5\n")
    assert (tmp_path / "log").read_text() == "run\n"


def test_an_ascii_locale_gets_ascii(run: Run) -> None:
    """Where a dash is all there is to say."""
    env = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = run("statusline", env=env)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "-\n", "")


@as_root
def test_a_home_that_is_missing_or_read_only_gets_a_dash(
    home: Path, sandbox: Sandbox, ledger: Path, tmp_path: Path
) -> None:
    """Nothing is started where nothing can be claimed."""
    home.chmod(0o555)
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(GUARD), **connected(sandbox)}
    for variables in ({"HOME": str(home)}, {}):
        ended = run_as_stranger("statusline", env={**env, **variables}, cwd=tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, DASH, "")
    assert (refreshes(ledger), ledger.exists()) == ([], False)


@pytest.mark.parametrize("script", ["apimart statusline | true", "apimart statusline < /dev/null 2>&-"])
def test_a_reader_that_goes_away_is_no_error(environment: Mapping[str, str], script: str) -> None:
    """The exit code stays 0, and nothing is said."""
    ended = run_program(["bash", "-c", f"set -o pipefail; {script}"], env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_standard_input_is_not_read(command: str, environment: Mapping[str, str]) -> None:
    """A coding agent writes JSON to it, and may leave it open."""
    with subprocess.Popen(
        [command, "statusline", "--preset", "claude"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read().decode() == f"APIMart: {DASH}"
        assert process.wait(timeout=40) == 0


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, b"note: there is no API key"),
        ({"APIMART_API_KEY": KEY, "APIMART_BASE_URL": "http://127.0.0.1:1"}, b"note: the gateway is asked in the b"),
    ],
)
def test_a_person_is_told_why_there_is_no_more(spawn: Spawn, env: dict[str, str], told: bytes) -> None:
    """At a terminal, where somebody tries the command."""
    terminal = spawn("apimart", "statusline", env=env)
    terminal.expect_exact(told)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_many_lines_leave_nothing_behind(run: Run, sandbox: Sandbox, ledger: Path) -> None:
    """No process, and no file but the ledger, which has no key in it."""
    for _ in range(10):
        run("statusline", env=connected(sandbox))
    wait_until(lambda: not refreshes(ledger))
    assert os.listdir(ledger.parent) == ["history.db"]
    assert KEY.encode() not in ledger.read_bytes()


TRICKS = [HOSTILE, "##[x] ##", "%H:%M 100%", "`date` $(date) ${HOME} $", "\\u\\h\\", "#{pane_id}#", "<b>&amp;"]


@pytest.fixture
def tmux(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    """A folder with the socket of a tmux of its own; its server ends with the test."""
    program = need("tmux")
    yield tmp_path
    subprocess.run([program, "-S", tmp_path / "tmux", "kill-server"], env=environment, check=False, capture_output=True)


def bottom_line(spawn: Spawn, folder: Path, settings: str, texts: Sequence[str], env: Mapping[str, str]) -> str:
    """Start tmux with these settings, and return its status line as soon as all `texts` are on it."""
    bare = "set -g status-left ''\nset -g window-status-current-format ''\nset -g status-interval 1\n"
    (folder / "tmux.conf").write_text(bare + settings)
    terminal = spawn("tmux", "-S", str(folder / "tmux"), "-f", str(folder / "tmux.conf"), "new", "sleep 60", env=env)
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    give_up_at = time.monotonic() + 10
    while not all(text in screen.display[-1] for text in texts) and time.monotonic() < give_up_at:
        with suppress(pexpect.TIMEOUT):
            stream.feed(terminal.read_nonblocking(10_000, timeout=0.2))
    return screen.display[-1].strip()


def recipe(mark: str) -> str:
    """The recipe of the documentation that has this in it."""
    [found] = [block.text for block in blocks(PAGES["docs/statusline.md"]) if mark in block.text]
    return found


def hostile_ledger(ledger: Path, write_config: Write, *, profile: str, unit: str) -> dict[str, str]:
    """A profile and a reading of this moment with these names, and the variables that lead to them."""
    write_config(f"[profiles.'{profile}']\n")
    now = datetime.now(UTC)
    series = Series(KEY_ID, "api.apimart.ai", Scope.KEY)
    remember(ledger, [entry(series=series, at=now - timedelta(seconds=2), profile=profile, unit=unit)], now, seconds=10)
    return {"APIMART_HISTORY": str(ledger), "APIMART_RECORD": "0"}


def test_tmux_shows_hostile_names_literally(spawn: Spawn, tmux: Path, ledger: Path, write_config: Write) -> None:
    """They neither colour nor run anything: with the recipe of the documentation, and in a format that colours."""
    env = hostile_ledger(ledger, write_config, profile=HOSTILE, unit=HOSTILE)
    settings = recipe("status-right")
    assert "apimart statusline --preset tmux)" in settings
    line = '#(apimart statusline --preset tmux --format "#[fg=green]<{profile} {unit}>#[default]")'
    settings += f"set -g status-left-length 60\nset -g status-left '{line}'\n"
    expected = f"<{HOSTILE} {HOSTILE}>", f"10.5 {HOSTILE}"
    shown = bottom_line(spawn, tmux, settings, expected, env)
    assert (shown.startswith(expected[0]), shown.endswith(expected[1])) == (True, True)


@pytest.mark.parametrize("text", [text for text in TRICKS if "#" in text or "%" in text])
def test_tmux_shows_what_is_escaped_as_it_was(spawn: Spawn, tmux: Path, text: str) -> None:
    """Signs of formats and of the clock."""
    (tmux / "line").write_text(f"<{for_tmux(text)}>\n")
    settings = f"set -g status-right-length 70\nset -g status-right '#(cat {tmux}/line)'\n"
    assert bottom_line(spawn, tmux, settings, [f"<{text}>"], {}) == f"<{text}>"


@pytest.mark.parametrize(
    ("shell", "escape", "options", "script"),
    [
        ("bash", for_bash, "-c", """for TEXT; do PS1=$TEXT; printf '%s\\0' "${PS1@P}"; done"""),
        ("zsh", for_zsh, "-fc", """setopt promptsubst; for TEXT; do PROMPT='$(printf %s "$TEXT")';
            print -nP -- "$PROMPT"; printf '\\0'; done"""),
    ],
)  # fmt: skip
def test_a_prompt_shows_what_is_escaped_as_it_was(
    shell: str, escape: Callable[[str], str], options: str, script: str, environment: Mapping[str, str]
) -> None:
    """In a variable that the shell expands as its prompt, as starship has it expanded."""
    ended = run_program([need(shell), options, script, "sh", *map(escape, TRICKS)], env=environment)
    assert (ended.stdout.split("\0"), ended.stderr) == ([*TRICKS, ""], "")


def test_the_prompt_of_the_documentation_expands_a_line_once(
    environment: Mapping[str, str], ledger: Path, write_config: Write
) -> None:
    """Bash shows it as it is, without a preset."""
    env = hostile_ledger(ledger, write_config, profile="a", unit="`date` $(date) \\u")
    script = recipe("PS1=") + 'printf "%s" "${PS1@P}"'
    ended = run_program([need("bash"), "-c", script], env={**environment, **env})
    assert ended.stdout.startswith("10.5 `date` $(date) \\u ")


@pytest.mark.parametrize(
    ("arguments", "script"),
    [
        (("bash",), "PS1=\"$({starship} prompt)\"; printf %s \"${{PS1@P}}\""),
        (("zsh", "-f"), "setopt promptsubst; PROMPT='$({starship} prompt)'; print -nP -- \"$PROMPT\""),
        (("fish",), "{starship} prompt"),
    ],
)  # fmt: skip
def test_starship_shows_a_hostile_profile_literally(
    arguments: tuple[str, ...], script: str, ledger: Path, write_config: Write, environment: Mapping[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    """With the recipe of the documentation, in each of the shells that it knows."""
    name = "`date` $(date) \\u %n"
    env = hostile_ledger(ledger, write_config, profile="a", unit=name)
    settings = 'add_newline = false\ncommand_timeout = 10000\nformat = "<${custom.apimart}>"\n'
    (tmp_path / "starship.toml").write_text(settings + recipe("[custom.apimart]"))
    line = [need(arguments[0]), *arguments[1:], "-c", script.format(starship=need("starship"))]
    prompt = {"TERM": "xterm", "STARSHIP_SHELL": arguments[0], "STARSHIP_CONFIG": str(tmp_path / "starship.toml")}
    ended = run_program(line, env={**environment, **env, **prompt})
    printed = re.sub(r"\x1b\[[0-9;]*[mJ]|%\{|%\}|\x01|\x02", "", ended.stdout.replace("\n", ""))
    assert f"<10.5 {name} >" in printed
