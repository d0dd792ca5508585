"""What people see: the installed command on real terminals of several widths, in pipes, and in every locale."""

import re
import subprocess
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pexpect
import pyte
import pytest

from apimart_cli.sandbox.scenario import Funds
from apimart_cli.sandbox.server import Sandbox
from support.running import KEY, Run, Serve, Spawn, Write, connected

# Fifteen digits of credits before the point are the most that are believed, and credits are ten times the balance.
LONG = {
    "key": Funds(Decimal("12345678901234.123456"), Decimal("98765432109876.5")),
    "account": Funds(Decimal("11111111111111.222222"), Decimal("0.000001")),
}


class Shown(NamedTuple):
    """What one command left on a terminal."""

    code: int
    written: str
    """Everything that was sent to the terminal, escape sequences included."""
    screen: pyte.Screen

    @property
    def lines(self) -> list[str]:
        """The lines of the screen that are not empty."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def text(self) -> str:
        """What was sent, without escape sequences."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.written).replace("\r\n", "\n")

    def colour(self, word: str) -> str:
        """The colour that `word` has on the screen."""
        for y, line in enumerate(self.screen.display):
            if word in line:
                foreground: str = self.screen.buffer[y][line.index(word)].fg
                return foreground
        raise AssertionError(f"{word} is not on the screen: {self.lines}")


def read(child: "pexpect.spawn[bytes]", columns: int = 80) -> Shown:
    """Wait for the end of a command and look at the screen."""
    written = child.read()
    child.close()
    screen = pyte.Screen(columns, 200)
    pyte.ByteStream(screen).feed(written)
    return Shown(child.exitstatus, written.decode("utf-8", "replace"), screen)


Show = Callable[..., Shown]


@pytest.fixture
def show(spawn: Spawn) -> Show:
    """Run `apimart` on a terminal to its end: `show("balance", columns=60, env={...})`."""

    def run(*arguments: str, columns: int = 80, env: Mapping[str, str] | None = None) -> Shown:
        return read(spawn("apimart", *arguments, columns=columns, env=env), columns)

    return run


TABLES = {
    # Everything: profile, scope, amounts, the share left as a bar, and the status.
    120: (
        "Profile   Scope       Remaining   Used   % left             Status",
        "──────────────────────────────────────────────────────────────────────────",
        "default   key              10.5    2.3   ████████░░  82 %   ok",
        "default   account         100.0   25.5   ███████░░░  79 %   ok",
        "default   spendable        10.5    2.3   -                  limited by key",
    ),
    # The bar goes, and nothing else.
    60: (
        "Profile  Scope      Remaining  Used  % left  Status",
        "───────────────────────────────────────────────────────────",
        "default  key             10.5   2.3   82 %   ok",
        "default  account        100.0  25.5   79 %   ok",
        "default  spendable       10.5   2.3  -       limited by key",
    ),
}


@pytest.mark.parametrize("columns", TABLES)
def test_a_terminal_shows_as_much_of_the_table_as_fits(show: Show, sandbox: Sandbox, columns: int) -> None:
    """On 120 columns all of it, on 60 the share left as a number without its bar."""
    shown = show("balance", "--scope", "both", columns=columns, env=connected(sandbox))
    assert (shown.code, tuple(shown.lines)) == (0, TABLES[columns])


def test_a_very_narrow_terminal_stacks_the_columns(show: Show, sandbox: Sandbox) -> None:
    """On 20 columns every amount has a line of its own, and fits on it."""
    shown = show("balance", columns=20, env=connected(sandbox))
    assert shown.lines == [
        "Profile:   default", "Scope:     key", "Remaining: 10.5", "Used:      2.3", "% left:    82 %", "Status:    ok",
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [20, 60, 90])
def test_no_number_is_cut(show: Show, serve: Serve, columns: int) -> None:
    """Every digit of every amount is there, whatever the width; from 60 columns on, no line is folded either."""
    shown = show("balance", "--scope", "both", columns=columns, env=connected(serve(**LONG)))
    amounts = [f"{amount:f}" for fund in LONG.values() for amount in (fund.remain, fund.used)]
    for amount in amounts:
        assert re.search(rf"(?<![\d.]){re.escape(amount)}(?![\d.…])", shown.text), shown.text
    assert "…" not in shown.text
    if columns >= 60:
        assert max(map(len, shown.text.splitlines())) <= columns


def test_errors_fold_between_words(show: Show, run: Run, tmp_path: Path) -> None:
    """No word is broken at the edge; a path that is longer stays whole. In a pipe a message is one line."""
    arguments = ("check", "--min", "5", "--api-key-file", f"{tmp_path}/{'a-long-name-' * 6}")
    shown, piped = show(*arguments, columns=40), run(*arguments).stderr
    assert [line.partition(":")[0] for line in piped.splitlines()] == ["apimart", "hint"]
    assert shown.text.split() == piped.split()
    lines = shown.text.splitlines()
    assert len(lines) > 2
    assert all(len(line) <= 40 or len(line.split()) == 1 for line in lines)


@pytest.mark.parametrize(
    ("columns", "variable", "shown"),
    [
        (120, "20", "Remaining: 10.5"),
        # As containers have it.
        (0, None, "default   key          10.5    2.3   ████████░░  82 %   ok"),
        (80, "0", "10.5"),
        (80, "-5", "10.5"),
        (80, "wide", "10.5"),
        (80, "99999999999999999999", "10.5"),
    ],
)
def test_columns_are_those_of_the_variable_or_of_the_terminal(
    show: Show, sandbox: Sandbox, columns: int, variable: str | None, shown: str
) -> None:
    """A size that no terminal can have costs the layout at most."""
    env = connected(sandbox) if variable is None else {**connected(sandbox), "COLUMNS": variable}
    ended = show("balance", columns=columns, env=env)
    assert (ended.code, "Traceback" in ended.text) == (0, False)
    assert shown in ended.text


@pytest.mark.parametrize(
    ("arguments", "word", "colour"),
    [("balance", "low", "brown"), ("check --min 0.9", "PASS", "green"), ("check --min 50", "BELOW", "red")],
)
def test_a_verdict_is_a_word_and_a_colour(show: Show, serve: Serve, arguments: str, word: str, colour: str) -> None:
    """Both can be read without colours; where there are colours, each has one. Yellow is what pyte calls brown."""
    env = connected(serve(key=Funds(Decimal("0.9"), Decimal("9.1"))))
    coloured = show(*arguments.split(), env=env)
    plain = show(*arguments.split(), env={**env, "NO_COLOR": "1"})
    assert coloured.lines == plain.lines
    assert word in coloured.text.split()
    assert coloured.colour(word) == colour


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"TERM": "", "FORCE_COLOR": "1"}, True), ({"TERM": "dumb", "FORCE_COLOR": ""}, False),
    ],
)  # fmt: skip
def test_colours_only_where_they_are_welcome(
    show: Show, sandbox: Sandbox, variables: Mapping[str, str], coloured: bool
) -> None:
    """A terminal gets colours, unless `NO_COLOR` says no, or it is a dumb one and `FORCE_COLOR` is not set."""
    shown = show("balance", env={**connected(sandbox), **variables})
    assert shown.code == 0
    assert ("\x1b" in shown.written) is coloured


@pytest.mark.parametrize("arguments", ["balance -o value", "check --min 5 --json", "config show"])
def test_data_has_no_colours_even_if_forced(show: Show, run: Run, sandbox: Sandbox, arguments: str) -> None:
    """What is meant to be copied or read by a program has no escape sequences, at a terminal and in a pipe."""
    env = {**connected(sandbox), "FORCE_COLOR": "1", "TERM": "xterm"}
    shown, piped = show(*arguments.split(), env=env), run(*arguments.split(), env=env)
    assert (shown.code, piped.returncode) == (0, 0)
    assert "\x1b" not in shown.written + piped.stdout + piped.stderr


def test_one_slow_answer_shows_whom_it_waits_for_and_how_long_yet(show: Show, serve: Serve) -> None:
    """After a second, on a line that moves and is gone in the end."""
    sandbox = serve(latency=1.6)
    shown = show("check", "--min", "5", columns=60, env={**connected(sandbox), "APIMART_TIMEOUT": "5"})
    host = sandbox.url.removeprefix("http://")
    assert shown.code == 0
    frames = re.findall(rf"\rapimart: (\S) waiting for {host}, 4 s left", shown.text)
    assert len(set(frames)) > 1
    assert not any("waiting" in line or "apimart: " in line for line in shown.lines if "note: " not in line)
    moving = [line for line in shown.text.split("\r") if " waiting for " in line]
    assert all(len(line.removesuffix("\x1b[K")) < 60 for line in moving)


def test_progress_is_shown_where_the_lines_go_elsewhere(spawn: Spawn, serve: Serve, tmp_path: Path) -> None:
    """The terminal is empty without it."""
    child = spawn("bash", "-c", "apimart balance --json > answer", env=connected(serve(latency=1.3)))
    assert "waiting for 127.0.0.1:" in read(child).written
    assert "answered" not in (tmp_path / "answer").read_text()


INVITATIONS = {
    "FORCE_COLOR": "", "CLICOLOR_FORCE": "1", "PY_COLORS": "1", "GITHUB_ACTIONS": "true", "CI": "true",
    "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "20",
    "LINES": "5",
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "term"), [("balance --scope both", "dumb"), ("check --min 50 --scope key", "")])
def test_a_pipe_is_coloured_where_that_is_forced(run: Run, sandbox: Sandbox, arguments: str, term: str) -> None:
    """CI logs show colours. Without the escapes the text is the same, and no width limits it."""
    plain = run(*arguments.split(), env=connected(sandbox))
    coloured = run(*arguments.split(), env={**connected(sandbox), "FORCE_COLOR": "1", "TERM": term})
    assert "\x1b[" in coloured.stdout
    assert coloured.returncode == plain.returncode
    without = re.sub(r"\x1b\[[0-9;]*m", "", coloured.stdout)
    assert [line.rstrip() for line in without.splitlines()] == plain.stdout.splitlines()


@pytest.mark.parametrize("arguments", ["balance --scope both", "check --min 50 --scope key"])
def test_a_pipe_gets_plain_text_whatever_the_environment_invites_to(run: Run, serve: Serve, arguments: str) -> None:
    """Not a terminal: no escape sequences and no width limit, and the same bytes everywhere."""
    env = connected(serve(**LONG))
    plain = run(*arguments.split(), env=env)
    assert "\x1b" not in plain.stdout
    assert "12345678901234.123456" in plain.stdout
    for variables in ({}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}):
        invited = run(*arguments.split(), env={**env, **INVITATIONS, **variables})
        assert (invited.returncode, invited.stdout, invited.stderr) == (plain.returncode, plain.stdout, plain.stderr)


@pytest.mark.parametrize("arguments", ["check --help", "check --min nonsense"])
def test_help_and_messages_in_a_pipe_are_plain(run: Run, arguments: str) -> None:
    """Help and messages have no escape sequences either, when everything invites to them at once."""
    ended = run(*arguments.split(), env={**INVITATIONS, "FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert ended.stdout + ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr


LOCALES = [
    ("balance --scope both", 0, {"LANG": "C", "PYTHONIOENCODING": "ascii"}, "ascii"),
    ("balance --scope both", 0, {"PYTHONIOENCODING": "latin-1"}, "latin-1"),
    ("balance --scope both", 0, {"LANG": "C"}, "utf-8"),
    ("check", 3, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "ascii"),
    ("check", 3, {"PYTHONIOENCODING": "cp1252"}, "cp1252"),
    ("check --json", 3, {"LANG": "C", "PYTHONIOENCODING": "ascii"}, "ascii"),
    ("check --json", 3, {"PYTHONIOENCODING": "utf-8:strict"}, "utf-8"),
]
PROFILE = 'default_profile = "grün"\n[profiles."grün"]\nunit = "€"\napi_key = "{key}"\nmin = 50\n'


@pytest.mark.parametrize(("arguments", "code", "variables", "encoding"), LOCALES)
def test_the_same_answer_in_every_locale(
    command: str, environment: Mapping[str, str], sandbox: Sandbox, write_config: Write, arguments: str,
    code: int, variables: Mapping[str, str], encoding: str,
) -> None:  # fmt: skip
    """ASCII, Latin-1 or UTF-8: the same exit code and amounts, in bytes that the locale can read."""
    write_config(PROFILE.format(key=KEY))
    ended = subprocess.run(
        [command, *arguments.split()], env={**environment, "APIMART_BASE_URL": sandbox.url, **variables},
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    answer = ended.stdout.decode(encoding)
    assert (ended.returncode, ended.stderr) == (code, b"")
    assert "10.5" in answer
    assert "\ufffd" not in answer


def test_foreign_names_in_messages_do_not_break_an_ascii_terminal(run: Run) -> None:
    """What a message quotes is written with escapes where the locale lacks its characters."""
    ended = run("balance", "--profile", "日本", env={"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 2
    assert "\\u65e5\\u672c" in ended.stderr


NOTE = "apimart: note: the key's quota is unlimited; the account's own balance was not looked at"


def test_a_comment_on_an_unlimited_key_is_for_the_person(
    spawn: Spawn, show: Show, run: Run, serve: Serve, tmp_path: Path
) -> None:
    """It goes to standard error, and nowhere when quiet was asked for, when the verdict is no pass, or in a log."""
    env = connected(serve(key=Funds(None, Decimal(2))))
    check = "check --min 5 --scope key"
    shown = read(spawn("bash", "-c", f"apimart {check} > answer", columns=120, env=env), 120)
    assert shown.lines[0] == NOTE
    assert (tmp_path / "answer").read_text() == "PASS default/key: unlimited quota, at least 5 required\n"
    for options in ("--quiet", "--on-unlimited fail"):
        assert "note" not in show(*f"{check} {options}".split(), env=env).text
    assert "note" not in run(*check.split(), env=env).stderr


def typed_at_the_prompt(child: "pexpect.spawn[bytes]", keys: bytes, columns: int = 80) -> Shown:
    """Press keys where a key is asked for, and look at the end."""
    child.expect_exact("API key: ")
    assert child.waitnoecho(40)
    child.send(keys)
    return read(child, columns)


def test_a_key_typed_at_the_prompt_is_not_shown(spawn: Spawn, sandbox: Sandbox) -> None:
    """`--api-key -` at a terminal asks for the key and does not echo it."""
    child = spawn("apimart", "balance", "--api-key", "-", env={"APIMART_BASE_URL": sandbox.url})
    shown = typed_at_the_prompt(child, f"{KEY}\n".encode())
    assert shown.code == 0
    assert "10.5" in shown.text
    assert not any(KEY[start : start + 8] in shown.text for start in range(len(KEY) - 7))


def test_the_prompt_does_not_mix_with_the_answer(spawn: Spawn, sandbox: Sandbox, tmp_path: Path) -> None:
    """With standard output redirected, the question still goes to the terminal, and the answer to the file."""
    child = spawn("bash", "-c", "apimart balance --api-key - -o value > answer", env={"APIMART_BASE_URL": sandbox.url})
    assert typed_at_the_prompt(child, f"{KEY}\n".encode()).code == 0
    assert (tmp_path / "answer").read_text() == "10.5\n"


@pytest.mark.parametrize(
    ("typed", "complaint"), [(b"\x04", "is empty"), (b"\r", "is empty"), (b"sk-\xff\xfe\r", "not printable ASCII")]
)
def test_what_is_no_key_is_refused_at_the_prompt(spawn: Spawn, sandbox: Sandbox, typed: bytes, complaint: str) -> None:
    """Ctrl-D, an empty line, and bytes that are no text: exit 4 and a reason, nothing sent."""
    child = spawn("apimart", "balance", "--api-key", "-", columns=200, env={"APIMART_BASE_URL": sandbox.url})
    shown = typed_at_the_prompt(child, typed, 200)
    assert shown.code == 4
    assert re.search(f"apimart: error: the API key from standard input .*{complaint}", shown.text)
