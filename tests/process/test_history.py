"""`history` as people see it: on terminals, in pipes, killed; and the history that goes with a sandbox."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest

from apimart_cli.ledger.file import opened
from apimart_cli.ledger.queries import entries
from apimart_cli.ledger.store import record
from support.ledger import entry
from support.processes import wait_until
from support.running import Call, Run, Spawn, run_program

pytestmark = pytest.mark.usefixtures("quick_path")

NOW = datetime.now(UTC).replace(microsecond=0)
REHEARSED = ("sandbox", "--days", "14", "--", "apimart", "history")


@pytest.fixture
def path(home: Path) -> Path:
    """Where the ledger is by default, or will be."""
    return home / ".local" / "state" / "apimart" / "history.db"


def fill(path: Path, count: int) -> None:
    with opened(path, seconds=None) as connection:
        moments = (NOW - timedelta(minutes=20 * number) for number in range(count))
        record(connection, [entry(at=at, used=f"{9999 - number}") for number, at in enumerate(moments)])


def shown(terminal: "pexpect.spawn[bytes]") -> str:
    """Return all that a program writes until it ends well."""
    terminal.expect(pexpect.EOF)
    assert terminal.before is not None
    text = terminal.before.decode().replace("\r\n", "\n")
    terminal.close()
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None)
    return text


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_chart_fits_the_terminal(spawn: Spawn, columns: int) -> None:
    """Each series has bars, a name below the last of them, and facts; no line is wider than the terminal."""
    text = shown(spawn("apimart", *REHEARSED, columns=columns))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = plain.splitlines()
    # Facts are not cut: a terminal that is too narrow for them folds them.
    assert max(map(len, lines)) <= min(max(columns, 60), 100)
    assert max(len(line) for line in lines if "│" in line or "┤" in line or "┬" in line) <= columns
    assert "\x1b[36m█" in text
    assert plain.count("┤█") + plain.count("┤ ") >= 4
    bars = [line for line in lines if "█" in line and "┤" not in line]
    assert len(bars) >= 10
    assert {len(bar) for line in bars for bar in re.findall("█+", line)} == {{40: 1, 60: 2}.get(columns, 5)}
    axes = [line.split() for line in lines if re.fullmatch(r" +([0-9]{2}-[0-9]{2} *)+", line)]
    assert len(axes) == 2
    assert {axis[-1] for axis in axes} <= {f"{NOW:%m-%d}", f"{datetime.now(UTC):%m-%d}"}
    for fact in ("Spent   ", "Top-up  10 on ", "Left    10.5\n", "Left    100.0\n", "Lasts   about ", "Read    673 "):
        assert fact in plain


def test_without_colour_there_is_no_escape(spawn: Spawn) -> None:
    """The chart is the same."""
    text = shown(spawn("apimart", *REHEARSED, columns=60, env={"NO_COLOR": "1", "FORCE_COLOR": "1"}))
    assert "\x1b" not in text
    assert text.count("█") > 100


def test_ascii_where_the_screen_has_nothing_else(spawn: Spawn) -> None:
    """Bars of `#`, and an axis to match."""
    text = shown(spawn("apimart", *REHEARSED, columns=60, env={"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}))
    assert (text.isascii(), "+## " in text, "--+---" in text) == (True, True, True)


def test_a_narrow_terminal_gets_the_table(spawn: Spawn) -> None:
    """There is no room for a chart in 39 columns, and no number is cut."""
    text = shown(spawn("apimart", *REHEARSED, columns=39))
    assert "█" not in text
    assert "Day         " in text
    assert "default/key" in text
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines())) <= 55


@pytest.mark.parametrize(("answer", "left", "code"), [("Yes", 0, 0), ("", 3, 0), ("\x03", 3, 130)])
def test_clear_asks_at_a_terminal(spawn: Spawn, path: Path, answer: str, left: int, code: int) -> None:
    """Only a yes deletes; Ctrl-C ends it with 130."""
    fill(path, 3)
    terminal = spawn("apimart", "history", "clear")
    terminal.expect_exact(f"delete all readings in {path}? [y/N] ".encode())
    terminal.sendline(answer)
    text = terminal.read().decode()
    terminal.close()
    assert terminal.exitstatus == code
    assert code or ("nothing was deleted" if left else "3 readings deleted") in text
    with opened(path, create=False) as connection:
        assert len(list(entries(connection))) == left


def test_a_reader_that_goes_away_is_no_error(environment: Mapping[str, str], path: Path) -> None:
    """`| head -1` gets its line, the exit code is 0, nothing is said, and it ends long before all is written."""
    fill(path, 5000)
    for arguments in ("export", "show --json", ""):
        line = f"apimart history {arguments} | head -1"
        ended = run_program(["bash", "-o", "pipefail", "-c", line], env=environment)
        assert (ended.returncode, ended.stderr, ended.stdout.count("\n")) == (0, "", 1)


def test_a_full_disk_is_an_error(run: Run, path: Path) -> None:
    """An export that is cut off is no export: exit 1."""
    fill(path, 3)
    ended = run("history", "export", "/dev/full")
    assert (ended.returncode, "No space left on device" in ended.stderr) == (1, True)


def test_the_past_ends_at_what_the_sandbox_has(run: Run) -> None:
    """Exactly, a minute ago, under the names that a reading has: a live reading goes on from it."""
    began = datetime.now(UTC)
    ended = run("sandbox", "--days", "3", "--remain", "7.25", "--used", "3.5", "--", "apimart", "history", "export")
    assert (ended.returncode, ended.stderr) == (0, "")
    samples = [json.loads(line) for line in ended.stdout.splitlines()]
    last = {each["scope"]: each for each in samples}
    assert (last["key"]["remain_balance"], last["key"]["used_balance"]) == (7.25, 3.5)
    assert (last["account"]["remain_balance"], last["account"]["used_balance"]) == (100.0, 25.5)
    balance = json.loads(run("sandbox", "--", "apimart", "balance", "--json").stdout)
    for each in last.values():
        assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", each["host"])
        assert all(each[name] == balance[name] for name in ("key_id", "profile", "unit"))
        assert each["source"] == "sandbox"
        at = datetime.fromisoformat(each["at"]) + timedelta(minutes=1)
        assert began - timedelta(seconds=1) <= at <= datetime.now(UTC)
    assert len({each["at"][:10] for each in samples}) == 4


def test_the_history_of_a_sandbox_is_private_and_goes_with_it(run: Run, path: Path, tmp_path: Path) -> None:
    """With a past or without, whatever APIMART_HISTORY was before; the one of the user is not touched."""
    script = 'echo "$APIMART_HISTORY"; cd "$(dirname "$APIMART_HISTORY")" && ls -ld . | cut -c1-10; ls'
    for options, listed in (((), ""), (("--days", "1"), "history.db\n")):
        ended = run("sandbox", *options, "--", "sh", "-c", script, env={"APIMART_HISTORY": str(tmp_path / "mine")})
        place, mode, files = ended.stdout.split("\n", 2)
        assert (mode, files, ended.stderr) == ("drwx------", listed, "")
        assert place.endswith("/history.db")
        assert not os.path.lexists(os.path.dirname(place))
    assert not path.parent.exists()
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_history_of_a_sandbox(
    command: str, environment: Mapping[str, str], tmp_path: Path, number: int
) -> None:
    """Nor does a command that ends by it."""
    (tmp_path / "t").mkdir()
    with subprocess.Popen(
        [command, "sandbox", "--days", "1", "--", "sleep", "60"], env={**environment, "TMPDIR": str(tmp_path / "t")}
    ) as process:
        wait_until(lambda: list(tmp_path.glob("t/*/history.db")))
        time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(40) in {128 + number, -number}
    assert list((tmp_path / "t").iterdir()) == []


def test_a_folder_that_cannot_be_made_holds_up_no_sandbox(
    call: Call, monkeypatch: pytest.MonkeyPatch, path: Path, tmp_path: Path
) -> None:
    """Then nothing is recorded; a past that was asked for is an error."""
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    ended = call("sandbox", "--", "sh", "-c", f"echo $APIMART_HISTORY > {tmp_path}/told")
    assert (ended.code, (tmp_path / "told").read_text()) == (0, f"{os.devnull}\n")
    ended = call("sandbox", "--days", "1", "--", "touch", f"{tmp_path}/no")
    assert (ended.code, (tmp_path / "no").exists()) == (2, False)
    assert "error: --days: no history can be made: " in ended.stderr
    assert not path.parent.exists()
