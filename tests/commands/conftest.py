"""The ledger has all the time it needs here: what a busy machine does not write in time is dropped, and that is right.

That it holds up no answer is shown in `tests/unit/ledger` and `tests/process`.
"""

import pytest

from apimart_cli import memory


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HELD_UP_SECONDS", 10.0)
    monkeypatch.setitem(memory.record.__kwdefaults__, "seconds", 10.0)
