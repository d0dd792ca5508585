"""Command lines need no process here, and a sandbox's time begins with the first question, however busy the machine is.

What a process adds is shown in `tests/process`.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from apimart_cli.sandbox.scenario import Scenario
from apimart_cli.sandbox.server import Sandbox
from support.running import Call, Serve


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
def run(call: Call) -> Call:
    """Run a command line in this process; `run_process` is for what only a process shows."""
    return call


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start sandboxes, as everywhere, whose time begins with the first question."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(Sandbox(Scenario(**fields), clock=SinceAsked()).serving())
