"""Accidents while the config file is written: killed before every system call that matters, or refused by the disk."""

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from apimart_cli.config.writer import set_values
from support.programs import need
from support.running import KEY, run_program

OLD = '# mine\n\n[profiles.client]\napi_key_env = "CLIENT"  # from CI\n'
NEW = f'{OLD}\n[profiles.work]\napi_key = "{KEY}"\n'

WRITER = """
import sys
from pathlib import Path
from apimart_cli.config.writer import set_values
from apimart_cli.errors import ApimartError
try:
    set_values(Path(sys.argv[1]), "work", {"api_key": sys.argv[2]})
except ApimartError as error:
    sys.exit(error.message)
"""

LOOKS = {"access", "fcntl", "fstat", "getdents64", "ioctl", "lseek", "lstat", "newfstatat", "read", "readlink", "stat"}
LOOKS |= {"close", "faccessat2", "fgetxattr", "flock", "pread64", "readlinkat", "statx"}
"""System calls that leave the disk as it was: killed before or after them, a process leaves the same."""


Ended = "subprocess.CompletedProcess[str]"


class Call(NamedTuple):
    """The nth call of one kind that a writer makes."""

    name: str
    number: int


FILES = {"path": "config.toml", "new": ".config.toml.new", "lock": "config.toml.lock"}
"""The config file, the file that is to take its place, and what keeps two writers apart."""


def home_in(parent: Path, old: str | None) -> Path:
    """Make a folder with `old` as its config file; with None, not even the folder."""
    parent.mkdir()
    home = parent / "apimart"
    if old is not None:
        home.mkdir()
        (home / "config.toml").write_text(old)
        (home / "config.toml").chmod(0o600)
    return home


def write_traced(home: Path, *options: str, watch: Sequence[str] = ("", *FILES.values())) -> Ended:
    """Write the key in a process of its own under strace, which looks at `watch` and does what `options` say."""
    # By their names, too: what is done in a folder that is held is done with names in it.
    watched = [f"--trace-path={each}" for name in watch for each in (home / name, (home / name).name)]
    tracing = [need("strace"), "-f", f"--output={home.parent}/trace", *watched, *options]
    return run_program(
        [*tracing, sys.executable, "-c", WRITER, str(home / "config.toml"), KEY],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )


def calls_of(trace: str) -> Iterator[Call]:
    """Yield the calls in a trace that do something, numbered by kind; opening does where it may make a file."""
    seen: dict[str, int] = {}
    for name, arguments in re.findall(r"^\d+ +(\w+)\((.*)", trace, re.MULTILINE):
        seen[name] = seen.get(name, 0) + 1
        if name not in LOOKS and (name != "openat" or "O_CREAT" in arguments):
            yield Call(name, seen[name])


def files_of(home: Path) -> Mapping[str, str]:
    """What is in the folder; the key's file must be there for its owner alone, whole or not."""
    if not home.exists():
        return {}
    for path in home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    return {path.name: path.read_text() for path in home.iterdir()}


def kill_writer(home: Path, call: Call) -> Mapping[str, str]:
    """Kill a writer before one call, and return what it left."""
    ended = write_traced(home, f"--inject={call.name}:signal=KILL:when={call.number}")
    assert ended.returncode == -9, (call, ended)
    return files_of(home)


@pytest.mark.parametrize("old", [OLD, None], ids=["a file", "no folder"])
def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path: Path, old: str | None) -> None:
    """Killed before every call that touches the folder: the file is whole and private, and the next login works."""
    whole = NEW if old else NEW.removeprefix(OLD).lstrip()
    practice = home_in(tmp_path / "practice", old)
    assert write_traced(practice).returncode == 0
    assert files_of(practice) == {"config.toml": whole, "config.toml.lock": ""}
    calls = list(calls_of((tmp_path / "practice" / "trace").read_text()))
    assert {"openat", "write", "fsync", "renameat"} <= {call.name for call in calls}

    homes = [home_in(tmp_path / str(number), old) for number in range(len(calls))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        left = list(pool.map(kill_writer, homes, calls))

    contents = [files.get("config.toml") for files in left]
    switch = contents.index(whole)
    assert contents == [old] * switch + [whole] * (len(calls) - switch), "first the old one, then the new one"
    assert calls[switch - 1].name == "renameat"
    assert any(KEY in files.get(".config.toml.new", "") for files in left), "half a writer was there to be cleaned up"
    for home in homes:
        set_values(home / "config.toml", "work", {"api_key": f"{KEY}-next"})
        assert files_of(home) == {"config.toml": whole.replace(KEY, f"{KEY}-next"), "config.toml.lock": ""}


def test_the_new_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path) -> None:
    """A power failure finds the old file or the whole new one: it is synchronised first, and its new name last."""
    home = home_in(tmp_path / "disk", OLD)
    assert write_traced(home).returncode == 0
    names = [call.name for call in calls_of((tmp_path / "disk" / "trace").read_text())]
    steps = [name for name in names if name in {"write", "fsync", "renameat"}]
    assert steps == ["write", "fsync", "renameat", "fsync"]


@pytest.mark.parametrize(
    ("place", "fault", "reason"),
    [
        ("lock", "openat:error=EROFS", "write PATH: Read-only file system"),
        ("lock", "flock:error=ENOLCK", "write PATH: No locks available"),
        ("path", "openat:error=EIO", "read PATH: Input/output error"),
        ("new", "openat:error=EDQUOT", "write PATH: Disk quota exceeded"),
        ("new", "write:error=ENOSPC", "write PATH: No space left on device"),
        ("new", "fsync:error=EIO", "write PATH: Input/output error"),
        ("new", "renameat:error=EROFS", "write PATH: Read-only file system"),
    ],
)
def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, place: str, fault: str, reason: str) -> None:
    """Full, read-only or failing: one line says so, the old file is there, and no half of a new one."""
    home = home_in(tmp_path / "disk", OLD)
    ended = write_traced(home, f"--inject={fault}", watch=[FILES[place]])
    assert "(INJECTED)" in (tmp_path / "disk" / "trace").read_text()
    assert (ended.returncode, ended.stderr) == (1, f"cannot {reason.replace('PATH', f'{home}/config.toml')}\n")
    assert files_of(home)["config.toml"] == OLD
    assert ".config.toml.new" not in files_of(home)


def test_a_folder_that_cannot_be_synchronised_costs_nothing(tmp_path: Path) -> None:
    """Some file systems refuse that; the file is in its place all the same."""
    home = home_in(tmp_path / "disk", OLD)
    ended = write_traced(home, "--inject=fsync:error=EINVAL", watch=[""])
    assert "(INJECTED)" in (tmp_path / "disk" / "trace").read_text()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert files_of(home)["config.toml"] == NEW
