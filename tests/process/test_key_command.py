"""Keys that a command prints: `pass` and its like, and everything that can go wrong with them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apimart_cli.errors import AuthError
from apimart_cli.keys.key import ApiKey, GivenKey, NoKey
from apimart_cli.keys.sources import KeyCommand
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.processes import is_running, wait_until
from support.running import KEY, Run, Spawn, Write

Script = Callable[..., str]

pytestmark = pytest.mark.measured


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write an executable script and return its path: `script("echo $1", name="pass")`."""

    def write(body: str, *, name: str = "get-key", interpreter: str = "/bin/sh", mode: int = 0o755) -> str:
        path = tmp_path / name
        path.write_text(f"#!{interpreter}\n{body}\n")
        path.chmod(mode)
        return str(path)

    return write


def key_command(words: Sequence[str]) -> KeyCommand:
    """A command that gets the environment of the tests."""
    return KeyCommand(words, profile="ci", environment=lambda _key: os.environ)


def plenty() -> float:
    """Time enough for any command."""
    return 30.0


def refusal(command: KeyCommand, seconds_left: Callable[[], float] = plenty) -> AuthError:
    with pytest.raises(AuthError) as caught:
        command.read(seconds_left)
    return caught.value


def overdue(path: str, profile: str = "ci") -> str:
    """What is told of a command that took too long."""
    return f"api_key_command of profile {profile} ({path}) gave no key within the time limit"


@pytest.mark.parametrize("end", ["", r"\r\n"])
def test_what_a_command_prints_is_the_key(script: Script, end: str) -> None:
    """One line end after it is dropped."""
    assert key_command([script(f"printf '{KEY}{end}'")]).read(plenty).reveal() == KEY


def test_the_longest_key_is_read_whole(script: Script) -> None:
    """4096 characters and a line end are a key."""
    command = key_command([script("head -c 4096 /dev/zero | tr '\\0' k; echo")])
    assert len(command.read(plenty)) == 4096


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("cat", "is empty"),  # standard input is empty, whatever apimart's own is
        (f"printf '{KEY}\\nlogin: me\\n'", "has a line break in it"),
        (f"printf '{KEY}\\377\\376'", "has a character in it that is not printable ASCII"),
        ("head -c 4097 /dev/zero | tr '\\0' k", "is longer than 4096 characters"),
        (f"yes {KEY} | cat", "is longer than 4096 characters"),
        (f"while :; do printf '{KEY}'; done", "is longer than 4096 characters"),
        ("exec cat /dev/urandom", ""),
    ],
)
def test_a_command_that_prints_no_key_is_told_without_its_output(script: Script, body: str, fault: str) -> None:
    """The error names the profile and the command; nothing that it printed, however much, is repeated."""
    path = script(body)
    error = refusal(key_command([path, "--for", "apimart"]))
    assert error.message.startswith(f"the API key from api_key_command of profile ci ({path}) ")
    assert error.message.endswith(fault)
    assert "test" not in f"{error.message}{error.hint}".replace(path, "")
    assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    ("body", "ending"),
    [(f"echo {KEY}; exit 3", "exit code 3"), (f"echo {KEY}; kill -9 $$", "signal 9")],
)
def test_a_command_that_fails_gives_no_key(script: Script, body: str, ending: str) -> None:
    """Even when it has printed one; the hint says how to look into it."""
    path = script(body, name="get key")
    error = refusal(key_command([path, "secret-argument"]))
    assert error.message == f"api_key_command of profile ci ({path}) failed with {ending}"
    assert error.hint == f"run '{path}' with its arguments by hand; it must print the key and nothing else"


def test_a_command_that_cannot_be_run_is_told_with_the_reason(script: Script, tmp_path: Path) -> None:
    """Missing, not executable, a folder, or an argument that no program can get."""
    reasons = {
        (str(tmp_path / "missing"),): "No such file or directory",
        ("no-command-of-this-name",): "No such file or directory",
        (script("echo", name="not-executable", mode=0o644),): "Permission denied",
        (str(tmp_path),): "Permission denied",
        ("echo", "a\0b"): "it cannot be started",
    }
    for command, reason in reasons.items():
        error = refusal(key_command(command))
        assert error.message == f"api_key_command of profile ci ({command[0]}) cannot be run: {reason}"
        assert error.hint == "check the command in the config file"


def test_a_command_without_a_first_line_for_the_system_is_a_script(tmp_path: Path) -> None:
    """As for `env` and shells: what is no program is read by `sh`, which finds no command of that name here."""
    script = tmp_path / "script"
    script.write_text(f"echo {KEY}\n")
    script.chmod(0o755)
    assert key_command([str(script)]).read(plenty).reveal() == KEY
    script.write_text("no-command-of-this-name\n")
    assert refusal(key_command([str(script)])).message.endswith("failed with exit code 127")


def test_no_shell_looks_at_a_command(script: Script) -> None:
    """Arguments arrive as they are written in the file."""
    arguments = ["$HOME", "*", "a;echo", "`id`", "~", ""]
    path = script('printf "%s|" "$@"')
    assert key_command([path, *arguments]).read(plenty).reveal() == "".join(f"{word}|" for word in arguments)


def test_a_failure_is_not_kept(script: Script, tmp_path: Path) -> None:
    """A vault that has been unlocked since gives its key to the next reading."""
    unlocked = tmp_path / "unlocked"
    command = key_command([script(f"[ -e {unlocked} ] && echo {KEY}")])
    assert refusal(command).message.endswith("failed with exit code 1")
    unlocked.touch()
    assert command.read(plenty).reveal() == KEY


@pytest.mark.parametrize(
    ("has_terminal", "body"),
    [
        (False, "trap '' TERM INT HUP; sleep 60"),
        (False, "sleep 60 & exit 0"),
        (False, f"printf {KEY}; exec sleep 60"),
        (False, "while :; do printf k; sleep 0.05; done"),
        # One by one: its group is the terminal's.
        (True, "sleep 60 | cat"),
        (True, "setsid sleep 60"),
    ],
)
def test_a_command_that_is_given_up_ends_with_all_it_started(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_terminal: bool, body: str
) -> None:
    """However it hangs, and whoever keeps its output open; the error says that there was no key in time."""
    monkeypatch.setattr("apimart_cli.processes.child.has_terminal", lambda: has_terminal)
    started = tmp_path / "started"
    path = script(f"echo > {started}; {body}")
    command = key_command([path])
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(refusal, command, lambda: 0.0 if started.exists() else 30.0)
        assert error.result(40).message == overdue(path)


def test_a_command_is_not_started_when_the_time_is_over(script: Script, tmp_path: Path) -> None:
    """The question's time may be over before its command has begun."""
    path = script(f"touch {tmp_path}/was-run; exec sleep 60")
    assert refusal(key_command([path]), lambda: 0.0).message == overdue(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(("has_terminal", "has_own_group"), [(True, False), (False, True)])
def test_only_away_from_a_terminal_a_command_has_a_group_of_its_own(
    script: Script, monkeypatch: pytest.MonkeyPatch, has_terminal: bool, has_own_group: bool
) -> None:
    """At a terminal it stays in our group, so that it can ask for a password; elsewhere it can be ended as a whole."""
    monkeypatch.setattr("apimart_cli.processes.child.has_terminal", lambda: has_terminal)
    path = script("import os; print(os.getpgrp())", interpreter=sys.executable)
    group = int(key_command([path]).read(plenty).reveal())
    assert (group != os.getpgrp()) is has_own_group


def test_a_lost_exit_code_is_no_key(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else has waited for the command, nobody knows whether it failed: that is not taken for success."""
    path = script(f"echo {KEY}; exit 1")
    start = subprocess.Popen.__init__

    def start_and_steal(process: "subprocess.Popen[bytes]", *arguments: object, **named: object) -> None:
        start(process, *arguments, **named)  # type: ignore[call-overload]
        os.waitid(os.P_PID, process.pid, os.WEXITED)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_and_steal)
    assert refusal(key_command([path])).message.endswith("was run, but its exit code is lost")


def test_a_source_tells_its_state_and_no_character_of_the_key(script: Script) -> None:
    """For `config show` and `config check`: what it is, and what is certainly wrong with it; nothing is run."""
    path = script("exit 1")
    given, missing = GivenKey(ApiKey(KEY, source="a test")), NoKey(AuthError("there is no API key"))
    command, absent = key_command([path, KEY]), key_command(["no-command-of-this-name"])
    assert (given.state, given.fault) == (f"set, {len(KEY)} characters", None)
    assert GivenKey(ApiKey("k", source="a test")).state == "set, 1 character"
    assert (missing.state, missing.fault) == ("not usable: there is no API key", "there is no API key")
    assert (command.state, command.fault) == (f"from the command {path}, which is not run here", None)
    assert absent.fault == "there is no command no-command-of-this-name"
    assert given.read(plenty).reveal() == KEY
    with pytest.raises(AuthError, match=r"^there is no API key$"):
        missing.read(plenty)


@pytest.fixture
def run_apart(
    command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks
) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a command away from any terminal, its output in pipes."""

    def start(*arguments: str, env: Mapping[str, str]) -> "subprocess.Popen[str]":
        return forks.process(
            [command, *arguments], {**environment, **env}, tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    return start


RunApart = Callable[..., "subprocess.Popen[str]"]


def test_a_password_store_gives_the_key(
    run: Run, sandbox: Sandbox, script: Script, write_config: Write, tmp_path: Path
) -> None:
    """A script like `pass`, found on PATH: asked once for key and account; its messages go to standard error."""
    script(
        f"""
        echo run >> {tmp_path}/runs
        [ "$1 $2" = "show work/apimart" ] || {{ echo "Error: $2 is not in the password store." >&2; exit 1; }}
        echo "unlocking the store" >&2
        echo {KEY}
        """,
        name="pass",
    )
    write_config('[profiles.work]\napi_key_command = ["pass", "show", "work/apimart"]\nscope = "both"\n')
    env = {"APIMART_BASE_URL": sandbox.url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = run("balance", "--profile", "work", "--json", env=env)
    documents = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [document.get("remain_balance") for document in documents] == [10.5, 100.0, 10.5]
    assert ended.stderr == "unlocking the store\n"
    assert (ended.returncode, (tmp_path / "runs").read_text()) == (0, "run\n")


def test_a_password_store_that_refuses_is_an_auth_error(
    run: Run, sandbox: Sandbox, script: Script, write_config: Write
) -> None:
    """Its own message is there, ours names it, `--fail-open` does not forgive it, and its output is nowhere."""
    path = script(f"echo {KEY}; echo 'gpg: decryption failed' >&2; exit 2", name="pass")
    write_config(f'[profiles.work]\napi_key_command = ["{path}", "show", "work/apimart"]\n')
    arguments = ("check", "--min", "1", "--fail-open", "--json", "--profile", "work")
    ended = run(*arguments, env={"APIMART_BASE_URL": sandbox.url})
    error = json.loads(ended.stdout)["readings"][0]["error"]
    assert (ended.returncode, error["code"], error["exit_code"]) == (4, "auth", 4)
    assert error["message"] == f"api_key_command of profile work ({path}) failed with exit code 2"
    assert ended.stderr.splitlines() == [
        "gpg: decryption failed", f"apimart: error: {error['message']}", f"hint: {error['hint']}",
    ]  # fmt: skip
    assert "Zq7W" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_ends_the_command_at_a_terminal_too(
    spawn: Spawn, script: Script, write_config: Write, tmp_path: Path, number: signal.Signals
) -> None:
    """There the progress on the screen is wiped as well; neither of the two is forgotten for the other."""
    path = script(f"echo $$ > {tmp_path}/started; exec sleep 60")
    write_config(f'[profiles.work]\napi_key_command = ["{path}"]\n')
    child = spawn("apimart", "balance", "--profile", "work")
    child.expect_exact("apimart: 0 of 1 answered ")
    child.kill(number)
    shown = child.read()
    child.close()
    assert child.signalstatus == number
    assert shown.endswith(b"\r\x1b[2K")
    wait_until(lambda: not is_running(int((tmp_path / "started").read_text())))


@pytest.mark.parametrize("close", ["", "exec >&-;"], ids=["waiting", "with its output closed"])
@pytest.mark.parametrize(("number", "code"), [(None, 4), (signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_whatever_ends_apimart_ends_its_commands(
    run_apart: RunApart, script: Script, write_config: Write, tmp_path: Path, number: signal.Signals | None, code: int,
    close: str,
) -> None:  # fmt: skip
    """The time limit, Ctrl-C or a runner's SIGTERM; also a command that has printed its key and goes on."""
    path = script(f"echo {KEY}; {close} echo $$ > {tmp_path}/started; sleep 60; true")
    limit = 1 if number is None else 30
    write_config(f'timeout = {limit}\n[profiles.work]\napi_key_command = ["{path}"]\n')
    process = run_apart("balance", "--profile", "work", env={})
    wait_until((tmp_path / "started").exists)
    if number is not None:
        process.send_signal(number)
    answer, messages = process.communicate(timeout=30)
    assert (process.returncode, answer) == (code, "")
    # On a busy machine the question is over first, and says that its key was not there.
    assert messages == "" if number is not None else "within the time limit\nhint: " in messages
    wait_until(lambda: not is_running(int((tmp_path / "started").read_text())))


def test_an_answer_that_nobody_reads_ends_the_commands_that_still_run(
    run_apart: RunApart, sandbox: Sandbox, script: Script, write_config: Write
) -> None:
    """`apimart balance --all-profiles --json | head -0` does not leave the other profiles' commands running."""
    quick, hanging = script(f"echo {KEY}", name="quick"), script("sleep 60 | cat", name="hanging")
    write_config(
        f'timeout = 2\n[profiles.a]\napi_key_command = ["{quick}"]\n[profiles.b]\napi_key_command = ["{hanging}"]\n'
    )
    with run_apart("balance", "--all-profiles", "--json", env={"APIMART_BASE_URL": sandbox.url}) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, messages = process.communicate(timeout=30)
    # Nobody reads, and the exit code is what it would have been.
    assert process.returncode == 4
    assert "gave no key within the time limit" in messages
    assert "could not be written" not in messages


def test_a_command_can_ask_at_the_terminal(spawn: Spawn, sandbox: Sandbox, script: Script, write_config: Write) -> None:
    """The passphrase of a vault is typed where one sits."""
    path = script("printf 'Passphrase: ' > /dev/tty; read -r word < /dev/tty; [ \"$word\" = open ] && echo " + KEY)
    write_config(f'[profiles.work]\napi_key_command = ["{path}"]\n')
    child = spawn("apimart", "balance", "-p", "work", "-o", "value", env={"APIMART_BASE_URL": sandbox.url})
    child.expect_exact("Passphrase: ")
    child.sendline("open")
    child.expect_exact("10.5")
    child.wait()
    assert child.exitstatus == 0
