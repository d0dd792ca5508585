"""What an exporter tells has a time, unless the journal adds it."""

import os
import re
import tempfile

import pytest

from apimart_cli.screen.writing import is_journal, log_note, log_warning


def test_each_line_has_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    """In UTC; notes may be weeks apart."""
    log_note("listening", "look at it")
    log_warning("odd")
    moment = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
    told = capsys.readouterr().err
    assert re.fullmatch(
        rf"{moment} apimart: note: listening\n{moment} hint: look at it\n{moment} apimart: warning: odd\n", told
    )


def test_the_journal_is_the_file_that_its_variable_names() -> None:
    """Another one may have inherited the variable."""
    with tempfile.TemporaryFile() as other:
        here, there = os.fstat(2), os.fstat(other.fileno())
    assert is_journal({"JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"})
    assert not is_journal({"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"})
    assert not is_journal({"JOURNAL_STREAM": "x"})
    assert not is_journal({})
