"""`--textfile` in processes of their own: from cron, without a home, killed on the way."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from apimart_cli.replacing import MARK, write_textfile
from apimart_cli.sandbox.server import Sandbox
from support.programs import need
from support.running import connected, run_program
from support.strangers import as_root, run_as_stranger

WRITER = """
import os, sys, time
from pathlib import Path
from apimart_cli.replacing import write_textfile
os.getpid = time.monotonic_ns = lambda: 1
write_textfile(Path(sys.argv[1]), "new 1\\n")
"""

SUCCESS = 'apimart_reading_success{profile="default",scope="key"} 1\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The collector's folder, empty."""
    path = tmp_path / "collected"
    path.mkdir()
    return path


@pytest.mark.measured
def test_cron_needs_neither_a_home_nor_a_locale_nor_an_umask(
    sandbox: Sandbox, environment: dict[str, str], folder: Path
) -> None:
    """The few variables of a crontab are enough, and the file is readable for the collector."""
    for name in ("HOME", "LANG"):
        del environment[name]
    path = folder / "apimart.prom"
    script = f"umask 077; apimart balance --textfile {path}"
    ended = run_program(["sh", "-c", script], env={**environment, **connected(sandbox)}, cwd="/")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert SUCCESS in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@as_root
def test_a_folder_of_others_is_told_and_one_that_is_shared_will_do(sandbox: Sandbox, folder: Path) -> None:
    """Another user's folder takes no file, a sticky one that everybody may write to does, but not over theirs."""
    path = folder / "apimart.prom"
    path.write_text("theirs 1\n")
    env = {"PATH": os.environ["PATH"], "APIMART_RECORD": "0", **connected(sandbox)}

    def write(name: str) -> "subprocess.CompletedProcess[str]":
        return run_as_stranger("balance", "--textfile", name, env=env, cwd=folder)

    refused = write("apimart.prom")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "could not be written to apimart.prom: Permission denied\nhint: see that the user " in refused.stderr
    folder.chmod(0o1777)
    assert write("own.prom").returncode == 0
    assert write("own.prom").returncode == 0
    assert write("apimart.prom").returncode == 1
    assert path.read_text() == "theirs 1\n"
    assert sorted(os.listdir(folder)) == ["apimart.prom", "own.prom"]


@pytest.mark.parametrize(
    ("call", "found", "is_left"),
    [
        ("openat:when=2", "old", False),
        ("write", "old", True),
        ("renameat", "old", True),
    ],
)
def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_file(
    call: str, found: str, is_left: bool, folder: Path
) -> None:
    """The old or the new one, whatever it was about to do; what it leaves is removed an hour later."""
    path, unfinished = folder / "apimart.prom", folder / f"{MARK}1-1"
    path.write_text("old 1\n")
    places = [f"--trace-path={place}" for place in (folder, path, unfinished)]
    name, _, when = call.partition(":")
    kill = f"inject={name}:signal=KILL" + (f":{when}" if when else "")
    ended = run_program(
        [need("strace"), "-f", "-qq", "-o", os.devnull, *places, "-e", kill, sys.executable, "-c", WRITER, str(path)],
        env={"PATH": os.environ["PATH"]},
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert path.read_text() == f"{found} 1\n"
    assert unfinished.exists() == is_left
    if is_left:
        os.utime(unfinished, (0, 0))
    write_textfile(path, "next 1\n")
    assert (path.read_text(), os.listdir(folder)) == ("next 1\n", [path.name])
