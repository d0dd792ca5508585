"""The documentation and `--help` agree: commands, options, values, choices, defaults and exit codes."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from apimart_cli import cli
from apimart_cli.errors import ExitCode
from support.pages import DOCUMENTATION, PAGES, Table, code_in, tables
from support.running import Help
from support.source import PACKAGE


class Option(NamedTuple):
    """An option as `--help` or a page shows it."""

    spellings: frozenset[str]
    value: str
    """The placeholder of its value, or nothing."""
    choices: frozenset[str]
    default: str | None


def section(help_text: str, title: str) -> list[list[str]]:
    """Return the entries of a section of `--help`, each as its name and its text."""
    section = re.search(rf"^{title}:\n((?:  .*\n)+)", help_text, re.MULTILINE)
    entries = re.split(r"^  (?! )", section[1], flags=re.MULTILINE)[1:] if section else []
    # A name that is too long for its column stands alone on its line.
    return [[part.strip() for part in re.split(r"  +|\n", entry, maxsplit=1)] for entry in entries]


def _commands(help_of: Help, parent: str = "") -> Iterator[str]:
    """Yield every command that does something, `config show` among them, as `--help` lists them."""
    subcommands = [entry[0] for entry in section(help_of(parent), "Commands")]
    for name in subcommands:
        yield from _commands(help_of, f"{parent} {name}".strip())
    has_options = _options_in_help(help_of(parent)) != {HELP}
    if parent and (not subcommands or has_options):
        yield parent


def _options_in_help(help_text: str) -> set[Option]:
    return {_option_in_help(name, " ".join(text.split())) for name, text in section(help_text, "Options")}


def _option_in_help(name: str, meaning: str) -> Option:
    *spellings, last = name.split(", ")
    last, _, value = last.partition(" ")
    # Versions of Typer differ in the brackets around choices.
    choices = re.fullmatch(r"[<\[](.+\|.+)[>\]]", value) or re.search(r"One of: ([^.]+)\.", meaning)
    default = re.search(r"\[default: ([^];]+)|Default: (\S+)\.$", meaning)
    return Option(
        spellings=frozenset({*spellings, last}),
        value="" if choices else value,
        choices=frozenset(re.split(r"\||, ", choices[1]) if choices else ()),
        default=(default[1] or default[2]) if default else None,
    )


def _option_on_page(row: Sequence[str]) -> Option:
    names, meaning = code_in(row[0]), row[1]
    placeholders = [name.partition(" ")[2] for name in names]
    default = re.search(r"default `([^`]+)`|`([^`]+)` \(default\)", meaning)
    # An option without a placeholder is a flag, or takes one of the words that its meaning shows.
    choices = [] if any(placeholders) else [word for word in code_in(meaning) if not word.startswith("-")]
    return Option(
        spellings=frozenset(name.partition(" ")[0] for name in names), value="".join(placeholders),
        choices=frozenset(choices), default=(default[1] or default[2]) if default else None,
    )  # fmt: skip


def _documented_options(command: str) -> set[Option]:
    """Return the rows of all tables whose heading names this command."""
    return {
        _option_on_page(row)
        for table in _tables_of_options()
        if command in code_in(table.heading)
        for row in table.rows
    }


def _tables_of_options() -> list[Table]:
    return [table for page in PAGES.values() for table in tables(page) if table.columns[0] == "option"]


COMMANDS = sorted({name for table in _tables_of_options() for name in code_in(table.heading)})
HELP = Option(frozenset({"--help", "-h"}), "", frozenset(), None)
"""Said once for all commands, in a sentence."""

LONGEST_SUMMARY = 60


def test_the_tables_of_options_name_every_command(help_of: Help) -> None:
    """Every command that has options has them on a page, and the pages have no command that is not there."""
    with_options = {name for name in _commands(help_of) if _options_in_help(help_of(name)) != {HELP}}
    assert set(COMMANDS) == {*with_options, "apimart"}


@pytest.mark.parametrize("parent", ["", "config", "history"])
def test_the_list_of_commands_cuts_no_sentence(parent: str, help_of: Help) -> None:
    """In a terminal of 80 columns `--help` shows what each command does in one whole sentence."""
    sentences = [" ".join(text.split()) for _, text in section(help_of(parent), "Commands")]
    assert len(sentences) >= 5
    for sentence in sentences:
        assert len(sentence) <= LONGEST_SUMMARY, sentence
        assert re.fullmatch(r"[A-Z][^.]+\.", sentence), sentence


@pytest.mark.parametrize("command", COMMANDS)
def test_the_tables_of_options_and_help_agree(command: str, help_of: Help) -> None:
    """Names, short names, values, choices and defaults on the pages are those of `--help`, none more, none less."""
    shown = _options_in_help(help_of("" if command == "apimart" else command))
    assert "Every command has `--help`, or `-h`." in " ".join(DOCUMENTATION.split())
    assert _documented_options(command) | {HELP} == shown


def test_the_front_door_knows_every_command_by_its_name_alone(help_of: Help) -> None:
    """A command is one file in `commands/` and one name in `cli.COMMANDS`, as CONTRIBUTING.md says."""
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - {
        "__init__", "completion", "formats", "history_runs", "mistakes", "option_records", "options",
    }  # fmt: skip
    assert set(cli.COMMANDS) == files
    assert [entry[0] for entry in section(help_of(""), "Commands")] == list(cli.COMMANDS)


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("check", set()),
        ("balance", {ExitCode.UNLIMITED, ExitCode.NO_FORECAST}),
        ("usage", {ExitCode.UNLIMITED, ExitCode.NO_FORECAST}),
    ],
)
def test_help_tells_every_exit_code(command: str, never: set[ExitCode], help_of: Help) -> None:
    """`--help` names each code that the command can end with."""
    [sentence] = re.findall(r"Exit codes:([^.]*)\.", help_of(command))
    assert [int(number) for number in re.findall(r"\b\d+\b", sentence)] == [
        code for code in ExitCode if code not in never
    ]
