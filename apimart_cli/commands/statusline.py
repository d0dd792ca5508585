"""`apimart statusline`: one line for prompts and bars, from the ledger. Neither the gateway nor a user is asked."""

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.choices import Preset
from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import BaseUrl, OneProfile
from apimart_cli.errors import ExitCode, OutputError
from apimart_cli.words import ScopeChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apimart_cli.config.settings import Options
    from apimart_cli.output.statusline import LineReader
    from apimart_cli.statusline import FoundStatus

app = new_app()


@app.command(cls=Command)
def statusline(
    profile: OneProfile = None,
    scope: Annotated[
        ScopeChoice | None,
        typer.Option(
            "--scope",
            help="Which balance: key (default; both shows it, too), account, or spendable, the smaller one.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="The line, with {remain}, {unit}, {lasts}, {profile}, {scope}, {used}, {age} and {host} in it. "
            "Default: {remain} {unit} {lasts}.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[Preset, typer.Option("--preset", help="What the line is for.")] = Preset.PLAIN,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="DURATION", help="An older line is refreshed in the background.")
    ] = "60s",
    base_url: BaseUrl = None,
    is_refresh: Annotated[bool, typer.Option("--refresh", hidden=True)] = False,
) -> ExitCode:
    """Print one line for a prompt or a bar, at once.

        apimart statusline
        apimart statusline --format '{remain} ({age})'
        apimart statusline --preset tmux --scope spendable

    The line is what was read before, by any command. When it is older than --max-age, the gateway is asked in the
    background, for the next line. Three times as old, the line shows its age; where nothing is known, a dash.

    Exit codes: 0 whatever is known, 1 internal error, 2 wrong options, 130 interrupted.
    """
    from apimart_cli.config.settings import Options
    from apimart_cli.config.values import parse_duration
    from apimart_cli.output.statusline import needs_forecast, render, template_of
    from apimart_cli.screen.writing import write_answer, write_error
    from apimart_cli.statusline import find_status
    from apimart_cli.target import parse_base_url

    read = template_of(template, preset)
    allowed = parse_duration(max_age, "--max-age", usual="s")
    if base_url is not None:
        parse_base_url(base_url, "--base-url")
    options = Options(profiles=() if profile is None else (profile,), scope=scope, base_url=base_url)
    now = datetime.now(UTC)
    if is_refresh:
        return _refresh(options)
    found = find_status(options, now, allowed, has_forecast=needs_forecast(read, preset))
    try:
        write_answer(render(found.status, read, preset, _reader()))
    except OutputError as error:
        # A full disk, for example, must not look like a prompt or a bar that failed.
        write_error(error.message)
    if found.is_due:
        # After the line is out, so that the bar does not wait for this.
        from apimart_cli.statusline import start_refresh

        found = start_refresh(found, options, now)
    _tell(found)
    return ExitCode.OK


def _reader() -> "LineReader":
    from apimart_cli.output.statusline import LineReader
    from apimart_cli.screen.writing import standard_output

    # starship sets this variable for the programs that it starts.
    return LineReader(standard_output().unicode, os.environ.get("STARSHIP_SHELL", "bash"))


def _refresh(options: "Options") -> ExitCode:
    """Do the work of the process in the background, which shows nothing."""
    from apimart_cli.statusline import GRACE, ledger_of, may_read_key, refresh, settings_of

    key = _given_key()
    if key:
        options = options._replace(api_key="-", read_standard_input=lambda _seconds: key)
    settings = settings_of(options)
    path = ledger_of(settings)
    if path is None or not may_read_key(settings):
        return ExitCode.OK
    with _ended_after(settings.timeout.value + 2 * GRACE):
        refresh(settings, path)
    return ExitCode.OK


def _given_key() -> str:
    """Return the key on standard input; an empty text if the profile says how to get it.

    The process that starts a refresh has already written the key, and closes its end of the pipe. We close ours.
    """
    with open(0, "rb", closefd=False) as pipe:
        key = "" if pipe.isatty() else pipe.read().decode()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return key


@contextmanager
def _ended_after(seconds: float) -> "Iterator[None]":
    """Let the system end the process silently if the block takes longer: a disk may hang for ever."""
    import signal

    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tell(found: "FoundStatus") -> None:
    """Tell a person at a terminal why the line does not say more."""
    from apimart_cli.screen.writing import is_terminal_error

    if is_terminal_error() and sys.stdout is not None and sys.stdout.isatty():
        from apimart_cli.screen.writing import write_note

        if found.note is not None:
            write_note(*found.note)
