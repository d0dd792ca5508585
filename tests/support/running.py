"""The types of the shared fixtures, and the key that tests send."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pexpect

from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from support.forked import Forks

KEY = "sk-test-Zq7Wm3Xc9Vb1Nk5Lp8"
"""The key that tests send. No part of it is a word, so that any piece of it in an output is a leak."""

KEY_ID = "d995c5dc5253"
"""The id of that key."""

PLENTY = Funds(Decimal(1000), Decimal(0))
"""What a key has that is to be spent from: also when a busy machine starts us late, a limit comes before its end."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the installed command in a process of its own."""

Spawn = Callable[..., "pexpect.spawn[bytes]"]
"""Starts a program on a terminal of its own."""


class Called(NamedTuple):
    """What one command line gave."""

    code: int
    stdout: str
    stderr: str

    @property
    def returncode(self) -> int:
        """The code, by the name that a process has for it: most tests can be played either way."""
        return self.code


Call = Callable[..., Called]
"""Runs one command line in this process."""

Serve = Callable[..., Sandbox]
"""Starts a sandbox that ends with the test."""

Write = Callable[..., Path]
"""Writes the config file that the command finds by default."""

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a script as a reader of the documentation would."""

Help = Callable[[str], str]
"""Returns what `apimart COMMAND --help` prints."""


def unfolded(written: bytes) -> str:
    """Return what was sent to a terminal, with each message in one line again: it is folded between words there."""
    return written.decode().replace("\r\n", "\n").replace("\n  ", " ")


def connected(sandbox: Sandbox, key: str = KEY) -> dict[str, str]:
    """The variables that point a process at `sandbox` with the test key."""
    return {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY": key}


def run_program(
    arguments: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float = 60,
    check: bool = False,
    **options: Any,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, with nothing on standard input but `input`, and what it writes captured as text."""
    stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **stdin, **options}
    return subprocess.run(arguments, env=env, encoding="utf-8", timeout=timeout, check=check, **streams)


@contextmanager
def started_processes(tmp_path: Path, forks: Forks | None = None) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Give what starts programs, with their output in pipes and forked where that can be; they end with the block.

    `start([command, "watch"], environment, stdin=reader)`: standard input is empty if nothing else is said.
    """
    started: list[subprocess.Popen[str]] = []

    def start(arguments: Sequence[str], environment: Mapping[str, str], **given: int) -> "subprocess.Popen[str]":
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
        process = (subprocess.Popen if forks is None else forks.process)(
            arguments, env=environment, cwd=tmp_path, encoding="utf-8", **streams
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
