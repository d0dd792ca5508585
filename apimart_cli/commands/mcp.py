"""`apimart mcp`: balances for agents, over the Model Context Protocol, until the client goes away."""

import sys

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import Debug, trace_of
from apimart_cli.errors import ExitCode, UsageError

REQUIREMENT = "mcp>=1.21.1,<3"
"""The official SDK, as the extra `mcp` of the package names it."""

app = new_app()


@app.command(cls=Command)
def mcp(debug: Debug = False) -> ExitCode:
    """Answer agents about balances (Model Context Protocol).

        apimart mcp
        apimart mcp --debug

    An agent starts it, and talks to it on standard input and output. To have Claude Code or Codex do so:
    claude mcp add apimart-balance -- apimart mcp, or codex mcp add apimart-balance -- apimart mcp.

    Its tools are get_balance, check_budget, forecast, usage and list_profiles. They change nothing, and take no key,
    address or path: keys come from the config file and the environment, as for every command. Needs the package mcp.

    Exit codes: 0 the client went away, 1 internal error, 2 usage, 130 interrupted.
    """
    _require_library()
    from apimart_cli.agents.server import serve, standard_streams

    trace = trace_of(debug=debug)
    _note_reader()
    with standard_streams() as streams:
        from apimart_cli.agents.answers import Desk

        serve(Desk(trace=trace).answer, streams)
    return ExitCode.OK


def _require_library() -> None:
    """Raise UsageError where the SDK is not installed."""
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        from apimart_cli.installing import command_to_add

        raise UsageError(
            "the mcp package is not installed", f"install it beside apimart: {command_to_add(REQUIREMENT)}"
        )


def _note_reader() -> None:
    """Tell a person at a terminal that it waits for an agent."""
    from apimart_cli.screen.writing import is_terminal_error, write_note

    if sys.stdin is not None and sys.stdin.isatty() and is_terminal_error():
        write_note("waiting for an agent to talk to", "let one start it: claude mcp add apimart-balance -- apimart mcp")
