"""Many keys at once: a total where it means something, and how far one is while it takes time."""

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apimart_cli.errors import ApimartError, AuthError
from apimart_cli.rules.balance import Balance, Reading
from apimart_cli.sandbox.server import Sandbox
from apimart_cli.screen.progress import Drawing, Waiting, progress
from apimart_cli.words import OutputFormat, Scope
from support.readings import show
from support.running import KEY, Call, Spawn, Write, connected
from support.scripted import ACCOUNT, Gateway, Reply, balance, gateway, refusal

# pexpect forks; the sandbox that is answered from a thread here holds no lock that the child could miss.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

_IDS = count()
"""Tells the keys of the readings apart."""


def reading(
    remain: str | ApimartError | None, used: str = "1", unit: str | None = "USD", scope: Scope = Scope.KEY
) -> Reading:
    """A reading of a key of its own with these amounts; None is unlimited."""
    result = remain
    if not isinstance(remain, ApimartError):
        result = Balance(scope, None if remain is None else Decimal(remain), Decimal(used), remain is None, NOW)
    return Reading("p", scope, unit, result, key_id=f"id{next(_IDS)}", host="gateway.example")


def total(*readings: Reading) -> list[str] | None:
    """The cells of the total row, or None where there is none."""
    rows = [line.split() for line in show(readings, OutputFormat.TABLE).splitlines()]
    assert len([row for row in rows if row[0] == "p"]) == len(readings) + _spendable_rows(readings)
    last = rows[-1] if rows[-1][0] == "total" else None
    assert [row for row in rows if row[0] == "total"] == ([last] if last else [])
    return last


def _spendable_rows(readings: tuple[Reading, ...]) -> int:
    return sum((one.scope, two.scope) == (Scope.KEY, Scope.ACCOUNT) for one, two in pairwise(readings))


@pytest.mark.parametrize(("readings", "remaining", "used"), [
    ([reading("10.5", "2.3"), reading("0.25", "0.7")], "10.75", "3.0"),
    ([reading("0.1"), reading("0.2"), reading("0.30")], "0.60", "3"),
    ([reading("5"), reading("-2.5")], "2.5", "2"), ([reading("0.00"), reading("1")], "1.00", "2"),
    ([reading("999999999999999"), reading("0." + "0" * 29 + "1")], "999999999999999." + "0" * 29 + "1", "2"),
    ([reading("1"), reading("2"), reading("50", scope=Scope.ACCOUNT)], "3", "2"),
])  # fmt: skip
def test_keys_of_one_unit_are_added_up_exactly(readings: list[Reading], remaining: str, used: str) -> None:
    """In the last row, to the last digit. Accounts are left out: two keys may share one."""
    assert total(*readings) == ["total", "key", remaining, "USD", used, "USD", "-", "-"]


@pytest.mark.parametrize("readings", [
    [reading("1")], [reading("1"), reading("2", scope=Scope.ACCOUNT)],
    [reading("1", scope=Scope.ACCOUNT), reading("2", scope=Scope.ACCOUNT)],
    [reading("1", unit=None), reading("2", unit=None)], [reading("1"), reading("2", unit=None)],
    [reading("1"), reading("2", unit="EUR")], [reading("1"), reading(None)], [reading("1"), reading(AuthError("no"))],
    [reading("1"), reading("2"), reading(AuthError("no"), unit="EUR")],
])  # fmt: skip
def test_what_cannot_be_added_up_has_no_total(readings: list[Reading]) -> None:
    """One key, an unknown or another unit, no limit, or an answer that is missing: a sum would say something wrong."""
    assert total(*readings) is None


AMOUNTS = st.decimals(-(10**15) + 1, 10**15 - 1, places=15, allow_nan=False, allow_infinity=False)


@given(amounts=st.lists(st.tuples(AMOUNTS, AMOUNTS.map(abs)), min_size=2, max_size=10))
@settings(max_examples=15)
def test_no_sum_is_rounded(amounts: list[tuple[Decimal, Decimal]]) -> None:
    """For any amounts, against fractions."""
    row = total(*(reading(f"{remain:f}", f"{used:f}") for remain, used in amounts))
    assert row is not None
    assert Fraction(row[2]) == sum(Fraction(remain) for remain, _ in amounts)
    assert Fraction(row[4]) == sum(Fraction(used) for _, used in amounts)


def test_a_key_that_stands_in_several_profiles_counts_once() -> None:
    """By its id and host: what is in it can be spent once."""
    once, other = reading("10"), reading("1")
    again = once._replace(profile="p")
    assert total(once, again) is None
    assert total(once, other, again) == ["total", "key", "11", "USD", "2", "USD", "-", "-"]
    elsewhere = once._replace(host="other.example")
    assert total(once, elsewhere) == ["total", "key", "20", "USD", "2", "USD", "-", "-"]


def test_a_key_that_two_profiles_give_two_units_has_no_total() -> None:
    """One of them is wrong, and nobody knows which."""
    once, other = reading("10"), reading("1")
    assert total(once._replace(unit="EUR"), once, other) is None
    assert total(once, other, once._replace(unit="EUR")) is None


class _Terminal(io.StringIO):
    """A standard error that a person looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """A terminal for standard error, and progress at once."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("apimart_cli.screen.progress.PROGRESS_AFTER", 0.0)
    return _Terminal()


def wait_for(screen: _Terminal, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in screen.getvalue():
        assert time.monotonic() < deadline, screen.getvalue()
        time.sleep(0.01)


def test_progress_beside_a_prompt_moves_only_when_an_answer_arrives(terminal: _Terminal) -> None:
    """Each count is written once: whoever types a passphrase on the same terminal is disturbed no further."""
    with redirect_stderr(terminal), progress(Waiting(3, may_prompt=True)) as counted:
        wait_for(terminal, "0 of 3 answered")
        counted.step()
        wait_for(terminal, "1 of 3 answered")
        time.sleep(0.3)  # time in which nothing may be written
        counted.step()
        wait_for(terminal, "2 of 3 answered")
    assert terminal.getvalue() == (
        "\rapimart: 0 of 3 answered \rapimart: 1 of 3 answered \rapimart: 2 of 3 answered \r\x1b[2K"
    )


def test_progress_goes_when_something_breaks(terminal: _Terminal) -> None:
    """The error has a line of its own."""

    def fail() -> None:
        with redirect_stderr(terminal), progress(Waiting(1)):
            wait_for(terminal, "0 of 1 answered")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert terminal.getvalue().endswith("\r\x1b[2K")


@pytest.mark.parametrize(
    ("quiet", "term", "is_terminal"), [(True, "xterm", True), (False, "dumb", True), (False, "xterm", False)]
)
def test_progress_is_for_people_at_a_terminal_that_can_wipe_it(
    terminal: _Terminal, monkeypatch: pytest.MonkeyPatch, quiet: bool, term: str, is_terminal: bool
) -> None:
    """Not with --quiet, not on a dumb terminal, not in a log."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(terminal, "isatty", lambda: is_terminal)
    with redirect_stderr(terminal), progress(Waiting(1), quiet=quiet) as counted:
        time.sleep(0.05)  # time in which something could have been written
        counted.step()
    assert terminal.getvalue() == ""


def test_many_answers_have_a_bar(terminal: _Terminal) -> None:
    """It grows; the line is wiped in the end."""
    with redirect_stderr(terminal), progress(Waiting(2)) as counted:
        wait_for(terminal, "0 of 2 answered")
        counted.step()
        wait_for(terminal, "1 of 2 answered")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in terminal.getvalue().split("\r")[1:]]
    assert lines[-1] == "\x1b[2K"
    assert lines[:2] == [
        f"apimart: {'━' * 40} 0 of 2 answered\x1b[K",
        f"apimart: {'━' * 20}╺{'━' * 19} 1 of 2 answered\x1b[K",
    ]


@pytest.mark.parametrize("columns", [0, 1, 9, 10, 12, 28, 34, 35, 60, 500])
def test_no_line_of_progress_takes_two_rows(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """However narrow the terminal, and however long the name of the host: it is shortened, in characters it has."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for encoding in ("utf-8", "ascii"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        drawing = Drawing(stream)
        for line in (drawing.spinner("h" * 90, 8.2), drawing.spinner("h", 0.0), drawing.bar(3, 1000)):
            shown = re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", line)
            assert len(shown) <= max(1, columns - 1)
            assert line.encode(encoding)


def test_the_seconds_that_are_left_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded up, so that none is shown only when there is none."""
    monkeypatch.setenv("COLUMNS", "80")
    drawing = Drawing(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    for seconds, told in [(8.2, 9), (8.0, 8), (0.01, 1), (0.0, 0)]:
        assert f" waiting for h:1, {told} s left" in drawing.spinner("h:1", seconds)


@pytest.mark.parametrize("method", ["__init__", "bar"])
def test_what_cannot_be_drawn_is_left_out(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Without a traceback, and without a trace on the screen."""
    failed = threading.Event()

    def fail(*_arguments: object) -> None:
        failed.set()
        raise OSError("Too many open files")

    monkeypatch.setattr(Drawing, method, fail)
    with redirect_stderr(terminal), progress(Waiting(2)) as counted:
        assert failed.wait(10)
        counted.step()
    assert terminal.getvalue() == ""


def test_what_was_wiped_for_a_signal_stays_wiped(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line moves ten times a second, and other clean-ups take longer than that."""
    written: list[bytes] = []
    monkeypatch.setattr(terminal, "fileno", lambda: 2)
    monkeypatch.setattr("os.write", lambda _descriptor, data: written.append(data))
    with redirect_stderr(terminal), progress(Waiting(1, "h", 9.0)) as counted:
        wait_for(terminal, "waiting for h")
        counted.wipe()
        before = terminal.getvalue()
        time.sleep(0.3)  # time in which it would have moved
        assert terminal.getvalue() == before
    assert written == [b"\r\x1b[2K"]


@pytest.fixture
def slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that answers one key at once, and the other when progress has been drawn, or would have been."""
    delay = 1.5
    if "spawn" not in request.fixturenames:
        monkeypatch.setattr("apimart_cli.screen.progress.PROGRESS_AFTER", 0.05)
        delay = 0.3

    def answer(_path: str, key: str) -> Reply:
        return balance("7", "1", delay=delay if key.endswith("slow") else 0)

    with gateway(answer) as server:
        yield server


@pytest.fixture
def two_profiles(tmp_path: Path, slow: Gateway) -> dict[str, str]:
    """What points a command at two profiles, the second of them slow."""
    config = tmp_path / "two.toml"
    config.write_text(f'unit = "USD"\n[profiles.a]\napi_key = "{KEY}"\n[profiles.b]\napi_key = "{KEY}slow"\n')
    config.chmod(0o600)
    return {"APIMART_BASE_URL": slow.url, "APIMART_CONFIG": str(config)}


@pytest.mark.parametrize(("columns", "ending"), [(80, "| cat"), (60, "")])
def test_progress_shows_after_a_second_and_leaves_nothing_on_the_screen(
    spawn: Spawn, two_profiles: dict[str, str], columns: int, ending: str
) -> None:
    """Standard output gets the table alone, a pipe too, and the terminal shows that alone in the end."""
    child = spawn("sh", "-c", f"apimart balance --all-profiles {ending}", env=two_profiles, columns=columns)
    written = child.read()
    screen = pyte.Screen(columns, 24)
    pyte.ByteStream(screen).feed(written)
    lines = [line.rstrip() for line in screen.display if line.strip()]
    assert re.search(rb"\rapimart: [^\r]* 1 of 2 answered[^\r]*\r\x1b\[2K", written)
    assert written.count(b"answered") == 1
    assert [line.split()[0] for line in lines if "\u2500" not in line] == ["Profile", "a", "b", "total"]
    assert lines[-1].split() == ["total", "key", "14", "USD", "2", "USD", "-", "-"]


def _rows(written: bytes) -> list[str]:
    screen = pyte.Screen(200, 24)
    pyte.ByteStream(screen).feed(written)
    return [line.rstrip() for line in screen.display if line.strip()]


def test_login_shows_whom_it_waits_for(spawn: Spawn, slow: Gateway, tmp_path: Path) -> None:
    """Once the key is typed; nothing of it stays, and its table begins in the first column."""
    env = {"APIMART_BASE_URL": slow.url, "APIMART_CONFIG": str(tmp_path / "new.toml")}
    child = spawn("apimart", "login", env=env, columns=100)
    child.expect("API key: ")
    child.sendline(f"{KEY}slow")
    child.expect_exact(f" waiting for {slow.url.removeprefix('http://')}, 9 s left")
    rows = _rows(child.read())
    assert not any("waiting" in row for row in rows)
    words = [row.split()[0] for row in rows if "\u2500" not in row]
    assert words[words.index("Profile") :][:3] == ["Profile", "default", "apimart:"]
    assert rows[0].startswith("Profile")


def test_a_prompt_of_a_key_command_is_not_disturbed(spawn: Spawn, slow: Gateway, write_config: Write) -> None:
    """While it waits for a passphrase on the same terminal, the line is written once, and nothing moves."""
    ask = f"printf 'Passphrase: ' > /dev/tty; read -r word < /dev/tty; echo {KEY}"
    write_config(f'[profiles.work]\napi_key_command = ["sh", "-c", "{ask}"]\n')
    child = spawn("apimart", "balance", "-p", "work", "-o", "value", env={"APIMART_BASE_URL": slow.url})
    child.expect_exact("Passphrase: ")
    child.expect_exact("apimart: 0 of 1 answered ")
    time.sleep(0.7)  # time in which a line that moves would be written seven times
    child.sendline("open")
    rest = child.read()
    assert b"answered" not in rest
    assert b"waiting" not in rest
    assert rest.endswith(b"\x1b[2K7\r\n")


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("balance --all-profiles -o json", 200),
        ("balance --all-profiles -o value", 200),
        ("balance --all-profiles", None),
        ("check --all-profiles --min 5 --quiet", 80),
    ],
)
def test_where_it_would_disturb_there_is_no_progress(
    call: Call, two_profiles: dict[str, str], line: str, columns: int | None
) -> None:
    """Lines that are written as they arrive show how far it is, a log has the answer, a quiet check says nothing."""
    ended = call(*line.split(), env=two_profiles, columns=columns)
    assert (ended.code, ended.stderr, ended.stdout == "") == (0, "", "--quiet" in line)
    assert not re.search("answered|\x1b", ended.stdout)


def test_a_quick_answer_shows_no_progress(call: Call, sandbox: Sandbox) -> None:
    """Nothing flickers."""
    assert "answered" not in call("check", "--min", "5", env=connected(sandbox), columns=80).stdout


@pytest.mark.parametrize(("arguments", "config", "env", "profiles", "keys"), [
    ("-p home -p home", f"[profiles.home]\napi_key = '{KEY}'\n", {}, ["home", "home"], [KEY]),
    ("-p a -p b", f"[profiles.a]\napi_key = '{KEY}'\n[profiles.b]\napi_key = '{KEY}'\n", {}, ["a", "b"], [KEY]),
    ("--all-profiles", "[profiles.a]\n[profiles.b]\n", {"APIMART_API_KEY": KEY}, ["a", "b"], [KEY]),
    ("--all-profiles",
     f"[profiles.a]\n[profiles.b]\napi_key_command = ['echo', '{KEY}']\n[profiles.c]\napi_key = 'sk-c'\n",
     {"APIMART_API_KEY": KEY}, ["a", "b", "c"], [KEY, "sk-c"]),
])  # fmt: skip
def test_a_key_that_is_named_several_times_is_asked_and_counted_once(
    call: Call, write_config: Write, arguments: str, config: str, env: dict[str, str], profiles: list[str],
    keys: list[str],
) -> None:  # fmt: skip
    """Every profile shows its balance; the total has each key once, and none where there is a single key."""
    write_config(f'unit = "USD"\n{config}')
    once = sorted((key, path) for key in keys for path in ("/v1/balance", ACCOUNT))
    with gateway(lambda _path, _key: balance("10", "1")) as server:
        where = {"APIMART_BASE_URL": server.url, **env}
        shown = {}
        for output in ("table", "json", "value"):
            shown[output] = call("balance", *arguments.split(), "--scope", "both", "-o", output, env=where)
            assert sorted((asked.key, asked.path) for asked in server.asked) == once
            server.asked.clear()
        gate = call("check", *arguments.split(), "--min", "5", env=where)
        assert sorted((asked.key, asked.path) for asked in server.asked) == once
    assert gate.code == 0
    assert [line.split()[1] for line in gate.stdout.splitlines()] == [f"{name}/spendable:" for name in profiles]
    rows = [line.split() for line in shown["table"].stdout.splitlines()[2:]]
    assert [row[0] for row in rows if row[1] == "key" and row[0] != "total"] == profiles
    assert [row[2] for row in rows if row[0] == "total"] == ([str(10 * len(keys))] if len(keys) > 1 else [])
    assert [len(shown[output].stdout.splitlines()) for output in ("json", "value")] == [3 * len(profiles)] * 2


def test_a_key_is_asked_at_each_of_its_hosts(call: Call, write_config: Write) -> None:
    """Two gateways have two balances."""
    with gateway(lambda _path, _key: balance("10")) as one, gateway(lambda _path, _key: balance("1")) as two:
        write_config(
            f'unit = "USD"\n[profiles.a]\napi_key = "{KEY}"\nbase_url = "{one.url}"\n'
            f'[profiles.b]\napi_key = "{KEY}"\nbase_url = "{two.url}"\n'
        )
        ended = call("balance", "--all-profiles")
    assert [len(server.asked) for server in (one, two)] == [1, 1]
    assert ended.stdout.splitlines()[-1].split()[:3] == ["total", "key", "11"]


def test_a_failure_of_a_shared_key_names_each_profile(call: Call, write_config: Write) -> None:
    """It is asked once, and every profile that has it fails, with the place that its key came from."""
    write_config(f"[profiles.a]\napi_key = '{KEY}'\n[profiles.b]\napi_key = '{KEY}'\n")
    with gateway(lambda _path, _key: refusal(401)) as server:
        ended = call("check", "--all-profiles", "--min", "5", env={"APIMART_BASE_URL": server.url})
    assert sorted(asked.path for asked in server.asked) == ["/v1/balance", ACCOUNT]
    assert ended.code == 4
    for name in ("a", "b"):
        assert f"error: {name}/spendable: the gateway rejected the API key from profile {name} in " in ended.stderr
    assert ended.stderr.count("hint: ") == 1
