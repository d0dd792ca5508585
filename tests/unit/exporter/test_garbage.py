"""Garbage: what is young is looked at often, the rest now and then, and all of it in the end."""

import gc

import pytest

from apimart_cli.exporter.workers import ALL_EVERY, EVERY, OLDER_EVERY, Garbage


def test_everything_is_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
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
