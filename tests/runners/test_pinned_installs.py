"""`requirements/`: every dependency is pinned within its bounds, and pip installs no other file than the one pinned."""

import re
import runpy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from apimart_cli.sandbox.server import Sandbox
from support.pages import CONTRIBUTING
from support.places import ROOT
from support.runner import (
    WITH_AN_INDEX,
    checkout_that_is_offline,
    commands_in,
    pin_what_an_index_has,
    play,
    python_that_is_offline,
)
from support.running import connected

PINS = ROOT / "requirements"
GENERATE = runpy.run_path(str(PINS / "generate.py"))
INSTALLATIONS = {each.name: each for each in GENERATE["installations"]()}
PROJECT: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = [
    name.rpartition(" ")[2]
    for name in PROJECT["classifiers"]
    if re.search(r"Python :: 3\.\d+$", name)
]  # fmt: skip
SYSTEMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"},
    "darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"},
    "win32": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"},
}


class Pin(NamedTuple):
    """One version of a package, and the hashes of its files."""

    requirement: Requirement
    hashes: Sequence[str]


def pins_of(name: str) -> Iterator[Pin]:
    """Read the pins of an installation; a line that is neither that, a comment nor `--only-binary` is an error."""
    text = (PINS / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE).splitlines():
        if line.strip() and line != "--only-binary :all:":
            requirement, *hashes = line.split(" --hash=")
            yield Pin(Requirement(requirement), [each.strip() for each in hashes])


def pinned(name: str, python: str, system: str) -> dict[str, str]:
    """Return the version of each package that is installed there."""
    there = {
        **SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.0",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip
    found: dict[str, str] = {}
    for requirement, _ in pins_of(name):
        if requirement.marker is None or requirement.marker.evaluate(there):
            [version] = requirement.specifier
            assert canonicalize_name(requirement.name) not in found, f"{requirement.name} has two versions"
            found[canonicalize_name(requirement.name)] = version.version
    return found


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", INSTALLATIONS)
def test_every_dependency_is_pinned_within_its_bounds(name: str, python: str, system: str) -> None:
    """On each Python of the classifiers, and on each system."""
    versions = pinned(name, python, system)
    for wanted in map(Requirement, INSTALLATIONS[name].requirements):
        version = versions[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted}, and {version} is pinned: {GENERATE['COMMAND']}"


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_every_pin_is_one_version_with_the_hashes_of_its_files(name: str) -> None:
    """A wheel that pip takes has one of them; nothing is built, and no index is named."""
    text = (PINS / f"{name}.txt").read_text(encoding="utf-8")
    assert "\n--only-binary :all:\n" in text
    assert re.search(r"://|file:|--(extra-)?index-url|--find-links|--trusted-host", text) is None
    for requirement, hashes in pins_of(name):
        assert [each.operator for each in requirement.specifier] == ["=="], requirement
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)


def test_extras_have_the_versions_of_the_run_time() -> None:
    """What the tests were run with is what an extra is installed with."""
    run = {(str(pin.requirement), *pin.hashes) for pin in pins_of("run")}
    for extra in set(PROJECT["optional-dependencies"]) & set(INSTALLATIONS):
        assert {(str(pin.requirement), *pin.hashes) for pin in pins_of(extra)} >= run


def test_there_is_a_file_for_each_installation_and_a_documented_command_for_them() -> None:
    """One for the run time, one for each extra of users, those for building and releasing, and no other."""
    extras = set(PROJECT["optional-dependencies"]) - GENERATE["FOR_DEVELOPERS"]
    assert {path.stem for path in PINS.glob("*.txt")} == set(INSTALLATIONS) == {"run", "build", "release", *extras}
    assert f"\n{GENERATE['COMMAND']}\n" in CONTRIBUTING
    assert f"{GENERATE['COMMAND']} --upgrade" in CONTRIBUTING


def test_every_installation_that_is_shown_looks_at_hashes() -> None:
    """The action and the job for GitLab call one program; the image is made with the same pins."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    [job] = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text(encoding="utf-8")).values()
    for script in (steps[0]["run"], "\n".join(job["before_script"])):
        assert "ci/install_pinned.py" in script
        assert "pip install" not in script
    image = (ROOT / "examples" / "container" / "Containerfile").read_text(encoding="utf-8")
    fetching = [line for line in re.findall(r"pip (?:install|wheel) .*", image) if "--no-index" not in line]
    assert len(fetching) == 2
    assert all(re.search(r"--require-hashes -r /src/requirements/(\w+)\.txt", line) for line in fetching)
    assert set(re.findall(r"/src/requirements/(\w+)\.txt", image)) <= set(INSTALLATIONS)


def test_no_other_file_than_the_pinned_one_is_installed(
    tmp_path: Path, sandbox: Sandbox, environment: Mapping[str, str]
) -> None:
    """Nothing is checked then, and the log says why, and what to do; `test_action.py` installs the pinned one."""
    checkout = checkout_that_is_offline(tmp_path / "checkout")
    url = pin_what_an_index_has(checkout, tmp_path / "index", is_the_file=False)
    runner, workspace = tmp_path / "runner", tmp_path / "workspace"
    runner.mkdir()
    workspace.mkdir()
    python = python_that_is_offline(runner, WITH_AN_INDEX)
    inputs = {"min": "5", "python": str(python), "index-url": url}
    env = {**environment, **connected(sandbox)}
    played = play(checkout / "action.yml", inputs, env=env, folder=runner, workspace=workspace)
    assert (played.code, played.outputs["verdict"]) == (1, ""), played.log
    assert list(runner.glob("apimart-*/lib/python*/site-packages/made_up")) == []
    assert "DO NOT MATCH THE HASHES" in played.log
    assert "hint: if a hash does not match, the index has another file than the one that was pinned" in played.log
    titles = [command.properties["title"] for command in commands_in(played.log)]
    assert titles == ["apimart: it could not be installed"]
