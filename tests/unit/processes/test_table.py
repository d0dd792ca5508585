"""The table of processes: from /proc on Linux, from psutil elsewhere; signals reach the process that was seen."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from apimart_cli.processes import table
from apimart_cli.processes.table import Process, are_gone, identity_of, look_up, processes, send, start_of
from support.processes import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="compares with what /proc tells")


Sleeper = subprocess.Popen[bytes]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """A child of ours, in a session of its own."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def seen(sleeper: Sleeper) -> Process:
    """That child as the table has it."""
    found = look_up(sleeper.pid)
    assert found is not None
    return found


@pytest.fixture(params=["/proc", "psutil"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the table comes from: elsewhere than on Linux, from psutil."""
    if request.param == "psutil":
        # Loaded before the system is said to be another one: it chooses its own parts by that.
        psutil.Process()
        monkeypatch.setattr(table.sys, "platform", "darwin")
    return str(request.param)


def test_a_child_is_found_with_its_parent_group_and_session(sleeper: Sleeper, place: str) -> None:
    """In the table, and by itself, and it is the same process each time."""
    seen = processes()
    assert seen is not None
    found = seen[sleeper.pid]
    assert (found.parent, found.group, found.session, found.is_alive) == (os.getpid(), sleeper.pid, sleeper.pid, True)
    alone = look_up(sleeper.pid)
    assert alone is not None
    assert alone.identity == found.identity
    assert start_of(sleeper.pid) == found.start > 0


def test_one_that_has_ended_is_not_alive(sleeper: Sleeper, place: str) -> None:
    """Before its parent has waited for it, and after."""
    sleeper.kill()
    wait_until(lambda: start_of(sleeper.pid) == 0)
    sleeper.wait()
    assert look_up(sleeper.pid) is None
    assert start_of(sleeper.pid) == 0


def test_without_the_table_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may show the /proc of its host, whose numbers are others."""
    monkeypatch.setattr(table, "_is_proc_ours", lambda: False)
    assert processes() is None
    assert identity_of(os.getpid()) is None


def test_a_signal_reaches_the_process_that_was_seen_and_no_later_one(sleeper: Sleeper, seen: Process) -> None:
    """Its number may have been given away again: the start tells them apart."""
    send(seen._replace(start=seen.start - 1), signal.SIGKILL)
    assert start_of(sleeper.pid) == seen.start
    send(seen, signal.SIGTERM)
    assert sleeper.wait(timeout=20) == -signal.SIGTERM
    send(seen, signal.SIGTERM)


def test_a_system_without_descriptors_of_processes_signals_by_number(
    sleeper: Sleeper, seen: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is looked at all the same."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    send(seen._replace(start=seen.start - 1), signal.SIGKILL)
    send(seen, signal.SIGTERM)
    assert sleeper.wait(timeout=20) == -signal.SIGTERM


def test_a_process_of_another_user_refuses(monkeypatch: pytest.MonkeyPatch, seen: Process) -> None:
    """That is an error, and no silence."""

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(signal, "pidfd_send_signal", refuse)
        patch.setattr(os, "kill", refuse)
        with pytest.raises(PermissionError):
            send(seen, signal.SIGTERM)


def test_an_identity_tells_when_all_are_gone(sleeper: Sleeper) -> None:
    """And says nothing of processes of another machine, another start of it, or of a text that is none."""
    identity = identity_of(sleeper.pid)
    assert identity is not None
    assert not are_gone(identity)
    sleeper.kill()
    sleeper.wait()
    assert are_gone(identity)
    assert not are_gone(f"elsewhere {identity.partition(' ')[2]}")
    assert not are_gone(f"{identity} x:y")


def test_a_line_that_is_none_is_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system writes there one day."""
    for fields in ([], [b"S"], [b"S", *[b"x"] * 30]):
        monkeypatch.setattr(table, "_fields_of", lambda _pid, found=fields: found)
        assert look_up(1) is None
    assert Process(1, 0, 5, 1, 1, is_alive=True).identity == (1, 5)
