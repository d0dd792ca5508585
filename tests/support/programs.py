"""Programs that only some tests need. Where one is missing, its tests are skipped; with the variable CI, they fail."""

import os
import shutil
from typing import NoReturn

import pytest

_IS_CI = "CI" in os.environ
"""Read once: the tests take the variable out of the environment."""


def need(program: str) -> str:
    """Return the path of `program`, or leave the test."""
    found = shutil.which(program)
    if found is None:
        without(program, "is not installed")
    return found


def without(tool: str, reason: str) -> NoReturn:
    """Leave a test that needs `tool`: skipped, with what is wrong with it, or failed with the variable CI."""
    (pytest.fail if _IS_CI else pytest.skip)(f"needs {tool}, which {reason}")
