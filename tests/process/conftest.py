"""What several files of tests with processes use."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.exporters import Start, exporters
from support.forked import Forks


@pytest.fixture
def start(command: str, environment: Mapping[str, str], tmp_path: Path, forks: Forks) -> Iterator[Start]:
    """Start exporters that end with the test."""
    with exporters(command, environment, tmp_path, forks) as start:
        yield start
