"""Long answers: made piece by piece, and files that are whole or not there."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apimart_cli.errors import OutputError
from apimart_cli.screen import pieces
from apimart_cli.screen.pieces import AT_ONCE, write_pieces


def test_what_nobody_reads_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines without end: it stops with the piece after which the reader is gone."""
    written: list[str] = []

    def write(text: str) -> bool:
        written.append(text)
        return len(written) < 3

    monkeypatch.setattr(pieces, "write_answer", write)
    lines = itertools.count()
    write_pieces((f"{number}\n" for number in lines), None)
    assert "".join(written).splitlines() == [str(number) for number in range(3 * AT_ONCE)]
    assert next(lines) == 3 * AT_ONCE


def broken() -> Iterator[str]:
    yield "first\n"
    raise OutputError("no more")


def test_a_file_that_is_not_whole_takes_no_place(tmp_path: Path) -> None:
    """What was there stays, and nothing lies beside it."""
    file = tmp_path / "file"
    file.write_text("old\n")
    with pytest.raises(OutputError, match="no more"):
        write_pieces(broken(), file)
    assert (file.read_text(), sorted(os.listdir(tmp_path))) == ("old\n", ["file", "home"])


def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    """The file that a link names is replaced; a device is written to."""
    (tmp_path / "link").symlink_to("file")
    write_pieces(["new\n"], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    write_pieces(["new\n"], Path(os.devnull))
    assert not Path(os.devnull).is_file()


def test_a_file_that_comes_in_the_place_of_a_pipe_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user may put a link there, between the look and the opening."""
    pipe, precious = tmp_path / "pipe", tmp_path / "precious"
    os.mkfifo(pipe)
    precious.write_text("precious\n")
    opens = os.open

    def swap_then_open(path: Any, flags: int, *arguments: Any, **where: Any) -> int:
        if flags & os.O_WRONLY:
            pipe.unlink()
            pipe.symlink_to(precious)
        return opens(path, flags, *arguments, **where)

    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(OutputError, match="pipe could not be written"):
        write_pieces(["new\n"], pipe)
    assert precious.read_text() == "precious\n"
