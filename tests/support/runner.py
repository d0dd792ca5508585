"""What the runner of GitHub Actions makes of a line of the log and of its files, and a player of composite actions.

Written after actions/runner (ActionCommand.cs, ActionCommandManager.cs, FileCommandManager.cs, August 2026), and not
after the code under test, with which it shares nothing.
"""

import atexit
import ensurepip
import functools
import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from support.places import ROOT
from support.running import run_program

COMMANDS = frozenset({
    "stop-commands", "set-env", "set-output", "save-state", "add-mask", "add-path", "add-matcher", "remove-matcher",
    "debug", "warning", "error", "notice", "group", "endgroup", "echo", "internal-set-repo-path",
})  # fmt: skip
"""Every command that a runner knows."""


class Command(NamedTuple):
    """A command that the runner obeys."""

    name: str
    properties: Mapping[str, str]
    data: str


def command_in(line: str) -> Command | None:
    """Return the command that the runner finds in a line of the log, in either form."""
    return _command(line) or _legacy_command(line)


def commands_in(log: str) -> list[Command]:
    """Return the commands in a log; a carriage return ends a line of it, too."""
    lines = re.split(r"\r\n|\r|\n", log)
    return [command for command in map(command_in, lines) if command is not None]


def _command(line: str) -> Command | None:
    line = line.lstrip()
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    if end < 0:
        return None
    name, _, properties = line[2:end].partition(" ")
    if name.lower() not in COMMANDS:
        return None
    pairs = (pair.split("=", 1) for pair in properties.strip().split(",") if pair)
    return Command(
        name.lower(),
        {pair[0].lower(): _unescaped(pair[1], "%0D", "%0A", "%3A", "%2C") for pair in pairs if len(pair) == 2},
        _unescaped(line[end + 2 :], "%0D", "%0A"),
    )


def _legacy_command(line: str) -> Command | None:
    start = line.find("##[")
    end = line.find("]", start)
    if start < 0 or end < 0:
        return None
    name, _, properties = line[start + 3 : end].partition(" ")
    if name.lower() not in COMMANDS:
        return None
    pairs = (pair.split("=", 1) for pair in properties.split(";") if pair)
    return Command(name.lower(), {pair[0]: pair[1] for pair in pairs if len(pair) == 2}, line[end + 1 :])


def _unescaped(text: str, *escapes: str) -> str:
    """Undo escapes as the runner does: one after the other, and that of the percent sign last."""
    for escape in escapes:
        text = text.replace(escape, chr(int(escape[1:], 16)))
    return text.replace("%25", "%")


def outputs_in(text: str) -> dict[str, str]:
    """Return the outputs that the runner reads in a file of assignments. Raises ValueError where it fails the step."""
    outputs: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            name, _, value = line.partition("=")
        elif heredoc >= 0:
            name, _, delimiter = line.partition("<<")
            if not name or not delimiter:
                raise ValueError(f"Name must not be empty and delimiter must not be empty: {line}")
            value = "\n".join(_until(lines, delimiter))
        else:
            raise ValueError(f"Invalid format: {line}")
        outputs[name] = value
    return outputs


def _until(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    for line in lines:
        if line == delimiter:
            return
        yield line
    raise ValueError(f"Matching delimiter not found: {delimiter}")


OFFLINE = """[global]
no-index = yes
root-user-action = ignore
[install]
no-deps = yes
"""
"""Settings of pip: it installs with what is there."""

WITH_AN_INDEX = OFFLINE.replace("no-index = yes\n", "")
"""The same with an index, which the action names."""

INSTALLED_FROM = ("action.yml", "ci", "pyproject.toml", "README.md", "LICENSE", "apimart_cli", "man", "completions")
"""What an installation needs of a checkout, but for the pins."""

PYTHON = """#!/bin/sh
'{python}' "$@" {options} || exit
for last; do :; done
cp '{settings}' "$last/pip.conf"
for folder in "$last"/lib/python*/site-packages; do
  echo '{packages}' >"$folder/test.pth"
  cp '{folder}'/sitecustomize.p[y] "$folder" 2>/dev/null || :
done
"""
"""A Python that makes environments with the packages of this one, so that nothing has to be fetched."""


@functools.cache
def packages() -> tuple[str, ...]:
    """Return the folders with what is installed here and with pip, unpacked once if it is not installed."""
    here = sysconfig.get_path("purelib")
    bundled = list((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if find_spec("pip") or not bundled:
        return (here,)
    folder = tempfile.mkdtemp(prefix="apimart-pip-")
    atexit.register(shutil.rmtree, folder)
    shutil.unpack_archive(bundled[0], folder, "zip")
    return here, folder


def options_of_venv() -> list[str]:
    """Return how an environment is made in which `packages()` are to be found."""
    return ["--without-pip"] if find_spec("pip") or len(packages()) > 1 else []


def python_that_is_offline(folder: Path, pip_conf: str = OFFLINE) -> Path:
    """Make such a Python; a `sitecustomize.py` beside it is in the environments, too."""
    settings, python = folder / "pip.conf", folder / "python"
    settings.write_text(pip_conf, encoding="utf-8")
    text = PYTHON.format(
        python=sys.executable,
        options=" ".join(options_of_venv()),
        packages="\n".join(packages()),
        settings=settings,
        folder=folder,
    )
    python.write_text(text, encoding="utf-8")
    python.chmod(0o755)
    return python


def checkout_that_is_offline(folder: Path) -> Path:
    """Copy the checkout, and pin what is installed here: pip finds it there, and fetches nothing.

    It looks at no hash of what is installed already.
    """
    for name in INSTALLED_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder)
    (folder / "requirements").mkdir()
    for name, package in (("run", "requests"), ("build", "hatchling")):
        pinned = f"{package}=={version(package)} --hash=sha256:{'0' * 64}\n"
        (folder / "requirements" / f"{name}.txt").write_text(pinned, encoding="utf-8")
    return folder


def pretend_installed(folder: Path, action: Path, command: str) -> None:
    """Put `command` where the action finds what it installed before, in the temporary folder of a runner.

    Its Python is the one that runs this: found by its own path, or it would not know what is installed beside it.
    """
    ended = run_program(["cksum"], input=str(action.parent), check=True)
    installed = folder / f"apimart-{ended.stdout.split()[0]}" / "bin" / "apimart"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(command)
    python = installed.with_name("python")
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n", encoding="utf-8")
    python.chmod(0o755)


TRAP = """
import os
with open({log!r}, "a") as log:
    log.write(__name__ + " " + os.environ.get("APIMART_API_KEY", "without a key") + "\\n")
os._exit(0)
"""
"""A module that takes the key, and ends the process as one that passed."""


def lay_traps(checkout: Path, log: Path) -> dict[str, str]:
    """Fill a checkout with modules and packages that take the key; return variables of a job that have them loaded.

    What they were given is in `log`, which none of them has made where it does not exist.
    """
    names = ("requests", "sitecustomize", "usercustomize", "typer", "json", "pip", "venv", "hatchling")
    user_site = checkout / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for folder in (checkout, user_site):
        (folder / "apimart_cli").mkdir(parents=True)
        for name in (*names, "apimart_cli/__init__", "apimart_cli/__main__"):
            (folder / f"{name}.py").write_text(TRAP.format(log=str(log)), encoding="utf-8")
    return {
        "PYTHONPATH": ".", "PYTHONUSERBASE": str(checkout), "PYTHONSTARTUP": "requests.py",
        "PYTHONWARNINGS": "error::requests.Warning", **_lay_packages(checkout, TRAP.format(log=str(log))),
    }  # fmt: skip


def write_wheel(path: Path, module: str) -> None:
    """Write a wheel with one module, whose name and version are those of the file."""
    name, version, *_ = path.name.split("-")
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": module,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{about}/RECORD"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as package:
        for file, text in {**files, record: "".join(f"{each},,\n" for each in (*files, record))}.items():
            package.writestr(file, text)


def pin_what_an_index_has(checkout: Path, folder: Path, *, is_the_file: bool = True) -> str:
    """Make an index with one package, which the checkout pins, by the hash of another file or not; return its URL."""
    wheel = folder / "made-up" / "made_up-1.0-py3-none-any.whl"
    write_wheel(wheel, "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>', encoding="utf-8")
    digest = hashlib.sha256(wheel.read_bytes() if is_the_file else b"another file").hexdigest()
    with (checkout / "requirements" / "run.txt").open("a", encoding="utf-8") as pins:
        pins.write(f"made-up==1.0 --hash=sha256:{digest}\n")
    return folder.as_uri()


def _lay_packages(checkout: Path, module: str) -> dict[str, str]:
    """Put a package in the checkout, and settings of pip that have it installed; return variables that name them."""
    wheel = checkout / "wheels" / "requests-99.0-py3-none-any.whl"
    write_wheel(wheel, module)
    wanted = checkout / "wanted.txt"
    wanted.write_text(f"{wheel}\n", encoding="utf-8")
    settings = f"[install]\nrequirement = {wanted}\n"
    for folder in ("home/.config/pip", "home/.pip", "config/pip", "machine/pip"):
        (checkout / folder).mkdir(parents=True)
        (checkout / folder / "pip.conf").write_text(settings, encoding="utf-8")
    return {
        "PIP_REQUIREMENT": str(wanted), "PIP_FIND_LINKS": "wheels", "PIP_CONSTRAINT": str(wanted),
        "PIP_CONFIG_FILE": "config/pip/pip.conf", "PIP_CACHE_DIR": "cache", "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "HOME": str(checkout / "home"), "XDG_CONFIG_HOME": str(checkout / "config"),
        "XDG_CONFIG_DIRS": str(checkout / "machine"), "UV_FIND_LINKS": "wheels",
    }  # fmt: skip


class Played(NamedTuple):
    """What became of an action."""

    code: int
    """The exit code of the step that failed, or 0."""
    log: str
    outputs: Mapping[str, str]
    summary: str


def play(action: Path, inputs: Mapping[str, str], *, env: Mapping[str, str], folder: Path, workspace: Path) -> Played:
    """Run the steps of a composite action as the runner does, up to the first that fails, and evaluate its outputs.

    An input that is not given has its default, or is empty; `env` is the caller's.
    """
    definition = yaml.safe_load(action.read_text(encoding="utf-8"))
    assert definition["runs"]["using"] == "composite"
    assert set(inputs) <= set(definition["inputs"]), "the runner warns of an input that is not there"
    given = {name: str(each.get("default", "")) for name, each in definition["inputs"].items()} | dict(inputs)
    contexts: dict[str, Mapping[str, str]] = {"inputs": given}
    files = {name: folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    log, summary, code = "", "", 0
    for step in definition["runs"]["steps"]:
        assert set(step) <= {"name", "id", "shell", "env", "run"}, "this player knows no more"
        assert step["shell"] == "bash", "the runner wants a shell for every step of a composite action"
        script = folder / "script.sh"
        script.write_text(_evaluated(step["run"], contexts), encoding="utf-8")
        for file in files.values():
            file.write_text("")
        variables = {name: _evaluated(str(value), contexts) for name, value in step.get("env", {}).items()}
        ended = run_program(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            env={
                **env,
                **variables,
                **{name: str(path) for name, path in files.items()},
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(action.parent),
                "GITHUB_WORKSPACE": str(workspace),
                "RUNNER_TEMP": str(folder),
                "CI": "true",
            },
            cwd=workspace,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        log += ended.stdout
        summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
        if "id" in step:
            contexts[f"steps.{step['id']}.outputs"] = outputs_in(files["GITHUB_OUTPUT"].read_text("utf-8"))
        code = ended.returncode
        if code:
            break
    outputs = {name: _evaluated(each["value"], contexts) for name, each in definition["outputs"].items()}
    return Played(code, log, outputs, summary)


def _evaluated(text: str, contexts: Mapping[str, Mapping[str, Any]]) -> str:
    """Put in what `${{ inputs.min }}` and the like are, as text, wherever they stand."""

    def value(match: "re.Match[str]") -> str:
        context, _, name = match[1].rpartition(".")
        return str(contexts.get(context, {}).get(name, ""))

    return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", value, text)
