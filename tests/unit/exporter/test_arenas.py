"""Arenas: one where glibc allows that, and nothing anywhere else."""

import ctypes
from typing import Any

import pytest

from apimart_cli.exporter.workers import keep_one_arena


def test_glibc_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number that mallopt(3) has for that."""
    asked: list[tuple[int, int]] = []

    class Library:
        def __init__(self, _name: None) -> None: ...

        def mallopt(self, parameter: int, value: int) -> int:
            """Take note."""
            asked.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    keep_one_arena()
    assert asked == [(-8, 1)]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """One without that function, or none at all."""

    def fail(_name: Any) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    keep_one_arena()
