"""The help on real terminals: it fits, and begins with what people look for."""

import re
from collections.abc import Sequence

import pyte
import pytest

from apimart_cli.cli import COMMANDS
from support.running import Call, Spawn

SUBCOMMANDS = (
    "profiles rename", "config show", "config path", "config get", "config set", "config unset", "config check",
    "history show", "history runs", "history export", "history import", "history path", "history clear",
)  # fmt: skip
PAGES = ("", *COMMANDS, *SUBCOMMANDS)


def _lines(call: Call, *arguments: str, columns: int) -> Sequence[str]:
    """Return what a terminal of that many columns shows; a line that does not fit becomes two on it."""
    ended = call(*arguments, columns=columns, env={"COLUMNS": str(columns)})
    # A plugin has looked at nothing then, and says so.
    expected = 3 if arguments[:1] == ("nagios",) else 0
    assert ended.code == expected, f"apimart {' '.join(arguments)} ended with {ended.code}: {ended.stdout!r}"
    screen = pyte.Screen(columns, 200)
    pyte.ByteStream(screen).feed(ended.stdout.encode())
    lines = [line.rstrip() for line in screen.display]
    assert "\n".join(lines).rstrip() == ended.stdout.replace("\r\n", "\n").rstrip(), (
        f"a line does not fit into {columns} columns: shorten an example in the docstring, or the name of an option"
    )
    return lines


@pytest.mark.parametrize(("page", "columns"), [*((page, 60) for page in PAGES), ("", 100), ("check", 100)])
def test_help_fits_and_begins_with_examples(page: str, columns: int, call: Call) -> None:
    """No line is broken by the terminal; after what a command does come two or three examples, then the options."""
    lines = _lines(call, *page.split(), "--help", columns=columns)
    text = "\n".join(lines)
    assert lines[0].startswith(f"Usage: apimart {page}".rstrip())
    docstring = f"the docstring of `apimart {page}`" if page else "the help of apimart in cli.py"
    examples = [line for line in lines if re.match(r" {4}apimart \w", line)]
    assert 2 <= len(examples) <= 3, (
        f"{docstring} has {len(examples)} examples and needs 2 or 3: lines of a paragraph of their own, indented by "
        f"four spaces, that begin with `apimart {page}`"
    )
    others = [line for line in examples if not line.startswith(f"    apimart {page}".rstrip())]
    assert not others, f"examples in {docstring} must begin with `apimart {page}`: {others}"
    assert lines.count("Options:") == 1, f"{docstring} must not have a line `Options:`; Typer writes it"
    assert lines.index(examples[-1]) < lines.index("Options:"), (
        f"examples in {docstring} must come before any paragraph that follows the first"
    )
    assert "--help" in text[text.index("Options:") :], (
        f"apimart {page} has lost its option --help: make its app with new_app"
    )


@pytest.mark.parametrize("page", ["balance", "check", "config show"])
def test_the_options_that_people_need_first_come_first(page: str, call: Call) -> None:
    """Profile, scope and output stand before everything else that is shared, the key on the command line last."""
    lines = _lines(call, *page.split(), "--help", columns=60)
    section = lines[lines.index("Options:") :]
    options = [
        match[1] for line in section[: section.index("")] if (match := re.match(r"  (?:-\w, )?(--[\w-]+)", line))
    ]
    known = [name for name in options if name in {"--profile", "--scope", "--output", "--timeout", "--api-key-file"}]
    expected = ["--profile", "--scope", "--output", "--timeout", "--api-key-file"]
    assert known == [name for name in expected if name in options], "put them in order in commands._FIRST"
    assert options[-2:] == ["--api-key", "--help"], "put what comes last in commands._LAST"


def test_the_first_page_names_what_a_newcomer_needs(spawn: Spawn) -> None:
    """The first step, the variables, and where the documentation is; a terminal has the width that it says."""
    child = spawn("apimart", "--help", columns=60)
    lines = child.read().decode().splitlines()
    child.close()
    assert 50 < max(map(len, lines)) <= 60
    text = " ".join(" ".join(lines).split())
    for needed in ("Start with: apimart login", "APIMART_API_KEY", "APIMART_PROFILE", "APIMART_CONFIG", "man apimart"):
        assert needed in text, f"the help of apimart itself (cli.py) must name: {needed}"


@pytest.mark.parametrize("arguments", [[], ["config"]])
def test_a_lost_word_does_not_look_like_success(call: Call, arguments: Sequence[str]) -> None:
    """Without a command nothing is on standard output, the help is on standard error, and the exit code is 2."""
    ended = call(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(" ".join(["Usage: apimart", *arguments]))
    assert "Commands:" in ended.stderr
