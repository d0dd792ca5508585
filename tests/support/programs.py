"""Programs that a test needs and that not every machine has."""

import os
import shutil
import sysconfig

import pytest

IS_CI = os.environ.get("CI") == "true"
"""Whether everything must be there; read before the tests take the variable away."""

_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", sysconfig.get_path("scripts")])
"""Servers are often installed where only root looks."""


def need(program: str) -> str:
    """Return the path of `program`. Where it is missing the test is skipped, or fails where `CI` is true."""
    found = shutil.which(program, path=_PLACES)
    if found:
        return found
    reason = f"{program} is not installed"
    if IS_CI:
        pytest.fail(reason)
    pytest.skip(reason)
