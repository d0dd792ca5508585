"""Write the manual page beside this file: run `python3 man/generate.py` where apimart is installed.

Commands and options are those of the program's own help; the tables of exit codes and variables are those of the
documentation, which the tests compare with the program. With `--check` nothing is written; exit code 1 tells that the
page is not what it would be. The date in it is that of the last change.
"""

import datetime
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
import typer.main

from apimart_cli.cli import app
from apimart_cli.commands import Group, split_help

HERE = Path(__file__).parent
PAGE = HERE / "apimart.1"

HEAD = """\
.Dt APIMART 1
.Os
.Sh NAME
.Nm apimart
.Nd balance of an APIMart API key, for people and scripts
.Sh SYNOPSIS
.Nm
.Ar command
.Op options
"""


def page() -> Iterator[str]:
    """Yield the lines of the page after its date."""
    root = typer.Context(typer.main.get_command(app), info_name="apimart")
    yield HEAD.rstrip("\n")
    yield ".Sh DESCRIPTION"
    yield from _command(root)
    yield ".Sh COMMANDS"
    for context in _contexts(root):
        yield f".Ss {context.command_path}"
        yield from _command(context)
    yield ".Sh ENVIRONMENT"
    yield from _table("docs/configuration.md", "variable", ".Ev")
    yield ".Sh FILES"
    yield from _text("The config file is config.toml in the configuration folder of the platform.")
    yield from _text("`apimart config path` prints where.")
    yield ".Sh EXIT STATUS"
    yield from _table("README.md", "code", ".It")


def _contexts(parent: typer.Context) -> Iterator[typer.Context]:
    """Yield every command below `parent`, each before those below it."""
    command: Any = parent.command
    for name in command.list_commands(parent):
        context = typer.Context(command.get_command(parent, name), info_name=name, parent=parent)
        yield context
        if isinstance(context.command, Group):
            yield from _contexts(context)


def _command(context: typer.Context) -> Iterator[str]:
    """Yield what one command does, its examples, its options, and the rest of its help."""
    before, after = split_help(context.command.help)
    yield from _paragraphs(before)
    parameters = [parameter for parameter in context.command.get_params(context) if "--help" not in parameter.opts]
    if parameters:
        yield ".Bl -tag -width Ds"
        for parameter in parameters:
            yield f".It {_name(parameter, context)}"
            yield from _text(_meaning(parameter))
        yield ".El"
    if after:
        yield ".Pp"
    yield from _paragraphs(after)


def _paragraphs(paragraphs: Sequence[str]) -> Iterator[str]:
    is_first = True
    for paragraph in paragraphs:
        if paragraph.startswith(" "):
            yield ".Bd -literal -offset indent"
            yield from (_escaped(line.strip()) for line in paragraph.strip().splitlines())
            yield ".Ed"
        else:
            if not is_first:
                yield ".Pp"
            yield from _text(" ".join(paragraph.split()))
        is_first = paragraph.startswith(" ")


def _name(parameter: Any, context: typer.Context) -> str:
    """Return an option or argument as the macros write it: `Fl p , Fl -profile Ar NAME`."""
    if parameter.param_type_name == "argument":
        return f"Ar {_escaped(parameter.metavar.strip('[]'))}"
    flags = " , ".join(f"Fl {_escaped(spelling.removeprefix('-'))}" for spelling in sorted(parameter.opts, key=len))
    if parameter.is_flag:
        return flags
    # Versions of Typer differ in the brackets around choices.
    shown = parameter.get_help_record(context)[0].rpartition(", ")[2]
    value = shown.partition(" ")[2].strip("<>[]").replace("|", " | ")
    return f"{flags} Ar {_escaped(value)}"


def _meaning(parameter: Any) -> str:
    default = getattr(parameter.default, "value", parameter.default)
    shown = parameter.param_type_name == "option" and parameter.show_default and not parameter.is_flag
    return f"{parameter.help} Default: {default}." if shown and default is not None else str(parameter.help)


def _table(name: str, first: str, macro: str) -> Iterator[str]:
    """Yield a table of the documentation as a list."""
    lines = (HERE.parent / name).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    yield ".Bl -tag -width Ds"
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        names, *_, meaning = [cell.strip() for cell in line.strip("|").split(" | ")]
        words = " , ".join(_escaped(word) for word in names.replace("`", "").split(", "))
        yield f".It {'' if macro == '.It' else macro[1:] + ' '}{words}"
        yield from _text(f"{meaning[0].upper()}{meaning[1:]}.")
    yield ".El"


def _text(text: str) -> Iterator[str]:
    """Yield running text, each sentence on lines of its own, as the formatters want it."""
    import textwrap

    for sentence in re.split(r"(?<=[.?!]) ", text.replace("`", "")):
        for line in textwrap.wrap(sentence, 76, break_long_words=False, break_on_hyphens=False):
            yield _escaped(line)


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def main() -> int:
    """Write the page, or check it; return the exit code."""
    text = "\n".join(page()) + "\n"
    kept = PAGE.read_text(encoding="utf-8").partition("\n")[2] if PAGE.exists() else ""
    if kept == text:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stderr.write("apimart.1 is stale: run python3 man/generate.py\n")
        return 1
    today = datetime.datetime.now(datetime.UTC)
    PAGE.write_text(f".Dd {today:%B} {today.day}, {today.year}\n{text}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
