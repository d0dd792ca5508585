"""Pins what apimart needs, with the hashes of every file of it: one `*.txt` beside this program for each installation.

`python3 requirements/generate.py` keeps the versions that are pinned already, as far as `pyproject.toml` allows them;
`--upgrade` takes the newest. It needs uv, of the extra `dev`. The pins hold for every Python that apimart supports and
for every system: where these differ, a line has a marker. No address of an index is written.
"""

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"

FOR_DEVELOPERS = frozenset({"test", "deep", "dev"})
"""Extras that are not installed to use apimart."""

COMMAND = "python3 requirements/generate.py"


class Installation(NamedTuple):
    """What is installed together."""

    name: str
    requirements: Sequence[str]

    @property
    def path(self) -> Path:
        """The file with its pins."""
        return HERE / f"{self.name}.txt"


def installations() -> Iterator[Installation]:
    """Yield what `pyproject.toml` lets one install: to run it, with each extra, to build it, and to release it."""
    declared: Any = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    project = declared["project"]
    yield Installation("run", project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        if extra not in FOR_DEVELOPERS:
            yield Installation(extra, [*project["dependencies"], *requirements])
    yield Installation("build", declared["build-system"]["requires"])
    yield Installation("release", [*declared["build-system"]["requires"], *declared["dependency-groups"]["release"]])


def lowest_python() -> str:
    """Return the oldest Python that apimart supports, like `3.11`."""
    declared: Any = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    return str(declared["project"]["requires-python"]).removeprefix(">=")


def pin(installation: Installation, *, uv: str, upgrade: bool) -> None:
    """Write the pins of an installation."""
    options = [
        *("--universal", "--python-version", lowest_python(), "--generate-hashes", "--quiet"),
        # Wheels alone: to build a package, pip would fetch what builds it, and look at no hash.
        *("--only-binary", ":all:", "--emit-build-options"),
        *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", COMMAND),
        *(["--upgrade"] if upgrade else []),
    ]
    subprocess.run(  # noqa: S603  # uv, with options of ours
        [uv, "pip", "compile", *options, "--output-file", str(installation.path), "-"],
        input="".join(f"{line}\n" for line in installation.requirements), encoding="utf-8", check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def main() -> None:
    """Pin every installation, `run` first: the others take its versions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that are allowed")
    parser.add_argument("--uv", default="uv", help="the uv to use")
    given = parser.parse_args()
    run, *others = installations()
    pin(run, uv=given.uv, upgrade=given.upgrade)
    for installation in others:
        if not installation.path.exists() and set(run.requirements) <= set(installation.requirements):
            installation.path.write_bytes(run.path.read_bytes())
        pin(installation, uv=given.uv, upgrade=given.upgrade)


if __name__ == "__main__":
    sys.exit(main())
