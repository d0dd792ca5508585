"""What takes its time on a busy machine changes nothing here.

The ledger has all the time it needs: what is not written in time is dropped, and that is right. That it holds up no
answer is shown in `tests/unit/ledger` and `tests/process`. And what a sandbox does in the course of time begins with
the first question.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from apimart_cli.readings import forecasts
from apimart_cli.sandbox.scenario import Scenario
from apimart_cli.sandbox.server import Sandbox
from support.running import Serve


class SinceAsked:
    """A clock that stands still until it is looked at for the second time: first the sandbox is made, then asked."""

    def __init__(self) -> None:
        self._is_made = False
        self._began: float | None = None

    def __call__(self) -> float:
        """Return the seconds since the first question."""
        if not self._is_made:
            self._is_made = True
            return 0.0
        if self._began is None:
            self._began = time.monotonic()
        return time.monotonic() - self._began


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start sandboxes, as everywhere, whose time begins with the first question."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(Sandbox(Scenario(**fields), clock=SinceAsked()).serving())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger on a busy machine is waited for; where it is locked on purpose, see `usual_patience`."""
    _wait_for_the_ledger(monkeypatch, 10.0)


@pytest.fixture
def usual_patience(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger holds things up for a quarter of a second, as it does for users."""
    _wait_for_the_ledger(monkeypatch, 0.25)


def _wait_for_the_ledger(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(forecasts, "HELD_UP_SECONDS", seconds)
    monkeypatch.setitem(forecasts.record.__kwdefaults__, "seconds", seconds)
