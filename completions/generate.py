"""Write the completion scripts beside this file: run `python3 completions/generate.py` where apimart is installed.

The scripts are Typer's: at every TAB they ask the installed `apimart` itself, so that options, choices and the profiles
of the config file are always those of the moment. With `--check` nothing is written; exit code 1 tells that a script
is not what it would be.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {"bash": "apimart.bash", "zsh": "_apimart", "fish": "apimart.fish", "powershell": "apimart.ps1"}


def generate(shell: str) -> str:
    """Return the script for `shell`."""
    printed = subprocess.run(
        [sys.executable, "-m", "apimart_cli"],
        env={**os.environ, "_APIMART_COMPLETE": f"source_{shell}"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    # zsh finds `#compdef` in the first line only.
    script = printed.strip() + "\n"
    return loadable_from_fpath(script) if shell == "zsh" else script


def loadable_from_fpath(script: str) -> str:
    """Let a script for zsh complete by itself at a TAB, when it is loaded as the function `_apimart`."""
    registration = "compdef _apimart_completion apimart"
    assert script.count(registration) == 1, "Typer's script for zsh has another form now"
    return script.replace(
        registration,
        'if (( ${+compstate} )); then\n  _apimart_completion "$@"\nelse\n' + f"  {registration}\nfi",
    )


def main() -> int:
    """Write the scripts, or check them; return the exit code."""
    scripts = {name: generate(shell) for shell, name in SCRIPTS.items()}
    if "--check" in sys.argv[1:]:
        stale = [name for name, script in scripts.items() if read(HERE / name) != script]
        sys.stderr.writelines(f"{name} is stale: run python3 completions/generate.py\n" for name in stale)
        return 1 if stale else 0
    for name, script in scripts.items():
        (HERE / name).write_text(script, encoding="utf-8")
    return 0


def read(path: Path) -> str | None:
    """Return the text of a file, or None where there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
