"""Numbers with and without a unit, as people type them: one is taken, or the hint says which unit is usual there."""

import re
import shlex

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.running import Call, connected


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("watch --for 10", "10s"), ("statusline --max-age 60", "60s"), ("check --min-runway 3", "3d"),
        ("run --min-runway 3 -- true", "3d"), ("nagios --runway-warning 7", "7d"), ("nagios --runway-critical 3", "3d"),
        ("config set min_runway 3", "3d"), ("config set remind 24", "24h"),
    ],
)  # fmt: skip
def test_a_number_alone_gets_a_hint_that_is_taken(call: Call, sandbox: Sandbox, line: str, proposed: str) -> None:
    """The proposed unit is the one that is usual there, and the line with it has no such mistake."""
    refused = call(*shlex.split(line), env=connected(sandbox))
    assert refused.returncode in {2, 3, 125}
    assert "has no unit" in refused.stdout + refused.stderr
    told = re.search(r"^hint: give a unit: (\S+)$", refused.stderr, re.MULTILINE)
    assert told is None or told[1] == proposed
    assert proposed in refused.stdout + refused.stderr
    number = proposed[:-1]
    # A short time, where the line would wait for it.
    followed = re.sub(rf"\b{number}\b", "1s" if proposed == "10s" else proposed, line)
    assert "has no unit" not in call(*shlex.split(followed), env=connected(sandbox)).stderr


@pytest.mark.parametrize(
    "line",
    [
        "balance --timeout 10s",
        "check --min 5 --timeout 0.2m",
        "nagios -c 5: -t 10s",
        "config show --timeout 10s",
        "watch --count 1 --interval 30 --timeout 10s",
        "run --min 5 --interval 1s --kill-after 10s --max-blind 600 --timeout 10s --no-settle -- true",
        "run --min 5 --interval 1 --kill-after 10 --max-blind 10m --no-settle -- true",
        "history --days 14d",
        "history --days 2w",
        "history runs --days 14d",
        "sandbox --days 14d -- true",
        "sandbox --lag 1s --latency 10s --fault-after 1m --fault-for 1h --retry-after 2s --top-up 5@10s -- true",
        "sandbox --lag 1 --latency 10 --fault-after 60 --fault-for 60 --retry-after 2 --top-up 5@10 -- true",
        "config set timeout 10s",
        "config set timeout 10",
    ],
)
def test_seconds_and_days_are_taken_with_their_unit(call: Call, sandbox: Sandbox, line: str) -> None:
    """Wherever a number alone is taken, one with a unit is, too."""
    ended = call(*shlex.split(line), env=connected(sandbox))
    assert (ended.returncode, "error" in ended.stderr) == (0, False), ended.stderr
