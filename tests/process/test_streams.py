"""Broken standard streams: closed, full, or with nobody left to read them. No traceback, and never a false success."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks
from support.running import Serve, Write, connected, run_program
from support.scripted import Reply, balance, gateway, refusal

RunInto = Callable[..., "subprocess.CompletedProcess[str]"]

CLOSED, FULL, ABANDONED = "closed", "full", "abandoned"


@pytest.fixture
def run_into(command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[RunInto]:
    """Run a command with broken streams, forked: `run_into({1: FULL, 2: CLOSED}, "balance", env={...})`."""
    reader, abandoned = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    broken = {CLOSED: subprocess.DEVNULL, FULL: full, ABANDONED: abandoned}

    def run(
        streams: Mapping[int, str | int], *arguments: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        given = [broken.get(streams[number], streams[number]) if number in streams else None for number in range(3)]
        with forks.process(
            [command, *arguments],
            {**environment, **(env or {})},
            tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if given[1] is None else given[1],
            stderr=subprocess.PIPE if given[2] is None else given[2],
            closed=[number for number, state in streams.items() if state == CLOSED],
        ) as process:
            stdout, stderr = process.communicate(timeout=30)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout or "", stderr or "")

    yield run
    os.close(abandoned)
    os.close(full)


@pytest.fixture
def run_process_into(command: str, environment: Mapping[str, str], tmp_path: Path) -> RunInto:
    """The same with an interpreter that finds the streams broken, and a shell that has broken them."""

    def run(
        streams: Mapping[int, str], *arguments: str, env: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        # It stays there: `--show-completion` looks for the shell that it is called from.
        redirections = {CLOSED: "&-", FULL: "/dev/full", ABANDONED: " >(exec true)"}
        breaking = " ".join(f"{number}>{redirections[state]}" for number, state in streams.items())
        return run_program(
            ["bash", "-c", f'"$0" "$@" {breaking}; exit $?', command, *arguments],
            env={**environment, **(env or {})},
            cwd=tmp_path,
        )

    return run


def assert_only_messages(stderr: str) -> None:
    """Nothing but our own messages: no traceback, no `Exception ignored` of the interpreter."""
    strangers = [line for line in stderr.splitlines() if not line.startswith(("apimart: ", "hint: "))]
    assert strangers == []


def test_a_status_line_that_cannot_be_written_is_no_failure(run_into: RunInto) -> None:
    """It exits 0 whatever happens, as a prompt or a bar shows a failure in the place of the line."""
    ended = run_into({1: FULL}, "statusline", "--preset", "tmux")
    assert ended.returncode == 0
    assert ended.stderr.startswith("apimart: error: the answer could not be written to standard output: No space left")


PRINTING = [
    ("balance", CLOSED), ("balance --json", FULL), ("check --min 5", FULL), ("check --min 5 --json", CLOSED),
    ("config show", FULL), ("sandbox", CLOSED), ("--help", FULL), ("--version", CLOSED),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "state"), PRINTING)
def test_output_that_cannot_be_written_is_never_a_success(
    run_into: RunInto, sandbox: Sandbox, arguments: str, state: str
) -> None:
    """Whatever a command was asked to print: when it cannot be written, the exit code is 1."""
    ended = run_into({1: state}, *arguments.split(), env=connected(sandbox))
    assert ended.returncode == 1, ended.stderr
    assert_only_messages(ended.stderr)


@pytest.mark.parametrize(("state", "reason"), [(CLOSED, "it is closed"), (FULL, "No space left on device")])
def test_the_reason_is_told(run_process_into: RunInto, sandbox: Sandbox, state: str, reason: str) -> None:
    """The message says why the answer could not be written, and what to do."""
    ended = run_process_into({1: state}, "balance", env=connected(sandbox))
    assert f"apimart: error: the answer could not be written to standard output: {reason}\nhint: " in ended.stderr


@pytest.mark.parametrize("reader", ["abandoned", "hung up"])
@pytest.mark.parametrize(
    ("arguments", "fault", "code"),
    [
        ("balance", None, 0), ("balance --json --scope both", None, 0), ("check --min 50", None, 3),
        ("check --min 5 --json --fail-open", Fault.UNAUTHORIZED, 4), ("check --min x --json", None, 2),
        ("config check --json", None, 0), ("sandbox -- apimart check --min 50", None, 3), ("check --help", None, 0),
        ("--version", None, 0),
    ],
)  # fmt: skip
def test_a_reader_that_goes_away_changes_nothing(
    run_into: RunInto, serve: Serve, arguments: str, fault: Fault | None, code: int, reader: str
) -> None:
    """`| head -1` is no error: nothing is said of it, and the exit code is what it would have been."""
    where = connected(serve(fault=fault))
    if reader == "abandoned":
        ended = run_into({1: ABANDONED}, *arguments.split(), env=where)
    else:
        with _hung_up() as descriptor:
            ended = run_into({1: descriptor}, *arguments.split(), env=where)
    assert ended.returncode == code
    assert "written" not in ended.stderr
    assert "space" not in ended.stderr
    assert_only_messages(ended.stderr)


@pytest.mark.parametrize("arguments", ["--show-completion", "balance --json"])
def test_a_reader_that_goes_away_changes_nothing_from_the_start(
    run_process_into: RunInto, sandbox: Sandbox, arguments: str
) -> None:
    """With an interpreter of its own, too."""
    ended = run_process_into({1: ABANDONED}, *arguments.split(), env=connected(sandbox))
    assert ended.returncode == 0
    assert_only_messages(ended.stderr)


@contextmanager
def _hung_up() -> Iterator[int]:
    """Give a connection whose other end hung up without reading what it was sent: what is written then is an error."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            theirs.send(b"unread")
            ours.recv(1, socket.MSG_PEEK)
            ours.close()
            yield theirs.fileno()


def test_every_balance_is_read_when_the_reader_of_the_first_goes_away(
    command: str, environment: Mapping[str, str], tmp_path: Path, write_config: Write
) -> None:
    """The exit code counts them all, those that nobody saw included."""

    def answer(_path: str, key: str) -> Reply:
        return refusal(402) if key == "sk-b" else balance("7", delay=0 if key == "sk-a" else 0.5)

    write_config("".join(f"[profiles.{name}]\napi_key = 'sk-{name}'\n" for name in "abc"))
    with gateway(answer) as server:
        ended = run_program(
            ["bash", "-c", '"$0" balance --all-profiles --json | head -1; exit "${PIPESTATUS[0]}"', command],
            env={**environment, "APIMART_BASE_URL": server.url},
            cwd=tmp_path,
        )
    assert sorted(asked.key for asked in server.asked) == ["sk-a", "sk-b", "sk-c"]
    assert ended.returncode == 3
    assert ended.stdout.count("\n") == 1
    assert "written" not in ended.stderr


@pytest.mark.parametrize(
    ("streams", "minimum", "code"),
    [({1: CLOSED, 2: CLOSED}, "5", 0), ({1: ABANDONED}, "50", 3), ({1: FULL, 2: FULL}, "50", 3)],
)
def test_a_quiet_verdict_needs_no_streams(
    run_into: RunInto, sandbox: Sandbox, streams: Mapping[int, str], minimum: str, code: int
) -> None:
    """With `--quiet` nothing was asked to be printed, so the verdict stands whatever the streams are."""
    ended = run_into(streams, "check", "--quiet", "--min", minimum, env=connected(sandbox))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


@pytest.mark.parametrize(
    ("streams", "minimum", "code"),
    [({0: CLOSED, 1: CLOSED, 2: CLOSED}, "5", 0), ({1: CLOSED, 2: CLOSED}, "50", 3), ({0: CLOSED}, "50", 3)],
)
def test_no_file_takes_the_place_of_a_closed_stream(
    run_process_into: RunInto, sandbox: Sandbox, write_config: Write, streams: Mapping[int, str],
    minimum: str, code: int,
) -> None:  # fmt: skip
    """The verdict is right with every standard stream closed, when files and connections are given low numbers."""
    write_config(f'[profiles.work]\napi_key = "{connected(sandbox)["APIMART_API_KEY"]}"\n')
    where = {"APIMART_BASE_URL": sandbox.url}
    ended = run_process_into(streams, "check", "-q", "-p", "work", "--scope", "both", "--min", minimum, env=where)
    assert ended.returncode == code


@pytest.mark.parametrize(
    ("arguments", "fault", "code", "answer", "state"),
    [
        ("check --min 50", None, 3, "BELOW default/spendable: 10.5 left", CLOSED),
        ("check --min x --json", None, 2, '{"schema":1,"verdict":"error","exit_code":2,', FULL),
        ("balance --nonsense", None, 2, "", ABANDONED),
        ("check --min 5 --json", Fault.UNAUTHORIZED, 4, '{"schema":1,"verdict":"error","exit_code":4,', CLOSED),
        ("check --min 5 --fail-open --timeout 0.5", Fault.TIMEOUT, 0, "", FULL),
    ],
)
def test_messages_that_cannot_be_written_change_nothing(
    run_into: RunInto, serve: Serve, arguments: str, fault: Fault | None, code: int, answer: str, state: str
) -> None:
    """A broken standard error costs the messages, not the answer and not the exit code."""
    ended = run_into({2: state}, *arguments.split(), env=connected(serve(fault=fault)))
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout.startswith(answer)
    assert bool(ended.stdout) == bool(answer)


@pytest.mark.parametrize(
    ("arguments", "code", "state"),
    [("balance", 1, CLOSED), ("check --min 5", 1, FULL), ("check --min x", 2, CLOSED), ("--help", 1, FULL)],
)
def test_both_streams_broken(run_into: RunInto, sandbox: Sandbox, arguments: str, code: int, state: str) -> None:
    """With nowhere left to say anything, the exit code is still right."""
    ended = run_into({1: state, 2: state}, *arguments.split(), env=connected(sandbox))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


def test_an_error_document_that_cannot_be_written(run_into: RunInto) -> None:
    """When the JSON of an error cannot be written either, both failures are told, and the exit code is 1."""
    ended = run_into({1: FULL}, "check", "--min", "x", "--json")
    assert ended.returncode == 1
    assert "'x' is not an amount" in ended.stderr
    assert "could not be written" in ended.stderr
    assert_only_messages(ended.stderr)


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="only root, with unshare, can take the null device away",
)
@pytest.mark.parametrize(
    ("arguments", "closed", "code", "message"),
    [
        ("balance", ">&-", 1, "it is closed"),
        ("check -q --min 50", "<&- >&- 2>&-", 3, ""),
        ("balance --api-key -", "<&-", 2, "--api-key -: standard input is closed"),
    ],
)
def test_a_closed_stream_needs_no_null_device(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, arguments: str, closed: str, code: int, message: str
) -> None:
    """Some containers have an empty /dev."""
    ended = run_program(
        ["unshare", "-m", "bash", "-c", f'mount -t tmpfs none /dev && "$0" "$@" {closed}', command, *arguments.split()],
        env={**environment, **connected(sandbox)},
    )
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert_only_messages(ended.stderr)


@pytest.mark.parametrize("streams", [{1: FULL}, {0: CLOSED, 1: CLOSED, 2: CLOSED}])
def test_a_wrapped_command_keeps_its_own_status(run_into: RunInto, streams: Mapping[int, str]) -> None:
    """The sandbox prints nothing of its own around a command, so broken streams are the command's business."""
    assert run_into(streams, "sandbox", "--", "/bin/sh", "-c", "exit 7").returncode == 7


def test_a_wrapped_command_finds_a_closed_stream_closed(run_into: RunInto) -> None:
    """A stream that was closed for the sandbox is closed for the command, not replaced by something that swallows."""
    ended = run_into({1: CLOSED}, "sandbox", "--", "/bin/sh", "-c", "test ! -e /proc/self/fd/1 && echo closed >&2")
    assert (ended.returncode, ended.stderr) == (0, "closed\n")
