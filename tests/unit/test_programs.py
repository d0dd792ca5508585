"""A program that is missing skips its tests on a developer's machine, and fails them in CI."""

import shutil

import pytest

from support import programs


def test_the_path_of_a_program_is_returned() -> None:
    """What is installed is named with its path."""
    assert programs.need("sh") == shutil.which("sh")


def test_a_missing_program_skips_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CI the test is left, and the reason names the program."""
    monkeypatch.setattr(programs, "IS_CI", False)
    with pytest.raises(pytest.skip.Exception, match=r"^needs no-such-shell, which is not installed$"):
        programs.need("no-such-shell")


def test_a_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI nothing is left out unseen."""
    monkeypatch.setattr(programs, "IS_CI", True)
    with pytest.raises(pytest.fail.Exception, match=r"^needs no-such-shell, which is not installed$"):
        programs.need("no-such-shell")
