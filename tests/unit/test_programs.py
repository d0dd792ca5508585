"""A program that is missing skips its tests on a developer's machine, and fails them in CI."""

import shutil
from typing import Any

import pytest

from support import programs


def test_the_path_of_a_program_is_returned() -> None:
    """What is installed is named with its path."""
    assert programs.need("sh") == shutil.which("sh")


@pytest.mark.parametrize(("is_ci", "ends"), [(False, pytest.skip), (True, pytest.fail)])
def test_a_missing_program_skips_and_in_ci_fails(monkeypatch: pytest.MonkeyPatch, is_ci: bool, ends: Any) -> None:
    """The reason names it; in CI nothing is left out unseen."""
    monkeypatch.setattr(programs, "IS_CI", is_ci)
    with pytest.raises(ends.Exception, match=r"^needs no-such-shell, which is not installed$"):
        programs.need("no-such-shell")
