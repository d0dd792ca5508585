"""Whatever a process inherits, the gate gives the same verdict, says nothing of a bug and shows no key."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from apimart_cli.sandbox.scenario import Funds, Scenario
from apimart_cli.sandbox.server import Sandbox
from hostile.environments import Variable, batches, variables
from support.running import KEY, Call, connected

TOGETHER = 90
"""Variables that one process inherits: all of them must change nothing, so each may hide no other."""
WRONG = [variable for variable in variables() if variable.code != 3]
"""The variables that change the exit code."""


@pytest.fixture(scope="session")
def empty() -> Iterator[Sandbox]:
    """A gateway whose key has 3 left."""
    with Sandbox(Scenario(key=Funds(Decimal(3), Decimal(1)))).serving() as sandbox:
        yield sandbox


def test_the_list_is_as_long_as_it_was() -> None:
    """Every variable is there once with each of its values, and is played in one batch or by itself."""
    known = list(variables())
    assert len(set(known)) == len(known) >= 244
    assert sorted([*(each for batch in batches(TOGETHER) for each in batch.values()), *WRONG]) == sorted(known)


@pytest.mark.parametrize("variable", WRONG, ids=str)
def test_a_wrong_variable_ends_with_its_own_code(variable: Variable, call: Call, empty: Sandbox) -> None:
    """2 for a mistake, 4 for what is no key; and nothing of a key is in the output."""
    ended = call("check", "--min", "5", env={**connected(empty), variable.name: os.fsdecode(variable.value)})
    assert ended.code == variable.code
    assert "a bug in apimart" not in ended.stderr
    assert KEY not in ended.stdout + ended.stderr


BYTES = [{each.name: each} for each in {each.code: each for each in WRONG if b"\xff" in each.value}.values()]
"""What is no text: only a process inherits it as it is. One for each code."""


@pytest.mark.parametrize("batch", [*batches(TOGETHER), *BYTES], ids=lambda batch: next(iter(batch)))
def test_no_variable_changes_the_verdict(
    batch: Mapping[str, Variable], command: str, environment: Mapping[str, str], tmp_path: Path, empty: Sandbox
) -> None:
    """3 of the 5 that are needed are left: never a pass, no traceback, no bug and no key in any output."""
    inherited = {**environment, **connected(empty)}
    env = {
        **{name.encode(): value.encode() for name, value in inherited.items()},
        **{name.encode(): variable.value for name, variable in batch.items()},
    }
    ended = subprocess.run(
        [os.fsencode(command), b"check", b"--min", b"5"], env=env, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=120, cwd=tmp_path, check=False,
    )  # fmt: skip
    (code,) = {variable.code for variable in batch.values()}
    told = ended.stdout + ended.stderr
    assert ended.returncode == code, (batch, ended)
    for complaint in (b"Traceback", b"a bug in apimart", KEY.encode()):
        assert complaint not in told, (batch, ended)
