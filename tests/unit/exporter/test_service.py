"""The use case of the exporter: which signal counts, and a note for each change. The rest is tested as a process."""

import os
import re
import signal
import tempfile

import pytest

from apimart_cli.errors import UnavailableError
from apimart_cli.exporter.service import Notes, _signals
from apimart_cli.screen.writing import is_journal, log_note, log_warning
from support.readings import AUTH, failed, reading

with_reloads = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")


@with_reloads
def test_reloads_that_came_meanwhile_are_one() -> None:
    """One after all of them reads the same as one after each."""
    with _signals() as came:
        assert came() is None
        for _ in range(5):
            signal.raise_signal(signal.SIGHUP)
        assert came() == signal.SIGHUP
        assert came() is None


@with_reloads
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_does_not_wait_for_reloads(number: int) -> None:
    """With thousands of profiles each takes seconds."""
    with _signals() as came:
        for each in (signal.SIGHUP, signal.SIGHUP, number, signal.SIGHUP):
            signal.raise_signal(each)
        assert came() == number


def told(notes: Notes) -> list[str]:
    return [note.message for note in notes.new()]


def test_what_begins_to_fail_or_recovers_is_told_once() -> None:
    """Also when it fails in other words later; what never failed is not told."""
    notes = Notes()
    notes.take([failed(AUTH, "work"), reading(profile="home")])
    assert [*notes.new()] == [("work/key cannot be read: the key was rejected", "check the key")]
    notes.take([failed(AUTH, "work")])
    notes.take([failed(UnavailableError("no answer"), "work")])
    assert told(notes) == []
    notes.take([reading(profile="work"), reading(profile="home")])
    assert told(notes) == ["work/key can be read again"]
    notes.take([reading(profile="work")])
    assert told(notes) == []


def test_what_many_have_in_common_is_one_line() -> None:
    """With the first names, and how many more there are."""
    notes = Notes()
    for number in range(5000):
        notes.take([failed(AUTH, f"team-{number}")])
    assert told(notes) == ["team-0/key, team-1/key and 4998 more cannot be read: the key was rejected"]
    for number in range(3):
        notes.take([reading(profile=f"team-{number}")])
    assert told(notes) == ["team-0/key, team-1/key, team-2/key can be read again"]


def test_profiles_that_went_are_forgotten() -> None:
    """Another one of that name begins anew."""
    notes = Notes()
    notes.take([failed(AUTH, "work")])
    told(notes)
    notes.forget(["work"])
    notes.take([reading(profile="work")])
    assert told(notes) == []


def test_each_line_has_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    """In UTC; notes may be weeks apart."""
    log_note("listening", "look at it")
    log_warning("odd")
    lines = [
        re.sub(r"^\d{4}(-\d{2}){2}T\d{2}(:\d{2}){2}Z ", "AT ", line) for line in capsys.readouterr().err.splitlines()
    ]
    assert lines == ["AT apimart: note: listening", "AT hint: look at it", "AT apimart: warning: odd"]


def test_the_journal_is_the_file_that_its_variable_names() -> None:
    """Another one may have inherited the variable. What the journal gets has no time: it adds one."""
    with tempfile.TemporaryFile() as other:
        here, there = os.fstat(2), os.fstat(other.fileno())
    assert is_journal({"JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"})
    assert not is_journal({"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"})
    assert not is_journal({"JOURNAL_STREAM": "x"})
    assert not is_journal({})
