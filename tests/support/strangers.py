"""Processes of a user that this machine does not know, as containers with any user id run them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.running import run_program

STRANGER = 54321
"""A user id without an entry in the list of users."""

AS_STRANGER = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
"""Runs a program as STRANGER, with nothing but the permissions of that user."""

READING_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Lets it read everything, for the interpreter may be in a folder of root's; it can write what anybody can."""

as_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root, with setpriv, can act as another user",
)


def run_as_stranger(
    *arguments: str, env: Mapping[str, str], cwd: Path, input: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command as STRANGER, with these variables alone."""
    command = [*AS_STRANGER, *READING_ALL, sys.executable, "-P", "-m", "apimart_cli", *arguments]
    return run_program(command, env=env, cwd=cwd, input=input)


def act_as_stranger(script: str, *arguments: str | Path) -> None:
    """Run a shell script as STRANGER, with nothing but the permissions of that user; what fails in it is let be."""
    run_program([*AS_STRANGER, "/bin/sh", "-c", script, "sh", *arguments], cwd="/", env={"PATH": "/usr/bin:/bin"})


OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
"""The tags of an access control list."""


def set_access_list(path: Path, *entries: tuple[int, int] | tuple[int, int, int]) -> None:
    """Give a file this access control list, entries of tag, permissions and id; leave the test where there are none."""
    packed = (2).to_bytes(4, "little")
    for tag, permissions, *named in entries:
        who = named[0] if named else 0xFFFFFFFF
        packed += tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + who.to_bytes(4, "little")
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error.strerror}")


@contextmanager
def ground() -> Iterator[Path]:
    """Give a folder of our own into which other users can look, unlike that of a test."""
    with tempfile.TemporaryDirectory(prefix="apimart-test-", dir="/tmp") as folder:  # sticky, as it must be
        path = Path(os.path.realpath(folder))
        path.chmod(0o755)
        yield path
