"""The use case of the exporter: which signal counts, of those that came. The rest is tested as a process."""

import signal

import pytest

from apimart_cli.exporter.service import _signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")


def test_reloads_that_came_meanwhile_are_one() -> None:
    """One after all of them reads the same as one after each."""
    with _signals() as came:
        assert came() is None
        for _ in range(5):
            signal.raise_signal(signal.SIGHUP)
        assert came() == signal.SIGHUP
        assert came() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_does_not_wait_for_reloads(number: int) -> None:
    """With thousands of profiles each takes seconds."""
    with _signals() as came:
        for each in (signal.SIGHUP, signal.SIGHUP, number, signal.SIGHUP):
            signal.raise_signal(each)
        assert came() == number
