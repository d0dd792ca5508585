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


@pytest.mark.parametrize("mask", [0o077, 0o000, 0o777])
def test_the_file_is_readable_for_everybody_and_writable_for_its_owner(folder: Path, mask: int) -> None:
    """The collector is another user; the umask of cron or a service must not shut it out."""
    before = os.umask(mask)
    try:
        write_textfile(folder / "apimart.prom", "a 1\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "apimart.prom").stat().st_mode) == 0o644
    assert (folder / "apimart.prom").read_text() == "a 1\n"
    assert names(folder) == ["apimart.prom"]


def test_the_text_is_utf8_wherever_it_is_written(folder: Path) -> None:
    """The format knows no other encoding."""
    write_textfile(folder / "a.prom", "é\n")
    assert (folder / "a.prom").read_bytes() == b"\xc3\xa9\n"


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
    texts = {f"{letter * 100_000}\n" for letter in "abcd"}
    write_textfile(path, max(texts))

    def rewrite(text: str) -> None:
        for _ in range(30):
            write_textfile(path, text)

    writers = [threading.Thread(target=rewrite, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert names(folder) == ["apimart.prom"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The error says where and why."""
    path = folder / "apimart.prom"
    path.write_text("old 1\n")
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(OutputError) as caught:
        write_textfile(path, "new 1\n")
    assert caught.value.message == f"the metrics could not be written to {path}: {os.strerror(number)}"
    assert caught.value.hint
    assert (names(folder), path.read_text()) == (["apimart.prom"], "old 1\n")


def test_a_file_that_is_mounted_by_itself_is_told_how_to_be_mounted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point cannot be replaced, and overwriting it would show halves."""
    monkeypatch.setattr(os, "replace", failing(errno.EBUSY))
    with pytest.raises(OutputError) as caught:
        write_textfile(folder / "apimart.prom", "new 1\n")
    assert "mount its folder" in (caught.value.hint or "")
    assert names(folder) == []


def test_a_folder_that_went_away_is_an_error(folder: Path) -> None:
    """Between the first look and the answer."""
    with pytest.raises(OutputError, match="No such file or directory"):
        write_textfile(folder / "gone" / "apimart.prom", "new 1\n")


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


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(folder: Path) -> None:
    """In a folder that others may write to, a link could point anywhere."""
    (folder / "target").write_text("precious\n")
    (folder / "a.prom").symlink_to(folder / "target")
    write_textfile(folder / "a.prom", "new 1\n")
    assert not (folder / "a.prom").is_symlink()
    assert ((folder / "target").read_text(), (folder / "a.prom").read_text()) == ("precious\n", "new 1\n")


def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be guessed."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 7)
    (folder / "target").write_text("precious\n")
    (folder / f"{MARK}{os.getpid()}-7").symlink_to(folder / "target")
    with pytest.raises(OutputError, match="File exists"):
        write_textfile(folder / "a.prom", "new 1\n")
    assert (folder / "target").read_text() == "precious\n"


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


@pytest.mark.parametrize(("name", "told"), [
    ("apimart.txt", "does not end in .prom"), ("apimart.prom.tmp", "does not end in .prom"),
    ("apimart.PROM", "does not end in .prom"), ("folder.prom", "is a folder"),
    ("nowhere/apimart.prom", "there is no folder"), ("file.prom/apimart.prom", "there is no folder"),
])  # fmt: skip
def test_a_path_that_no_collector_would_read_is_a_mistake_on_the_command_line(
    folder: Path, name: str, told: str
) -> None:
    """It is found before anything is asked, and the hint says what to do."""
    (folder / "folder.prom").mkdir()
    (folder / "file.prom").touch()
    with pytest.raises(UsageError, match=told) as caught:
        require_place(folder / name)
    assert caught.value.hint


def test_a_folder_that_cannot_be_looked_at_may_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing tells what is wrong with it."""
    monkeypatch.setattr(os, "stat", failing(errno.EACCES))
    require_place(folder / "apimart.prom")


def test_any_other_path_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there already, one that is not, and one in the working folder."""
    (folder / "there.prom").touch()
    monkeypatch.chdir(folder)
    for path in (folder / "there.prom", folder / "new.prom", Path("new.prom")):
        require_place(path)
