"""What keeps the memory of an exporter small: one arena of glibc, and garbage that is looked at by its age."""

import ctypes
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from apimart_cli.exporter.workers import ALL_EVERY, EVERY, OLDER_EVERY, Garbage, keep_one_arena


def test_glibc_is_asked_for_one_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number that mallopt(3) has for that."""
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    keep_one_arena()
    assert asked == [(-8, 1)]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """One without that function, or none at all."""

    def fail(_name: Any) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    keep_one_arena()


def test_all_garbage_is_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The older, the more seldom; never twice within two seconds."""
    looks: list[int] = []
    monkeypatch.setattr(gc, "collect", looks.append)
    garbage, now = Garbage(), 1000.0
    for _ in range(ALL_EVERY):
        garbage.collect(now)
        garbage.collect(now + EVERY / 2)
        now += EVERY
    assert len(looks) == ALL_EVERY
    assert looks.count(2) == 1
    assert looks.count(1) == ALL_EVERY // OLDER_EVERY - 1
    assert looks.count(0) > 10 * looks.count(1)
