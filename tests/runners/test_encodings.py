"""Runners read UTF-8, whatever encoding a job has set for Python."""

import subprocess
from collections.abc import Mapping

import pytest

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.server import Sandbox
from support.running import Write, connected

LOW = "::error title=apimart%3A café/spendable does not meet a threshold::10.5 € left"


@pytest.mark.parametrize(
    ("encoding", "output", "options", "code", "start"),
    [
        ("latin-1", "github", (), ExitCode.BELOW, LOW),
        ("utf-16", "github", ("--nope",), ExitCode.USAGE, "::error title=apimart%3A nothing could be checked::"),
        ("utf-16", "dotenv", (), ExitCode.BELOW, "APIMART_VERDICT=below\n"),
        ("latin-1", "dotenv", ("--nope",), ExitCode.USAGE, "APIMART_VERDICT=error\n"),
    ],
)
def test_a_runner_reads_it(
    encoding: str, output: str, options: tuple[str, ...], code: int, start: str, command: str,
    environment: Mapping[str, str], sandbox: Sandbox, write_config: Write,
) -> None:  # fmt: skip
    """In another encoding no annotation would be found, and no variable."""
    key = connected(sandbox)["APIMART_API_KEY"]
    write_config(f'[profiles."café"]\napi_key = "{key}"\nunit = "€"\n')
    ended = subprocess.run(
        [command, "check", "--min", "50", "-p", "café", "-o", output, *options],
        env={**environment, "APIMART_BASE_URL": sandbox.url, "PYTHONIOENCODING": encoding},
        stdout=subprocess.PIPE,
        # It keeps the encoding of the job, and is no part of the answer.
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stdout.decode("utf-8").startswith(start)
