"""What the tests of hostile answers share."""

from collections.abc import Iterator

import pytest

from hostile.catalogue import http
from support.fault_server import FaultServer


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[FaultServer]:
    """Another host, with an answer that would pass. No run may ever call there."""
    with FaultServer([(http(),)]) as server:
        yield server
