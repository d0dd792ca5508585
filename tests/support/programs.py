"""Programs that only some tests need. Where one is missing, its tests are skipped; where `CI` is set, they fail."""

import os
import shutil
import sysconfig
from typing import NoReturn

import pytest

IS_CI = bool(os.environ.get("CI"))
"""Whether every program must be there. Read once: the tests take the variable out of the environment."""

PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", sysconfig.get_path("scripts")])
"""Where programs are looked for; daemons are often where only root looks."""


def need(program: str) -> str:
    """Return the path of `program`, or leave the test."""
    found = shutil.which(program, path=PLACES)
    if found is None:
        without(program, "is not installed")
    return found


def without(tool: str, reason: str) -> NoReturn:
    """Leave a test that needs `tool`: skipped, or failed where `CI` is set.

    Also for what is installed and lacks something, like a C library that cannot do what the test is about.
    """
    (pytest.fail if IS_CI else pytest.skip)(f"needs {tool}, which {reason}")
