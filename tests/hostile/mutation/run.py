"""Mutation testing of the parser, the gate and the cleaning of text: every small fault must turn a test red.

    python3 -m pip install '.[deep]'
    python3 tests/hostile/mutation/run.py

Works on a copy in a temporary folder, with the settings under `[tool.mutmut]` in pyproject.toml. Ends with 0 when
every mutant was killed or is listed in `equivalent.txt` beside this file, which gives the reason why no test can tell
it from the original; a listed mutant that does not survive is a fault of the list.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


class Mutant(NamedTuple):
    """A change of one function. Unlike mutmut's numbers it stays the same when another part of the function changes."""

    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.function}\n- {self.before}\n+ {self.after}\n"


def main() -> int:
    """Run mutmut and hold its survivors against the list."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("apimart_cli", "tests", "docs"):
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", work)
        subprocess.run([sys.executable, "-m", "mutmut", "run"], cwd=work, check=True)
        results = dict(_results(work))
        survivors = {_describe(work, name): status for name, status in results.items() if status != "killed"}
    listed = set(_listed())
    counts = Counter(results.values())
    print(f"\n{len(results)} mutants: " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))
    for mutant in sorted(survivors.keys() - listed):
        print(f"\n{survivors[mutant]}: {mutant}", end="")
    for mutant in sorted(listed - survivors.keys()):
        print(f"\nlisted, but not a survivor: {mutant}", end="")
    return int(survivors.keys() != listed)


def _results(work: Path) -> Iterator[tuple[str, str]]:
    for line in _mutmut(work, "results", "--all", "true").splitlines():
        if found := re.fullmatch(r"\s*(\S+__mutmut_\d+): (.+)", line):
            yield found[1], found[2]


def _describe(work: Path, name: str) -> Mutant:
    lines = _mutmut(work, "show", name).splitlines()
    changes = {
        sign: " ".join(line[1:].strip() for line in lines if line[:1] == sign and line[:3] != sign * 3) for sign in "-+"
    }
    return Mutant(name.partition("__mutmut_")[0], changes["-"], changes["+"])


def _mutmut(work: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=work, check=True, capture_output=True, encoding="utf-8").stdout


def _listed() -> Iterator[Mutant]:
    """Read the list: a function and the line before and after, three lines a mutant, between comments and blanks."""
    lines = [line for line in EQUIVALENT.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    for function, before, after in zip(*[iter(lines)] * 3, strict=True):
        yield Mutant(function, before.removeprefix("- "), after.removeprefix("+ "))


if __name__ == "__main__":
    sys.exit(main())
