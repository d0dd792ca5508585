"""Signals that are handed on: only those that were waited for."""

import signal
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from apimart_cli.processes.child import Child
from apimart_cli.processes.relay import supervise


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="this system does not wait for signals")
@pytest.mark.parametrize(
    "garbage", [(0, 0), (0, -6), (2053559568, -777746915), (-5, 0), (signal.SIGKILL, 0), (signal.SIGCHLD, 0), (9999, 0)]
)
def test_what_was_not_waited_for_is_no_signal(monkeypatch: pytest.MonkeyPatch, garbage: tuple[int, int]) -> None:
    """CPython gives a record of nobody's making where a wait is interrupted after its time is over."""
    number, code = garbage
    waited_for: list[int] = []

    def interrupted(numbers: Sequence[int], _seconds: float) -> SimpleNamespace:
        waited_for.extend(numbers)
        return SimpleNamespace(si_signo=number, si_code=code)

    monkeypatch.setattr(signal, "sigtimedwait", interrupted)
    relayed: list[int] = []
    monkeypatch.setattr(Child, "relay", lambda _child, number: relayed.append(number))
    assert supervise(lambda: Child.start(["sh", "-c", "sleep 0.1; exit 3"])) == 3
    assert signal.SIGTERM in waited_for
    assert relayed == []
