"""The file for node_exporter: replaced whole, readable for everybody, and nothing left beside it."""

import errno
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from apimart_cli import replacing
from apimart_cli.errors import OutputError, UsageError
from apimart_cli.replacing import LEFT_AFTER_SECONDS, MARK, SUFFIX, require_place, write_textfile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The collector's folder, empty."""
    path = tmp_path / "collected"
    path.mkdir()
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def failing(number: int) -> Any:
    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_the_file_is_readable_for_everybody_and_writable_for_its_owner(folder: Path, mask: int) -> None:
    """The collector is another user; the umask of cron or a service must not shut it out. The text is UTF-8."""
    before = os.umask(mask)
    try:
        write_textfile(folder / "apimart.prom", "é 1\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "apimart.prom").stat().st_mode) == 0o644
    assert (folder / "apimart.prom").read_bytes() == b"\xc3\xa9 1\n"
    assert names(folder) == ["apimart.prom"]


def test_while_it_is_written_the_name_is_none_that_the_collector_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not finished lies in the same folder, under another ending; the old file is whole until the end."""
    path = folder / "apimart.prom"
    path.write_text("old 1\n")
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append([*names(folder), path.read_text()]))
    write_textfile(path, "new 1\n")
    [[unfinished, *others]] = seen
    assert (others, path.read_text()) == (["apimart.prom", "old 1\n"], "new 1\n")
    assert unfinished.startswith(MARK)
    assert not unfinished.endswith(SUFFIX)


def test_readers_beside_many_writers_see_whole_files_only(folder: Path) -> None:
    """Several crons may write the same file: each replaces it, and none stumbles over another."""
    path = folder / "apimart.prom"
    texts = {f"{letter * 100_000}\n" for letter in "abc"}
    write_textfile(path, max(texts))
    writers = [
        threading.Thread(target=lambda text=text: [write_textfile(path, text) for _ in range(20)]) for text in texts
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert names(folder) == ["apimart.prom"]


@pytest.mark.parametrize(
    ("step", "number", "hint"),
    [
        ("fsync", errno.ENOSPC, "free some space"),
        ("fsync", errno.EIO, "may write to its folder"),
        ("replace", errno.EBUSY, "mount its folder"),
    ],
)
def test_what_fails_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, hint: str
) -> None:
    """The error says where and why; a file that is mounted by itself cannot be replaced."""
    path = folder / "apimart.prom"
    path.write_text("old 1\n")
    monkeypatch.setattr(os, step, failing(number))
    with pytest.raises(OutputError) as caught:
        write_textfile(path, "new 1\n")
    assert caught.value.message == f"the metrics could not be written to {path}: {os.strerror(number)}"
    assert hint in (caught.value.hint or "")
    assert (names(folder), path.read_text()) == (["apimart.prom"], "old 1\n")


def test_what_killed_processes_left_is_removed_after_an_hour(folder: Path) -> None:
    """Not what another process may be writing at this moment, nor a file of somebody else."""
    now = time.time()
    for name, age in ((f"{MARK}1-1", LEFT_AFTER_SECONDS + 60), (f"{MARK}2-2", 60), (".other", LEFT_AFTER_SECONDS * 9)):
        (folder / name).touch()
        os.utime(folder / name, (now - age, now - age))
    (folder / f"{MARK}folder").mkdir()
    os.utime(folder / f"{MARK}folder", (0, 0))
    write_textfile(folder / "a.prom", "new 1\n")
    assert names(folder) == [f"{MARK}2-2", f"{MARK}folder", ".other", "a.prom"]


def test_no_link_is_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the place of the file is replaced; the name of the unfinished file, where one stops us, can be guessed."""
    target = folder / "target"
    target.write_text("precious\n")
    (folder / "a.prom").symlink_to(target)
    write_textfile(folder / "a.prom", "new 1\n")
    assert not (folder / "a.prom").is_symlink()
    monkeypatch.setattr(time, "monotonic_ns", lambda: 7)
    (folder / f"{MARK}{os.getpid()}-7").symlink_to(target)
    with pytest.raises(OutputError, match="File exists"):
        write_textfile(folder / "a.prom", "new 2\n")
    assert (target.read_text(), (folder / "a.prom").read_text()) == ("precious\n", "new 1\n")


def test_a_signal_that_ends_the_process_takes_the_unfinished_file_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is registered for the end of the process removes it."""
    from apimart_cli.processes import signals

    def interrupt(_: int) -> None:
        assert len(names(folder)) == 1
        for clean_up in signals._clean_ups:
            clean_up()
        assert names(folder) == []

    monkeypatch.setattr(replacing.os, "fsync", interrupt)
    with pytest.raises(OutputError):
        write_textfile(folder / "a.prom", "new 1\n")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("apimart.prom.tmp", "does not end in .prom"),
        ("apimart.PROM", "does not end in .prom"),
        ("folder.prom", "is a folder"),
        ("nowhere/apimart.prom", "there is no folder"),
        ("file.prom/apimart.prom", "there is no folder"),
    ],
)
def test_a_path_that_no_collector_would_read_is_a_mistake_on_the_command_line(
    folder: Path, name: str, told: str
) -> None:
    """It is found before anything is asked, and the hint says what to do."""
    (folder / "folder.prom").mkdir()
    (folder / "file.prom").touch()
    with pytest.raises(UsageError, match=told) as caught:
        require_place(folder / name)
    assert caught.value.hint


def test_any_other_path_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is there, of a new one, in the working folder, and where writing will tell what is wrong."""
    (folder / "there.prom").touch()
    monkeypatch.chdir(folder)
    for path in (folder / "there.prom", folder / "new.prom", Path("new.prom")):
        require_place(path)
    monkeypatch.setattr(os, "stat", failing(errno.EACCES))
    require_place(folder / "apimart.prom")
