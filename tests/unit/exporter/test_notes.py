"""Notes: a line for each change, none for each round, and one for what is the same of many."""

from apimart_cli.errors import UnavailableError
from apimart_cli.exporter.service import Notes
from support.readings import AUTH, failed, reading


def told(notes: Notes) -> list[str]:
    return [note.message for note in notes.new()]


def test_what_begins_to_fail_is_told_once() -> None:
    """Also when it fails in other words later."""
    notes = Notes()
    notes.take([failed(AUTH, "work")])
    assert [*notes.new()] == [("work/key cannot be read: the key was rejected", "check the key")]
    notes.take([failed(AUTH, "work")])
    notes.take([failed(UnavailableError("no answer"), "work")])
    assert told(notes) == []


def test_what_recovers_is_told_once() -> None:
    """And what never failed is not."""
    notes = Notes()
    notes.take([failed(AUTH, "work"), reading(profile="home")])
    assert len(told(notes)) == 1
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
