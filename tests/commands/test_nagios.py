"""`nagios` in this process: what it asks, holds balances to, prints and ends with."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from apimart_cli import __version__
from apimart_cli.sandbox.scenario import Fault
from apimart_cli.sandbox.server import Sandbox
from support.past import write_past
from support.running import KEY, Call, Called, Serve, Write, connected

NOBODY = "http://127.0.0.1:9"


def ends(ended: Called, code: int, line: str) -> bool:
    """Whether it ended with this status, and this line is all it said."""
    assert (ended.code, ended.stderr) == (code, ""), ended.stdout
    assert ended.stdout.partition(" | ")[0].rstrip("\n") == f"APIMART {line}"
    assert ended.stdout.count("\n") == 1
    return True


LEFT = "default/spendable 10.5 left (limited by key)"


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        ("--warning 10.5: --critical 10.5:", 0, f"OK - {LEFT}"),
        ("-w 10.51: -c 5:", 1, f"WARNING - {LEFT}, warning: at least 10.51 required"),
        ("-w 20: -c 10.51:", 2, f"CRITICAL - {LEFT}, critical: at least 10.51 required"),
        ("-c @10:11", 2, f"CRITICAL - {LEFT}, critical: not 10 to 11 required"),
        ("-c 20: --scope account", 0, "OK - default/account 100.0 left"),
        (
            "-c 20: --scope both",
            2,
            "CRITICAL - default/key 10.5 left, critical: at least 20 required. default/account 100.0 left",
        ),
    ],
)
def test_a_balance_is_held_to_the_ranges(call: Call, sandbox: Sandbox, options: str, code: int, line: str) -> None:
    """Exactly, on standard output, and nothing on standard error."""
    assert ends(call("nagios", *options.split(), env=connected(sandbox)), code, line)


@pytest.mark.parametrize(("fault", "code", "word"), [
    (Fault.UNAUTHORIZED, 2, "rejected the API key"), (Fault.PAYMENT_REQUIRED, 2, "HTTP 402"),
    (Fault.SERVER_ERROR, 3, "HTTP 5"), (Fault.HTML, 1, "cannot be trusted"),
])  # fmt: skip
def test_a_balance_that_is_not_to_be_had_is_never_ok(
    call: Call, serve: Serve, fault: Fault, code: int, word: str
) -> None:
    """UNKNOWN, or what --unavailable says; HTTP 402 is CRITICAL whatever it says. The reason and a hint are told."""
    state = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[code]
    chosen = "unknown" if fault is Fault.PAYMENT_REQUIRED else state.lower()
    ended = call("nagios", "-c", "5:", "-t", "0.8", "--unavailable", chosen, env=connected(serve(fault=fault)))
    assert (ended.code, ended.stderr) == (code, "")
    assert ended.stdout.startswith(f"APIMART {state} - default/spendable {state.lower()}: ")
    assert word in ended.stdout
    assert ended.stdout.endswith(")\n")
    assert "|" not in ended.stdout


@pytest.mark.parametrize("env", [{}, {"APIMART_API_KEY": "sk- bad"}])
def test_a_key_that_is_missing_is_a_balance_that_is_not_to_be_had(call: Call, env: dict[str, str]) -> None:
    """For a single profile as among several."""
    ended = call("nagios", "-c", "5:", env={"APIMART_BASE_URL": NOBODY, **env})
    assert (ended.code, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith("APIMART UNKNOWN - default/spendable unknown: ")
    assert call("nagios", "-c", "5:", "--unavailable", "critical", env={"APIMART_BASE_URL": NOBODY, **env}).code == 2


def profiles(sandbox: Sandbox, **lines: str) -> str:
    """A config file whose profiles have these lines."""
    return "".join(
        f'[profiles.{name}]\napi_key = "{KEY}"\nbase_url = "{sandbox.url}"\n{more}\n' for name, more in lines.items()
    )


@pytest.mark.parametrize(("line", "options", "code"), [
    ("min = 10.5", "", 0), ("min = 10.51", "", 2), ("min = 10.51", "-w 1:", 2), ("min = 10.51", "-c 1:", 0),
    ("max_used = 2.29", "-c 1:", 2), ('min_runway = "3d"', "-c 1:", 3), ('min_runway = "3d"', "--no-forecast ok", 0),
    ('min_runway = "3d"', "--runway-critical 1d --no-forecast warning", 1),
])  # fmt: skip
def test_what_the_profile_asks_for_is_critical(
    call: Call, sandbox: Sandbox, write_config: Write, line: str, options: str, code: int
) -> None:
    """Unless an option says otherwise; what `check` would stop at is never OK here without one."""
    write_config(profiles(sandbox, work=line))
    ended = call("nagios", *options.split())
    assert (ended.code, ended.stderr) == (code, ""), ended.stdout


def test_without_any_threshold_nothing_is_asked(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """UNKNOWN, with what to give; also where one of several profiles has none."""
    write_config(profiles(sandbox, work="min = 5", idle=""))
    hint = (
        "give -w, -c, --runway-warning, --runway-critical or --max-spent, or set min in the profile; like: -w 10: -c 5:"
    )
    for options in (["-p", "idle"], ["--all-profiles"]):
        assert ends(call("nagios", *options), 3, f"UNKNOWN - profile idle has no threshold to check ({hint})")
    assert ends(call("nagios", env={"APIMART_CONFIG": "/dev/null", **connected(sandbox)}), 3,
                f"UNKNOWN - there is no threshold to check ({hint})")  # fmt: skip


def test_several_profiles_have_one_line(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """The worst of them decides, and comes first; each is held to its own minimum."""
    gone = f'[profiles.gone]\napi_key = "{KEY}"\nbase_url = "{NOBODY}"\nmin = 1\n'
    write_config(profiles(sandbox, a='min = 5\nunit = "USD"', b="min = 20") + gone)
    ended = call("nagios", "--all-profiles", "-t", "1")
    assert (ended.code, ended.stderr) == (2, "")
    assert ended.stdout.startswith(
        "APIMART CRITICAL - b/spendable 10.5 left (limited by key), critical: at least 20 required. gone/"
    )
    assert ended.stdout.endswith(
        ". a/spendable 10.5 USD left (limited by key) | 'a_spendable_remaining'=10.5;;5:;0 'a_spendable_used'=2.3;;;0 "
        "'b_spendable_remaining'=10.5;;20:;0 'b_spendable_used'=2.3;;;0\n"
    )
    more = call("nagios", "--all-profiles", "-t", "1", "-v")
    assert (more.code, more.stdout.partition(" | ")[0]) == (2, ended.stdout.partition(" | ")[0])
    assert "\na/spendable: ok, asked of " in more.stdout
    assert call("nagios", "-p", "a", "-p", "gone", "-t", "1").code == 3


def test_a_profile_that_is_named_twice_is_asked_once(call: Call, sandbox: Sandbox, write_config: Write) -> None:
    """It has one place in the line, and one label."""
    write_config(profiles(sandbox, a=""))
    assert ends(call("nagios", "-c", "5:", "-p", "a", "-p", "a"), 0, "OK - a/spendable 10.5 left (limited by key)")


@pytest.fixture
def ledger(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger in which 0.25 a day was spent for eight days, and the variables that ask the sandbox."""
    path = tmp_path / "history.db"
    write_past(path, sandbox.url.removeprefix("http://"), days=8, spent_per_day="0.25")
    for name, value in {**connected(sandbox), "APIMART_HISTORY": f"{path}", "APIMART_RECORD": "1"}.items():
        monkeypatch.setenv(name, value)
    return path


@pytest.mark.parametrize(
    ("options", "code", "state"),
    [("--runway-critical 41d", 0, "OK"), ("--runway-critical 42d10h", 3, "UNKNOWN"),
     ("--runway-warning 50d", 1, "WARNING"), ("--runway-critical 50d --runway-warning 60d", 2, "CRITICAL")],
)  # fmt: skip
def test_the_runway_is_told_from_the_ledger(call: Call, ledger: Path, options: str, code: int, state: str) -> None:
    """In the data it stands in seconds, with its own thresholds; without a range nothing else is judged."""
    ended = call("nagios", "--scope", "key", *options.split())
    assert (ended.code, ended.stderr) == (code, "")
    assert ended.stdout.startswith(f"APIMART {state} - ")
    if code != 3:
        assert "lasts about" in ended.stdout
        # All days are alike: 10.5 at 0.25 a day is 42 days, less what passed since the past was written.
        seconds = int(ended.stdout.partition("'default_key_runway'=")[2].partition("s;")[0])
        assert 41 * 86_400 < seconds <= 42 * 86_400


def test_the_line_is_the_last_thing_that_happens(call: Call, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """After all that can take time: a signal that came after it would add a second line, and end with 3."""
    done: list[str] = []
    monkeypatch.setattr("apimart_cli.readings.take.record", lambda *_, **__: done.append("recorded"))
    monkeypatch.setattr("apimart_cli.screen.writing.write_answer", lambda _text: done.append("told"))
    assert call("nagios", "-c", "5:", env={**connected(sandbox), "APIMART_RECORD": "1"}).code == 0
    assert done == ["recorded", "told"]


def test_a_ledger_that_cannot_be_written_changes_nothing(call: Call, ledger: Path, tmp_path: Path) -> None:
    """No word of it is said: a monitoring system would take standard error for the answer."""
    ended = call("nagios", "-c", "5:", env={"APIMART_HISTORY": f"{tmp_path}"})
    assert ends(ended, 0, "OK - default/spendable 10.5 left (limited by key)")


def test_a_runway_that_is_let_pass_is_seen_to_be_unknown(call: Call, sandbox: Sandbox, tmp_path: Path) -> None:
    """Where nothing can be recorded, it stays so for ever: nobody is to take this OK for a runway that is long."""
    env = {**connected(sandbox), "APIMART_HISTORY": f"{tmp_path}/missing/folder"}
    ended = call("nagios", "-c", "5:", "--runway-warning", "7d", "--no-forecast", "ok", env=env)
    assert ends(ended, 0, "OK - default/spendable 10.5 left (limited by key), no history")


def test_a_history_that_cannot_be_read_is_no_pass(call: Call, ledger: Path) -> None:
    """Also where too little history would be one."""
    ledger.write_bytes(ledger.read_bytes()[:100] + b"\0" * 4000)
    ended = call("nagios", "--runway-critical", "1d", "--no-forecast", "ok")
    assert (ended.code, "the history cannot be read" in ended.stdout) == (3, True)


@pytest.mark.parametrize("options", ["--help", "-h", "--version", "-V"])
def test_help_and_version_are_unknown(call: Call, options: str) -> None:
    """As for every plugin: nothing was looked at."""
    ended = call("nagios", options, "-c", "5:")
    assert (ended.code, ended.stderr) == (3, "")
    assert ended.stdout.startswith("Usage: apimart nagios" if "h" in options else f"apimart {__version__}\n")


@pytest.mark.parametrize(("arguments", "message"), [
    ("nagios -c five", "--critical: 'five' is not a range"),
    ("nagios -c", "requires an argument"), ("nagios -c 5: extra", "extra"),
    ("nagios -c 5: -t 0", "--timeout"), ("nagios -c 5: --unavailable ok", "unavailable"),
    ("nagios -c 5: -p nobody", "nobody"),
    ("nagios --runway-warning 7", "--runway-warning: '7' has no unit"),
    ("nagios -c 5: --all-profiles", "no profile"), ("--nonsense nagios -c 5:", "No such option"),
    ("-c 5: nagios", "-c"),
    ("--timeout 5 nagios -c 5:", "--timeout is no option of apimart"),
])  # fmt: skip
def test_a_mistake_on_the_command_line_is_unknown(call: Call, arguments: str, message: str) -> None:
    """One line on standard output, that says what is wrong and what to do."""
    ended = call(*arguments.split(), env={"APIMART_API_KEY": KEY, "APIMART_BASE_URL": NOBODY})
    assert (ended.code, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith("APIMART UNKNOWN - ")
    assert message in ended.stdout
    assert ended.stdout.endswith(")\n")


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[profiles", 0o600),
        ("min = 'x'", 0o600),
        ('"a|b" = 1', 0o600),
        ("[profiles.'|']\nmin = []", 0o600),
        (f'[profiles.work]\napi_key = "{KEY}"\nmin = 5\n', 0o644),
    ],
)
def test_a_broken_config_file_is_unknown(
    call: Call, sandbox: Sandbox, write_config: Write, text: str, mode: int
) -> None:
    """Whatever is quoted from it; one with a key that others can read, too, as `check` refuses it."""
    write_config(text, mode=mode)
    env = connected(sandbox) if mode == 0o600 else {"APIMART_BASE_URL": sandbox.url}
    ended = call("nagios", "-c", "5:", env=env)
    assert (ended.code, ended.stderr, ended.stdout.count("\n")) == (3, "", 1)
    assert ended.stdout.startswith("APIMART UNKNOWN - ")
    assert "|" not in ended.stdout


@pytest.mark.parametrize("where", ["apimart_cli.rules.plugin.examine", "apimart_cli.output.nagios.render"])
@pytest.mark.parametrize("error", [ValueError("x | y"), SystemExit(0), KeyboardInterrupt()])
def test_a_bug_is_unknown(
    call: Call, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    """Whatever is raised, also what would end a process with 0."""
    monkeypatch.setattr(where, Mock(side_effect=error))
    ended = call("nagios", "-c", "5:", env=connected(sandbox))
    assert (ended.code, ended.stderr) == (3, "")
    assert isinstance(error, KeyboardInterrupt) or ended.stdout.startswith("APIMART UNKNOWN - a bug in apimart: ")


def test_debug_tells_on_standard_error(call: Call, sandbox: Sandbox) -> None:
    """The answer stays alone on standard output."""
    ended = call("nagios", "-c", "5:", "--debug", env=connected(sandbox))
    assert (ended.code, ended.stdout.count("\n")) == (0, 1)
    assert ended.stderr.startswith("apimart: debug: ")


def test_other_commands_keep_their_codes(call: Call, sandbox: Sandbox) -> None:
    """A profile of that name is no plugin."""
    assert call("check", "--min", "20", env=connected(sandbox)).code == 3
    assert call("check", "-p", "nagios", "--min", "20", env=connected(sandbox)).code == 2
    assert call("help", "nagios").code == 0
