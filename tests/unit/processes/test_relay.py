"""Signals that are handed on: only those that were waited for."""

import signal
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from apimart_cli.processes.child import Child
from apimart_cli.processes.relay import supervise

GARBAGE = [(0, 0), (0, -6), (2053559568, -777746915), (-5, 0), (signal.SIGKILL, 0), (signal.SIGCHLD, 0), (9999, 0)]


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="this system does not wait for signals")
def test_what_was_not_waited_for_is_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython gives a record of its own making where a wait is interrupted after its time is over."""
    waits: list[Sequence[int]] = []

    def interrupted(numbers: Sequence[int], _seconds: float) -> SimpleNamespace:
        waits.append(numbers)
        number, code = GARBAGE[len(waits) % len(GARBAGE)]
        return SimpleNamespace(si_signo=number, si_code=code)

    monkeypatch.setattr(signal, "sigtimedwait", interrupted)
    relayed: list[int] = []
    monkeypatch.setattr(Child, "relay", lambda _child, number: relayed.append(number))
    assert supervise(lambda: Child.start(["sh", "-c", "sleep 0.1; exit 3"])) == 3
    assert signal.SIGTERM in waits[0]
    assert len(waits) >= len(GARBAGE)
    assert relayed == []
