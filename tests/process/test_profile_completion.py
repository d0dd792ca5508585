"""Completion of profile names: from the config file, in real shells, and never more than names."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.programs import need
from support.running import KEY, Run, Write, run_program

pytestmark = [pytest.mark.measured, pytest.mark.usefixtures("quick_path")]

# Each shell loads apimart's script as a user's start file would, and completes one line that ends where the cursor is.
BASH = """
eval "$(_APIMART_COMPLETE=source_bash apimart)"
COMP_WORDS=({words} {last})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_apimart_completion apimart
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# What zsh itself does with the choices in double parentheses is to evaluate them; so does this stand-in for it.
ZSH = """
compdef() {{ :; }}
_files() {{ :; }}
_arguments() {{ eval "offered=( ${{${{1#*\\(\\(}}%\\)\\)}} )"; print -rl -- $offered; }}
eval "$(_APIMART_COMPLETE=source_zsh apimart)"
words=({words} {last}) CURRENT={count}
_apimart_completion
"""
FISH = """
_APIMART_COMPLETE=source_fish apimart | source
complete --do-complete {line}
"""


def _bash(words: list[str]) -> list[str]:
    *before, last = words
    return ["bash", "--norc", "-c", BASH.format(words=shlex.join(before), last=shlex.quote(last))]


def _zsh(words: list[str]) -> list[str]:
    *before, last = words
    script = ZSH.format(words=shlex.join(before), last=shlex.quote(last), count=len(words))
    return ["zsh", "-f", "-c", script]


def _fish(words: list[str]) -> list[str]:
    return ["fish", "--no-config", "-c", FISH.format(line=shlex.quote(" ".join(words)))]


SHELLS: Mapping[str, Callable[[list[str]], list[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

Complete = Callable[..., list[str]]


@pytest.fixture
def complete(environment: Mapping[str, str], tmp_path: Path) -> Complete:
    """Complete a line in a real shell: `complete("zsh", "apimart", "check", "-p", "w")` gives what is offered."""

    def ask(shell: str, *words: str) -> list[str]:
        need(shell)
        env = {**environment, "XDG_DATA_HOME": str(tmp_path)}
        ended = run_program(SHELLS[shell](list(words)), env=env, cwd=tmp_path)
        assert ended.stderr == ""
        return ended.stdout.splitlines()

    return ask


FILE = f"""
[profiles.work]
api_key = "{KEY}"
[profiles.workshop]
[profiles.client-2]
[profiles."ключ"]
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("balance --profile wo", ["work", "workshop"]),
        ("config get mi", ["min", "min_runway"]),
        ("config set scope b", ["both"]),
        ("config set default_profile cl", ["client-2"]),
    ],
)
def test_a_shell_offers_the_profiles_of_the_file(
    complete: Complete, write_config: Write, shell: str, line: str, offered: list[str]
) -> None:
    """Those that begin with what is typed."""
    write_config(FILE)
    assert complete(shell, "apimart", *line.split()) == offered


@pytest.mark.parametrize(("shell", "prefix"), [("bash", ""), ("zsh", "--profile="), ("fish", "--profile=")])
def test_a_shell_completes_after_an_equals_sign(
    complete: Complete, write_config: Write, shell: str, prefix: str
) -> None:
    """Bash takes the word apart and replaces its end, the others replace the whole word."""
    write_config(FILE)
    words = ("--profile", "=", "wor") if shell == "bash" else ("--profile=wor",)
    assert complete(shell, "apimart", "balance", *words) == [f"{prefix}work", f"{prefix}workshop"]


@pytest.mark.parametrize(("shell", "inserted"), [("bash", "my\\ client"), ("zsh", "my client"), ("fish", "my client")])
@pytest.mark.parametrize("typed", ["m", "my\\ c"])
def test_a_profile_with_a_space_is_one_word(
    complete: Complete, write_config: Write, shell: str, inserted: str, typed: str
) -> None:
    """Bash inserts what it is given as it is; zsh and fish quote it themselves."""
    write_config("[profiles.'my client']\n[profiles.work]\n")
    assert complete(shell, "apimart", "balance", "--profile", typed) == [inserted]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_never_runs_what_a_name_says(
    complete: Complete, write_config: Write, tmp_path: Path, shell: str
) -> None:
    """Names that a shell would evaluate are not offered."""
    write_config(
        f"""
        [profiles.w]
        [profiles.'w$(touch {tmp_path}/pwned)']
        [profiles.'w\\$(touch {tmp_path}/pwned)']
        [profiles.'w`touch {tmp_path}/pwned`']
        [profiles."w'; touch {tmp_path}/pwned; '"]
        [profiles.'w"; touch {tmp_path}/pwned; "']
        [profiles."w\\nw"]
        """
    )
    assert complete(shell, "apimart", "balance", "--profile", "w") == ["w"]
    assert not (tmp_path / "pwned").exists()


def offered(run: Run, line: str, env: Mapping[str, str] | None = None) -> tuple[list[str], str]:
    """What bash is told for a line, and what was written to standard error."""
    words = line.split(" ")
    variables = {"_APIMART_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ended = run(env={**variables, **(env or {})})
    return ended.stdout.split(), ended.stderr


@pytest.mark.parametrize(
    "line",
    [
        "apimart balance --profile work --profile ",
        "apimart config set min 5 --profile ",
        "apimart logout -p ",
    ],
)
def test_every_command_with_a_profile_completes_it(run: Run, write_config: Write, line: str) -> None:
    """All of them, where nothing is typed yet."""
    write_config(FILE)
    assert offered(run, line) == (["work", "workshop", "client-2", "ключ"], "")


@pytest.mark.parametrize("text", ["", "[profiles.work", "\x00"])
def test_a_file_that_cannot_be_read_offers_nothing_and_says_nothing(run: Run, write_config: Write, text: str) -> None:
    """The prompt is no place for an error."""
    write_config(text)
    assert offered(run, "apimart balance --profile ") == ([], "")


def test_a_file_that_is_not_there_offers_nothing_and_says_nothing(run: Run, tmp_path: Path) -> None:
    """Neither the usual one nor one that is named."""
    assert offered(run, "apimart balance --profile ") == ([], "")
    named = {"APIMART_CONFIG": str(tmp_path / "missing.toml")}
    assert offered(run, "apimart balance --profile ", named) == ([], "")
    assert offered(run, "apimart balance --profile ", {"APIMART_CONFIG": ""}) == ([], "")


def test_a_file_with_mistakes_still_offers_its_profiles(run: Run, write_config: Write) -> None:
    """They are what one needs to mend it: `apimart config unset … --profile <TAB>`."""
    write_config("timout = 5\n[profiles.work]\nmni = 5\n")
    assert offered(run, "apimart config unset min --profile ") == (["work"], "")
