"""The manual page is the one that its command writes, has no mistakes, and is installed with the completion scripts."""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from support.places import ROOT
from support.programs import need
from support.running import run_program

PAGE = ROOT / "man" / "apimart.1"

SHARED = {
    "share/man/man1/apimart.1": "man/apimart.1",
    "share/bash-completion/completions/apimart": "completions/apimart.bash",
    "share/zsh/site-functions/_apimart": "completions/_apimart",
    "share/fish/vendor_completions.d/apimart.fish": "completions/apimart.fish",
}
"""What is installed below the prefix of an environment, and the file of the project that it is."""


def _printed(arguments: list[str], environment: Mapping[str, str], **variables: str) -> str:
    """Return all that a program prints; it must end well."""
    ended = run_program(arguments, env={**environment, **variables}, stderr=subprocess.STDOUT)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_the_manual_page_is_what_its_command_writes(environment: Mapping[str, str], tmp_path: Path) -> None:
    """From the help of today; a word of the page that is not in the help is noticed."""
    for name in ("man/generate.py", "man/apimart.1", "README.md", "docs/configuration.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    page = tmp_path / "man" / "apimart.1"
    command = [sys.executable, str(tmp_path / "man" / "generate.py")]
    assert _printed([*command, "--check"], environment) == ""
    page.write_text(page.read_text(encoding="utf-8").replace("Show what is left", "Tell what is left"), "utf-8")
    checked = run_program([*command, "--check"], env=environment)
    assert (checked.returncode, checked.stderr) == (1, "apimart.1 is stale: run python3 man/generate.py\n")
    assert _printed(command, environment) == ""
    assert page.read_text(encoding="utf-8").splitlines()[1:] == PAGE.read_text(encoding="utf-8").splitlines()[1:]


def test_mandoc_finds_nothing_wrong_in_the_page(environment: Mapping[str, str]) -> None:
    """Neither an error nor a question of style."""
    assert _printed([need("mandoc"), "-Tlint", "-Wall", str(PAGE)], environment) == ""


def test_man_shows_the_page_without_a_warning(environment: Mapping[str, str]) -> None:
    """`man` prints it, with every command and its options."""
    printed = run_program(
        [need("man"), "--warnings", "-l", str(PAGE)], env={**environment, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    )
    assert (printed.returncode, printed.stderr) == (0, "")
    for wanted in ("apimart config set", "--fail-open", "APIMART_PROFILE", "EXIT STATUS"):
        assert wanted in printed.stdout


def test_the_wheel_installs_the_page_and_the_completion_scripts(environment: Mapping[str, str], tmp_path: Path) -> None:
    """They are where man, bash, zsh and fish look below the prefix of an environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shared = {name.partition(".data/data/")[2]: archive.read(name) for name in archive.namelist()}
    del shared[""]
    assert shared == {name: (ROOT / source).read_bytes() for name, source in SHARED.items()}
