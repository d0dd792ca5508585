"""Installs apimart from its checkout, and what it needs in the versions of `requirements/`, whose hashes must match.

`python -I ci/install_pinned.py [EXTRA…]` installs into the Python that runs it. pip takes wheels alone, and only those
with a hash that stands in the checkout; what builds apimart itself is pinned, too. Nothing else is fetched.
"""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

PIP = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-cache-dir"]

WHAT_TO_DO = """\
apimart: error: the packages that requirements/ pins could not be installed; pip says above why
hint: if the index has no such version, use one that has it, or let your copy pin what it has: see CONTRIBUTING.md
hint: if a hash does not match, the index has another file than the one that was pinned: find out why, and go no further
"""


def main() -> int:
    """Return the exit code: 0, or 1 where pip failed."""
    pinned = [f"{CHECKOUT / 'requirements' / name}.txt" for name in (*(sys.argv[1:] or ["run"]), "build")]
    options = ["--require-hashes", "--only-binary=:all:", *(f"--requirement={path}" for path in pinned)]
    if _failed([*PIP, *options]):
        sys.stderr.write(WHAT_TO_DO)
        return 1
    # The checkout alone, built with what was just installed.
    alone = ["--no-index", "--no-deps", "--no-build-isolation", str(CHECKOUT)]
    return 1 if _failed([*PIP, *alone]) else 0


def _failed(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode != 0  # noqa: S603  # pip, with options of ours


if __name__ == "__main__":
    sys.exit(main())
