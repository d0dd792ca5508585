"""A process that has no home folder: nothing in the current folder is taken for its config file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from apimart_cli.sandbox.server import Sandbox
from support.places import GUARD
from support.running import KEY, connected
from support.strangers import as_root, run_as_stranger

OLD_PLATFORMDIRS = """\
from pathlib import Path
def user_config_path(name):
    return Path("~/.config") / name
def user_state_path(name):
    return Path("~/.local/state") / name
"""
"""What platformdirs 4.2 to 4.11 do where there is no home folder; the installed one may raise RuntimeError."""

TRAP = """\
base_url = "https://trap.example"
min = 0
[profiles.default]
api_key_command = ["touch", "{mark}"]
"""

ERROR = (
    "apimart: error: there is no default place for a config file\n"
    "hint: set HOME or XDG_CONFIG_HOME to an absolute path, or name the file in APIMART_CONFIG\n"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder for everybody, with a config file where a path that begins with `~` would lead."""
    folder = tmp_path / "checkout"
    place = folder / "~" / ".config" / "apimart"
    place.mkdir(parents=True)
    (place / "config.toml").write_text(TRAP.format(mark=folder / "mark"))
    folder.chmod(0o1777)
    return folder


@pytest.fixture(params=["installed", "old"])
def homeless(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables of a process without HOME, with the installed platformdirs or one that acts like an old one."""
    old = tmp_path / "old"
    old.mkdir()
    (old / "platformdirs.py").write_text(OLD_PLATFORMDIRS)
    shadows = [str(old)] if request.param == "old" else []
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join([*shadows, str(GUARD)])}


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@as_root
def test_without_a_home_the_variables_alone_decide(
    homeless: Mapping[str, str], checkout: Path, sandbox: Sandbox
) -> None:
    """The key and the address of the environment are used, and a checkout has no threshold, address or command."""
    env = {**homeless, **connected(sandbox)}
    shown = run_as_stranger("balance", "-o", "value", env=env, cwd=checkout)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "10.5\n", "")
    gate = run_as_stranger("check", env=env, cwd=checkout)
    assert (gate.returncode, gate.stdout) == (2, "")
    assert "there is no threshold to check" in gate.stderr
    settings = run_as_stranger("config", "show", env=homeless, cwd=checkout)
    assert settings.returncode == 0
    assert re.search(r"^base_url +https://api\.apimart\.ai +default$", settings.stdout, re.MULTILINE)
    assert "trap" not in settings.stdout
    keyless = run_as_stranger("balance", env={**homeless, "APIMART_BASE_URL": sandbox.url}, cwd=checkout)
    assert (keyless.returncode, (checkout / "mark").exists()) == (4, False)


@as_root
@pytest.mark.parametrize(
    ("arguments", "input"),
    [(("login", "--no-verify"), KEY), (("logout",), None), (("config", "set", "min", "5"), None)],
)
def test_without_a_home_nothing_is_written(
    homeless: Mapping[str, str], checkout: Path, sandbox: Sandbox, arguments: tuple[str, ...], input: str | None
) -> None:
    """No key ends up in the current folder, and no gateway has been asked in vain."""
    before = files(checkout)
    env = {**homeless, "APIMART_BASE_URL": sandbox.url}
    ended = run_as_stranger(*arguments, env=env, cwd=checkout, input=input)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", ERROR)
    assert files(checkout) == before


@as_root
def test_without_a_home_a_profile_is_missing_and_the_check_of_the_config_is_clean(
    homeless: Mapping[str, str], checkout: Path
) -> None:
    """There is no file, so there is no mistake in it; a profile that somebody names is not found."""
    report = run_as_stranger("config", "check", "--json", env=homeless, cwd=checkout)
    assert (report.returncode, report.stdout) == (
        0,
        '{"schema":1,"path":null,"problems":[],"profiles":[],"warnings":[]}\n',
    )
    assert report.stderr == "apimart: note: there is no config file, and no default place for one\n"
    named = run_as_stranger("balance", "-p", "work", env=homeless, cwd=checkout)
    assert named.returncode == 2
    assert "--profile: there is no profile 'work': there is no config file\nhint: set HOME" in named.stderr
