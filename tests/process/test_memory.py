"""However much a server sends, and however small it packs it, the command needs little more memory than ever."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from hostile.catalogue import CATALOGUE, PASS, Case, http
from support.fault_server import FaultServer
from support.running import KEY, run_program

MEBIBYTE = 1024 * 1024
LIMIT = 10 * MEBIBYTE
"""Bytes that an answer may cost over the memory of a normal one."""

# A child's peak counts from its fork on, so the parent that forks must be smaller than the command ever is.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(code, peak * (1 if sys.platform == "darwin" else 1024))
"""

HUGE = (
    "compression: a bomb of 300 MB in 300 kB", "compression: a bomb of 50 MB in 50 kB", "compression: a bomb in a bomb",
    "size: 300 MB with a length", "size: 300 MB without a length", "size: without an end",
    "redirect: with a body of 300 MB", "body: after 401 Unauthorized, of 300 MB",
    "body: after 401 Unauthorized, a bomb", "chunks: a negative size and 300 MB", "chunks: for ever",
    "headers: of 6 MB", "headers: one without an end", "status: 100 Continue for ever",
)  # fmt: skip

Measure = Callable[..., tuple[int, int]]

NORMAL: list[int] = []
"""The peak of a normal answer, once it was measured."""


@pytest.fixture
def measure(environment: Mapping[str, str], tmp_path: Path) -> Measure:
    """Run a command by a small launcher and return its exit code and its peak of memory in bytes."""

    def run(arguments: Sequence[str], **variables: str) -> tuple[int, int]:
        launcher = [sys.executable, "-S", "-E", "-c", LAUNCHER]
        launched = run_program([*launcher, *arguments], env={**environment, **variables}, cwd=tmp_path, check=True)
        code, peak = launched.stdout.split()
        return int(code), int(peak)

    return run


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_answer_costs_at_most_10_mib(name: str, command: str, measure: Measure) -> None:
    """Bombs, bodies, chunks and headers without measure cost no more than 10 MiB over the peak of a normal answer."""

    def peak_of(case: Case) -> int:
        with FaultServer(case.scripts) as server:
            code, peak = measure(
                [command, "check", "--min", "5"], APIMART_BASE_URL=server.url, APIMART_API_KEY=KEY, APIMART_TIMEOUT="8"
            )
        assert code == case.code
        return peak

    [case] = (case for case in CATALOGUE if case.name == name)
    if not NORMAL:
        NORMAL.append(peak_of(Case("normal", PASS, http())))
    assert peak_of(case) - NORMAL[0] <= LIMIT


def test_the_measure_sees_what_a_process_takes(measure: Measure) -> None:
    """A process that fills 60 MiB is measured with at least 50 MiB more than one that does not."""
    _, small = measure([sys.executable, "-c", "pass"])
    _, large = measure([sys.executable, "-c", f"b'x' * {60 * MEBIBYTE}"])
    assert large - small >= 50 * MEBIBYTE
