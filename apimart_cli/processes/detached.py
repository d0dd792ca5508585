"""A process of our own that goes on without us: nobody waits for it, and it holds nothing of whoever started us."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PATHS = (
    "APIMART_API_KEY_FILE",
    "APIMART_CONFIG",
    "APIMART_HISTORY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Variables that name files, perhaps from the current folder on, which it leaves."""


def start_detached(arguments: Sequence[str], *, environment: Mapping[str, str], told: bytes = b"") -> None:
    """Start `apimart` with these arguments and variables, and return at once. Raises OSError when that is not possible.

    `told` is what it can read on standard input, less than a pipe holds, so that this never waits.

    It has a session of its own, so that closing a terminal does not end it; no stream and no open file of ours; and
    the root folder, so that it keeps no file system busy.
    """
    if not sys.executable:
        raise FileNotFoundError("this Python does not know where it is")
    flags = (getattr(subprocess, name, 0) for name in ("DETACHED_PROCESS", "CREATE_NEW_PROCESS_GROUP"))
    process = subprocess.Popen(  # noqa: S603  # ourselves
        # As isolated as we are: with PYTHONPATH it may be found in another place, or not at all.
        [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", "apimart_cli", *arguments],
        env=_environment(environment),
        cwd=Path(os.sep),
        stdin=subprocess.PIPE if told else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=True,
        start_new_session=True,
        creationflags=sum(flags),
    )
    if process.stdin is not None:
        with suppress(OSError), process.stdin:
            process.stdin.write(told)
    # Nobody waits for it, which `Popen` would complain about.
    process.returncode = 0


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return these variables, with relative paths written out."""
    return {**environ, **{name: _written_out(environ[name], name) for name in _PATHS if environ.get(name)}}


def _written_out(value: str, name: str) -> str:
    # Of folders with certificates there may be several, as in PATH.
    paths = value.split(os.pathsep) if name == "SSL_CERT_DIR" else [value]
    return os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in paths)
