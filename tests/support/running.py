"""What the fixtures that run the command give, and the key that tests send."""

import subprocess
from collections.abc import Callable
from typing import NamedTuple

import pexpect

from apimart_cli.sandbox.server import Sandbox

KEY = "sk-test-Zq7Wm3Xc9Vb1Nk5Lp8"
"""The key that tests send. No part of it is a word, so that any piece of it in an output is a leak."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the installed command in a process of its own."""

Spawn = Callable[..., "pexpect.spawn[bytes]"]
"""Starts a program on a terminal of its own."""


class Called(NamedTuple):
    """What one command line gave."""

    code: int
    stdout: str
    stderr: str


Call = Callable[..., Called]
"""Runs one command line in this process."""


def connected(sandbox: Sandbox, key: str = KEY) -> dict[str, str]:
    """The variables that point a process at `sandbox` with the test key."""
    return {"APIMART_BASE_URL": sandbox.url, "APIMART_API_KEY": key}
