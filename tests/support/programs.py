"""Programs that only some tests need. Where one is missing, its tests are skipped; where `CI` is set, they fail."""

import os
import shutil
import sysconfig
from typing import NoReturn

import pytest

IS_CI = "CI" in os.environ
"""Whether everything must be there; read before the tests take the variable out of the environment."""

_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", sysconfig.get_path("scripts")])
"""Servers are often installed where only root looks."""


def need(program: str) -> str:
    """Return the path of `program`, or leave the test."""
    found = shutil.which(program, path=_PLACES)
    if found is None:
        without(program, "is not installed")
    return found


def without(tool: str, reason: str) -> NoReturn:
    """Leave a test that needs `tool`: skipped, or failed where `CI` is set.

    Also for what is installed and lacks something, like a C library that cannot do what the test is about.
    """
    (pytest.fail if IS_CI else pytest.skip)(f"needs {tool}, which {reason}")
