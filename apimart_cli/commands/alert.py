"""`apimart alert test`: try the command of an alert."""

from typing import Annotated

import typer

from apimart_cli.choices import AlertEvent
from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import OneProfile, value_option
from apimart_cli.errors import CommandStatus, ExitCode, UsageError

app = new_app()

FAILED = 1
"""The exit status where the command could not be run, or failed."""


@app.callback()
def alert() -> None:
    """Try the command that tells you that a balance is low.

        apimart alert test
        apimart alert test -p work --event recovered

    No gateway is asked, and nothing is recorded.
    """


@app.command("test", cls=Command)
def try_(
    profile: OneProfile = None,
    event: Annotated[AlertEvent, typer.Option("--event", help="What the command is told.")] = AlertEvent.LOW,
    on_low: Annotated[
        str | None, value_option("--on-low", "COMMAND", "Try this command, not that of the config file.")
    ] = None,
) -> CommandStatus | ExitCode:
    """Run the command of an alert once, with made-up amounts.

        apimart alert test
        apimart alert test --event stopped -p work
        apimart alert test --on-low 'mail -s low you@example.com'

    It is run as an alert would run it: on_low, on_recover or on_stop of the config file, with the same variables and
    JSON, and one more variable that says that it is a test. What it prints is shown. No gateway is asked, and nothing
    is recorded: the next real alert comes as if nothing had been tried.

    Exit codes: 0 it ended with 0, 1 it failed or could not be run, 2 wrong options, or no such command.
    """
    import os

    from apimart_cli.config.doubts import doubt_of
    from apimart_cli.config.held_keys import keys_at_hand
    from apimart_cli.config.precedence import resolve
    from apimart_cli.config.settings import Options
    from apimart_cli.readings.alert_command import COMMAND_OF, try_command
    from apimart_cli.screen.writing import write_answer, write_error, write_note, write_warning
    from apimart_cli.words import ScopeChoice

    if on_low is not None and event is not AlertEvent.LOW:
        raise UsageError(f"--on-low is not run for the event {event}", f"leave it out, or set {COMMAND_OF[event]}")
    options = Options(profiles=() if profile is None else (profile,), on_low=on_low)
    [settings] = resolve(options, default_scope=ScopeChoice.SPENDABLE)
    command = getattr(settings, COMMAND_OF[event]).value
    if (doubt := doubt_of(COMMAND_OF[event], command)) is not None:
        write_warning(doubt.message, doubt.hint)
    tried = try_command(settings, event, keys_at_hand(settings, os.environ))
    ending = "ended with exit code 0" if tried.fault is None else tried.fault
    write_answer(
        "".join(
            f"{line}\n" for line in (f"{event}: {tried.subject} {ending}", *(f"> {line}" for line in tried.printed))
        )
    )
    if tried.fault is not None:
        write_error(f"the alert command {tried.fault}", tried.hint or "correct it, and try again")
        return CommandStatus(FAILED)
    if on_low is None and event is not AlertEvent.STOPPED and not settings.has_alerts:
        write_note(
            "by itself it is never run: there is neither min nor min_runway", "set one: apimart config set min 5"
        )
    return ExitCode.OK
