"""`apimart sandbox`: a local gateway with a history of its own, for the time of a command or until Ctrl-C."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.completion import complete_command
from apimart_cli.errors import ApimartError, CommandStatus, ExitCode, UsageError, no_thread
from apimart_cli.sandbox.scenario import Fault, Funds, Move, Scenario
from apimart_cli.text import shell_word

if TYPE_CHECKING:
    from apimart_cli.sandbox.server import Sandbox


def _amount_option(name: str, help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="AMOUNT", help=help_text)
    return option


MOST_DAYS = 60
"""Most days of a made-up past."""

_MOVE_HELP = "{} so many seconds after the start, like 5@10; may be repeated."

app = new_app()


@app.command(cls=Command, context_settings={"allow_interspersed_args": False})
def sandbox(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND ...]",
            help="A command to run against the sandbox.",
            show_default=False,
            autocompletion=complete_command,
        ),
    ] = None,
    remain: Annotated[str, _amount_option("--remain", "What the key has left.")] = "10.5",
    used: Annotated[str, _amount_option("--used", "What the key has used.")] = "2.3",
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Give the key an unlimited quota.")] = False,
    account_remain: Annotated[str, _amount_option("--account-remain", "What the account has left.")] = "100.0",
    account_used: Annotated[str, _amount_option("--account-used", "What the account has used.")] = "25.5",
    burn: Annotated[str, _amount_option("--burn", "Spend this much every second.")] = "0",
    lag: Annotated[
        str, typer.Option("--lag", metavar="SECONDS", help="Book what is spent in batches, this far apart.")
    ] = "0",
    top_up: Annotated[
        list[str] | None,
        typer.Option("--top-up", metavar="AMOUNT@SECONDS", help=_MOVE_HELP.format("Add this"), show_default=False),
    ] = None,
    refund: Annotated[
        list[str] | None,
        typer.Option("--refund", metavar="AMOUNT@SECONDS", help=_MOVE_HELP.format("Give back"), show_default=False),
    ] = None,
    latency: Annotated[
        str, typer.Option("--latency", metavar="SECONDS", help="Wait this long before each answer.")
    ] = "0",
    fault: Annotated[
        Fault | None,
        typer.Option(
            "--fault",
            metavar="FAULT",
            help=f"Answer with this failure. One of: {', '.join(Fault)}.",
            show_default=False,
        ),
    ] = None,
    fault_after: Annotated[
        str, typer.Option("--fault-after", metavar="SECONDS", help="Begin to fail so long after the start.")
    ] = "0",
    fault_for: Annotated[
        str | None,
        typer.Option(
            "--fault-for", metavar="SECONDS", help="Fail for so long only. Default: to the end.", show_default=False
        ),
    ] = None,
    retry_after: Annotated[
        str,
        typer.Option("--retry-after", metavar="SECONDS", help="What a rate limit asks to wait, in whole seconds."),
    ] = "1",
    days: Annotated[
        str | None,
        typer.Option(
            "--days",
            metavar="N",
            help=f"Begin with a history of so many days; {MOST_DAYS} at most.",
            show_default=False,
        ),
    ] = None,
    books_only: Annotated[
        bool,
        typer.Option("--books-only", help="Keep the past of --days in the gateway's books alone, as on a new machine."),
    ] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
) -> ExitCode | CommandStatus:
    """Run a local gateway, to try things out.

        apimart sandbox -- apimart balance
        apimart sandbox --remain 3 -- ./deploy.sh
        apimart sandbox --fault timeout -- bash

    With a command: runs it with APIMART_BASE_URL, APIMART_API_KEY and APIMART_HISTORY set, and exits with its code.
    Without one: prints them as export lines and serves until Ctrl-C. Any well-formed key is accepted, from this machine
    only. The history is a temporary one, which is deleted at the end.
    """
    from apimart_cli.config.values import parse_amount, parse_whole_days
    from apimart_cli.sandbox.server import NoThreadError
    from apimart_cli.screen.writing import only_told

    scenario = Scenario(
        key=Funds(None if unlimited else parse_amount(remain, "--remain"), parse_amount(used, "--used")),
        account=Funds(parse_amount(account_remain, "--account-remain"), parse_amount(account_used, "--account-used")),
        burn=parse_amount(burn, "--burn"),
        lag=_parse_seconds("--lag", lag),
        moves=(
            *(_parse_move("--top-up", text) for text in top_up or ()),
            *(_parse_move("--refund", text)._replace(is_refund=True) for text in refund or ()),
        ),
        latency=_parse_seconds("--latency", latency),
        fault=fault,
        fault_after=_parse_seconds("--fault-after", fault_after),
        fault_for=None if fault_for is None else _parse_seconds("--fault-for", fault_for),
        retry_after=_parse_whole_seconds("--retry-after", retry_after),
    )
    past = None if days is None else parse_whole_days(days, "--days", most=MOST_DAYS)
    if books_only and past is None:
        raise UsageError("--books-only: there is no past", "say how long it is, like: --days 14 --books-only")
    scenario = scenario._replace(days=past or 0)
    try:
        with ExitStack() as stack:
            gateway = stack.enter_context(_open(scenario, port).serving())
            history = stack.enter_context(_temporary_history())
            if past is not None and not books_only:
                _record_past(history, gateway, past)
            environment = {**gateway.environment(), "APIMART_HISTORY": str(history)}
            if not command:
                return _serve(environment)
            status = _run(environment, command)
            with only_told():
                stack.close()
            return status
    except NoThreadError:
        raise no_thread("the sandbox cannot serve") from None


@contextmanager
def _temporary_history() -> Iterator[Path]:
    """Give the path of a ledger in a private folder that is removed at the end of the block.

    If no folder can be made, give a path at which nothing can be recorded: readings of the sandbox must not get into
    the real history.
    """
    import shutil
    import tempfile

    from apimart_cli.processes.signals import at_ending

    # The name is chosen before the folder is made, as a signal may come in between.
    name = f"apimart-sandbox-{os.urandom(8).hex()}"
    folders: list[Path] = []

    def remove() -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    with at_ending(remove):
        try:
            folder = Path(tempfile.gettempdir()) / name
            folders.append(folder)
            folder.mkdir(mode=0o700)
        except OSError:
            yield Path(os.devnull)
            return
        try:
            yield folder / "history.db"
        finally:
            remove()


def _record_past(path: Path, gateway: "Sandbox", days: int) -> None:
    """Record a made-up past of the key and the account of the sandbox, which ends with what they have.

    Raises UsageError if it cannot be written.
    """
    from urllib.parse import urlsplit

    from apimart_cli.keys.key import ApiKey
    from apimart_cli.ledger.file import opened
    from apimart_cli.ledger.place import LedgerError
    from apimart_cli.ledger.schema import Entry, Series
    from apimart_cli.ledger.store import record
    from apimart_cli.sandbox.scenario import past
    from apimart_cli.sandbox.server import API_KEY
    from apimart_cli.words import Scope

    end = gateway.past_ends_at
    host, key_id = urlsplit(gateway.url).netloc, ApiKey(API_KEY, source="the sandbox").key_id
    funds = {Scope.KEY: gateway.scenario.key, Scope.ACCOUNT: gateway.scenario.account}
    entries = [
        Entry(Series(key_id, host, scope), each.at, "default", each.remain, each.used, None, "sandbox")
        for seed, scope in enumerate(funds, 1)
        for each in past(end, funds[scope], days, seed=seed)
    ]
    try:
        with opened(path, seconds=None) as connection:
            record(connection, entries)
    except LedgerError as error:
        message = f"--days: no history can be made: {error}"
        raise UsageError(message, "see whether the folder for temporary files (TMPDIR) can be written") from None


def _parse_seconds(name: str, text: str) -> float:
    from apimart_cli.config.values import read_seconds
    from apimart_cli.target import MAX_TIMEOUT

    seconds = float(read_seconds(text, name))
    if seconds > MAX_TIMEOUT:
        raise UsageError(
            f"{name}: must be at most {MAX_TIMEOUT:.0f} seconds", "give a shorter time; no command waits longer"
        )
    return seconds


def _parse_whole_seconds(name: str, text: str) -> int:
    seconds = _parse_seconds(name, text)
    if not seconds.is_integer():
        raise UsageError(
            f"{name}: must be a whole number of seconds", "give a number like 2: HTTP knows no parts of one"
        )
    return int(seconds)


def _parse_move(name: str, text: str) -> Move:
    from apimart_cli.config.values import parse_amount

    amount, separator, seconds = text.partition("@")
    if not separator:
        raise UsageError(f"{name}: it has no time in it", f"say when, in seconds after the start, like: {name} 5@10")
    return Move(parse_amount(amount, name), _parse_seconds(name, seconds))


def _open(scenario: Scenario, port: int) -> "Sandbox":
    from apimart_cli.sandbox.server import Sandbox

    try:
        return Sandbox(scenario, port=port)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(
            f"--port: cannot listen on 127.0.0.1:{port}: {reason}", "choose another port, or leave it out"
        ) from None


def _run(environment: Mapping[str, str], command: list[str]) -> CommandStatus:
    """Run the command and return its exit status.

    Raises UsageError if it cannot be started, and ApimartError if its status is lost, which must not look like success.
    """
    from apimart_cli.processes.child import Child, hint_for
    from apimart_cli.processes.relay import TerminalSettings, supervise
    from apimart_cli.screen.pieces import Unreached

    terminal = TerminalSettings()
    started: list[Child] = []

    def start() -> Child:
        try:
            started.append(Child.start(command, environment={**os.environ, **environment, "APIMART_SANDBOX": "1"}))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its arguments cannot be passed on"
            hint = hint_for(error, "check the command after --")
            raise UsageError(f"cannot run {command[0]}: {reason}", hint) from None
        return started[0]

    try:
        status = supervise(start, told=Unreached())
    except ChildProcessError:
        raise ApimartError(f"the exit code of {command[0]} is lost", "do not ignore SIGCHLD") from None
    if started[0].was_killed:
        terminal.restore()
    return CommandStatus(status)


def _serve(environment: Mapping[str, str]) -> ExitCode:
    """Print how to reach the gateway, and wait for Ctrl-C."""
    from apimart_cli.processes.signals import wait_for_interrupt
    from apimart_cli.screen.writing import is_terminal_error, write_answer, write_note

    write_answer("".join(f"export {name}={shell_word(value)}\n" for name, value in environment.items()))
    if is_terminal_error():
        write_note("the sandbox is running; Ctrl-C ends it", "paste the lines above into another terminal")
    wait_for_interrupt()
    return ExitCode.INTERRUPTED
