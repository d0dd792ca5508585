"""Runners and collectors read UTF-8, whatever encoding a job has set for Python."""

import subprocess
from collections.abc import Mapping

import pytest

from apimart_cli.errors import ExitCode
from apimart_cli.sandbox.server import Sandbox
from support.running import Write, connected

LOW = "::error title=apimart%3A café/spendable does not meet a threshold::10.5 € left"
METRIC = 'apimart_remaining_balance{profile="café",scope="key",unit="€"} 10.5\n'


@pytest.mark.parametrize(
    ("encoding", "line", "code", "begins"),
    [
        ("latin-1", "check --min 50 -o github", ExitCode.BELOW, LOW),
        ("utf-16", "check --nope -o github", ExitCode.USAGE, "::error title=apimart%3A nothing could be checked::"),
        ("utf-16", "check --min 50 -o dotenv", ExitCode.BELOW, "APIMART_VERDICT=below\n"),
        ("latin-1", "check --nope -o dotenv", ExitCode.USAGE, "APIMART_VERDICT=error\n"),
        ("latin-1", "balance -o prometheus", ExitCode.OK, METRIC),
    ],
)
def test_what_reads_utf8_gets_it(
    encoding: str, line: str, code: int, begins: str, command: str, environment: Mapping[str, str], sandbox: Sandbox,
    write_config: Write,
) -> None:  # fmt: skip
    """In another encoding no annotation would be found, and no variable; of metrics the format knows no other."""
    key = connected(sandbox)["APIMART_API_KEY"]
    write_config(f'[profiles."café"]\napi_key = "{key}"\nunit = "€"\n')
    ended = subprocess.run(
        [command, *line.split(), "-p", "café"],
        env={**environment, "APIMART_BASE_URL": sandbox.url, "PYTHONIOENCODING": encoding},
        stdout=subprocess.PIPE,
        # It keeps the encoding of the job, and is no part of the answer.
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert ended.returncode == code
    assert f"\n{begins}" in f"\n{ended.stdout.decode('utf-8')}"
